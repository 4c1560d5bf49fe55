/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices: where tasks compute and what memory they compute in.
 *
 * The executor lays out a device's memory itself, in blocks that it takes once (see
 * runtime/plan/layout.h); StarPU schedules the tasks and keeps their order, by one handle per range
 * of bytes, and never allocates, moves or evicts. So a kernel's addresses are known when a session
 * is prepared, and a device is no more than what stands here: which workers compute, a way to take
 * memory under a hard limit, and copies to and from main memory.
 *
 *   cpu[:WORKERS]                the machine's cores and main memory; no host tier, only disk
 *   virtual:2GiB[,link=150MB/s]  an OpenCL device on the CPU with a memory of its own behind a link
 *   cuda[:CARD]                  an NVIDIA card
 *
 * There may be several, of one kind, that work together ("cpu:1,cpu:1"): groups of CPU workers share
 * main memory and have different cores; accelerators have memories of their own.
 *
 * Only the workers that compute are StarPU's. Whatever else must happen in order with tasks (a copy
 * between tiers) needs no worker: a task of a codelet that runs STARPU_NOWHERE calls its
 * prologue_callback_func when it is ready, and ends when starpu_task_end_dep_release() says so.
 *
 * Thread-safety: take and give belong to the thread of the runtime; copies may run on any thread,
 * several at a time.
 */
#ifndef PLB_RUN_DEVICE_H
#define PLB_RUN_DEVICE_H

#include "runtime/plan/costs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A piece of device memory. */
struct plb_block {
    void *address; /* as kernels see it */
    void *handle;  /* the device's own name for it (a cl_mem), or NULL */
    size_t bytes;
    const struct plb_device *device; /* that it was taken from; NULL: main memory of nobody's */
};

#define PLB_DEVICES_MAX 32

struct plb__card;

struct plb_device {
    const char *name;     /* "cpu", "virtual", "cuda" */
    uint32_t number;      /* among the devices of the runtime */
    uint32_t where;       /* STARPU_CPU, _OPENCL or _CUDA: the workers that compute */
    unsigned node;        /* StarPU's memory node */
    int workers;          /* that compute */
    int first_worker;     /* StarPU's number of the first; the others follow */
    double grain_seconds; /* how long a batch of tasks should take, where there is one worker: some
                             fifty times what handing over a task costs */
    int ledger;           /* its number in the ledger (see ledger.h) */
    size_t bytes;         /* capacity: no more is ever taken */
    bool has_host;        /* main memory is a tier of its own */
    struct plb_link host; /* the link to it, as it was asked for or measured */
    struct plb__card *card; /* for the executor: has kernels of its own; NULL: the CPU's */

    /* A zeroed block. PLB_ERROR_MEMORY when `bytes` more than are free are asked for; the message
     * says what the block is for, how much it needs and how much there is. */
    enum plb_status (*take)(const struct plb_device *device, size_t bytes, const char *what,
                            struct plb_block *block_out);
    void (*give)(struct plb_block *block); /* back; makes it empty; an empty one is allowed */
    size_t (*held)(const struct plb_device *device); /* bytes taken now */

    /* Main memory that is copied to and from as fast as the link goes: from pin to unpin. A failure
     * only makes copies slower. NULL: all main memory is alike. */
    enum plb_status (*pin)(const struct plb_device *device, void *address, size_t bytes);
    void (*unpin)(const struct plb_device *device, void *address);

    /* Between a block, from `offset` on, and main memory; return when the copy is complete. */
    enum plb_status (*copy_out)(const struct plb_block *from, size_t offset, void *to,
                                size_t bytes);
    enum plb_status (*copy_in)(const void *from, const struct plb_block *to, size_t offset,
                               size_t bytes);
    /* Between blocks of two devices of this kind. NULL: by way of main memory. */
    enum plb_status (*copy_peer)(const struct plb_block *from, size_t from_offset,
                                 const struct plb_block *to, size_t to_offset, size_t bytes);

    /* Bytes that StarPU moved by itself, both ways, since the runtime was started: none unless
     * values are left to it. NULL: it has nowhere to move them. */
    uint64_t (*moved_by_starpu)(void);
};

/* The device of the running runtime, of several the first; NULL when it is not started. */
const struct plb_device *plb_runtime_device(void);
/* How many there are, and one of them. */
uint32_t plb_runtime_devices(void);
const struct plb_device *plb_runtime_device_at(uint32_t number);

/* Measures the link between the device and main memory (PLB_HOST), or between main memory and a
 * disk (PLB_DISK, in `directory`; NULL: where offloaded values go by default), in less than a
 * second unless the link is slow. PLB_ERROR_UNAVAILABLE where there is no such link,
 * PLB_ERROR_MEMORY when the device has no room left, PLB_ERROR_IO. */
enum plb_status plb_device_measure_link(enum plb_tier tier, const char *directory,
                                        struct plb_link *link_out);

/* The platform that the runtime is: the nominal rates of its workers, capacities, and its links,
 * measured unless the device says what they are. A disk only where `directory` is not NULL. */
enum plb_status plb_runtime_platform(const char *directory, struct plb_platform *platform_out);

#ifdef __cplusplus
}
#endif

#endif
