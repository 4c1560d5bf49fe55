/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Places for blocks with known lifetimes in one range of memory: offline dynamic storage
 * allocation. Two blocks that exist at the same time must not overlap; the range should be short.
 * (To find the shortest is NP-hard.) Three ways: by class, which wastes room so that memory rests long
 * before it is used again; in the order of time, which is fast and comes within a few percent of the
 * least that could be; by size, which comes within a few per mille and takes time quadratic in the
 * number of blocks. Not installed.
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

struct plb__blocks {
    uint32_t n;
    struct plb__block *block; /* in order of `begin` */
    uint32_t *by_end;         /* their numbers in order of `end` */
};

/* Gives each block an offset; places keep their sizes, and of those that fit a block well the one
 * that has been free for longest takes it. `bytes_out` as below. */
enum plb_status plb__place_by_class(const struct plb__blocks *blocks, size_t capacity,
                                    size_t *bytes_out);

/* Gives each block an offset, in the order of time. `bytes_out` gets the bytes of the whole range;
 * SIZE_MAX when `capacity` does not do. */
enum plb_status plb__place_by_time(const struct plb__blocks *blocks, size_t capacity,
                                   size_t *bytes_out);

/* The same from the largest block to the smallest. */
enum plb_status plb__place_by_size(const struct plb__blocks *blocks, size_t *bytes_out);

#endif
