/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions that are spread over several devices.
 *
 * A parallel policy says where the tasks of the cut graph run; what that means for each device is a
 * part (runtime/plan/hybrid.h): a graph like any other, so an ordinary session runs it, with a
 * plan, a memory policy, a budget and samples of its own. What is here makes these sessions, passes
 * calls on to them, and plays their plans together to say how long a step will take. Parts are
 * submitted one after the other; they meet in their transfers (transfer.h) alone.
 *
 * A part may wait for bytes that another has not submitted yet. So what is in flight is bounded
 * between steps, when all parts have submitted as many; and a part that cannot submit has the
 * transfers abandoned, so that nobody waits for it.
 */
#include "config.h"

#include "runtime/run/run_internal.h"

#include "schedulers/schedulers.h"

#include <stdlib.h>
#include <string.h>

/* A link between devices until transfers have been seen. */
#define LINK_BYTES   ((size_t)4 << 20)
#define LINK_LATENCY 2e-5

struct plb__parts {
    struct plb_hybrid hybrid;
    struct plb_spread spread;
    plb_places_t *places;
    double *seconds; /* per task of the cut graph */
    uint32_t n;
    struct plb_session **part; /* per device; NULL: it has no tasks */
    struct plb__program **seen; /* per device: the program whose plan was played with the others' */
    struct plb__carrier *carrier;
    double link_seconds; /* of all transfers seen, */
    double link_bytes;   /* and their bytes */
    double predicted, bubble;
};

const char *plb__parallel_name(const struct plb_session_options *options)
{
    const char *name = options->parallel ? options->parallel : getenv("PALOMBE_PARALLEL");

    return name && *name ? name : "none";
}

struct plb__carrier *plb__parts_carrier(const struct plb_session *outer)
{
    return outer->parts->carrier;
}

void plb__parts_record(struct plb_session *outer, size_t bytes, double seconds)
{
    outer->parts->link_bytes += (double)bytes;
    outer->parts->link_seconds += seconds;
}

const struct plb_session *plb__parts_first(const struct plb_session *s)
{
    uint32_t p = 0;

    while (!s->parts->part[p])
        p++;
    return s->parts->part[p];
}

plb_costs_t *plb__parts_costs(const struct plb_session *s)
{
    return s->planning.costs;
}

/* ---- the places ---- */

/* Devices that differ would need costs of their own each. */
static enum plb_status check_alike(void)
{
    const struct plb_device *first = plb_runtime_device();

    for (uint32_t k = 1; k < plb_runtime_devices(); k++) {
        const struct plb_device *device = plb_runtime_device_at(k);

        if (device->workers != first->workers)
            return plb_fail(PLB_ERROR_INVALID,
                            "devices that share a graph have equally many workers; device 0 has "
                            "%d, device %u %d",
                            first->workers, k, device->workers);
    }
    return PLB_OK;
}

/* Bytes per second of a copy in main memory, the better of two. */
static enum plb_status copy_rate(double *rate_out)
{
    char *from = calloc(2, LINK_BYTES);
    double best = 0.0;

    if (!from)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to measure copies");
    memset(from, 1, LINK_BYTES);
    for (int k = 0; k < 2; k++) {
        double start = plb__now(), seconds;

        memcpy(from + LINK_BYTES, from, LINK_BYTES);
        seconds = plb__now() - start;
        best = seconds > 0.0 && (double)LINK_BYTES / seconds > best ? (double)LINK_BYTES / seconds
                                                                    : best;
    }
    free(from);
    *rate_out = best > 0.0 ? best : PLB_NOMINAL_BYTES_PER_SECOND;
    return PLB_OK;
}

/* What has been seen of transfers; before that, what a copy takes, or two by way of main memory. */
static enum plb_status link_rate(const struct plb_session *s, double *rate_out)
{
    const struct plb_link *host = &s->device->host;

    if (s->parts->link_seconds > 0.0)
        *rate_out = s->parts->link_bytes / s->parts->link_seconds;
    else if (s->device->has_host && host->out_bytes_per_second > 0.0)
        *rate_out = 1.0 / (1.0 / host->out_bytes_per_second + 1.0 / host->in_bytes_per_second);
    else
        return copy_rate(rate_out);
    return PLB_OK;
}

static enum plb_status make_places(const struct plb_session *s, plb_places_t **places_out)
{
    double rate = 0.0;

    PLB_TRY(link_rate(s, &rate));
    return plb_places_uniform(plb_runtime_devices(), s->planning.costs, rate,
                              s->parts->link_seconds > 0.0 ? 0.0 : LINK_LATENCY, places_out);
}

/* ---- the hybrid plan ---- */

static enum plb_status copy_hybrid(const struct plb_hybrid *from, struct plb_hybrid *hybrid_out)
{
    size_t places = (size_t)from->n_places + 1, runs = from->in_place[from->n_places];
    struct plb_hybrid h = *from;

    h.in_place = malloc(places * sizeof *h.in_place);
    h.run = malloc((runs + 1) * sizeof *h.run);
    if (!h.in_place || !h.run) {
        plb_hybrid_clear(&h);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a plan of %zu runs", runs);
    }
    memcpy(h.in_place, from->in_place, places * sizeof *h.in_place);
    memcpy(h.run, from->run, runs * sizeof *h.run);
    *hybrid_out = h;
    return PLB_OK;
}

static enum plb_status use_given(struct plb_session *s, const struct plb_hybrid *hybrid)
{
    struct plb__parts *parts = s->parts;

    if (hybrid->n_places != parts->n)
        return plb_fail(PLB_ERROR_INVALID,
                        "the hybrid plan is for %u places, and there are %u devices",
                        hybrid->n_places, parts->n);
    PLB_TRY(copy_hybrid(hybrid, &parts->hybrid));
    return plb_hybrid_spread(&parts->hybrid, s->cut, parts->places, &parts->spread);
}

/* What each device may use: as the session is asked, or as it has. */
static void find_budgets(const struct plb_session_options *options, size_t *budget)
{
    for (uint32_t k = 0; k < plb_runtime_devices(); k++) {
        const struct plb_device *device = plb_runtime_device_at(k);

        budget[k] = options->budget.bytes ? options->budget.bytes
                    : device->has_host    ? device->bytes
                                          : SIZE_MAX;
    }
}

static enum plb_status ask_policy(struct plb_session *s, const struct plb_session_options *options)
{
    struct plb__parts *parts = s->parts;
    const double *const seconds[] = {parts->seconds};
    size_t budget[PLB_DEVICES_MAX];
    const struct plb_parallel_problem problem = {.graph = s->cut,
                                                 .places = parts->places,
                                                 .seconds = seconds,
                                                 .degrees = options->degrees,
                                                 .budget = budget};
    const struct plb_parallel_policy *policy;

    find_budgets(options, budget);
    PLB_TRY(plb_parallel_policy_find(plb__parallel_name(options), &policy));
    return plb_hybrid_make(policy, &problem, PLB_EVENT_DRIFT, NULL, &parts->hybrid,
                           &parts->spread);
}

/* ---- all parts in one virtual time ---- */

static enum plb_status play(const struct plb_session *s, const plb_places_t *places,
                            double *seconds_out, double *bubble_out)
{
    const struct plb__parts *parts = s->parts;
    const double *const seconds[] = {parts->seconds};
    struct plb_spread_simulation simulation;
    const struct plb_plan *plan[PLB_DEVICES_MAX] = {NULL};
    const struct plb_spread_problem problem = {.places = places,
                                               .in_order = parts->hybrid.in_order,
                                               .plan = plan,
                                               .seconds = seconds};

    for (uint32_t p = 0; p < parts->n; p++)
        if (parts->part[p])
            plan[p] = &parts->part[p]->program->plan;
    PLB_TRY(plb_spread_simulate(&parts->spread, s->cut, &problem, &simulation));
    *seconds_out = simulation.seconds;
    *bubble_out = simulation.bubble;
    plb_spread_simulation_clear(&simulation);
    return PLB_OK;
}

/* With what handing over a task adds. */
static enum plb_status find_seconds(const struct plb_session *s)
{
    const plb_costs_t *costs = s->planning.costs;
    double added = plb_costs_platform(costs)->task_seconds;

    PLB_TRY(plb_costs_of_graph(costs, s->cut, s->parts->seconds, NULL));
    for (plb_task_id t = 0; t < plb_graph_tasks(s->cut); t++)
        s->parts->seconds[t] += added;
    return PLB_OK;
}

enum plb_status plb__parts_predict(struct plb_session *s, double *seconds_out, double *bubble_out)
{
    plb_places_t *places;
    enum plb_status status;

    PLB_TRY(find_seconds(s));
    PLB_TRY(make_places(s, &places));
    status = play(s, places, seconds_out, bubble_out);
    plb_places_destroy(places);
    return status;
}

/* Plans that are right each by itself could still wait for each other's values for ever: what has
 * changed is played before it runs. Their memory is no matter there, for no send waits for the room
 * that a receive has not yet (transfer.c). */
static enum plb_status look_together(struct plb_session *s)
{
    struct plb__parts *parts = s->parts;
    bool changed = false;

    for (uint32_t p = 0; p < parts->n; p++)
        changed |= parts->part[p] && parts->seen[p] != parts->part[p]->program;
    if (!changed)
        return PLB_OK;
    memset(parts->seen, 0, parts->n * sizeof *parts->seen); /* they stay unseen on failure */
    PLB_TRY(play(s, parts->places, &parts->predicted, &parts->bubble));
    for (uint32_t p = 0; p < parts->n; p++)
        parts->seen[p] = parts->part[p] ? parts->part[p]->program : NULL;
    return PLB_OK;
}

/* ---- making ---- */

enum plb_status plb__parts_given(const struct plb_session *part, struct plb__draft *draft_out)
{
    struct plb__draft draft = {0};
    enum plb_status status;

    PLB_TRY(plb_plan_copy(&part->part->plan, &draft.plan));
    status =
        plb_layout_assign(&draft.plan, part->cut, &part->planning.problem.limits, &draft.layout);
    if (status == PLB_OK)
        *draft_out = draft;
    else
        plb__draft_clear(&draft);
    return status;
}

static enum plb_status make_part(struct plb_session *s, const struct plb_session_options *options,
                                 uint32_t p)
{
    struct plb_session_options own = *options;
    const struct plb__session_wish wish = {.whole = s->whole,
                                           .options = &own,
                                           .store = s->store,
                                           .device = plb_runtime_device_at(p),
                                           .outer = s,
                                           .part = &s->parts->spread.part[p],
                                           .in_order = s->parts->hybrid.in_order};
    enum plb_status status;

    own.costs = s->planning.costs;
    if (!wish.part->graph)
        return PLB_OK;
    status = plb__session_make(&wish, &s->parts->part[p]);
    return status == PLB_OK ? PLB_OK : plb_fail_within(status, "device %u", p);
}

/* Is the cell in a part? */
static bool is_held(const struct plb__parts *parts, plb_value whole, uint32_t cell)
{
    for (uint32_t p = 0; p < parts->n; p++) {
        struct plb_cells cells = {0};

        if (parts->part[p])
            cells = plb_graph_cells(parts->part[p]->cut, whole);
        if (cells.cells && cells.cells[cell] != PLB_NONE)
            return true;
    }
    return false;
}

/* Cells of what lives on that no task wants are kept on the first device, so that a tensor is
 * whole. */
static enum plb_status keep_rest(struct plb_session *s, plb_value whole)
{
    struct plb_cells cells = plb_graph_cells(s->cut, whole);
    uint32_t all = (uint32_t)(cells.rows * cells.cols), n = 0;
    plb_value *cell = malloc(((size_t)all + 1) * sizeof *cell);
    enum plb_status status = PLB_OK;

    if (!cell)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to bind %u cells", all);
    for (uint32_t j = 0; j < all; j++)
        if (!is_held(s->parts, whole, j))
            cell[n++] = cells.cells[j];
    if (n > 0)
        status = plb__session_bind(s, plb_graph_value(s->whole, whole), cell, n, PLB_DEVICE);
    free(cell);
    return status;
}

static enum plb_status keep_all(struct plb_session *s)
{
    s->home = calloc((size_t)plb_graph_values(s->cut) + 1, sizeof *s->home);
    if (!s->home)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u values", plb_graph_values(s->cut));
    for (plb_value v = 0; v < plb_graph_values(s->whole); v++) {
        const struct plb_value_info *info = plb_graph_value(s->whole, v);

        if (info->producer == PLB_NONE &&
            (info->role == PLB_ROLE_PARAMETER || info->role == PLB_ROLE_STATE))
            PLB_TRY(keep_rest(s, v));
    }
    return PLB_OK;
}

static enum plb_status allocate(struct plb_session *s)
{
    struct plb__parts *parts = calloc(1, sizeof *parts);

    if (!parts)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a session over devices");
    s->parts = parts;
    parts->n = plb_runtime_devices();
    parts->seconds = calloc((size_t)plb_graph_tasks(s->cut) + 1, sizeof *parts->seconds);
    parts->part = calloc(parts->n, sizeof *parts->part);
    parts->seen = calloc(parts->n, sizeof *parts->seen);
    if (!parts->seconds || !parts->part || !parts->seen)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a session over %u devices", parts->n);
    return PLB_OK;
}

enum plb_status plb__parts_create(struct plb_session *s, const struct plb_session_options *options)
{
    struct plb__parts *parts;

    if (plb_graph_tasks(s->cut) == 0)
        return plb_fail(PLB_ERROR_INVALID, "a graph without tasks cannot be spread over devices");
    PLB_TRY(check_alike());
    PLB_TRY(allocate(s));
    parts = s->parts;
    PLB_TRY(plb__planning_costs(s, options->costs));
    PLB_TRY(find_seconds(s));
    PLB_TRY(make_places(s, &parts->places));
    PLB_TRY(options->hybrid ? use_given(s, options->hybrid) : ask_policy(s, options));
    PLB_TRY(plb__carrier_local(&parts->spread, &parts->carrier));
    for (uint32_t p = 0; p < parts->n; p++)
        PLB_TRY(make_part(s, options, p));
    PLB_TRY(keep_all(s));
    return look_together(s);
}

void plb__parts_destroy(struct plb_session *s)
{
    struct plb__parts *parts = s->parts;

    starpu_task_wait_for_all();
    for (uint32_t p = 0; parts->part && p < parts->n; p++)
        plb_session_destroy(parts->part[p]);
    if (parts->carrier)
        parts->carrier->destroy(parts->carrier);
    plb_spread_clear(&parts->spread);
    plb_hybrid_clear(&parts->hybrid);
    plb_places_destroy(parts->places);
    plb__planning_clear(s);
    free(parts->seconds);
    free(parts->part);
    free(parts->seen);
    free(parts);
}

/* ---- what a caller does ---- */

enum plb_status plb__parts_write(struct plb_session *s, plb_value input, const void *data,
                                 size_t bytes)
{
    for (uint32_t p = 0; p < s->parts->n; p++)
        if (s->parts->part[p])
            PLB_TRY(plb_session_write(s->parts->part[p], input, data, bytes));
    return PLB_OK;
}

/* Cells that several parts have are alike. */
enum plb_status plb__parts_read(struct plb_session *s, plb_value value, void *data, size_t bytes)
{
    for (uint32_t p = 0; p < s->parts->n; p++)
        if (s->parts->part[p])
            PLB_TRY(plb_session_read(s->parts->part[p], value, data, bytes));
    return PLB_OK;
}

/* Nobody waits for a part that was not submitted. */
static enum plb_status submit_parts(struct plb_session *s, uint64_t number)
{
    struct plb__parts *parts = s->parts;

    for (uint32_t p = 0; p < parts->n; p++) {
        enum plb_status status = PLB_OK;

        if (parts->part[p])
            status = plb__step_submit(parts->part[p], number);
        if (status != PLB_OK) {
            plb__session_fail(s, "submission", status);
            parts->carrier->abandon(parts->carrier);
            return status;
        }
    }
    return PLB_OK;
}

enum plb_status plb__parts_step(struct plb_session *s, uint64_t number)
{
    struct plb__parts *parts = s->parts;

    PLB_TRY(plb__session_check(s));
    for (uint32_t p = 0; p < parts->n; p++)
        if (parts->part[p])
            PLB_TRY(plb__session_turn(parts->part[p]));
    PLB_TRY(look_together(s));
    starpu_task_wait_for_n_submitted(s->in_flight);
    s->traced = s->trace;
    PLB_TRY(submit_parts(s, number));
    s->info.steps++;
    return PLB_OK;
}

/* All have the budget then, or none: those before the one that cannot get theirs back, which they
 * had a plan for. */
enum plb_status plb__parts_set_budget(struct plb_session *s, size_t bytes)
{
    size_t before[PLB_DEVICES_MAX];

    for (uint32_t p = 0; p < s->parts->n; p++) {
        struct plb_session *part = s->parts->part[p];
        enum plb_status status = PLB_OK;

        if (!part)
            continue;
        before[p] = part->planning.asked;
        status = plb_session_set_budget(part, bytes);
        if (status == PLB_OK)
            continue;
        status = plb_fail_within(status, "device %u", p);
        while (p-- > 0)
            if (s->parts->part[p])
                plb_session_set_budget(s->parts->part[p], before[p]);
        return status;
    }
    return PLB_OK;
}

void plb__parts_collect(struct plb_session *s)
{
    for (uint32_t p = 0; p < s->parts->n; p++)
        if (s->parts->part[p]) {
            plb__session_check(s->parts->part[p]); /* a card is asked for its faults */
            plb__steps_collect(s->parts->part[p]);
            plb__session_reap(s->parts->part[p]);
        }
}

/* ---- figures ---- */

static size_t greater(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Bytes of all devices, except what is compared with a budget: of the fullest. */
static void add_info(const struct plb_session_info *part, struct plb_session_info *all)
{
    all->memory_policy = part->memory_policy;
    all->devices++;
    all->instructions += part->instructions;
    all->persistent_bytes += part->persistent_bytes;
    all->away_bytes += part->away_bytes;
    all->transient_bytes += part->transient_bytes;
    all->scratch_bytes += part->scratch_bytes;
    all->submit_seconds += part->submit_seconds;
    all->handed_over += part->handed_over;
    all->again_tasks += part->again_tasks;
    all->again_flops += part->again_flops;
    all->replans += part->replans;
    all->replan_seconds += part->replan_seconds;
    all->asked += part->asked;
    all->asked_aside += part->asked_aside;
    all->budget = part->budget;
    all->planned_bytes = greater(all->planned_bytes, part->planned_bytes);
    all->planned_peak = greater(all->planned_peak, part->planned_peak);
    for (int role = 0; role < PLB_ROLES; role++)
        all->planned_by_role[role] += part->planned_by_role[role];
    for (int tier = 0; tier < PLB_TIERS; tier++) {
        all->arena[tier] = greater(all->arena[tier], part->arena[tier]);
        all->moved_out[tier] += part->moved_out[tier];
        all->moved_in[tier] += part->moved_in[tier];
    }
    if (part->note[0])
        memcpy(all->note, part->note, sizeof all->note);
}

void plb__parts_info(const struct plb_session *s, struct plb_session_info *info_out)
{
    const struct plb__parts *parts = s->parts;

    *info_out = s->info;
    info_out->devices = 0;
    for (uint32_t p = 0; p < parts->n; p++)
        if (parts->part[p]) {
            struct plb_session_info part;

            plb_session_get_info(parts->part[p], &part);
            add_info(&part, info_out);
        }
    info_out->parallel = parts->hybrid.policy;
    info_out->fingerprint = parts->hybrid.fingerprint;
    info_out->transfers = parts->spread.n_transfers;
    for (uint32_t t = 0; t < parts->spread.n_transfers; t++)
        info_out->transferred += parts->spread.transfer[t].bytes;
    info_out->predicted_seconds = parts->predicted;
    info_out->bubble = parts->bubble;
}

/* ---- traces ---- */

void plb__parts_trace_on(struct plb_session *s, bool on)
{
    for (uint32_t p = 0; p < s->parts->n; p++)
        if (s->parts->part[p])
            plb_session_trace(s->parts->part[p], on);
}

/* In the numbers of the cut graph. False: the end of a transfer that sends, which the other end
 * tells of. */
static bool translate(const struct plb__parts *parts, uint32_t p, struct plb_trace_record *r)
{
    const struct plb_part *part = &parts->spread.part[p];
    uint32_t transfer = r->task == PLB_NONE ? PLB_NONE : part->transfer[r->task];

    if (r->value != PLB_NONE)
        r->value = part->value[r->value];
    if (transfer != PLB_NONE) {
        const struct plb_transfer *t = &parts->spread.transfer[transfer];

        r->task = PLB_NONE;
        r->value = t->value;
        r->from = t->from;
        return t->to == p;
    }
    if (r->task != PLB_NONE)
        r->task = part->task[r->task];
    return true;
}

static void append_records(struct plb_session *s, uint32_t p, uint64_t origin)
{
    const struct plb_session *part = s->parts->part[p];
    double later = 1e-9 * (double)(part->record_origin - origin);

    for (uint32_t k = 0; k < part->n_records; k++) {
        struct plb_trace_record r = part->record[k];

        if (!translate(s->parts, p, &r))
            continue;
        r.start += later;
        r.end += later;
        s->record[s->n_records++] = r;
    }
}

/* Parts are submitted in their order. */
enum plb_status plb__parts_trace(struct plb_session *s)
{
    const struct plb__parts *parts = s->parts;
    uint64_t origin = plb__parts_first(s)->record_origin;
    struct plb_trace_record *grown;
    size_t n = 1;

    for (uint32_t p = 0; p < parts->n; p++)
        n += parts->part[p] ? parts->part[p]->n_records : 0;
    grown = realloc(s->record, n * sizeof *grown);
    if (!grown)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a trace of %zu records", n);
    s->record = grown;
    s->n_records = 0;
    for (uint32_t p = 0; p < parts->n; p++)
        if (parts->part[p])
            append_records(s, p, origin);
    return PLB_OK;
}
