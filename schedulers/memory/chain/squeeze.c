/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which copies are given up: see squeeze.h.
 */
#include "config.h"

#include "schedulers/memory/chain/squeeze.h"

#include "runtime/plan/writer.h"
#include "schedulers/memory/chain/levels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rounds without a smaller peak after which nothing more is hoped for, and rounds in all. */
enum { PATIENCE = 24, ROUNDS_MOST = 150 };
/* A round gives up enough for this part of what is lacking: prices change with what is gone. */
enum { ROUND_PART = 6 };

/* A use of a value by a RUN: 2 * number of the RUN, + 1 where it makes the value. */
typedef uint32_t use_t;

/* A copy that is not read between two RUNs and could be given up there. */
struct candidate {
    plb_value value;
    uint32_t from;
    double price;
};

struct squeezer {
    const struct plb_problem *problem;
    const struct plb__sizes *sizes;
    size_t room;
    uint32_t n;       /* RUNs */
    plb_task_id *run;
    size_t *level;    /* per RUN: bytes while it runs */
    uint32_t *over;   /* per RUN, and at the end: RUNs before it that find too little room */
    uint32_t *in_use; /* per value: its uses are use[in_use[v]] to use[in_use[v + 1] - 1] */
    use_t *use;
    uint32_t *stamp, round; /* per task: the last count of seconds that came by */
    uint16_t *given_up;     /* per value: times, so that no two take turns for ever */
    struct candidate *candidate;
    uint32_t n_candidates;
};

static const struct plb_task *task_of(const struct squeezer *s, uint32_t i)
{
    return plb_graph_task(s->problem->graph, s->run[i]);
}

/* ---- what a plan uses when ---- */

static void count_uses(struct squeezer *s, bool enter)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct plb_task *task = task_of(s, i);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            if (enter)
                s->use[s->in_use[task->in[j]]++] = 2 * i;
            else
                s->in_use[task->in[j] + 1]++;
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            if (enter)
                s->use[s->in_use[task->out[j]]++] = 2 * i + 1;
            else
                s->in_use[task->out[j] + 1]++;
    }
}

static enum plb_status list_uses(struct squeezer *s)
{
    uint32_t values = plb_graph_values(s->problem->graph);
    use_t *grown;

    memset(s->in_use, 0, ((size_t)values + 1) * sizeof *s->in_use);
    count_uses(s, false);
    for (plb_value v = 0; v < values; v++)
        s->in_use[v + 1] += s->in_use[v];
    grown = realloc(s->use, ((size_t)s->in_use[values] + 1) * sizeof *grown);
    if (!grown)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u uses of values", s->in_use[values]);
    s->use = grown;
    count_uses(s, true);
    memmove(s->in_use + 1, s->in_use, values * sizeof *s->in_use);
    s->in_use[0] = 0;
    return PLB_OK;
}

/* The first use of v by RUN i or a later one; in_use[v + 1] when there is none. */
static uint32_t next_use(const struct squeezer *s, plb_value v, uint32_t i)
{
    uint32_t low = s->in_use[v], high = s->in_use[v + 1];

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (s->use[middle] < 2 * i)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Is there a copy of v when RUN i begins that is read then or later? */
static bool is_there(const struct squeezer *s, plb_value v, uint32_t i)
{
    uint32_t next = next_use(s, v, i);

    return next > s->in_use[v] && next < s->in_use[v + 1] && !(s->use[next] & 1u);
}

/* ---- what it costs to do without ---- */

/* Seconds of the tasks that make v again before RUN i. */
static double again_seconds(struct squeezer *s, plb_value v, uint32_t i)
{
    plb_task_id id = plb_graph_value(s->problem->graph, v)->producer;
    const struct plb_task *task;
    double sum;

    if (id == PLB_NONE || is_there(s, v, i))
        return 0.0;
    task = plb_graph_task(s->problem->graph, id);
    if (task->phase != PLB_PHASE_FORWARD || task->op->once)
        return INFINITY;
    if (s->stamp[id] == s->round)
        return 0.0;
    s->stamp[id] = s->round;
    sum = s->problem->seconds[id];
    for (uint32_t j = 0; j < task->in_start[task->n_in] && sum < INFINITY; j++)
        sum += again_seconds(s, task->in[j], i);
    return sum;
}

/* Seconds for the copy of v that is idle between RUNs `from` and `to`. */
static double cost_of(struct squeezer *s, plb_value v, uint32_t to)
{
    plb_task_id id = plb_graph_value(s->problem->graph, v)->producer;
    const struct plb_task *task = plb_graph_task(s->problem->graph, id);
    double sum = s->problem->seconds[id];

    s->round++;
    s->stamp[id] = s->round;
    for (uint32_t j = 0; j < task->in_start[task->n_in] && sum < INFINITY; j++)
        sum += again_seconds(s, task->in[j], to);
    return sum;
}

static bool may_go(const struct squeezer *s, plb_value v)
{
    const struct plb_value_info *info = plb_graph_value(s->problem->graph, v);
    const struct plb_task *producer = plb_graph_task(s->problem->graph, info->producer);

    return producer && !producer->op->once && producer->phase == PLB_PHASE_FORWARD &&
           !info->output && !s->sizes->free[v];
}

/* What is there at RUN `at`, not used by it, but read later. */
static void find_candidates(struct squeezer *s, uint32_t at)
{
    s->n_candidates = 0;
    for (plb_value v = 0; v < plb_graph_values(s->problem->graph); v++) {
        uint32_t next, from, to;
        double seconds;

        if (!may_go(s, v) || !is_there(s, v, at))
            continue;
        next = next_use(s, v, at);
        to = s->use[next] / 2;
        from = s->use[next - 1] / 2;
        if (to == at)
            continue;
        seconds = cost_of(s, v, to);
        if (seconds < INFINITY)
            s->candidate[s->n_candidates++] = (struct candidate){
                v, from, seconds * (1.0 + 0.25 * s->given_up[v]) /
                             ((double)s->sizes->bytes[v] *
                              (double)(s->over[to] - s->over[from + 1] + 1))};
    }
}

static int compare(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;

    if (a->price < b->price || a->price > b->price)
        return a->price < b->price ? -1 : 1;
    return a->value < b->value ? -1 : a->value > b->value;
}

/* Leaves the cheapest candidates that free `bytes` together. */
static void choose(struct squeezer *s, size_t bytes)
{
    size_t freed = 0;
    uint32_t n = 0;

    qsort(s->candidate, s->n_candidates, sizeof *s->candidate, compare);
    for (; n < s->n_candidates && freed < bytes; n++) {
        freed += s->sizes->bytes[s->candidate[n].value];
        s->given_up[s->candidate[n].value]++;
    }
    s->n_candidates = n;
}

/* ---- the new plan ---- */

static int compare_from(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;

    return a->from < b->from ? -1 : a->from > b->from;
}

static enum plb_status write_runs(struct squeezer *s, plb_writer_t *writer)
{
    uint32_t next = 0;

    qsort(s->candidate, s->n_candidates, sizeof *s->candidate, compare_from);
    for (uint32_t i = 0; i < s->n; i++) {
        PLB_TRY(plb_writer_run(writer, s->run[i]));
        for (; next < s->n_candidates && s->candidate[next].from == i; next++)
            plb_writer_forget(writer, s->candidate[next].value);
    }
    return PLB_OK;
}

static enum plb_status rewrite(struct squeezer *s, struct plb_plan *plan)
{
    struct plb_plan smaller = {.n = 0};
    plb_writer_t *writer;
    enum plb_status status;

    PLB_TRY(plb_writer_create(s->problem->graph, &writer));
    status = write_runs(s, writer);
    if (status == PLB_OK)
        status = plb_writer_finish(writer, &smaller);
    plb_writer_destroy(writer);
    if (status != PLB_OK) {
        plb_plan_clear(&smaller);
        return status;
    }
    smaller.fingerprint = plan->fingerprint;
    plb_plan_clear(plan);
    *plan = smaller;
    return PLB_OK;
}

/* ---- rounds ---- */

/* Reads the plan; tells the RUN that holds the most bytes. */
static enum plb_status read_plan(struct squeezer *s, const struct plb_plan *plan,
                                 uint32_t *scratch, uint32_t *most_out)
{
    plb_task_id *run = realloc(s->run, ((size_t)plan->n + 1) * sizeof *run);
    size_t *level = realloc(s->level, ((size_t)plan->n + 1) * sizeof *level);
    uint32_t *over = realloc(s->over, ((size_t)plan->n + 1) * sizeof *over);

    s->run = run ? run : s->run;
    s->level = level ? level : s->level;
    s->over = over ? over : s->over;
    if (!run || !level || !over)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to squeeze %u instructions", plan->n);
    s->n = 0;
    for (uint32_t i = 0; i < plan->n; i++)
        if (plan->instruction[i].code == PLB_RUN)
            s->run[s->n++] = plan->instruction[i].subject;
    plb__levels_measure(s->problem->graph, s->sizes, s->run, s->n, scratch, s->level);
    s->over[0] = 0;
    *most_out = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        s->over[i + 1] = s->over[i] + (s->level[i] > s->room);
        if (s->level[i] > s->level[*most_out])
            *most_out = i;
    }
    return list_uses(s);
}

static enum plb_status squeeze(struct squeezer *s, uint32_t *scratch, struct plb_plan *plan)
{
    size_t least = SIZE_MAX;
    uint32_t most = 0;

    for (int round = 0, patience = PATIENCE; patience > 0 && round < ROUNDS_MOST;
         round++, patience--) {
        PLB_TRY(read_plan(s, plan, scratch, &most));
        if (s->n == 0 || s->level[most] <= s->room)
            return PLB_OK;
        if (s->level[most] < least) {
            least = s->level[most];
            patience = PATIENCE;
        }
        find_candidates(s, most);
        if (s->n_candidates == 0)
            break;
        choose(s, (s->level[most] - s->room) / ROUND_PART + 1);
        PLB_TRY(rewrite(s, plan));
    }
    return plb_fail(PLB_ERROR_MEMORY, "the plan cannot be squeezed into less than %zu bytes", least);
}

enum plb_status plb__squeeze(const struct plb_problem *problem, const struct plb__sizes *sizes,
                             size_t room, struct plb_plan *plan)
{
    size_t values = (size_t)plb_graph_values(problem->graph) + 2;
    size_t tasks = (size_t)plb_graph_tasks(problem->graph) + 1;
    struct squeezer s = {.problem = problem, .sizes = sizes, .room = room};
    uint32_t *scratch = malloc(values * sizeof *scratch);
    enum plb_status status;

    s.in_use = malloc(values * sizeof *s.in_use);
    s.stamp = calloc(tasks, sizeof *s.stamp);
    s.given_up = calloc(values, sizeof *s.given_up);
    s.candidate = malloc(values * sizeof *s.candidate);
    if (scratch && s.in_use && s.stamp && s.given_up && s.candidate)
        status = squeeze(&s, scratch, plan);
    else
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to squeeze a plan");
    free(scratch);
    free(s.run);
    free(s.level);
    free(s.over);
    free(s.in_use);
    free(s.use);
    free(s.stamp);
    free(s.given_up);
    free(s.candidate);
    return status;
}
