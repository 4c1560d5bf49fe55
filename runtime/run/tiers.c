/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moving values between the device, main memory and disk.
 *
 * A write to disk that fails does not end a run: the copy is kept in main memory, the session hears
 * of it, and plans without a disk from the next step on.
 */
#include "config.h"

#include "runtime/run/ledger.h"
#include "runtime/run/run_internal.h"

#include <stdlib.h>
#include <string.h>

/* What passes through main memory on its way to disk goes in pieces of this size. */
#define BOUNCE_BYTES ((size_t)4 << 20)

/* ---- disk ---- */

/* Copies that could not be written are main memory's from then on. */
void plb__rescued_free(struct plb__program *p, uint32_t slot)
{
    if (!p->rescued[slot])
        return;
    plb__ledger_count(0, PLB_ROLE_ACTIVATION, p->layout.slot[slot].bytes, false);
    free(p->rescued[slot]);
    p->rescued[slot] = NULL;
}

static enum plb_status take_rescued(struct plb__program *p, uint32_t slot)
{
    size_t bytes = p->layout.slot[slot].bytes;

    if (p->rescued[slot])
        return PLB_OK;
    p->rescued[slot] = malloc(bytes);
    if (!p->rescued[slot])
        return plb_fail_within(PLB_ERROR_IO, "no memory to keep %s either",
                               plb_bytes_text((double)bytes).text);
    plb__ledger_count(0, PLB_ROLE_ACTIVATION, bytes, true);
    return PLB_OK;
}

/* Keeps the copy in memory instead. */
static enum plb_status rescue(const struct plb__launch *launch)
{
    struct plb__program *p = launch->program;
    const struct plb_device *device = p->session->device;

    PLB_TRY(take_rescued(p, launch->slot));
    __atomic_store_n(&p->session->planning.disk_lost, true, __ATOMIC_RELEASE);
    return device->copy_out(launch->place.block, launch->place.offset, p->rescued[launch->slot],
                            launch->bytes);
}

/* Brings bytes of the device to disk or back by way of the lane's buffer. */
static enum plb_status bounce(const struct plb__launch *launch, struct plb__lane *lane, bool out)
{
    const struct plb__program *p = launch->program;
    const struct plb_device *device = p->session->device;
    size_t at = p->layout.slot[launch->slot].offset;

    for (size_t done = 0; done < launch->bytes; done += BOUNCE_BYTES) {
        size_t left = launch->bytes - done, n = left < BOUNCE_BYTES ? left : BOUNCE_BYTES;
        size_t offset = launch->place.offset + done;

        if (out) {
            PLB_TRY(device->copy_out(launch->place.block, offset, lane->bounce, n));
            PLB_TRY(plb__disk_write(&p->session->disk, at + done, lane->bounce, n));
        } else {
            PLB_TRY(plb__disk_read(&p->session->disk, at + done, lane->bounce, n));
            PLB_TRY(device->copy_in(lane->bounce, launch->place.block, offset, n));
        }
    }
    return PLB_OK;
}

static enum plb_status write_out(const struct plb__launch *launch, struct plb__lane *lane)
{
    const struct plb__program *p = launch->program;
    const struct plb__place *from = &launch->place;

    if (p->session->device->has_host)
        return bounce(launch, lane, true);
    return plb__disk_write(&p->session->disk, p->layout.slot[launch->slot].offset,
                           (const char *)from->block->address + from->offset, launch->bytes);
}

static enum plb_status move_to_disk(const struct plb__launch *launch, struct plb__lane *lane)
{
    struct plb__program *p = launch->program;

    if (write_out(launch, lane) != PLB_OK)
        return rescue(launch);
    plb__rescued_free(p, launch->slot); /* of a step before */
    return PLB_OK;
}

static enum plb_status move_from_disk(const struct plb__launch *launch, struct plb__lane *lane)
{
    const struct plb__program *p = launch->program;
    const struct plb__place *to = &launch->place;
    const void *rescued = p->rescued[launch->slot];

    if (rescued)
        return p->session->device->copy_in(rescued, to->block, to->offset, launch->bytes);
    if (p->session->device->has_host)
        return bounce(launch, lane, false);
    return plb__disk_read(&p->session->disk, p->layout.slot[launch->slot].offset,
                          (char *)to->block->address + to->offset, launch->bytes);
}

/* ---- main memory beside a card ---- */

/* In the program's copies, or where a parameter or state has its home. */
static char *host_address(const struct plb__launch *launch)
{
    return plb__program_address(launch->program, launch->slot);
}

static enum plb_status move_to_host(const struct plb__launch *launch)
{
    return launch->program->session->device->copy_out(
        launch->place.block, launch->place.offset, host_address(launch), launch->bytes);
}

static enum plb_status move_from_host(const struct plb__launch *launch)
{
    return launch->program->session->device->copy_in(host_address(launch), launch->place.block,
                                                     launch->place.offset, launch->bytes);
}

enum plb_status plb__launch_move(const struct plb__launch *launch, struct plb__lane *lane)
{
    bool out = launch->instruction->code == PLB_OFFLOAD;

    if (launch->instruction->tier == PLB_HOST)
        return out ? move_to_host(launch) : move_from_host(launch);
    return out ? move_to_disk(launch, lane) : move_from_disk(launch, lane);
}

/* ---- lanes ---- */

/* Only what goes between a card and a disk needs a buffer. */
static enum plb_status start_lane(struct plb_session *s, int tier, struct plb__lane *lane)
{
    if (lane->mover)
        return PLB_OK;
    if (tier == PLB_DISK && s->device->has_host && !lane->bounce) {
        lane->bounce = malloc(BOUNCE_BYTES);
        if (!lane->bounce)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for a buffer between card and disk");
        lane->pinned = plb__pin(s->device, lane->bounce, BOUNCE_BYTES);
    }
    return plb__mover_start(plb__move_perform, lane, &lane->mover);
}

enum plb_status plb__lanes_start(struct plb_session *s, const struct plb__program *program)
{
    for (int tier = PLB_HOST; tier < PLB_TIERS; tier++) {
        if (program->moved_out[tier])
            PLB_TRY(start_lane(s, tier, &s->lane[tier][PLB__OUT]));
        if (program->moved_in[tier])
            PLB_TRY(start_lane(s, tier, &s->lane[tier][PLB__IN]));
    }
    if (program->n_beside > 0 && !s->beside)
        return plb__mover_start(plb__beside_perform, NULL, &s->beside);
    return PLB_OK;
}

void plb__lanes_stop(struct plb_session *s)
{
    plb__mover_stop(s->beside);
    for (int tier = 0; tier < PLB_TIERS; tier++)
        for (int direction = 0; direction < PLB__DIRECTIONS; direction++) {
            plb__mover_stop(s->lane[tier][direction].mover);
            if (s->lane[tier][direction].pinned)
                s->device->unpin(s->device, s->lane[tier][direction].bounce);
            free(s->lane[tier][direction].bounce);
        }
}
