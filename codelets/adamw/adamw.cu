/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * adamw on a CUDA card: 28 bytes an element, 30 with a working copy, each moved once (update.cuh).
 * A thread has four loads of 16 bytes under way. See adamw.c for the record and the formula, step.h
 * for an element, which has the bits of the processor's.
 */
#include "codelets/adamw/many.h"
#include "codelets/adamw/step.h"
#include "codelets/adamw/update.cuh"

enum { BETA1, BETA2, EPSILON, DECAY }; /* attributes */

struct adamw {
    enum { STATES = 3 }; /* p, m, v */

    struct constants {
        float beta1, rest1, beta2, rest2; /* rest: 1 - beta, rounded once from double */
        float epsilon, decay;

        constants() = default;
        explicit constants(const struct plb_attributes *a)
            : beta1((float)a->f[BETA1]), rest1((float)(1 - a->f[BETA1])), beta2((float)a->f[BETA2]),
              rest2((float)(1 - a->f[BETA2])), epsilon((float)a->f[EPSILON]),
              decay((float)a->f[DECAY])
        {
        }
    };

    struct plb__adamw_constants c;

    __device__ __forceinline__ adamw(const struct constants &from, const float *hyper,
                                     const float *scale_or_null)
        : c{from.beta1, from.rest1, from.beta2, from.rest2, from.epsilon, from.decay, hyper[0],
            hyper[1], hyper[2], scale_or_null != nullptr ? *scale_or_null : 1.0f}
    {
    }

    __device__ __forceinline__ void step(float state[STATES], float gradient) const
    {
        struct plb__adamw_state next =
            plb__adamw_step(&c, {state[0], state[1], state[2]}, gradient);

        state[0] = next.p;
        state[1] = next.m;
        state[2] = next.v;
    }
};

enum plb_status plb_cuda_adamw_many(const struct plb_call *const *calls, int n,
                                    const struct plb_cuda_queue *queue)
{
    return plb_update_calls<adamw>(calls, n, queue, "adamw");
}

static enum plb_status adamw_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    return plb_cuda_adamw_many(&call, 1, queue);
}

const struct plb_cuda_operator plb_cuda_adamw = {"adamw", nullptr, adamw_run};
