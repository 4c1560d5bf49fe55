/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The next version of a key-value cache, with the keys and values of packed rows put at their
 * positions; and the checks that the operators of the cache share.
 */
#include "config.h"

#include "codelets/cache/cache.h"
#include "codelets/codelets.h"
#include "codelets/common/check.h"
#include "codelets/common/elements.h"
#include "codelets/common/operators.h"

#include <inttypes.h>

enum { CACHE, QKV, POSITIONS };

enum plb_status plb__check_cache(const struct plb_operator *op, const struct plb_task_types *types,
                                 int qkv, int cache, int positions)
{
    const struct plb_attributes *a = types->attributes;
    int64_t rows = types->in[qkv].shape.dim[0];
    struct plb__heads h;

    PLB_TRY(plb__check_heads(op, types, qkv));
    PLB_TRY(plb__check_attribute(op, types, PLB__CAPACITY, 1));
    if (a->i[PLB__CAPACITY] > INT32_MAX)
        return plb_fail(PLB_ERROR_INVALID, "%s: a capacity of %" PRId64 " is too large", op->name,
                        a->i[PLB__CAPACITY]);
    h = plb__heads_of(a);
    PLB_TRY(plb__check_type(
        op, types, cache, types->in[qkv].dtype,
        plb_shape2(rows / h.sequence * a->i[PLB__CAPACITY], 2 * h.kv_heads * h.dim)));
    return plb__check_type(op, types, positions, PLB_I32, plb_shape1(rows));
}

enum plb_status plb__check_position(const struct plb_operator *op, int64_t position,
                                    int64_t capacity)
{
    if (position >= 0 && position < capacity)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID,
                    "%s: position %" PRId64 " is not one of the %" PRId64 " of the cache", op->name,
                    position, capacity);
}

static enum plb_status cache_write_shape(struct plb_task_types *types)
{
    PLB_TRY(plb__check_cache(&plb_op_cache_write, types, QKV, CACHE, POSITIONS));
    types->out[0] = types->in[CACHE];
    return PLB_OK;
}

/* As it is when the cache is taken over in place: only the rows written move. */
static void cache_write_cost(const struct plb_task_types *types, struct plb_cost *cost_out)
{
    struct plb__heads h = plb__heads_of(types->attributes);

    cost_out->flops = 0.0;
    cost_out->bytes = 4.0 * (double)types->in[QKV].shape.dim[0] * (double)(h.kv_heads * h.dim) *
                      (double)plb_dtype_bytes(types->in[CACHE].dtype);
}

static enum plb_status cache_write_cpu(const struct plb_call *call)
{
    const struct plb_tensor *from = &call->in[CACHE].part[0], *to = &call->out[0].part[0];
    const struct plb_tensor *qkv = &call->in[QKV].part[0];
    const int32_t *position = call->in[POSITIONS].part[0].data;
    struct plb__heads h = plb__heads_of(call->attributes);
    int64_t capacity = call->attributes->i[PLB__CAPACITY], width = 2 * h.kv_heads * h.dim;
    size_t size = plb_dtype_bytes(to->dtype);

    for (int64_t n = 0; n < qkv->shape.dim[0]; n++)
        PLB_TRY(plb__check_position(&plb_op_cache_write, position[n], capacity));
    if (to->data != from->data)
        memcpy(to->data, from->data, (size_t)plb_shape_elements(&to->shape) * size);
    for (int64_t n = 0; n < qkv->shape.dim[0]; n++) {
        int64_t row = n / h.sequence * capacity + position[n];

        /* In packed rows, too, values follow keys. */
        memcpy((char *)to->data + (size_t)(row * width) * size,
               (const char *)qkv->data + (size_t)(n * h.width + h.keys) * size,
               (size_t)width * size);
    }
    return PLB_OK;
}

plb_value plb_cache_write(plb_graph_t *g, plb_value cache, plb_value qkv, plb_value positions,
                          const struct plb_attention *attention, int64_t capacity)
{
    struct plb_attributes attributes = {
        {attention->heads, attention->kv_heads, attention->head_dim, attention->sequence, capacity},
        {0}};
    plb_value in[] = {cache, qkv, positions}, next = PLB_NONE;

    plb_graph_add_task(g, &plb_op_cache_write, &attributes, in, 3, NULL, &next);
    return next;
}

const struct plb_operator plb_op_cache_write = {
    .name = "cache_write",
    .attribute_i = {"heads", "kv_heads", "head_dim", "sequence", "capacity"},
    .n_in = 3,
    .n_out = 1,
    .in = {{.name = "cache"}, {.name = "qkv"}, {.name = "positions"}},
    .out = {{.name = "cache", .shares = 1}},
    .shape = cache_write_shape,
    .cost = cache_write_cost,
    .cpu = cache_write_cpu,
};
