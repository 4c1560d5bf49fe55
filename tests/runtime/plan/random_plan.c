/* SPDX-License-Identifier: BSD-3-Clause */
/* Random plans: see random_plan.h. */
#include "config.h"

#include "tests/runtime/plan/random_plan.h"

#include "runtime/plan/writer.h"

/* A value that a task up to now has made. Gradients and what the update makes are never forgotten:
 * to make them again may want a parameter that is no more. */
static plb_value choose(const plb_graph_t *graph, plb_task_id t, uint64_t *state)
{
    const struct plb_task *task = plb_graph_task(graph, random_below(state, t + 1));
    uint32_t n = task->out_start[task->n_out];

    return n > 0 ? task->out[random_below(state, n)] : PLB_NONE;
}

static enum plb_status disturb(const plb_graph_t *graph, plb_task_id t, uint64_t *state,
                               plb_writer_t *writer)
{
    plb_value value = choose(graph, t, state);
    enum plb_phase phase;

    if (value == PLB_NONE)
        return PLB_OK;
    phase = plb_graph_task(graph, plb_graph_value(graph, value)->producer)->phase;
    switch (random_below(state, 5)) {
    case 0:
    case 1:
        if (phase == PLB_PHASE_FORWARD && plb_graph_task(graph, t)->phase != PLB_PHASE_UPDATE)
            plb_writer_forget(writer, value);
        return PLB_OK;
    case 2:
    case 3:
        if (!plb_writer_has(writer, value) || phase == PLB_PHASE_UPDATE)
            return PLB_OK;
        PLB_TRY(plb_writer_offload(writer, value, random_below(state, 2) ? PLB_HOST : PLB_DISK));
        plb_writer_forget(writer, value);
        return PLB_OK;
    default:
        return plb_writer_fetch(writer, value);
    }
}

static enum plb_status write(const plb_graph_t *graph, uint64_t seed, uint32_t rate,
                             plb_writer_t *writer)
{
    uint64_t state = seed * 2 + 1;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        PLB_TRY(plb_writer_run(writer, t));
        for (int k = 0; rate > 0 && k < 3; k++)
            if (random_below(&state, rate) == 0)
                PLB_TRY(disturb(graph, t, &state, writer));
    }
    return PLB_OK;
}

enum plb_status random_plan_make(const plb_graph_t *graph, uint64_t seed, uint32_t rate,
                                 struct plb_plan *plan_out)
{
    plb_writer_t *writer = NULL;
    enum plb_status status;

    PLB_TRY(plb_writer_create(graph, &writer));
    status = write(graph, seed, rate, writer);
    if (status == PLB_OK)
        status = plb_writer_finish(writer, plan_out);
    plb_writer_destroy(writer);
    if (status == PLB_OK)
        plan_out->fingerprint = plb_graph_fingerprint(graph);
    return status;
}
