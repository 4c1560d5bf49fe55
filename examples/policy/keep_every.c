/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A memory policy outside the tree: keep the activations of every N-th block of the model, and make
 * those of the others again when the backward pass comes to them.
 *
 *   make
 *   PALOMBE_POLICY_PATH=$PWD palombe train --memory keep-every:2 ...
 *
 * It is built against the installed headers, see the Makefile; how it works is told in
 * doc/policies.md. The budget is not looked at: the checker does.
 */
#include <palombe.h>

#include <stdlib.h>

/* N of "keep-every:N". */
static enum plb_status read_distance(const char *text, int *distance_out)
{
    char *end;
    long distance = strtol(text, &end, 10);

    if (*end || distance < 1 || distance > 1000)
        return plb_fail(PLB_ERROR_INVALID, "keep-every:N: N is 1 to 1000, not '%s'", text);
    *distance_out = (int)distance;
    return PLB_OK;
}

/* Forgets what a task of the forward pass has made. Nothing else is needed: the writer runs the
 * producers of what is missing again, and ends each value after its last use. */
static void forget_outputs(plb_writer_t *writer, const struct plb_task *task)
{
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        plb_writer_forget(writer, task->out[j]);
}

static enum plb_status write_step(const plb_graph_t *graph, int distance, plb_writer_t *writer)
{
    bool forward = true;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        if (forward && task->phase != PLB_PHASE_FORWARD) {
            forward = false;
            for (plb_task_id done = 0; done < t; done++) {
                const struct plb_task *made = plb_graph_task(graph, done);

                if (made->block >= 0 && made->block % distance != 0)
                    forget_outputs(writer, made);
            }
        }
        PLB_TRY(plb_writer_run(writer, t));
    }
    return PLB_OK;
}

static enum plb_status plan_keep_every(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    plb_writer_t *writer;
    int distance = 1;
    enum plb_status status;

    PLB_TRY(read_distance(problem->argument, &distance));
    PLB_TRY(plb_writer_create(problem->graph, &writer));
    status = write_step(problem->graph, distance, writer);
    if (status == PLB_OK)
        status = plb_writer_finish(writer, plan_out);
    plb_writer_destroy(writer);
    return status;
}

static const struct plb_memory_policy keep_every = {
    .name = "keep-every",
    .help = "keep the activations of every N-th block",
    .plan = plan_keep_every,
    .takes = "N",
};

static const struct plb_memory_policy *const policies[] = {&keep_every};

extern const struct plb_policy_module plb_policy_module;
const struct plb_policy_module plb_policy_module = {
    .abi = PLB_POLICY_ABI,
    .record = sizeof(struct plb_memory_policy),
    .n = 1,
    .memory = policies,
};
