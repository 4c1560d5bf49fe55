/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The key-value cache: cache[B * capacity, 2 G D], row b * capacity + p holding the G keys and then
 * the G values of position p of sequence b. Attributes and checks that its operators share.
 *
 * Not installed.
 */
#ifndef PLB_CODELETS_CACHE_H
#define PLB_CODELETS_CACHE_H

#include "codelets/attention/attention.h"

/* Integer attributes: heads, kv_heads, head_dim and sequence as in attention.h, then this one. */
enum { PLB__CAPACITY = PLB__SEQUENCE + 1 };

#ifdef __cplusplus
extern "C" {
#endif

/* Inputs `qkv`, `cache` and `positions` (their numbers) fit each other and the attributes. */
enum plb_status plb__check_cache(const struct plb_operator *op, const struct plb_task_types *types,
                                 int qkv, int cache, int positions);

/* Fails unless `position` is below the capacity. */
enum plb_status plb__check_position(const struct plb_operator *op, int64_t position,
                                    int64_t capacity);

#ifdef __cplusplus
}
#endif

#endif
