/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device "cpu": StarPU's CPU workers and main memory. Several of them are groups of workers,
 * which StarPU binds to cores one after the other, on the same memory.
 */
#include "runtime/run/device_internal.h"
#include "runtime/run/run_internal.h"

#include <string.h>

static struct {
    struct plb_device device[PLB_DEVICES_MAX];
    size_t held[PLB_DEVICES_MAX];
} cpu;

static enum plb_status take(const struct plb_device *device, size_t bytes, const char *what,
                            struct plb_block *block_out)
{
    void *address;

    PLB_TRY(plb__memory_map(bytes, what, &address));
    *block_out = (struct plb_block){.address = address, .bytes = bytes, .device = device};
    cpu.held[device->number] += bytes;
    return PLB_OK;
}

static void give(struct plb_block *block)
{
    plb__memory_unmap(block->address, block->bytes);
    if (block->device)
        cpu.held[block->device->number] -= block->bytes;
    *block = (struct plb_block){0};
}

static size_t held(const struct plb_device *device)
{
    return cpu.held[device->number];
}

static enum plb_status copy_out(const struct plb_block *from, size_t offset, void *to, size_t bytes)
{
    memcpy(to, (const char *)from->address + offset, bytes);
    return PLB_OK;
}

static enum plb_status copy_in(const void *from, const struct plb_block *to, size_t offset,
                               size_t bytes)
{
    memcpy((char *)to->address + offset, from, bytes);
    return PLB_OK;
}

static enum plb_status copy_peer(const struct plb_block *from, size_t from_offset,
                                 const struct plb_block *to, size_t to_offset, size_t bytes)
{
    return copy_in((const char *)from->address + from_offset, to, to_offset, bytes);
}

static enum plb_status prepare(const struct plb__device_wish *wish, uint32_t n,
                               struct starpu_conf *conf)
{
    int workers = 0;

    for (uint32_t k = 0; k < n; k++)
        workers += wish[k].workers;
    if (workers > STARPU_MAXCPUS)
        return plb_fail(PLB_ERROR_INVALID, "%d workers asked for; 1 to %d can be had", workers,
                        STARPU_MAXCPUS);
    if (workers > 0)
        conf->ncpus = workers;
    conf->nopencl = 0;
    return PLB_OK;
}

static enum plb_status start(const struct plb__device_wish *wish, uint32_t n,
                             struct plb_device **device_out)
{
    int all = (int)starpu_cpu_worker_get_count();
    int next = starpu_worker_get_by_type(STARPU_CPU_WORKER, 0), end = next + all;

    for (uint32_t k = 0; k < n; k++) {
        int workers = wish[k].group ? wish[k].workers : all;

        if (next + workers > end)
            return plb_fail(PLB_ERROR_INVALID,
                            "StarPU started %d CPU workers, too few for %u groups", all, n);
        cpu.held[k] = 0;
        cpu.device[k] = (struct plb_device){.name = "cpu",
                                            .number = k,
                                            .where = STARPU_CPU,
                                            .node = STARPU_MAIN_RAM,
                                            .workers = workers,
                                            .first_worker = next,
                                            .grain_seconds = PLB__GRAIN_CPU,
                                            .ledger = 0,
                                            .bytes = plb__memory_bytes(),
                                            .take = take,
                                            .give = give,
                                            .held = held,
                                            .copy_out = copy_out,
                                            .copy_in = copy_in,
                                            .copy_peer = copy_peer};
        device_out[k] = &cpu.device[k];
        next += workers;
    }
    return PLB_OK;
}

static void stop(void)
{
}

const struct plb__device_kind plb__device_cpu = {
    .name = "cpu", .prepare = prepare, .start = start, .stop = stop};
