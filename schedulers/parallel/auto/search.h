/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines: pipelines of one replica, found by dynamic programming.
 *
 * State (u, k, s): units from u on, in s stages, the first of which begins at entry k of the
 * slice. Kept are all pairs (slowest stage, sum of stages) of which no other is better in both: m
 * micro-batches through stages of t_1, ..., t_s seconds take m max t + share (sum t - max t), with
 * a share of 1 for 1F1B (Zheng et al. 2022, "Alpa", equation 2) and less where W fills the gaps.
 * Their search fixes the slowest stage and repeats; keeping pairs needs one pass. States are
 * filled from the last stage to the first, because a stage with s - 1 stages behind it holds
 * min(m, s) micro-batches in 1F1B, which is what decides on memory and on recomputation (as in
 * Tarnawski et al. 2021, "Piper", section 4).
 *
 * A pair is dropped when what it can at best become is beyond the best line found by more than
 * `slack`: every unit not placed yet takes its least seconds, and the slowest stage is at least
 * what an even division over the places left makes.
 *
 * Not public. Thread-safety: pure.
 */
#ifndef PLB_PARALLEL_AUTO_SEARCH_H
#define PLB_PARALLEL_AUTO_SEARCH_H

#include "schedulers/parallel/auto/tables.h"

struct plb__line_stage {
    uint32_t from, to; /* units */
    uint32_t entry;    /* of the fleet: the first of its places */
    uint32_t d;        /* log2(degree) */
};

struct plb__line {
    uint32_t n;
    struct plb__line_stage *stage;
    double seconds; /* by the formula above, with the update and the sum of gradients */
    double slowest; /* stage's seconds of a micro-batch: m of them no schedule goes below */
};

/* The best lines, by seconds, for schedules that split the backward jobs [0] and those that do not
 * [1]. */
#define PLB__LINES 16u
#define PLB__LISTS 2u
struct plb__best {
    uint32_t n;
    struct plb__line line[PLB__LINES];
};
struct plb__lines {
    struct plb__best best[PLB__LISTS];
    double least_bytes;   /* where none keeps the budgets: the least that the fullest place would
                             need, of what was tried; HUGE_VAL: nothing was */
    uint64_t visited;
};

/* Where a line is to go. */
struct plb__slice {
    const struct plb__tables *tables;
    const struct plb__fleet *fleet;
    uint32_t first, n;      /* entries */
    uint32_t micro_batches; /* of this replica */
    uint32_t replicas;
    struct plb__ring beside; /* between places of replicas that do the same */
    double limit;            /* lines slower than this are of no use */
    double slack;            /* 0.1: see above */
    double coarse;           /* pairs that differ by this share are one */
};

/* Seconds of any line by the formula, for one list of schedules (plb__lines.best); HUGE_VAL: it
 * does not fit. */
double plb__line_seconds(const struct plb__slice *slice, const struct plb__line *line,
                         uint32_t list);
/* Seconds of the end of a step at a stage: gradients summed over replicas, update. */
double plb__slice_tail(const struct plb__slice *slice, const struct plb__cost *cost);

/* Lines may be none. PLB_ERROR_MEMORY: of this process. */
enum plb_status plb__search(const struct plb__slice *slice, struct plb__lines *lines_out);
void plb__lines_clear(struct plb__lines *lines);

#endif
