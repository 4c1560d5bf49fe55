/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The largest target whose plan fits, found fast.
 *
 * As fit.h, but the search goes by the bytes of a plan's copies, which one walk along the plan
 * counts; only what comes out of the search is laid out. The layout seldom takes more than the
 * copies, and where it does the search of fit.h goes on below.
 *
 * Not public. Thread-safety: pure.
 */
#ifndef PLB_SCHEDULERS_MEMORY_CHAIN_FIT_H
#define PLB_SCHEDULERS_MEMORY_CHAIN_FIT_H

#include "schedulers/memory/common/fit.h"

/* Bytes that the device has beside initial values, work space and gradients that limits hold. */
size_t plb__device_room(const struct plb_problem *problem);

/* Most bytes of copies on the device at any instruction of a finished plan, those of `free_values`
 * (one flag per value) and what takes over their storage not counted. PLB_ERROR_MEMORY. */
enum plb_status plb__plan_peak(const plb_graph_t *graph, const struct plb_plan *plan,
                               const bool *free_values, size_t *peak_out);

/* As plb__fit_plan(). */
enum plb_status plb__chain_fit(const struct plb_problem *problem, const struct plb__fit *fit,
                               const bool *free_values, struct plb_plan *plan_out);

#endif
