/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See plan_film.h.
 */
#include "config.h"

#include "frontends/cli/plan_film.h"

#include <math.h>
#include <stdlib.h>

/* A copy begins or ends. */
struct event {
    double time, bytes; /* bytes: negative where it ends */
    enum film_kind kind;
};

/* Which RUNs have run before: one flag per instruction. */
static enum plb_status mark_again(const struct film *f, bool **again_out)
{
    const struct plb_plan *plan = &f->decision->plan;
    bool *again = calloc((size_t)plan->n + 1, sizeof *again);
    bool *ran = calloc((size_t)plb_graph_tasks(f->decision->problem.graph) + 1, sizeof *ran);

    if (!again || !ran) {
        free(again);
        free(ran);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw %u instructions", plan->n);
    }
    for (uint32_t i = 0; i < plan->n; i++) {
        if (plan->instruction[i].code != PLB_RUN)
            continue;
        again[i] = ran[plan->instruction[i].subject];
        ran[plan->instruction[i].subject] = true;
    }
    free(ran);
    *again_out = again;
    return PLB_OK;
}

static enum film_kind kind_of(const struct film *f, const struct plb_slot *slot, bool for_update,
                              const bool *again)
{
    enum plb_opcode code = f->decision->plan.instruction[slot->begin].code;

    if (slot->role == PLB_ROLE_GRADIENT)
        return for_update ? HELD : PASSING;
    if (slot->role != PLB_ROLE_ACTIVATION)
        return OTHER;
    if (code == PLB_FETCH)
        return FETCHED;
    return again[slot->begin] ? REMADE : KEPT;
}

/* When the last user of each slot ends, and whether an update reads it. */
static void find_ends(const struct film *f, double *end, bool *for_update)
{
    const struct cli_decision *d = f->decision;
    const struct plb_layout *layout = &d->layout;

    for (uint32_t i = 0; i < d->plan.n; i++) {
        const struct plb_instruction *in = &d->plan.instruction[i];
        bool update =
            in->code == PLB_RUN &&
            plb_graph_task(f->decision->problem.graph, in->subject)->phase == PLB_PHASE_UPDATE;

        for (uint32_t k = layout->in_operand[i]; k < layout->in_operand[i + 1]; k++) {
            uint32_t slot = layout->operand[k];

            end[slot] = fmax(end[slot], d->simulation.timeline[i].end);
            for_update[slot] |= update;
        }
    }
}

static int compare_offsets(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return (x > y) - (x < y);
}

/* Where gradients are held for the update from the first instruction on, in order; to be freed. */
static enum plb_status find_held(const struct film *f, const bool *for_update, size_t **offset_out,
                                 uint32_t *n_out)
{
    const struct plb_layout *layout = &f->decision->layout;
    size_t *offset = malloc(((size_t)layout->n_slots + 1) * sizeof *offset);
    uint32_t n = 0;

    if (!offset)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw %u slots", layout->n_slots);
    for (uint32_t k = 0; k < layout->n_slots; k++)
        if (f->decision->problem.limits.hold_gradients && for_update[k] &&
            layout->slot[k].role == PLB_ROLE_GRADIENT)
            offset[n++] = layout->slot[k].offset;
    qsort(offset, n, sizeof *offset, compare_offsets);
    *offset_out = offset;
    *n_out = n;
    return PLB_OK;
}

static int compare_events(const void *a, const void *b)
{
    const struct event *x = a, *y = b;

    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return (x->bytes > 0) - (y->bytes > 0); /* what ends makes room first */
}

/* Gradients that are held from the first instruction on are of the base; what lies where they do is
 * a part of them on its way there. */
static uint32_t list_events(struct film *f, const bool *again, const double *end,
                            const bool *for_update, const size_t *held, uint32_t n_held,
                            struct event *event)
{
    const struct cli_decision *d = f->decision;
    uint32_t n = 0;

    for (uint32_t k = 0; k < d->layout.n_slots; k++) {
        const struct plb_slot *slot = &d->layout.slot[k];
        double from, to, bytes = (double)slot->bytes;
        enum film_kind kind;

        if (slot->tier != PLB_DEVICE || slot->initial != PLB_NONE || slot->begin >= d->plan.n)
            continue;
        kind = kind_of(f, slot, for_update[k], again);
        from = d->simulation.timeline[slot->begin].start;
        to = slot->end >= d->plan.n ? f->span : end[k];
        if (n_held > 0 && bsearch(&slot->offset, held, n_held, sizeof *held, compare_offsets)) {
            f->held += kind == HELD ? bytes : 0.0;
            continue;
        }
        event[n++] = (struct event){from, bytes, kind};
        event[n++] = (struct event){to, -bytes, kind};
    }
    return n;
}

double film_total(const struct film_level *level)
{
    double sum = 0.0;

    for (int k = 0; k < KINDS; k++)
        sum += level->bytes[k];
    return sum;
}

/* From one event to the next the level is the same: each column keeps the highest of its own. */
static void fill_levels(struct film *f, const struct event *event, uint32_t n)
{
    struct film_level now = {{0}};

    for (uint32_t k = 0; k < n; k++) {
        double next = k + 1 < n ? event[k + 1].time : f->span;
        double first = f->columns * event[k].time / f->span, last = f->columns * next / f->span;

        now.bytes[event[k].kind] += event[k].bytes;
        if (next <= event[k].time)
            continue;
        for (int c = (int)first; c < f->columns && c <= (int)last; c++)
            if (film_total(&now) > film_total(&f->level[c]))
                f->level[c] = now;
    }
}

static enum plb_status find_levels(struct film *f, const bool *again)
{
    uint32_t slots = f->decision->layout.n_slots;
    double *end = calloc((size_t)slots + 1, sizeof *end);
    bool *for_update = calloc((size_t)slots + 1, sizeof *for_update);
    struct event *event = calloc(2 * (size_t)slots + 1, sizeof *event);
    enum plb_status status = PLB_OK;

    f->level = calloc((size_t)f->columns, sizeof *f->level);
    if (end && for_update && event && f->level) {
        size_t *held = NULL;
        uint32_t n = 0, n_held = 0;

        find_ends(f, end, for_update);
        status = find_held(f, for_update, &held, &n_held);
        if (status == PLB_OK)
            n = list_events(f, again, end, for_update, held, n_held, event);
        qsort(event, n, sizeof *event, compare_events);
        fill_levels(f, event, n);
        free(held);
    } else {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to draw %u slots", slots);
    }
    free(event);
    free(for_update);
    free(end);
    return status;
}

static enum film_work work_of(const struct film *f, uint32_t i, bool again)
{
    const struct plb_instruction *in = &f->decision->plan.instruction[i];

    if (in->code != PLB_RUN)
        return in->code == PLB_OFFLOAD ? OUT : IN;
    if (again)
        return AGAIN;
    switch (plb_graph_task(f->decision->problem.graph, in->subject)->phase) {
    case PLB_PHASE_UPDATE:
        return UPDATE;
    case PLB_PHASE_BACKWARD:
        return BACKWARD;
    default:
        return FORWARD;
    }
}

static int compare_bars(const void *a, const void *b)
{
    const struct film_bar *x = a, *y = b;

    if (x->lane != y->lane)
        return x->lane < y->lane ? -1 : 1;
    return (x->start > y->start) - (x->start < y->start);
}

/* Lanes are those that something happens in, as many as there is room for. */
static void find_lanes(struct film *f)
{
    int last = -1;

    for (uint32_t k = 0; k < f->n_bars; k++) {
        if (f->bar[k].lane != last) {
            last = f->bar[k].lane;
            if (f->n_lanes == FILM_LANES_MAX)
                f->lanes_hidden++;
            else
                f->lane[f->n_lanes++] = (struct film_lane){last, 0.0};
        }
        if (f->n_lanes > 0 && f->lane[f->n_lanes - 1].number == last)
            f->lane[f->n_lanes - 1].busy += f->bar[k].end - f->bar[k].start;
    }
}

static enum plb_status find_bars(struct film *f, const bool *again)
{
    const struct cli_decision *d = f->decision;

    f->bar = calloc((size_t)d->plan.n + 1, sizeof *f->bar);
    if (!f->bar)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw %u instructions", d->plan.n);
    for (uint32_t i = 0; i < d->plan.n; i++) {
        const struct plb_simulated *time = &d->simulation.timeline[i];

        if (d->plan.instruction[i].code != PLB_DROP)
            f->bar[f->n_bars++] =
                (struct film_bar){time->lane, time->start, time->end, work_of(f, i, again[i])};
    }
    qsort(f->bar, f->n_bars, sizeof *f->bar, compare_bars);
    find_lanes(f);
    return PLB_OK;
}

enum plb_status film_make(const struct cli_decision *decision, int columns, struct film *film_out)
{
    bool *again = NULL;
    enum plb_status status;

    *film_out = (struct film){
        .decision = decision, .columns = columns, .span = fmax(1e-9, decision->simulation.seconds)};
    PLB_TRY(mark_again(film_out, &again));
    status = find_levels(film_out, again);
    if (status == PLB_OK)
        status = find_bars(film_out, again);
    free(again);
    return status;
}

void film_clear(struct film *film)
{
    free(film->bar);
    free(film->level);
    *film = (struct film){0};
}
