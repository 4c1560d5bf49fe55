/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plan as a film: what lies in the device's memory at each moment of a simulated step, and what
 * workers and links do. What is drawn; plan_picture.c draws it.
 */
#ifndef PLB_CLI_PLAN_FILM_H
#define PLB_CLI_PLAN_FILM_H

#include "frontends/cli/planner.h"

/* What lies in memory, from below. */
enum film_kind { HELD, PASSING, KEPT, REMADE, FETCHED, OTHER, KINDS };

/* What workers and links do. */
enum film_work { FORWARD, BACKWARD, UPDATE, AGAIN, OUT, IN, WORKS };

struct film_level {
    double bytes[KINDS];
};

/* A bar of a lane. */
struct film_bar {
    int lane;
    double start, end;
    enum film_work work;
};

#define FILM_LANES_MAX 12

struct film_lane {
    int number; /* of the simulation */
    double busy;
};

struct film {
    const struct cli_decision *decision;
    double span; /* seconds */
    double held; /* bytes of gradients that are held from the first instruction on; in no level */
    int columns;
    struct film_level *level; /* per column: the moment with the most, so that no peak is lost */
    struct film_bar *bar;     /* by lanes, then in order of time */
    uint32_t n_bars;
    struct film_lane lane[FILM_LANES_MAX];
    int n_lanes, lanes_hidden;
};

/* PLB_ERROR_MEMORY. To be cleared in any case. */
enum plb_status film_make(const struct cli_decision *decision, int columns, struct film *film_out);
void film_clear(struct film *film);

double film_total(const struct film_level *level);

#endif
