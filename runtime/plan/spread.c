/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a hybrid plan to a graph and a plan for each place: the way of all, and what is simplest to
 * say of a list of tasks. See spread_internal.h.
 */
#include "config.h"

#include "runtime/plan/spread_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- what can be said at once ---- */

static enum plb_status check_lists(const struct plb__spreader *s)
{
    const struct plb_hybrid *h = s->hybrid;
    uint32_t n = plb_places_count(s->places);

    if (h->fingerprint != plb_graph_fingerprint(s->graph))
        return plb_fail(PLB_ERROR_INVALID, "the hybrid plan was made for another graph");
    if (h->n_places != n)
        return plb_fail(PLB_ERROR_INVALID, "the hybrid plan is for %u places; there are %u",
                        h->n_places, n);
    if (h->in_place[0] != 0)
        return plb_fail(PLB_ERROR_INVALID, "the list of the first place begins at entry %u",
                        h->in_place[0]);
    for (uint32_t p = 0; p < n; p++) {
        if (h->in_place[p] > h->in_place[p + 1])
            return plb_fail(PLB_ERROR_INVALID, "the list of %s goes from entry %u to %u",
                            plb__place_name(s, p), h->in_place[p], h->in_place[p + 1]);
        for (uint32_t i = h->in_place[p]; i < h->in_place[p + 1]; i++)
            if (h->run[i] >= s->n_tasks)
                return plb_fail(PLB_ERROR_INVALID, "%s runs task %u of %u", plb__place_name(s, p),
                                h->run[i], s->n_tasks);
    }
    return PLB_OK;
}

/* ---- which task is where ---- */

/* Each task of each list once; `at` counts up per task. The second time, when `note` is set, places
 * are noted. */
static void visit_tasks(struct plb__spreader *s, uint32_t *seen, uint32_t *at, bool note)
{
    const struct plb_hybrid *h = s->hybrid;

    memset(seen, 0xff, s->n_tasks * sizeof *seen);
    for (uint32_t p = 0; p < h->n_places; p++)
        for (uint32_t i = h->in_place[p]; i < h->in_place[p + 1]; i++) {
            plb_task_id t = h->run[i];

            if (seen[t] == p)
                continue;
            seen[t] = p;
            if (note) {
                s->place[at[t]] = p;
                s->entry[at[t]] = i;
            }
            at[t]++;
        }
}

static enum plb_status find_places(struct plb__spreader *s)
{
    const struct plb_hybrid *h = s->hybrid;
    uint32_t *seen = malloc(((size_t)s->n_tasks + 1) * sizeof *seen);
    uint32_t *at = calloc((size_t)s->n_tasks + 1, sizeof *at);

    s->in_task = malloc(((size_t)s->n_tasks + 1) * sizeof *s->in_task);
    s->place = malloc(((size_t)h->in_place[h->n_places] + 1) * sizeof *s->place);
    s->entry = malloc(((size_t)h->in_place[h->n_places] + 1) * sizeof *s->entry);
    if (!seen || !at || !s->in_task || !s->place || !s->entry) {
        free(seen);
        free(at);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to place %u tasks", s->n_tasks);
    }
    visit_tasks(s, seen, at, false);
    s->in_task[0] = 0;
    for (plb_task_id t = 0; t < s->n_tasks; t++)
        s->in_task[t + 1] = s->in_task[t] + at[t];
    memcpy(at, s->in_task, s->n_tasks * sizeof *at);
    visit_tasks(s, seen, at, true);
    free(seen);
    free(at);
    for (plb_task_id t = 0; t < s->n_tasks; t++)
        if (s->in_task[t] == s->in_task[t + 1])
            return plb_fail(PLB_ERROR_INVALID, "no place runs %s (task %u)",
                            plb_graph_task(s->graph, t)->name, t);
    return PLB_OK;
}

/* ---- what lives on ---- */

static enum plb_status find_carried(struct plb__spreader *s)
{
    for (plb_value v = 0; v < s->n_values; v++) {
        const struct plb_value_info *info = plb_graph_value(s->graph, v);

        if (info->next == PLB_NONE)
            continue;
        if (plb_graph_value(s->graph, info->next)->producer == PLB_NONE)
            return plb_fail(PLB_ERROR_INVALID,
                            "the next version of '%s' is '%s', which no task makes", info->name,
                            plb_graph_value(s->graph, info->next)->name);
        s->carried[info->next] = v;
    }
    for (plb_task_id t = 0; t < s->n_tasks; t++) {
        const struct plb_task *task = plb_graph_task(s->graph, t);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            s->is_read[task->in[j]] = true;
    }
    return PLB_OK;
}

static enum plb_status prepare(struct plb__spreader *s)
{
    size_t values = (size_t)s->n_values + 1, places = (size_t)s->hybrid->n_places + 1;

    s->carried = malloc(values * sizeof *s->carried);
    s->holder = malloc(values * sizeof *s->holder);
    s->is_read = calloc(values, sizeof *s->is_read);
    s->in_to = calloc(places, sizeof *s->in_to);
    s->n_there = calloc(places, sizeof *s->n_there);
    s->spread->part = calloc(places, sizeof *s->spread->part);
    if (!s->carried || !s->holder || !s->is_read || !s->in_to || !s->n_there || !s->spread->part)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to spread %u values over %u places",
                        s->n_values, s->hybrid->n_places);
    s->spread->n_parts = s->hybrid->n_places;
    memset(s->carried, 0xff, values * sizeof *s->carried);
    memset(s->holder, 0xff, values * sizeof *s->holder);
    s->lowest = PLB_NONE;
    for (uint32_t p = s->hybrid->n_places; p-- > 0;)
        if (s->hybrid->in_place[p] < s->hybrid->in_place[p + 1])
            s->lowest = p;
    return PLB_OK;
}

/* ---- all of it ---- */

static enum plb_status spread_all(struct plb__spreader *s)
{
    PLB_TRY(check_lists(s));
    PLB_TRY(prepare(s));
    PLB_TRY(find_places(s));
    PLB_TRY(find_carried(s));
    PLB_TRY(plb__spread_look(s));
    PLB_TRY(plb__spread_order(s));
    return plb__spread_parts(s);
}

enum plb_status plb_hybrid_spread(const struct plb_hybrid *hybrid, const plb_graph_t *cut,
                                  const plb_places_t *places, struct plb_spread *spread_out)
{
    struct plb_spread spread = {0};
    struct plb__spreader s = {.hybrid = hybrid,
                              .graph = cut,
                              .places = places,
                              .spread = &spread,
                              .n_values = plb_graph_values(cut),
                              .n_tasks = plb_graph_tasks(cut)};
    enum plb_status status = spread_all(&s);

    free(s.in_task);
    free(s.place);
    free(s.entry);
    free(s.rank);
    free(s.carried);
    free(s.holder);
    free(s.is_read);
    free(s.arrival);
    free(s.in_to);
    free(s.n_there);
    if (status == PLB_OK)
        *spread_out = spread;
    else
        plb_spread_clear(&spread);
    return status;
}

void plb_spread_clear(struct plb_spread *spread)
{
    for (uint32_t p = 0; p < spread->n_parts; p++) {
        struct plb_part *part = &spread->part[p];

        plb_graph_destroy(part->graph);
        free(part->task);
        free(part->transfer);
        free(part->value);
        plb_plan_clear(&part->plan);
    }
    free(spread->part);
    free(spread->transfer);
    *spread = (struct plb_spread){0};
}
