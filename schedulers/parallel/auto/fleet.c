/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A row of places, and what its groups have. What this is not: which rows there are (orders.c).
 */
#include "config.h"

#include "schedulers/parallel/auto/fleet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double capacity_of(const struct plb_auto_problem *problem, uint32_t place)
{
    uint32_t kind = plb_places_at(problem->places, place)->kind;
    size_t bytes = problem->budget
                       ? problem->budget[place]
                       : plb_costs_platform(plb_places_costs(problem->places, kind))->bytes[0];

    return bytes == SIZE_MAX || (bytes == 0 && !problem->budget) ? HUGE_VAL : (double)bytes;
}

static struct plb__ring wider(const struct plb__fleet *fleet, uint32_t d, uint32_t k)
{
    uint32_t half = 1u << (d - 1), end = k + 2 * half;
    struct plb__ring none = {0, 0, 0}, ring;
    struct plb_way across, back;

    if (end > fleet->n || fleet->kind[k] != fleet->kind[k + half])
        return none;
    ring = fleet->ring[d - 1][k];
    if (!(ring.rate > 0) || !(fleet->ring[d - 1][k + half].rate > 0))
        return none;
    across = plb_places_way(fleet->places, fleet->place[k + half - 1], fleet->place[k + half]);
    back = plb_places_way(fleet->places, fleet->place[end - 1], fleet->place[k]);
    ring.rate = fmin(ring.rate, fleet->ring[d - 1][k + half].rate);
    ring.rate = fmin(ring.rate, fmin(across.bytes_per_second, back.bytes_per_second));
    ring.latency = fmax(fmax(ring.latency, fleet->ring[d - 1][k + half].latency),
                        fmax(across.latency_seconds, back.latency_seconds));
    ring.capacity = fmin(ring.capacity, fleet->ring[d - 1][k + half].capacity);
    return ring;
}

static bool same_ring(const struct plb__ring *a, const struct plb__ring *b)
{
    return a->rate == b->rate && a->latency == b->latency && a->capacity == b->capacity;
}

bool plb__fleet_same(const struct plb__fleet *fleet, uint32_t a, uint32_t b, uint32_t n)
{
    for (uint32_t i = 0; a != b && i < n; i++) {
        if (fleet->kind[a + i] != fleet->kind[b + i])
            return false;
        for (uint32_t d = 0; d < PLB_AUTO_DEGREES && i + (1u << d) <= n; d++)
            if (!same_ring(&fleet->ring[d][a + i], &fleet->ring[d][b + i]))
                return false;
    }
    return true;
}

static bool all_alike(const struct plb__fleet *fleet)
{
    for (uint32_t d = 0; d < PLB_AUTO_DEGREES; d++)
        for (uint32_t k = 1u << d; k + (1u << d) <= fleet->n; k += 1u << d)
            if (fleet->kind[k] != fleet->kind[0] ||
                !same_ring(&fleet->ring[d][0], &fleet->ring[d][k]))
                return false;
    return true;
}

enum plb_status plb__fleet_create(const struct plb_auto_problem *problem, const uint32_t *place,
                                  uint32_t n, struct plb__fleet *fleet_out)
{
    struct plb__fleet fleet = {.places = problem->places, .n = n};
    bool complete;

    fleet.place = malloc(n * sizeof *fleet.place);
    fleet.kind = malloc(n * sizeof *fleet.kind);
    complete = fleet.place && fleet.kind;
    for (uint32_t d = 0; d < PLB_AUTO_DEGREES; d++) {
        fleet.ring[d] = malloc(n * sizeof *fleet.ring[d]);
        complete = complete && fleet.ring[d];
    }
    if (!complete) {
        plb__fleet_clear(&fleet);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a row of %u places", n);
    }
    memcpy(fleet.place, place, n * sizeof *place);
    for (uint32_t k = 0; k < n; k++) {
        fleet.kind[k] = plb_places_at(problem->places, place[k])->kind;
        fleet.ring[0][k] = (struct plb__ring){HUGE_VAL, 0, capacity_of(problem, place[k])};
    }
    for (uint32_t d = 1; d < PLB_AUTO_DEGREES; d++)
        for (uint32_t k = 0; k < n; k++)
            fleet.ring[d][k] = wider(&fleet, d, k);
    fleet.alike = all_alike(&fleet);
    *fleet_out = fleet;
    return PLB_OK;
}

void plb__fleet_clear(struct plb__fleet *fleet)
{
    free(fleet->place);
    free(fleet->kind);
    for (uint32_t d = 0; d < PLB_AUTO_DEGREES; d++)
        free(fleet->ring[d]);
    *fleet = (struct plb__fleet){.n = 0};
}

double plb__fleet_seconds(const struct plb__fleet *fleet, uint32_t from, uint32_t to, double bytes)
{
    struct plb_way way;

    if (from == to)
        return 0;
    way = plb_places_way(fleet->places, fleet->place[from], fleet->place[to]);
    return way.bytes_per_second > 0 ? way.latency_seconds + bytes / way.bytes_per_second
                                    : HUGE_VAL;
}
