/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Persistent tensors by name.
 *
 * A tensor is a grid of cells, which lie in a block of the device where the session that first
 * named it computes. A session that is spread over devices gives each of them an entry of its own
 * with the cells that it needs there: *twins*, in a chain behind the first. A cell that several
 * twins have is a replica, which the session keeps equal; of these the first one is read and all
 * are written.
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
    return is_in_main_memory(entry) ? 0 : entry->device->ledger;
}

static enum plb_status take_block(struct plb__entry *entry, size_t bytes)
{
    if (is_in_main_memory(entry))
        PLB_TRY(plb__memory_map(bytes, entry->name, &entry->block.address));
    else
        PLB_TRY(entry->device->take(entry->device, bytes, entry->name, &entry->block));
    entry->block.bytes = bytes;
    entry->pinned =
        entry->home == PLB_HOST && plb__pin(entry->device, entry->block.address, bytes);
    plb__ledger_count(ledger_of(entry), (int)entry->role, bytes, true);
    return PLB_OK;
}

static void give_block(struct plb__entry *entry)
{
    const struct plb_device *device = entry->device;

    if (!entry->block.bytes)
        return;
    plb__ledger_count(ledger_of(entry), (int)entry->role, entry->block.bytes, false);
    if (entry->pinned)
        device->unpin(device, entry->block.address);
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
    for (uint32_t k = 0; k < store->n; k++) {
        struct plb__entry *entry = store->entry[k], *twin;

        for (; entry; entry = twin) {
            twin = entry->twin;
            destroy_entry(entry);
        }
    }
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

/* Another cut of the tensor has other cells there. */
static bool is_cell(const struct plb__cell *cell, const struct plb_value_info *info)
{
    return info->row0 == cell->tensor.row0 && info->col0 == cell->tensor.col0 &&
           plb_shape_equal(&info->type.shape, &cell->tensor.shape);
}

static const struct plb__cell *find_cell(const struct plb__entry *entry,
                                         const struct plb_value_info *info)
{
    for (uint32_t j = 0; j < entry->n_cells; j++)
        if (is_cell(&entry->cell[j], info))
            return &entry->cell[j];
    return NULL;
}

/* Can tasks of the device compute on what lies in the entry? Parts of a spread session have entries
 * of their own. */
static bool reaches(const struct plb__bind *bind, const struct plb__entry *entry)
{
    return entry->device == bind->device ||
           (!bind->spread && !entry->device->has_host && !bind->device->has_host);
}

static const struct plb__entry *find_entry(const struct plb__bind *bind,
                                           const struct plb__entry *first,
                                           const struct plb_value_info *info,
                                           const struct plb__cell **cell_out)
{
    for (const struct plb__entry *entry = first; entry; entry = entry->twin) {
        *cell_out = reaches(bind, entry) ? find_cell(entry, info) : NULL;
        if (*cell_out)
            return entry;
    }
    return NULL;
}

static enum plb_status match_type(const struct plb__entry *entry, const struct plb_type *type)
{
    char have[80], want[80];

    if (entry->type.dtype == type->dtype && plb_shape_equal(&entry->type.shape, &type->shape))
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "tensor '%s' is %s in the store, %s in the graph",
                    entry->name, plb_type_print(&entry->type, have, sizeof have),
                    plb_type_print(type, want, sizeof want));
}

/* Twins are kept equal by the session that made them. */
static enum plb_status match(const struct plb__bind *bind, const struct plb__entry *first)
{
    PLB_TRY(match_type(first, &bind->whole->type));
    if (first->managed != bind->managed)
        return plb_fail(PLB_ERROR_INVALID,
                        "tensor '%s' was made by a session whose memory policy %s its values to "
                        "StarPU; all sessions of a store must agree in that",
                        first->name, first->managed ? "leaves" : "does not leave");
    if (first->twin && !bind->spread && bind->whole->next != PLB_NONE)
        return plb_fail(PLB_ERROR_INVALID,
                        "tensor '%s' is spread over devices: only the session that did so may "
                        "change it",
                        first->name);
    return PLB_OK;
}

/* Cells begin at multiples of 64 bytes in the entry's block. */
static size_t cell_stride(const struct plb_type *type)
{
    return (plb_type_bytes(type) + 63) & ~(size_t)63;
}

static enum plb_status fill_entry(struct plb__entry *entry, const struct plb__bind *bind)
{
    size_t bytes = 0, offset = 0;

    for (uint32_t j = 0; j < entry->n_cells; j++)
        bytes += cell_stride(&plb_graph_value(bind->cut, bind->cell[j])->type);
    PLB_TRY(take_block(entry, bytes));
    for (uint32_t j = 0; j < entry->n_cells; j++) {
        const struct plb_value_info *info = plb_graph_value(bind->cut, bind->cell[j]);
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

/* Behind the first entry of its name, or as that. Who holds a cell already is who is read. */
static enum plb_status enter(plb_store_t *store, struct plb__entry *first, struct plb__entry *entry)
{
    if (!first)
        return append(store, entry);
    for (const struct plb__entry *e = first; e; e = e->twin)
        for (uint32_t j = 0; j < entry->n_cells; j++) {
            const struct plb_value_info info = {.type.shape = entry->cell[j].tensor.shape,
                                                .row0 = entry->cell[j].tensor.row0,
                                                .col0 = entry->cell[j].tensor.col0};

            entry->cell[j].replica |= find_cell(e, &info) != NULL;
        }
    while (first->twin)
        first = first->twin;
    first->twin = entry;
    store->bytes += entry->block.bytes;
    return PLB_OK;
}

static enum plb_status make(plb_store_t *store, const struct plb__bind *bind,
                            struct plb__entry *first, struct plb__entry **entry_out)
{
    struct plb__entry *entry = calloc(1, sizeof *entry);
    enum plb_status status;

    if (!entry)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for tensor '%s'", bind->whole->name);
    entry->n_cells = bind->n;
    entry->type = bind->whole->type;
    entry->role = bind->whole->role;
    entry->device = bind->device;
    entry->spread = bind->spread;
    entry->managed = bind->managed;
    entry->home = bind->home;
    entry->name = strdup(bind->whole->name);
    entry->cell = calloc(entry->n_cells, sizeof *entry->cell);
    if (entry->name && entry->cell)
        status = fill_entry(entry, bind);
    else
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for tensor '%s'", bind->whole->name);
    if (status == PLB_OK)
        status = enter(store, first, entry);
    if (status != PLB_OK) {
        destroy_entry(entry);
        return status;
    }
    *entry_out = entry;
    return PLB_OK;
}

/* Where the store has the tensor, but not what is wanted of it where it is wanted. */
static enum plb_status fail_elsewhere(const struct plb__bind *bind, const struct plb__entry *first)
{
    if (bind->spread || first->spread)
        return plb_fail(PLB_ERROR_INVALID,
                        "tensor '%s' lies elsewhere, or is cut otherwise, in the store than this "
                        "session wants it: sessions of a store must agree in devices, policy and "
                        "cut",
                        first->name);
    return plb_fail(PLB_ERROR_INVALID,
                    "tensor '%s' is cut otherwise in the store than in the graph; use the "
                    "same cut options for all sessions of a store",
                    first->name);
}

/* Is the tensor there in another cut? Its cells then are not those of the graph. */
static bool has_other_cells(const struct plb__bind *bind, const struct plb__entry *first)
{
    if (bind->spread || first->twin)
        return false;
    return first->n_cells != bind->n;
}

bool plb__store_is_elsewhere(const plb_store_t *store, const struct plb__bind *bind)
{
    const struct plb__entry *first = find(store, bind->whole->name);
    const struct plb__cell *cell;

    if (!first || !first->spread || bind->spread || bind->whole->next != PLB_NONE)
        return false;
    for (uint32_t j = 0; j < bind->n; j++)
        if (!find_entry(bind, first, plb_graph_value(bind->cut, bind->cell[j]), &cell))
            return true;
    return false;
}

enum plb_status plb__store_bind(plb_store_t *store, const struct plb__bind *bind,
                                struct plb__place *place_out, enum plb_tier *home_out)
{
    struct plb__entry *first = find(store, bind->whole->name), *made = NULL;
    const struct plb__cell *cell = NULL;
    uint32_t found = 0;

    if (first)
        PLB_TRY(match(bind, first));
    for (uint32_t j = 0; j < bind->n && first && !has_other_cells(bind, first); j++) {
        const struct plb__entry *entry =
            find_entry(bind, first, plb_graph_value(bind->cut, bind->cell[j]), &cell);

        if (!entry)
            continue;
        place_out[j] = cell->place;
        *home_out = entry->home;
        found++;
    }
    if (first && found == bind->n)
        return PLB_OK;
    if (first && (found > 0 || !bind->spread || first->spread != bind->spread))
        return fail_elsewhere(bind, first);
    PLB_TRY(make(store, bind, first, &made));
    for (uint32_t j = 0; j < bind->n; j++)
        place_out[j] = made->cell[j].place;
    *home_out = made->home;
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
    struct plb__entry *entry = NULL;

    PLB_TRY(find_exact(store, name, bytes, &entry));
    for (; entry; entry = entry->twin)
        PLB_TRY(plb__cells_write(&entry->type, entry->cell, entry->n_cells, data));
    return PLB_OK;
}

enum plb_status plb_store_read(plb_store_t *store, const char *name, void *data, size_t bytes)
{
    struct plb__entry *entry = NULL;

    PLB_TRY(find_exact(store, name, bytes, &entry));
    for (; entry; entry = entry->twin)
        for (uint32_t j = 0; j < entry->n_cells; j++)
            if (!entry->cell[j].replica)
                PLB_TRY(plb__cells_read(&entry->type, &entry->cell[j], 1, data));
    return PLB_OK;
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
