/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From fates to a plan: what policies share that decide once, before the step, what becomes of the
 * values of the forward pass.
 *
 * Decisions are made for *groups*: the outputs of one task of the whole graph, in all their cells.
 * (A task that runs again makes all its outputs, and a cell would hardly deserve another fate than
 * its neighbours.) A group is kept on the device until its last use; or it is forgotten after its
 * last use in the forward pass, and then either made again or fetched when the backward pass asks
 * for it. Any graph will do: what a task that runs again needs is made again or fetched likewise.
 *
 * The forward pass is divided into *segments*: the model's blocks, or, for a model without blocks,
 * about sqrt(n) stretches with equally many bytes to save. What was brought back for the backward
 * pass over a segment is forgotten at the end of it.
 *
 * Thread-safety: a plb__fates belongs to one thread.
 */
#ifndef PLB_MEMORY_FATES_H
#define PLB_MEMORY_FATES_H

#include "runtime/plan/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

enum plb__fate {
    PLB__KEEP,
    PLB__REMAKE,
    PLB__OFFLOAD,
};

struct plb__group {
    enum plb__fate fate; /* the policy's to set; at first KEEP for what is saved, else REMAKE */
    enum plb_tier tier;  /* where OFFLOAD goes */
    plb_task_id first;   /* the first task of the group */
    bool saved;          /* a later phase reads some of it */
    bool crosses;        /* a forward task of another segment reads some of it */
    size_t bytes;        /* of all its values */
    size_t saved_bytes;  /* of those that a later phase reads */
    size_t largest;      /* of its values */
    double seconds;      /* of its tasks, all together */
    uint32_t segment;
};

struct plb__fates {
    const struct plb_problem *problem;
    uint32_t n_groups;
    struct plb__group *group; /* in the order of their first tasks */
    uint32_t n_segments;
    bool has_blocks; /* segments are the model's blocks */
    bool *closes;    /* per segment: the backward pass follows it at once */

    uint32_t *group_of;           /* per value; PLB_NONE for what the forward pass does not make, or
                                     not twice */
    uint32_t *segment_of;         /* per task: for others than forward tasks the segment that they
                                     are the backward pass of */
    plb_task_id *last_forward;    /* per value: the last forward task that makes or reads it */
    uint32_t *in_source, *source; /* groups that group g reads: source[in_source[g]] and on */
};

enum plb_status plb__fates_create(const struct plb_problem *problem, struct plb__fates **fates_out);
void plb__fates_destroy(struct plb__fates *fates); /* NULL is allowed */

/* Joins neighbouring segments: segment s becomes a part of segment into[s], a number from 0 on that
 * rises with s by at most one. */
void plb__fates_join(struct plb__fates *fates, const uint32_t *into);

/* Keeps what passes from segment to segment, and what the closing ones make; all else is made
 * again. */
void plb__fates_checkpoint(struct plb__fates *fates);

/* Seconds to make group g again when all groups but REMAKEs are there. PLB_ERROR_MEMORY. */
enum plb_status plb__fates_remake_seconds(const struct plb__fates *fates, uint32_t g,
                                          double *seconds_out);

/* Is it worth while to give up what group g has saved? Not when the backward pass asks for it at
 * once. */
bool plb__fates_worth(const struct plb__fates *fates, uint32_t g);

/* Bytes that groups of fate KEEP leave on the device for later phases. */
size_t plb__fates_kept_bytes(const struct plb__fates *fates);

/* The nearest tier with room for `bytes` beside `used[tier]` (some is left for what a layout
 * wastes); PLB_DEVICE when there is none. */
enum plb_tier plb__offload_tier(const struct plb_limits *limits, const size_t used[PLB_TIERS],
                                size_t bytes);

/* Writes the plan. PLB_ERROR_MEMORY also when tasks would run again too often to be of use. */
enum plb_status plb__fates_plan(const struct plb__fates *fates, struct plb_plan *plan_out);

#ifdef __cplusplus
}
#endif

#endif
