/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the runtime and the kinds of devices; see device.h for the concept.
 */
#ifndef PLB_RUN_DEVICE_INTERNAL_H
#define PLB_RUN_DEVICE_INTERNAL_H

#include "runtime/run/device.h"

#include <starpu.h>

/* StarPU hands a task to a worker on the CPU in 3.4 to 3.9 microseconds. */
#define PLB__GRAIN_CPU 2e-4
#define PLB__GRAIN_CUDA 1.5e-3

/* What the text of a device says. */
struct plb__device_wish {
    const struct plb__device_kind *kind;
    size_t bytes;         /* of its memory; 0: all there is */
    int workers;          /* CPU workers asked for; 0: as many as cores */
    bool group;           /* the text says how many */
    struct plb_link link; /* rates of the link to main memory; 0: as fast as it goes */
    int card;             /* of several */
    bool tf32;            /* products of f32 on a card may round their operands */
};

/* One kind of device, of which n are wanted. All functions are required. */
struct plb__device_kind {
    const char *name;
    /* Before StarPU starts: sets what StarPU reads, in `conf` and in the environment. */
    enum plb_status (*prepare)(const struct plb__device_wish *wish, uint32_t n,
                               struct starpu_conf *conf);
    /* After StarPU has started: fills device_out[n]. */
    enum plb_status (*start)(const struct plb__device_wish *wish, uint32_t n,
                             struct plb_device **device_out);
    /* Before StarPU stops; everything was given back. */
    void (*stop)(void);
};

extern const struct plb__device_kind plb__device_cpu;
extern const struct plb__device_kind plb__device_virtual;
extern const struct plb__device_kind plb__device_cuda;

/* ---- opencl_layer.c ---- */

/* Names this library as a layer to OpenCL's loader, and no longer. The loader looks for layers, and
 * StarPU for devices, when it is first used in a process, which StarPU does whatever it is started
 * for: so both are prepared around every start, in case a virtual device is wanted later. */
void plb__opencl_layer_offer(void);
void plb__opencl_layer_withdraw(void);

/* ---- device.c ---- */

/* Reads "cpu", "cpu:WORKERS", "virtual:BYTES[,link=RATE/s][,latency=SECONDS][,duplex=half|full]" or
 * "cuda[:CARD][,memory=BYTES][,tf32=on|off]". PLB_ERROR_INVALID says what is wrong with which part. */
enum plb_status plb__device_read(const char *text, struct plb__device_wish *wish_out);
/* Reads a list of these with commas between them, which has room for PLB_DEVICES_MAX. */
enum plb_status plb__devices_read(const char *text, struct plb__device_wish *wish_out,
                                  uint32_t *n_out);

#endif
