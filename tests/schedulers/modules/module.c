/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A policy library for tests/schedulers/test_modules.c, built several times with other flags: a
 * right one, and those that must be refused.
 */
#include <palombe.h>

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

extern const struct plb_policy_module MODULE_SYMBOL;
const struct plb_policy_module MODULE_SYMBOL = {
    .abi = MODULE_ABI,
    .record = MODULE_RECORD,
    .n = 2,
    .memory = policies,
};
