/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of measured costs: a hash table of rings of samples. Recording is what workers do after
 * each task, so it takes one lock, one hash and one store; medians are found when they are asked
 * for.
 *
 * What this is not: the model of what was not measured (costs_model.c), the links (costs_links.c),
 * the files (costs_read.c, costs_write.c).
 */
#include "config.h"

#include "runtime/base/hash.h"
#include "runtime/plan/costs_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_KEYS 64u

enum plb_status plb_costs_create(const struct plb_platform *platform, plb_costs_t **costs_out)
{
    plb_costs_t *costs;

    PLB_TRY(plb_platform_check(platform));
    costs = calloc(1, sizeof *costs);
    if (!costs)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a table of costs");
    costs->platform = costs->refined = *platform;
    pthread_mutex_init(&costs->lock, NULL);
    *costs_out = costs;
    return PLB_OK;
}

void plb_costs_destroy(plb_costs_t *costs)
{
    if (!costs)
        return;
    pthread_mutex_destroy(&costs->lock);
    free(costs->cost);
    free(costs->bucket);
    free(costs);
}

/* The keys of a table; the lock of `from` is held. */
static bool copy_keys(const plb_costs_t *from, plb_costs_t *to)
{
    if (from->capacity == 0)
        return true;
    to->cost = malloc(from->capacity * sizeof *to->cost);
    to->bucket = malloc(from->n_buckets * sizeof *to->bucket);
    if (!to->cost || !to->bucket)
        return false;
    memcpy(to->cost, from->cost, from->n * sizeof *to->cost);
    memcpy(to->bucket, from->bucket, from->n_buckets * sizeof *to->bucket);
    to->n = from->n;
    to->capacity = from->capacity;
    to->n_buckets = from->n_buckets;
    return true;
}

enum plb_status plb_costs_copy(const plb_costs_t *costs, plb_costs_t **copy_out)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&costs->lock;
    plb_costs_t *copy = NULL;
    bool copied;

    PLB_TRY(plb_costs_create(&costs->platform, &copy));
    pthread_mutex_lock(lock);
    copied = copy_keys(costs, copy);
    memcpy(copy->transfers, costs->transfers, sizeof copy->transfers);
    copy->added = costs->added;
    copy->stale = true;
    pthread_mutex_unlock(lock);
    if (!copied) {
        plb_costs_destroy(copy);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a table of costs");
    }
    *copy_out = copy;
    return PLB_OK;
}

void plb_costs_forget(plb_costs_t *costs)
{
    pthread_mutex_lock(&costs->lock);
    for (uint32_t b = 0; b < costs->n_buckets; b++)
        costs->bucket[b] = PLB_NONE;
    costs->n = 0;
    costs->added.recorded = 0;
    for (int tier = 0; tier < PLB_TIERS; tier++)
        for (int out = 0; out < 2; out++)
            costs->transfers[tier][out].recorded = 0;
    costs->stale = true;
    pthread_mutex_unlock(&costs->lock);
}

/* ---- samples of a time ---- */

void plb__samples_add(struct plb__samples *samples, double seconds)
{
    samples->sample[samples->recorded++ % PLB__COST_SAMPLES] = seconds;
}

uint64_t plb__samples_first(const struct plb__samples *samples)
{
    return samples->recorded > PLB__COST_SAMPLES ? samples->recorded - PLB__COST_SAMPLES : 0;
}

/* The lower one of an even number. */
double plb__samples_median(const struct plb__samples *samples)
{
    uint32_t n = (uint32_t)(samples->recorded - plb__samples_first(samples));
    double number[PLB__COST_SAMPLES];

    if (n == 0)
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        double x = samples->sample[i];
        uint32_t j = i;

        for (; j > 0 && number[j - 1] > x; j--)
            number[j] = number[j - 1];
        number[j] = x;
    }
    return number[(n - 1) / 2];
}

/* ---- samples of tasks ---- */

/* The bucket where a key is, or the free one where it would be. */
static uint32_t find_bucket(const plb_costs_t *costs, const char *op, size_t length,
                            uint32_t footprint)
{
    uint32_t mask = costs->n_buckets - 1;
    uint32_t b = (uint32_t)plb_hash_mix(footprint, op, length) & mask;

    for (; costs->bucket[b] != PLB_NONE; b = (b + 1) & mask) {
        const struct plb__cost *cost = &costs->cost[costs->bucket[b]];

        if (cost->footprint == footprint && strcmp(cost->op, op) == 0)
            break;
    }
    return b;
}

/* Room for one more key. */
static bool grow(plb_costs_t *costs)
{
    uint32_t capacity = costs->capacity ? 2 * costs->capacity : FIRST_KEYS;
    uint32_t n_buckets = 4 * capacity;
    struct plb__cost *cost;
    uint32_t *bucket;

    if (costs->n < costs->capacity)
        return true;
    if (costs->n == PLB__COST_KEYS_MAX)
        return false;
    cost = realloc(costs->cost, capacity * sizeof *cost);
    if (!cost)
        return false;
    costs->cost = cost;
    bucket = malloc(n_buckets * sizeof *bucket);
    if (!bucket)
        return false;
    memset(bucket, 0xff, n_buckets * sizeof *bucket);
    free(costs->bucket);
    costs->bucket = bucket;
    costs->n_buckets = n_buckets;
    costs->capacity = capacity;
    for (uint32_t k = 0; k < costs->n; k++)
        bucket[find_bucket(costs, cost[k].op, strlen(cost[k].op), cost[k].footprint)] = k;
    return true;
}

static void add_sample(plb_costs_t *costs, const char *op, size_t length, uint32_t footprint,
                       double seconds)
{
    struct plb__cost *cost;
    uint32_t b = 0;

    if (costs->n_buckets > 0)
        b = find_bucket(costs, op, length, footprint);
    if (costs->n_buckets == 0 || costs->bucket[b] == PLB_NONE) {
        if (!grow(costs))
            return;
        b = find_bucket(costs, op, length, footprint);
        cost = &costs->cost[costs->n];
        memset(cost, 0, sizeof *cost);
        memcpy(cost->op, op, length);
        cost->footprint = footprint;
        costs->bucket[b] = costs->n++;
    }
    cost = &costs->cost[costs->bucket[b]];
    plb__samples_add(&cost->samples, seconds);
}

static bool is_time(double seconds)
{
    return seconds > 0 && seconds <= PLB__COST_SECONDS_MAX;
}

void plb_costs_record(plb_costs_t *costs, const char *op, uint32_t footprint, double seconds)
{
    size_t length = strlen(op);

    if (!is_time(seconds) || length == 0 || length >= PLB__COST_NAME)
        return;
    pthread_mutex_lock(&costs->lock);
    add_sample(costs, op, length, footprint, seconds);
    pthread_mutex_unlock(&costs->lock);
}

void plb_costs_record_added(plb_costs_t *costs, double seconds)
{
    if (!is_time(seconds))
        return;
    pthread_mutex_lock(&costs->lock);
    plb__samples_add(&costs->added, seconds);
    costs->stale = true;
    pthread_mutex_unlock(&costs->lock);
}

double plb_costs_measured(const plb_costs_t *costs, const char *op, uint32_t footprint)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&costs->lock;
    struct plb__samples samples = {0};
    uint32_t b;

    pthread_mutex_lock(lock);
    if (costs->n_buckets > 0) {
        b = find_bucket(costs, op, strlen(op), footprint);
        if (costs->bucket[b] != PLB_NONE)
            samples = costs->cost[costs->bucket[b]].samples;
    }
    pthread_mutex_unlock(lock);
    return plb__samples_median(&samples);
}

uint32_t plb_costs_keys(const plb_costs_t *costs)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&costs->lock;
    uint32_t n;

    pthread_mutex_lock(lock);
    n = costs->n;
    pthread_mutex_unlock(lock);
    return n;
}

/* ---- the platform and samples of its links ---- */

void plb_costs_record_transfer(plb_costs_t *costs, enum plb_tier tier, bool out, size_t bytes,
                               double seconds)
{
    struct plb__transfers *transfers;

    if (!is_time(seconds) || bytes == 0 || tier <= PLB_DEVICE || tier >= PLB_TIERS)
        return;
    transfers = &costs->transfers[tier][out];
    pthread_mutex_lock(&costs->lock);
    transfers->sample[transfers->recorded++ % PLB__LINK_SAMPLES] =
        (struct plb__transfer){bytes, seconds};
    costs->stale = true;
    pthread_mutex_unlock(&costs->lock);
}

/* A link has one latency: where both directions tell, the greater. */
static void refine(struct plb_link *link, const struct plb__transfers transfers[2])
{
    double latency[2] = {-1, -1};

    for (int out = 0; out < 2; out++)
        plb__link_fit(&transfers[out], out == 1, link, &latency[out]);
    if (latency[0] >= 0 || latency[1] >= 0)
        link->latency_seconds = fmax(latency[0], latency[1]);
}

const struct plb_platform *plb_costs_platform(const plb_costs_t *constant)
{
    plb_costs_t *costs = (plb_costs_t *)constant; /* what is kept up to date is not the table */

    pthread_mutex_lock(&costs->lock);
    if (costs->stale) {
        costs->refined = costs->platform;
        for (int tier = PLB_HOST; tier < PLB_TIERS; tier++)
            refine(&costs->refined.link[tier], costs->transfers[tier]);
        if (costs->added.recorded > 0)
            costs->refined.task_seconds = plb__samples_median(&costs->added);
        costs->stale = false;
    }
    pthread_mutex_unlock(&costs->lock);
    return &costs->refined;
}

enum plb_status plb_costs_set_platform(plb_costs_t *costs, const struct plb_platform *platform)
{
    PLB_TRY(plb_platform_check(platform));
    costs->platform = costs->refined = *platform;
    pthread_mutex_lock(&costs->lock);
    costs->stale = true;
    pthread_mutex_unlock(&costs->lock);
    return PLB_OK;
}
