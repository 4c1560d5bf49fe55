/* SPDX-License-Identifier: BSD-3-Clause */
/* Tensors that a store holds in shards, as wholes: for files. Internal to this room. */
#ifndef PLB_NN_SHARDS_H
#define PLB_NN_SHARDS_H

#include "frontends/nn/model.h"
#include "runtime/run/session.h"

/* What a shard of `parameter`'s tensor has, from `tensor` to `data`, by elements of `bytes`. */
void plb__shard_take(const struct plb_parameter *shard, size_t bytes, const void *tensor,
                     void *data);

/* Shard j of the tensor that `parameter` is a shard of. PLB_ERROR_INVALID when the model lacks it.
 */
enum plb_status plb__shard_find(const plb_model_t *model, const struct plb_parameter *parameter,
                                int j, const struct plb_parameter **shard_out);

/* Reads the tensor of which `parameter` is shard 0, or its state "NAME.kind" (kind NULL: itself),
 * from the store, of that dtype. */
enum plb_status plb__tensor_read(const plb_model_t *model, plb_store_t *store,
                                 const struct plb_parameter *parameter, const char *kind,
                                 enum plb_dtype dtype, void *tensor_out);
/* And writes it. */
enum plb_status plb__tensor_write(const plb_model_t *model, plb_store_t *store,
                                  const struct plb_parameter *parameter, const char *kind,
                                  enum plb_dtype dtype, const void *tensor);

#endif
