/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A policy library for tests/schedulers/test_modules.c, built several times with other flags: a
 * right one, and those that must be refused.
 */
#include <palombe.h>
#include <stdlib.h>

#ifndef MODULE_ABI
#define MODULE_ABI PLB_POLICY_ABI
#endif
#ifndef MODULE_RECORD
#define MODULE_RECORD sizeof(struct plb_memory_policy)
#endif
#ifndef MODULE_NAME
#define MODULE_NAME "outside"
#endif
#ifndef MODULE_SYMBOL
#define MODULE_SYMBOL plb_policy_module
#endif

/* Runs everything once; a wrong one forgets that values end. */
static enum plb_status plan_all(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    plb_writer_t *writer;
    enum plb_status status = PLB_OK;

    if (problem->argument && problem->argument[0] == 'w') {
        for (plb_task_id t = 0; t < plb_graph_tasks(problem->graph); t++)
            PLB_TRY(plb_plan_append(plan_out, (struct plb_instruction){PLB_RUN, t, 0, PLB_DEVICE}));
        return PLB_OK;
    }
    PLB_TRY(plb_writer_create(problem->graph, &writer));
    for (plb_task_id t = 0; t < plb_graph_tasks(problem->graph) && status == PLB_OK; t++)
        status = plb_writer_run(writer, t);
    if (status == PLB_OK)
        status = plb_writer_finish(writer, plan_out);
    plb_writer_destroy(writer);
    return status;
}

static const struct plb_memory_policy plain = {
    .name = MODULE_NAME,
    .help = "a policy from outside",
#ifndef MODULE_NO_PLAN
    .plan = plan_all,
#endif
};

static const struct plb_memory_policy with_argument = {
    .name = MODULE_NAME "-with",
    .help = "a policy from outside, right or wrong",
    .plan = plan_all,
    .takes = "HOW",
};

static const struct plb_memory_policy *const policies[] = {&plain, &with_argument};

/* Everything at the place that the argument names. */
static enum plb_status plan_at(const struct plb_parallel_problem *problem,
                               struct plb_hybrid *hybrid_out)
{
    uint32_t places = plb_places_count(problem->places), n = plb_graph_tasks(problem->graph);
    uint32_t place = (uint32_t)strtoul(problem->argument, NULL, 10);

    hybrid_out->n_places = places;
    hybrid_out->in_place = calloc((size_t)places + 1, sizeof *hybrid_out->in_place);
    hybrid_out->run = calloc((size_t)n + 1, sizeof *hybrid_out->run);
    if (!hybrid_out->in_place || !hybrid_out->run)
        return PLB_ERROR_MEMORY;
    for (uint32_t p = 0; p < places; p++)
        hybrid_out->in_place[p + 1] = p >= place ? n : 0;
    for (plb_task_id t = 0; t < n; t++)
        hybrid_out->run[t] = t;
    return PLB_OK;
}

static const struct plb_parallel_policy at_place = {
    .name = MODULE_NAME "-at",
    .help = "everything at one place",
    .plan = plan_at,
    .takes = "PLACE",
};

static const struct plb_parallel_policy *const parallel_policies[] = {&at_place};

extern const struct plb_policy_module MODULE_SYMBOL;
const struct plb_policy_module MODULE_SYMBOL = {
    .abi = MODULE_ABI,
    .record = MODULE_RECORD,
    .n = 2,
    .memory = policies,
    .record_parallel = sizeof(struct plb_parallel_policy),
    .n_parallel = 1,
    .parallel = parallel_policies,
};
