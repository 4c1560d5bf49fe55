/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copying whole tensors into and out of their cells.
 *
 * A caller's tensor is in main memory and dense; its cells are on the device. Where the device has
 * a memory of its own a cell is copied in one piece and taken apart here, since each copy has a
 * price; but for those that are kept in main memory.
 */
#include "runtime/run/run_internal.h"
#include "runtime/run/starpu_managed.h"

#include <stdlib.h>
#include <string.h>

/* Copies the rows of one cell between the whole tensor and the cell's data. */
static void copy_rows(const struct plb_type *type, const struct plb_tensor *cell, char *data,
                      char *whole, bool into_cell)
{
    size_t element = plb_dtype_bytes(type->dtype);
    size_t pitch = (size_t)plb_shape_row_elements(&type->shape) * element;
    size_t width = (size_t)plb_shape_row_elements(&cell->shape) * element;

    whole += (size_t)cell->row0 * pitch + (size_t)cell->col0 * element;
    for (int64_t r = 0; r < cell->shape.dim[0]; r++) {
        if (into_cell)
            memcpy(data, whole, width);
        else
            memcpy(whole, data, width);
        data += width;
        whole += pitch;
    }
}

/* Through a buffer in main memory. */
static enum plb_status copy_over(const struct plb_type *type, const struct plb__cell *cell,
                                 char *whole, bool into_cell)
{
    const struct plb_device *device = cell->place.block->device;
    const struct plb_type of_cell = {cell->tensor.dtype, cell->tensor.shape};
    size_t bytes = plb_type_bytes(&of_cell);
    char *buffer = malloc(bytes);
    enum plb_status status = PLB_OK;

    if (!buffer)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to copy %s from or to the device",
                        plb_bytes_text((double)bytes).text);
    if (into_cell)
        copy_rows(type, &cell->tensor, buffer, whole, true);
    if (into_cell)
        status = device->copy_in(buffer, cell->place.block, cell->place.offset, bytes);
    else
        status = device->copy_out(cell->place.block, cell->place.offset, buffer, bytes);
    if (!into_cell && status == PLB_OK)
        copy_rows(type, &cell->tensor, buffer, whole, false);
    free(buffer);
    return status;
}

static enum plb_status copy_cell(const struct plb_type *type, const struct plb__cell *cell,
                                 char *whole, bool into_cell)
{
    const struct plb_device *device = cell->place.block->device;

    if (device && device->has_host && !cell->place.beside)
        return copy_over(type, cell, whole, into_cell);
    copy_rows(type, &cell->tensor, cell->tensor.data, whole, into_cell);
    return PLB_OK;
}

/* StarPU has brought the cell to main memory. */
static enum plb_status copy_managed(const struct plb_type *type, const struct plb__cell *cell,
                                    char *whole, bool into_cell)
{
    void *data;

    PLB_TRY(plb__managed_acquire(cell->place.token, into_cell, &data));
    copy_rows(type, &cell->tensor, data, whole, into_cell);
    plb__managed_release(cell->place.token);
    return PLB_OK;
}

static enum plb_status copy_token(const struct plb_type *type, const struct plb__cell *cell,
                                  char *whole, bool into_cell)
{
    starpu_data_handle_t token = cell->place.token;
    int error =
        starpu_data_acquire_on_node(token, STARPU_ACQUIRE_NO_NODE, into_cell ? STARPU_W : STARPU_R);
    enum plb_status status;

    if (error)
        return plb__starpu_failed("starpu_data_acquire_on_node", error);
    status = copy_cell(type, cell, whole, into_cell);
    starpu_data_release_on_node(token, STARPU_ACQUIRE_NO_NODE);
    return status;
}

static enum plb_status copy_cells(const struct plb_type *type, const struct plb__cell *cell,
                                  uint32_t n, char *whole, bool into_cells)
{
    enum plb_status status = PLB_OK;

    for (uint32_t j = 0; j < n && status == PLB_OK; j++)
        status = cell[j].place.managed ? copy_managed(type, &cell[j], whole, into_cells)
                                       : copy_token(type, &cell[j], whole, into_cells);
    return status;
}

enum plb_status plb__cells_write(const struct plb_type *type, const struct plb__cell *cell,
                                 uint32_t n, const void *data)
{
    return copy_cells(type, cell, n, (char *)data, true);
}

enum plb_status plb__cells_read(const struct plb_type *type, const struct plb__cell *cell,
                                uint32_t n, void *data)
{
    return copy_cells(type, cell, n, data, false);
}
