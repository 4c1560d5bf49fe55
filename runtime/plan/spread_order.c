/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An order of all tasks of all places, and the moments of transfers in it.
 *
 * Each place goes through its list, one task at a time, in the time that the costs of its kind tell;
 * a task waits for what comes from other places. By the times at which tasks begin they are ranked.
 * A value goes over as soon as it is made, or, if it replaces one, when that has been read. Where
 * tasks never begin, places wait for each other.
 */
#include "config.h"

#include "runtime/plan/spread_internal.h"

#include <stdlib.h>
#include <string.h>

struct ordering {
    struct plb__spreader *s;
    uint32_t n;
    double **seconds;      /* per kind: per task */
    uint32_t *place;       /* per entry */
    uint32_t *missing;     /* per entry: arrivals that it reads first, and the entry before it */
    double *begin;         /* per entry */
    uint32_t *first_leave; /* per entry: 1 + the first arrival that it makes; 0: none */
    uint32_t *next_leave;  /* per arrival: 1 + the next one of its maker */
    uint32_t *queue;       /* entries that can begin, in the order in which that was found */
    uint32_t n_queue;
};

/* ---- going through the lists ---- */

static double end_of(const struct ordering *o, uint32_t i)
{
    uint32_t kind = plb_places_at(o->s->places, o->place[i])->kind;

    return o->begin[i] + o->seconds[kind][o->s->hybrid->run[i]];
}

static void come_after(struct ordering *o, uint32_t i, double end)
{
    if (end > o->begin[i])
        o->begin[i] = end;
    if (--o->missing[i] == 0)
        o->queue[o->n_queue++] = i;
}

static void go_through(struct ordering *o)
{
    for (uint32_t at = 0; at < o->n_queue; at++) {
        uint32_t i = o->queue[at];
        double end = end_of(o, i);

        if (i + 1 < o->n && o->place[i + 1] == o->place[i])
            come_after(o, i + 1, end);
        for (uint32_t k = o->first_leave[i]; k; k = o->next_leave[k - 1])
            if (o->s->arrival[k - 1].reader != PLB_NONE)
                come_after(o, o->s->arrival[k - 1].reader, end);
    }
}

static void count_missing(struct ordering *o)
{
    const struct plb_hybrid *h = o->s->hybrid;

    for (uint32_t p = 0; p < h->n_places; p++)
        for (uint32_t i = h->in_place[p]; i < h->in_place[p + 1]; i++) {
            o->place[i] = p;
            o->missing[i] = i > h->in_place[p];
        }
    for (uint32_t k = o->s->n_arrivals; k-- > 0;) {
        const struct plb__arrival *arrival = &o->s->arrival[k];

        o->next_leave[k] = o->first_leave[arrival->maker];
        o->first_leave[arrival->maker] = k + 1;
        if (arrival->reader != PLB_NONE)
            o->missing[arrival->reader]++;
    }
    for (uint32_t i = 0; i < o->n; i++)
        if (o->missing[i] == 0)
            o->queue[o->n_queue++] = i;
}

/* ---- places that wait for each other ---- */

/* The arrival that the place waits for; it has not come to the end of its list. */
static const struct plb__arrival *waits_for(const struct ordering *o, uint32_t place)
{
    const struct plb__spreader *s = o->s;
    uint32_t i = s->hybrid->in_place[place];

    while (o->missing[i] == 0)
        i++;
    for (uint32_t k = s->in_to[place]; k < s->in_to[place + 1]; k++)
        if (s->arrival[k].reader == i && o->missing[s->arrival[k].maker] > 0)
            return &s->arrival[k];
    return NULL;
}

static enum plb_status tell_circle(const struct ordering *o)
{
    const struct plb__spreader *s = o->s;
    const struct plb__arrival *a, *b;
    uint32_t i = 0, place;

    while (o->missing[i] == 0)
        i++;
    place = o->place[i];
    for (uint32_t steps = 0; steps < s->hybrid->n_places && (a = waits_for(o, place)); steps++)
        place = a->from;
    a = waits_for(o, place);
    b = a ? waits_for(o, a->from) : NULL;
    if (!b)
        return plb_fail(PLB_ERROR_INTERNAL, "%s waits for nothing", plb__place_name(s, place));
    return plb_fail(PLB_ERROR_INVALID,
                    "places wait for each other for ever: %s runs %s, for which it needs '%s', "
                    "before it goes on; %s would make that after %s, for which it needs '%s'",
                    plb__place_name(s, place),
                    plb_graph_task(s->graph, s->hybrid->run[a->reader])->name,
                    plb_graph_value(s->graph, a->value)->name, plb__place_name(s, a->from),
                    plb_graph_task(s->graph, s->hybrid->run[b->reader])->name,
                    plb_graph_value(s->graph, b->value)->name);
}

/* ---- ranks ---- */

struct ranked {
    double begin;
    uint32_t found, entry; /* `found`: place in the queue, where none stands before what it needs */
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->begin < y->begin || x->begin > y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->found > y->found) - (x->found < y->found);
}

static enum plb_status rank_entries(struct ordering *o)
{
    struct ranked *ranked = malloc(((size_t)o->n + 1) * sizeof *ranked);

    if (!ranked)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to rank %u tasks", o->n);
    for (uint32_t k = 0; k < o->n; k++)
        ranked[k] = (struct ranked){o->begin[o->queue[k]], k, o->queue[k]};
    qsort(ranked, o->n, sizeof *ranked, compare_ranked);
    for (uint32_t k = 0; k < o->n; k++)
        o->s->rank[ranked[k].entry] = k;
    free(ranked);
    return PLB_OK;
}

static int compare_arrivals(const void *a, const void *b)
{
    const struct plb__arrival *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return (x->value > y->value) - (x->value < y->value);
}

static void rank_arrivals(struct plb__spreader *s)
{
    for (uint32_t k = 0; k < s->n_arrivals; k++) {
        struct plb__arrival *arrival = &s->arrival[k];

        arrival->rank = s->rank[arrival->maker];
        if (arrival->after != PLB_NONE && s->rank[arrival->after] > arrival->rank)
            arrival->rank = s->rank[arrival->after];
    }
    for (uint32_t p = 0; s->n_arrivals > 0 && p < s->hybrid->n_places; p++)
        qsort(&s->arrival[s->in_to[p]], s->in_to[p + 1] - s->in_to[p], sizeof *s->arrival,
              compare_arrivals);
}

/* ---- all of it ---- */

static enum plb_status find_seconds(struct ordering *o)
{
    uint32_t kinds = plb_places_kinds(o->s->places);

    o->seconds = calloc((size_t)kinds + 1, sizeof *o->seconds);
    for (uint32_t k = 0; o->seconds && k < kinds; k++) {
        o->seconds[k] = malloc(((size_t)o->s->n_tasks + 1) * sizeof *o->seconds[k]);
        if (!o->seconds[k])
            return plb_fail(PLB_ERROR_MEMORY, "no memory to order %u tasks", o->s->n_tasks);
        PLB_TRY(plb_costs_of_graph(plb_places_costs(o->s->places, k), o->s->graph, o->seconds[k],
                                   NULL));
    }
    return o->seconds ? PLB_OK : plb_fail(PLB_ERROR_MEMORY, "no memory to order tasks");
}

static enum plb_status prepare(struct ordering *o)
{
    size_t n = (size_t)o->n + 1;

    o->s->rank = malloc(n * sizeof *o->s->rank);
    o->place = malloc(n * sizeof *o->place);
    o->missing = calloc(n, sizeof *o->missing);
    o->begin = calloc(n, sizeof *o->begin);
    o->first_leave = calloc(n, sizeof *o->first_leave);
    o->next_leave = calloc((size_t)o->s->n_arrivals + 1, sizeof *o->next_leave);
    o->queue = malloc(n * sizeof *o->queue);
    if (!o->s->rank || !o->place || !o->missing || !o->begin || !o->first_leave ||
        !o->next_leave || !o->queue)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to order %u tasks", o->n);
    return find_seconds(o);
}

static void clear(struct ordering *o)
{
    for (uint32_t k = 0; o->seconds && k < plb_places_kinds(o->s->places); k++)
        free(o->seconds[k]);
    free(o->seconds);
    free(o->place);
    free(o->missing);
    free(o->begin);
    free(o->first_leave);
    free(o->next_leave);
    free(o->queue);
}

enum plb_status plb__spread_order(struct plb__spreader *s)
{
    struct ordering o = {.s = s, .n = s->hybrid->in_place[s->hybrid->n_places]};
    enum plb_status status = prepare(&o);

    if (status == PLB_OK) {
        count_missing(&o);
        go_through(&o);
        status = o.n_queue < o.n ? tell_circle(&o) : rank_entries(&o);
    }
    if (status == PLB_OK)
        rank_arrivals(s);
    clear(&o);
    return status;
}
