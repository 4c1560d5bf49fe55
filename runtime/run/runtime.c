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
    struct plb_device *device;       /* NULL: not started */
    size_t scratch_bytes;            /* of each worker that computes */
    struct plb_block scratch;        /* one part for each of them */
    int first_worker;                /* StarPU's number of the first of them */
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

static enum plb_status start_starpu(const struct plb__device_wish *wish)
{
    struct starpu_conf conf;
    int error;

    setenv("STARPU_SILENT", "1", 0);
    starpu_conf_init(&conf); /* from the environment, which later would win otherwise */
    conf.precedence_over_environment_variables = 1;
    conf.ncuda = 0;
    conf.catch_signals = 0;
    PLB_TRY(wish->kind->prepare(wish, &conf));
    error = starpu_init(&conf);
    if (error == -ENODEV)
        return plb_fail(
            PLB_ERROR_DEVICE, "StarPU has no worker for device '%s' here%s", wish->kind->name,
            wish->kind == &plb__device_cpu && conf.ncpus == 0 ? ": STARPU_NCPU is 0" : "");
    return error ? plb__starpu_failed("starpu_init", error) : PLB_OK;
}

static enum plb_status start_device(const struct plb__device_wish *wish)
{
    enum plb_status status;

    plb__opencl_layer_offer();
    status = start_starpu(wish);
    plb__opencl_layer_withdraw();
    if (status != PLB_OK)
        return status;
    status = wish->kind->start(wish, &runtime.device);
    if (status != PLB_OK)
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

static void give_scratch(void)
{
    plb__ledger_count(runtime.device->ledger, PLB_ACCOUNT_SCRATCH, runtime.scratch.bytes, false);
    runtime.device->give(&runtime.scratch);
    runtime.scratch_bytes = 0;
}

static enum plb_status take_scratch(size_t bytes)
{
    size_t all = bytes * (size_t)runtime.device->workers;

    PLB_TRY(runtime.device->take(all, "the work space of the kernels", &runtime.scratch));
    plb__ledger_count(runtime.device->ledger, PLB_ACCOUNT_SCRATCH, all, true);
    runtime.scratch_bytes = bytes;
    return PLB_OK;
}

static enum plb_status read_device(const struct plb_runtime_options *options,
                                   struct plb__device_wish *wish_out)
{
    const char *text = options ? options->device : NULL;
    int workers = options ? options->workers : 0;

    if (workers < 0 || workers > STARPU_MAXCPUS)
        return plb_fail(PLB_ERROR_INVALID, "%d workers asked for; 1 to %d can be had", workers,
                        STARPU_MAXCPUS);
    if (!text)
        text = getenv("PALOMBE_DEVICE");
    PLB_TRY(plb__device_read(text && *text ? text : "cpu", wish_out));
    wish_out->workers = workers;
    return PLB_OK;
}

/* Tasks compute on the device's workers only. */
static void place_codelets(void)
{
    for (int k = 0; k < 2 * runtime.n_operators; k++)
        runtime.codelet[k].where = runtime.device->where;
    runtime.batch.where = runtime.device->where;
}

/* StarPU numbers the workers of a kind without a gap. */
static void find_workers(void)
{
    enum starpu_worker_archtype type = runtime.device->where == STARPU_CPU    ? STARPU_CPU_WORKER
                                       : runtime.device->where == STARPU_CUDA ? STARPU_CUDA_WORKER
                                                                              : STARPU_OPENCL_WORKER;

    runtime.first_worker = starpu_worker_get_by_type(type, 0);
}

/* A link that nobody says the rates of is measured while the device is empty. */
static enum plb_status measure_link(void)
{
    struct plb_device *device = runtime.device;
    struct plb_link link;

    if (!device->has_host || device->host.out_bytes_per_second > 0)
        return PLB_OK;
    PLB_TRY(plb_device_measure_link(PLB_HOST, NULL, &link));
    link.duplex = device->host.duplex; /* directions are measured one after the other */
    device->host = link;
    return PLB_OK;
}

enum plb_status plb_runtime_start(const struct plb_runtime_options *options)
{
    struct plb__device_wish wish;
    enum plb_status status;

    if (runtime.started)
        return plb_fail(PLB_ERROR_INVALID, "the runtime is started already");
    PLB_TRY(read_device(options, &wish));
    PLB_TRY(plb__environment_check());
    PLB_TRY(plb_blas_start());
    status = make_codelets();
    if (status == PLB_OK)
        status = start_device(&wish);
    if (status != PLB_OK) {
        free_codelets();
        return status;
    }
    plb__ledger_restart();
    place_codelets();
    find_workers();
    runtime.kind = wish.kind;
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
    give_scratch();
    runtime.kind->stop();
    starpu_shutdown();
    free_codelets();
    runtime.started = false;
    runtime.device = NULL;
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
    return runtime.device ? runtime.device->workers : 0;
}

const struct plb_device *plb_runtime_device(void)
{
    return runtime.device;
}

const char *plb_runtime_scheduler(void)
{
    struct starpu_sched_policy *policy = runtime.started ? starpu_sched_get_sched_policy() : NULL;

    return policy ? policy->policy_name : "";
}

enum plb_status plb__runtime_reserve_scratch(size_t bytes)
{
    size_t before = runtime.scratch_bytes;
    enum plb_status status;

    bytes = (bytes + SCRATCH_ALIGNMENT - 1) / SCRATCH_ALIGNMENT * SCRATCH_ALIGNMENT;
    if (bytes <= before)
        return PLB_OK;
    starpu_task_wait_for_all();
    give_scratch(); /* both at once might not fit */
    status = take_scratch(bytes);
    if (status != PLB_OK && before)
        take_scratch(before);
    return status;
}

size_t plb__runtime_scratch_bytes(void)
{
    return runtime.scratch.bytes;
}

int plb__runtime_first_worker(void)
{
    return runtime.first_worker;
}

int plb__runtime_worker(void)
{
    return starpu_worker_get_id() - runtime.first_worker;
}

void *plb__runtime_scratch(void)
{
    return (char *)runtime.scratch.address + (size_t)plb__runtime_worker() * runtime.scratch_bytes;
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
