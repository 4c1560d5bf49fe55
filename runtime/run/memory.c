/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Large blocks of memory for slots and persistent tensors.
 */
#define _GNU_SOURCE
#include "runtime/base/bytes.h"
#include "runtime/run/run_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)

/* Bytes of all blocks. Untouched memory costs nothing yet, so the system would promise more than
 * there is and end the process later: the sum is checked here. */
static size_t mapped;

/* What a container may use, where it says so (control groups, version 2). */
static size_t container_bytes(void)
{
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "r");
    size_t bytes = SIZE_MAX;

    if (!file)
        return SIZE_MAX;
    if (fscanf(file, "%zu", &bytes) != 1) /* "max" */
        bytes = SIZE_MAX;
    fclose(file);
    return bytes;
}

size_t plb__memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t bytes = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : SIZE_MAX;
    size_t container = container_bytes();

    return container < bytes ? container : bytes;
}

/* Blocks of a huge page and more begin at one, so that the kernel can use them throughout. */
static void *map_aligned(size_t bytes)
{
    size_t slack = bytes >= HUGE_PAGE ? HUGE_PAGE : 0;
    char *block =
        mmap(NULL, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t before;

    if (block == MAP_FAILED || slack == 0)
        return block;
    before = (HUGE_PAGE - (uintptr_t)block % HUGE_PAGE) % HUGE_PAGE;
    if (before)
        munmap(block, before);
    if (slack - before)
        munmap(block + before + bytes, slack - before);
    return block + before;
}

static size_t whole_pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (bytes + page - 1) / page * page;
}

enum plb_status plb__memory_map(size_t bytes, const char *what, void **block_out)
{
    size_t most = plb__memory_bytes(); /* a container's limit may have shrunk */
    void *block;

    if (bytes == 0) {
        *block_out = NULL;
        return PLB_OK;
    }
    if (mapped > most || bytes > most - mapped)
        return plb_fail(PLB_ERROR_MEMORY,
                        "%s needs %s; this machine has %s, of which %s are taken here already",
                        what, plb_bytes_text((double)bytes).text, plb_bytes_text((double)most).text,
                        plb_bytes_text((double)mapped).text);
    block = map_aligned(whole_pages(bytes));
    if (block == MAP_FAILED)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the %s of %s: %s",
                        plb_bytes_text((double)bytes).text, what, strerror(errno));
    if (bytes >= HUGE_PAGE)
        madvise(block, whole_pages(bytes), MADV_HUGEPAGE); /* advice only: may fail */
    mapped += bytes;
    *block_out = block;
    return PLB_OK;
}

void plb__memory_unmap(void *block, size_t bytes)
{
    if (!block)
        return;
    munmap(block, whole_pages(bytes));
    mapped -= bytes;
}

/* ---- what is left ---- */

static size_t pretended = SIZE_MAX;

void plb__memory_pretend(size_t available)
{
    pretended = available;
}

/* Memory that the kernel could give without swapping. */
static size_t system_available(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    size_t bytes = SIZE_MAX, kib;
    char line[128];

    if (!file)
        return SIZE_MAX;
    while (bytes == SIZE_MAX && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %zu kB", &kib) == 1)
            bytes = kib << 10;
    fclose(file);
    return bytes;
}

/* Of what a container uses: what the kernel keeps of files, and gives up when memory is wanted.
 * Without taking it off, whoever has read a large file would seem to be short of memory. */
static size_t container_cache(void)
{
    FILE *file = fopen("/sys/fs/cgroup/memory.stat", "r");
    size_t bytes, sum = 0;
    char name[64];

    if (!file)
        return 0;
    while (fscanf(file, "%63s %zu", name, &bytes) == 2)
        if (strcmp(name, "inactive_file") == 0 || strcmp(name, "active_file") == 0)
            sum += bytes;
    fclose(file);
    return sum;
}

static size_t container_available(void)
{
    size_t limit = container_bytes(), used = 0, cache;
    FILE *file;

    if (limit == SIZE_MAX)
        return SIZE_MAX;
    file = fopen("/sys/fs/cgroup/memory.current", "r");
    if (!file)
        return SIZE_MAX;
    if (fscanf(file, "%zu", &used) != 1)
        used = 0;
    fclose(file);
    cache = container_cache();
    used = cache < used ? used - cache : 0;
    return used < limit ? limit - used : 0;
}

size_t plb__memory_available(void)
{
    size_t system, container;

    if (pretended != SIZE_MAX)
        return pretended;
    system = system_available();
    container = container_available();
    return container < system ? container : system;
}
