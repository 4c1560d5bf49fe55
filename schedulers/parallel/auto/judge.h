/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a line really takes: its jobs are played under a schedule.
 *
 * Where a place cannot hold what the schedule keeps in flight, micro-batches recompute: at each
 * stage just as many of those held at once as must, each no more than it must. Micro-batches that
 * are held together may take different levels (tables.h), and those of one stage others than those
 * of the next: in 1F1B a stage with s - 1 behind it holds min(m, s).
 *
 * Not public. Thread-safety: pure.
 */
#ifndef PLB_PARALLEL_AUTO_JUDGE_H
#define PLB_PARALLEL_AUTO_JUDGE_H

#include "schedulers/parallel/auto/search.h"
#include "schedulers/parallel/common/rule.h"

struct plb__verdict {
    const struct plb__pipe_rule *rule;
    double seconds;    /* of a step; HUGE_VAL: does not go */
    double bubble;
    double most_bytes; /* of the fullest place */
    uint16_t *level;   /* [stage][micro-batch]; NULL: nothing is recomputed */
};

void plb__verdict_clear(struct plb__verdict *verdict);

/* All rules that are tried; the last is NULL. */
extern const struct plb__pipe_rule *const plb__judge_rules[];

/* A line as a pipeline, for one rule. */
struct plb__trial {
    const struct plb__slice *slice;
    const struct plb__line *line;
    struct plb__pipeline pipeline; /* arrays below */
    struct plb__group *group;      /* per chunk */
    struct plb__cost *cost;
    uint32_t *stage_of;
    double *figures;               /* all arrays of doubles */
    double *room, *tail;           /* per stage: bytes for what is held; seconds at the end */
    double *transient_more;        /* per stage: bytes beside, when it recomputes */
    double *used;                  /* per stage: bytes that are not what is held */
    double *lean, *again;          /* [chunk][micro-batch] */
};

/* For rules of one chunk a line has one stage after the other; for others, as many chunks of each.
 * PLB_ERROR_MEMORY. */
enum plb_status plb__trial_create(const struct plb__slice *slice, const struct plb__line *line,
                                  const struct plb__pipe_rule *rule, struct plb__trial *trial_out);
void plb__trial_clear(struct plb__trial *trial);
/* Plays the order that the rule gives. The verdict's seconds are HUGE_VAL when the rule is not
 * defined for it or memory does not hold. `peak_out` unless NULL: per stage, bytes held. */
enum plb_status plb__trial_play(const struct plb__trial *trial, const struct plb__pipe_rule *rule,
                                struct plb__verdict *verdict_out, double *peak_out);

/* Seconds by which a verdict must be shorter to count. */
#define PLB__SHORTER (1 - 1e-9)

/* The verdict on a line under a rule. `refine`: micro-batches trade levels as long as this helps.
 * PLB_ERROR_MEMORY: of this process. */
enum plb_status plb__judge(const struct plb__slice *slice, const struct plb__line *line,
                           const struct plb__pipe_rule *rule, bool refine,
                           struct plb__verdict *verdict_out);

/* Recomputation for a trial that does not fit. `peak`: per stage, of what would be held. */
enum plb_status plb__recompute(struct plb__trial *trial, const struct plb__pipe_rule *rule,
                               const double *peak, bool refine, struct plb__verdict *verdict_out);

#endif
