/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Places for the slots of a program in one arena per tier. Not installed.
 */
#ifndef PLB_PLAN_ARENA_H
#define PLB_PLAN_ARENA_H

#include "runtime/plan/walk.h"

/* Sets the offsets of the walk's slots; `arena_out` gets the bytes of each tier. PLB_ERROR_MEMORY
 * when a limit cannot be kept, with the bytes that would do. */
enum plb_status plb__arena_place(const struct plb__walk *walk, uint32_t n_instructions,
                                 const struct plb_limits *limits, size_t arena_out[PLB_TIERS]);

/* The bytes of the device's arena when nothing rests. A limit that leaves it this room is kept by
 * plb__arena_place(). */
enum plb_status plb__arena_least(const struct plb__walk *walk, uint32_t n_instructions,
                                 size_t *bytes_out);

#endif
