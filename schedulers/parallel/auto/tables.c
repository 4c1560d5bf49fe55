/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sums over units. What this is not: recomputation (levels.c).
 */
#include "config.h"

#include "schedulers/parallel/auto/tables.h"

#include <math.h>
#include <stdlib.h>

static const struct plb_auto_unit *unit_of(const struct plb__tables *t, uint32_t u)
{
    return &t->profile->record[t->profile->unit[u]];
}

static double seconds(const struct plb__tables *t, struct plb_auto_seconds s)
{
    return s.fixed + s.each * t->samples;
}

static struct plb__sum *sums(const struct plb__tables *t, uint32_t kind, uint32_t d)
{
    return &t->sum[((size_t)kind * PLB_AUTO_DEGREES + d) * (t->n + 1)];
}

static struct plb__sum cost_of_unit(const struct plb__tables *t, const struct plb_auto_unit *unit,
                                    uint32_t kind, uint32_t d)
{
    const struct plb_auto_work *w = &unit->work[kind][d];
    double degree = (double)(1u << d);
    struct plb__sum c = {.forward = seconds(t, w->forward), .update = w->update};

    if (!t->forward_only) {
        c.inputs = seconds(t, w->inputs);
        c.weights = seconds(t, w->weights);
        c.saved = (unit->saved / degree + unit->saved_all) * t->samples;
        c.saved_weights = unit->saved_weights / degree * t->samples;
    }
    c.parameters = unit->parameters / degree;
    c.gradients = t->forward_only ? 0 : unit->gradients / degree;
    c.state = unit->state / degree;
    return c;
}

static void fill_sums(struct plb__tables *t, uint32_t kind, uint32_t d)
{
    struct plb__sum *s = sums(t, kind, d);
    struct plb__sum of[PLB_AUTO_RECORDS];

    for (uint32_t r = 0; r < t->profile->n_records; r++)
        of[r] = cost_of_unit(t, &t->profile->record[r], kind, d);
    for (uint32_t u = 0; u < t->n; u++) {
        const struct plb__sum *c = &of[t->profile->unit[u]];

        s[u + 1] = (struct plb__sum){
            s[u].forward + c->forward,
            s[u].inputs + c->inputs,
            s[u].weights + c->weights,
            s[u].update + c->update,
            s[u].parameters + c->parameters,
            s[u].gradients + c->gradients,
            s[u].state + c->state,
            s[u].saved + c->saved,
            s[u].saved_weights + c->saved_weights,
        };
    }
}

static void fill_least(struct plb__tables *t)
{
    for (uint32_t u = 0; u < t->n; u++) {
        const struct plb_auto_unit *unit = unit_of(t, u);
        double least = HUGE_VAL, work = HUGE_VAL;

        for (uint32_t k = 0; k < t->profile->kinds; k++) {
            for (uint32_t d = 0; d < PLB_AUTO_DEGREES && 1u << d <= unit->most_degree; d++) {
                struct plb__sum c = cost_of_unit(t, unit, k, d);
                double all = c.forward + c.inputs + c.weights;

                least = fmin(least, all);
                work = fmin(work, all * (double)(1u << d));
            }
        }
        t->least[u + 1] = t->least[u] + least;
        t->least_work[u + 1] = t->least_work[u] + work;
    }
}

static void fill_counts(struct plb__tables *t)
{
    for (uint32_t u = 0; u < t->n; u++) {
        const struct plb_auto_unit *unit = unit_of(t, u);

        t->exchanged[u + 1] = t->exchanged[u] + unit->exchanged * t->samples;
        t->exchanges[u + 1] = t->exchanges[u] + unit->exchanges;
        for (uint32_t r = 0; r < t->profile->n_records; r++) {
            uint32_t *count = &t->count[(size_t)r * (t->n + 1)];

            count[u + 1] = count[u] + (t->profile->unit[u] == r);
        }
    }
}

/* ---- steps of recomputation ---- */

static int by_price(const void *x, const void *y)
{
    const struct plb__step *a = x, *b = y;
    double left = a->again * b->freed, right = b->again * a->freed;

    if (left != right)
        return left < right ? -1 : 1;
    if (a->record != b->record)
        return a->record < b->record ? -1 : 1;
    return a->option < b->option ? -1 : a->option > b->option;
}

/* The lower hull of a record's options: each next one is the cheapest by the byte from the last. */
static uint32_t hull(const struct plb_auto_unit *unit, uint32_t option[PLB_AUTO_OPTIONS])
{
    uint32_t n = 0, at = 0;

    while (at + 1 < unit->n_options) {
        uint32_t best = 0;
        double best_price = HUGE_VAL;

        for (uint32_t o = at + 1; o < unit->n_options; o++) {
            double freed = unit->option[at].held - unit->option[o].held;
            double price = (unit->option[o].again - unit->option[at].again) / freed;

            if (freed > 0 && price <= best_price)
                best_price = price, best = o;
        }
        if (best == 0)
            break;
        option[n++] = at = best;
    }
    return n;
}

static enum plb_status fill_steps(struct plb__tables *t, uint32_t kind, uint32_t d)
{
    uint32_t n = 0;
    struct plb__step *step =
        calloc((size_t)t->profile->n_records * PLB_AUTO_OPTIONS, sizeof *step);

    t->step[kind][d] = step;
    if (!step)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for ways to recompute");
    for (uint32_t r = 0; r < t->profile->n_records && !t->forward_only; r++) {
        const struct plb_auto_unit *unit = &t->profile->record[r];
        struct plb__sum c = cost_of_unit(t, unit, kind, d);
        uint32_t option[PLB_AUTO_OPTIONS], steps = hull(unit, option);

        for (uint32_t i = 0, before = 0; i < steps; before = option[i++]) {
            const struct plb_auto_option *a = &unit->option[before];
            const struct plb_auto_option *b = &unit->option[option[i]];

            step[n++] = (struct plb__step){r, option[i], (a->held - b->held) * c.saved,
                                           (b->again - a->again) * c.forward};
        }
    }
    qsort(step, n, sizeof *step, by_price);
    t->n_steps[kind][d] = n;
    return PLB_OK;
}

/* ---- making ---- */

static enum plb_status fill(struct plb__tables *t)
{
    for (uint32_t k = 0; k < t->profile->kinds; k++) {
        for (uint32_t d = 0; d < PLB_AUTO_DEGREES; d++) {
            fill_sums(t, k, d);
            PLB_TRY(fill_steps(t, k, d));
        }
    }
    fill_least(t);
    fill_counts(t);
    return PLB_OK;
}

enum plb_status plb__tables_create(const struct plb_auto_problem *problem, double samples,
                                   struct plb__tables *tables_out)
{
    const struct plb_auto_profile *profile = problem->profile;
    struct plb__tables t = {.problem = problem, .profile = profile, .samples = samples,
                            .replicas = 1, .n = profile->n_units,
                            .forward_only = problem->goal != PLB_AUTO_THROUGHPUT};
    size_t entries = (size_t)t.n + 1;
    enum plb_status status;

    t.sum = calloc(profile->kinds * PLB_AUTO_DEGREES * entries, sizeof *t.sum);
    t.exchanged = calloc(entries, sizeof *t.exchanged);
    t.exchanges = calloc(entries, sizeof *t.exchanges);
    t.count = calloc(profile->n_records * entries, sizeof *t.count);
    t.least = calloc(entries, sizeof *t.least);
    t.least_work = calloc(entries, sizeof *t.least_work);
    if (!t.sum || !t.exchanged || !t.exchanges || !t.count || !t.least || !t.least_work)
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for the costs of %u units", t.n);
    else
        status = fill(&t);
    if (status == PLB_OK)
        *tables_out = t;
    else
        plb__tables_clear(&t);
    return status;
}

void plb__tables_clear(struct plb__tables *t)
{
    free(t->sum);
    free(t->exchanged);
    free(t->exchanges);
    free(t->count);
    free(t->least);
    free(t->least_work);
    for (uint32_t k = 0; k < PLB_AUTO_KINDS; k++)
        for (uint32_t d = 0; d < PLB_AUTO_DEGREES; d++)
            free(t->step[k][d]);
    *t = (struct plb__tables){.n = 0};
}

/* ---- asking ---- */

struct plb__sum plb__tables_between(const struct plb__tables *t, uint32_t kind, uint32_t d,
                                    uint32_t from, uint32_t to)
{
    const struct plb__sum *a = &sums(t, kind, d)[from], *b = &sums(t, kind, d)[to];

    return (struct plb__sum){
        b->forward - a->forward, b->inputs - a->inputs, b->weights - a->weights,
        b->update - a->update, b->parameters - a->parameters, b->gradients - a->gradients,
        b->state - a->state, b->saved - a->saved, b->saved_weights - a->saved_weights,
    };
}

static bool has_record(const struct plb__tables *t, uint32_t r, uint32_t from, uint32_t to)
{
    const uint32_t *count = &t->count[(size_t)r * (t->n + 1)];

    return count[to] > count[from];
}

static void find_transients(const struct plb__tables *t, const struct plb__group *group,
                            struct plb__cost *cost)
{
    double share = t->samples / (double)(1u << group->d);

    for (uint32_t r = 0; r < t->profile->n_records; r++) {
        const struct plb_auto_unit *unit = &t->profile->record[r];

        if (!has_record(t, r, group->from, group->to))
            continue;
        cost->transient = fmax(cost->transient, unit->transient * share);
        cost->transient_again =
            fmax(cost->transient_again, (unit->transient + unit->saved) * share);
    }
}

bool plb__tables_divides(const struct plb__tables *t, uint32_t d, uint32_t from, uint32_t to)
{
    for (uint32_t r = 0; r < t->profile->n_records; r++)
        if (1u << d > t->profile->record[r].most_degree && has_record(t, r, from, to))
            return false;
    return true;
}

struct plb__cost plb__group_cost(const struct plb__tables *t, const struct plb__group *group)
{
    struct plb__sum s = plb__tables_between(t, group->kind, group->d, group->from, group->to);
    double degree = (double)(1u << group->d), each_way = 0;
    double bytes = t->exchanged[group->to] - t->exchanged[group->from];
    double exchanges = t->exchanges[group->to] - t->exchanges[group->from];
    struct plb__cost cost;

    /* A ring of k places sums in 2 (k - 1) rounds of 1 / k of the bytes each: Patarasuk and Yuan
     * 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations", section 3. */
    if (group->d > 0)
        each_way = 2 * (degree - 1) *
                   (exchanges * group->ring.latency + bytes / degree / group->ring.rate);
    cost = (struct plb__cost){
        .forward = s.forward + each_way,
        .inputs = t->forward_only ? 0 : s.inputs + each_way,
        .weights = s.weights,
        .fixed = s.parameters + s.gradients + s.state / t->replicas,
        .gradients = s.gradients,
        .held = s.saved,
        .held_weights = s.saved_weights,
        .update = t->forward_only ? 0 : s.update / t->replicas,
    };
    find_transients(t, group, &cost);
    return cost;
}
