/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The carrier between devices of one process: a thread per device, which copies.
 *
 * When both ends are there the bytes go over at once. A send that comes first does not wait: its
 * bytes are put aside in main memory. Otherwise the memory of two parts could wait for each other
 * for ever: a receive for bytes whose value is still being sent, that send for a receive which
 * waits likewise. What is put aside is in the ledger of main memory; it is at most what a part is
 * ahead.
 *
 * When bytes cannot be carried the session has failed, and nobody waits any more.
 */
#include "config.h"

#include "runtime/run/ledger.h"
#include "runtime/run/transfer.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define BOUNCE_BYTES ((size_t)4 << 20)

/* A transfer in one step, from the first end that was posted to the last one done. */
struct parcel {
    struct plb__request request; /* for a mover; first */
    struct local *local;
    struct parcel *next; /* of its transfer */
    uint32_t transfer;
    uint64_t step;
    struct plb__end *send, *receive; /* posted and not done */
    bool queued; /* a mover has it */
    char *aside; /* the bytes, when send is done */
    size_t bytes;
};

struct lane {
    plb__mover_t *mover;
    void *bounce;
};

struct local {
    struct plb__carrier carrier; /* first */
    uint32_t n_transfers, n_lanes;
    uint32_t *from, *to; /* per transfer: device */
    struct lane *lane;   /* per device */
    pthread_mutex_t lock; /* of the fields below, and of parcels */
    struct parcel **parcel; /* per transfer: of several steps */
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

/* ---- parcels; called with the lock held ---- */

static struct parcel *find(const struct local *local, const struct plb__end *end)
{
    struct parcel *p = local->parcel[end->transfer];

    while (p && p->step != end->step)
        p = p->next;
    return p;
}

static struct parcel *create(struct local *local, const struct plb__end *end)
{
    struct parcel *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    *p = (struct parcel){.local = local,
                         .next = local->parcel[end->transfer],
                         .transfer = end->transfer,
                         .step = end->step,
                         .bytes = end->bytes};
    local->parcel[end->transfer] = p;
    return p;
}

static void forget(struct parcel *parcel)
{
    struct parcel **place = &parcel->local->parcel[parcel->transfer];

    while (*place != parcel)
        place = &(*place)->next;
    *place = parcel->next;
    if (parcel->aside)
        plb__ledger_count(0, PLB_ROLE_ACTIVATION, parcel->bytes, false);
    free(parcel->aside);
    free(parcel);
}

static void queue(struct parcel *parcel, uint32_t device)
{
    parcel->queued = true;
    parcel->request.order = parcel->local->order++;
    plb__mover_push(parcel->local->lane[device].mover, &parcel->request);
}

/* ---- giving up ---- */

/* Parcels that a mover has are finished there. */
static void abandon(struct plb__carrier *carrier)
{
    struct local *local = (struct local *)carrier;
    struct plb__end *left = NULL, *next;

    pthread_mutex_lock(&local->lock);
    local->abandoned = true;
    for (uint32_t t = 0; t < local->n_transfers; t++)
        for (struct parcel *p = local->parcel[t], *then; p; p = then) {
            then = p->next;
            if (p->queued)
                continue;
            if (p->receive) {
                p->receive->peer = left;
                left = p->receive;
            }
            forget(p);
        }
    pthread_mutex_unlock(&local->lock);
    for (; left; left = next) {
        next = left->peer;
        left->done(left, PLB_OK);
    }
}

/* ---- on a mover ---- */

static enum plb_status put_aside(const struct plb__end *send, char **aside_out)
{
    enum plb_status status;
    char *aside = malloc(send->bytes);

    if (!aside)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %zu bytes between devices", send->bytes);
    status = send->block->device->copy_out(send->block, send->offset, aside, send->bytes);
    if (status != PLB_OK) {
        free(aside);
        return status;
    }
    plb__ledger_count(0, PLB_ROLE_ACTIVATION, send->bytes, true);
    *aside_out = aside;
    return PLB_OK;
}

static enum plb_status carry(struct parcel *parcel, struct plb__end *send, struct plb__end *receive,
                             void *bounce, char **aside)
{
    if (!receive)
        return put_aside(send, aside);
    if (send)
        return plb__block_copy(send, receive, bounce, BOUNCE_BYTES);
    return receive->block->device->copy_in(parcel->aside, receive->block, receive->offset,
                                           receive->bytes);
}

static void finish(struct plb__end *end, uint64_t start, enum plb_status status)
{
    if (!end)
        return;
    end->start = start;
    end->stop = nanoseconds();
    end->done(end, status);
}

/* What is there of the parcel when its turn comes is what is carried; who comes meanwhile has it
 * queued again, unless there is nothing to be had. */
static void perform(struct plb__request *request, void *argument)
{
    struct parcel *parcel = (struct parcel *)request;
    struct local *local = parcel->local;
    const struct lane *lane = argument;
    struct plb__end *send, *receive;
    uint64_t start = nanoseconds();
    enum plb_status status = PLB_OK;
    char *aside = NULL;
    bool abandoned;

    pthread_mutex_lock(&local->lock);
    abandoned = local->abandoned;
    send = parcel->send;
    receive = parcel->receive;
    pthread_mutex_unlock(&local->lock);
    if (!abandoned)
        status = carry(parcel, send, receive, lane->bounce, &aside);
    pthread_mutex_lock(&local->lock);
    parcel->queued = false;
    parcel->send = NULL;
    if (aside)
        parcel->aside = aside;
    if (receive)
        forget(parcel);
    else if (parcel->receive && status == PLB_OK)
        queue(parcel, local->to[parcel->transfer]);
    pthread_mutex_unlock(&local->lock);
    finish(send, start, status);
    finish(receive, start, status);
    if (status != PLB_OK)
        abandon(&local->carrier);
}

/* ---- the rendezvous ---- */

/* False: there is no carrying any more, or no memory for it. */
static bool accept(struct local *local, struct plb__end *end)
{
    struct parcel *parcel = local->abandoned ? NULL : find(local, end);

    if (!parcel && !local->abandoned)
        parcel = create(local, end);
    if (!parcel)
        return false;
    if (end->sends)
        parcel->send = end;
    else
        parcel->receive = end;
    if (parcel->queued || (!parcel->send && !parcel->aside))
        return true;
    queue(parcel, parcel->receive ? local->to[end->transfer] : local->from[end->transfer]);
    return true;
}

static void post(struct plb__carrier *carrier, struct plb__end *end)
{
    struct local *local = (struct local *)carrier;
    bool accepted, before;

    pthread_mutex_lock(&local->lock);
    before = local->abandoned;
    accepted = accept(local, end);
    pthread_mutex_unlock(&local->lock);
    if (accepted)
        return;
    if (before) {
        end->done(end, PLB_OK);
        return;
    }
    end->done(end, plb_fail(PLB_ERROR_MEMORY, "no memory for a transfer"));
    abandon(carrier);
}

/* ---- making ---- */

static void destroy(struct plb__carrier *carrier)
{
    struct local *local = (struct local *)carrier;

    for (uint32_t k = 0; local->lane && k < local->n_lanes; k++) {
        plb__mover_stop(local->lane[k].mover);
        free(local->lane[k].bounce);
    }
    for (uint32_t t = 0; local->parcel && t < local->n_transfers; t++)
        while (local->parcel[t])
            forget(local->parcel[t]);
    pthread_mutex_destroy(&local->lock);
    free(local->lane);
    free(local->from);
    free(local->to);
    free(local->parcel);
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

enum plb_status plb__carrier_local(const struct plb_spread *spread,
                                   struct plb__carrier **carrier_out)
{
    struct local *local = calloc(1, sizeof *local);
    size_t n = (size_t)spread->n_transfers + 1;
    enum plb_status status = PLB_OK;

    if (!local)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for transfers between devices");
    local->carrier = (struct plb__carrier){post, abandon, destroy};
    pthread_mutex_init(&local->lock, NULL);
    local->n_transfers = spread->n_transfers;
    local->n_lanes = spread->n_parts;
    local->from = malloc(n * sizeof *local->from);
    local->to = malloc(n * sizeof *local->to);
    local->parcel = calloc(n, sizeof *local->parcel);
    local->lane = calloc((size_t)spread->n_parts + 1, sizeof *local->lane);
    if (!local->from || !local->to || !local->parcel || !local->lane)
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for %u transfers", spread->n_transfers);
    for (uint32_t t = 0; t < spread->n_transfers && status == PLB_OK; t++) {
        status = start_lane(&local->lane[local->from[t] = spread->transfer[t].from]);
        if (status == PLB_OK)
            status = start_lane(&local->lane[local->to[t] = spread->transfer[t].to]);
    }
    if (status != PLB_OK) {
        destroy(&local->carrier);
        return status;
    }
    *carrier_out = &local->carrier;
    return PLB_OK;
}
