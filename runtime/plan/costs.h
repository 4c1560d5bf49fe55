/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Costs: how long tasks and transfers take on a platform.
 *
 * A *platform* is what a plan needs to know of a machine: workers, capacities, rates, links. A
 * table of costs adds measured times to it, by operator and *footprint* (a hash of the types of a
 * task's operands in its own range, the same that StarPU's performance models are keyed with). For
 * each key the median of the latest samples counts, so that one bad sample poisons nothing. What was
 * not measured is modelled: the greater of flops over the arithmetic rate and bytes over the memory
 * rate, plus the cost of a task.
 *
 * A table is saved as JSON, so that a plan can be made for a machine that is not at hand.
 *
 * Thread-safety: plb_costs_record() may be called by many threads at once; the other functions
 * belong to one thread at a time.
 */
#ifndef PLB_PLAN_COSTS_H
#define PLB_PLAN_COSTS_H

#include "runtime/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct plb_link {
    double out_bytes_per_second; /* from the device */
    double in_bytes_per_second;  /* to the device */
    double latency_seconds;      /* of each transfer */
    bool duplex;                 /* both directions at once at full rate */
};

struct plb_platform {
    char name[64];
    int workers; /* tasks that run at the same time */
    size_t bytes[PLB_TIERS]; /* capacities; 0: the tier is not there */
    double flops_per_second[PLB_DTYPES]; /* of one worker, by the dtype of a task's first input */
    double bytes_per_second;             /* of one worker */
    double task_seconds;                 /* what the runtime adds to each task */
    struct plb_link link[PLB_TIERS];     /* device to HOST, device to DISK; [PLB_DEVICE] unused */
};

/* A platform with `workers` nominal CPU workers, as plb_graph_cut() assumes them. */
struct plb_platform plb_platform_nominal(int workers);

typedef struct plb_costs plb_costs_t;

/* An empty table for a platform, which is copied. */
enum plb_status plb_costs_create(const struct plb_platform *platform, plb_costs_t **costs_out);
void plb_costs_destroy(plb_costs_t *costs); /* NULL is allowed */

const struct plb_platform *plb_costs_platform(const plb_costs_t *costs);
void plb_costs_set_platform(plb_costs_t *costs, const struct plb_platform *platform);

/* Files. Reading bounds everything; PLB_ERROR_FORMAT says what is wrong where. Saving is all or
 * nothing. */
enum plb_status plb_costs_load(const char *path, plb_costs_t **costs_out);
enum plb_status plb_costs_save(const plb_costs_t *costs, const char *path);

/* The key of a task beside its operator's name. */
uint32_t plb_task_footprint(const plb_graph_t *graph, const struct plb_task *task);

/* Adds a sample. Samples that are not positive and finite are refused silently. */
void plb_costs_record(plb_costs_t *costs, const char *op, uint32_t footprint, double seconds);
/* Adds a sample of a transfer of `bytes` between the device and a tier. */
void plb_costs_record_transfer(plb_costs_t *costs, enum plb_tier tier, bool out, size_t bytes,
                               double seconds);

/* The median of the samples; 0 when there is none. */
double plb_costs_measured(const plb_costs_t *costs, const char *op, uint32_t footprint);
/* Seconds of each task of a graph (`seconds_out` has one entry per task), measured where a sample
 * exists, else modelled; `measured_out`, unless NULL, gets the number of measured ones. */
enum plb_status plb_costs_of_graph(const plb_costs_t *costs, const plb_graph_t *graph,
                                   double *seconds_out, uint32_t *measured_out);
/* Seconds that a transfer of `bytes` takes on an idle link. */
double plb_transfer_seconds(const struct plb_platform *platform, enum plb_tier tier, bool out,
                            size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
