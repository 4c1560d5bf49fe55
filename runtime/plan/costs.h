/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Costs: how long tasks and transfers take on a platform.
 *
 * A *platform* is what a plan needs to know of a machine: workers, capacities, rates, links. A
 * table of costs adds measured times to it, by operator and *footprint* (a hash of the types of a
 * task's operands in its own range, the same that StarPU's performance models are keyed with). For
 * each key the median of the latest samples counts, so that one bad sample poisons nothing. What
 * was not measured is modelled: the greater of flops over the arithmetic rate and bytes over the
 * memory rate, plus the cost of a task.
 *
 * A table is saved as JSON, so that a plan can be made for a machine that is not at hand.
 *
 * Thread-safety: plb_costs_record() and plb_costs_record_transfer() may be called by many threads
 * at once, also beside the other functions, which belong to one thread at a time.
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

#define PLB_WORKERS_MAX   4096
#define PLB_PLATFORM_NAME 64

struct plb_platform {
    char name[PLB_PLATFORM_NAME];        /* in ASCII */
    int workers;                         /* tasks that run at the same time */
    size_t bytes[PLB_TIERS];             /* capacities; 0: the tier is not there */
    double flops_per_second[PLB_DTYPES]; /* of one worker, by the dtype of a task's first input */
    double bytes_per_second;             /* of one worker */
    double host_bytes_per_second;        /* of tasks that work in main memory beside the device, one
                                            after the other; 0: there are none */
    double task_seconds;                 /* what the runtime adds to each task */
    struct plb_link link[PLB_TIERS];     /* device to HOST, device to DISK; [PLB_DEVICE] unused */
};

/* A platform with `workers` nominal CPU workers, as plb_graph_cut() assumes them, a device memory
 * without limit, no host tier and a modest disk. */
struct plb_platform plb_platform_nominal(int workers);

/* PLB_ERROR_INVALID unless a platform makes sense: at least one worker, rates positive and finite.
 * `flops_per_second` may be 0 but for PLB_F32, whose rate then stands for that dtype; rates of a
 * link may be 0: not known yet. */
enum plb_status plb_platform_check(const struct plb_platform *platform);

typedef struct plb_costs plb_costs_t;

/* An empty table for a platform, which is checked and copied. PLB_ERROR_INVALID,
 * PLB_ERROR_MEMORY. */
enum plb_status plb_costs_create(const struct plb_platform *platform, plb_costs_t **costs_out);
void plb_costs_destroy(plb_costs_t *costs); /* NULL is allowed */
/* Another table with the same platform and samples. PLB_ERROR_MEMORY. */
enum plb_status plb_costs_copy(const plb_costs_t *costs, plb_costs_t **copy_out);

/* The platform, its links by the transfers recorded so far where there are enough of them, and what
 * the runtime adds to a task where that was recorded. What is returned stays where it is as long as the table; later calls bring it up to date. */
const struct plb_platform *plb_costs_platform(const plb_costs_t *costs);
/* Replaces what was given as the platform; samples stay. PLB_ERROR_INVALID. */
enum plb_status plb_costs_set_platform(plb_costs_t *costs, const struct plb_platform *platform);
uint32_t plb_costs_keys(const plb_costs_t *costs); /* different tasks that were measured */
/* Forgets all samples; what was given as the platform stays. */
void plb_costs_forget(plb_costs_t *costs);

/* Files (see doc/costs.md). Reading bounds everything; PLB_ERROR_FORMAT says what is wrong where.
 * Saving is all or nothing, and the same table makes the same file. */
enum plb_status plb_costs_load(const char *path, plb_costs_t **costs_out);
enum plb_status plb_costs_save(const plb_costs_t *costs, const char *path);
/* The same for a text in memory; `name` is what errors call it. */
enum plb_status plb_costs_from_json(const char *text, size_t bytes, const char *name,
                                    plb_costs_t **costs_out);
enum plb_status plb_costs_to_json(const plb_costs_t *costs, char **text_out);
/* Loads a file by its path (anything with a '/' or the ending ".json") or one that comes with
 * Palombe by its name: NAME.json in costs/ of the folder that PALOMBE_DATA_DIR names, else of the
 * installed data. PLB_ERROR_INVALID: an unknown name, with the known ones. */
enum plb_status plb_costs_find(const char *name_or_path, plb_costs_t **costs_out);

/* The key of a task beside its operator's name. */
uint32_t plb_task_footprint(const plb_graph_t *graph, const struct plb_task *task);

/* Adds a sample: seconds that a task spent in its kernel. Samples that are not positive and finite
 * are refused silently; so are new keys when the table is full. */
void plb_costs_record(plb_costs_t *costs, const char *op, uint32_t footprint, double seconds);
/* Adds a sample of what passes on a worker between the end of one kernel and the beginning of the
 * next when nothing is waited for: what the runtime adds to each task, in place of the platform's
 * task_seconds. Safe like plb_costs_record(). */
void plb_costs_record_added(plb_costs_t *costs, double seconds);
/* Adds a sample of a transfer of `bytes` between the device and a tier. Safe like
 * plb_costs_record(). */
void plb_costs_record_transfer(plb_costs_t *costs, enum plb_tier tier, bool out, size_t bytes,
                               double seconds);

/* The median of the samples (of an even number: the lower of the two in the middle, since what
 * disturbs a measurement makes it longer); 0 when there is none. */
double plb_costs_measured(const plb_costs_t *costs, const char *op, uint32_t footprint);
/* Modelled seconds of a task: the greater of flops and bytes over the platform's rates, plus the
 * cost of a task. */
double plb_task_modelled_seconds(const struct plb_platform *platform, const plb_graph_t *graph,
                                 const struct plb_task *task);
/* The same in main memory, beside the device: by the rate of bytes alone, since only updates of
 * parameters work there; HUGE_VAL where nothing can. */
double plb_task_beside_seconds(const struct plb_platform *platform, const plb_graph_t *graph,
                               const struct plb_task *task);
/* Seconds of each task of a graph (`seconds_out` has one entry per task): measured, plus the cost
 * of a task, where a sample exists, else modelled, as is all that works beside the device; `measured_out`, unless NULL, gets the number of
 * measured ones. `costs` NULL: modelled on one nominal worker. Transfers between places take 0. */
enum plb_status plb_costs_of_graph(const plb_costs_t *costs, const plb_graph_t *graph,
                                   double *seconds_out, uint32_t *measured_out);
/* Seconds that a transfer of `bytes` takes on an idle link; HUGE_VAL when there is none. */
double plb_transfer_seconds(const struct plb_platform *platform, enum plb_tier tier, bool out,
                            size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
