/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Persistent tensors by name, and copying whole tensors into and out of their cells.
 */
#include "runtime/run/ledger.h"
#include "runtime/run/run_internal.h"

#include <stdlib.h>
#include <string.h>

struct plb_store {
    uint32_t n, capacity;
    struct plb__entry **entry;
    size_t bytes;
};

enum plb_status plb_store_create(plb_store_t **store_out)
{
    plb_store_t *store = calloc(1, sizeof *store);

    if (!store)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a store");
    *store_out = store;
    return PLB_OK;
}

static void destroy_entry(struct plb__entry *entry)
{
    for (uint32_t j = 0; entry->handle && j < entry->n_cells; j++)
        if (entry->handle[j])
            starpu_data_unregister(entry->handle[j]);
    if (entry->block)
        plb__ledger_count(0, entry->role, entry->bytes, false);
    plb__memory_unmap(entry->block, entry->bytes);
    free(entry->name);
    free(entry->cell);
    free(entry->handle);
    free(entry);
}

void plb_store_destroy(plb_store_t *store)
{
    if (!store)
        return;
    for (uint32_t k = 0; k < store->n; k++)
        destroy_entry(store->entry[k]);
    free(store->entry);
    free(store);
}

static struct plb__entry *find(const plb_store_t *store, const char *name)
{
    for (uint32_t k = 0; k < store->n; k++)
        if (strcmp(store->entry[k]->name, name) == 0)
            return store->entry[k];
    return NULL;
}

static enum plb_status fail_absent(const char *name)
{
    return plb_fail(PLB_ERROR_INVALID, "the store has no tensor '%s'", name);
}

static bool has_same_cells(const struct plb__entry *entry, const plb_graph_t *cut,
                           const struct plb_cells *cells)
{
    if ((uint32_t)(cells->rows * cells->cols) != entry->n_cells)
        return false;
    for (uint32_t j = 0; j < entry->n_cells; j++) {
        const struct plb_value_info *info = plb_graph_value(cut, cells->cells[j]);

        if (info->row0 != entry->cell[j].row0 || info->col0 != entry->cell[j].col0 ||
            !plb_shape_equal(&info->type.shape, &entry->cell[j].shape))
            return false;
    }
    return true;
}

static enum plb_status match(const struct plb__entry *entry, const plb_graph_t *cut,
                             const struct plb_cells *cells, const struct plb_type *type)
{
    char have[80], want[80];

    if (entry->type.dtype != type->dtype || !plb_shape_equal(&entry->type.shape, &type->shape))
        return plb_fail(PLB_ERROR_INVALID, "tensor '%s' is %s in the store, %s in the graph",
                        entry->name, plb_type_print(&entry->type, have, sizeof have),
                        plb_type_print(type, want, sizeof want));
    if (!has_same_cells(entry, cut, cells))
        return plb_fail(PLB_ERROR_INVALID,
                        "tensor '%s' is cut otherwise in the store than in the graph; use the "
                        "same cut options for all sessions of a store",
                        entry->name);
    return PLB_OK;
}

/* Cells begin at multiples of 64 bytes in the entry's block. */
static size_t cell_stride(const struct plb_type *type)
{
    return (plb_type_bytes(type) + 63) & ~(size_t)63;
}

static enum plb_status fill_entry(struct plb__entry *entry, const plb_graph_t *cut,
                                  const struct plb_cells *cells)
{
    char *data;

    for (uint32_t j = 0; j < entry->n_cells; j++)
        entry->bytes += cell_stride(&plb_graph_value(cut, cells->cells[j])->type);
    PLB_TRY(plb__memory_map(entry->bytes, entry->name, &entry->block));
    plb__ledger_count(0, entry->role, entry->bytes, true);
    data = entry->block;
    for (uint32_t j = 0; j < entry->n_cells; j++) {
        const struct plb_value_info *info = plb_graph_value(cut, cells->cells[j]);

        entry->cell[j] = (struct plb_tensor){data, info->type.dtype, info->type.shape, info->row0,
                                             info->col0};
        starpu_variable_data_register(&entry->handle[j], STARPU_MAIN_RAM, (uintptr_t)data,
                                      plb_type_bytes(&info->type));
        data += cell_stride(&info->type);
    }
    return PLB_OK;
}

static enum plb_status append(plb_store_t *store, struct plb__entry *entry)
{
    if (store->n == store->capacity) {
        uint32_t capacity = store->capacity ? 2 * store->capacity : 64;
        struct plb__entry **grown = realloc(store->entry, capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %u tensors in a store", capacity);
        store->entry = grown;
        store->capacity = capacity;
    }
    store->entry[store->n++] = entry;
    store->bytes += entry->bytes;
    return PLB_OK;
}

static enum plb_status make(plb_store_t *store, const plb_graph_t *cut,
                            const struct plb_value_info *info, const struct plb_cells *cells,
                            struct plb__entry **entry_out)
{
    struct plb__entry *entry = calloc(1, sizeof *entry);
    enum plb_status status;

    if (!entry)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for tensor '%s'", info->name);
    entry->n_cells = (uint32_t)(cells->rows * cells->cols);
    entry->type = info->type;
    entry->role = info->role;
    entry->name = strdup(info->name);
    entry->cell = calloc(entry->n_cells, sizeof *entry->cell);
    entry->handle = calloc(entry->n_cells, sizeof *entry->handle);
    if (entry->name && entry->cell && entry->handle)
        status = fill_entry(entry, cut, cells);
    else
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for tensor '%s'", info->name);
    if (status == PLB_OK)
        status = append(store, entry);
    if (status != PLB_OK) {
        destroy_entry(entry);
        return status;
    }
    *entry_out = entry;
    return PLB_OK;
}

enum plb_status plb__store_bind(plb_store_t *store, const plb_graph_t *cut,
                                const struct plb_value_info *whole, struct plb_cells cells,
                                const struct plb__entry **entry_out)
{
    struct plb__entry *entry = find(store, whole->name);

    if (entry)
        PLB_TRY(match(entry, cut, &cells, &whole->type));
    else
        PLB_TRY(make(store, cut, whole, &cells, &entry));
    *entry_out = entry;
    return PLB_OK;
}

/* Copies the rows of one cell between the whole tensor and the cell. */
static void copy_cell(const struct plb_type *type, const struct plb_tensor *cell, char *whole,
                      bool into_cell)
{
    size_t element = plb_dtype_bytes(type->dtype);
    size_t pitch = (size_t)plb_shape_row_elements(&type->shape) * element;
    size_t width = (size_t)plb_shape_row_elements(&cell->shape) * element;
    char *data = cell->data;

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

static enum plb_status copy_cells(const struct plb_type *type, const struct plb_tensor *cell,
                                  const starpu_data_handle_t *handle, uint32_t n, char *whole,
                                  bool into_cells)
{
    for (uint32_t j = 0; j < n; j++) {
        int error = starpu_data_acquire(handle[j], into_cells ? STARPU_W : STARPU_R);

        if (error)
            return plb__starpu_failed("starpu_data_acquire", error);
        copy_cell(type, &cell[j], whole, into_cells);
        starpu_data_release(handle[j]);
    }
    return PLB_OK;
}

enum plb_status plb__cells_write(const struct plb_type *type, const struct plb_tensor *cell,
                                 const starpu_data_handle_t *handle, uint32_t n, const void *data)
{
    return copy_cells(type, cell, handle, n, (char *)data, true);
}

enum plb_status plb__cells_read(const struct plb_type *type, const struct plb_tensor *cell,
                                const starpu_data_handle_t *handle, uint32_t n, void *data)
{
    return copy_cells(type, cell, handle, n, data, false);
}

static enum plb_status find_exact(const plb_store_t *store, const char *name, size_t bytes,
                                  struct plb__entry **entry_out)
{
    struct plb__entry *entry = find(store, name);

    if (!entry)
        return fail_absent(name);
    if (plb_type_bytes(&entry->type) != bytes)
        return plb_fail(PLB_ERROR_INVALID, "tensor '%s' has %zu bytes, not %zu", name,
                        plb_type_bytes(&entry->type), bytes);
    *entry_out = entry;
    return PLB_OK;
}

enum plb_status plb_store_write(plb_store_t *store, const char *name, const void *data,
                                size_t bytes)
{
    struct plb__entry *entry;

    PLB_TRY(find_exact(store, name, bytes, &entry));
    return plb__cells_write(&entry->type, entry->cell, entry->handle, entry->n_cells, data);
}

enum plb_status plb_store_read(plb_store_t *store, const char *name, void *data, size_t bytes)
{
    struct plb__entry *entry;

    PLB_TRY(find_exact(store, name, bytes, &entry));
    return plb__cells_read(&entry->type, entry->cell, entry->handle, entry->n_cells, data);
}

enum plb_status plb_store_type(const plb_store_t *store, const char *name,
                               struct plb_type *type_out)
{
    const struct plb__entry *entry = find(store, name);

    if (!entry)
        return fail_absent(name);
    *type_out = entry->type;
    return PLB_OK;
}

uint32_t plb_store_tensors(const plb_store_t *store)
{
    return store->n;
}

const char *plb_store_name(const plb_store_t *store, uint32_t index)
{
    return index < store->n ? store->entry[index]->name : "";
}

size_t plb_store_bytes(const plb_store_t *store)
{
    return store->bytes;
}
