/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "tests/schedulers/parallel/exhaustive.h"

#include "runtime/base/random.h"
#include "schedulers/parallel/auto/rows.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACES 4u
#define CHUNKS 8u

struct exhaustive {
    const struct plb_auto_problem *problem;
    struct plb__tables *tables;
    struct plb__rows *rows;
    struct plb__slice slice;
    struct plb__line_stage stage[CHUNKS];
    struct plb__line line;
    const struct plb__pipe_rule *rule;
    uint32_t stages;
    double best; /* of the slice, under the rule */
    uint64_t plays;
};

/* ---- one replica ---- */

static void try_line(struct exhaustive *x)
{
    struct plb__verdict verdict;

    x->plays++;
    if (plb__judge(&x->slice, &x->line, x->rule, true, &verdict) != PLB_OK)
        return;
    x->best = fmin(x->best, verdict.seconds);
    plb__verdict_clear(&verdict);
}

static void try_cuts(struct exhaustive *x, uint32_t c, uint32_t u)
{
    uint32_t units = x->tables->n;

    if (c == x->line.n) {
        if (u == units)
            try_line(x);
        return;
    }
    for (uint32_t to = u + 1; to <= units - (x->line.n - 1 - c); to++) {
        if (!plb__tables_divides(x->tables, x->stage[c].d, u, to))
            break;
        x->stage[c].from = u;
        x->stage[c].to = to;
        try_cuts(x, c + 1, to);
    }
}

static void try_chunks(struct exhaustive *x)
{
    uint32_t v = x->rule->chunks ? x->rule->chunks : 2;
    struct plb__line_stage first[CHUNKS];

    x->line = (struct plb__line){.n = x->stages * v, .stage = x->stage};
    if (x->line.n > x->tables->n || x->line.n > CHUNKS)
        return;
    for (uint32_t s = 1; v > 1 && s < x->stages; s++)
        if (x->stage[s].d != x->stage[0].d)
            return;
    memcpy(first, x->stage, sizeof first);
    for (uint32_t c = 0; c < x->line.n; c++)
        x->stage[c] = first[plb__rule_stage(x->rule, c, x->stages)];
    try_cuts(x, 0, 0);
    memcpy(x->stage, first, sizeof first);
}

static void try_places(struct exhaustive *x, uint32_t s, uint32_t entry)
{
    if (s == x->stages) {
        try_chunks(x);
        return;
    }
    for (; entry < x->slice.first + x->slice.n; entry++) {
        for (uint32_t d = 0; entry + (1u << d) <= x->slice.first + x->slice.n; d++) {
            if (!(x->slice.fleet->ring[d][entry].rate > 0))
                continue;
            x->stage[s] = (struct plb__line_stage){.entry = entry, .d = d};
            try_places(x, s + 1, entry + (1u << d));
        }
    }
}

static double best_of_slice(struct exhaustive *x, uint32_t class, uint32_t share)
{
    uint32_t r = x->rows->of_class[class];

    x->tables->replicas = x->problem->shard_state ? x->rows->replicas : 1;
    x->slice = (struct plb__slice){.tables = x->tables, .fleet = x->rows->fleet,
                                   .first = x->rows->first[r], .n = x->rows->n[r],
                                   .micro_batches = share, .replicas = x->rows->replicas,
                                   .beside = x->rows->beside, .limit = HUGE_VAL};
    x->best = HUGE_VAL;
    for (x->stages = 1; x->stages <= x->slice.n && x->stages <= x->tables->n; x->stages++)
        try_places(x, 0, x->slice.first);
    return x->best;
}

/* ---- all replicas ---- */

/* Deals what is left of the micro-batches to the replicas from r on. */
static double try_deals(struct exhaustive *x, double known[PLACES][64], uint32_t r, uint32_t left)
{
    uint32_t class = x->rows->class_of[r], others = x->rows->replicas - 1 - r;
    double best = HUGE_VAL;

    for (uint32_t share = others ? 1 : left; share + others <= left; share++) {
        double rest = others ? try_deals(x, known, r + 1, left - share) : 0;

        if (known[class][share] < 0)
            known[class][share] = best_of_slice(x, class, share);
        best = fmin(best, fmax(known[class][share], rest));
    }
    return best;
}

static double try_row(struct exhaustive *x, const struct plb__fleet *fleet, uint32_t m)
{
    double best = HUGE_VAL;

    for (uint32_t r = 1; r <= fleet->n && r <= m; r++) {
        struct plb__rows rows;

        PLB_REQUIRE(plb__rows_create(fleet, r, NULL, &rows) == PLB_OK);
        x->rows = &rows;
        for (uint32_t i = 0; plb__judge_rules[i]; i++) {
            double known[PLACES][64];

            for (uint32_t c = 0; c < PLACES; c++)
                for (uint32_t k = 0; k < 64; k++)
                    known[c][k] = -1;
            x->rule = plb__judge_rules[i];
            best = fmin(best, try_deals(x, known, 0, m));
        }
        plb__rows_clear(&rows);
    }
    return best;
}

/* ---- all orders ---- */

static bool same_row(const struct plb_auto_problem *problem, const uint32_t *a, const uint32_t *b,
                     uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct plb_place *x = plb_places_at(problem->places, a[i]);
        const struct plb_place *y = plb_places_at(problem->places, b[i]);

        if (x->kind != y->kind || problem->budget[a[i]] != problem->budget[b[i]])
            return false;
        for (uint32_t k = 0; k < n; k++)
            if (plb_places_seconds(problem->places, a[i], a[k], 1000) !=
                plb_places_seconds(problem->places, b[i], b[k], 1000))
                return false;
    }
    return true;
}

static uint32_t all_rows(const struct plb_auto_problem *problem, uint32_t n,
                         uint32_t row[24][PLACES], uint32_t at, uint32_t count)
{
    uint32_t *mine = row[count];

    if (at == n) {
        for (uint32_t i = 0; i < count; i++)
            if (same_row(problem, row[i], mine, n))
                return count;
        if (count + 1 < 24)
            memcpy(row[count + 1], mine, sizeof row[0]);
        return count + 1;
    }
    for (uint32_t i = at; i < n && count < 24; i++) {
        uint32_t swap, before[PLACES];

        memcpy(before, row[count], sizeof before);
        swap = row[count][at], row[count][at] = row[count][i], row[count][i] = swap;
        count = all_rows(problem, n, row, at + 1, count);
        if (count < 24)
            memcpy(row[count], before, sizeof before);
    }
    return count;
}

double exhaustive_seconds(const struct plb_auto_problem *problem, uint64_t *plans_out)
{
    uint32_t n = plb_places_count(problem->places), row[24][PLACES] = {{0, 1, 2, 3}}, rows;
    struct exhaustive x = {.problem = problem};
    double best = HUGE_VAL;

    rows = all_rows(problem, n, row, 0, 0);
    for (uint32_t m = 1; m <= problem->profile->samples; m++) {
        struct plb__tables tables;

        if (problem->profile->samples % m)
            continue;
        if (plb__tables_create(problem, (double)problem->profile->samples / m, &tables) != PLB_OK)
            return NAN;
        x.tables = &tables;
        for (uint32_t i = 0; i < rows; i++) {
            struct plb__fleet fleet;

            if (plb__fleet_create(problem, row[i], n, &fleet) != PLB_OK)
                return NAN;
            best = fmin(best, try_row(&x, &fleet, m));
            plb__fleet_clear(&fleet);
        }
        plb__tables_clear(&tables);
    }
    *plans_out = x.plays;
    return best;
}

/* ---- instances ---- */

struct draw {
    uint64_t seed, n;
};

static double draw(struct draw *d, double low, double high)
{
    uint32_t words[4];

    plb_random_words(d->seed, 77, d->n++, words);
    return low + (high - low) * (words[0] / 4294967296.0);
}

static uint32_t draw_int(struct draw *d, uint32_t low, uint32_t high)
{
    return low + (uint32_t)(draw(d, 0, 1) * (high - low + 1));
}

static void draw_work(struct draw *d, struct plb_auto_unit *unit, uint32_t kinds)
{
    double f = draw(d, 0.5, 2), b = draw(d, 0.5, 1.5) * f, w = draw(d, 0.2, 1.2) * f;

    for (uint32_t k = 0; k < kinds; k++) {
        double slow = k ? draw(d, 1, 3) : 1;
        double fixed = draw(d, 0, 0.1) * slow;

        unit->work[k][0] = (struct plb_auto_work){
            {f * slow, fixed}, {b * slow, fixed}, {w * slow, fixed}, draw(d, 0, 0.2)};
    }
}

static void draw_unit(struct draw *d, struct plb_auto_unit *unit, uint32_t kinds)
{
    snprintf(unit->name, sizeof unit->name, "unit %u", (unsigned)d->n);
    unit->most_degree = 1u << draw_int(d, 0, 2);
    unit->parameters = unit->gradients = draw(d, 1, 4);
    unit->state = 2 * unit->parameters;
    unit->boundary = draw(d, 0.1, 1);
    unit->saved = draw(d, 1, 4);
    unit->saved_weights = unit->saved / 2;
    unit->exchanged = draw(d, 0.1, 1);
    unit->exchanges = 2;
    unit->n_options = draw_int(d, 1, 3);
    unit->option[0] = (struct plb_auto_option){1, 0};
    unit->option[1] = (struct plb_auto_option){draw(d, 0.4, 0.7), draw(d, 0.02, 0.2)};
    unit->option[2] = (struct plb_auto_option){draw(d, 0.05, 0.3), draw(d, 0.4, 1)};
    draw_work(d, unit, kinds);
}

static const char kind_text[] =
    "{\"name\": \"%s\", \"workers\": 1, \"memory\": {\"device\": 1e9, \"host\": \"unlimited\"}, "
    "\"flops_per_second\": {\"f32\": 1e12, \"bf16\": 1e12, \"f64\": 1e12, \"i32\": 1e12}, "
    "\"bytes_per_second\": 1e12, \"task_seconds\": 0, \"links\": {\"host\": "
    "{\"out_bytes_per_second\": 1e9, \"in_bytes_per_second\": 1e9, \"latency_seconds\": 0, "
    "\"duplex\": true}}}";

static void draw_places(struct draw *d, uint32_t n, uint32_t kinds, plb_places_t **places_out)
{
    char text[4096], kind[2][1024];
    uint32_t here = kinds > 1 || n > 1 ? draw_int(d, kinds > 1, n - (kinds > 1)) : n;
    double link = draw(d, 5, 50), network = draw(d, 1, 5), latency = draw(d, 0, 0.05);
    const char *const names[] = {"fast", "slow"};
    int at;

    here = here == 0 ? n : here;
    for (uint32_t k = 0; k < kinds; k++)
        snprintf(kind[k], sizeof kind[k], kind_text, names[k]);
    at = snprintf(text, sizeof text,
                  "{\"format\": \"palombe platform\", \"version\": 1, \"kinds\": [%s%s%s], "
                  "\"nodes\": [",
                  kind[0], kinds > 1 ? ", " : "", kinds > 1 ? kind[1] : "");
    for (uint32_t i = 0; i < (here < n ? 2u : 1u); i++)
        at += snprintf(text + at, sizeof text - (size_t)at,
                       "%s{\"name\": \"n%u\", \"devices\": [{\"kind\": \"%s\", \"count\": %u}], "
                       "\"link\": {\"bytes_per_second\": %.17g, \"latency_seconds\": %.17g}, "
                       "\"network\": {\"bytes_per_second\": %.17g, \"latency_seconds\": %.17g, "
                       "\"shared\": false}}",
                       i ? ", " : "", i, names[kinds > 1 ? i : 0], i ? n - here : here, link,
                       latency / 10, network, latency);
    snprintf(text + at, sizeof text - (size_t)at, "]}");
    PLB_REQUIRE(plb_places_from_json(text, strlen(text), "drawn", places_out) == PLB_OK);
}

void instance_make(uint64_t seed, struct instance *x)
{
    struct draw d = {.seed = seed};
    uint32_t n = draw_int(&d, 1, seed % 8 == 0 ? 4 : 3), kinds = n > 1 ? draw_int(&d, 1, 2) : 1;
    uint32_t units = draw_int(&d, 2, n > 3 ? 4 : 5), records = draw_int(&d, 1, 3);
    uint32_t samples = 1u << draw_int(&d, 1, n > 3 ? 2 : 3);
    double all = 0, tightness = draw(&d, 0.8, 3);

    draw_places(&d, n, kinds, &x->places);
    kinds = plb_places_kinds(x->places);
    PLB_REQUIRE(plb_auto_profile_create(records, units, kinds, samples, &x->profile) == PLB_OK);
    for (uint32_t r = 0; r < records; r++)
        draw_unit(&d, &x->profile.record[r], kinds);
    plb_auto_profile_divide(&x->profile);
    for (uint32_t u = 0; u < units; u++) {
        const struct plb_auto_unit *unit;

        x->profile.unit[u] = u < records ? u : draw_int(&d, 0, records - 1);
        unit = &x->profile.record[x->profile.unit[u]];
        all += 4 * unit->parameters + samples * unit->saved;
    }
    for (uint32_t p = 0; p < n; p++)
        x->budget[p] = (size_t)(tightness * all / n * draw(&d, 0.9, 1.3) + 1);
    x->problem = (struct plb_auto_problem){.profile = &x->profile, .places = x->places,
                                           .budget = x->budget,
                                           .shard_state = seed % 2};
}

void instance_clear(struct instance *x)
{
    plb_auto_profile_clear(&x->profile);
    plb_places_destroy(x->places);
}
