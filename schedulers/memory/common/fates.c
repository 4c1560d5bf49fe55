/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What fates cost, and the plan that follows from them: see fates.h.
 */
#include "config.h"

#include "schedulers/memory/common/fates.h"

#include "runtime/plan/writer.h"

#include <stdlib.h>

/* A plan with more instructions than so many a task is not worth its time, nor ours. */
#define LENGTH_PER_TASK 24u
/* Of a group that is offloaded, values this much smaller than its largest stay: statistics of rows
 * are not worth a transfer. */
#define SMALL_SHARE 16
/* A layout of a tier may waste so much. */
#define WASTE_SHARE 16

/* ---- figures ---- */

enum plb_status plb__fates_remake_seconds(const struct plb__fates *fates, uint32_t g,
                                          double *seconds_out)
{
    bool *seen = calloc((size_t)fates->n_groups + 1, sizeof *seen);
    uint32_t *stack = malloc(((size_t)fates->n_groups + 1) * sizeof *stack), n = 0;

    if (!seen || !stack) {
        free(seen);
        free(stack);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to follow %u groups", fates->n_groups);
    }
    *seconds_out = 0;
    stack[n++] = g;
    seen[g] = true;
    while (n > 0) {
        uint32_t h = stack[--n];

        *seconds_out += fates->group[h].seconds;
        for (uint32_t e = fates->in_source[h]; e < fates->in_source[h + 1]; e++) {
            uint32_t from = fates->source[e];

            if (seen[from] || fates->group[from].fate != PLB__REMAKE)
                continue;
            seen[from] = true;
            stack[n++] = from;
        }
    }
    free(seen);
    free(stack);
    return PLB_OK;
}

bool plb__fates_worth(const struct plb__fates *fates, uint32_t g)
{
    const struct plb__group *group = &fates->group[g];

    return group->saved && (fates->n_segments == 1 || !fates->closes[group->segment]);
}

void plb__fates_checkpoint(struct plb__fates *fates)
{
    for (uint32_t g = 0; g < fates->n_groups; g++) {
        struct plb__group *group = &fates->group[g];

        group->fate = group->crosses || fates->closes[group->segment] ? PLB__KEEP : PLB__REMAKE;
    }
}

size_t plb__fates_kept_bytes(const struct plb__fates *fates)
{
    size_t bytes = 0;

    for (uint32_t g = 0; g < fates->n_groups; g++)
        if (fates->group[g].fate == PLB__KEEP)
            bytes += fates->group[g].saved_bytes;
    return bytes;
}

enum plb_tier plb__offload_tier(const struct plb_limits *limits, const size_t used[PLB_TIERS],
                                size_t bytes)
{
    for (int tier = PLB_HOST; tier < PLB_TIERS; tier++) {
        size_t room = limits->bytes[tier] - limits->bytes[tier] / WASTE_SHARE;

        if (used[tier] <= room && bytes <= room - used[tier])
            return (enum plb_tier)tier;
    }
    return PLB_DEVICE;
}

/* ---- the plan ---- */

static enum plb__fate fate_of(const struct plb__fates *fates, plb_value v)
{
    const struct plb__group *group;

    if (fates->group_of[v] == PLB_NONE || plb_graph_value(fates->problem->graph, v)->output)
        return PLB__KEEP;
    group = &fates->group[fates->group_of[v]];
    if (group->fate == PLB__OFFLOAD &&
        plb_type_bytes(&plb_graph_value(fates->problem->graph, v)->type) * SMALL_SHARE <
            group->largest)
        return PLB__KEEP;
    return group->fate;
}

static void leave(const struct plb__fates *fates, plb_writer_t *writer, plb_value v, plb_task_id t)
{
    if (fates->last_forward[v] == t && fate_of(fates, v) != PLB__KEEP)
        plb_writer_forget(writer, v);
}

/* What the forward pass is done with leaves: copied out first, as soon as it is made. */
static enum plb_status after_forward(const struct plb__fates *fates, plb_writer_t *writer,
                                     plb_task_id t)
{
    const struct plb_task *task = plb_graph_task(fates->problem->graph, t);

    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        if (fate_of(fates, task->out[j]) == PLB__OFFLOAD)
            PLB_TRY(plb_writer_offload(writer, task->out[j],
                                       fates->group[fates->group_of[task->out[j]]].tier));
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        leave(fates, writer, task->in[j], t);
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        leave(fates, writer, task->out[j], t);
    return PLB_OK;
}

/* What was brought back for a segment leaves at its end. */
static void after_segment(const struct plb__fates *fates, plb_writer_t *writer, plb_task_id t)
{
    const plb_graph_t *graph = fates->problem->graph;

    if (t + 1 < plb_graph_tasks(graph) && fates->segment_of[t + 1] == fates->segment_of[t] &&
        plb_graph_task(graph, t + 1)->phase != PLB_PHASE_FORWARD)
        return;
    for (plb_value v = 0; v < plb_graph_values(graph); v++)
        if (fate_of(fates, v) != PLB__KEEP)
            plb_writer_forget(writer, v);
}

static enum plb_status write_plan(const struct plb__fates *fates, plb_writer_t *writer)
{
    const plb_graph_t *graph = fates->problem->graph;
    uint32_t n = plb_graph_tasks(graph);

    for (plb_task_id t = 0; t < n; t++) {
        PLB_TRY(plb_writer_run(writer, t));
        if (plb_writer_length(writer) / LENGTH_PER_TASK > n)
            return plb_fail(PLB_ERROR_MEMORY,
                            "with so little memory tasks would have to run more "
                            "than %u times each",
                            LENGTH_PER_TASK);
        if (plb_graph_task(graph, t)->phase == PLB_PHASE_FORWARD)
            PLB_TRY(after_forward(fates, writer, t));
        else
            after_segment(fates, writer, t);
    }
    return PLB_OK;
}

enum plb_status plb__fates_plan(const struct plb__fates *fates, struct plb_plan *plan_out)
{
    plb_writer_t *writer;
    enum plb_status status = plb_writer_create(fates->problem->graph, &writer);

    if (status != PLB_OK)
        return status;
    status = write_plan(fates, writer);
    if (status == PLB_OK)
        status = plb_writer_finish(writer, plan_out);
    plb_writer_destroy(writer);
    return status;
}
