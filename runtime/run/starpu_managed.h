/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values that are left to StarPU, for comparison with plans: the peer mode (policy "starpu").
 *
 * Every value is a StarPU variable. Initial values have their home in main memory, the others have
 * none; StarPU allocates them on the device when they are first written, evicts what it likes when
 * the device is full, and brings back what a task needs. Dropping a value invalidates its variable.
 * The plan gives only the order. The session's budget becomes StarPU's by taking the rest of the
 * device away from it (starpu_memory_allocate). StarPU has no notion of a working set that does not
 * fit; a single task that does not is refused here, others may make it evict back and forth.
 */
#ifndef PLB_RUN_STARPU_MANAGED_H
#define PLB_RUN_STARPU_MANAGED_H

#include "runtime/run/run_internal.h"

/* What StarPU calls for the tasks of such a session. */
void plb__managed_run(void *buffers[], void *instance);

/* Registers a variable whose home is `data` in main memory; NULL: that has no home. */
void plb__managed_register(starpu_data_handle_t *token_out, void *data, size_t bytes);
/* The contents of a variable with a home go back there; those of another are lost. */
void plb__managed_unregister(starpu_data_handle_t token, bool has_home);

/* Limits what StarPU takes for a session that has its program, and ends that. PLB_ERROR_MEMORY: a
 * task alone needs more. */
enum plb_status plb__managed_limit(struct plb_session *session);
void plb__managed_unlimit(struct plb_session *session);

/* Waits for a variable in main memory and gives its address there; to be released. */
enum plb_status plb__managed_acquire(starpu_data_handle_t token, bool write, void **data_out);
void plb__managed_release(starpu_data_handle_t token);

#endif
