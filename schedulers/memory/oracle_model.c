/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The integer programme of oracle.h, for GLPK.
 *
 * GLPK ends the process when it meets an error of its own; here it jumps back instead, and what it
 * had allocated is freed with its environment.
 */
#include "config.h"

#include "schedulers/memory/oracle.h"

#include <stdlib.h>

#ifdef PLB_HAVE_GLPK

#include <glpk.h>
#include <setjmp.h>

/* Bytes are divided by the limit; this part of it is left, more than the solver's tolerance. */
#define MARGIN 1e-5

struct model {
    const struct plb__oracle *o;
    glp_prob *lp;
    int *run;    /* [stage * n_tasks + task]: column, 0: the task cannot run there */
    int *keep;   /* [stage * n_values + value]: column, 0: cannot be kept */
    int *index;  /* of the row being written, from 1 */
    double *factor;
    int length, capacity;
};

static int add_column(struct model *m, double least, double most, int kind, double cost)
{
    int column = glp_add_cols(m->lp, 1);

    glp_set_col_bnds(m->lp, column, least < most ? GLP_DB : GLP_FX, least, most);
    glp_set_col_kind(m->lp, column, kind);
    glp_set_obj_coef(m->lp, column, cost);
    return column;
}

/* ---- rows ---- */

/* Adds factor * column to the row. Column 0 stands for a variable that is 0. */
static void put(struct model *m, int column, double factor)
{
    if (column == 0 || factor == 0.0)
        return;
    for (int k = 1; k <= m->length; k++)
        if (m->index[k] == column) {
            m->factor[k] += factor;
            return;
        }
    if (m->length == m->capacity)
        glp_error("a row of more than %d entries\n", m->capacity);
    m->index[++m->length] = column;
    m->factor[m->length] = factor;
}

/* Ends the row: its sum is at most `most`. */
static void end_row(struct model *m, double most)
{
    int row = glp_add_rows(m->lp, 1);

    glp_set_row_bnds(m->lp, row, GLP_UP, 0.0, most);
    glp_set_mat_row(m->lp, row, m->length, m->index, m->factor);
    m->length = 0;
}

static int run_of(const struct model *m, int stage, int task)
{
    return m->run[stage * m->o->n_tasks + task];
}

static int keep_of(const struct model *m, int stage, int value)
{
    return m->keep[stage * m->o->n_values + value];
}

/* ---- columns ---- */

static int last_reader(const struct plb__oracle_value *value)
{
    return value->n_readers > 0 ? value->reader[value->n_readers - 1] : -1;
}

static void add_columns(struct model *m)
{
    const struct plb__oracle *o = m->o;

    for (int t = 0; t < o->n_tasks; t++)
        for (int i = 0; i <= t; i++)
            if (i == t || o->task[i].again)
                m->run[t * o->n_tasks + i] =
                    add_column(m, i == t, 1.0, GLP_BV, o->task[i].seconds);
    for (int t = 0; t < o->n_tasks; t++)
        for (int i = 0; i < o->n_tasks; i++)
            if (run_of(m, t, i))
                glp_set_col_bnds(m->lp, run_of(m, t, i), i == t ? GLP_FX : GLP_DB, i == t, 1.0);
    for (int t = 1; t <= o->n_tasks; t++)
        for (int d = 0; d < o->n_values; d++) {
            const struct plb__oracle_value *value = &o->value[d];
            bool wanted = value->after || last_reader(value) >= t;

            if (value->producer >= t || !wanted)
                continue;
            m->keep[t * o->n_values + d] = add_column(m, 0.0, 1.0, GLP_BV, 0.0);
            if (t == o->n_tasks)
                glp_set_col_bnds(m->lp, keep_of(m, t, d), GLP_FX, 1.0, 1.0);
        }
}

/* ---- what must be there ---- */

static void add_presence(struct model *m)
{
    const struct plb__oracle *o = m->o;

    for (int t = 0; t < o->n_tasks; t++) {
        for (int d = 0; d < o->n_values; d++) {
            if (!keep_of(m, t + 1, d))
                continue;
            put(m, keep_of(m, t + 1, d), 1.0);
            put(m, keep_of(m, t, d), -1.0);
            put(m, run_of(m, t, o->value[d].producer), -1.0);
            end_row(m, 0.0);
        }
        for (int i = 0; i <= t; i++)
            for (int j = 0; run_of(m, t, i) && j < o->task[i].n_in; j++) {
                int d = o->task[i].in[j];

                put(m, run_of(m, t, i), 1.0);
                put(m, keep_of(m, t, d), -1.0);
                put(m, run_of(m, t, o->value[d].producer), -1.0);
                end_row(m, 0.0);
            }
    }
}

/* ---- memory ---- */

/* The column F(t, d, i), with its upper bounds. */
static int add_ending(struct model *m, int t, int d, int i)
{
    const struct plb__oracle_value *value = &m->o->value[d];
    int column = add_column(m, 0.0, 1.0, GLP_CV, 0.0);

    put(m, column, 1.0);
    put(m, run_of(m, t, i), -1.0);
    end_row(m, 0.0);
    for (int j = 0; j < value->n_readers; j++) {
        if (value->reader[j] <= i || value->reader[j] > t || !run_of(m, t, value->reader[j]))
            continue;
        put(m, column, 1.0);
        put(m, run_of(m, t, value->reader[j]), 1.0);
        end_row(m, 1.0);
    }
    if (keep_of(m, t + 1, d)) {
        put(m, column, 1.0);
        put(m, keep_of(m, t + 1, d), 1.0);
        end_row(m, 1.0);
    }
    return column;
}

static bool is_taken(const struct plb__oracle_task *task, int d)
{
    for (int k = 0; k < task->n_out; k++)
        if (task->taken[k] == d)
            return true;
    return false;
}

/* Task i of stage t: `memory` is the column of what is held before it; returns that of what is held
 * after it. */
static int add_task_memory(struct model *m, int t, int i, int memory)
{
    const struct plb__oracle *o = m->o;
    const struct plb__oracle_task *task = &o->task[i];
    int after = add_column(m, 0.0, 1.0, GLP_CV, 0.0);
    int ending[2 * PLB__ORACLE_TASKS_MAX], value[2 * PLB__ORACLE_TASKS_MAX], n = 0;

    for (int k = 0; k < task->n_in + task->n_out && n < 2 * PLB__ORACLE_TASKS_MAX; k++) {
        int d = k < task->n_in ? task->in[k] : task->out[k - task->n_in];

        if (o->value[d].bytes <= 0.0)
            continue;
        value[n] = d;
        ending[n++] = add_ending(m, t, d, i);
    }
    /* While it runs. */
    put(m, memory, 1.0);
    for (int k = 0; k < task->n_out; k++)
        put(m, run_of(m, t, i), o->value[task->out[k]].bytes / o->bytes);
    for (int k = 0; k < n; k++)
        if (is_taken(task, value[k]))
            put(m, ending[k], -o->value[value[k]].bytes / o->bytes);
    end_row(m, 1.0 - MARGIN);
    /* After it: `after` is at least the sum, and nothing makes it greater. */
    put(m, memory, 1.0);
    for (int k = 0; k < task->n_out; k++)
        put(m, run_of(m, t, i), o->value[task->out[k]].bytes / o->bytes);
    for (int k = 0; k < n; k++)
        put(m, ending[k], -o->value[value[k]].bytes / o->bytes);
    put(m, after, -1.0);
    end_row(m, 0.0);
    return after;
}

static void add_memory(struct model *m)
{
    const struct plb__oracle *o = m->o;

    for (int t = 0; t < o->n_tasks; t++) {
        int memory = add_column(m, 0.0, 1.0, GLP_CV, 0.0);

        for (int d = 0; d < o->n_values; d++)
            put(m, keep_of(m, t, d), o->value[d].bytes / o->bytes);
        put(m, memory, -1.0);
        end_row(m, 0.0);
        for (int i = 0; i <= t; i++)
            if (run_of(m, t, i))
                memory = add_task_memory(m, t, i, memory);
    }
}

static void add_bound(struct model *m)
{
    const struct plb__oracle *o = m->o;

    for (int t = 0; t < o->n_tasks; t++)
        for (int i = 0; i <= t; i++)
            put(m, run_of(m, t, i), o->task[i].seconds / o->seconds_most);
    end_row(m, 1.0);
}

/* ---- solving ---- */

static enum plb_status run_solver(struct model *m)
{
    glp_iocp how;
    int status;

    glp_init_iocp(&how);
    how.presolve = GLP_ON;
    how.tm_lim = m->o->milliseconds;
    how.mir_cuts = how.gmi_cuts = how.cov_cuts = GLP_ON;
    how.br_tech = GLP_BR_PCH;
    how.bt_tech = GLP_BT_BLB;
    status = glp_intopt(m->lp, &how);
    if (status == GLP_ENOPFS || status == GLP_ENODFS ||
        (status == 0 && glp_mip_status(m->lp) == GLP_NOFEAS))
        return plb_fail(PLB_ERROR_MEMORY, "no plan of the integer programme keeps the limit");
    if (status != 0 || glp_mip_status(m->lp) != GLP_OPT)
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "the integer programme was not solved within %d ms",
                        m->o->milliseconds);
    return PLB_OK;
}

static void read_solution(const struct model *m, struct plb__oracle_solution *solution)
{
    const struct plb__oracle *o = m->o;

    solution->seconds = glp_mip_obj_val(m->lp);
    for (int t = 0; t < o->n_tasks; t++)
        for (int i = 0; i < o->n_tasks; i++)
            solution->run[t][i] =
                run_of(m, t, i) && glp_mip_col_val(m->lp, run_of(m, t, i)) > 0.5;
    for (int k = 0; k < (o->n_tasks + 1) * o->n_values; k++)
        solution->keep[k] = m->keep[k] && glp_mip_col_val(m->lp, m->keep[k]) > 0.5;
}

static enum plb_status build_and_solve(struct model *m, struct plb__oracle_solution *solution)
{
    m->lp = glp_create_prob();
    glp_set_obj_dir(m->lp, GLP_MIN);
    add_columns(m);
    add_presence(m);
    add_memory(m);
    add_bound(m);
    PLB_TRY(run_solver(m));
    read_solution(m, solution);
    return PLB_OK;
}

static void jump_back(void *where)
{
    longjmp(*(jmp_buf *)where, 1);
}

/* Everything that GLPK does happens in here; `m` and `solution` are the caller's, so that they are
 * whole after a jump. */
static enum plb_status guard(struct model *m, struct plb__oracle_solution *solution)
{
    jmp_buf where;
    enum plb_status status;

    if (setjmp(where) != 0) {
        glp_free_env();
        return plb_fail(PLB_ERROR_UNAVAILABLE, "GLPK gave up on the integer programme");
    }
    glp_term_out(GLP_OFF);
    glp_error_hook(jump_back, &where);
    status = build_and_solve(m, solution);
    glp_delete_prob(m->lp);
    glp_error_hook(NULL, NULL);
    glp_free_env();
    return status;
}

enum plb_status plb__oracle_solve(const struct plb__oracle *oracle,
                                  struct plb__oracle_solution *solution_out)
{
    size_t tasks = (size_t)oracle->n_tasks, values = (size_t)oracle->n_values;
    struct model m = {.o = oracle, .capacity = (int)(tasks * tasks + 4 * values + 16)};
    struct plb__oracle_solution solution = {.seconds = 0.0};
    enum plb_status status = PLB_ERROR_MEMORY;

    m.run = calloc(tasks * tasks, sizeof *m.run);
    m.keep = calloc((tasks + 1) * values + 1, sizeof *m.keep);
    m.index = calloc((size_t)m.capacity + 1, sizeof *m.index);
    m.factor = calloc((size_t)m.capacity + 1, sizeof *m.factor);
    solution.keep = calloc((tasks + 1) * values + 1, sizeof *solution.keep);
    if (m.run && m.keep && m.index && m.factor && solution.keep)
        status = guard(&m, &solution);
    else
        plb_fail(PLB_ERROR_MEMORY, "no memory for an integer programme of %zu tasks", tasks);
    free(m.run);
    free(m.keep);
    free(m.index);
    free(m.factor);
    if (status == PLB_OK)
        *solution_out = solution;
    else
        free(solution.keep);
    return status;
}

#else

enum plb_status plb__oracle_solve(const struct plb__oracle *oracle,
                                  struct plb__oracle_solution *solution_out)
{
    (void)oracle;
    (void)solution_out;
    return plb_fail(PLB_ERROR_UNAVAILABLE, "the oracle is not available here: built without GLPK");
}

#endif
