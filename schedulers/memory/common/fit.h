/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The largest target whose plan fits.
 *
 * Many policies can say for any number of bytes how to use about so many, but not how many exactly
 * the plan will need with its transients and its gaps. The exact answer is the layout's, and cheap;
 * so the target is found by bisection.
 *
 * Thread-safety: pure.
 */
#ifndef PLB_MEMORY_FIT_H
#define PLB_MEMORY_FIT_H

#include "runtime/plan/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes a plan that uses about `target` bytes, whatever these mean to the policy: more of them, a
 * faster plan that needs more memory. PLB_ERROR_MEMORY: the target is too small for any plan. */
typedef enum plb_status (*plb__propose)(const struct plb_problem *problem, size_t target,
                                        void *context, struct plb_plan *plan_out);

struct plb__fit {
    plb__propose propose;
    void *context;
    size_t most;        /* the largest target that makes a difference; 0: there is but one plan */
    bool offloads;      /* it needs a tier beside the device when memory is short */
    bool fetches_ahead; /* move FETCHes ahead of their need where there is room */
};

/* The plan of the largest target that keeps the problem's limits, or of a somewhat smaller one when
 * that is faster. PLB_ERROR_MEMORY when none does: the message says how many bytes the smallest
 * plan seen takes, or why there is none. */
enum plb_status plb__fit_plan(const struct plb_problem *problem, const struct plb__fit *fit,
                              struct plb_plan *plan_out);

/* The same in a few milliseconds, for an answer to an event: plans of about `target` bytes, a
 * little less each time, until one fits. SIZE_MAX: that of plb__fit_plan(). */
enum plb_status plb__fit_soon(const struct plb_problem *problem, const struct plb__fit *fit,
                              size_t target, struct plb_plan *plan_out);

/* The same in at most four plans, for policies whose targets are not bytes of the device: from the
 * largest target down, by what the last plan took too much. PLB_ERROR_MEMORY when none fits. */
enum plb_status plb__fit_nearly(const struct plb_problem *problem, const struct plb__fit *fit,
                                struct plb_plan *plan_out);

/* Bytes of the device that the limits leave for what the step makes, beside initial values, held
 * gradients and what is reserved. SIZE_MAX: no limit. */
size_t plb__fit_room(const struct plb_problem *problem);

#ifdef __cplusplus
}
#endif

#endif
