/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the timeline of a place to bars and levels.
 */
#include "config.h"

#include "frontends/cli/simulate_film.h"

#include "schedulers/parallel/common/jobs.h"

#include <math.h>
#include <stdlib.h>

/* Gaps below this part of a column are not seen. */
#define UNSEEN 0.25

/* ---- what tasks are ---- */

static enum job_work work_of(const struct plb_task *task, uint8_t kind)
{
    if (task->phase == PLB_PHASE_UPDATE)
        return JOB_UPDATE;
    switch (kind) {
    case PLB__JOB_F:
        return JOB_FORWARD;
    case PLB__JOB_B:
        return JOB_INPUTS;
    case PLB__JOB_W:
        return JOB_WEIGHTS;
    default:
        return JOB_REST;
    }
}

enum plb_status job_kinds_find(const plb_graph_t *graph, struct job_kinds *kinds_out)
{
    uint32_t n = plb_graph_tasks(graph);
    struct plb__jobs jobs;

    PLB_TRY(plb__jobs_find(graph, &jobs));
    kinds_out->work = malloc(((size_t)n + 1) * sizeof *kinds_out->work);
    for (plb_task_id t = 0; kinds_out->work && t < n; t++)
        kinds_out->work[t] = work_of(plb_graph_task(graph, t), jobs.task[t].kind);
    plb__jobs_clear(&jobs);
    return kinds_out->work ? PLB_OK : plb_fail(PLB_ERROR_MEMORY, "no memory to draw %u tasks", n);
}

void job_kinds_clear(struct job_kinds *kinds)
{
    free(kinds->work);
    *kinds = (struct job_kinds){0};
}

/* ---- bars ---- */

static int compare_bars(const void *a, const void *b)
{
    const struct job_bar *x = a, *y = b;

    if (x->lane != y->lane)
        return x->lane < y->lane ? -1 : 1;
    return (x->start > y->start) - (x->start < y->start);
}

/* One bar per task, in order of time. */
static enum plb_status list_tasks(const struct cli_trial *t, const struct job_kinds *kinds,
                                  const plb_graph_t *graph, uint32_t place, struct job_film *film)
{
    const struct plb_place_use *use = &t->simulation.place[place];
    const struct plb_part *part = &t->spread.part[place];
    const struct plb_plan *plan = cli_trial_plan(t, place);
    bool *seen = calloc((size_t)plb_graph_tasks(part->graph) + 1, sizeof *seen);

    film->bar = calloc((size_t)plan->n + 1, sizeof *film->bar);
    if (!seen || !film->bar) {
        free(seen);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw %u instructions", plan->n);
    }
    for (uint32_t i = 0; i < plan->n; i++) {
        const struct plb_instruction *in = &plan->instruction[i];
        plb_task_id task = in->code == PLB_RUN ? part->task[in->subject] : PLB_NONE;

        if (task == PLB_NONE)
            continue;
        film->bar[film->n_bars++] =
            (struct job_bar){.start = use->timeline[i].start,
                             .end = use->timeline[i].end,
                             .work = seen[in->subject] ? JOB_AGAIN : kinds->work[task],
                             .lane = use->timeline[i].lane,
                             .micro_batch = plb_graph_task(graph, task)->micro_batch};
        seen[in->subject] = true;
    }
    free(seen);
    qsort(film->bar, film->n_bars, sizeof *film->bar, compare_bars);
    return PLB_OK;
}

static bool is_backward(const struct job_bar *bar)
{
    return bar->work == JOB_INPUTS || bar->work == JOB_WEIGHTS;
}

static bool same_job(const struct job_bar *a, const struct job_bar *b)
{
    return a->lane == b->lane && a->micro_batch == b->micro_batch &&
           (a->work == b->work || (is_backward(a) && is_backward(b)));
}

/* Gradients of inputs and of weights that take turns are one job of a schedule that does not part
 * them, and count as the former; from the last turn on, if that is long, W is its own. */
static void fuse(struct job_bar *bar, uint32_t from, uint32_t to)
{
    uint32_t turns = 0;

    for (uint32_t k = from + 1; k < to; k++)
        turns += bar[k].work != bar[k - 1].work;
    for (uint32_t k = from; k < to && turns > 1; k++)
        bar[k].work = JOB_INPUTS;
}

/* Joins the tasks of each job where no gap is seen. */
static void join_tasks(struct job_film *film, double unseen)
{
    uint32_t n = 0;

    for (uint32_t from = 0, to; from < film->n_bars; from = to) {
        for (to = from + 1; to < film->n_bars && same_job(&film->bar[from], &film->bar[to]); to++)
            ;
        fuse(film->bar, from, to);
        for (uint32_t k = from; k < to; k++) {
            struct job_bar *last = n > 0 ? &film->bar[n - 1] : NULL;
            bool first = k == from || film->bar[k].work != film->bar[k - 1].work;

            if (!first && last && film->bar[k].start - last->end < unseen) {
                last->end = film->bar[k].end;
                continue;
            }
            film->bar[n] = film->bar[k];
            film->bar[n++].first = first;
        }
    }
    film->n_bars = n;
}

/* ---- memory ---- */

struct event {
    double time, bytes;
};

static int compare_events(const void *a, const void *b)
{
    const struct event *x = a, *y = b;

    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return (x->bytes > 0) - (y->bytes > 0); /* what ends makes room first */
}

/* From the start of the instruction that makes a slot to the end of the last one that uses it. */
static uint32_t list_events(const struct plb_layout *layout, const struct plb_place_use *use,
                            double span, double *end, struct event *event)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < use->n; i++)
        for (uint32_t k = layout->in_operand[i]; k < layout->in_operand[i + 1]; k++)
            end[layout->operand[k]] = fmax(end[layout->operand[k]], use->timeline[i].end);
    for (uint32_t k = 0; k < layout->n_slots; k++) {
        const struct plb_slot *slot = &layout->slot[k];

        if (slot->tier != PLB_DEVICE || slot->initial != PLB_NONE || slot->begin >= use->n)
            continue;
        event[n++] = (struct event){use->timeline[slot->begin].start, (double)slot->bytes};
        event[n++] = (struct event){slot->end >= use->n ? span : end[k], -(double)slot->bytes};
    }
    qsort(event, n, sizeof *event, compare_events);
    return n;
}

static void fill_levels(double base, const struct event *event, uint32_t n, double span,
                        int columns, double *level)
{
    double now = base;

    for (int c = 0; c < columns; c++)
        level[c] = base;
    for (uint32_t k = 0; k < n; k++) {
        double next = k + 1 < n ? event[k + 1].time : span;
        int last = (int)fmin(columns * next / span, columns - 1);

        now += event[k].bytes;
        if (next <= event[k].time)
            continue;
        for (int c = (int)(columns * event[k].time / span); c <= last; c++)
            level[c] = fmax(level[c], now);
    }
}

static enum plb_status find_levels(const struct plb_layout *layout, const struct plb_place_use *use,
                                   double span, int columns, struct job_film *film)
{
    double *end = calloc((size_t)layout->n_slots + 1, sizeof *end);
    struct event *event = calloc(2 * (size_t)layout->n_slots + 1, sizeof *event);
    bool there = end && event;

    film->level = calloc((size_t)columns, sizeof *film->level);
    if (there && film->level) {
        uint32_t n = list_events(layout, use, span, end, event);

        film->base = (double)layout->initial_bytes;
        fill_levels(film->base, event, n, span, columns, film->level);
    }
    free(end);
    free(event);
    if (!there || !film->level)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw %u slots", layout->n_slots);
    return PLB_OK;
}

/* ---- both ---- */

enum plb_status job_film_make(const struct cli_simulation *simulation,
                              const struct cli_trial *trial, const struct job_kinds *kinds,
                              uint32_t place, double span, int columns, struct job_film *film_out)
{
    const struct plb_part *part = &trial->spread.part[place];
    struct plb_layout own = {0};
    enum plb_status status;

    *film_out = (struct job_film){0};
    PLB_TRY(list_tasks(trial, kinds, cli_trial_machine(simulation, trial)->graph, place,
                       film_out));
    join_tasks(film_out, UNSEEN * span / columns);
    if (!trial->layout)
        PLB_TRY(plb_layout_assign(&part->plan, part->graph, NULL, &own));
    status = find_levels(trial->layout ? &trial->layout[place] : &own,
                         &trial->simulation.place[place], span, columns, film_out);
    plb_layout_clear(&own);
    return status;
}

void job_film_clear(struct job_film *film)
{
    free(film->bar);
    free(film->level);
    *film = (struct job_film){0};
}
