/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making a captured graph ready to be replayed, and what a caller does with it.
 */
#include "config.h"

#include "runtime/run/ledger.h"
#include "runtime/run/card.h"
#include "runtime/run/starpu_managed.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_IN_FLIGHT 4096u
#define MOST_GRAIN        10.0

double plb__now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- where the initial values are ---- */

static bool is_persistent(const struct plb_value_info *info)
{
    return info->producer == PLB_NONE &&
           (info->role == PLB_ROLE_PARAMETER || info->role == PLB_ROLE_STATE);
}

static size_t stride_in_store(const struct plb_type *type)
{
    return (plb_type_bytes(type) + 63) & ~(size_t)63;
}

/* Cells of the session's graph that belong to one tensor get their places. */
enum plb_status plb__session_bind(struct plb_session *s, const struct plb_value_info *whole,
                                  const plb_value *cell, uint32_t n, enum plb_tier home)
{
    uint64_t spread = s->parts ? s->serial : s->outer ? s->outer->serial : 0;
    const struct plb__bind bind = {whole, s->cut, n, cell, s->device, spread, s->managed, home};
    struct plb__place *place;
    enum plb_status status;
    size_t bytes = 0;

    if (plb__store_is_elsewhere(s->store, &bind)) {
        s->borrowed[s->n_borrowed++] = plb_graph_value(s->cut, cell[0])->source;
        return PLB_OK; /* they become initial values of the session's own */
    }
    place = calloc((size_t)n + 1, sizeof *place);
    if (!place)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to place '%s'", whole->name);
    status = plb__store_bind(s->store, &bind, place, &home);
    for (uint32_t j = 0; j < n && status == PLB_OK; j++) {
        s->home[cell[j]] = place[j];
        plb_graph_set_home(s->cut, cell[j], home);
        bytes += stride_in_store(&plb_graph_value(s->cut, cell[j])->type);
    }
    free(place);
    if (home == PLB_DEVICE)
        s->info.persistent_bytes += bytes;
    else
        s->info.away_bytes += bytes;
    return status == PLB_OK ? plb_graph_status(s->cut) : status;
}

/* A part may hold some of the cells only. */
static enum plb_status bind_value(struct plb_session *s, plb_value whole, enum plb_tier home)
{
    struct plb_cells cells = plb_graph_cells(s->cut, whole);
    uint32_t all = (uint32_t)(cells.rows * cells.cols), n = 0;
    plb_value *cell = malloc(((size_t)all + 1) * sizeof *cell);
    enum plb_status status = PLB_OK;

    if (!cell)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to bind %u cells", all);
    for (uint32_t j = 0; j < all; j++)
        if (cells.cells[j] != PLB_NONE)
            cell[n++] = cells.cells[j];
    if (n > 0)
        status = plb__session_bind(s, plb_graph_value(s->whole, whole), cell, n, home);
    free(cell);
    return status;
}

static enum plb_status bind_store(struct plb_session *s)
{
    enum plb_tier *home = malloc(((size_t)plb_graph_values(s->whole) + 1) * sizeof *home);
    enum plb_status status = PLB_OK;

    s->borrowed = malloc(((size_t)plb_graph_values(s->whole) + 1) * sizeof *s->borrowed);
    if (!home || !s->borrowed) {
        free(home);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to place %u values",
                        plb_graph_values(s->whole));
    }
    plb_keep_find(&s->keep, s->whole, home);
    for (plb_value v = 0; v < plb_graph_values(s->whole) && status == PLB_OK; v++)
        if (is_persistent(plb_graph_value(s->whole, v)))
            status = bind_value(s, v, home[v]);
    free(home);
    return status;
}

static size_t stride_of(const struct plb_value_info *info)
{
    return (plb_type_bytes(&info->type) + PLB_SLOT_ALIGNMENT - 1) & ~(PLB_SLOT_ALIGNMENT - 1);
}

static enum plb_status take_inputs(struct plb_session *s, size_t bytes)
{
    if (s->managed)
        PLB_TRY(plb__memory_map(bytes, "the inputs of a step", &s->inputs.address));
    else
        PLB_TRY(s->device->take(s->device, bytes, "the inputs of a step", &s->inputs));
    s->inputs.bytes = bytes;
    plb__ledger_count(s->managed ? 0 : s->device->ledger, PLB_ROLE_INPUT, bytes, true);
    return PLB_OK;
}

/* The session's own initial values lie in one block. */
static enum plb_status make_inputs(struct plb_session *s)
{
    uint32_t n = plb_graph_values(s->cut);
    size_t bytes = 0;

    for (plb_value v = 0; v < n; v++)
        if (plb_graph_value(s->cut, v)->producer == PLB_NONE && !s->home[v].block)
            bytes += stride_of(plb_graph_value(s->cut, v));
    PLB_TRY(take_inputs(s, bytes + (s->device->card ? PLB__FAULT_BYTES : 0)));
    if (s->device->card)
        PLB_TRY(plb__card_clear_fault(s));
    bytes = 0;
    for (plb_value v = 0; v < n; v++) {
        const struct plb_value_info *info = plb_graph_value(s->cut, v);

        if (info->producer != PLB_NONE || s->home[v].block)
            continue;
        s->home[v] =
            (struct plb__place){.block = &s->inputs, .offset = bytes, .managed = s->managed};
        if (s->managed)
            plb__managed_register(&s->home[v].token, (char *)s->inputs.address + bytes,
                                  plb_type_bytes(&info->type));
        else
            starpu_void_data_register(&s->home[v].token);
        bytes += stride_of(info);
    }
    return PLB_OK;
}

static void give_inputs(struct plb_session *s)
{
    for (plb_value v = 0; s->home && v < plb_graph_values(s->cut); v++) {
        if (s->home[v].block != &s->inputs)
            continue;
        if (s->managed)
            plb__managed_unregister(s->home[v].token, true);
        else
            starpu_data_unregister(s->home[v].token);
    }
    plb__ledger_count(s->managed ? 0 : s->device->ledger, PLB_ROLE_INPUT, s->inputs.bytes, false);
    if (s->managed)
        plb__memory_unmap(s->inputs.address, s->inputs.bytes);
    else
        s->device->give(&s->inputs);
}

/* ---- creating ---- */

static size_t scratch_of(const struct plb_session *s, const struct plb__job *job)
{
    return s->device->card ? plb__card_scratch(s->device->card, job)
                           : job->invocation.scratch_bytes;
}

static enum plb_status reserve_scratch(struct plb_session *s)
{
    size_t most = 0;

    for (uint32_t k = 0; k < s->n_jobs; k++)
        if (s->job[k].codelet && scratch_of(s, &s->job[k]) > most)
            most = scratch_of(s, &s->job[k]);
    return plb__runtime_reserve_scratch(s->device, most);
}

static void count_work(struct plb_session *s)
{
    for (plb_task_id id = 0; id < plb_graph_tasks(s->cut); id++) {
        struct plb_cost cost;

        plb_task_get_cost(s->cut, plb_graph_task(s->cut, id), &cost);
        s->info.flops += cost.flops;
        s->info.bytes += cost.bytes;
    }
    s->info.tasks = plb_graph_tasks(s->cut);
    s->info.values = plb_graph_values(s->cut);
}

/* Policies of StarPU that know few priorities, or none, get those of priority.c. */
static void choose_priorities(struct plb_session *s)
{
    bool any = starpu_sched_get_min_priority() == INT_MIN;

    s->in_plan_order =
        any && (s->device->workers == 1 || plb__planning_budget(s) != SIZE_MAX) && !s->managed;
}

/* Where several workers share the tasks, or StarPU moves values, every task is by itself. */
static enum plb_status choose_grain(struct plb_session *s, double asked)
{
    const char *text = getenv("PALOMBE_GRAIN");
    char *end;

    if (!(asked < 0.0 || asked > 0.0) && text && *text) {
        asked = strtod(text, &end);
        if (*end || end == text || !(asked >= 0.0 && asked <= MOST_GRAIN))
            return plb_fail(PLB_ERROR_INVALID, "PALOMBE_GRAIN is '%s', not 0 to %g seconds", text,
                            MOST_GRAIN);
        asked = asked > 0.0 ? asked : -1.0;
    }
    s->grain_asked = asked > 0.0;
    if (s->device->workers == 1 && !s->managed && !(asked < 0.0))
        s->grain_seconds = asked > 0.0 ? asked : s->device->grain_seconds;
    return PLB_OK;
}

static enum plb_status choose_homes(struct plb_session *s, const char *asked)
{
    PLB_TRY(plb_keep_read(asked ? asked : getenv("PALOMBE_STATE"), &s->keep));
    if (s->keep.bytes == 0)
        return PLB_OK;
    if (!s->device->has_host)
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "device '%s' computes in main memory: nothing can be kept beside it",
                        s->device->name);
    if (s->managed)
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "policy '%s' leaves memory to StarPU, which decides where state is kept",
                        s->info.memory_policy);
    return PLB_OK;
}

struct plb_cut_options plb_session_cut(const struct plb_cut_options *asked)
{
    const struct plb_device *device = plb_runtime_device();

    return device && device->card ? plb__card_cut(asked) : *asked;
}

static enum plb_status cut_graph(struct plb_session *s, const struct plb_session_options *options)
{
    struct plb_cut_options cut = plb_session_cut(&options->cut);

    if (s->cut) /* a part has its graph */
        return PLB_OK;
    PLB_TRY(plb_graph_status(s->whole));
    return plb_graph_cut(s->whole, &cut, &s->cut);
}

/* Tokens for which workers take turns. */
static enum plb_status make_turns(struct plb_session *s)
{
    if (!s->in_order)
        return PLB_OK;
    s->turn = calloc((size_t)s->device->workers, sizeof *s->turn);
    if (!s->turn)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %d workers", s->device->workers);
    for (int k = 0; k < s->device->workers; k++)
        starpu_void_data_register(&s->turn[k]);
    return PLB_OK;
}

static void give_turns(struct plb_session *s)
{
    for (int k = 0; s->turn && k < s->device->workers; k++)
        starpu_data_unregister(s->turn[k]);
    free(s->turn);
}

/* All that does not depend on the plan comes first: what it takes is not there for the plan. */
static enum plb_status prepare(struct plb_session *s, const struct plb_session_options *options)
{
    PLB_TRY(cut_graph(s, options));
    count_work(s);
    s->home = calloc((size_t)plb_graph_values(s->cut) + 1, sizeof *s->home);
    if (!s->home)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a session of %u values",
                        plb_graph_values(s->cut));
    PLB_TRY(plb__planning_prepare(s, options));
    s->managed = s->planning.policy->left_to_starpu;
    if (s->managed && s->outer)
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "policy '%s' leaves memory to StarPU, which is not possible where several "
                        "devices share a graph",
                        s->info.memory_policy);
    if (s->managed && s->device->card)
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "policy '%s' leaves memory to StarPU, which is not possible on a CUDA card",
                        s->info.memory_policy);
    PLB_TRY(plb__jobs_prepare(s));
    PLB_TRY(choose_homes(s, options->state));
    PLB_TRY(bind_store(s));
    PLB_TRY(plb_keep_updates(&s->keep, plb_costs_platform(s->planning.costs), s->cut));
    PLB_TRY(make_inputs(s));
    PLB_TRY(make_turns(s));
    PLB_TRY(reserve_scratch(s));
    PLB_TRY(plb__planning_limit(s, options));
    choose_priorities(s);
    PLB_TRY(choose_grain(s, options->grain_seconds));
    PLB_TRY(plb__plan_first(s));
    return s->managed ? plb__managed_limit(s) : PLB_OK;
}

/* Also for the one that is spread, which has no device. */
static struct plb_session *new_session(const struct plb__session_wish *wish)
{
    static uint64_t made;
    struct plb_session *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->serial = ++made;
    s->whole = wish->whole;
    s->store = wish->store;
    s->device = wish->device;
    s->outer = wish->outer;
    s->part = wish->part;
    s->cut = wish->part ? wish->part->graph : NULL;
    s->in_order = wish->in_order;
    s->in_flight = wish->options->in_flight ? wish->options->in_flight : DEFAULT_IN_FLIGHT;
    s->info.parallel = "none";
    s->info.devices = 1;
    s->disk.file = -1;
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static enum plb_status make(const struct plb__session_wish *wish, struct plb_session **session_out,
                            enum plb_status (*how)(struct plb_session *session,
                                                   const struct plb_session_options *options))
{
    double start = plb__now();
    struct plb_session *s = new_session(wish);
    enum plb_status status;

    if (!s)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a session");
    status = how(s, wish->options);
    if (status != PLB_OK) {
        plb_session_destroy(s);
        return status;
    }
    s->info.prepare_seconds = plb__now() - start;
    *session_out = s;
    return PLB_OK;
}

enum plb_status plb__session_make(const struct plb__session_wish *wish,
                                  struct plb_session **session_out)
{
    return make(wish, session_out, prepare);
}

static enum plb_status prepare_spread(struct plb_session *s,
                                      const struct plb_session_options *options)
{
    PLB_TRY(cut_graph(s, options));
    count_work(s);
    return plb__parts_create(s, options);
}

/* Is it to be spread over devices? */
static enum plb_status choose_spread(const struct plb_session_options *options, bool *spread_out)
{
    const char *name = plb__parallel_name(options);

    *spread_out = options->hybrid || strcmp(name, "none") != 0;
    if (*spread_out && plb_runtime_devices() < 2)
        return plb_fail(PLB_ERROR_INVALID,
                        "parallel policy '%s' needs several devices, as in --devices cpu:1,cpu:1, "
                        "and there is one",
                        options->hybrid ? options->hybrid->policy : name);
    return PLB_OK;
}

enum plb_status plb_session_create(const plb_graph_t *whole,
                                   const struct plb_session_options *options, plb_store_t *store,
                                   plb_session_t **session_out)
{
    const struct plb_session_options defaults = {0};
    struct plb__session_wish wish = {.whole = whole, .options = options, .store = store};
    bool spread;

    PLB_TRY(plb__runtime_require());
    if (!options)
        wish.options = &defaults;
    wish.device = plb_runtime_device();
    PLB_TRY(choose_spread(wish.options, &spread));
    return make(&wish, session_out, spread ? prepare_spread : prepare);
}

static void free_session(struct plb_session *s)
{
    if (!s->part)
        plb_graph_destroy(s->cut);
    free(s->home);
    free(s->borrowed);
    free(s->record);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void plb_session_destroy(plb_session_t *s)
{
    if (!s)
        return;
    if (s->parts) {
        plb__parts_destroy(s);
        free_session(s);
        return;
    }
    plb__aside_stop(s);
    if (s->program)
        starpu_task_wait_for_all();
    plb__steps_collect(s);
    while (s->former) {
        struct plb__program *p = s->former;

        s->former = p->next;
        plb__program_destroy(p);
    }
    plb__program_destroy(s->program);
    plb__tokens_clear(&s->tokens);
    plb__lanes_stop(s);
    plb__disk_close(&s->disk);
    plb__arena_give(s);
    give_inputs(s);
    if (s->managed)
        plb__managed_unlimit(s);
    plb__calls_clear(s);
    plb__planning_clear(s);
    give_turns(s);
    free_session(s);
}

/* ---- reading and writing ---- */

/* What a read or write of a whole value touches. */
struct view {
    struct plb_type type;
    uint32_t n;
    struct plb__cell *cell;
};

static struct plb__place place_of(const struct plb_session *s, plb_value cell)
{
    if (plb_graph_value(s->cut, cell)->producer == PLB_NONE)
        return s->home[cell];
    return plb__program_place(s->program, s->program->slot_at_end[cell]);
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
    view.cell = calloc((size_t)view.n + 1, sizeof *view.cell);
    if (!view.cell)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to access '%s'", info->name);
    view.n = 0;
    for (int j = 0; j < cells.rows * cells.cols; j++) {
        const struct plb_value_info *cell = plb_graph_value(s->cut, cells.cells[j]);
        struct plb__place place;

        if (cells.cells[j] == PLB_NONE || (cell->producer != PLB_NONE && !cell->output))
            continue; /* another part's */
        place = place_of(s, cells.cells[j]);
        view.cell[view.n].place = place;
        view.cell[view.n++].tensor =
            (struct plb_tensor){place.managed ? NULL : (char *)place.block->address + place.offset,
                                cell->type.dtype, cell->type.shape, cell->row0, cell->col0};
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
    if (s->parts)
        return plb__parts_write(s, input, data, bytes);
    PLB_TRY(view_make(s, input, bytes, &view));
    status = plb__cells_write(&view.type, view.cell, view.n, data);
    free(view.cell);
    return status;
}

enum plb_status plb__session_check(struct plb_session *s)
{
    enum plb_status status;

    if (s->device->card && !s->parts)
        plb__card_look(s);
    if (s->outer)
        s = s->outer;
    pthread_mutex_lock(&s->lock);
    status = s->failed;
    if (status != PLB_OK)
        plb_fail(status, "%s", s->message);
    pthread_mutex_unlock(&s->lock);
    return status;
}

/* For want of a plan; a part does with the session that it is a part of. */
static bool is_stopped(const struct plb_session *s)
{
    return s->outer ? s->outer->stopped : s->stopped;
}

enum plb_status plb_session_read(plb_session_t *s, plb_value value, void *data, size_t bytes)
{
    const struct plb_value_info *info;
    struct view view;
    enum plb_status status, failed;

    if (value >= plb_graph_values(s->whole))
        return plb_fail(PLB_ERROR_INVALID, "the graph has no value %u", value);
    info = plb_graph_value(s->whole, value);
    if (info->producer != PLB_NONE && !info->output)
        return plb_fail(PLB_ERROR_INVALID, "value '%s' is not marked as output", info->name);
    if (s->parts)
        return plb__parts_read(s, value, data, bytes);
    if (info->producer != PLB_NONE && is_stopped(s))
        return plb__session_check(s); /* its memory may be gone */
    PLB_TRY(view_make(s, value, bytes, &view));
    status = plb__cells_read(&view.type, view.cell, view.n, data);
    free(view.cell);
    plb__runtime_rest();
    if (is_stopped(s))
        return status;
    failed = plb__session_check(s); /* says more than that the copy failed */
    return failed != PLB_OK ? failed : status;
}

/* ---- steps ---- */

enum plb_status plb_session_wait(plb_session_t *s)
{
    int error = starpu_task_wait_for_all();

    if (error)
        return plb__starpu_failed("starpu_task_wait_for_all", error);
    plb__runtime_rest();
    if (s->parts) {
        plb__parts_collect(s);
    } else {
        plb__steps_collect(s);
        plb__session_reap(s);
    }
    return s->stopped ? PLB_OK : plb__session_check(s);
}

/* There is no plan to go on with. The steps in flight end by theirs, so that what is in the store
 * then is what a whole number of steps has left there, and can be saved. */
static enum plb_status stop_whole(struct plb_session *s, enum plb_status status)
{
    struct plb_session *outer = s->outer ? s->outer : s;

    starpu_task_wait_for_all();
    outer->stopped = outer->failed == PLB_OK;
    plb__session_fail(s, "a new plan", status);
    return plb__session_check(s);
}

enum plb_status plb__session_turn(struct plb_session *s)
{
    enum plb_status status;

    PLB_TRY(plb__session_check(s));
    status = plb__plan_again(s);
    return status == PLB_OK ? PLB_OK : stop_whole(s, status);
}

static enum plb_status borrow(struct plb_session *s, plb_value value)
{
    const struct plb_value_info *info = plb_graph_value(s->whole, value);
    size_t bytes = plb_type_bytes(&info->type);
    void *data = malloc(bytes);
    struct view view;
    enum plb_status status;

    if (!data)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to copy '%s'", info->name);
    status = plb_store_read(s->store, info->name, data, bytes);
    if (status == PLB_OK)
        status = view_make(s, value, bytes, &view);
    if (status == PLB_OK) {
        status = plb__cells_write(&view.type, view.cell, view.n, data);
        free(view.cell);
    }
    free(data);
    return status;
}

enum plb_status plb_session_step(plb_session_t *s, uint64_t step)
{
    if (s->parts)
        return plb__parts_step(s, step);
    for (uint32_t k = 0; k < s->n_borrowed; k++)
        PLB_TRY(borrow(s, s->borrowed[k]));
    PLB_TRY(plb__session_turn(s));
    s->traced = s->trace;
    return plb__step_submit(s, step);
}

enum plb_status plb_session_predict(plb_session_t *s, double *seconds_out, double *bubble_out)
{
    struct plb__planning *p = &s->planning;

    if (s->parts)
        return plb__parts_predict(s, seconds_out, bubble_out);
    PLB_TRY(plb_costs_of_graph(p->costs, s->cut, p->seconds, NULL));
    p->problem.platform = plb_costs_platform(p->costs);
    PLB_TRY(plb__predict(&p->problem, &s->program->plan, &s->program->layout, seconds_out));
    *bubble_out = 0.0;
    return PLB_OK;
}

void plb_session_get_info(const plb_session_t *s, struct plb_session_info *info_out)
{
    if (s->parts) {
        plb__parts_info(s, info_out);
        return;
    }
    *info_out = s->info;
    info_out->scratch_bytes = plb__runtime_scratch_bytes(s->device);
}

const plb_graph_t *plb_session_graph(const plb_session_t *s)
{
    return s->cut;
}

const struct plb_plan *plb_session_plan(const plb_session_t *s)
{
    return &(s->parts ? plb__parts_first(s) : s)->program->plan;
}

const struct plb_layout *plb_session_layout(const plb_session_t *s)
{
    return &(s->parts ? plb__parts_first(s) : s)->program->layout;
}

plb_costs_t *plb_session_costs(const plb_session_t *s)
{
    return s->parts ? plb__parts_costs(s) : s->planning.costs;
}

void plb_session_trace(plb_session_t *s, bool on)
{
    s->trace = on;
    if (s->parts)
        plb__parts_trace_on(s, on);
}

enum plb_status plb_session_get_trace(plb_session_t *s, const struct plb_trace_record **records_out,
                                      uint32_t *n_out)
{
    PLB_TRY(plb_session_wait(s));
    if (!s->traced)
        return plb_fail(PLB_ERROR_INVALID, "the latest step was not traced");
    if (s->parts)
        PLB_TRY(plb__parts_trace(s));
    *records_out = s->record;
    *n_out = s->n_records;
    return PLB_OK;
}
