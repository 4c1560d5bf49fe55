/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the places of a platform are kept: places lie on nodes, nodes on sites. What two places are
 * joined by follows from where they lie, so that a thousand places take a thousand entries and not
 * a million. Not installed.
 */
#ifndef PLB_PLAN_PLACES_INTERNAL_H
#define PLB_PLAN_PLACES_INTERNAL_H

#include "runtime/plan/places.h"

#define PLB__KINDS_MAX 256
#define PLB__SITES_MAX 256
/* Names of kinds, nodes and sites in a file. */
#define PLB__PLACES_NAME 40

struct plb__wire {
    double bytes_per_second; /* 0: it is not there */
    double latency_seconds;
};

struct plb__kind {
    char name[PLB__PLACES_NAME];
    plb_costs_t *costs; /* owned */
};

struct plb__node {
    char name[PLB_PLACE_NAME];
    uint32_t site;
    struct plb__wire link;    /* between devices of the node */
    struct plb__wire network; /* to other nodes */
    uint32_t up;              /* port of the way up, the next one is down; PLB_NONE: each device of
                                 the node has its own */
};

/* From a site to another one; port 0 when the wire is not there. */
struct plb__bridge {
    struct plb__wire wire;
    uint32_t port;
};

/* Ports of a device begin here: out and in on the link of its node, then, where its node has no
 * common ones, up and down. */
enum plb__device_port { PLB__PORT_OUT, PLB__PORT_IN, PLB__PORT_UP, PLB__PORT_DOWN };

struct plb_places {
    uint32_t n, n_kinds, n_nodes, n_sites, n_ports;
    struct plb_place *place;
    uint32_t *port; /* per place: its first one */
    struct plb__kind *kind;
    struct plb__node *node;
    struct plb__bridge *bridge; /* [from site * n_sites + to site] */
};

/* Room for that many of each, zeroed. PLB_ERROR_MEMORY. */
enum plb_status plb__places_create(uint32_t n, uint32_t n_kinds, uint32_t n_nodes, uint32_t n_sites,
                                   plb_places_t **places_out);

/* Gives the devices, nodes and bridges their ports, when all else is there. `common[node]`: devices
 * share the node's way to other nodes. */
void plb__places_number_ports(plb_places_t *places, const bool *common);

#endif
