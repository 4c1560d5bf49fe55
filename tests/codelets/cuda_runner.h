/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls of the operators' CUDA kernels, for the harness of the operators.
 *
 * The module is the emulated one of the build where the program is linked with the emulated runtime
 * (tests/support/cuda), else the one that runs on a card, as plb__cuda_module_load() finds it. Each
 * operand and the scratch memory lie in memory of the card of their own, between guards. Every call
 * (but those of a part of a larger task) is made twice, with another number of multiprocessors the
 * second time and, on the emulator, another order of threads and blocks: all bits must be the same.
 * An index out of range is PLB_ERROR_INVALID with "row N".
 */
#ifndef PLB_TESTS_CODELETS_CUDA_RUNNER_H
#define PLB_TESTS_CODELETS_CUDA_RUNNER_H

#include "codelets/common/cuda.h"
#include "tests/codelets/pieces.h"

/* Loads the module and opens the first card. NULL, and a sentence on stderr, when it cannot. */
const struct pieces_runner *cuda_runner_open(void);
void cuda_runner_close(void);

/* The same as the setup and teardown of a test whose pieces run on the card. */
int cuda_runner_setup(void);
int cuda_runner_teardown(void);

/* Is it the emulator that runs? */
bool cuda_runner_emulated(void);

/* A function of the module, of CUDA or of the emulator by its name, NULL when there is none. */
void *cuda_runner_symbol(const char *name);

/* A queue as the runner's calls get it: its stream, a workspace, a word for faults. */
void cuda_runner_queue(struct plb_cuda_queue *queue_out);
/* Waits for all that was enqueued; false: something of it has failed. */
bool cuda_runner_wait(const struct plb_cuda_queue *queue);

/* A kernel; NULL when the module lacks it. */
const struct plb_cuda_operator *cuda_runner_operator(const char *name);

#endif
