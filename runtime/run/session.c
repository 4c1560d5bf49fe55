/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making a captured graph ready to be replayed: cut, plan, check, lay out, register.
 */
#include "runtime/run/ledger.h"
#include "runtime/run/run_internal.h"

#include "schedulers/schedulers.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_IN_FLIGHT 4096u
#define SLOT_ALIGNMENT ((size_t)64)

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool is_persistent(const struct plb_value_info *info)
{
    return info->producer == PLB_NONE &&
           (info->role == PLB_ROLE_PARAMETER || info->role == PLB_ROLE_STATE);
}

/* The first slot of each initial cell, found by the cell. */
static enum plb_status index_slots(struct plb_session *s)
{
    uint32_t n = plb_graph_values(s->cut), position = 0;

    s->slot_of_value = malloc((n + 1) * sizeof *s->slot_of_value);
    if (!s->slot_of_value)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a session of %u values", n);
    memset(s->slot_of_value, 0xff, (n + 1) * sizeof *s->slot_of_value);
    for (uint32_t k = 0; k < s->storage.n_slots; k++)
        if (s->storage.slot[k].initial != PLB_NONE)
            s->slot_of_value[s->storage.slot[k].initial] = k;
    for (uint32_t i = 0; i < s->plan.n; i++) {
        const struct plb_task *task;

        if (s->plan.instruction[i].code != PLB_RUN)
            continue;
        task = plb_graph_task(s->cut, s->plan.instruction[i].subject);
        position = s->storage.in_slot[i] + task->in_start[task->n_in];
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            s->slot_of_value[task->out[j]] = s->storage.operand[position + j];
    }
    return PLB_OK;
}

static enum plb_status bind_value(struct plb_session *s, plb_value whole)
{
    const struct plb_value_info *info = plb_graph_value(s->whole, whole);
    struct plb_cells cells = plb_graph_cells(s->cut, whole);
    const struct plb__entry *entry;

    PLB_TRY(plb__store_bind(s->store, s->cut, info, cells, &entry));
    for (uint32_t j = 0; j < entry->n_cells; j++)
        s->slot_handle[s->slot_of_value[cells.cells[j]]] = entry->handle[j];
    s->info.persistent_bytes += entry->bytes;
    return PLB_OK;
}

static enum plb_status bind_store(struct plb_session *s)
{
    for (plb_value v = 0; v < plb_graph_values(s->whole); v++)
        if (is_persistent(plb_graph_value(s->whole, v)))
            PLB_TRY(bind_value(s, v));
    return PLB_OK;
}

static size_t slot_stride(const struct plb_storage_slot *slot)
{
    return (slot->bytes + SLOT_ALIGNMENT - 1) & ~(SLOT_ALIGNMENT - 1);
}

/* All slots but those of the store lie in one block. */
static enum plb_status register_slots(struct plb_session *s)
{
    char *data;

    for (uint32_t k = 0; k < s->storage.n_slots; k++)
        if (!s->slot_handle[k])
            s->arena_bytes += slot_stride(&s->storage.slot[k]);
    PLB_TRY(plb__memory_map(s->arena_bytes, "one step (activations and gradients)", &s->arena));
    data = s->arena;
    for (uint32_t k = 0; k < s->storage.n_slots; k++) {
        if (s->slot_handle[k])
            continue;
        s->slot_data[k] = data;
        starpu_variable_data_register(&s->slot_handle[k], STARPU_MAIN_RAM, (uintptr_t)data,
                                      s->storage.slot[k].bytes);
        plb__ledger_count(0, s->storage.slot[k].role, slot_stride(&s->storage.slot[k]), true);
        data += slot_stride(&s->storage.slot[k]);
    }
    s->info.transient_bytes = s->arena_bytes;
    return PLB_OK;
}

static enum plb_status make_plan(struct plb_session *s, const char *policy_name)
{
    const struct plb_memory_policy *policy;

    PLB_TRY(plb_memory_policy_find(policy_name, &policy));
    PLB_TRY(policy->plan(&(struct plb_problem){.graph = s->cut}, &s->plan));
    PLB_TRY(plb_plan_check(&s->plan, s->cut, NULL));
    PLB_TRY(plb_storage_assign(&s->plan, s->cut, &s->storage));
    s->info.memory_policy = policy->name;
    s->info.planned_peak = s->storage.peak;
    memcpy(s->info.planned_by_role, s->storage.peak_by_role, sizeof s->info.planned_by_role);
    return PLB_OK;
}

static enum plb_status reserve_scratch(struct plb_session *s)
{
    size_t most = 0;

    for (uint32_t k = 0; k < s->n_launches; k++)
        if (s->launch[k].invocation.scratch_bytes > most)
            most = s->launch[k].invocation.scratch_bytes;
    return plb__runtime_reserve_scratch(most);
}

static void count_work(struct plb_session *s)
{
    for (uint32_t k = 0; k < s->n_launches; k++) {
        struct plb_cost cost;

        plb_task_get_cost(s->cut, plb_graph_task(s->cut, s->launch[k].task), &cost);
        s->info.flops += cost.flops;
        s->info.bytes += cost.bytes;
    }
    s->info.tasks = plb_graph_tasks(s->cut);
    s->info.values = plb_graph_values(s->cut);
    s->info.instructions = s->plan.n;
    s->info.fingerprint = s->plan.fingerprint;
}

static enum plb_status prepare(struct plb_session *s, const struct plb_session_options *options)
{
    PLB_TRY(plb__runtime_require());
    PLB_TRY(plb_graph_status(s->whole));
    PLB_TRY(plb_graph_cut(s->whole, options ? &options->cut : NULL, &s->cut));
    PLB_TRY(make_plan(s, options ? options->memory_policy : NULL));
    PLB_TRY(index_slots(s));
    s->slot_handle = calloc(s->storage.n_slots + 1, sizeof *s->slot_handle);
    s->slot_data = calloc(s->storage.n_slots + 1, sizeof *s->slot_data);
    if (!s->slot_handle || !s->slot_data)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u slots", s->storage.n_slots);
    PLB_TRY(bind_store(s));
    PLB_TRY(register_slots(s));
    PLB_TRY(plb__launches_prepare(s));
    PLB_TRY(reserve_scratch(s));
    count_work(s);
    return PLB_OK;
}

enum plb_status plb_session_create(const plb_graph_t *whole,
                                   const struct plb_session_options *options, plb_store_t *store,
                                   plb_session_t **session_out)
{
    struct plb_session *s = calloc(1, sizeof *s);
    double start = now();
    enum plb_status status;

    if (!s)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a session");
    s->whole = whole;
    s->store = store;
    s->in_flight = options && options->in_flight ? options->in_flight : DEFAULT_IN_FLIGHT;
    pthread_mutex_init(&s->lock, NULL);
    status = prepare(s, options);
    if (status != PLB_OK) {
        plb_session_destroy(s);
        return status;
    }
    s->info.prepare_seconds = now() - start;
    *session_out = s;
    return PLB_OK;
}

void plb_session_destroy(plb_session_t *s)
{
    if (!s)
        return;
    if (s->n_launches)
        starpu_task_wait_for_all();
    for (uint32_t k = 0; s->slot_data && k < s->storage.n_slots; k++) {
        if (!s->slot_data[k])
            continue;
        starpu_data_unregister(s->slot_handle[k]);
        plb__ledger_count(0, s->storage.slot[k].role, slot_stride(&s->storage.slot[k]), false);
    }
    plb__launches_clear(s);
    plb__memory_unmap(s->arena, s->arena_bytes);
    plb_storage_clear(&s->storage);
    plb_plan_clear(&s->plan);
    plb_graph_destroy(s->cut);
    free(s->slot_of_value);
    free(s->slot_handle);
    free(s->slot_data);
    free(s->record);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* What a read or write of a whole value touches. */
struct view {
    struct plb_type type;
    uint32_t n;
    struct plb_tensor *cell;
    starpu_data_handle_t *handle;
};

static void view_clear(struct view *view)
{
    free(view->cell);
    free(view->handle);
}

static enum plb_status view_make(const struct plb_session *s, plb_value whole, size_t bytes,
                                 struct view *view_out)
{
    const struct plb_value_info *info = plb_graph_value(s->whole, whole);
    struct plb_cells cells = plb_graph_cells(s->cut, whole);
    struct view view = {.type = info->type, .n = (uint32_t)(cells.rows * cells.cols)};

    if (bytes != plb_type_bytes(&info->type))
        return plb_fail(PLB_ERROR_INVALID, "value '%s' has %zu bytes, not %zu", info->name,
                        plb_type_bytes(&info->type), bytes);
    view.cell = calloc(view.n, sizeof *view.cell);
    view.handle = calloc(view.n, sizeof *view.handle);
    if (!view.cell || !view.handle) {
        view_clear(&view);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to access '%s'", info->name);
    }
    for (uint32_t j = 0; j < view.n; j++) {
        const struct plb_value_info *cell = plb_graph_value(s->cut, cells.cells[j]);
        starpu_data_handle_t handle = s->slot_handle[s->slot_of_value[cells.cells[j]]];

        view.handle[j] = handle;
        view.cell[j] = (struct plb_tensor){(void *)starpu_variable_get_local_ptr(handle),
                                           cell->type.dtype, cell->type.shape, cell->row0,
                                           cell->col0};
    }
    *view_out = view;
    return PLB_OK;
}

enum plb_status plb_session_write(plb_session_t *s, plb_value input, const void *data, size_t bytes)
{
    struct view view;
    enum plb_status status;

    if (input >= plb_graph_values(s->whole) ||
        plb_graph_value(s->whole, input)->role != PLB_ROLE_INPUT)
        return plb_fail(PLB_ERROR_INVALID, "value %u is not an input of the graph", input);
    PLB_TRY(view_make(s, input, bytes, &view));
    status = plb__cells_write(&view.type, view.cell, view.handle, view.n, data);
    view_clear(&view);
    return status;
}

/* The first failure of a task becomes the calling thread's. */
static enum plb_status check_tasks(struct plb_session *s)
{
    enum plb_status status;

    pthread_mutex_lock(&s->lock);
    status = s->failed;
    if (status != PLB_OK)
        plb_fail(status, "%s", s->message);
    pthread_mutex_unlock(&s->lock);
    return status;
}

enum plb_status plb_session_read(plb_session_t *s, plb_value value, void *data, size_t bytes)
{
    const struct plb_value_info *info;
    struct view view;
    enum plb_status status;

    if (value >= plb_graph_values(s->whole))
        return plb_fail(PLB_ERROR_INVALID, "the graph has no value %u", value);
    info = plb_graph_value(s->whole, value);
    if (info->producer != PLB_NONE && !info->output)
        return plb_fail(PLB_ERROR_INVALID, "value '%s' is not marked as output", info->name);
    PLB_TRY(view_make(s, value, bytes, &view));
    status = plb__cells_read(&view.type, view.cell, view.handle, view.n, data);
    view_clear(&view);
    plb__runtime_rest();
    return status == PLB_OK ? check_tasks(s) : status;
}

enum plb_status plb_session_wait(plb_session_t *s)
{
    int error = starpu_task_wait_for_all();

    if (error)
        return plb__starpu_failed("starpu_task_wait_for_all", error);
    plb__runtime_rest();
    return check_tasks(s);
}

enum plb_status plb_session_step(plb_session_t *s, uint64_t step)
{
    PLB_TRY(check_tasks(s));
    if (s->trace && !s->record) {
        s->record = calloc(s->n_launches + 1, sizeof *s->record);
        if (!s->record)
            return plb_fail(PLB_ERROR_MEMORY, "no memory to trace %u tasks", s->n_launches);
    }
    s->traced = s->trace;
    return plb__step_submit(s, step);
}

void plb_session_get_info(const plb_session_t *s, struct plb_session_info *info_out)
{
    *info_out = s->info;
    info_out->scratch_bytes = plb__runtime_scratch_bytes();
}

const plb_graph_t *plb_session_graph(const plb_session_t *s)
{
    return s->cut;
}

void plb_session_trace(plb_session_t *s, bool on)
{
    s->trace = on;
}

enum plb_status plb_session_get_trace(plb_session_t *s, const struct plb_trace_record **records_out,
                                      uint32_t *n_out)
{
    PLB_TRY(plb_session_wait(s));
    if (!s->traced)
        return plb_fail(PLB_ERROR_INVALID, "the latest step was not traced");
    *records_out = s->record;
    *n_out = s->n_launches;
    return PLB_OK;
}
