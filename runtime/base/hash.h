/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A 64-bit hash of a stream of bytes (XXH3), for fingerprints and checksums. Not cryptographic.
 *
 * Thread-safety: a hasher belongs to one thread at a time.
 */
#ifndef PLB_BASE_HASH_H
#define PLB_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The hash of a block of memory. */
uint64_t plb_hash_bytes(const void *data, size_t bytes);

/* Mixes a block of memory into a running hash and returns the new one; start from 0. The result
 * depends on how the stream was cut into blocks, so hash fields, not structures with padding. */
uint64_t plb_hash_mix(uint64_t hash, const void *data, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
