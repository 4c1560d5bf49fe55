/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sgd on a CUDA card: 20 bytes an element, 22 with a working copy, each moved once
 * (codelets/adamw/update.cuh). See sgd.c for the record and the formula.
 */
#include "codelets/adamw/step.h"
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

    struct plb__sgd_constants c;

    __device__ __forceinline__ sgd(const struct constants &from, const float *hyper,
                                   const float *scale_or_null)
        : c{from.momentum, from.decay, hyper[0],
            scale_or_null != nullptr ? *scale_or_null : 1.0f, from.keep, from.take}
    {
    }

    __device__ __forceinline__ void step(float state[STATES], float gradient) const
    {
        struct plb__sgd_state next = plb__sgd_step(&c, {state[0], state[1]}, gradient);

        state[0] = next.p;
        state[1] = next.v;
    }
};

static enum plb_status sgd_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    return plb_update_calls<sgd>(&call, 1, queue, "sgd");
}

const struct plb_cuda_operator plb_cuda_sgd = {"sgd", nullptr, sgd_run};
