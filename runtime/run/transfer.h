/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transfers between the parts of a session that is spread over devices.
 *
 * Each side of a transfer is a task of its own part, which runs nowhere. When its tokens are free
 * it *posts* its end: "these bytes may be read", "these bytes may be written". A *carrier* brings
 * the bytes over, in whichever order the ends come, and says to each when it is done with its bytes. A
 * send never waits for the receive. So parts share no handle and may be submitted one after the
 * other, and where the other part runs (another device here, another process) is the carrier's
 * affair.
 *
 * Thread-safety: any thread may post.
 */
#ifndef PLB_RUN_TRANSFER_H
#define PLB_RUN_TRANSFER_H

#include "runtime/plan/hybrid.h"
#include "runtime/run/device.h"
#include "runtime/run/mover.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One side of a transfer in one step. The carrier's from post to done. */
struct plb__end {
    struct plb__request request; /* for a mover; first */
    struct plb__end *peer;       /* for the carrier */
    uint32_t transfer;           /* number of the transfer */
    uint64_t step;               /* steps are counted alike by all parts */
    bool sends;
    const struct plb_block *block;
    size_t offset, bytes;
    uint64_t start, stop; /* nanoseconds, when the bytes moved; 0: they did not */
    /* The bytes are over, or never will be. The end may be gone when this returns. */
    void (*done)(struct plb__end *end, enum plb_status status);
    void *owner;
};

struct plb__carrier {
    void (*post)(struct plb__carrier *carrier, struct plb__end *end);
    /* Ends that wait, and all that are posted from now on, are done at once, without their bytes: a
     * part will not post what they wait for. */
    void (*abandon)(struct plb__carrier *carrier);
    void (*destroy)(struct plb__carrier *carrier); /* nothing waits any more */
};

/* Between devices of this process, whose numbers are those of the places. */
enum plb_status plb__carrier_local(const struct plb_spread *spread,
                                   struct plb__carrier **carrier_out);

/* Copies bytes from one block to another, whatever their devices. `bounce`, of `room` bytes, is
 * used where they must pass main memory. */
enum plb_status plb__block_copy(const struct plb__end *from, const struct plb__end *to,
                                void *bounce, size_t room);

#ifdef __cplusplus
}
#endif

#endif
