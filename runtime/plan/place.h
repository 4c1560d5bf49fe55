/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Places for blocks with known lifetimes in one range of memory: offline dynamic storage
 * allocation. Two blocks that exist at the same time must not overlap; the range should be short.
 * (To find the shortest is NP-hard.) Not installed.
 */
#ifndef PLB_PLAN_PLACE_H
#define PLB_PLAN_PLACE_H

#include "runtime/base/status.h"

#include <stddef.h>
#include <stdint.h>

struct plb__block {
    size_t bytes, offset;
    uint32_t begin, end; /* exists at times begin to end - 1 */
};

/* Gives each block an offset. `bytes_out` gets the bytes of the whole range. */
enum plb_status plb__place(struct plb__block *block, uint32_t n, size_t *bytes_out);

#endif
