/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting and stopping StarPU and the device, the workers' scratch memory, the codelets.
 */
#define _GNU_SOURCE
#include "runtime/run/device_internal.h"
#include "runtime/run/ledger.h"
#include "runtime/run/run_internal.h"
#include "runtime/run/starpu_managed.h"

#include "codelets/codelets.h"
#include "codelets/common/blas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    bool started;
    bool resting; /* workers are paused */
    const struct plb__device_kind *kind;
    uint32_t n_devices; /* 0: not started */
    struct plb_device *device[PLB_DEVICES_MAX];
    struct scratch {
        size_t bytes;           /* of each worker */
        struct plb_block block; /* one part for each of them */
    } scratch[PLB_DEVICES_MAX]; /* per device */
    uint8_t device_of_worker[STARPU_NMAXWORKERS];
    uint32_t mask[PLB_DEVICES_MAX][PLB__MASK_WORDS];
    struct starpu_codelet *codelet;  /* per operator, in the order of the table; then once more, for
                                        values that are left to StarPU */
    struct starpu_codelet batch;     /* of several tasks */
    struct starpu_perfmodel *model;
    char (*symbol)[64];
    int n_operators;
} runtime;

enum plb_status plb__starpu_failed(const char *call, int error)
{
    return plb_fail(PLB_ERROR_DEVICE, "%s failed: %s", call, strerror(error < 0 ? -error : error));
}

enum plb_status plb__runtime_require(void)
{
    if (!runtime.started)
        return plb_fail(PLB_ERROR_INVALID, "the runtime is not started (plb_runtime_start)");
    return PLB_OK;
}

/* Scratch memory of a worker begins at a multiple of this. */
#define SCRATCH_ALIGNMENT ((size_t)64)

static enum plb_status start_starpu(const struct plb__device_wish *wish, uint32_t n)
{
    struct starpu_conf conf;
    int error;

    setenv("STARPU_SILENT", "1", 0);
    starpu_conf_init(&conf); /* from the environment, which later would win otherwise */
    conf.precedence_over_environment_variables = 1;
    conf.ncuda = 0;
    conf.catch_signals = 0;
    PLB_TRY(wish->kind->prepare(wish, n, &conf));
    error = starpu_init(&conf);
    if (error == -ENODEV)
        return plb_fail(
            PLB_ERROR_DEVICE, "StarPU has no worker for device '%s' here%s", wish->kind->name,
            wish->kind == &plb__device_cpu && conf.ncpus == 0 ? ": STARPU_NCPU is 0" : "");
    return error ? plb__starpu_failed("starpu_init", error) : PLB_OK;
}

static enum plb_status start_devices(const struct plb__device_wish *wish, uint32_t n)
{
    enum plb_status status;

    plb__opencl_layer_offer();
    status = start_starpu(wish, n);
    plb__opencl_layer_withdraw();
    if (status != PLB_OK)
        return status;
    status = wish->kind->start(wish, n, runtime.device);
    if (status == PLB_OK)
        runtime.n_devices = n;
    else
        starpu_shutdown();
    return status;
}

static void make_codelet(struct starpu_codelet *codelet, struct starpu_perfmodel *model,
                         const char *name, starpu_cpu_func_t function)
{
    starpu_codelet_init(codelet);
    codelet->name = name;
    codelet->cpu_funcs[0] = function;
    codelet->opencl_funcs[0] = function;
#ifdef STARPU_USE_CUDA
    codelet->cuda_funcs[0] = function;
    codelet->cuda_flags[0] = STARPU_CUDA_ASYNC;
#endif
    codelet->nbuffers = STARPU_VARIABLE_NBUFFERS;
    codelet->model = model;
}

static enum plb_status make_codelets(void)
{
    const struct plb_operator *const *ops = plb_operators(&runtime.n_operators);
    size_t n = (size_t)runtime.n_operators;

    runtime.codelet = calloc(2 * n, sizeof *runtime.codelet);
    runtime.model = calloc(n, sizeof *runtime.model);
    runtime.symbol = calloc(n, sizeof *runtime.symbol);
    if (!runtime.codelet || !runtime.model || !runtime.symbol)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %zu codelets", n);
    for (size_t k = 0; k < n; k++) {
        snprintf(runtime.symbol[k], sizeof runtime.symbol[k], "palombe_%s", ops[k]->name);
        runtime.model[k] = (struct starpu_perfmodel){.type = STARPU_HISTORY_BASED,
                                                     .symbol = runtime.symbol[k],
                                                     .footprint = plb__task_footprint};
        make_codelet(&runtime.codelet[k], &runtime.model[k], ops[k]->name, plb__task_run);
        make_codelet(&runtime.codelet[n + k], &runtime.model[k], ops[k]->name, plb__managed_run);
    }
    make_codelet(&runtime.batch, NULL, "batch", plb__task_run);
    return PLB_OK;
}

static void free_codelets(void)
{
    free(runtime.codelet);
    free(runtime.model);
    free(runtime.symbol);
    runtime.codelet = NULL;
    runtime.model = NULL;
    runtime.symbol = NULL;
}

static void give_scratch(const struct plb_device *device)
{
    struct scratch *scratch = &runtime.scratch[device->number];

    plb__ledger_count(device->ledger, PLB_ACCOUNT_SCRATCH, scratch->block.bytes, false);
    device->give(&scratch->block);
    scratch->bytes = 0;
}

static enum plb_status take_scratch(const struct plb_device *device, size_t bytes)
{
    struct scratch *scratch = &runtime.scratch[device->number];
    size_t all = bytes * (size_t)device->workers;

    PLB_TRY(device->take(device, all, "the work space of the kernels", &scratch->block));
    plb__ledger_count(device->ledger, PLB_ACCOUNT_SCRATCH, all, true);
    scratch->bytes = bytes;
    return PLB_OK;
}

/* "PALOMBE_DEVICES" before "PALOMBE_DEVICE", and what the caller says before both. */
static const char *text_of_devices(const struct plb_runtime_options *options)
{
    const char *said[] = {options ? options->devices : NULL, options ? options->device : NULL,
                          getenv("PALOMBE_DEVICES"), getenv("PALOMBE_DEVICE")};

    for (size_t k = 0; k < sizeof said / sizeof said[0]; k++)
        if (said[k] && *said[k])
            return said[k];
    return "cpu";
}

static enum plb_status read_devices(const struct plb_runtime_options *options,
                                    struct plb__device_wish *wish_out, uint32_t *n_out)
{
    int workers = options ? options->workers : 0;

    if (workers < 0 || workers > STARPU_MAXCPUS)
        return plb_fail(PLB_ERROR_INVALID, "%d workers asked for; 1 to %d can be had", workers,
                        STARPU_MAXCPUS);
    PLB_TRY(plb__devices_read(text_of_devices(options), wish_out, n_out));
    if (workers > 0 && wish_out->group)
        return plb_fail(PLB_ERROR_INVALID,
                        "%d workers asked for beside devices that say how many they have", workers);
    if (!wish_out->group)
        wish_out->workers = workers;
    return PLB_OK;
}

/* Tasks compute on the device's workers only. */
static void place_codelets(void)
{
    for (int k = 0; k < 2 * runtime.n_operators; k++)
        runtime.codelet[k].where = runtime.device[0]->where;
    runtime.batch.where = runtime.device[0]->where;
}

/* StarPU numbers the workers of a kind without a gap. */
static void find_workers(void)
{
    memset(runtime.mask, 0, sizeof runtime.mask);
    for (uint32_t k = 0; k < runtime.n_devices; k++)
        for (int j = 0; j < runtime.device[k]->workers; j++) {
            int worker = runtime.device[k]->first_worker + j;

            runtime.device_of_worker[worker] = (uint8_t)k;
            runtime.mask[k][worker / 32] |= 1u << worker % 32;
        }
}

/* A link that nobody says the rates of is measured while the device is empty, that of the first
 * device for all: they are of one kind. */
static enum plb_status measure_link(void)
{
    struct plb_device *device = runtime.device[0];
    struct plb_link link;

    if (!device->has_host || device->host.out_bytes_per_second > 0)
        return PLB_OK;
    PLB_TRY(plb_device_measure_link(PLB_HOST, NULL, &link));
    link.duplex = device->host.duplex; /* directions are measured one after the other */
    for (uint32_t k = 0; k < runtime.n_devices; k++)
        runtime.device[k]->host = link;
    return PLB_OK;
}

enum plb_status plb_runtime_start(const struct plb_runtime_options *options)
{
    struct plb__device_wish wish[PLB_DEVICES_MAX];
    enum plb_status status;
    uint32_t n;

    if (runtime.started)
        return plb_fail(PLB_ERROR_INVALID, "the runtime is started already");
    PLB_TRY(read_devices(options, wish, &n));
    PLB_TRY(plb__environment_check());
    PLB_TRY(plb_blas_start());
    status = make_codelets();
    if (status == PLB_OK)
        status = start_devices(wish, n);
    if (status != PLB_OK) {
        free_codelets();
        return status;
    }
    plb__ledger_restart();
    place_codelets();
    find_workers();
    runtime.kind = wish[0].kind;
    runtime.started = true;
    plb__runtime_rest();
    status = measure_link();
    if (status != PLB_OK)
        plb_runtime_stop();
    return status;
}

void plb_runtime_stop(void)
{
    if (!runtime.started)
        return;
    plb__runtime_wake();
    starpu_task_wait_for_all();
    for (uint32_t k = 0; k < runtime.n_devices; k++)
        give_scratch(runtime.device[k]);
    runtime.kind->stop();
    starpu_shutdown();
    free_codelets();
    runtime.started = false;
    runtime.n_devices = 0;
}

void plb__runtime_wake(void)
{
    if (runtime.resting)
        starpu_resume();
    runtime.resting = false;
}

void plb__runtime_rest(void)
{
    if (runtime.resting || starpu_task_nsubmitted() > 0)
        return;
    starpu_pause();
    runtime.resting = true;
}

int plb_runtime_workers(void)
{
    int workers = 0;

    for (uint32_t k = 0; k < runtime.n_devices; k++)
        workers += runtime.device[k]->workers;
    return workers;
}

const struct plb_device *plb_runtime_device(void)
{
    return runtime.n_devices > 0 ? runtime.device[0] : NULL;
}

uint32_t plb_runtime_devices(void)
{
    return runtime.n_devices;
}

const struct plb_device *plb_runtime_device_at(uint32_t number)
{
    return number < runtime.n_devices ? runtime.device[number] : NULL;
}

const char *plb_runtime_scheduler(void)
{
    struct starpu_sched_policy *policy = runtime.started ? starpu_sched_get_sched_policy() : NULL;

    return policy ? policy->policy_name : "";
}

enum plb_status plb__runtime_reserve_scratch(const struct plb_device *device, size_t bytes)
{
    size_t before = runtime.scratch[device->number].bytes;
    enum plb_status status;

    bytes = (bytes + SCRATCH_ALIGNMENT - 1) / SCRATCH_ALIGNMENT * SCRATCH_ALIGNMENT;
    if (bytes <= before)
        return PLB_OK;
    starpu_task_wait_for_all();
    give_scratch(device); /* both at once might not fit */
    status = take_scratch(device, bytes);
    if (status != PLB_OK && before)
        take_scratch(device, before);
    return status;
}

size_t plb__runtime_scratch_bytes(const struct plb_device *device)
{
    return runtime.scratch[device->number].block.bytes;
}

int plb__runtime_first_worker(void)
{
    return runtime.device[0]->first_worker;
}

int plb__runtime_worker(void)
{
    return starpu_worker_get_id() - plb__runtime_first_worker();
}

uint32_t *plb__runtime_mask(const struct plb_device *device)
{
    return runtime.mask[device->number];
}

void *plb__runtime_scratch(void)
{
    int worker = starpu_worker_get_id();
    uint32_t number = runtime.device_of_worker[worker];
    const struct scratch *scratch = &runtime.scratch[number];

    worker -= runtime.device[number]->first_worker;
    return (char *)scratch->block.address + (size_t)worker * scratch->bytes;
}

struct starpu_codelet *plb__runtime_batch_codelet(void)
{
    return &runtime.batch;
}

struct starpu_codelet *plb__runtime_codelet(const struct plb_operator *op, bool managed)
{
    int n;
    const struct plb_operator *const *ops = plb_operators(&n);

    for (int k = 0; k < n; k++)
        if (ops[k] == op)
            return &runtime.codelet[managed ? n + k : k];
    return NULL;
}
