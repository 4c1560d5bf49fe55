/* SPDX-License-Identifier: BSD-3-Clause */
/* Between a tensor and its shards. */
#include "config.h"

#include "frontends/nn/shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 640

/* Copies the shard's elements out of the tensor, or into it. */
static void copy(const struct plb_parameter *shard, size_t bytes, char *tensor, char *data,
                 bool into)
{
    int64_t columns = plb_shape_row_elements(&shard->tensor_shape);
    const struct plb_share *share = &shard->share;
    size_t row = (size_t)share->cols * bytes;

    for (int i = 0; i < share->n; i++) {
        const struct plb_slice *slice = &share->slice[i];

        for (int64_t r = 0; r < slice->rows; r++, data += row) {
            int64_t element = (slice->tensor_row0 + r) * columns + share->col0;
            char *at = tensor + (size_t)element * bytes;
            memcpy(into ? at : data, into ? data : at, row);
        }
    }
}

void plb__shard_take(const struct plb_parameter *shard, size_t bytes, const void *tensor,
                     void *data)
{
    copy(shard, bytes, (char *)tensor, data, false);
}

enum plb_status plb__shard_find(const plb_model_t *model, const struct plb_parameter *parameter,
                                int j, const struct plb_parameter **shard_out)
{
    char name[NAME_BYTES];

    *shard_out = parameter;
    if (parameter->share.shard == j)
        return PLB_OK;
    snprintf(name, sizeof name, "%s#%dof%d", parameter->tensor, j, parameter->share.shards);
    *shard_out = plb_model_parameter_find(model, name);
    if (*shard_out)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "the model lacks the parameter \"%s\"", name);
}

/* One shard, between the store and `tensor`. */
static enum plb_status move_shard(plb_store_t *store, const struct plb_parameter *shard,
                                  const char *kind, enum plb_dtype dtype, void *tensor, bool read)
{
    size_t element = plb_dtype_bytes(dtype);
    size_t bytes = (size_t)plb_shape_elements(&shard->shape) * element;
    bool whole = shard->share.shards == 1;
    void *data = whole ? tensor : malloc(bytes);
    char name[NAME_BYTES];

    if (!data)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a copy of \"%s\"", shard->name);
    snprintf(name, sizeof name, "%s%s%s", shard->name, kind ? "." : "", kind ? kind : "");
    if (!whole && !read)
        copy(shard, element, tensor, data, false);
    enum plb_status status =
        read ? plb_store_read(store, name, data, bytes) : plb_store_write(store, name, data, bytes);
    if (!whole && read && status == PLB_OK)
        copy(shard, element, tensor, data, true);
    if (!whole)
        free(data);
    return status;
}

static enum plb_status move(const plb_model_t *model, plb_store_t *store,
                            const struct plb_parameter *parameter, const char *kind,
                            enum plb_dtype dtype, void *tensor, bool read)
{
    for (int j = 0; j < parameter->share.shards; j++) {
        const struct plb_parameter *shard;

        PLB_TRY(plb__shard_find(model, parameter, j, &shard));
        PLB_TRY(move_shard(store, shard, kind, dtype, tensor, read));
    }
    return PLB_OK;
}

enum plb_status plb__tensor_read(const plb_model_t *model, plb_store_t *store,
                                 const struct plb_parameter *parameter, const char *kind,
                                 enum plb_dtype dtype, void *tensor_out)
{
    return move(model, store, parameter, kind, dtype, tensor_out, true);
}

enum plb_status plb__tensor_write(const plb_model_t *model, plb_store_t *store,
                                  const struct plb_parameter *parameter, const char *kind,
                                  enum plb_dtype dtype, const void *tensor)
{
    return move(model, store, parameter, kind, dtype, (void *)tensor, false);
}
