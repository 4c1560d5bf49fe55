/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters and optimizer state between a store and files. */
#include "config.h"

#include "frontends/nn/weights.h"

#include "frontends/nn/shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_BYTES 640 /* of the name of a tensor of the optimizer's state */

static enum plb_status no_memory(const char *name)
{
    return plb_fail(PLB_ERROR_MEMORY, "no memory for a copy of \"%s\"", name);
}

/* Writes f32 values to a parameter: to the copy that layers read, and to the master. */
static enum plb_status write_parameter(const plb_model_t *model, plb_store_t *store,
                                       const struct plb_parameter *parameter, const float *data)
{
    size_t count = (size_t)plb_shape_elements(&parameter->shape);
    enum plb_dtype dtype = plb_model_options(model)->dtype;
    char master[600];

    if (dtype == PLB_F32)
        return plb_store_write(store, parameter->name, data, count * sizeof *data);
    void *copy = malloc(count * plb_dtype_bytes(dtype));
    if (!copy)
        return no_memory(parameter->name);
    enum plb_status status =
        plb_stored_convert(PLB_STORED_F32, data, plb_stored_dtype_of(dtype), copy, count);
    if (status == PLB_OK)
        status = plb_store_write(store, parameter->name, copy, count * plb_dtype_bytes(dtype));
    free(copy);
    if (status == PLB_OK && parameter->master != PLB_NONE) {
        snprintf(master, sizeof master, "%s.master", parameter->name);
        status = plb_store_write(store, master, data, count * sizeof *data);
    }
    return status;
}

enum plb_status plb_weights_initialize(const plb_model_t *model, plb_store_t *store)
{
    for (int i = 0; i < plb_model_parameters(model); i++) {
        const struct plb_parameter *parameter = plb_model_parameter_at(model, i);
        size_t count = (size_t)plb_shape_elements(&parameter->shape);
        float *data = malloc(count * sizeof *data);

        if (!data)
            return no_memory(parameter->name);
        plb_parameter_initialize_all(parameter, plb_model_options(model)->seed, data);
        enum plb_status status = write_parameter(model, store, parameter, data);
        free(data);
        PLB_TRY(status);
    }
    return PLB_OK;
}

/* The shape of a piece as its file has it. */
static struct plb_shape piece_shape(const struct plb_parameter *parameter,
                                    const struct plb_piece *piece)
{
    struct plb_shape shape = parameter->tensor_shape;

    shape.dim[0] = piece->rows;
    if (piece->transposed)
        shape = plb_shape2(parameter->tensor_shape.dim[1], piece->rows);
    return shape;
}

/* The tensor of that name, or of the name without its first word. */
static enum plb_status find_tensor(const plb_safetensors_t *set, const char *name,
                                   const struct plb_stored_tensor **tensor_out)
{
    const char *dot = strchr(name, '.');
    const struct plb_stored_tensor *tensor = plb_safetensors_find(set, name);

    if (!tensor && dot)
        tensor = plb_safetensors_find(set, dot + 1);
    if (!tensor)
        return plb_safetensors_require(set, name, tensor_out);
    *tensor_out = tensor;
    return PLB_OK;
}

/* target[columns, rows] of source[rows, columns], by tiles that fit into the first cache. */
static void transpose(const float *source, int64_t rows, int64_t columns, float *target)
{
    enum { TILE = 32 };

    for (int64_t r0 = 0; r0 < rows; r0 += TILE)
        for (int64_t c0 = 0; c0 < columns; c0 += TILE)
            for (int64_t r = r0; r < rows && r < r0 + TILE; r++)
                for (int64_t c = c0; c < columns && c < c0 + TILE; c++)
                    target[c * rows + r] = source[r * columns + c];
}

static enum plb_status load_piece(const plb_safetensors_t *set,
                                  const struct plb_parameter *parameter,
                                  const struct plb_piece *piece, float *data)
{
    const struct plb_stored_tensor *tensor;
    struct plb_shape shape = piece_shape(parameter, piece);

    PLB_TRY(find_tensor(set, piece->tensor, &tensor));
    PLB_TRY(plb_safetensors_check_shape(set, tensor, shape.rank, shape.dim));
    data += piece->row0 * plb_shape_row_elements(&parameter->tensor_shape);
    if (!piece->transposed)
        return plb_safetensors_read(set, tensor, 0, tensor->elements, PLB_STORED_F32, data);
    float *copy = malloc(tensor->elements * sizeof *copy);
    if (!copy)
        return no_memory(piece->tensor);
    enum plb_status status =
        plb_safetensors_read(set, tensor, 0, tensor->elements, PLB_STORED_F32, copy);
    if (status == PLB_OK)
        transpose(copy, shape.dim[0], shape.dim[1], data);
    free(copy);
    return status;
}

/* Writes the values of a tensor to the parameter that it is, or to its shards. */
static enum plb_status write_tensor(const plb_model_t *model, plb_store_t *store,
                                    const struct plb_parameter *parameter, const float *tensor)
{
    size_t largest = (size_t)plb_shape_elements(&parameter->tensor_shape);

    if (parameter->share.shards == 1)
        return write_parameter(model, store, parameter, tensor);
    float *data = malloc(largest * sizeof *data);
    enum plb_status status = data ? PLB_OK : no_memory(parameter->tensor);
    for (int j = 0; j < parameter->share.shards && status == PLB_OK; j++) {
        const struct plb_parameter *shard;
        status = plb__shard_find(model, parameter, j, &shard);
        if (status != PLB_OK)
            break;
        plb__shard_take(shard, sizeof *data, tensor, data);
        status = write_parameter(model, store, shard, data);
    }
    free(data);
    return status;
}

enum plb_status plb_weights_load(const plb_model_t *model, plb_store_t *store,
                                 const plb_safetensors_t *set)
{
    for (int i = 0; i < plb_model_parameters(model); i++) {
        const struct plb_parameter *parameter = plb_model_parameter_at(model, i);
        size_t count = (size_t)plb_shape_elements(&parameter->tensor_shape);
        if (parameter->share.shard > 0)
            continue;
        float *data = malloc(count * sizeof *data);
        enum plb_status status = data ? PLB_OK : no_memory(parameter->tensor);

        for (int k = 0; k < parameter->n_pieces && status == PLB_OK; k++)
            status = load_piece(set, parameter, &parameter->pieces[k], data);
        if (status == PLB_OK)
            status = write_tensor(model, store, parameter, data);
        free(data);
        PLB_TRY(status);
    }
    return PLB_OK;
}

/* Appends the pieces of one parameter, which are tensors number `first` and on of the file. */
static enum plb_status append_pieces(plb_safetensors_writer_t *writer, size_t first,
                                     enum plb_dtype dtype, const struct plb_parameter *parameter,
                                     const char *data)
{
    uint64_t row = (uint64_t)plb_shape_row_elements(&parameter->tensor_shape);
    enum plb_stored_dtype stored = plb_stored_dtype_of(dtype);

    for (int k = 0; k < parameter->n_pieces; k++) {
        const struct plb_piece *piece = &parameter->pieces[k];
        uint64_t count = (uint64_t)piece->rows * row;
        const char *rows = data + (uint64_t)piece->row0 * row * plb_dtype_bytes(dtype);
        if (!piece->transposed) {
            PLB_TRY(plb_safetensors_writer_append(writer, first + (size_t)k, stored, rows, count));
            continue;
        }
        float *copy = malloc(2 * count * sizeof *copy);
        if (!copy)
            return no_memory(piece->tensor);
        enum plb_status status = plb_stored_convert(stored, rows, PLB_STORED_F32, copy, count);
        if (status == PLB_OK) {
            transpose(copy, piece->rows, (int64_t)row, copy + count);
            status = plb_safetensors_writer_append(writer, first + (size_t)k, PLB_STORED_F32,
                                                   copy + count, count);
        }
        free(copy);
        PLB_TRY(status);
    }
    return PLB_OK;
}

static enum plb_status declare_weights(plb_safetensors_writer_t *writer, const plb_model_t *model)
{
    enum plb_stored_dtype stored = plb_stored_dtype_of(plb_model_options(model)->dtype);

    for (int i = 0; i < plb_model_parameters(model); i++) {
        const struct plb_parameter *parameter = plb_model_parameter_at(model, i);
        for (int k = 0; k < parameter->n_pieces && parameter->share.shard == 0; k++) {
            struct plb_shape shape = piece_shape(parameter, &parameter->pieces[k]);
            PLB_TRY(plb_safetensors_writer_declare(writer, parameter->pieces[k].tensor, stored,
                                                   shape.rank, shape.dim));
        }
    }
    return PLB_OK;
}

static enum plb_status append_weights(plb_safetensors_writer_t *writer, const plb_model_t *model,
                                      plb_store_t *store)
{
    enum plb_dtype dtype = plb_model_options(model)->dtype;
    size_t tensor = 0;

    for (int i = 0; i < plb_model_parameters(model); i++) {
        const struct plb_parameter *parameter = plb_model_parameter_at(model, i);
        size_t count = (size_t)plb_shape_elements(&parameter->tensor_shape);
        if (parameter->share.shard > 0)
            continue;
        char *data = malloc(count * plb_dtype_bytes(dtype));
        enum plb_status status = data ? plb__tensor_read(model, store, parameter, NULL, dtype, data)
                                      : no_memory(parameter->tensor);
        if (status == PLB_OK)
            status = append_pieces(writer, tensor, dtype, parameter, data);
        free(data);
        PLB_TRY(status);
        tensor += (size_t)parameter->n_pieces;
    }
    return PLB_OK;
}

/* Commits, or aborts after a failure. */
static enum plb_status finish(plb_safetensors_writer_t *writer, enum plb_status status)
{
    if (status == PLB_OK)
        return plb_safetensors_writer_commit(writer);
    plb_safetensors_writer_abort(writer);
    return status;
}

enum plb_status plb_weights_save(const plb_model_t *model, plb_store_t *store, const char *path)
{
    plb_safetensors_writer_t *writer;

    PLB_TRY(plb_safetensors_writer_create(&writer));
    enum plb_status status = declare_weights(writer, model);
    if (status == PLB_OK)
        status = plb_safetensors_writer_open_file(writer, path);
    if (status == PLB_OK)
        status = append_weights(writer, model, store);
    return finish(writer, status);
}

/* A tensor of the optimizer's file: a value of role STATE that exists before the step, or all
 * shards of one. */
struct state {
    char name[STATE_BYTES];
    struct plb_type type;
    const struct plb_parameter *parameter; /* whose shards have it; NULL: it is one value */
    const char *kind;                      /* "moment1" */
};

/* What the value is: false for shards other than the first, which stands for all. */
static bool state_of(const plb_model_t *model, const struct plb_value_info *info,
                     struct state *state)
{
    const char *dot = strrchr(info->name, '.');

    *state = (struct state){.type = info->type};
    snprintf(state->name, sizeof state->name, "%.*s", dot ? (int)(dot - info->name) : 0,
             info->name);
    const struct plb_parameter *parameter = plb_model_parameter_find(model, state->name);
    if (!parameter || parameter->share.shards == 1) {
        snprintf(state->name, sizeof state->name, "%s", info->name);
        return true;
    }
    state->parameter = parameter;
    state->kind = dot + 1;
    state->type.shape = parameter->tensor_shape;
    snprintf(state->name, sizeof state->name, "%s.%s", parameter->tensor, state->kind);
    return parameter->share.shard == 0;
}

/* The next one, of values from `value` on; false after the last. */
static bool next_state(plb_model_t *model, plb_value *value, struct state *state)
{
    const plb_graph_t *graph = plb_model_graph(model);

    while (*value < plb_graph_values(graph)) {
        const struct plb_value_info *info = plb_graph_value(graph, (*value)++);
        if (info->role == PLB_ROLE_STATE && info->producer == PLB_NONE &&
            state_of(model, info, state))
            return true;
    }
    return false;
}

static enum plb_status declare_state(plb_safetensors_writer_t *writer, plb_model_t *model)
{
    struct state state;

    for (plb_value at = 0; next_state(model, &at, &state);)
        PLB_TRY(plb_safetensors_writer_declare(writer, state.name,
                                               plb_stored_dtype_of(state.type.dtype),
                                               state.type.shape.rank, state.type.shape.dim));
    return PLB_OK;
}

static enum plb_status read_state(const plb_model_t *model, plb_store_t *store,
                                  const struct state *state, void *data)
{
    if (state->parameter)
        return plb__tensor_read(model, store, state->parameter, state->kind, state->type.dtype,
                                data);
    return plb_store_read(store, state->name, data, plb_type_bytes(&state->type));
}

static enum plb_status append_state(plb_safetensors_writer_t *writer, plb_model_t *model,
                                    plb_store_t *store)
{
    struct state state;
    size_t tensor = 0;

    for (plb_value at = 0; next_state(model, &at, &state); tensor++) {
        void *data = malloc(plb_type_bytes(&state.type));
        enum plb_status status =
            data ? read_state(model, store, &state, data) : no_memory(state.name);
        if (status == PLB_OK)
            status = plb_safetensors_writer_append(writer, tensor,
                                                   plb_stored_dtype_of(state.type.dtype), data,
                                                   (uint64_t)plb_shape_elements(&state.type.shape));
        free(data);
        PLB_TRY(status);
    }
    return PLB_OK;
}

enum plb_status plb_state_save(plb_model_t *model, plb_store_t *store, const char *path)
{
    plb_safetensors_writer_t *writer;

    PLB_TRY(plb_safetensors_writer_create(&writer));
    enum plb_status status = declare_state(writer, model);
    if (status == PLB_OK)
        status = plb_safetensors_writer_open_file(writer, path);
    if (status == PLB_OK)
        status = append_state(writer, model, store);
    return finish(writer, status);
}

static enum plb_status load_state(const plb_model_t *model, plb_store_t *store,
                                  const plb_safetensors_t *set, const struct state *state,
                                  void *data)
{
    const struct plb_stored_tensor *tensor;
    enum plb_dtype dtype = state->type.dtype;

    PLB_TRY(plb_safetensors_require(set, state->name, &tensor));
    PLB_TRY(
        plb_safetensors_check_shape(set, tensor, state->type.shape.rank, state->type.shape.dim));
    PLB_TRY(
        plb_safetensors_read(set, tensor, 0, tensor->elements, plb_stored_dtype_of(dtype), data));
    if (state->parameter)
        return plb__tensor_write(model, store, state->parameter, state->kind, dtype, data);
    return plb_store_write(store, state->name, data, plb_type_bytes(&state->type));
}

enum plb_status plb_state_load(plb_model_t *model, plb_store_t *store, const plb_safetensors_t *set)
{
    struct state state;

    for (plb_value at = 0; next_state(model, &at, &state);) {
        void *data = malloc(plb_type_bytes(&state.type));
        enum plb_status status =
            data ? load_state(model, store, set, &state, data) : no_memory(state.name);
        free(data);
        PLB_TRY(status);
    }
    return PLB_OK;
}
