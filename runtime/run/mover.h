/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Movers: threads that copy values between tiers beside the workers that compute.
 *
 * One mover serves one direction of one link. Of the requests that wait it takes the one that comes
 * first in the plan. It knows neither StarPU nor plans: what a request does is its function's
 * business.
 *
 * Thread-safety: any thread may push.
 */
#ifndef PLB_RUN_MOVER_H
#define PLB_RUN_MOVER_H

#include "runtime/base/status.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct plb__mover plb__mover_t;

/* A part of whoever wants something moved. It is the mover's from push to perform. */
struct plb__request {
    struct plb__request *next;
    uint64_t order; /* lowest first */
};

/* Starts a thread that calls perform(request, argument) for every request. It takes no signals. */
enum plb_status plb__mover_start(void (*perform)(struct plb__request *request, void *argument),
                                 void *argument, plb__mover_t **mover_out);
void plb__mover_push(plb__mover_t *mover, struct plb__request *request);
/* Performs what waits and ends the thread. NULL is allowed. */
void plb__mover_stop(plb__mover_t *mover);

#ifdef __cplusplus
}
#endif

#endif
