/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The platform that the running runtime is: its workers, capacities, rates and links.
 *
 * Links are measured with a few copies of one large and one tiny block, of which the median counts.
 * A disk is written and read as offloaded values are, through the system's cache: what is seen is
 * what a step sees as long as the cache has room.
 */
#define _GNU_SOURCE
#include "config.h"

#include "runtime/run/disk.h"
#include "runtime/run/card.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 5 };

#define LARGE_BYTES ((size_t)8 << 20)
#define LEAST_BYTES ((size_t)64 << 10)
#define TINY_BYTES  ((size_t)64)

/* What is copied between: a block of the device or a file, and main memory. */
struct probe {
    const struct plb_block *block;
    const struct plb__disk *disk;
    char *buffer;
    size_t bytes;
};

static enum plb_status copy(const struct probe *p, bool out, size_t bytes)
{
    const struct plb_device *device = plb_runtime_device();

    if (p->disk)
        return out ? plb__disk_write(p->disk, 0, p->buffer, bytes)
                   : plb__disk_read(p->disk, 0, p->buffer, bytes);
    return out ? device->copy_out(p->block, 0, p->buffer, bytes)
               : device->copy_in(p->buffer, p->block, 0, bytes);
}

bool plb__pin(const struct plb_device *device, void *address, size_t bytes)
{
    return device->pin && address && bytes > 0 && device->pin(device, address, bytes) == PLB_OK;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static enum plb_status time_copies(const struct probe *p, bool out, size_t bytes,
                                   double *seconds_out)
{
    double seconds[SAMPLES];

    for (int k = 0; k < SAMPLES; k++) {
        double start = plb__now();

        PLB_TRY(copy(p, out, bytes));
        seconds[k] = plb__now() - start;
    }
    qsort(seconds, SAMPLES, sizeof *seconds, compare);
    *seconds_out = seconds[SAMPLES / 2];
    return PLB_OK;
}

/* Directions are measured one after the other, so nothing is known of both at once. */
static enum plb_status measure(const struct probe *p, struct plb_link *link_out)
{
    double out, in, tiny;

    PLB_TRY(time_copies(p, true, p->bytes, &out));
    PLB_TRY(time_copies(p, false, p->bytes, &in));
    PLB_TRY(time_copies(p, false, TINY_BYTES, &tiny));
    if (!(out > tiny) || !(in > tiny))
        tiny = 0; /* the clock is coarser than that */
    if (!(out > 0) || !(in > 0))
        return plb_fail(PLB_ERROR_UNAVAILABLE, "the clock is too coarse to measure a link");
    *link_out = (struct plb_link){.out_bytes_per_second = (double)p->bytes / (out - tiny),
                                  .in_bytes_per_second = (double)p->bytes / (in - tiny),
                                  .latency_seconds = tiny};
    return PLB_OK;
}

static enum plb_status measure_disk(const char *directory, struct probe *p,
                                    struct plb_link *link_out)
{
    struct plb__disk disk;
    enum plb_status status;

    PLB_TRY(plb__disk_open(plb__disk_directory(directory), p->bytes, &disk));
    p->disk = &disk;
    status = measure(p, link_out);
    plb__disk_close(&disk);
    return status;
}

static enum plb_status measure_host(struct probe *p, struct plb_link *link_out)
{
    const struct plb_device *device = plb_runtime_device();
    size_t room = device->bytes - device->held(device);
    struct plb_block block;
    enum plb_status status;

    if (!device->has_host)
        return plb_fail(PLB_ERROR_UNAVAILABLE, "device '%s' works in main memory", device->name);
    if (p->bytes > room)
        p->bytes = room;
    if (p->bytes < LEAST_BYTES)
        return plb_fail(PLB_ERROR_MEMORY, "no room on the device to measure its link");
    PLB_TRY(device->take(device, p->bytes, "measuring the link", &block));
    p->block = &block;
    status = measure(p, link_out);
    device->give(&block);
    return status;
}

enum plb_status plb_device_measure_link(enum plb_tier tier, const char *directory,
                                        struct plb_link *link_out)
{
    struct probe probe = {.bytes = LARGE_BYTES};
    enum plb_status status;
    bool pinned;

    PLB_TRY(plb__runtime_require());
    probe.buffer = calloc(1, LARGE_BYTES);
    if (!probe.buffer)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to measure a link");
    memset(probe.buffer, 1, LARGE_BYTES);
    pinned = tier == PLB_HOST && plb__pin(plb_runtime_device(), probe.buffer, LARGE_BYTES);
    if (tier == PLB_DISK)
        status = measure_disk(directory, &probe, link_out);
    else if (tier == PLB_HOST)
        status = measure_host(&probe, link_out);
    else
        status = plb_fail(PLB_ERROR_INVALID, "the device has no link to itself");
    if (pinned)
        plb_runtime_device()->unpin(plb_runtime_device(), probe.buffer);
    free(probe.buffer);
    return status;
}

struct plb_platform plb__runtime_nominal(void)
{
    const struct plb_device *device = plb_runtime_device();
    struct plb_platform platform = plb_platform_nominal(device->workers);

    if (device->card)
        plb__card_rates(device->card, &platform);
    if (device->has_host)
        platform.host_bytes_per_second = PLB_NOMINAL_BYTES_PER_SECOND * plb__beside_threads();
    return platform;
}

enum plb_status plb_runtime_platform(const char *directory, struct plb_platform *platform_out)
{
    const struct plb_device *device = plb_runtime_device();
    struct plb_platform platform;

    PLB_TRY(plb__runtime_require());
    platform = plb__runtime_nominal();
    snprintf(platform.name, sizeof platform.name, "%s", device->name);
    platform.bytes[PLB_DEVICE] = device->bytes;
    platform.bytes[PLB_HOST] = device->has_host ? plb__memory_bytes() : 0;
    platform.bytes[PLB_DISK] = 0;
    platform.link[PLB_HOST] = device->host;
    if (directory) {
        platform.bytes[PLB_DISK] = plb__disk_free(directory);
        PLB_TRY(plb_device_measure_link(PLB_DISK, directory, &platform.link[PLB_DISK]));
    }
    *platform_out = platform;
    return PLB_OK;
}
