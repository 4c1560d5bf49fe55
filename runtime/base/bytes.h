/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers of bytes as people write and read them: "1.5GiB", "600MB", "4096", and budgets of memory,
 * which may also be a share: "0.5".
 *
 * Thread-safety: pure.
 */
#ifndef PLB_BASE_BYTES_H
#define PLB_BASE_BYTES_H

#include "runtime/base/status.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Reads the first `n` characters of `text` (SIZE_MAX: all of it) as a number of bytes: a decimal
 * number and a unit, with or without a space between them: B, kB, MB, GB, TB (powers of 1000), KiB,
 * MiB, GiB, TiB (of 1024), in any case; without a unit, bytes. The result is rounded down, and at
 * least 1. PLB_ERROR_INVALID for anything else, among it zero, negative numbers and what does not
 * fit into a size_t; the message says what was seen. */
enum plb_status plb_bytes_read(const char *text, size_t n, size_t *bytes_out);

/* A number of bytes for people: "1 byte", "640 bytes", "1.5 KiB", "12.3 MiB", up to TiB, with one
 * digit after the point. It is returned whole, so that a message may hold several of them:
 * plb_bytes_text(n).text. */
struct plb_bytes_text {
    char text[32];
};
struct plb_bytes_text plb_bytes_text(double bytes);

/* Most bytes that may be used: a number of them, or a share of the memory that the activations of
 * a step need (see plb_budget_of_share() in runtime/plan/layout.h). */
struct plb_budget {
    size_t bytes; /* 0: `share` counts */
    double share; /* above 0, at most 1; 0: `bytes` counts; both 0: no limit */
};

/* Reads "0.5" (a number of at most 1 without a unit: a share), "1.5GiB" or "4096" (bytes). NULL and
 * "" are no limit. PLB_ERROR_INVALID as above. */
enum plb_status plb_budget_read(const char *text, struct plb_budget *budget_out);

#ifdef __cplusplus
}
#endif

#endif
