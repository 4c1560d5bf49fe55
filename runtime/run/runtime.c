/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting and stopping StarPU, the workers' scratch memory, the codelets.
 */
#define _GNU_SOURCE
#include "runtime/run/ledger.h"
#include "runtime/run/run_internal.h"

#include "codelets/codelets.h"
#include "codelets/common/blas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    bool started;
    bool resting; /* workers are paused */
    int workers;
    size_t scratch_bytes; /* of each worker */
    void *scratch[STARPU_NMAXWORKERS];
    struct starpu_codelet *codelet; /* per operator, in the order of the table */
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

static enum plb_status start_starpu(int workers)
{
    struct starpu_conf conf;
    int error;

    setenv("STARPU_SILENT", "1", 0);
    starpu_conf_init(&conf); /* from the environment, which later would win otherwise */
    conf.precedence_over_environment_variables = 1;
    if (workers > 0)
        conf.ncpus = workers;
    conf.ncuda = 0;
    conf.nopencl = 0;
    conf.catch_signals = 0;
    error = starpu_init(&conf);
    if (error == -ENODEV)
        return plb_fail(PLB_ERROR_DEVICE, "StarPU has no CPU worker here%s",
                        conf.ncpus == 0 ? ": STARPU_NCPU is 0" : "");
    return error ? plb__starpu_failed("starpu_init", error) : PLB_OK;
}

static enum plb_status make_codelets(void)
{
    const struct plb_operator *const *ops = plb_operators(&runtime.n_operators);
    size_t n = (size_t)runtime.n_operators;

    runtime.codelet = calloc(n, sizeof *runtime.codelet);
    runtime.model = calloc(n, sizeof *runtime.model);
    runtime.symbol = calloc(n, sizeof *runtime.symbol);
    if (!runtime.codelet || !runtime.model || !runtime.symbol)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %zu codelets", n);
    for (size_t k = 0; k < n; k++) {
        snprintf(runtime.symbol[k], sizeof runtime.symbol[k], "palombe_%s", ops[k]->name);
        runtime.model[k] = (struct starpu_perfmodel){.type = STARPU_HISTORY_BASED,
                                                     .symbol = runtime.symbol[k],
                                                     .footprint = plb__task_footprint};
        starpu_codelet_init(&runtime.codelet[k]);
        runtime.codelet[k].name = ops[k]->name;
        runtime.codelet[k].where = STARPU_CPU;
        runtime.codelet[k].cpu_funcs[0] = plb__task_run;
        runtime.codelet[k].nbuffers = STARPU_VARIABLE_NBUFFERS;
        runtime.codelet[k].model = &runtime.model[k];
    }
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

enum plb_status plb_runtime_start(const struct plb_runtime_options *options)
{
    int workers = options ? options->workers : 0;
    enum plb_status status;

    if (runtime.started)
        return plb_fail(PLB_ERROR_INVALID, "the runtime is started already");
    if (workers < 0 || workers > STARPU_MAXCPUS)
        return plb_fail(PLB_ERROR_INVALID, "%d workers asked for; 1 to %d can be had", workers,
                        STARPU_MAXCPUS);
    PLB_TRY(plb__environment_check());
    PLB_TRY(plb_blas_start());
    status = make_codelets();
    if (status == PLB_OK)
        status = start_starpu(workers);
    if (status != PLB_OK) {
        free_codelets();
        return status;
    }
    runtime.workers = (int)starpu_cpu_worker_get_count();
    runtime.started = true;
    plb__runtime_rest();
    return PLB_OK;
}

static void free_scratch(void *scratch[])
{
    for (int w = 0; w < STARPU_NMAXWORKERS; w++) {
        free(scratch[w]);
        scratch[w] = NULL;
    }
}

static void set_scratch_bytes(size_t bytes, int workers)
{
    plb__ledger_count(0, PLB_ACCOUNT_SCRATCH, runtime.scratch_bytes * (size_t)workers, false);
    plb__ledger_count(0, PLB_ACCOUNT_SCRATCH, bytes * (size_t)workers, true);
    runtime.scratch_bytes = bytes;
}

void plb_runtime_stop(void)
{
    if (!runtime.started)
        return;
    plb__runtime_wake();
    starpu_task_wait_for_all();
    starpu_shutdown();
    free_scratch(runtime.scratch);
    set_scratch_bytes(0, runtime.workers);
    free_codelets();
    runtime.started = false;
    runtime.workers = 0;
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
    return runtime.workers;
}

const char *plb_runtime_scheduler(void)
{
    struct starpu_sched_policy *policy = runtime.started ? starpu_sched_get_sched_policy() : NULL;

    return policy ? policy->policy_name : "";
}

enum plb_status plb__runtime_reserve_scratch(size_t bytes)
{
    int workers = (int)starpu_worker_get_count();
    void *larger[STARPU_NMAXWORKERS] = {NULL};

    if (bytes <= runtime.scratch_bytes)
        return PLB_OK;
    for (int w = 0; w < workers; w++) {
        if (posix_memalign(&larger[w], 64, bytes) != 0) {
            larger[w] = NULL;
            free_scratch(larger);
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %.1f MiB of scratch per worker",
                            (double)bytes / 0x1p20);
        }
    }
    starpu_task_wait_for_all();
    free_scratch(runtime.scratch);
    memcpy(runtime.scratch, larger, sizeof larger);
    set_scratch_bytes(bytes, workers);
    return PLB_OK;
}

size_t plb__runtime_scratch_bytes(void)
{
    return runtime.scratch_bytes * (size_t)runtime.workers;
}

void *plb__runtime_scratch(void)
{
    return runtime.scratch[starpu_worker_get_id()];
}

struct starpu_codelet *plb__runtime_codelet(const struct plb_operator *op)
{
    int n;
    const struct plb_operator *const *ops = plb_operators(&n);

    for (int k = 0; k < n; k++)
        if (ops[k] == op)
            return &runtime.codelet[k];
    return NULL;
}
