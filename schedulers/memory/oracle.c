/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The policy "oracle": the best plan that there is, for the few tasks for which it can be found.
 *
 * A module of its own, for tests and for curiosity: GLPK's licence is not the library's, and a
 * policy that takes minutes for thirty tasks is for no one who trains. It is built by `make check`
 * and found with PALOMBE_POLICY_PATH (doc/chain-dp.md).
 *
 * The integer programme (oracle.h) is asked for a plan that is no slower than that of "chain-dp". Where
 * there is none, because that one moves a task before another as the programme does not, that plan is
 * what the policy gives, and the plan's name says so; as it does when the plan that was proved the best
 * has gaps between its copies that take too much, and one for less memory stands in for it.
 */
#include "config.h"

#include "schedulers/memory/oracle.h"

#include "runtime/plan/writer.h"
#include "schedulers/memory/chain/chain_fit.h"
#include "schedulers/schedulers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MILLISECONDS 60000
/* Gaps between slots may take more than the values do: then the programme gets this much less. */
#define LESS 0.99
enum { TRIES = 4 };

/* ---- the programme of a graph ---- */

struct reading {
    const struct plb__chain *chain;
    struct plb__oracle oracle;
    int *number; /* per value of the graph: value of the programme, or -1 */
};

/* The tasks of the programme are numbered in the order in which the chain runs them. */
static plb_task_id task_at(const struct reading *r, int i)
{
    plb_task_id t = r->chain->begin + (plb_task_id)i;

    return t < r->chain->middle ? t : plb__chain_backward(r->chain, t);
}

static enum plb_status number_values(struct reading *r)
{
    const plb_graph_t *graph = r->chain->problem->graph;
    size_t n = 0;

    for (plb_task_id t = r->chain->begin; t < r->chain->end; t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        n += task->out_start[task->n_out];
    }
    r->oracle.value = calloc(n + 1, sizeof *r->oracle.value);
    if (!r->oracle.value)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the values of an integer programme");
    for (int i = 0; i < (int)(r->chain->end - r->chain->begin); i++) {
        const struct plb_task *task = plb_graph_task(graph, task_at(r, i));

        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
            plb_value v = task->out[j];
            size_t bytes = plb_type_bytes(&plb_graph_value(graph, v)->type);

            r->number[v] = r->oracle.n_values;
            r->oracle.value[r->oracle.n_values++] =
                (struct plb__oracle_value){.value = v,
                                           .producer = i,
                                           .bytes = r->chain->free[v] ? 0.0 : (double)bytes,
                                           .after = r->chain->after[v]};
        }
    }
    return PLB_OK;
}

static int taken_by(const struct reading *r, const struct plb_task *task, int k)
{
    const plb_graph_t *graph = r->chain->problem->graph;
    int from = task->op->out[k].shares - 1;
    plb_value in, out;

    if (from < 0 || task->in_start[from + 1] - task->in_start[from] != 1 ||
        task->out_start[k + 1] - task->out_start[k] != 1)
        return -1;
    in = task->in[task->in_start[from]];
    out = task->out[task->out_start[k]];
    return plb_type_bytes(&plb_graph_value(graph, in)->type) ==
                   plb_type_bytes(&plb_graph_value(graph, out)->type)
               ? r->number[in]
               : -1;
}

static enum plb_status read_task(struct reading *r, int i)
{
    const struct plb_task *task = plb_graph_task(r->chain->problem->graph, task_at(r, i));
    struct plb__oracle_task *to = &r->oracle.task[i];
    uint32_t n_in = task->in_start[task->n_in], n_out = task->out_start[task->n_out];

    to->seconds = r->chain->problem->seconds[task_at(r, i)];
    to->again = task->phase == PLB_PHASE_FORWARD && !task->op->once;
    to->in = malloc((n_in + 2 * n_out + 1) * sizeof *to->in);
    if (!to->in)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the tasks of an integer programme");
    to->out = to->in + n_in;
    to->taken = to->out + n_out;
    for (uint32_t j = 0; j < n_in; j++) {
        int d = r->number[task->in[j]];
        bool twice = false;

        for (int k = 0; k < to->n_in; k++)
            twice |= to->in[k] == d;
        if (d < 0 || twice)
            continue;
        to->in[to->n_in++] = d;
        if (r->oracle.value[d].n_readers == PLB__ORACLE_TASKS_MAX)
            return plb_fail(PLB_ERROR_INTERNAL, "more readers than tasks");
        r->oracle.value[d].reader[r->oracle.value[d].n_readers++] = i;
    }
    for (int k = 0; k < task->n_out; k++)
        for (uint32_t j = task->out_start[k]; j < task->out_start[k + 1]; j++) {
            to->out[to->n_out] = r->number[task->out[j]];
            to->taken[to->n_out++] = taken_by(r, task, k);
        }
    return PLB_OK;
}

static enum plb_status read_graph(struct reading *r)
{
    const plb_graph_t *graph = r->chain->problem->graph;

    r->number = malloc(((size_t)plb_graph_values(graph) + 1) * sizeof *r->number);
    if (!r->number)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for an integer programme");
    memset(r->number, 0xff, ((size_t)plb_graph_values(graph) + 1) * sizeof *r->number);
    PLB_TRY(number_values(r));
    for (; r->oracle.n_tasks < (int)(r->chain->end - r->chain->begin); r->oracle.n_tasks++)
        PLB_TRY(read_task(r, r->oracle.n_tasks));
    return PLB_OK;
}

static void clear_reading(struct reading *r)
{
    for (int i = 0; i < PLB__ORACLE_TASKS_MAX; i++)
        free(r->oracle.task[i].in);
    free(r->oracle.value);
    free(r->number);
}

/* ---- its solution as a plan ---- */

static enum plb_status write_stages(const struct reading *r,
                                    const struct plb__oracle_solution *solution,
                                    plb_writer_t *writer)
{
    const struct plb__oracle *o = &r->oracle;

    for (int t = 0; t < o->n_tasks; t++) {
        for (int i = 0; i <= t; i++)
            if (solution->run[t][i])
                PLB_TRY(plb_writer_run(writer, task_at(r, i)));
        for (int d = 0; d < o->n_values; d++)
            if (!solution->keep[(t + 1) * o->n_values + d])
                plb_writer_forget(writer, o->value[d].value);
    }
    return PLB_OK;
}

static enum plb_status write_plan(const struct reading *r,
                                  const struct plb__oracle_solution *solution,
                                  struct plb_plan *plan_out)
{
    const plb_graph_t *graph = r->chain->problem->graph;
    plb_writer_t *writer;
    enum plb_status status;

    PLB_TRY(plb_writer_create(graph, &writer));
    status = PLB_OK;
    for (plb_task_id t = 0; t < r->chain->begin && status == PLB_OK; t++)
        status = plb_writer_run(writer, t);
    if (status == PLB_OK)
        status = write_stages(r, solution, writer);
    for (plb_task_id t = r->chain->end; t < plb_graph_tasks(graph) && status == PLB_OK; t++)
        status = plb_writer_run(writer, t);
    if (status == PLB_OK)
        status = plb_writer_finish(writer, plan_out);
    plb_writer_destroy(writer);
    return status;
}

static double seconds_of(const struct plb_problem *problem, const struct plb_plan *plan,
                         plb_task_id begin, plb_task_id end)
{
    double seconds = 0.0;

    for (uint32_t i = 0; i < plan->n; i++) {
        const struct plb_instruction *instruction = &plan->instruction[i];

        if (instruction->code == PLB_RUN && instruction->subject >= begin &&
            instruction->subject < end)
            seconds += problem->seconds[instruction->subject];
    }
    return seconds;
}

/* What a plan is called that is not the programme's best. */
#define NAME_NO_FASTER "oracle (chain-dp's plan: in this order none is faster)"
#define NAME_NOT_PROVED "oracle (not proved the best)"

/* The first plan of the programme that can be laid out. `*tries_out`: the programme's solutions that
 * could not. */
static enum plb_status solve(struct reading *r, struct plb_plan *plan_out, int *tries_out)
{
    const struct plb_problem *problem = r->chain->problem;
    enum plb_status status = PLB_ERROR_MEMORY;

    r->oracle.bytes = (double)plb__device_room(problem);
    for (int k = 0; k < TRIES && status == PLB_ERROR_MEMORY; k++) {
        struct plb__oracle_solution solution;
        struct plb_layout layout;

        *tries_out = k;
        PLB_TRY(plb__oracle_solve(&r->oracle, &solution));
        plb_plan_clear(plan_out);
        status = write_plan(r, &solution, plan_out);
        free(solution.keep);
        if (status != PLB_OK)
            return status;
        plan_out->fingerprint = plb_graph_fingerprint(problem->graph);
        status = plb_layout_assign(plan_out, problem->graph, &problem->limits, &layout);
        if (status == PLB_OK)
            plb_layout_clear(&layout);
        r->oracle.bytes *= LESS;
    }
    return status;
}

/* ---- the policy ---- */

static enum plb_status plan_pass(const struct plb_problem *problem, plb_task_id begin,
                                 plb_task_id middle, plb_task_id end, struct plb_plan *plan_out)
{
    struct plb__chain chain;
    struct plb_plan known = {.n = 0};
    struct reading r = {.chain = &chain};
    enum plb_status status;
    int tries = 0;

    PLB_TRY(plb__chain_create(problem, PLB__GRAIN_BLOCKS, begin, middle, end, &chain));
    status = read_graph(&r);
    r.oracle.milliseconds = MILLISECONDS;
    if (status == PLB_OK && plb_memory_chain_dp.plan(problem, &known) == PLB_OK)
        r.oracle.seconds_most = (1.0 + 1e-6) * seconds_of(problem, &known, begin, end);
    else
        for (int i = 0; i < r.oracle.n_tasks; i++)
            r.oracle.seconds_most += r.oracle.n_tasks * r.oracle.task[i].seconds;
    if (status == PLB_OK)
        status = solve(&r, plan_out, &tries);
    if (status == PLB_OK && tries > 0)
        snprintf(plan_out->policy, sizeof plan_out->policy, NAME_NOT_PROVED);
    if (status == PLB_ERROR_MEMORY && known.n > 0) {
        plb_plan_clear(plan_out);
        *plan_out = known;
        snprintf(plan_out->policy, sizeof plan_out->policy, "%s",
                 tries > 0 ? NAME_NOT_PROVED : NAME_NO_FASTER);
        known = (struct plb_plan){.n = 0};
        status = PLB_OK;
    }
    plb_plan_clear(&known);
    clear_reading(&r);
    plb__chain_clear(&chain);
    return status;
}

static enum plb_status plan_oracle(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    plb_task_id begin, middle, end, next[3];

    if (!plb__chain_next(problem->graph, 0, &begin, &middle, &end))
        return plb_memory_none.plan(problem, plan_out);
    if (end - begin > PLB__ORACLE_TASKS_MAX ||
        plb__chain_next(problem->graph, end, &next[0], &next[1], &next[2]))
        return plb_fail(PLB_ERROR_INVALID,
                        "the oracle takes one forward and backward pass of at most %d tasks, "
                        "this one has %u",
                        PLB__ORACLE_TASKS_MAX, end - begin);
    return plan_pass(problem, begin, middle, end, plan_out);
}

static const struct plb_memory_policy oracle = {
    .name = "oracle",
    .help = "the best there is, by integer programming, for at most 30 tasks",
    .plan = plan_oracle,
};
static const struct plb_memory_policy *const policies[] = {&oracle};

extern const struct plb_policy_module plb_policy_module;
const struct plb_policy_module plb_policy_module = {
    .abi = PLB_POLICY_ABI,
    .record = sizeof(struct plb_memory_policy),
    .n = 1,
    .memory = policies,
};
