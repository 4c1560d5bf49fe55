/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device "virtual": an accelerator for machines without one.
 *
 * StarPU drives an OpenCL device that computes on the CPU (PoCL): a memory node of its own and one
 * worker, which runs our CPU kernels. Its memory is main memory that we map, hand to OpenCL as
 * buffers and count against the size that the user gave, to the byte; kernels get its addresses,
 * copies to and from main memory are OpenCL's, so they pass the layer that counts and paces them
 * (opencl_layer.h). There are no CPU workers, whose polling would take the core that transfers
 * need: the worker has one core, and everything else the others. Several virtual devices are
 * several of PoCL's; they share one link.
 *
 * StarPU orders tasks by handles without data (starpu_void_data_register). It was seen that it then
 * allocates nothing on the device (starpu_memory_get_used() stays 0) and makes no OpenCL call that
 * transfers; its own statistics list a few transfers of 0 bytes.
 */
#define _GNU_SOURCE
#include "config.h"

#ifdef PLB_HAVE_OPENCL
#include "runtime/run/opencl_layer.h"
#endif

#include "runtime/base/bytes.h"
#include "runtime/run/device_internal.h"
#include "runtime/run/run_internal.h"

#ifdef PLB_HAVE_OPENCL

#include <stdio.h>
#include <stdlib.h>

struct card {
    struct plb_device device;
    size_t held;
    cl_context context;
    cl_command_queue out, in; /* one each, so that the directions do not wait for one another */
};

static struct card cards[PLB_DEVICES_MAX];

static struct card *card_of(const struct plb_device *device)
{
    return &cards[device->number];
}

static enum plb_status opencl_failed(const char *call, cl_int error)
{
    return plb_fail(PLB_ERROR_DEVICE, "%s failed with OpenCL's error %d", call, (int)error);
}

/* ---- memory ---- */

/* An OpenCL buffer over memory of ours, mapped for as long as it is there. */
static enum plb_status make_buffer(const struct card *card, struct plb_block *block)
{
    cl_int error;
    cl_mem buffer = clCreateBuffer(card->context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR,
                                   block->bytes, block->address, &error);

    if (!buffer)
        return opencl_failed("clCreateBuffer", error);
    block->handle = buffer;
    if (clEnqueueMapBuffer(card->in, buffer, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, block->bytes,
                           0, NULL, NULL, &error) != block->address)
        return opencl_failed("clEnqueueMapBuffer", error);
    return PLB_OK;
}

static void give(struct plb_block *block)
{
    struct card *card = block->device ? card_of(block->device) : NULL;

    if (block->handle && card) {
        clEnqueueUnmapMemObject(card->in, block->handle, block->address, 0, NULL, NULL);
        clFinish(card->in);
        clReleaseMemObject(block->handle);
    }
    plb__memory_unmap(block->address, block->bytes);
    if (card)
        card->held -= block->bytes;
    *block = (struct plb_block){0};
}

static enum plb_status take(const struct plb_device *device, size_t bytes, const char *what,
                            struct plb_block *block_out)
{
    struct card *card = card_of(device);
    size_t left = device->bytes - card->held;
    struct plb_block block = {.bytes = bytes, .device = device};
    enum plb_status status = PLB_OK;

    if (bytes > left)
        return plb_fail(
            PLB_ERROR_MEMORY, "%s needs %s; the virtual device has %s, of which %s are taken", what,
            plb_bytes_text((double)bytes).text, plb_bytes_text((double)device->bytes).text,
            plb_bytes_text((double)card->held).text);
    PLB_TRY(plb__memory_map(bytes, what, &block.address));
    card->held += bytes;
    if (bytes > 0)
        status = make_buffer(card, &block);
    if (status != PLB_OK) {
        give(&block);
        return status;
    }
    *block_out = block;
    return PLB_OK;
}

static size_t held(const struct plb_device *device)
{
    return card_of(device)->held;
}

/* ---- copies ---- */

static enum plb_status copy_out(const struct plb_block *from, size_t offset, void *to, size_t bytes)
{
    cl_int error;

    if (bytes == 0)
        return PLB_OK;
    plb__opencl_ours(true);
    error = clEnqueueReadBuffer(card_of(from->device)->out, from->handle, CL_TRUE, offset, bytes, to,
                                0, NULL, NULL);
    plb__opencl_ours(false);
    return error == CL_SUCCESS ? PLB_OK : opencl_failed("clEnqueueReadBuffer", error);
}

static enum plb_status copy_in(const void *from, const struct plb_block *to, size_t offset,
                               size_t bytes)
{
    cl_int error;

    if (bytes == 0)
        return PLB_OK;
    plb__opencl_ours(true);
    error = clEnqueueWriteBuffer(card_of(to->device)->in, to->handle, CL_TRUE, offset, bytes, from,
                                 0, NULL, NULL);
    plb__opencl_ours(false);
    return error == CL_SUCCESS ? PLB_OK : opencl_failed("clEnqueueWriteBuffer", error);
}

static uint64_t moved_by_starpu(void)
{
    return plb__link_traffic(plb__opencl_link(), PLB__FROM_DEVICE, false).bytes +
           plb__link_traffic(plb__opencl_link(), PLB__TO_DEVICE, false).bytes;
}

/* ---- starting and stopping ---- */

static bool same_link(const struct plb_link *a, const struct plb_link *b)
{
    return !(a->out_bytes_per_second < b->out_bytes_per_second ||
             a->out_bytes_per_second > b->out_bytes_per_second ||
             a->latency_seconds < b->latency_seconds || a->latency_seconds > b->latency_seconds) &&
           a->duplex == b->duplex;
}

static enum plb_status check_wish(const struct plb__device_wish *wish, uint32_t n)
{
    size_t all = 0;

    for (uint32_t k = 0; k < n; k++) {
        all += wish[k].bytes;
        if (wish[k].workers > 1)
            return plb_fail(PLB_ERROR_INVALID,
                            "a virtual device computes with one worker, not %d", wish[k].workers);
        if (!same_link(&wish[k].link, &wish[0].link))
            return plb_fail(PLB_ERROR_INVALID,
                            "virtual devices share one link to main memory: say the same of each");
    }
    if (all <= plb__memory_bytes())
        return PLB_OK;
    if (n == 1)
        return plb_fail(PLB_ERROR_INVALID,
                        "a virtual device of %s does not fit into the %s of this machine",
                        plb_bytes_text((double)all).text,
                        plb_bytes_text((double)plb__memory_bytes()).text);
    return plb_fail(PLB_ERROR_INVALID,
                    "virtual devices of %s together do not fit into the %s of this machine",
                    plb_bytes_text((double)all).text,
                    plb_bytes_text((double)plb__memory_bytes()).text);
}

static enum plb_status prepare(const struct plb__device_wish *wish, uint32_t n,
                               struct starpu_conf *conf)
{
    size_t most = 0;
    char mebibytes[32];

    PLB_TRY(check_wish(wish, n));
    PLB_TRY(plb__opencl_layer_load(n));
    for (uint32_t k = 0; k < n; k++)
        most = wish[k].bytes > most ? wish[k].bytes : most;
    snprintf(mebibytes, sizeof mebibytes, "%zu", most >> 20);
    setenv("STARPU_LIMIT_OPENCL_MEM", mebibytes, 1); /* of what StarPU takes itself */
    unsetenv("STARPU_WORKERS_OPENCLID");             /* meant for others: here they are all ours */
    conf->ncpus = 0;
    conf->nopencl = (int)n;
    return PLB_OK;
}

static void stop(void)
{
    for (uint32_t k = 0; k < PLB_DEVICES_MAX; k++) {
        if (cards[k].in)
            clReleaseCommandQueue(cards[k].in);
        if (cards[k].out)
            clReleaseCommandQueue(cards[k].out);
        cards[k].in = cards[k].out = NULL;
    }
    plb__link_reset(plb__opencl_link(), &(struct plb_link){0});
    unsetenv("STARPU_LIMIT_OPENCL_MEM");
}

static enum plb_status make_queues(struct card *card, int worker)
{
    int number = starpu_worker_get_devid(worker);
    cl_device_id device;
    cl_int error;

    starpu_opencl_get_context(number, &card->context);
    starpu_opencl_get_device(number, &device);
    card->out = clCreateCommandQueueWithProperties(card->context, device, NULL, &error);
    if (card->out)
        card->in = clCreateCommandQueueWithProperties(card->context, device, NULL, &error);
    return card->in ? PLB_OK : opencl_failed("clCreateCommandQueueWithProperties", error);
}

static enum plb_status start_one(const struct plb__device_wish *wish, uint32_t number)
{
    int worker = starpu_worker_get_by_type(STARPU_OPENCL_WORKER, (int)number);
    struct card *card = &cards[number];

    if (worker < 0)
        return plb_fail(PLB_ERROR_DEVICE, "StarPU started %u OpenCL worker%s, too few", number,
                        number == 1 ? "" : "s");
    PLB_TRY(make_queues(card, worker));
    card->held = 0;
    card->device = (struct plb_device){.name = "virtual",
                                       .number = number,
                                       .where = STARPU_OPENCL,
                                       .node = starpu_worker_get_memory_node((unsigned)worker),
                                       .workers = 1,
                                       .first_worker = worker,
                                       .grain_seconds = PLB__GRAIN_CPU,
                                       .ledger = 1,
                                       .bytes = wish->bytes,
                                       .has_host = true,
                                       .host = wish->link,
                                       .take = take,
                                       .give = give,
                                       .held = held,
                                       .copy_out = copy_out,
                                       .copy_in = copy_in,
                                       .moved_by_starpu = moved_by_starpu};
    return PLB_OK;
}

/* StarPU has measured its links by now, and was not to wait for ours. */
static enum plb_status start(const struct plb__device_wish *wish, uint32_t n,
                             struct plb_device **device_out)
{
    for (uint32_t k = 0; k < n; k++) {
        enum plb_status status = start_one(&wish[k], k);

        if (status != PLB_OK) {
            stop();
            return status;
        }
        device_out[k] = &cards[k].device;
    }
    plb__link_reset(plb__opencl_link(), &wish->link);
    return PLB_OK;
}

#else

static enum plb_status prepare(const struct plb__device_wish *wish, uint32_t n,
                               struct starpu_conf *conf)
{
    (void)wish;
    (void)n;
    (void)conf;
    return plb_fail(PLB_ERROR_UNAVAILABLE,
                    "a virtual device needs a StarPU with OpenCL, and there was none when Palombe "
                    "was built");
}

static enum plb_status start(const struct plb__device_wish *wish, uint32_t n,
                             struct plb_device **device_out)
{
    (void)device_out;
    return prepare(wish, n, NULL);
}

static void stop(void)
{
}

#endif

const struct plb__device_kind plb__device_virtual = {
    .name = "virtual", .prepare = prepare, .start = start, .stop = stop};
