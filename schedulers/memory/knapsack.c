/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory policy "knapsack": which saved values to keep is a 0/1 knapsack, with the time to make
 * a value again for its worth and its bytes for its weight (PyTorch's activation memory budget,
 * torch/_functorch/partitioners.py). Solved by dynamic programming over memory in SLOTS steps; by
 * taking the most seconds per byte first where that table would be too large.
 *
 * Its weakness is the original's: values are taken for independent. That a value which is made
 * again needs others that are gone as well costs time that it does not see; what the plan really
 * needs at its peak it does not see either, so the capacity is found by bisection.
 */
#include "config.h"

#include "schedulers/memory/common/fates.h"
#include "schedulers/memory/common/fit.h"
#include "schedulers/schedulers.h"

#include <stdlib.h>

#define SLOTS      1000u
#define TABLE_MOST ((size_t)1 << 24) /* entries */

struct item {
    uint32_t group;
    uint32_t weight; /* slots */
    double worth;    /* seconds */
};

struct knapsack {
    struct plb__fates *fates;
    size_t total; /* bytes of all items */
    uint32_t n;
    struct item *item;
    bool *taken; /* n rows of SLOTS + 1: is item k taken when so much room is left? NULL: greedy */
};

static enum plb_status find_items(struct knapsack *sack)
{
    struct plb__fates *fates = sack->fates;

    sack->item = malloc(((size_t)fates->n_groups + 1) * sizeof *sack->item);
    if (!sack->item)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u items", fates->n_groups);
    for (uint32_t g = 0; g < fates->n_groups; g++)
        sack->total += plb__fates_worth(fates, g) ? fates->group[g].saved_bytes : 0;
    for (uint32_t g = 0; g < fates->n_groups; g++) {
        struct item item = {.group = g};

        if (!plb__fates_worth(fates, g))
            continue;
        PLB_TRY(plb__fates_remake_seconds(fates, g, &item.worth));
        item.weight =
            (uint32_t)((double)fates->group[g].saved_bytes / (double)sack->total * SLOTS + 0.5);
        sack->item[sack->n++] = item;
    }
    return PLB_OK;
}

/* best[c]: most seconds saved with the items so far in c slots (Bellman 1957). */
static void fill_table(struct knapsack *sack, double best[SLOTS + 1])
{
    for (uint32_t c = 0; c <= SLOTS; c++)
        best[c] = 0;
    for (uint32_t k = 0; k < sack->n; k++) {
        const struct item *item = &sack->item[k];
        bool *taken = &sack->taken[(size_t)k * (SLOTS + 1)];

        for (uint32_t c = SLOTS + 1; c-- > item->weight;) {
            double with = best[c - item->weight] + item->worth;

            taken[c] = with >= best[c];
            best[c] = taken[c] ? with : best[c];
        }
    }
}

static int compare_density(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    double left = x->worth * (y->weight + 1.0), right = y->worth * (x->weight + 1.0);

    if (left != right)
        return left > right ? -1 : 1;
    return x->group < y->group ? -1 : 1;
}

static enum plb_status solve(struct knapsack *sack)
{
    double best[SLOTS + 1];
    size_t entries = (size_t)sack->n * (SLOTS + 1);

    if (entries > TABLE_MOST) {
        qsort(sack->item, sack->n, sizeof *sack->item, compare_density);
        return PLB_OK;
    }
    sack->taken = calloc(entries + 1, sizeof *sack->taken);
    if (!sack->taken)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a table of %zu entries", entries);
    fill_table(sack, best);
    return PLB_OK;
}

static enum plb_status propose(const struct plb_problem *problem, size_t target, void *context,
                               struct plb_plan *plan_out)
{
    struct knapsack *sack = context;
    uint32_t room = sack->n > 0 ? (uint32_t)((double)target / (double)sack->total * SLOTS) : 0;

    (void)problem;
    for (uint32_t i = 0; i < sack->n; i++) {
        uint32_t k = sack->taken ? sack->n - 1 - i : i;
        const struct item *item = &sack->item[k];
        bool take =
            sack->taken ? sack->taken[(size_t)k * (SLOTS + 1) + room] : item->weight <= room;

        sack->fates->group[item->group].fate = take ? PLB__KEEP : PLB__REMAKE;
        room -= take ? item->weight : 0;
    }
    return plb__fates_plan(sack->fates, plan_out);
}

static enum plb_status plan_with(const struct plb_problem *problem, bool soon,
                                 struct plb_plan *plan_out)
{
    struct knapsack sack = {.n = 0};
    struct plb__fit fit = {.propose = propose, .context = &sack};
    enum plb_status status = plb__fates_create(problem, &sack.fates);

    if (status != PLB_OK)
        return status;
    status = find_items(&sack);
    fit.most = sack.total;
    if (status == PLB_OK)
        status = solve(&sack);
    if (status == PLB_OK)
        status = soon ? plb__fit_nearly(problem, &fit, plan_out)
                      : plb__fit_plan(problem, &fit, plan_out);
    free(sack.item);
    free(sack.taken);
    plb__fates_destroy(sack.fates);
    return status;
}

static enum plb_status plan_knapsack(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    return plan_with(problem, false, plan_out);
}

static enum plb_status replan_knapsack(const struct plb_problem *problem, enum plb_event event,
                                       const struct plb_plan *current, struct plb_plan *plan_out)
{
    (void)event;
    (void)current;
    return plan_with(problem, true, plan_out);
}

const struct plb_memory_policy plb_memory_knapsack = {
    .name = "knapsack",
    .help = "keep the values that save the most time for their bytes",
    .plan = plan_knapsack,
    .replan = replan_knapsack,
};
