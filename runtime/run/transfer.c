/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The carrier between devices of one process: a rendezvous per transfer and a thread per device that
 * receives, which copies.
 */
#include "config.h"

#include "runtime/run/transfer.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define BOUNCE_BYTES ((size_t)4 << 20)

struct lane {
    plb__mover_t *mover;
    void *bounce;
};

struct local {
    struct plb__carrier carrier; /* first */
    uint32_t n_transfers, n_lanes;
    uint32_t *to;      /* per transfer: device */
    struct lane *lane; /* per device */
    pthread_mutex_t lock; /* of the fields below */
    struct plb__end **waiting; /* per transfer: ends of one side, of several steps */
    bool abandoned;
    uint64_t order;
};

/* ---- copying ---- */

static enum plb_status bounce_over(const struct plb__end *from, const struct plb__end *to,
                                   char *bounce, size_t room)
{
    for (size_t done = 0; done < from->bytes; done += room) {
        size_t left = from->bytes - done, n = left < room ? left : room;

        PLB_TRY(from->block->device->copy_out(from->block, from->offset + done, bounce, n));
        PLB_TRY(to->block->device->copy_in(bounce, to->block, to->offset + done, n));
    }
    return PLB_OK;
}

enum plb_status plb__block_copy(const struct plb__end *from, const struct plb__end *to,
                                void *bounce, size_t room)
{
    const struct plb_device *source = from->block->device, *device = to->block->device;

    if (device->copy_peer && device->where == source->where)
        return device->copy_peer(from->block, from->offset, to->block, to->offset, from->bytes);
    if (!source->has_host)
        return device->copy_in((const char *)from->block->address + from->offset, to->block,
                               to->offset, from->bytes);
    if (!device->has_host)
        return source->copy_out(from->block, from->offset, (char *)to->block->address + to->offset,
                                from->bytes);
    return bounce_over(from, to, bounce, room);
}

static uint64_t nanoseconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The end that receives is the request. */
static void perform(struct plb__request *request, void *argument)
{
    struct plb__end *to = (struct plb__end *)request, *from = to->peer;
    const struct lane *lane = argument;
    enum plb_status status;

    from->start = to->start = nanoseconds();
    status = plb__block_copy(from, to, lane->bounce, BOUNCE_BYTES);
    from->stop = to->stop = nanoseconds();
    from->done(from, status);
    to->done(to, status);
}

/* ---- the rendezvous ---- */

/* Takes the other side of this end out of those that wait. */
static struct plb__end *take_peer(struct local *local, const struct plb__end *end)
{
    struct plb__end **place = &local->waiting[end->transfer], *peer;

    while (*place && ((*place)->step != end->step || (*place)->sends == end->sends))
        place = (struct plb__end **)&(*place)->request.next;
    peer = *place;
    if (peer)
        *place = (struct plb__end *)peer->request.next;
    return peer;
}

static void keep(struct local *local, struct plb__end *end)
{
    end->request.next = (struct plb__request *)local->waiting[end->transfer];
    local->waiting[end->transfer] = end;
}

static void post(struct plb__carrier *carrier, struct plb__end *end)
{
    struct local *local = (struct local *)carrier;
    struct plb__end *peer, *to = NULL;
    bool abandoned;

    pthread_mutex_lock(&local->lock);
    abandoned = local->abandoned;
    peer = abandoned ? NULL : take_peer(local, end);
    if (peer) {
        to = end->sends ? peer : end;
        to->peer = end->sends ? end : peer;
        to->request.order = local->order++;
    } else if (!abandoned) {
        keep(local, end);
    }
    pthread_mutex_unlock(&local->lock);
    if (abandoned)
        end->done(end, PLB_OK);
    else if (to)
        plb__mover_push(local->lane[local->to[end->transfer]].mover, &to->request);
}

static void abandon(struct plb__carrier *carrier)
{
    struct local *local = (struct local *)carrier;
    struct plb__end *left = NULL, *end;

    pthread_mutex_lock(&local->lock);
    local->abandoned = true;
    for (uint32_t t = 0; t < local->n_transfers; t++)
        while ((end = local->waiting[t])) {
            local->waiting[t] = (struct plb__end *)end->request.next;
            end->peer = left;
            left = end;
        }
    pthread_mutex_unlock(&local->lock);
    for (; left; left = end) {
        end = left->peer;
        left->done(left, PLB_OK);
    }
}

/* ---- making ---- */

static void destroy(struct plb__carrier *carrier)
{
    struct local *local = (struct local *)carrier;

    for (uint32_t k = 0; local->lane && k < local->n_lanes; k++) {
        plb__mover_stop(local->lane[k].mover);
        free(local->lane[k].bounce);
    }
    pthread_mutex_destroy(&local->lock);
    free(local->lane);
    free(local->to);
    free(local->waiting);
    free(local);
}

static enum plb_status start_lane(struct lane *lane)
{
    if (lane->mover)
        return PLB_OK;
    lane->bounce = malloc(BOUNCE_BYTES);
    if (!lane->bounce)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a buffer between devices");
    return plb__mover_start(perform, lane, &lane->mover);
}

enum plb_status plb__carrier_local(uint32_t n_transfers, const uint32_t *to, uint32_t n_devices,
                                   struct plb__carrier **carrier_out)
{
    struct local *local = calloc(1, sizeof *local);
    enum plb_status status = PLB_OK;

    if (!local)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for transfers between devices");
    local->carrier = (struct plb__carrier){post, abandon, destroy};
    pthread_mutex_init(&local->lock, NULL);
    local->n_transfers = n_transfers;
    local->n_lanes = n_devices;
    local->to = malloc(((size_t)n_transfers + 1) * sizeof *local->to);
    local->waiting = calloc((size_t)n_transfers + 1, sizeof *local->waiting);
    local->lane = calloc((size_t)n_devices + 1, sizeof *local->lane);
    if (!local->to || !local->waiting || !local->lane)
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for %u transfers", n_transfers);
    for (uint32_t t = 0; t < n_transfers && status == PLB_OK; t++)
        status = start_lane(&local->lane[local->to[t] = to[t]]);
    if (status != PLB_OK) {
        destroy(&local->carrier);
        return status;
    }
    *carrier_out = &local->carrier;
    return PLB_OK;
}
