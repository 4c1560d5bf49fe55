/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attention of new rows to a key-value cache on a CUDA card, by the kernel of attention.cu.
 *
 * Few rows of a sequence (decoding) read the cache once, and that is the floor: 2 D elements for
 * each position and key head. The heads of a group are taken together, so that it is read once for
 * all of them, and positions are shared out, PLB_FLASH_SPLIT to a warp, so that one sequence fills
 * the card; the results of shares are put together in order. Those take 2 (D + 2) words for each
 * row and head where a share of a bf16 cache has 512 D: with a group of 4 heads, 3 % more.
 *
 * Many rows (a prompt) go by tiles of queries, as in attention.cu. Which way follows from the rows
 * of a whole sequence, not from the task's range.
 */
#include "codelets/attention/attention.cuh"
#include "codelets/cache/cache.h"

enum { QKV, CACHE, POSITIONS };

enum { FEW = 64 }; /* queries that share a key head, rows times heads of a group, at most */

static bool few(const struct plb__heads *h)
{
    return h->sequence <= FEW && h->sequence * h->group <= FEW;
}

static size_t attention_cached_scratch(const struct plb_task_types *types)
{
    struct plb__heads h = plb__heads_of(types->attributes);

    return few(&h) ? plb_flash_partial_bytes(&h, types->in[QKV].shape.dim[0],
                                             types->attributes->i[PLB__CAPACITY])
                   : 0;
}

static enum plb_status attention_cached_run(const struct plb_call *call,
                                            const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *qkv = call->in[QKV].part, *cache = call->in[CACHE].part;
    struct plb_flash flash = {};

    flash.dtype = qkv->dtype;
    flash.h = plb__heads_of(call->attributes);
    flash.low = call->low[0];
    flash.high = call->high[0];
    flash.queries = qkv->data;
    flash.queries_row0 = qkv->row0;
    flash.queries_width = flash.h.width;
    flash.keys = cache->data;
    flash.values = (const char *)cache->data +
                   (size_t)(flash.h.kv_heads * flash.h.dim) * plb_dtype_bytes(cache->dtype);
    flash.keys_row0 = cache->row0;
    flash.keys_width = 2 * flash.h.kv_heads * flash.h.dim;
    flash.span = call->attributes->i[PLB__CAPACITY];
    flash.positions = (const int32_t *)call->in[POSITIONS].part->data +
                      (flash.low - call->in[POSITIONS].part->row0);
    flash.y = call->out[0].part->data;
    flash.partial = few(&flash.h) ? (float *)call->scratch : NULL;
    return plb_flash_run("attention_cached", &flash, queue);
}

const struct plb_cuda_operator plb_cuda_attention_cached = {
    "attention_cached", attention_cached_scratch, attention_cached_run};
