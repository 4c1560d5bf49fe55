/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Walks through one block of a chain, forward and back, that count bytes exactly as the checker
 * counts them: how options.h knows what it takes to keep some of a block's values and not others.
 * Seconds do not matter to a walk; it lists the tasks that run again.
 *
 * Not public. Thread-safety: a walker belongs to one thread.
 */
#ifndef PLB_SCHEDULERS_MEMORY_BLOCK_WALK_H
#define PLB_SCHEDULERS_MEMORY_BLOCK_WALK_H

#include "schedulers/memory/chain/options.h"

/* Tasks in the order in which they run. */
struct plb__task_list {
    plb_task_id *task;
    uint32_t n, capacity;
};

enum plb_status plb__task_list_push(struct plb__task_list *list, plb_task_id task);

/* Scratch memory of the walks. Marks are numbers of the walk, so that they need no clearing. */
struct plb__walker {
    const struct plb__chain *chain;
    const uint8_t *group; /* per value, see options.h */
    uint32_t *have;       /* per value: it is there in this walk */
    uint32_t *wanted;     /* per value: a later task of this walk uses it */
    uint32_t walk;
    struct plb__task_list run, stack;
    struct plb__task_list again; /* tasks that ran a second time in all walks so far */
};

enum plb_status plb__walker_create(const struct plb__chain *chain, const uint8_t *group,
                                   struct plb__walker *walker_out);
void plb__walker_clear(struct plb__walker *w);

/* Before the walks of block e: what came into it, or is made elsewhere in the forward pass, is not
 * counted in them; and after (`apart` false). */
void plb__walker_set_inputs_apart(struct plb__walker *w, uint32_t e, bool apart);

/* Most bytes of what block e makes, going forward, when the groups in `keep` are kept. */
enum plb_status plb__walk_forward(struct plb__walker *w, uint32_t e, uint32_t keep,
                                  size_t *peak_out);

/* ... going back, when of the values that cross its border those are there which cross border `from`
 * as well. Adds the tasks that run again to `again`. */
enum plb_status plb__walk_backward(struct plb__walker *w, uint32_t e, uint32_t keep, uint32_t from,
                                   size_t *peak_out);

/* Bytes that the groups in `keep` hold between the forward and the backward tasks of block e. */
size_t plb__walker_saved(const struct plb__walker *w, uint32_t e, uint32_t keep);

/* Puts the values of block e that are any option's business into at most `most` groups: sets their
 * entries of `group` and the bytes of each, and tells how many there are. */
enum plb_status plb__walker_group(struct plb__walker *w, uint32_t e, uint32_t most, uint8_t *group,
                                  uint32_t *groups_out, size_t bytes_out[PLB__GROUPS_MAX]);

static inline size_t plb__walker_bytes(const struct plb__walker *w, plb_value v)
{
    return plb_type_bytes(&plb_graph_value(w->chain->problem->graph, v)->type);
}

#endif
