/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One element of an update, for the processor and for CUDA cards alike.
 *
 * An update may be made on either side of the link (runtime/plan/keep.h), by which bits must not
 * differ. So every product that is added to something is spelled as a fused multiply-add, which
 * leaves compilers none to make by themselves; divisions and roots are rounded correctly on both.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_ADAMW_STEP_H
#define PLB_CODELETS_ADAMW_STEP_H

#include "codelets/common/simd.h"

struct plb__adamw_constants {
    float beta1, rest1, beta2, rest2; /* rest: 1 - beta, rounded once from double */
    float epsilon, decay, rate, correction1, correction2, scale;
};

struct plb__adamw_state {
    float p, m, v;
};

PLB_INLINE struct plb__adamw_state plb__adamw_step(const struct plb__adamw_constants *c,
                                                   struct plb__adamw_state s, float gradient)
{
    float g = c->scale * gradient, step;

    s.m = fmaf(c->rest1, g, c->beta1 * s.m);
    s.v = fmaf(c->rest2 * g, g, c->beta2 * s.v);
    step = s.m * c->correction1 / (sqrtf(s.v * c->correction2) + c->epsilon);
    s.p = fmaf(-c->rate, fmaf(c->decay, s.p, step), s.p);
    return s;
}

struct plb__sgd_constants {
    float momentum, decay, rate, scale;
    float keep, take; /* the step is keep v' + take g */
};

struct plb__sgd_state {
    float p, v;
};

PLB_INLINE struct plb__sgd_state plb__sgd_step(const struct plb__sgd_constants *c,
                                               struct plb__sgd_state s, float gradient)
{
    float g = fmaf(c->scale, gradient, c->decay * s.p), step;

    s.v = fmaf(c->momentum, s.v, g);
    step = fmaf(c->keep, s.v, c->take * g);
    s.p = fmaf(-c->rate, step, s.p);
    return s;
}

#endif
