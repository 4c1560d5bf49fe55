/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must hold for every cut of every graph, and figures of a cut.
 */
#ifndef PLB_TEST_CUT_CHECK_H
#define PLB_TEST_CUT_CHECK_H

#include "runtime/graph/cut.h"

/* Checks, as assertions of the running test, that the cells tile their values, that each has a
 * producer where its value has one, that tasks read what their ranges need and make what they are
 * asked to, that versions meet cell by cell, and that nothing is computed twice but what windows
 * see again. */
void cut_check(const plb_graph_t *whole, const plb_graph_t *cut);

/* Modelled times of the tasks of a cut, by the rates that it was made for. */
struct cut_figures {
    uint32_t tasks, values;
    int cells_most;         /* of one value */
    uint32_t operands_most; /* cells of one task */
    double total, longest;  /* seconds */
    double mean;            /* weighted with the time itself */
    double share_good;      /* of the total in tasks of 0.1 ms to 8 ms */
    double share_sums;      /* of the total in additions of partial results */
    uint32_t histogram[12]; /* tasks of up to 1, 2, 5, 10, .. us, .. 5 ms, and longer */
};
struct cut_figures cut_figures(const plb_graph_t *cut, double flops_per_second,
                               double bytes_per_second);

#endif
