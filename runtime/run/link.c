/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Booking transfers on a paced link.
 */
#include "runtime/run/link.h"

#include <string.h>

/* A transfer that is booked so soon after whoever waited for the one before it woke up counts as
 * having waited, too, and begins when that one ended. The link would lose the time each time. */
#define SOON 200e-6

void plb__link_reset(struct plb__link *link, const struct plb_link *rates)
{
    pthread_mutex_lock(&link->lock);
    link->rates = *rates;
    memset(link->free, 0, sizeof link->free);
    memset(link->late, 0, sizeof link->late);
    memset(link->ours, 0, sizeof link->ours);
    memset(link->starpus, 0, sizeof link->starpus);
    pthread_mutex_unlock(&link->lock);
}

/* With the lock held. */
static double occupy(struct plb__link *link, enum plb__direction direction, double rate,
                     size_t bytes, double now)
{
    int lane = link->rates.duplex ? direction : PLB__FROM_DEVICE;
    double *free = &link->free[lane];
    double start = now - *free > SOON + link->late[lane] ? now : *free;

    link->late[lane] = 0;
    *free = start + link->rates.latency_seconds + (double)bytes / rate;
    return *free;
}

void plb__link_late(struct plb__link *link, enum plb__direction direction, double seconds)
{
    int lane = link->rates.duplex ? direction : PLB__FROM_DEVICE;

    pthread_mutex_lock(&link->lock);
    link->late[lane] = seconds;
    pthread_mutex_unlock(&link->lock);
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
