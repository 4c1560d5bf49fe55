/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In which rows places are tried.
 *
 * Places that are the same to all others (kind, capacity, ways) are of one *sort*, and rows that
 * differ only within sorts are one. Where the rows that differ are few, all are tried. Else places
 * stand by node, nodes that are close next to each other; kinds that differ are also tried from the
 * fastest to the slowest and back, for an early stage holds more micro-batches and a slow one is
 * better left out at an end.
 */
#include "config.h"

#include "schedulers/parallel/auto/fleet.h"

#include <stdlib.h>
#include <string.h>

#define SORTED_MAX 8u /* places among which sorts are told apart */

struct orders {
    const struct plb_auto_problem *problem;
    uint32_t n, count;
    uint32_t *place; /* those that are there, by node */
    uint32_t *order; /* PLB__ORDERS rows */
    uint32_t sort[SORTED_MAX], left[SORTED_MAX];
};

static double rate(const struct orders *o, uint32_t a, uint32_t b)
{
    return plb_places_way(o->problem->places, a, b).bytes_per_second;
}

static bool way_same(const struct orders *o, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    struct plb_way x = plb_places_way(o->problem->places, a, b);
    struct plb_way y = plb_places_way(o->problem->places, c, d);

    return x.bytes_per_second == y.bytes_per_second && x.latency_seconds == y.latency_seconds;
}

static bool same_sort(const struct orders *o, uint32_t a, uint32_t b)
{
    const size_t *budget = o->problem->budget;

    if (plb_places_at(o->problem->places, a)->kind != plb_places_at(o->problem->places, b)->kind ||
        (budget && budget[a] != budget[b]))
        return false;
    for (uint32_t i = 0; i < o->n; i++) {
        uint32_t c = o->place[i];

        if (c != a && c != b && (!way_same(o, a, c, b, c) || !way_same(o, c, a, c, b)))
            return false;
    }
    return true;
}

/* ---- by node ---- */

static uint32_t node_of(const struct orders *o, uint32_t place)
{
    return plb_places_at(o->problem->places, place)->node;
}

/* The places of a node stand together; after a node comes, of those left, the one with the fastest
 * way from it (the first of several). */
static void place_by_node(struct orders *o)
{
    for (uint32_t done = 0; done < o->n;) {
        uint32_t best = done, node, at;
        double best_rate = -1;

        for (uint32_t i = done; done > 0 && i < o->n; i++) {
            double r;

            if (i > done && node_of(o, o->place[i]) == node_of(o, o->place[i - 1]))
                continue;
            r = rate(o, o->place[done - 1], o->place[i]);
            if (r > best_rate)
                best_rate = r, best = i;
        }
        node = node_of(o, o->place[best]);
        for (at = best; at < o->n && node_of(o, o->place[at]) == node; at++) {
            uint32_t moved = o->place[at];

            memmove(&o->place[done + 1], &o->place[done], (at - done) * sizeof *o->place);
            o->place[done++] = moved;
        }
    }
}

/* ---- rows ---- */

static void add_order(struct orders *o, const uint32_t *place)
{
    size_t bytes = o->n * sizeof *place;

    for (uint32_t i = 0; i < o->count; i++)
        if (memcmp(&o->order[(size_t)i * o->n], place, bytes) == 0)
            return;
    if (o->count < PLB__ORDERS)
        memcpy(&o->order[(size_t)o->count++ * o->n], place, bytes);
}

static void find_sorts(struct orders *o)
{
    memset(o->left, 0, sizeof o->left);
    for (uint32_t i = 0; i < o->n; i++) {
        o->sort[i] = i;
        for (uint32_t k = 0; k < i && o->sort[i] == i; k++)
            if (o->sort[k] == k && same_sort(o, o->place[k], o->place[i]))
                o->sort[i] = k;
        o->left[o->sort[i]]++;
    }
}

static double rows_that_differ(const struct orders *o)
{
    double rows = 1;

    for (uint32_t i = 2; i <= o->n; i++)
        rows *= i;
    for (uint32_t s = 0; s < o->n; s++)
        for (uint32_t i = 2; i <= o->left[s]; i++)
            rows /= i;
    return rows;
}

/* Rows of sorts, each filled with the places of the sort in turn. */
static void add_all(struct orders *o, uint32_t *row, uint32_t at)
{
    if (at == o->n) {
        add_order(o, row);
        return;
    }
    for (uint32_t s = 0; s < o->n; s++) {
        uint32_t nth = 0, i;

        if (o->left[s] == 0)
            continue;
        for (i = 0; i < at; i++)
            for (uint32_t k = 0; k < o->n; k++)
                nth += o->place[k] == row[i] && o->sort[k] == s;
        for (i = 0; i < o->n && (o->sort[i] != s || nth-- > 0); i++)
            ;
        row[at] = o->place[i];
        o->left[s]--;
        add_all(o, row, at + 1);
        o->left[s]++;
    }
}

static double speed(const struct orders *o, uint32_t kind)
{
    const struct plb_auto_profile *profile = o->problem->profile;
    double seconds = 0;

    for (uint32_t u = 0; u < profile->n_units; u++) {
        const struct plb_auto_work *w = profile->record[profile->unit[u]].work[kind];

        seconds += w->forward.each + w->inputs.each + w->weights.each;
    }
    return seconds;
}

/* Kinds from fast to slow, or back; within a kind as they stand. */
static void add_by_speed(struct orders *o, uint32_t *row, bool slow_first)
{
    uint32_t kinds = plb_places_kinds(o->problem->places), n = 0;
    bool used[PLB_AUTO_KINDS] = {false};

    for (uint32_t i = 0; i < kinds; i++) {
        uint32_t best = UINT32_MAX;

        for (uint32_t k = 0; k < kinds; k++)
            if (!used[k] && (best == UINT32_MAX || (slow_first ? speed(o, k) > speed(o, best)
                                                               : speed(o, k) < speed(o, best))))
                best = k;
        used[best] = true;
        for (uint32_t k = 0; k < o->n; k++)
            if (plb_places_at(o->problem->places, o->place[k])->kind == best)
                row[n++] = o->place[k];
    }
    add_order(o, row);
}

static enum plb_status check_links(const struct orders *o)
{
    for (uint32_t i = 1; i < o->n; i++) {
        const plb_places_t *places = o->problem->places;
        uint32_t a = o->place[i - 1], b = o->place[i];

        if (!(rate(o, a, b) > 0) || !(rate(o, b, a) > 0))
            return plb_fail(PLB_ERROR_INVALID, "no link joins the places \"%s\" and \"%s\"",
                            plb_places_at(places, a)->name, plb_places_at(places, b)->name);
    }
    return PLB_OK;
}

static void add_rows(struct orders *o, uint32_t *row)
{
    if (o->n <= SORTED_MAX) {
        find_sorts(o);
        if (rows_that_differ(o) <= PLB__ORDERS) {
            add_all(o, row, 0);
            return;
        }
    }
    add_order(o, o->place);
    add_by_speed(o, row, false);
    add_by_speed(o, row, true);
    for (uint32_t i = 0; i < o->n; i++)
        row[i] = o->place[o->n - 1 - i];
    add_order(o, row);
}

enum plb_status plb__fleet_orders(const struct plb_auto_problem *problem, const bool *gone,
                                  uint32_t **order_out, uint32_t *n_places_out,
                                  uint32_t *n_orders_out)
{
    uint32_t all = plb_places_count(problem->places);
    struct orders o = {.problem = problem};
    enum plb_status status = PLB_ERROR_MEMORY;
    uint32_t *row = malloc(all * sizeof *row);

    o.place = malloc(all * sizeof *o.place);
    o.order = malloc((size_t)PLB__ORDERS * all * sizeof *o.order);
    if (!row || !o.place || !o.order) {
        plb_fail(PLB_ERROR_MEMORY, "no memory for rows of %u places", all);
        goto free_rows;
    }
    for (uint32_t p = 0; p < all; p++)
        if (!gone || !gone[p])
            o.place[o.n++] = p;
    if (o.n == 0) {
        status = plb_fail(PLB_ERROR_INVALID, "no place is left");
        goto free_rows;
    }
    place_by_node(&o);
    status = check_links(&o);
    if (status != PLB_OK)
        goto free_rows;
    add_rows(&o, row);
    *order_out = o.order;
    *n_places_out = o.n;
    *n_orders_out = o.count;
    o.order = NULL;
free_rows:
    free(row);
    free(o.place);
    free(o.order);
    return status;
}
