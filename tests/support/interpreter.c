/* SPDX-License-Identifier: BSD-3-Clause */
/* A serial interpreter of graphs: see interpreter.h. */
#include "config.h"

#include "tests/support/interpreter.h"

#include "runtime/run/invoke.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT   64
#define NOT_WRITTEN 0xff /* in every byte: a NaN in all real dtypes, -1 in integers */

struct plb_interpreter {
    const plb_graph_t *whole, *graph; /* `graph` is run; the whole one itself where it is not cut */
    void **data;                      /* per value of `graph` */
    struct plb__invocation *task;
    uint32_t n_values, n_tasks;
    void **operands; /* for the call at hand */
    char *scratch;
};

/* --- memory --------------------------------------------------------------------------------- */

static void *aligned_zeros(size_t bytes)
{
    size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + ALIGNMENT;
    void *memory = aligned_alloc(ALIGNMENT, rounded);

    if (memory != NULL)
        memset(memory, 0, rounded);
    return memory;
}

static enum plb_status values_make(plb_interpreter_t *in)
{
    in->data = calloc((size_t)in->n_values + 1, sizeof *in->data);
    if (in->data == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %" PRIu32 " values", in->n_values);
    for (plb_value value = 0; value < in->n_values; value++) {
        const struct plb_value_info *info = plb_graph_value(in->graph, value);

        in->data[value] = aligned_zeros(plb_type_bytes(&info->type));
        if (in->data[value] == NULL)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %s", info->name);
    }
    return PLB_OK;
}

static enum plb_status tasks_make(plb_interpreter_t *in)
{
    size_t operands = 0, scratch = 0;

    in->task = calloc((size_t)in->n_tasks + 1, sizeof *in->task);
    if (in->task == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %" PRIu32 " tasks", in->n_tasks);
    for (plb_task_id task = 0; task < in->n_tasks; task++) {
        PLB_TRY(plb__invocation_prepare(in->graph, task, false, &in->task[task]));
        if (in->task[task].n_cells > operands)
            operands = in->task[task].n_cells;
        if (in->task[task].scratch_bytes > scratch)
            scratch = in->task[task].scratch_bytes;
    }
    in->operands = calloc(operands + 1, sizeof *in->operands);
    in->scratch = aligned_zeros(scratch);
    if (in->operands == NULL || in->scratch == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %zu bytes of scratch", scratch);
    return PLB_OK;
}

enum plb_status plb_interpreter_create(const plb_graph_t *whole, const plb_graph_t *cut,
                                       plb_interpreter_t **interpreter_out)
{
    const plb_graph_t *graph = cut != NULL ? cut : whole;
    plb_interpreter_t *in = calloc(1, sizeof *in);
    enum plb_status status;

    if (in == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for an interpreter");
    in->whole = whole;
    in->graph = graph;
    in->n_values = plb_graph_values(graph);
    in->n_tasks = plb_graph_tasks(graph);
    status = plb_graph_status(graph);
    if (status == PLB_OK)
        status = values_make(in);
    if (status == PLB_OK)
        status = tasks_make(in);
    if (status != PLB_OK) {
        plb_interpreter_destroy(in);
        return status;
    }
    *interpreter_out = in;
    return PLB_OK;
}

void plb_interpreter_destroy(plb_interpreter_t *in)
{
    if (in == NULL)
        return;
    for (plb_value value = 0; in->data != NULL && value < in->n_values; value++)
        free(in->data[value]);
    for (plb_task_id task = 0; in->task != NULL && task < in->n_tasks; task++)
        plb__invocation_clear(&in->task[task]);
    free(in->data);
    free(in->task);
    free(in->operands);
    free(in->scratch);
    free(in);
}

/* --- values --------------------------------------------------------------------------------- */

/* Copies between a cell and its place in the whole value. */
static void cell_copy(const plb_interpreter_t *in, plb_value cell, char *whole, bool to_cell)
{
    const struct plb_value_info *info = plb_graph_value(in->graph, cell);
    size_t element = plb_dtype_bytes(info->type.dtype);
    size_t pitch = (size_t)plb_shape_row_elements(&info->whole) * element;
    size_t width = (size_t)plb_shape_row_elements(&info->type.shape) * element;
    char *data = in->data[cell];

    for (int64_t row = 0; row < info->type.shape.dim[0]; row++) {
        char *place = whole + (size_t)(info->row0 + row) * pitch + (size_t)info->col0 * element;

        if (to_cell)
            memcpy(data + (size_t)row * width, place, width);
        else
            memcpy(place, data + (size_t)row * width, width);
    }
}

static enum plb_status value_copy(const plb_interpreter_t *in, plb_value value, char *data,
                                  size_t bytes, bool to_cells)
{
    const struct plb_value_info *info = plb_graph_value(in->whole, value);
    struct plb_cells cells = {1, 1, &value};

    if (value >= plb_graph_values(in->whole) || plb_type_bytes(&info->type) != bytes)
        return plb_fail(PLB_ERROR_INVALID, "value %" PRIu32 " has %zu bytes, not %zu", value,
                        plb_type_bytes(&info->type), bytes);
    if (in->graph != in->whole)
        cells = plb_graph_cells(in->graph, value);
    for (int i = 0; i < cells.rows * cells.cols; i++)
        cell_copy(in, cells.cells[i], data, to_cells);
    return PLB_OK;
}

enum plb_status plb_interpreter_write(plb_interpreter_t *in, plb_value value, const void *data,
                                      size_t bytes)
{
    return value_copy(in, value, (char *)data, bytes, true);
}

enum plb_status plb_interpreter_read(const plb_interpreter_t *in, plb_value value, void *data,
                                     size_t bytes)
{
    return value_copy(in, value, data, bytes, false);
}

/* --- steps ---------------------------------------------------------------------------------- */

void *plb_interpreter_memory(plb_interpreter_t *in, plb_value value)
{
    return in->data[value];
}

enum plb_status plb_interpreter_run(plb_interpreter_t *in, plb_task_id id, void *const *operands,
                                    uint64_t step)
{
    enum plb_status status = plb__invocation_run(&in->task[id], operands, step, in->scratch);

    if (status == PLB_OK)
        return PLB_OK;
    return plb_fail_within(status, "task %s", plb_graph_task(in->graph, id)->name);
}

static enum plb_status task_run(plb_interpreter_t *in, plb_task_id id, uint64_t step)
{
    const struct plb_task *task = plb_graph_task(in->graph, id);
    uint32_t n_in = task->in_start[task->n_in], n_out = task->out_start[task->n_out];

    for (uint32_t i = 0; i < n_in; i++)
        in->operands[i] = in->data[task->in[i]];
    for (uint32_t i = 0; i < n_out; i++)
        in->operands[n_in + i] = in->data[task->out[i]];
    return plb_interpreter_run(in, id, in->operands, step);
}

enum plb_status plb_interpreter_step(plb_interpreter_t *in, uint64_t step)
{
    for (plb_value value = 0; value < in->n_values; value++) {
        const struct plb_value_info *info = plb_graph_value(in->graph, value);

        if (info->producer != PLB_NONE)
            memset(in->data[value], NOT_WRITTEN, plb_type_bytes(&info->type));
    }
    for (plb_task_id task = 0; task < in->n_tasks; task++)
        PLB_TRY(task_run(in, task, step));
    for (plb_value value = 0; value < in->n_values; value++) {
        const struct plb_value_info *info = plb_graph_value(in->graph, value);

        if (info->next != PLB_NONE)
            memcpy(in->data[value], in->data[info->next], plb_type_bytes(&info->type));
    }
    return PLB_OK;
}
