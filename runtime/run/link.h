/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The link between a device and main memory, as if it were slow: when does a transfer end?
 *
 * A transfer occupies its direction (on a half-duplex link, both) for latency + bytes / rate from
 * the moment it is booked or the one before it ends, whichever is later. Booking is arithmetic on
 * the times that the caller gives, so it can be tested without a clock; whoever books sleeps until
 * the end by a clock of its own. Transfers are counted whether or not the link has a rate, by whose
 * they are: the executor's own, or StarPU's, which must have none outside the peer mode.
 *
 * Thread-safety: a link has a lock of its own.
 */
#ifndef PLB_RUN_LINK_H
#define PLB_RUN_LINK_H

#include "runtime/plan/costs.h"

#include <pthread.h>

enum plb__direction {
    PLB__FROM_DEVICE,
    PLB__TO_DEVICE,
};

struct plb__traffic {
    uint64_t calls, bytes;
};

struct plb__link {
    struct plb_link rates; /* a rate of 0: as fast as it goes */
    pthread_mutex_t lock;  /* of the fields below */
    double free[2];        /* by direction: when the latest transfer ends */
    double late[2];        /* how late the last to wait for one woke up */
    struct plb__traffic ours[2], starpus[2];
};

/* Sets the rates and forgets what was booked and counted. */
void plb__link_reset(struct plb__link *link, const struct plb_link *rates);

/* Books a transfer at the time `now` (seconds on any clock) and returns when it ends; `now` itself
 * on a link without a rate. */
double plb__link_book(struct plb__link *link, enum plb__direction direction, size_t bytes,
                      bool ours, double now);

/* Whoever waited for the end of a transfer woke up that many seconds late. Had it not, it could
 * have booked the next one sooner: that is made good. */
void plb__link_late(struct plb__link *link, enum plb__direction direction, double seconds);

/* What went over the link in a direction. */
struct plb__traffic plb__link_traffic(struct plb__link *link, enum plb__direction direction,
                                      bool ours);

#endif
