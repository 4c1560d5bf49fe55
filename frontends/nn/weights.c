/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters and optimizer state between a store and files. */
#include "config.h"

#include "frontends/nn/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    struct plb_shape shape = parameter->shape;

    shape.dim[0] = piece->rows;
    if (piece->transposed)
        shape = plb_shape2(parameter->shape.dim[1], piece->rows);
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
    data += piece->row0 * plb_shape_row_elements(&parameter->shape);
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

enum plb_status plb_weights_load(const plb_model_t *model, plb_store_t *store,
                                 const plb_safetensors_t *set)
{
    for (int i = 0; i < plb_model_parameters(model); i++) {
        const struct plb_parameter *parameter = plb_model_parameter_at(model, i);
        size_t count = (size_t)plb_shape_elements(&parameter->shape);
        float *data = malloc(count * sizeof *data);
        enum plb_status status = data ? PLB_OK : no_memory(parameter->name);

        for (int k = 0; k < parameter->n_pieces && status == PLB_OK; k++)
            status = load_piece(set, parameter, &parameter->pieces[k], data);
        if (status == PLB_OK)
            status = write_parameter(model, store, parameter, data);
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
    uint64_t row = (uint64_t)plb_shape_row_elements(&parameter->shape);
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
        for (int k = 0; k < parameter->n_pieces; k++) {
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
        size_t bytes = (size_t)plb_shape_elements(&parameter->shape) * plb_dtype_bytes(dtype);
        char *data = malloc(bytes);
        enum plb_status status =
            data ? plb_store_read(store, parameter->name, data, bytes) : no_memory(parameter->name);
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

/* The next value of role STATE that exists before the step, from `value` on; NULL after the last.
 */
static const struct plb_value_info *next_state(const plb_graph_t *graph, plb_value *value)
{
    while (*value < plb_graph_values(graph)) {
        const struct plb_value_info *info = plb_graph_value(graph, (*value)++);
        if (info->role == PLB_ROLE_STATE && info->producer == PLB_NONE)
            return info;
    }
    return NULL;
}

static enum plb_status declare_state(plb_safetensors_writer_t *writer, const plb_graph_t *graph)
{
    const struct plb_value_info *info;

    for (plb_value at = 0; (info = next_state(graph, &at)) != NULL;)
        PLB_TRY(plb_safetensors_writer_declare(writer, info->name,
                                               plb_stored_dtype_of(info->type.dtype),
                                               info->type.shape.rank, info->type.shape.dim));
    return PLB_OK;
}

static enum plb_status append_state(plb_safetensors_writer_t *writer, const plb_graph_t *graph,
                                    plb_store_t *store)
{
    const struct plb_value_info *info;
    size_t tensor = 0;

    for (plb_value at = 0; (info = next_state(graph, &at)) != NULL; tensor++) {
        size_t bytes = plb_type_bytes(&info->type);
        void *data = malloc(bytes);
        enum plb_status status =
            data ? plb_store_read(store, info->name, data, bytes) : no_memory(info->name);
        if (status == PLB_OK)
            status = plb_safetensors_writer_append(writer, tensor,
                                                   plb_stored_dtype_of(info->type.dtype), data,
                                                   (uint64_t)plb_shape_elements(&info->type.shape));
        free(data);
        PLB_TRY(status);
    }
    return PLB_OK;
}

enum plb_status plb_state_save(const plb_graph_t *graph, plb_store_t *store, const char *path)
{
    plb_safetensors_writer_t *writer;

    PLB_TRY(plb_safetensors_writer_create(&writer));
    enum plb_status status = declare_state(writer, graph);
    if (status == PLB_OK)
        status = plb_safetensors_writer_open_file(writer, path);
    if (status == PLB_OK)
        status = append_state(writer, graph, store);
    return finish(writer, status);
}

enum plb_status plb_state_load(const plb_graph_t *graph, plb_store_t *store,
                               const plb_safetensors_t *set)
{
    const struct plb_value_info *info;

    for (plb_value at = 0; (info = next_state(graph, &at)) != NULL;) {
        const struct plb_stored_tensor *tensor;
        size_t bytes = plb_type_bytes(&info->type);

        PLB_TRY(plb_safetensors_require(set, info->name, &tensor));
        PLB_TRY(
            plb_safetensors_check_shape(set, tensor, info->type.shape.rank, info->type.shape.dim));
        void *data = malloc(bytes);
        if (!data)
            return no_memory(info->name);
        enum plb_status status = plb_safetensors_read(set, tensor, 0, tensor->elements,
                                                      plb_stored_dtype_of(info->type.dtype), data);
        if (status == PLB_OK)
            status = plb_store_write(store, info->name, data, bytes);
        free(data);
        PLB_TRY(status);
    }
    return PLB_OK;
}
