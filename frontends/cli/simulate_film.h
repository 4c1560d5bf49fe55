/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A step on several places as a film: which job each place does when, and how much lies in its
 * memory. What is drawn; simulate_picture.c draws it.
 */
#ifndef PLB_CLI_SIMULATE_FILM_H
#define PLB_CLI_SIMULATE_FILM_H

#include "frontends/cli/simulate.h"

/* Sums of gradients, clipping and the like are the rest of a step; what is computed a second time
 * is work again, whatever it is. */
enum job_work { JOB_FORWARD, JOB_INPUTS, JOB_WEIGHTS, JOB_REST, JOB_UPDATE, JOB_AGAIN, JOB_WORKS };

/* Tasks of a kind on a micro-batch that follow each other without a gap that could be seen. */
struct job_bar {
    double start, end;
    enum job_work work;
    int lane;        /* worker of the place */
    int micro_batch; /* -1: of none */
    bool first;      /* of the bars of its job */
};

/* One place. */
struct job_film {
    struct job_bar *bar; /* by lanes, then in order of time */
    uint32_t n_bars;
    double base;   /* bytes that are there all the time */
    double *level; /* bytes in memory, per column: the highest of the moments that fall in it */
};

/* What the tasks of a graph are, found once for all places. */
struct job_kinds {
    enum job_work *work; /* per task of the cut graph */
};
enum plb_status job_kinds_find(const plb_graph_t *graph, struct job_kinds *kinds_out);
void job_kinds_clear(struct job_kinds *kinds);

/* The film of a place that has tasks; `span` seconds are `columns` wide. PLB_ERROR_MEMORY. To be
 * cleared in any case. */
enum plb_status job_film_make(const struct cli_simulation *simulation,
                              const struct cli_trial *trial, const struct job_kinds *kinds,
                              uint32_t place, double span, int columns, struct job_film *film_out);
void job_film_clear(struct job_film *film);

#endif
