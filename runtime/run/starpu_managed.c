/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values that are left to StarPU.
 *
 * StarPU gives an OpenCL kernel its buffers as cl_mem; on the CPU they have an address, at which
 * the CPU kernels work (opencl_layer.h).
 */
#define _GNU_SOURCE
#include "config.h"

#ifdef PLB_HAVE_OPENCL
#include "runtime/run/opencl_layer.h"
#endif

#include "runtime/run/ledger.h"
#include "runtime/run/starpu_managed.h"

#include <stdlib.h>
#include <time.h>

static uint64_t nanoseconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- tasks ---- */

static void *address_of(void *buffer)
{
#ifdef PLB_HAVE_OPENCL
    if (starpu_worker_get_type(starpu_worker_get_id()) == STARPU_OPENCL_WORKER) {
        cl_command_queue queue;
        char *address;

        starpu_opencl_get_current_queue(&queue);
        address = plb__opencl_address(queue, (cl_mem)STARPU_VARIABLE_GET_DEV_HANDLE(buffer));
        return address ? address + STARPU_VARIABLE_GET_OFFSET(buffer) : NULL;
    }
#endif
    return (void *)STARPU_VARIABLE_GET_PTR(buffer);
}

static enum plb_status run_kernel(const struct plb__launch *launch, void *buffers[], uint64_t step)
{
    enum { CELLS_ON_STACK = 64 };
    const struct plb__invocation *invocation = &launch->job->invocation;
    void *few[CELLS_ON_STACK], **data = few;
    enum plb_status status = PLB_OK;

    if (invocation->n_cells > CELLS_ON_STACK)
        data = malloc(invocation->n_cells * sizeof *data);
    if (!data)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the addresses of %u cells",
                        invocation->n_cells);
    for (uint32_t j = 0; j < invocation->n_cells && status == PLB_OK; j++) {
        data[j] = address_of(buffers[launch->buffer_of[j]]);
        if (!data[j])
            status = plb_fail(PLB_ERROR_DEVICE, "an OpenCL buffer cannot be mapped");
    }
    if (status == PLB_OK)
        status = plb__invocation_run(invocation, data, step, plb__runtime_scratch());
    if (data != few)
        free(data);
    return status;
}

/* Enters into the ledger what StarPU holds on the card now. Its one worker is the only caller. */
static void count_used(struct plb_session *s)
{
    size_t used;

    if (!s->device->has_host)
        return;
    used = starpu_memory_get_used(s->device->node) - s->managed_reserved;
    plb__ledger_count(s->device->ledger, PLB_ROLE_ACTIVATION, s->managed_used, false);
    plb__ledger_count(s->device->ledger, PLB_ROLE_ACTIVATION, used, true);
    s->managed_used = used;
}

void plb__managed_run(void *buffers[], void *argument)
{
    struct plb__instance *instance = argument;
    struct plb_session *s = instance->step->session;
    const char *name = instance->launch->job->invocation.name;
    enum plb_status status;

    if (plb__session_failed(s) != PLB_OK)
        return;
    count_used(s);
    instance->start = nanoseconds();
    status = run_kernel(instance->launch, buffers, instance->step->number);
    instance->end = nanoseconds();
    instance->worker = plb__runtime_worker();
    if (status != PLB_OK)
        plb__session_fail(s, name, status);
}

/* ---- variables ---- */

void plb__managed_register(starpu_data_handle_t *token_out, void *data, size_t bytes)
{
    starpu_variable_data_register(token_out, data ? STARPU_MAIN_RAM : -1, (uintptr_t)data, bytes);
}

void plb__managed_unregister(starpu_data_handle_t token, bool has_home)
{
    plb__runtime_wake(); /* a worker must bring it */
    if (has_home)
        starpu_data_unregister(token);
    else
        starpu_data_unregister_no_coherency(token);
}

enum plb_status plb__managed_acquire(starpu_data_handle_t token, bool write, void **data_out)
{
    int error;

    plb__runtime_wake();
    error = starpu_data_acquire(token, write ? STARPU_W : STARPU_R);
    if (error)
        return plb__starpu_failed("starpu_data_acquire", error);
    *data_out = (void *)starpu_variable_get_local_ptr(token);
    return PLB_OK;
}

void plb__managed_release(starpu_data_handle_t token)
{
    starpu_data_release(token);
}

/* ---- limits ---- */

/* Of the distinct variables that an instruction reads and writes. */
static size_t launch_bytes(const struct plb__launch *launch)
{
    const struct plb_layout *layout = &launch->program->layout;
    uint32_t i = (uint32_t)(launch->instruction - launch->program->plan.instruction);
    size_t bytes = 0;

    for (uint32_t j = layout->in_operand[i]; j < layout->in_operand[i + 1]; j++) {
        uint32_t before = layout->in_operand[i];

        while (layout->operand[before] != layout->operand[j])
            before++;
        if (before == j)
            bytes += layout->slot[layout->operand[j]].bytes;
    }
    return bytes;
}

static enum plb_status check_launches(const struct plb__program *program, size_t most)
{
    for (uint32_t k = 0; k < program->n_launches; k++) {
        const struct plb__launch *launch = &program->launch[k];
        size_t bytes = launch_bytes(launch);

        if (bytes > most)
            return plb_fail(PLB_ERROR_MEMORY,
                            "task %s needs %s at once, and %s are left for values",
                            launch->job->invocation.name, plb_bytes_text((double)bytes).text,
                            plb_bytes_text((double)most).text);
    }
    return PLB_OK;
}

enum plb_status plb__managed_limit(struct plb_session *s)
{
    size_t budget = plb__planning_budget(s), taken = s->device->held(s->device);
    starpu_ssize_t total = starpu_memory_get_total(s->device->node);
    size_t left = budget > taken ? budget - taken : 0;

    if (!s->device->has_host || total < 0)
        return PLB_OK;
    if (left > (size_t)total)
        left = (size_t)total;
    PLB_TRY(check_launches(s->program, left));
    s->managed_reserved = (size_t)total - left;
    starpu_memory_allocate(s->device->node, s->managed_reserved, STARPU_MEMORY_OVERFLOW);
    return PLB_OK;
}

void plb__managed_unlimit(struct plb_session *s)
{
    plb__ledger_count(s->device->ledger, PLB_ROLE_ACTIVATION, s->managed_used, false);
    s->managed_used = 0;
    if (s->managed_reserved)
        starpu_memory_deallocate(s->device->node, s->managed_reserved);
    s->managed_reserved = 0;
}
