/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hashes through libxxhash.
 */
#include "config.h"

#include "runtime/base/hash.h"

#include <xxhash.h>

uint64_t plb_hash_bytes(const void *data, size_t bytes)
{
    return XXH3_64bits(data, bytes);
}

uint64_t plb_hash_mix(uint64_t hash, const void *data, size_t bytes)
{
    return XXH3_64bits_withSeed(data, bytes, hash + UINT64_C(0x9E3779B97F4A7C15));
}
