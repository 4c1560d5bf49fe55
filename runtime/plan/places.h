/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Places: the devices that a plan may use, and the links between them.
 *
 * A place is (node, device). Devices of one *kind* are alike: one table of costs (costs.h) says how
 * long tasks take on them, how many workers they have and how much memory. A *link* joins two
 * places; a transfer occupies *ports* on its way (the way out of a device, the way into one, the
 * up-link and the down-link of a node), each of which carries one transfer after the other. So
 * transfers between different pairs overlap and those that share a port do not.
 *
 * The same description serves one machine with several devices and a cluster that is not at hand.
 * As a file it is JSON, see doc/platforms.md; some come with Palombe (data/platforms/).
 *
 * Thread-safety: a finished description may be read by many threads.
 */
#ifndef PLB_PLAN_PLACES_H
#define PLB_PLAN_PLACES_H

#include "runtime/plan/costs.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PLB_PLACES_MAX     65536
#define PLB_PLACE_NAME     96
#define PLB_PORTS_OF_A_WAY 4

typedef struct plb_places plb_places_t;

struct plb_place {
    char name[PLB_PLACE_NAME]; /* "bordeaux.0/h200.3": unique */
    uint32_t node, device;     /* number of the node; of the device in its node */
    uint32_t kind;             /* of device */
};

/* What a transfer between two places meets. */
struct plb_way {
    double bytes_per_second; /* 0: there is no way */
    double latency_seconds;
    uint32_t n_ports;
    uint32_t port[PLB_PORTS_OF_A_WAY]; /* that it occupies, below plb_places_ports() */
};

uint32_t plb_places_count(const plb_places_t *places);
const struct plb_place *plb_places_at(const plb_places_t *places, uint32_t place);
uint32_t plb_places_kinds(const plb_places_t *places);
/* Costs of a kind, owned by the description; its platform has workers, memory, rates, and the link
 * to main memory. */
const plb_costs_t *plb_places_costs(const plb_places_t *places, uint32_t kind);
const char *plb_places_kind_name(const plb_places_t *places, uint32_t kind);
uint32_t plb_places_ports(const plb_places_t *places);
/* From a place to itself: infinite rate, no latency, no ports. */
struct plb_way plb_places_way(const plb_places_t *places, uint32_t from, uint32_t to);
/* Seconds of a transfer on idle ports; HUGE_VAL when there is no way. */
double plb_places_seconds(const plb_places_t *places, uint32_t from, uint32_t to, size_t bytes);

/* `n` places of one kind on one node, every two joined by a link of their own ports' rate; 0:
 * by none. `costs` is copied. PLB_ERROR_INVALID, PLB_ERROR_MEMORY. */
enum plb_status plb_places_uniform(uint32_t n, const plb_costs_t *costs, double bytes_per_second,
                                   double latency_seconds, plb_places_t **places_out);
/* The places that are left when some are gone: `gone` has one entry per place. Names stay. `old_out`,
 * unless NULL, gets for each place left the number that it had (room for all). PLB_ERROR_INVALID
 * when none is left, PLB_ERROR_MEMORY. */
enum plb_status plb_places_without(const plb_places_t *places, const bool *gone, uint32_t *old_out,
                                   plb_places_t **places_out);
void plb_places_destroy(plb_places_t *places); /* NULL is allowed */

/* Files. Reading bounds everything; PLB_ERROR_FORMAT says what is wrong where (unknown devices,
 * negative or missing figures, places that no link joins). */
enum plb_status plb_places_load(const char *path, plb_places_t **places_out);
enum plb_status plb_places_from_json(const char *text, size_t bytes, const char *name,
                                     plb_places_t **places_out);
/* A file by its path (anything with a '/' or the ending ".json"), or one that comes with Palombe by
 * its name, as plb_costs_find() does for costs. */
enum plb_status plb_places_find(const char *name_or_path, plb_places_t **places_out);

#ifdef __cplusplus
}
#endif

#endif
