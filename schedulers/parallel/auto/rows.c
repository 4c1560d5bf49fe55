/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replicas of a fleet, and lines that need no search.
 */
#include "config.h"

#include "schedulers/parallel/auto/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- slices ---- */

static bool same_slice(const struct plb__rows *rows, uint32_t a, uint32_t b)
{
    return rows->n[a] == rows->n[b] &&
           plb__fleet_same(rows->fleet, rows->first[a], rows->first[b], rows->n[a]);
}

static void find_classes(struct plb__rows *rows)
{
    for (uint32_t r = 0; r < rows->replicas; r++) {
        uint32_t c = 0;

        while (c < rows->n_classes && !same_slice(rows, rows->of_class[c], r))
            c++;
        rows->class_of[r] = c;
        if (c == rows->n_classes)
            rows->of_class[rows->n_classes++] = r;
    }
}

/* All places of one slice send to those of the next; what shares a port shares its rate. */
static enum plb_status find_beside(struct plb__rows *rows)
{
    const struct plb__fleet *fleet = rows->fleet;
    uint32_t *users = calloc(plb_places_ports(fleet->places) + 1, sizeof *users);

    if (!users)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the ways between replicas");
    rows->beside = (struct plb__ring){HUGE_VAL, 0, HUGE_VAL};
    for (uint32_t r = 0; r + 1 < rows->replicas; r++) {
        for (int pass = 0; pass < 3; pass++) { /* count, take, forget */
            for (uint32_t k = 0; k < rows->n[r] && k < rows->n[r + 1]; k++) {
                struct plb_way way =
                    plb_places_way(fleet->places, fleet->place[rows->first[r] + k],
                                   fleet->place[rows->first[r + 1] + k]);
                uint32_t most = 1;

                for (uint32_t p = 0; p < way.n_ports; p++) {
                    users[way.port[p]] = pass == 2 ? 0 : users[way.port[p]] + (pass == 0);
                    most = users[way.port[p]] > most ? users[way.port[p]] : most;
                }
                if (pass != 1)
                    continue;
                rows->beside.rate = fmin(rows->beside.rate, way.bytes_per_second / most);
                rows->beside.latency = fmax(rows->beside.latency, way.latency_seconds);
            }
        }
    }
    free(users);
    return PLB_OK;
}

enum plb_status plb__rows_create(const struct plb__fleet *fleet, uint32_t replicas,
                                 const uint32_t *n, struct plb__rows *rows_out)
{
    struct plb__rows rows = {.fleet = fleet, .replicas = replicas};
    enum plb_status status = PLB_OK;

    rows.first = malloc(replicas * sizeof *rows.first);
    rows.n = malloc(replicas * sizeof *rows.n);
    rows.class_of = malloc(replicas * sizeof *rows.class_of);
    rows.of_class = malloc(replicas * sizeof *rows.of_class);
    if (!rows.first || !rows.n || !rows.class_of || !rows.of_class)
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for %u replicas", replicas);
    for (uint32_t r = 0; status == PLB_OK && r < replicas; r++) {
        rows.n[r] = n ? n[r] : fleet->n / replicas;
        rows.first[r] = r ? rows.first[r - 1] + rows.n[r - 1] : 0;
    }
    if (status == PLB_OK) {
        find_classes(&rows);
        status = find_beside(&rows);
    }
    if (status == PLB_OK)
        *rows_out = rows;
    else
        plb__rows_clear(&rows);
    return status;
}

void plb__rows_clear(struct plb__rows *rows)
{
    free(rows->first);
    free(rows->n);
    free(rows->class_of);
    free(rows->of_class);
    *rows = (struct plb__rows){.replicas = 0};
}

/* What a slice does in a second, in models. */
static double power(const struct plb__rows *rows, const struct plb__tables *tables, uint32_t r)
{
    double sum = 0;

    for (uint32_t k = 0; k < rows->n[r]; k++) {
        struct plb__sum s = plb__tables_between(tables, rows->fleet->kind[rows->first[r] + k], 0, 0,
                                                tables->n);
        double seconds = s.forward + s.inputs + s.weights;

        sum += seconds > 0 ? 1 / seconds : 1;
    }
    return sum;
}

void plb__rows_deal(const struct plb__rows *rows, const struct plb__tables *tables, uint32_t m,
                    int shift, uint32_t *share_out)
{
    uint32_t *from = shift > 0 ? &share_out[rows->replicas - 1] : share_out;
    uint32_t *to = shift > 0 ? share_out : &share_out[rows->replicas - 1];
    double all = 0;
    uint32_t dealt = 0;

    for (uint32_t r = 0; r < rows->replicas; r++)
        all += power(rows, tables, rows->of_class[rows->class_of[r]]);
    for (uint32_t r = 0; r < rows->replicas; r++) {
        double part = power(rows, tables, rows->of_class[rows->class_of[r]]) / all;
        uint32_t rest = m - dealt - (rows->replicas - 1 - r);
        uint32_t share = rows->n_classes == 1 ? m / rows->replicas + (r < m % rows->replicas)
                                              : (uint32_t)(part * m + 0.5);

        share = share < 1 ? 1 : share > rest ? rest : share;
        share_out[r] = r + 1 == rows->replicas ? m - dealt : share;
        dealt += share_out[r];
    }
    for (int i = abs(shift); i > 0 && *from > 1; i--) {
        --*from;
        ++*to;
    }
}

/* ---- balanced lines ---- */

/* Gives each chunk as many units as it does in `limit` seconds. */
static bool fill(const struct plb__slice *slice, struct plb__line *line, double limit)
{
    uint32_t n = slice->tables->n, u = 0;

    for (uint32_t c = 0; c < line->n; c++) {
        struct plb__line_stage *stage = &line->stage[c];
        uint32_t kind = slice->fleet->kind[stage->entry], most = n - (line->n - 1 - c);

        stage->from = u++;
        for (; u < most; u++) {
            struct plb__sum s =
                plb__tables_between(slice->tables, kind, stage->d, stage->from, u + 1);

            if (s.forward + s.inputs + s.weights > limit)
                break;
        }
        stage->to = u;
    }
    return u == n;
}

static bool slowest_keeps(const struct plb__slice *slice, const struct plb__line *line,
                          double limit)
{
    for (uint32_t c = 0; c < line->n; c++) {
        const struct plb__line_stage *stage = &line->stage[c];
        struct plb__sum s =
            plb__tables_between(slice->tables, slice->fleet->kind[stage->entry], stage->d,
                                stage->from, stage->to);

        if (s.forward + s.inputs + s.weights > limit)
            return false;
    }
    return true;
}

bool plb__balance(const struct plb__slice *slice, const struct plb__pipe_rule *rule,
                  uint32_t stages, uint32_t chunks, uint32_t d, struct plb__line *line_out)
{
    const struct plb__tables *t = slice->tables;
    double low = 0, high = 0;

    if (chunks > t->n || (stages << d) > slice->n || !plb__tables_divides(t, d, 0, t->n))
        return false;
    line_out->n = chunks;
    for (uint32_t c = 0; c < chunks; c++) {
        uint32_t entry = slice->first + (plb__rule_stage(rule, c, stages) << d);
        struct plb__sum s = plb__tables_between(t, slice->fleet->kind[entry], d, 0, t->n);

        if (!(slice->fleet->ring[d][entry].rate > 0))
            return false;
        line_out->stage[c] = (struct plb__line_stage){.entry = entry, .d = d};
        high = fmax(high, s.forward + s.inputs + s.weights);
    }
    high *= 1 + 1e-12;
    for (int i = 0; i < 48; i++) {
        double middle = (low + high) / 2;

        if (fill(slice, line_out, middle) && slowest_keeps(slice, line_out, middle))
            high = middle;
        else
            low = middle;
    }
    return fill(slice, line_out, high);
}
