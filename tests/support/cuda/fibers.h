/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fibers: stacks that one system thread switches between. What emulator.cc runs the threads of a
 * block on; nothing is known of CUDA here.
 *
 * Fibers are kept when they are given back, and go on where they gave way last. Not thread-safe:
 * the emulator holds a lock.
 *
 * ThreadSanitizer is not told: it sees one system thread, which is what runs, and only the stacks
 * in its reports are mixed up.
 */
#ifndef PLB_TESTS_SUPPORT_CUDA_FIBERS_H
#define PLB_TESTS_SUPPORT_CUDA_FIBERS_H

namespace emulator {

struct fiber;

/* One that is not in use; when first switched to it calls `main`, which never returns. NULL when
 * there is no memory for it. */
struct fiber *fiber_take(void (*main)(void));
void fiber_give(struct fiber *fiber);

/* The stack that called, until a fiber switches back to it. */
struct fiber *fiber_of_caller(void);

void fiber_switch(struct fiber *from, struct fiber *to);

/* False when a fiber went beyond the end of its stack since this was asked last. */
bool fibers_intact(void);

/* Gives all back, wherever they stand, and forgets what they were doing. */
void fibers_reset(void);

} /* namespace emulator */

#endif
