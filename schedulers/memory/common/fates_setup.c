/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The groups and segments of a step: see fates.h. What becomes of them stands in fates.c.
 */
#include "config.h"

#include "schedulers/memory/common/fates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is needed only while fates are set up. */
struct setup {
    struct plb__fates *fates;
    const plb_graph_t *graph;
    uint32_t *group_of_task; /* PLB_NONE for tasks that are not of the forward pass */
    uint32_t *run;           /* per group: which of the step's forward passes it belongs to */
};

/* ---- groups ---- */

static plb_task_id sources(const plb_graph_t *graph)
{
    plb_task_id most = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        plb_task_id source = plb_graph_task(graph, t)->source;

        if (source != PLB_NONE && source >= most)
            most = source + 1;
    }
    return most;
}

static void add_to_group(struct setup *s, uint32_t g, plb_task_id t)
{
    const struct plb_task *task = plb_graph_task(s->graph, t);
    struct plb__group *group = &s->fates->group[g];

    s->group_of_task[t] = g;
    group->seconds += s->fates->problem->seconds[t];
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
        size_t bytes = plb_type_bytes(&plb_graph_value(s->graph, task->out[j])->type);

        s->fates->group_of[task->out[j]] = g;
        group->bytes += bytes;
        group->largest = bytes > group->largest ? bytes : group->largest;
    }
}

/* One group per task of the whole graph; the additions of a tree are groups by themselves. What
 * comes from another place belongs to none: it cannot be made again. */
static enum plb_status find_groups(struct setup *s)
{
    struct plb__fates *fates = s->fates;
    plb_task_id n_sources = sources(s->graph);
    uint32_t *of_source = malloc(((size_t)n_sources + 1) * sizeof *of_source), run = 0;
    bool forward = false;

    if (!of_source)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to group %u tasks", n_sources);
    memset(of_source, 0xff, ((size_t)n_sources + 1) * sizeof *of_source);
    for (plb_task_id t = 0; t < plb_graph_tasks(s->graph); t++) {
        const struct plb_task *task = plb_graph_task(s->graph, t);
        uint32_t g = task->source == PLB_NONE ? PLB_NONE : of_source[task->source];

        s->group_of_task[t] = PLB_NONE;
        run += !forward && task->phase == PLB_PHASE_FORWARD;
        forward = task->phase == PLB_PHASE_FORWARD;
        if (!forward || task->op->once)
            continue;
        if (g == PLB_NONE) {
            g = fates->n_groups++;
            fates->group[g].first = t;
            s->run[g] = run;
            if (task->source != PLB_NONE)
                of_source[task->source] = g;
        }
        add_to_group(s, g, t);
    }
    free(of_source);
    return PLB_OK;
}

/* Who reads what: last uses in the forward pass, and what later phases read. */
static void find_readers(struct setup *s)
{
    struct plb__fates *fates = s->fates;

    for (plb_task_id t = 0; t < plb_graph_tasks(s->graph); t++) {
        const struct plb_task *task = plb_graph_task(s->graph, t);

        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            fates->last_forward[task->out[j]] = t;
        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            uint32_t g = fates->group_of[task->in[j]];

            if (task->phase == PLB_PHASE_FORWARD)
                fates->last_forward[task->in[j]] = t;
            else if (g != PLB_NONE)
                fates->group[g].saved = true;
        }
    }
}

static enum plb_status count_saved(struct setup *s)
{
    bool *counted = calloc((size_t)plb_graph_values(s->graph) + 1, sizeof *counted);

    if (!counted)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to count the bytes that are saved");
    for (plb_task_id t = 0; t < plb_graph_tasks(s->graph); t++) {
        const struct plb_task *task = plb_graph_task(s->graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            plb_value v = task->in[j];

            if (task->phase == PLB_PHASE_FORWARD || counted[v] || s->fates->group_of[v] == PLB_NONE)
                continue;
            counted[v] = true;
            s->fates->group[s->fates->group_of[v]].saved_bytes +=
                plb_type_bytes(&plb_graph_value(s->graph, v)->type);
        }
    }
    free(counted);
    return PLB_OK;
}

/* ---- segments ---- */

static void look_for_blocks(struct setup *s)
{
    for (uint32_t g = 0; g < s->fates->n_groups; g++)
        s->fates->has_blocks |= plb_graph_task(s->graph, s->fates->group[g].first)->block >= 0;
}

static void divide_by_blocks(struct setup *s)
{
    struct plb__fates *fates = s->fates;

    for (uint32_t g = 0; g < fates->n_groups; g++) {
        int block = plb_graph_task(s->graph, fates->group[g].first)->block;

        if (g == 0 || s->run[g] != s->run[g - 1] ||
            block != plb_graph_task(s->graph, fates->group[g - 1].first)->block)
            fates->n_segments++;
        fates->group[g].segment = fates->n_segments - 1;
    }
}

/* Groups `from` to `to` - 1, a forward pass, in about sqrt(n) stretches. */
static void divide_by_bytes(struct plb__fates *fates, uint32_t from, uint32_t to)
{
    double stretches = round(sqrt(to - from)), total = 1, before = 0;
    uint32_t current = 0;

    for (uint32_t g = from; g < to; g++)
        total += (double)fates->group[g].saved_bytes;
    fates->n_segments++;
    for (uint32_t g = from; g < to; g++) {
        uint32_t stretch = (uint32_t)(stretches * before / total);

        if (stretch != current)
            fates->n_segments++;
        current = stretch;
        fates->group[g].segment = fates->n_segments - 1;
        before += (double)fates->group[g].saved_bytes;
    }
}

static void divide(struct setup *s)
{
    struct plb__fates *fates = s->fates;

    look_for_blocks(s);
    if (fates->has_blocks) {
        divide_by_blocks(s);
        return;
    }
    for (uint32_t from = 0, to; from < fates->n_groups; from = to) {
        for (to = from; to < fates->n_groups && s->run[to] == s->run[from];)
            to++;
        divide_by_bytes(fates, from, to);
    }
}

static void find_closing(struct setup *s)
{
    for (uint32_t g = 0; g < s->fates->n_groups; g++)
        if (g + 1 == s->fates->n_groups || s->run[g + 1] != s->run[g])
            s->fates->closes[s->fates->group[g].segment] = true;
}

static uint32_t last_segment_read(const struct plb__fates *fates, const struct plb_task *task)
{
    uint32_t last = 0;

    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        uint32_t g = fates->group_of[task->in[j]];

        if (g != PLB_NONE && fates->group[g].segment > last)
            last = fates->group[g].segment;
    }
    return last;
}

/* The backward pass goes through the segments from last to first: a task belongs to the last one
 * that it or a task after it reads of, up to the next forward pass. */
static void place_tasks(struct setup *s)
{
    struct plb__fates *fates = s->fates;
    uint32_t segment = 0;

    for (plb_task_id t = plb_graph_tasks(s->graph); t-- > 0;) {
        if (s->group_of_task[t] != PLB_NONE) {
            fates->segment_of[t] = fates->group[s->group_of_task[t]].segment;
            segment = 0;
        } else {
            uint32_t read = last_segment_read(fates, plb_graph_task(s->graph, t));

            segment = read > segment ? read : segment;
            fates->segment_of[t] = segment;
        }
    }
}

/* ---- what groups read ---- */

static bool is_listed(const struct plb__fates *fates, uint32_t from, uint32_t to, uint32_t g)
{
    for (uint32_t e = from; e < to; e++)
        if (fates->source[e] == g)
            return true;
    return false;
}

static uint32_t list_sources(struct plb__fates *fates, const struct plb_task *task, uint32_t g,
                             uint32_t n)
{
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        uint32_t from = fates->group_of[task->in[j]];

        if (from != PLB_NONE && from != g && !is_listed(fates, fates->in_source[g], n, from))
            fates->source[n++] = from;
    }
    return n;
}

/* Tasks sorted by group: first[g] to first[g + 1] - 1 of `order`. */
static void sort_by_group(const struct setup *s, uint32_t *first, plb_task_id *order)
{
    uint32_t n = plb_graph_tasks(s->graph), groups = s->fates->n_groups;

    for (plb_task_id t = 0; t < n; t++)
        if (s->group_of_task[t] != PLB_NONE)
            first[s->group_of_task[t] + 1]++;
    for (uint32_t g = 0; g < groups; g++)
        first[g + 1] += first[g];
    for (plb_task_id t = 0; t < n; t++)
        if (s->group_of_task[t] != PLB_NONE)
            order[first[s->group_of_task[t]]++] = t;
    for (uint32_t g = groups; g > 0; g--)
        first[g] = first[g - 1];
    first[0] = 0;
}

static void find_crossing(struct plb__fates *fates)
{
    for (uint32_t g = 0; g < fates->n_groups; g++)
        fates->group[g].crosses = false;
    for (uint32_t g = 0; g < fates->n_groups; g++)
        for (uint32_t e = fates->in_source[g]; e < fates->in_source[g + 1]; e++)
            if (fates->group[fates->source[e]].segment != fates->group[g].segment)
                fates->group[fates->source[e]].crosses = true;
}

static enum plb_status find_sources(struct setup *s)
{
    struct plb__fates *fates = s->fates;
    uint32_t *first = calloc((size_t)fates->n_groups + 2, sizeof *first), n = 0;
    plb_task_id *order = malloc(((size_t)plb_graph_tasks(s->graph) + 1) * sizeof *order);

    if (!first || !order) {
        free(first);
        free(order);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to sort %u groups", fates->n_groups);
    }
    sort_by_group(s, first, order);
    for (uint32_t g = 0; g < fates->n_groups; g++) {
        fates->in_source[g] = n;
        for (uint32_t k = first[g]; k < first[g + 1]; k++)
            n = list_sources(fates, plb_graph_task(s->graph, order[k]), g, n);
    }
    fates->in_source[fates->n_groups] = n;
    find_crossing(fates);
    free(first);
    free(order);
    return PLB_OK;
}

void plb__fates_join(struct plb__fates *fates, const uint32_t *into)
{
    uint32_t last = fates->n_segments - 1;

    for (uint32_t g = 0; g < fates->n_groups; g++)
        fates->group[g].segment = into[fates->group[g].segment];
    for (plb_task_id t = 0; t < plb_graph_tasks(fates->problem->graph); t++)
        fates->segment_of[t] = into[fates->segment_of[t]];
    for (uint32_t s = 0; s <= last; s++) {
        bool closes = fates->closes[s];

        fates->closes[s] = false;
        fates->closes[into[s]] |= closes;
    }
    fates->n_segments = into[last] + 1;
    find_crossing(fates);
}

/* ---- a life ---- */

static size_t count_inputs(const plb_graph_t *graph)
{
    size_t n = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        n += task->in_start[task->n_in];
    }
    return n;
}

static enum plb_status set_up(struct setup *s)
{
    struct plb__fates *fates = s->fates;
    size_t tasks = (size_t)plb_graph_tasks(s->graph) + 1;
    size_t values = (size_t)plb_graph_values(s->graph) + 1;

    fates->group = calloc(tasks, sizeof *fates->group);
    fates->closes = calloc(tasks, sizeof *fates->closes);
    fates->group_of = malloc(values * sizeof *fates->group_of);
    fates->segment_of = calloc(tasks, sizeof *fates->segment_of);
    fates->last_forward = malloc(values * sizeof *fates->last_forward);
    fates->in_source = calloc(tasks + 1, sizeof *fates->in_source);
    fates->source = malloc((count_inputs(s->graph) + 1) * sizeof *fates->source);
    s->group_of_task = malloc(tasks * sizeof *s->group_of_task);
    s->run = calloc(tasks, sizeof *s->run);
    if (!fates->group || !fates->closes || !fates->group_of || !fates->segment_of ||
        !fates->last_forward || !fates->in_source || !fates->source || !s->group_of_task || !s->run)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to plan %zu tasks", tasks - 1);
    memset(fates->group_of, 0xff, values * sizeof *fates->group_of);
    memset(fates->last_forward, 0xff, values * sizeof *fates->last_forward);
    PLB_TRY(find_groups(s));
    find_readers(s);
    PLB_TRY(count_saved(s));
    for (uint32_t g = 0; g < fates->n_groups; g++)
        fates->group[g].fate = fates->group[g].saved ? PLB__KEEP : PLB__REMAKE;
    divide(s);
    find_closing(s);
    place_tasks(s);
    return find_sources(s);
}

enum plb_status plb__fates_create(const struct plb_problem *problem, struct plb__fates **fates_out)
{
    struct plb__fates *fates = calloc(1, sizeof *fates);
    struct setup s = {.fates = fates, .graph = problem->graph};
    enum plb_status status;

    if (!fates)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to plan a step");
    fates->problem = problem;
    status = set_up(&s);
    free(s.group_of_task);
    free(s.run);
    if (status == PLB_OK)
        *fates_out = fates;
    else
        plb__fates_destroy(fates);
    return status;
}

void plb__fates_destroy(struct plb__fates *fates)
{
    if (!fates)
        return;
    free(fates->group);
    free(fates->closes);
    free(fates->group_of);
    free(fates->segment_of);
    free(fates->last_forward);
    free(fates->in_source);
    free(fates->source);
    free(fates);
}
