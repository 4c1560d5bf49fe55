/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Persistent tensors by name.
 */
#include "runtime/run/ledger.h"
#include "runtime/run/run_internal.h"
#include "runtime/run/starpu_managed.h"

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

/* A variable of StarPU's has its home in main memory. */
static bool is_in_main_memory(const struct plb__entry *entry)
{
    return entry->managed || entry->home == PLB_HOST;
}

static int ledger_of(const struct plb__entry *entry)
{
    return is_in_main_memory(entry) ? 0 : plb_runtime_device()->ledger;
}

static enum plb_status take_block(struct plb__entry *entry, size_t bytes)
{
    if (is_in_main_memory(entry))
        PLB_TRY(plb__memory_map(bytes, entry->name, &entry->block.address));
    else
        PLB_TRY(plb_runtime_device()->take(bytes, entry->name, &entry->block));
    entry->block.bytes = bytes;
    entry->pinned = entry->home == PLB_HOST && plb__pin(entry->block.address, bytes);
    plb__ledger_count(ledger_of(entry), (int)entry->role, bytes, true);
    return PLB_OK;
}

static void give_block(struct plb__entry *entry)
{
    const struct plb_device *device = plb_runtime_device();

    if (!entry->block.bytes)
        return;
    plb__ledger_count(ledger_of(entry), (int)entry->role, entry->block.bytes, false);
    if (entry->pinned)
        device->unpin(entry->block.address);
    if (is_in_main_memory(entry))
        plb__memory_unmap(entry->block.address, entry->block.bytes);
    else
        device->give(&entry->block);
}

static void destroy_entry(struct plb__entry *entry)
{
    for (uint32_t j = 0; entry->cell && j < entry->n_cells; j++) {
        starpu_data_handle_t token = entry->cell[j].place.token;

        if (token && entry->managed)
            plb__managed_unregister(token, true);
        else if (token)
            starpu_data_unregister(token);
    }
    give_block(entry);
    free(entry->name);
    free(entry->cell);
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

        if (info->row0 != entry->cell[j].tensor.row0 || info->col0 != entry->cell[j].tensor.col0 ||
            !plb_shape_equal(&info->type.shape, &entry->cell[j].tensor.shape))
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
    size_t bytes = 0, offset = 0;

    for (uint32_t j = 0; j < entry->n_cells; j++)
        bytes += cell_stride(&plb_graph_value(cut, cells->cells[j])->type);
    PLB_TRY(take_block(entry, bytes));
    for (uint32_t j = 0; j < entry->n_cells; j++) {
        const struct plb_value_info *info = plb_graph_value(cut, cells->cells[j]);
        struct plb__cell *cell = &entry->cell[j];

        cell->tensor =
            (struct plb_tensor){(char *)entry->block.address + offset, info->type.dtype,
                                info->type.shape, info->row0, info->col0};
        cell->place = (struct plb__place){.block = &entry->block,
                                          .offset = offset,
                                          .beside = entry->home == PLB_HOST,
                                          .managed = entry->managed};
        if (entry->managed)
            plb__managed_register(&cell->place.token, cell->tensor.data,
                                  plb_type_bytes(&info->type));
        else
            starpu_void_data_register(&cell->place.token);
        offset += cell_stride(&info->type);
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
    store->bytes += entry->block.bytes;
    return PLB_OK;
}

static enum plb_status make(plb_store_t *store, const plb_graph_t *cut,
                            const struct plb_value_info *info, const struct plb_cells *cells,
                            bool managed, enum plb_tier home, struct plb__entry **entry_out)
{
    struct plb__entry *entry = calloc(1, sizeof *entry);
    enum plb_status status;

    if (!entry)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for tensor '%s'", info->name);
    entry->n_cells = (uint32_t)(cells->rows * cells->cols);
    entry->type = info->type;
    entry->role = info->role;
    entry->managed = managed;
    entry->home = home;
    entry->name = strdup(info->name);
    entry->cell = calloc(entry->n_cells, sizeof *entry->cell);
    if (entry->name && entry->cell)
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
                                bool managed, enum plb_tier home,
                                const struct plb__entry **entry_out)
{
    struct plb__entry *entry = find(store, whole->name);

    if (entry)
        PLB_TRY(match(entry, cut, &cells, &whole->type));
    else
        PLB_TRY(make(store, cut, whole, &cells, managed, home, &entry));
    if (entry->managed != managed)
        return plb_fail(PLB_ERROR_INVALID,
                        "tensor '%s' was made by a session whose memory policy %s its values to "
                        "StarPU; all sessions of a store must agree in that",
                        entry->name, entry->managed ? "leaves" : "does not leave");
    *entry_out = entry;
    return PLB_OK;
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
    return plb__cells_write(&entry->type, entry->cell, entry->n_cells, data);
}

enum plb_status plb_store_read(plb_store_t *store, const char *name, void *data, size_t bytes)
{
    struct plb__entry *entry;

    PLB_TRY(find_exact(store, name, bytes, &entry));
    return plb__cells_read(&entry->type, entry->cell, entry->n_cells, data);
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
