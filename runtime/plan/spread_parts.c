/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes the graph and the plan of each place: its tasks in the order of their first run, and between
 * them, by their ranks, the receive tasks of what arrives and the send tasks of what leaves.
 */
#include "config.h"

#include "runtime/graph/cut.h"
#include "runtime/plan/spread_internal.h"
#include "runtime/plan/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TASK_NAME_BYTES 512

/* The place that is made. */
struct maker {
    struct plb__spreader *s;
    uint32_t place;
    struct plb_part *part;
    struct plb_plan draft;
    uint32_t n_tasks;
    const struct plb_task *latest; /* of the cut graph: the one that was listed last */
    /* Arrivals from place p, by their moments: leaving[in_from[p]] to leaving[in_from[p + 1] - 1]. */
    uint32_t *in_from, *leaving;
    uint32_t *moment;  /* per arrival: by rank, then by number: the same at both ends */
    plb_value *number; /* per value of the cut graph: in the part; PLB_NONE between places */
    plb_task_id *task; /* per task of the cut graph: in the part; PLB_NONE between places */
    plb_value *list;      /* room for the operands of any task */
};

static enum plb_status draft_run(struct maker *m, plb_task_id task)
{
    return plb_plan_append(&m->draft, (struct plb_instruction){PLB_RUN, task, 0, PLB_DEVICE});
}

/* ---- values ---- */

/* The caller reads an output at the lowest place that makes it, or holds it. */
static bool is_output_here(const struct maker *m, plb_value value,
                           const struct plb_value_info *info)
{
    const struct plb__spreader *s = m->s;

    if (!info->output)
        return false;
    return m->place ==
           (info->producer == PLB_NONE ? s->holder[value] : s->place[s->in_task[info->producer]]);
}

static enum plb_status add_values(struct maker *m)
{
    for (uint32_t k = 0; k < m->s->n_there[m->place]; k++) {
        plb_value value = m->part->value[k];
        struct plb_value_info info = *plb_graph_value(m->s->graph, value);

        info.output = is_output_here(m, value, &info);
        info.producer = PLB_NONE;
        m->number[value] = plb_graph_add_cell(m->part->graph, &info);
    }
    return plb_graph_status(m->part->graph);
}

static enum plb_status carry_values(struct maker *m)
{
    for (uint32_t k = 0; k < m->s->n_there[m->place]; k++) {
        plb_value next = plb_graph_value(m->s->graph, m->part->value[k])->next;

        if (next != PLB_NONE)
            plb_graph_carry(m->part->graph, k, m->number[next]);
    }
    return plb_graph_status(m->part->graph);
}

/* ---- tasks ---- */

static enum plb_status push_task(struct maker *m, const struct plb_task_cells *cells,
                                 plb_task_id whole, uint32_t transfer)
{
    PLB_TRY(plb_graph_add_task_cells(m->part->graph, cells));
    m->part->task[m->n_tasks] = whole;
    m->part->transfer[m->n_tasks] = transfer;
    return draft_run(m, m->n_tasks++);
}

static enum plb_status add_task(struct maker *m, plb_task_id id)
{
    const struct plb_task *task = plb_graph_task(m->s->graph, id);
    uint32_t n_in = task->in_start[task->n_in], n_out = task->out_start[task->n_out];
    struct plb_task_cells cells = {.op = task->op,
                                   .name = task->name,
                                   .attributes = &task->attributes,
                                   .phase = task->phase,
                                   .block = task->block,
                                   .micro_batch = task->micro_batch,
                                   .shard = task->shard,
                                   .source = task->source,
                                   .forward = task->forward,
                                   .n_in = task->n_in,
                                   .n_out = task->n_out,
                                   .in_start = task->in_start,
                                   .out_start = task->out_start,
                                   .in = m->list,
                                   .out = m->list + n_in};

    memcpy(cells.low, task->low, sizeof cells.low);
    memcpy(cells.high, task->high, sizeof cells.high);
    for (uint32_t j = 0; j < n_in; j++)
        m->list[j] = m->number[task->in[j]];
    for (uint32_t j = 0; j < n_out; j++)
        m->list[n_in + j] = m->number[task->out[j]];
    m->task[id] = m->n_tasks;
    return push_task(m, &cells, id, PLB_NONE);
}

/* The range of one cell. Columns are dimension 1, where there is one. */
static void set_range(const struct plb_value_info *info, struct plb_task_cells *cells)
{
    cells->low[0] = info->row0;
    cells->high[0] = info->row0 + info->type.shape.dim[0];
    cells->low[1] = info->col0;
    cells->high[1] = info->col0 + info->type.shape.dim[1];
}

/* A send or a receive works on what the task works on that makes the value. Phase and block are those
 * of what this place does meanwhile, so that its passes through the model are not torn. */
static enum plb_status add_transfer(struct maker *m, const struct plb_operator *op,
                                    uint32_t transfer)
{
    const struct plb__arrival *arrival = &m->s->arrival[transfer];
    const struct plb_value_info *info = plb_graph_value(m->s->graph, arrival->value);
    const struct plb_task *made = plb_graph_task(m->s->graph, info->producer);
    bool sends = op == &plb__send;
    uint32_t peer = sends ? arrival->to : arrival->from;
    plb_value in = sends ? arrival->value : arrival->replaces;
    const uint32_t none[] = {0, 0}, one[] = {0, 1};
    plb_value read = in == PLB_NONE ? PLB_NONE : m->number[in];
    plb_value received = m->number[arrival->value];
    struct plb_attributes attributes = {.i = {peer}};
    char name[TASK_NAME_BYTES];
    struct plb_task_cells cells = {.op = op,
                                   .name = name,
                                   .attributes = &attributes,
                                   .phase = m->latest->phase,
                                   .block = m->latest->block,
                                   .micro_batch = made->micro_batch,
                                   .shard = made->shard,
                                   .source = PLB_NONE,
                                   .forward = made->forward,
                                   .n_in = 1,
                                   .n_out = op->n_out,
                                   .in_start = in == PLB_NONE ? none : one,
                                   .out_start = sends ? none : one,
                                   .in = &read,
                                   .out = &received};

    set_range(info, &cells);
    snprintf(name, sizeof name, "%s %s %s %s", op->name, info->name, sends ? "to" : "from",
             plb__place_name(m->s, peer));
    if (sends)
        m->s->spread->transfer[transfer].send = m->n_tasks;
    else
        m->s->spread->transfer[transfer].receive = m->n_tasks;
    return push_task(m, &cells, PLB_NONE, transfer);
}

/* ---- the list ---- */

static enum plb_status add_run(struct maker *m, plb_task_id id)
{
    m->latest = plb_graph_task(m->s->graph, id);
    return m->task[id] != PLB_NONE ? draft_run(m, m->task[id]) : add_task(m, id);
}

/* What arrives and what leaves before the entry of this rank, in the order of their moments. */
static enum plb_status add_transfers(struct maker *m, uint32_t rank, uint32_t *to, uint32_t *from)
{
    const struct plb__spreader *s = m->s;
    uint32_t to_end = s->in_to[m->place + 1], from_end = m->in_from[m->place + 1];

    for (;;) {
        bool arrives = *to < to_end && s->arrival[*to].rank < rank;
        bool leaves = *from < from_end && s->arrival[m->leaving[*from]].rank < rank;

        if (!arrives && !leaves)
            return PLB_OK;
        if (arrives && (!leaves || m->moment[*to] < m->moment[m->leaving[*from]]))
            PLB_TRY(add_transfer(m, &plb__receive, (*to)++));
        else
            PLB_TRY(add_transfer(m, &plb__send, m->leaving[(*from)++]));
    }
}

static enum plb_status add_list(struct maker *m)
{
    const struct plb__spreader *s = m->s;
    uint32_t to = s->in_to[m->place], from = m->in_from[m->place];

    m->latest = plb_graph_task(s->graph, s->hybrid->run[s->hybrid->in_place[m->place]]);
    for (uint32_t i = s->hybrid->in_place[m->place]; i < s->hybrid->in_place[m->place + 1]; i++) {
        PLB_TRY(add_transfers(m, s->rank[i], &to, &from));
        PLB_TRY(add_run(m, s->hybrid->run[i]));
    }
    return add_transfers(m, PLB_NONE, &to, &from);
}

/* ---- one place ---- */

/* Entries of the tables that all places use become empty again. */
static void forget_place(struct maker *m)
{
    const struct plb_hybrid *h = m->s->hybrid;

    for (uint32_t k = 0; k < m->s->n_there[m->place]; k++)
        m->number[m->part->value[k]] = PLB_NONE;
    for (uint32_t i = h->in_place[m->place]; i < h->in_place[m->place + 1]; i++)
        m->task[h->run[i]] = PLB_NONE;
    m->n_tasks = 0;
}

static enum plb_status finish_plan(struct maker *m)
{
    struct plb_part *part = m->part;
    enum plb_status status;

    PLB_TRY(plb_plan_finish(part->graph, &m->draft, &part->plan));
    memcpy(part->plan.policy, m->s->hybrid->policy, sizeof part->plan.policy);
    part->plan.fingerprint = plb_graph_fingerprint(part->graph);
    status = plb_plan_check(&part->plan, part->graph, NULL);
    if (status != PLB_OK)
        plb_fail_within(status, "%s", plb__place_name(m->s, m->place));
    return status;
}

static enum plb_status make_part(struct maker *m)
{
    struct plb__spreader *s = m->s;
    size_t tasks = (size_t)s->hybrid->in_place[m->place + 1] - s->hybrid->in_place[m->place] +
                   s->in_to[m->place + 1] - s->in_to[m->place] + m->in_from[m->place + 1] -
                   m->in_from[m->place];

    m->part = &s->spread->part[m->place];
    if (tasks == 0)
        return PLB_OK;
    m->part->graph = plb_graph_create();
    m->part->task = malloc(tasks * sizeof *m->part->task);
    m->part->transfer = malloc(tasks * sizeof *m->part->transfer);
    if (!m->part->graph || !m->part->task || !m->part->transfer)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a part of %zu tasks", tasks);
    PLB_TRY(add_values(m));
    PLB_TRY(add_list(m));
    PLB_TRY(carry_values(m));
    PLB_TRY(plb_graph_take_cells(m->part->graph, s->graph, m->part->value,
                                 s->n_there[m->place]));
    PLB_TRY(finish_plan(m));
    plb_plan_clear(&m->draft);
    forget_place(m);
    return PLB_OK;
}

/* ---- all places ---- */

static enum plb_status make_transfers(struct maker *m)
{
    struct plb__spreader *s = m->s;

    s->spread->transfer = calloc((size_t)s->n_arrivals + 1, sizeof *s->spread->transfer);
    if (!s->spread->transfer)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u transfers", s->n_arrivals);
    s->spread->n_transfers = s->n_arrivals;
    for (uint32_t k = 0; k < s->n_arrivals; k++) {
        const struct plb__arrival *arrival = &s->arrival[k];

        s->spread->transfer[k] = (struct plb_transfer){
            .value = arrival->value,
            .bytes = plb_type_bytes(&plb_graph_value(s->graph, arrival->value)->type),
            .from = arrival->from,
            .to = arrival->to};
        m->in_from[arrival->from + 1]++;
    }
    return PLB_OK;
}

struct moment {
    uint32_t rank, arrival;
};

static int compare_moments(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return (x->arrival > y->arrival) - (x->arrival < y->arrival);
}

/* Arrivals by their moments, and so by the place from which they come. */
static enum plb_status sort_leaving(struct maker *m)
{
    const struct plb__spreader *s = m->s;
    struct moment *moment = malloc(((size_t)s->n_arrivals + 1) * sizeof *moment);
    uint32_t n = s->hybrid->n_places;

    if (!moment)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u transfers", s->n_arrivals);
    for (uint32_t k = 0; k < s->n_arrivals; k++)
        moment[k] = (struct moment){s->arrival[k].rank, k};
    qsort(moment, s->n_arrivals, sizeof *moment, compare_moments);
    for (uint32_t p = 0; p < n; p++)
        m->in_from[p + 1] += m->in_from[p];
    for (uint32_t k = s->n_arrivals; k-- > 0;) {
        uint32_t arrival = moment[k].arrival;

        m->moment[arrival] = k;
        m->leaving[--m->in_from[s->arrival[arrival].from + 1]] = arrival;
    }
    /* Each entry has moved to where the one before it ends. */
    memmove(&m->in_from[0], &m->in_from[1], n * sizeof *m->in_from);
    m->in_from[n] = s->n_arrivals;
    free(moment);
    return PLB_OK;
}

static enum plb_status prepare(struct maker *m)
{
    const struct plb__spreader *s = m->s;
    size_t values = (size_t)s->n_values + 1, tasks = (size_t)s->n_tasks + 1, most = 1;

    for (plb_task_id t = 0; t < s->n_tasks; t++) {
        const struct plb_task *task = plb_graph_task(s->graph, t);
        size_t n = (size_t)task->in_start[task->n_in] + task->out_start[task->n_out];

        most = n > most ? n : most;
    }
    m->in_from = calloc((size_t)s->hybrid->n_places + 1, sizeof *m->in_from);
    m->leaving = malloc(((size_t)s->n_arrivals + 1) * sizeof *m->leaving);
    m->moment = malloc(((size_t)s->n_arrivals + 1) * sizeof *m->moment);
    m->number = malloc(values * sizeof *m->number);
    m->task = malloc(tasks * sizeof *m->task);
    m->list = malloc(most * sizeof *m->list);
    if (!m->in_from || !m->leaving || !m->moment || !m->number || !m->task ||
        !m->list)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to make the parts of %u places",
                        s->hybrid->n_places);
    memset(m->number, 0xff, values * sizeof *m->number);
    memset(m->task, 0xff, tasks * sizeof *m->task);
    return PLB_OK;
}

enum plb_status plb__spread_parts(struct plb__spreader *s)
{
    struct maker m = {.s = s};
    enum plb_status status = prepare(&m);

    if (status == PLB_OK)
        status = make_transfers(&m);
    if (status == PLB_OK)
        status = sort_leaving(&m);
    for (; status == PLB_OK && m.place < s->hybrid->n_places; m.place++)
        status = make_part(&m);
    plb_plan_clear(&m.draft);
    free(m.in_from);
    free(m.leaving);
    free(m.moment);
    free(m.number);
    free(m.task);
    free(m.list);
    return status;
}
