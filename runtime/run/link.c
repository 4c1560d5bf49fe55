/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Booking transfers on a paced link.
 */
#include "runtime/run/link.h"

#include <string.h>

/* A transfer that is booked so soon after the one before it ended counts as having waited for it:
 * it was late only because a thread wakes up late, and the link would lose that time each time. */
#define SOON 200e-6

void plb__link_reset(struct plb__link *link, const struct plb_link *rates)
{
    pthread_mutex_lock(&link->lock);
    link->rates = *rates;
    memset(link->free, 0, sizeof link->free);
    memset(link->ours, 0, sizeof link->ours);
    memset(link->starpus, 0, sizeof link->starpus);
    pthread_mutex_unlock(&link->lock);
}

/* With the lock held. */
static double occupy(struct plb__link *link, enum plb__direction direction, double rate,
                     size_t bytes, double now)
{
    double *free = &link->free[link->rates.duplex ? direction : PLB__FROM_DEVICE];
    double start = now - *free > SOON ? now : *free;

    *free = start + link->rates.latency_seconds + (double)bytes / rate;
    return *free;
}

double plb__link_book(struct plb__link *link, enum plb__direction direction, size_t bytes,
                      bool ours, double now)
{
    struct plb__traffic *traffic = ours ? &link->ours[direction] : &link->starpus[direction];
    double rate, end = now;

    pthread_mutex_lock(&link->lock);
    traffic->calls++;
    traffic->bytes += bytes;
    rate = direction == PLB__FROM_DEVICE ? link->rates.out_bytes_per_second
                                 : link->rates.in_bytes_per_second;
    if (rate > 0)
        end = occupy(link, direction, rate, bytes, now);
    pthread_mutex_unlock(&link->lock);
    return end;
}

struct plb__traffic plb__link_traffic(struct plb__link *link, enum plb__direction direction,
                                      bool ours)
{
    struct plb__traffic traffic;

    pthread_mutex_lock(&link->lock);
    traffic = ours ? link->ours[direction] : link->starpus[direction];
    pthread_mutex_unlock(&link->lock);
    return traffic;
}
