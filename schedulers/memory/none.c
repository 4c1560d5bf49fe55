/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory policy "none": every task runs once, in the order of the graph, and every value stays
 * until its last reader has run. This is the least memory without running a task twice or moving a
 * value.
 */
#include "config.h"

#include "runtime/plan/writer.h"
#include "schedulers/schedulers.h"

static enum plb_status plan_none(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    plb_writer_t *writer;
    enum plb_status status = plb_writer_create(problem->graph, &writer);

    if (status != PLB_OK)
        return status;
    for (plb_task_id t = 0; status == PLB_OK && t < plb_graph_tasks(problem->graph); t++)
        status = plb_writer_run(writer, t);
    if (status == PLB_OK)
        status = plb_writer_finish(writer, plan_out);
    plb_writer_destroy(writer);
    return status;
}

const struct plb_memory_policy plb_memory_none = {
    .name = "none",
    .help = "keep every value until its last use",
    .plan = plan_none,
};
