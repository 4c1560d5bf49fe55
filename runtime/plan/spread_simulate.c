/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of a hybrid plan in virtual time: all are played at once (play.c), and summed up.
 */
#include "config.h"

#include "runtime/plan/hybrid.h"
#include "runtime/plan/play.h"
#include "runtime/plan/walk.h"

#include <stdlib.h>
#include <string.h>

struct stages {
    const struct plb_spread *spread;
    const plb_places_t *places;
    const struct plb_plan *const *plan;
    const struct plb_layout *const *layout;
    struct plb__cast cast;
    struct plb__walk *walk; /* per place; of those without a layout */
    bool *walked;
};

static const struct plb_plan *plan_of(const struct stages *s, uint32_t place)
{
    return s->plan && s->plan[place] ? s->plan[place] : &s->spread->part[place].plan;
}

static const struct plb_layout *layout_of(const struct stages *s, uint32_t place)
{
    return s->layout ? s->layout[place] : NULL;
}

/* Seconds are looked up by the numbers of the cut graph. */
static enum plb_status check_graph(const struct plb_spread *spread, const plb_graph_t *cut)
{
    for (uint32_t p = 0; p < spread->n_parts; p++) {
        const struct plb_part *part = &spread->part[p];

        for (plb_task_id t = 0; part->graph && t < plb_graph_tasks(part->graph); t++)
            if (part->task[t] != PLB_NONE && part->task[t] >= plb_graph_tasks(cut))
                return plb_fail(PLB_ERROR_INVALID, "the parts were made of another graph");
    }
    return PLB_OK;
}

/* ---- the cast ---- */

/* A plan without a layout is walked, which proves it right, too. */
static enum plb_status find_storage(struct stages *s, uint32_t place,
                                    struct plb__storage *storage_out)
{
    const struct plb_layout *layout = layout_of(s, place);
    struct plb__walk *walk = &s->walk[place];
    const struct plb_part *part = &s->spread->part[place];
    enum plb_status status;

    if (!part->graph)
        return PLB_OK;
    if (layout) {
        *storage_out = plb__storage_of(layout);
        return PLB_OK;
    }
    status = plb__walk(plan_of(s, place), part->graph, NULL, walk);
    if (status != PLB_OK)
        return plb_fail_within(status, "%s", plb_places_at(s->places, place)->name);
    s->walked[place] = true;
    *storage_out = (struct plb__storage){.n_slots = walk->n_slots,
                                         .slot = walk->slot,
                                         .in_operand = walk->in_operand,
                                         .operand = walk->operand};
    return PLB_OK;
}

static enum plb_status set_program(struct stages *s, uint32_t place, bool in_order,
                                   const double *seconds)
{
    const struct plb_part *part = &s->spread->part[place];
    struct plb__program *program = &s->cast.program[place];
    uint32_t kind = plb_places_at(s->places, place)->kind;

    *program = (struct plb__program){
        .name = plb_places_at(s->places, place)->name,
        .plan = plan_of(s, place),
        .graph = part->graph,
        .platform = plb_costs_platform(plb_places_costs(s->places, kind)),
        .seconds = seconds,
        .task = part->task,
        .carriage = part->transfer,
        .in_order = in_order};
    program->timeline = calloc((size_t)program->plan->n + 1, sizeof *program->timeline);
    if (!program->timeline)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to simulate %u instructions",
                        program->plan->n);
    return find_storage(s, place, &program->storage);
}

static enum plb_status create(struct stages *s)
{
    uint32_t n = s->spread->n_parts;

    if (n != plb_places_count(s->places))
        return plb_fail(PLB_ERROR_INVALID, "%u parts for %u places", n,
                        plb_places_count(s->places));
    s->cast.n_programs = n;
    s->cast.n_carriages = s->spread->n_transfers;
    s->cast.n_ports = plb_places_ports(s->places);
    s->cast.program = calloc((size_t)n + 1, sizeof *s->cast.program);
    s->cast.carriage = calloc((size_t)s->cast.n_carriages + 1, sizeof *s->cast.carriage);
    s->walk = calloc((size_t)n + 1, sizeof *s->walk);
    s->walked = calloc((size_t)n + 1, sizeof *s->walked);
    if (!s->cast.program || !s->cast.carriage || !s->walk || !s->walked)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to simulate %u places", n);
    return PLB_OK;
}

static void clear(struct stages *s)
{
    for (uint32_t p = 0; s->cast.program && p < s->cast.n_programs; p++)
        free(s->cast.program[p].timeline);
    for (uint32_t p = 0; s->walked && p < s->cast.n_programs; p++)
        if (s->walked[p])
            plb__walk_clear(&s->walk[p]);
    free(s->cast.program);
    free(s->cast.carriage);
    free(s->walk);
    free(s->walked);
}

/* ---- transfers ---- */

static enum plb_status set_carriages(struct stages *s)
{
    for (uint32_t k = 0; k < s->spread->n_transfers; k++) {
        const struct plb_transfer *transfer = &s->spread->transfer[k];
        struct plb_way way = plb_places_way(s->places, transfer->from, transfer->to);

        if (!(way.bytes_per_second > 0))
            return plb_fail(PLB_ERROR_INVALID, "transfer %u: there is no way from %s to %s", k,
                            plb_places_at(s->places, transfer->from)->name,
                            plb_places_at(s->places, transfer->to)->name);
        s->cast.carriage[k] = (struct plb__carriage){
            .seconds =
                plb_places_seconds(s->places, transfer->from, transfer->to, transfer->bytes),
            .n_ports = way.n_ports};
        memcpy(s->cast.carriage[k].port, way.port, sizeof way.port);
    }
    return PLB_OK;
}

/* ---- memory in time ---- */

/* Bytes come at a time, or go (negative). */
struct change {
    double time;
    double bytes;
};

static int compare_changes(const void *a, const void *b)
{
    const struct change *x = a, *y = b;

    if (x->time < y->time || x->time > y->time)
        return x->time < y->time ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* A slot exists from the start of what makes it to the end of what ends it. */
static enum plb_status find_peak(const struct stages *s, uint32_t place, size_t *peak_out)
{
    const struct plb__program *program = &s->cast.program[place];
    const struct plb__walk *walk = &s->walk[place];
    struct change *change = malloc((2 * (size_t)walk->n_slots + 1) * sizeof *change);
    double live = (double)walk->initial_bytes, peak = live;
    uint32_t n = 0;

    if (!change)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to add up %u slots", walk->n_slots);
    for (uint32_t k = 0; k < walk->n_slots; k++) {
        const struct plb_slot *slot = &walk->slot[k];

        if (slot->tier != PLB_DEVICE || slot->initial != PLB_NONE)
            continue;
        change[n++] = (struct change){program->timeline[slot->begin].start, (double)slot->bytes};
        if (slot->end < program->plan->n)
            change[n++] = (struct change){program->timeline[slot->end].end, -(double)slot->bytes};
    }
    qsort(change, n, sizeof *change, compare_changes);
    for (uint32_t k = 0; k < n; k++) {
        live += change[k].bytes;
        peak = live > peak ? live : peak;
    }
    free(change);
    *peak_out = (size_t)peak;
    return PLB_OK;
}

/* ---- sums ---- */

static enum plb_status sum_runs(const struct plb__program *program, struct plb_place_use *use)
{
    bool *ran = program->graph
                    ? calloc((size_t)plb_graph_tasks(program->graph) + 1, sizeof *ran)
                    : NULL;

    if (program->graph && !ran)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to add up a part's tasks");
    for (uint32_t i = 0; i < program->plan->n; i++) {
        const struct plb_instruction *instruction = &program->plan->instruction[i];
        double seconds;

        if (instruction->code != PLB_RUN || program->carriage[instruction->subject] != PLB_NONE)
            continue;
        seconds = plb__program_seconds(program, i);
        use->busy_seconds += seconds;
        use->again_seconds += ran[instruction->subject] ? seconds : 0;
        ran[instruction->subject] = true;
    }
    free(ran);
    return PLB_OK;
}

static enum plb_status sum_place(struct stages *s, uint32_t place, struct plb_place_use *use)
{
    struct plb__program *program = &s->cast.program[place];
    const struct plb_layout *layout = layout_of(s, place);

    use->n = program->plan->n;
    use->timeline = calloc((size_t)use->n + 1, sizeof *use->timeline);
    if (!use->timeline)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u times", use->n);
    for (uint32_t i = 0; i < use->n; i++)
        use->timeline[i] = (struct plb_spread_run){
            program->timeline[i].start, program->timeline[i].end, program->timeline[i].lane};
    PLB_TRY(sum_runs(program, use));
    if (layout)
        use->peak = plb_layout_device_bytes(layout);
    else if (program->graph)
        PLB_TRY(find_peak(s, place, &use->peak));
    return PLB_OK;
}

static enum plb_status sum_all(struct stages *s, struct plb_spread_simulation *result)
{
    const struct plb_spread *spread = s->spread;
    double busy = 0, all = 0;

    for (uint32_t p = 0; p < result->n_places; p++) {
        const struct plb__program *program = &s->cast.program[p];

        PLB_TRY(sum_place(s, p, &result->place[p]));
        busy += result->place[p].busy_seconds;
        if (result->place[p].busy_seconds > 0)
            all += program->platform->workers * result->seconds;
    }
    result->bubble = all > 0 ? 1 - busy / all : 0;
    for (uint32_t k = 0; k < spread->n_transfers; k++) {
        result->transfer[k].start = s->cast.carriage[k].start;
        result->transfer[k].end = s->cast.carriage[k].end;
        result->place[spread->transfer[k].from].sent += spread->transfer[k].bytes;
        result->place[spread->transfer[k].to].received += spread->transfer[k].bytes;
    }
    return PLB_OK;
}

static enum plb_status simulate(struct stages *s, const struct plb_spread_problem *problem,
                                struct plb_spread_simulation *result)
{
    PLB_TRY(create(s));
    PLB_TRY(set_carriages(s));
    for (uint32_t p = 0; p < s->cast.n_programs; p++)
        PLB_TRY(set_program(s, p, problem->in_order,
                            problem->seconds[plb_places_at(s->places, p)->kind]));
    PLB_TRY(plb__play(&s->cast, &result->seconds));
    result->n_places = s->cast.n_programs;
    result->place = calloc((size_t)s->cast.n_programs + 1, sizeof *result->place);
    result->transfer = calloc((size_t)s->cast.n_carriages + 1, sizeof *result->transfer);
    if (!result->place || !result->transfer)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the times of %u places",
                        s->cast.n_programs);
    return sum_all(s, result);
}

enum plb_status plb_spread_simulate(const struct plb_spread *spread, const plb_graph_t *cut,
                                    const struct plb_spread_problem *problem,
                                    struct plb_spread_simulation *result_out)
{
    struct stages s = {.spread = spread,
                       .places = problem->places,
                       .plan = problem->plan,
                       .layout = problem->layout};
    struct plb_spread_simulation result = {0};
    enum plb_status status = check_graph(spread, cut);

    if (status == PLB_OK)
        status = simulate(&s, problem, &result);
    clear(&s);
    if (status == PLB_OK)
        *result_out = result;
    else
        plb_spread_simulation_clear(&result);
    return status;
}

void plb_spread_simulation_clear(struct plb_spread_simulation *simulation)
{
    for (uint32_t p = 0; simulation->place && p < simulation->n_places; p++)
        free(simulation->place[p].timeline);
    free(simulation->place);
    free(simulation->transfer);
    *simulation = (struct plb_spread_simulation){0};
}
