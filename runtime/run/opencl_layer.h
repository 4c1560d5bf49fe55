/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A layer between OpenCL's loader and its implementation: every transfer passes here.
 *
 * The loader (ocl-icd 2.3 and newer) puts layers in front of an implementation, shared objects that
 * OPENCL_LAYERS names. This library is such a layer itself. So the transfers of the executor and
 * those of StarPU are counted, and made to take as long as the link says, in one place, and StarPU
 * is used as it is. A call that blocks sleeps until its transfer's time; for one that does not, the
 * event that it gives is completed then.
 *
 * The layer also knows where a buffer lies as kernels on the CPU see it, until it is released:
 * mapping and unmapping it for each task would take longer than most tasks.
 *
 * Thread-safety: all functions may be called by any thread.
 */
#ifndef PLB_RUN_OPENCL_LAYER_H
#define PLB_RUN_OPENCL_LAYER_H

#include "runtime/run/link.h"

/* Before StarPU's headers, which ask for less. */
#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 200
#endif
#include <CL/cl.h>

/* Uses the loader for the first time, while the layer is offered (device_internal.h), and looks for
 * n OpenCL devices on the CPU. How many there are is decided once in a process, by the first who
 * looks. PLB_ERROR_UNAVAILABLE says what is not there. */
enum plb_status plb__opencl_layer_load(uint32_t n);

/* The link that all transfers take. */
struct plb__link *plb__opencl_link(void);

/* Transfers of the calling thread are (or are no longer) the executor's. */
void plb__opencl_ours(bool ours);

/* The address of a buffer, through a queue of its context; NULL when it cannot be mapped. */
void *plb__opencl_address(cl_command_queue queue, cl_mem buffer);
/* For the layer: the buffer is released. */
void plb__opencl_forget(cl_mem buffer);

#endif
