/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Places and the ways between them. What this is not: the files (places_read.c).
 */
#include "config.h"

#include "runtime/plan/places_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum plb_status plb__places_create(uint32_t n, uint32_t n_kinds, uint32_t n_nodes, uint32_t n_sites,
                                   plb_places_t **places_out)
{
    plb_places_t *places = calloc(1, sizeof *places);

    if (!places)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u places", n);
    places->place = calloc(n, sizeof *places->place);
    places->port = calloc(n, sizeof *places->port);
    places->kind = calloc(n_kinds, sizeof *places->kind);
    places->node = calloc(n_nodes, sizeof *places->node);
    places->bridge = calloc((size_t)n_sites * n_sites, sizeof *places->bridge);
    if (!places->place || !places->port || !places->kind || !places->node || !places->bridge) {
        plb_places_destroy(places);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u places", n);
    }
    places->n = n;
    places->n_kinds = n_kinds;
    places->n_nodes = n_nodes;
    places->n_sites = n_sites;
    *places_out = places;
    return PLB_OK;
}

void plb_places_destroy(plb_places_t *places)
{
    if (!places)
        return;
    for (uint32_t k = 0; k < places->n_kinds; k++)
        plb_costs_destroy(places->kind[k].costs);
    free(places->place);
    free(places->port);
    free(places->kind);
    free(places->node);
    free(places->bridge);
    free(places);
}

void plb__places_number_ports(plb_places_t *places, const bool *common)
{
    uint32_t port = 0;

    for (uint32_t n = 0; n < places->n_nodes; n++) {
        places->node[n].up = common[n] ? port : PLB_NONE;
        port += common[n] ? 2 : 0;
    }
    for (uint32_t p = 0; p < places->n; p++) {
        places->port[p] = port;
        port += common[places->place[p].node] ? 2 : 4;
    }
    for (uint32_t b = 0; b < places->n_sites * places->n_sites; b++)
        if (places->bridge[b].wire.bytes_per_second > 0)
            places->bridge[b].port = port++;
    places->n_ports = port;
}

/* ---- what is there ---- */

uint32_t plb_places_count(const plb_places_t *places)
{
    return places->n;
}

const struct plb_place *plb_places_at(const plb_places_t *places, uint32_t place)
{
    return &places->place[place];
}

uint32_t plb_places_kinds(const plb_places_t *places)
{
    return places->n_kinds;
}

const plb_costs_t *plb_places_costs(const plb_places_t *places, uint32_t kind)
{
    return places->kind[kind].costs;
}

const char *plb_places_kind_name(const plb_places_t *places, uint32_t kind)
{
    return places->kind[kind].name;
}

uint32_t plb_places_ports(const plb_places_t *places)
{
    return places->n_ports;
}

/* ---- ways ---- */

static uint32_t up_or_down(const plb_places_t *places, uint32_t place, bool down)
{
    const struct plb__node *node = &places->node[places->place[place].node];

    if (node->up != PLB_NONE)
        return node->up + down;
    return places->port[place] + PLB__PORT_UP + down;
}

/* One more stretch of the way. A wire that is not there is passed over. */
static void add_wire(struct plb_way *way, const struct plb__wire *wire)
{
    if (wire->bytes_per_second > 0)
        way->bytes_per_second = fmin(way->bytes_per_second, wire->bytes_per_second);
}

static struct plb_way way_in_node(const plb_places_t *places, uint32_t from, uint32_t to)
{
    const struct plb__wire *link = &places->node[places->place[from].node].link;

    return (struct plb_way){
        .bytes_per_second = link->bytes_per_second,
        .latency_seconds = link->latency_seconds,
        .n_ports = 2,
        .port = {places->port[from] + PLB__PORT_OUT, places->port[to] + PLB__PORT_IN}};
}

static struct plb_way way_in_site(const plb_places_t *places, uint32_t from, uint32_t to)
{
    const struct plb__wire *up = &places->node[places->place[from].node].network;
    const struct plb__wire *down = &places->node[places->place[to].node].network;

    return (struct plb_way){
        .bytes_per_second = fmin(up->bytes_per_second, down->bytes_per_second),
        .latency_seconds = fmax(up->latency_seconds, down->latency_seconds),
        .n_ports = 2,
        .port = {up_or_down(places, from, false), up_or_down(places, to, true)}};
}

static struct plb_way way_between_sites(const plb_places_t *places, uint32_t from, uint32_t to)
{
    const struct plb__node *a = &places->node[places->place[from].node];
    const struct plb__node *b = &places->node[places->place[to].node];
    const struct plb__bridge *bridge = &places->bridge[a->site * places->n_sites + b->site];
    struct plb_way way = {.bytes_per_second = bridge->wire.bytes_per_second};

    way.latency_seconds =
        bridge->wire.latency_seconds + fmax(a->network.latency_seconds, b->network.latency_seconds);
    add_wire(&way, &a->network);
    add_wire(&way, &b->network);
    if (a->network.bytes_per_second > 0)
        way.port[way.n_ports++] = up_or_down(places, from, false);
    way.port[way.n_ports++] = bridge->port;
    if (b->network.bytes_per_second > 0)
        way.port[way.n_ports++] = up_or_down(places, to, true);
    return way;
}

struct plb_way plb_places_way(const plb_places_t *places, uint32_t from, uint32_t to)
{
    uint32_t a = places->place[from].node, b = places->place[to].node;
    struct plb_way way;

    if (from == to)
        return (struct plb_way){.bytes_per_second = HUGE_VAL};
    if (a == b)
        way = way_in_node(places, from, to);
    else if (places->node[a].site == places->node[b].site)
        way = way_in_site(places, from, to);
    else
        way = way_between_sites(places, from, to);
    return way.bytes_per_second > 0 ? way : (struct plb_way){.bytes_per_second = 0};
}

double plb_places_seconds(const plb_places_t *places, uint32_t from, uint32_t to, size_t bytes)
{
    struct plb_way way = plb_places_way(places, from, to);

    if (from == to)
        return 0.0;
    if (!(way.bytes_per_second > 0))
        return HUGE_VAL;
    return way.latency_seconds + (double)bytes / way.bytes_per_second;
}

/* ---- making and losing places ---- */

static enum plb_status check_wire(double bytes_per_second, double latency_seconds)
{
    if (!(bytes_per_second >= 0) || !(latency_seconds >= 0) || !isfinite(latency_seconds))
        return plb_fail(PLB_ERROR_INVALID, "a link of %g bytes per second and %g seconds",
                        bytes_per_second, latency_seconds);
    return PLB_OK;
}

enum plb_status plb_places_uniform(uint32_t n, const plb_costs_t *costs, double bytes_per_second,
                                   double latency_seconds, plb_places_t **places_out)
{
    const bool common = false;
    plb_places_t *places = NULL;
    enum plb_status status;

    if (n < 1 || n > PLB_PLACES_MAX)
        return plb_fail(PLB_ERROR_INVALID, "%u places, not 1 to %u", n, PLB_PLACES_MAX);
    PLB_TRY(check_wire(bytes_per_second, latency_seconds));
    PLB_TRY(plb__places_create(n, 1, 1, 1, &places));
    status = plb_costs_copy(costs, &places->kind[0].costs);
    if (status != PLB_OK) {
        plb_places_destroy(places);
        return status;
    }
    snprintf(places->kind[0].name, sizeof places->kind[0].name, "%.*s", PLB__PLACES_NAME - 1,
             plb_costs_platform(costs)->name);
    snprintf(places->node[0].name, sizeof places->node[0].name, "node");
    places->node[0].link = (struct plb__wire){bytes_per_second, latency_seconds};
    for (uint32_t p = 0; p < n; p++) {
        places->place[p].device = p;
        snprintf(places->place[p].name, PLB_PLACE_NAME, "node/%s.%u", places->kind[0].name, p);
    }
    plb__places_number_ports(places, &common);
    *places_out = places;
    return PLB_OK;
}

/* All but the places themselves. */
static enum plb_status copy_rest(const plb_places_t *from, plb_places_t *to)
{
    memcpy(to->node, from->node, from->n_nodes * sizeof *from->node);
    memcpy(to->bridge, from->bridge, (size_t)from->n_sites * from->n_sites * sizeof *from->bridge);
    to->n_ports = from->n_ports;
    for (uint32_t k = 0; k < from->n_kinds; k++) {
        memcpy(to->kind[k].name, from->kind[k].name, PLB__PLACES_NAME);
        PLB_TRY(plb_costs_copy(from->kind[k].costs, &to->kind[k].costs));
    }
    return PLB_OK;
}

enum plb_status plb_places_without(const plb_places_t *places, const bool *gone, uint32_t *old_out,
                                   plb_places_t **places_out)
{
    plb_places_t *left = NULL;
    enum plb_status status;
    uint32_t n = 0;

    for (uint32_t p = 0; p < places->n; p++)
        n += !gone[p];
    if (n == 0)
        return plb_fail(PLB_ERROR_INVALID, "none of %u places is left", places->n);
    PLB_TRY(plb__places_create(n, places->n_kinds, places->n_nodes, places->n_sites, &left));
    status = copy_rest(places, left);
    if (status != PLB_OK) {
        plb_places_destroy(left);
        return status;
    }
    for (uint32_t p = 0, to = 0; p < places->n; p++)
        if (!gone[p]) {
            left->place[to] = places->place[p];
            left->port[to] = places->port[p];
            if (old_out)
                old_out[to] = p;
            to++;
        }
    *places_out = left;
    return PLB_OK;
}
