/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parameters and state whose home is not the device. Not installed.
 */
#ifndef PLB_PLAN_PAGE_H
#define PLB_PLAN_PAGE_H

#include "runtime/plan/plan.h"

/* Has the graph any such value? */
bool plb__pages(const plb_graph_t *graph);

/* Puts the moves into a draft that brings such values to the device for the tasks that read them,
 * and their last versions home. Values that the draft moves by itself are left to it. The draft was
 * checked to name tasks and values of the graph. PLB_ERROR_MEMORY. */
enum plb_status plb__page(const plb_graph_t *graph, const struct plb_plan *draft,
                          struct plb_plan *paged_out);

#endif
