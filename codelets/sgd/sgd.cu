/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sgd on a CUDA card: 20 bytes an element, 22 with a working copy, each moved once
 * (codelets/adamw/update.cuh). See sgd.c for the record and the formula.
 */
#include "codelets/adamw/update.cuh"

enum { MOMENTUM, DECAY }; /* attributes */

struct sgd {
    enum { STATES = 2 }; /* p, v */

    struct constants {
        float momentum, decay;
        float keep, take; /* the step is keep v' + take g */

        constants() = default;
        explicit constants(const struct plb_attributes *a)
            : momentum((float)a->f[MOMENTUM]), decay((float)a->f[DECAY]),
              keep(a->i[0] != 0 ? (float)a->f[MOMENTUM] : 1.0f), take(a->i[0] != 0 ? 1.0f : 0.0f)
        {
        }
    };

    struct constants c;
    float rate, scale;

    __device__ __forceinline__ sgd(const struct constants &constants, const float *hyper,
                                   const float *scale_or_null)
        : c(constants), rate(hyper[0]), scale(scale_or_null != nullptr ? *scale_or_null : 1.0f)
    {
    }

    __device__ __forceinline__ void step(float state[STATES], float gradient) const
    {
        float p = state[0], g = scale * gradient + c.decay * p;
        float v = c.momentum * state[1] + g;

        state[0] = p - rate * (c.keep * v + c.take * g);
        state[1] = v;
    }
};

static enum plb_status sgd_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    return plb_update_calls<sgd>(&call, 1, queue, "sgd");
}

const struct plb_cuda_operator plb_cuda_sgd = {"sgd", nullptr, sgd_run};
