/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layouts: the slots of a plan, put where they lie.
 *
 * The interpreter (walk.c) finds the slots, arena.c their offsets, waits.c who waits for whom.
 */
#include "config.h"

#include "runtime/plan/layout.h"

#include "runtime/plan/arena.h"
#include "runtime/plan/waits.h"
#include "runtime/plan/walk.h"

#include <stdlib.h>
#include <string.h>

size_t plb_layout_device_bytes(const struct plb_layout *layout)
{
    return layout->initial_bytes + layout->arena[PLB_DEVICE];
}

void plb_layout_clear(struct plb_layout *layout)
{
    free(layout->slot);
    free(layout->in_operand);
    free(layout->operand);
    free(layout->in_wait);
    free(layout->wait);
    *layout = (struct plb_layout){0};
}

/* What the walk found goes over into the layout. */
static void take_walk(struct plb__walk *walk, struct plb_layout *layout)
{
    layout->n_slots = walk->n_slots;
    layout->slot = walk->slot;
    layout->in_operand = walk->in_operand;
    layout->operand = walk->operand;
    layout->initial_bytes = walk->initial_bytes;
    memcpy(layout->away_bytes, walk->away_bytes, sizeof layout->away_bytes);
    memcpy(layout->peak, walk->peak, sizeof layout->peak);
    memcpy(layout->peak_by_role, walk->peak_by_role, sizeof layout->peak_by_role);
    layout->peak_at = walk->peak_at;
    walk->slot = NULL;
    walk->in_operand = walk->operand = NULL;
    plb__walk_clear(walk);
}

enum plb_status plb_layout_assign(const struct plb_plan *plan, const plb_graph_t *graph,
                                  const struct plb_limits *limits, struct plb_layout *layout_out)
{
    const struct plb_limits none = plb_limits_none();
    struct plb_layout layout = {0};
    struct plb__walk walk;
    enum plb_status status;

    if (!limits)
        limits = &none;
    PLB_TRY(plb__walk(plan, graph, limits, &walk));
    status = plb__arena_place(&walk, plan->n, limits, layout.arena);
    take_walk(&walk, &layout);
    if (status == PLB_OK)
        status = plb__layout_find_waits(&layout, plan->n);
    if (status == PLB_OK)
        *layout_out = layout;
    else
        plb_layout_clear(&layout);
    return status;
}
