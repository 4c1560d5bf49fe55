/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device "cpu": StarPU's CPU workers and main memory.
 */
#include "runtime/run/device_internal.h"
#include "runtime/run/run_internal.h"

#include <string.h>

static struct {
    struct plb_device device;
    size_t held;
} cpu;

static enum plb_status take(size_t bytes, const char *what, struct plb_block *block_out)
{
    void *address;

    PLB_TRY(plb__memory_map(bytes, what, &address));
    *block_out = (struct plb_block){.address = address, .bytes = bytes};
    cpu.held += bytes;
    return PLB_OK;
}

static void give(struct plb_block *block)
{
    plb__memory_unmap(block->address, block->bytes);
    cpu.held -= block->bytes;
    *block = (struct plb_block){0};
}

static size_t held(void)
{
    return cpu.held;
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

static enum plb_status prepare(const struct plb__device_wish *wish, struct starpu_conf *conf)
{
    if (wish->workers > 0)
        conf->ncpus = wish->workers;
    conf->nopencl = 0;
    return PLB_OK;
}

static enum plb_status start(const struct plb__device_wish *wish, struct plb_device **device_out)
{
    (void)wish;
    cpu.device = (struct plb_device){.name = "cpu",
                                     .where = STARPU_CPU,
                                     .node = STARPU_MAIN_RAM,
                                     .workers = (int)starpu_cpu_worker_get_count(),
                                     .grain_seconds = PLB__GRAIN_CPU,
                                     .ledger = 0,
                                     .bytes = plb__memory_bytes(),
                                     .take = take,
                                     .give = give,
                                     .held = held,
                                     .copy_out = copy_out,
                                     .copy_in = copy_in};
    *device_out = &cpu.device;
    return PLB_OK;
}

static void stop(void)
{
}

const struct plb__device_kind plb__device_cpu = {
    .name = "cpu", .prepare = prepare, .start = start, .stop = stop};
