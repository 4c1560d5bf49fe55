/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layouts, checked by brute force: what exists at the same time never shares bytes; who obeys the
 * waits and reads values after they were made never finds another's bytes, in whatever order and
 * however much at once tasks run, over several steps; figures are what counting gives; limits are
 * kept or refused.
 */
#include "config.h"

#include "runtime/plan/place.h"
#include "runtime/plan/layout.h"
#include "runtime/plan/writer.h"
#include "tests/runtime/plan/random_plan.h"
#include "tests/support/plb_test.h"
#include "tests/support/random_graph.h"

#include <stdlib.h>
#include <string.h>

#define SEEDS 24

static struct plb_limits all_tiers(void)
{
    return (struct plb_limits){.bytes = {SIZE_MAX, SIZE_MAX, SIZE_MAX}};
}

struct example {
    struct random_graph random;
    const plb_graph_t *graph;
    struct plb_plan plan;
};

static struct example make_example(uint64_t seed, uint32_t rate)
{
    const struct random_options options = {
        .seed = seed, .shape = (enum random_shape)(seed % 3), .blocks = 3, .width = 16, .batch = 2};
    const struct plb_limits limits = all_tiers();
    struct example e = {.plan = {.n = 0}};

    PLB_REQUIRE(random_graph_make(&options, &e.random) == PLB_OK);
    e.graph = e.random.graph;
    PLB_REQUIRE(random_plan_make(e.graph, seed, rate, &e.plan) == PLB_OK);
    PLB_REQUIRE(plb_plan_check(&e.plan, e.graph, &limits) == PLB_OK);
    return e;
}

static void clear_example(struct example *e)
{
    plb_plan_clear(&e->plan);
    random_graph_clear(&e->random);
}

static bool overlap(const struct plb_slot *a, const struct plb_slot *b)
{
    return a->tier == b->tier && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

static bool live_together(const struct plb_slot *a, const struct plb_slot *b)
{
    return a->begin < b->end && b->begin < a->end;
}

/* ---- space ---- */

static void check_places(const struct plb_layout *layout)
{
    uint32_t bad = 0;

    for (uint32_t a = 0; a < layout->n_slots; a++) {
        const struct plb_slot *slot = &layout->slot[a];

        if (slot->initial != PLB_NONE) {
            bad += slot->offset != 0;
            continue;
        }
        bad += slot->offset % PLB_SLOT_ALIGNMENT != 0;
        bad += slot->offset + slot->bytes > layout->arena[slot->tier];
        for (uint32_t b = 0; b < a; b++)
            bad += layout->slot[b].initial == PLB_NONE && overlap(slot, &layout->slot[b]) &&
                   live_together(slot, &layout->slot[b]);
    }
    PLB_CHECK_EQ(bad, 0);
}

/* Peaks by counting at every instruction. */
static void check_figures(const struct example *e, const struct plb_layout *layout)
{
    size_t peak[PLB_TIERS] = {0}, initial = 0, at_peak = 0, by_role = 0;

    for (uint32_t i = 0; i < e->plan.n; i++) {
        size_t live[PLB_TIERS] = {0};

        for (uint32_t k = 0; k < layout->n_slots; k++)
            if (layout->slot[k].begin <= i && i < layout->slot[k].end)
                live[layout->slot[k].tier] += layout->slot[k].bytes;
        for (int tier = 0; tier < PLB_TIERS; tier++)
            peak[tier] = live[tier] > peak[tier] ? live[tier] : peak[tier];
        at_peak = i == layout->peak_at ? live[PLB_DEVICE] : at_peak;
    }
    for (uint32_t k = 0; k < layout->n_slots; k++)
        initial += layout->slot[k].initial != PLB_NONE ? layout->slot[k].bytes : 0;
    for (int role = 0; role < PLB_ROLES; role++)
        by_role += layout->peak_by_role[role];
    for (int tier = 0; tier < PLB_TIERS; tier++)
        PLB_CHECK_EQ(layout->peak[tier], peak[tier]);
    PLB_CHECK_EQ(at_peak, peak[PLB_DEVICE]);
    PLB_CHECK_EQ(by_role, peak[PLB_DEVICE]);
    PLB_CHECK_EQ(layout->initial_bytes, initial);
    PLB_CHECK_EQ(plb_layout_device_bytes(layout), initial + layout->arena[PLB_DEVICE]);
    PLB_CHECK(plb_layout_device_bytes(layout) >= peak[PLB_DEVICE]);
}

/* Operands hold the values that the instruction names, as the program goes. */
static void check_operands(const struct example *e, const struct plb_layout *layout)
{
    plb_value *lies = malloc((layout->n_slots + 1) * sizeof *lies);
    uint32_t bad = 0;

    for (uint32_t k = 0; k < layout->n_slots; k++)
        lies[k] = layout->slot[k].initial;
    for (uint32_t i = 0; i < e->plan.n; i++) {
        const struct plb_instruction *instruction = &e->plan.instruction[i];
        const uint32_t *slot = &layout->operand[layout->in_operand[i]];
        uint32_t n = layout->in_operand[i + 1] - layout->in_operand[i];
        const struct plb_task *task;
        uint32_t n_in;

        if (instruction->code != PLB_RUN) {
            PLB_CHECK_EQ(n, instruction->code == PLB_DROP ? 1 : 2);
            bad += lies[slot[0]] != instruction->subject;
            if (instruction->code != PLB_DROP)
                lies[slot[1]] = instruction->subject;
            continue;
        }
        task = plb_graph_task(e->graph, instruction->subject);
        n_in = task->in_start[task->n_in];
        PLB_CHECK_EQ(n, n_in + task->out_start[task->n_out]);
        for (uint32_t j = 0; j < n_in; j++)
            bad += lies[slot[j]] != task->in[j] || layout->slot[slot[j]].tier != PLB_DEVICE;
        for (uint32_t j = n_in; j < n; j++)
            lies[slot[j]] = task->out[j - n_in];
    }
    PLB_CHECK_EQ(bad, 0);
    free(lies);
}

/* ---- time: any order that obeys waits and dependencies ---- */

#define STEPS 3
#define UNIT  PLB_SLOT_ALIGNMENT

/* An instruction of a step. */
struct node {
    uint32_t before; /* how many nodes it still waits for */
    uint32_t first_edge;
};

struct replay {
    const struct example *e;
    const struct plb_layout *layout;
    uint32_t n; /* nodes: instructions times steps */
    struct node *node;
    struct edge {
        uint32_t to, next;
    } * edge;
    uint32_t n_edges, capacity;
    uint32_t *owner[PLB_TIERS]; /* per unit of bytes: 1 + slot + step * slots; 0: nobody */
    uint32_t *writer;           /* per slot: 1 + the last node that wrote it */
    uint32_t **reader;          /* per slot: nodes that used it since */
    uint32_t *n_readers, *room;
    uint32_t bad;
};

static void add_edge(struct replay *r, uint32_t from, uint32_t to)
{
    if (from == to)
        return;
    if (r->n_edges == r->capacity) {
        r->capacity = r->capacity ? 2 * r->capacity : 4096;
        r->edge = realloc(r->edge, r->capacity * sizeof *r->edge);
    }
    r->edge[r->n_edges] = (struct edge){to, r->node[from].first_edge};
    r->node[from].first_edge = r->n_edges++;
    r->node[to].before++;
}

/* All that have used the slot, the latest writer and the readers since, come before the node. */
static void after_users(struct replay *r, uint32_t slot, uint32_t node)
{
    if (r->writer[slot] > 0)
        add_edge(r, r->writer[slot] - 1, node);
    for (uint32_t k = 0; k < r->n_readers[slot]; k++)
        add_edge(r, r->reader[slot][k], node);
}

static void note_reader(struct replay *r, uint32_t slot, uint32_t node)
{
    if (r->writer[slot] > 0)
        add_edge(r, r->writer[slot] - 1, node);
    if (r->n_readers[slot] == r->room[slot]) {
        r->room[slot] = 2 * r->room[slot] + 8;
        r->reader[slot] = realloc(r->reader[slot], r->room[slot] * sizeof **r->reader);
    }
    r->reader[slot][r->n_readers[slot]++] = node;
}

static void note_writer(struct replay *r, uint32_t slot, uint32_t node)
{
    after_users(r, slot, node);
    r->writer[slot] = node + 1;
    r->n_readers[slot] = 0;
}

/* The operands that the instruction only reads. */
static uint32_t read_operands(const struct example *e, uint32_t i)
{
    const struct plb_instruction *instruction = &e->plan.instruction[i];
    const struct plb_task *task;

    if (instruction->code != PLB_RUN)
        return 1;
    task = plb_graph_task(e->graph, instruction->subject);
    return task->in_start[task->n_in];
}

static void find_edges(struct replay *r)
{
    const struct plb_layout *layout = r->layout;

    for (uint32_t node = 0; node < r->n; node++) {
        uint32_t i = node % r->e->plan.n;

        if (r->e->plan.instruction[i].code == PLB_DROP)
            continue;
        for (uint32_t w = layout->in_wait[i]; w < layout->in_wait[i + 1]; w++)
            after_users(r, layout->wait[w], node);
        for (uint32_t o = layout->in_operand[i]; o < layout->in_operand[i + 1]; o++) {
            if (o - layout->in_operand[i] < read_operands(r->e, i))
                note_reader(r, layout->operand[o], node);
            else
                note_writer(r, layout->operand[o], node);
        }
    }
}

/* At the start of a node: what begins there now owns its bytes. */
static void begin_slots(struct replay *r, uint32_t node)
{
    const struct plb_layout *layout = r->layout;
    uint32_t i = node % r->e->plan.n, step = node / r->e->plan.n;

    for (uint32_t o = layout->in_operand[i]; o < layout->in_operand[i + 1]; o++) {
        const struct plb_slot *slot = &layout->slot[layout->operand[o]];

        if (slot->initial != PLB_NONE || slot->begin != i)
            continue;
        for (size_t u = slot->offset / UNIT; u * UNIT < slot->offset + slot->bytes; u++)
            r->owner[slot->tier][u] = 1 + layout->operand[o] + step * layout->n_slots;
    }
}

static void check_owned(struct replay *r, uint32_t node)
{
    const struct plb_layout *layout = r->layout;
    uint32_t i = node % r->e->plan.n, step = node / r->e->plan.n;

    for (uint32_t o = layout->in_operand[i]; o < layout->in_operand[i + 1]; o++) {
        const struct plb_slot *slot = &layout->slot[layout->operand[o]];
        uint32_t expected = 1 + layout->operand[o] + step * layout->n_slots;

        if (slot->initial != PLB_NONE)
            continue;
        for (size_t u = slot->offset / UNIT; u * UNIT < slot->offset + slot->bytes; u++)
            r->bad += r->owner[slot->tier][u] != expected;
    }
}

/* Nodes start and end by chance, up to `at_once` at the same time. */
static void run_nodes(struct replay *r, uint64_t seed, uint32_t at_once)
{
    uint32_t *ready = malloc(r->n * sizeof *ready), *running = malloc(r->n * sizeof *running);
    uint32_t *before = malloc(r->n * sizeof *before);
    uint32_t n_ready = 0, n_running = 0, done = 0;

    for (uint32_t node = 0; node < r->n; node++) {
        before[node] = r->node[node].before;
        if (before[node] == 0)
            ready[n_ready++] = node;
    }
    while (n_ready > 0 || n_running > 0) {
        bool start =
            n_ready > 0 && n_running < at_once && (n_running == 0 || random_below(&seed, 2) == 0);
        uint32_t *list = start ? ready : running, *n = start ? &n_ready : &n_running;
        uint32_t k = random_below(&seed, *n), node = list[k];
        bool is_drop = r->e->plan.instruction[node % r->e->plan.n].code == PLB_DROP;

        list[k] = list[--*n];
        if (start) {
            running[n_running++] = node;
            if (!is_drop)
                begin_slots(r, node);
        }
        if (!is_drop)
            check_owned(r, node);
        if (start)
            continue;
        done++;
        for (uint32_t edge = r->node[node].first_edge; edge != PLB_NONE; edge = r->edge[edge].next)
            if (--before[r->edge[edge].to] == 0)
                ready[n_ready++] = r->edge[edge].to;
    }
    PLB_CHECK_EQ(done, r->n);
    free(ready);
    free(running);
    free(before);
}

static struct replay start_replay(const struct example *e, const struct plb_layout *layout)
{
    struct replay r = {.e = e, .layout = layout, .n = STEPS * e->plan.n};

    r.node = calloc(r.n + 1, sizeof *r.node);
    for (uint32_t node = 0; node < r.n; node++)
        r.node[node].first_edge = PLB_NONE;
    r.writer = calloc(layout->n_slots + 1, sizeof *r.writer);
    r.reader = calloc(layout->n_slots + 1, sizeof *r.reader);
    r.n_readers = calloc(layout->n_slots + 1, sizeof *r.n_readers);
    r.room = calloc(layout->n_slots + 1, sizeof *r.room);
    for (int tier = 0; tier < PLB_TIERS; tier++)
        r.owner[tier] = calloc(layout->arena[tier] / UNIT + 1, sizeof *r.owner[tier]);
    find_edges(&r);
    return r;
}

static void end_replay(struct replay *r)
{
    for (uint32_t k = 0; k < r->layout->n_slots; k++)
        free(r->reader[k]);
    for (int tier = 0; tier < PLB_TIERS; tier++)
        free(r->owner[tier]);
    free(r->node);
    free(r->edge);
    free(r->writer);
    free(r->reader);
    free(r->n_readers);
    free(r->room);
}

static uint32_t count_bad(const struct example *e, const struct plb_layout *layout, uint64_t seed)
{
    struct replay r = start_replay(e, layout);
    uint32_t bad;

    for (uint64_t k = 0; k < 4; k++)
        run_nodes(&r, seed + 1000 * k, k % 2 ? 3 : 1000);
    bad = r.bad;
    end_replay(&r);
    return bad;
}

/* ---- waits are not more than they must be ---- */

/* A wait is on a slot that shares bytes, and on no one before the latest there, which is found by
 * going through all slots. */
static void check_waits_needed(const struct example *e, const struct plb_layout *layout)
{
    uint32_t bad = 0;

    for (uint32_t i = 0; i < e->plan.n; i++) {
        for (uint32_t w = layout->in_wait[i]; w < layout->in_wait[i + 1]; w++) {
            bool shares = false;

            for (uint32_t o = layout->in_operand[i]; o < layout->in_operand[i + 1]; o++)
                shares |=
                    layout->slot[layout->operand[o]].begin == i &&
                    overlap(&layout->slot[layout->operand[o]], &layout->slot[layout->wait[w]]);
            bad += !shares || layout->slot[layout->wait[w]].initial != PLB_NONE;
            for (uint32_t v = layout->in_wait[i]; v < w; v++)
                bad += layout->wait[v] == layout->wait[w];
        }
    }
    PLB_CHECK_EQ(bad, 0);
}

static void random_plans_are_laid_out_right(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct example e = make_example(seed, seed % 4 == 0 ? 0 : 3);
        struct plb_limits limits = all_tiers();
        struct plb_layout layout;

        PLB_REQUIRE(plb_layout_assign(&e.plan, e.graph, &limits, &layout) == PLB_OK);
        check_places(&layout);
        check_figures(&e, &layout);
        check_operands(&e, &layout);
        check_waits_needed(&e, &layout);
        PLB_CHECK_EQ(count_bad(&e, &layout, seed), 0);
        plb_layout_clear(&layout);
        clear_example(&e);
    }
}

/* The replay must be able to fail: without waits bytes are overwritten in use. */
static void without_waits_bytes_are_lost(void)
{
    struct example e = make_example(3, 3);
    struct plb_limits limits = all_tiers();
    struct plb_layout layout;

    PLB_REQUIRE(plb_layout_assign(&e.plan, e.graph, &limits, &layout) == PLB_OK);
    memset(layout.in_wait, 0, ((size_t)e.plan.n + 1) * sizeof *layout.in_wait);
    PLB_CHECK(count_bad(&e, &layout, 1) > 0);
    plb_layout_clear(&layout);
    clear_example(&e);
}

/* ---- limits ---- */

/* The least limit under which there is a layout is close above the peak; at each limit the layout
 * keeps it or is refused with the bytes. */
static void limits_are_kept(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct example e = make_example(seed, 3);
        struct plb_limits limits = all_tiers();
        struct plb_layout layout;
        size_t peak, fits = 0;

        PLB_REQUIRE(plb_layout_assign(&e.plan, e.graph, &limits, &layout) == PLB_OK);
        peak = layout.peak[PLB_DEVICE];
        plb_layout_clear(&layout);
        limits.reserved = 4096;
        for (size_t k = 0; k <= 40; k++) {
            limits.bytes[PLB_DEVICE] = peak + 4096 + k * (peak / 100) - (k == 0);
            if (plb_layout_assign(&e.plan, e.graph, &limits, &layout) != PLB_OK) {
                PLB_CHECK_CONTAINS(plb_error_message(), " bytes) of the device, ");
                continue;
            }
            fits = fits ? fits : k;
            PLB_CHECK(plb_layout_device_bytes(&layout) + 4096 <= limits.bytes[PLB_DEVICE]);
            check_places(&layout);
            PLB_CHECK(k % 10 != 0 || count_bad(&e, &layout, seed) == 0);
            plb_layout_clear(&layout);
        }
        PLB_CHECK(fits > 0 && fits <= 8);
        clear_example(&e);
    }
}

static void other_tiers_have_limits_too(void)
{
    struct example e = make_example(2, 2);
    struct plb_limits limits = all_tiers();
    struct plb_layout layout;
    size_t bytes;

    PLB_REQUIRE(plb_layout_assign(&e.plan, e.graph, &limits, &layout) == PLB_OK);
    bytes = layout.arena[PLB_HOST];
    limits.reserved = SIZE_MAX - 64;
    limits.bytes[PLB_DEVICE] = SIZE_MAX - 1;
    PLB_CHECK_EQ(plb_layout_assign(&e.plan, e.graph, &limits, &(struct plb_layout){0}),
                 PLB_ERROR_MEMORY);
    limits = all_tiers();
    PLB_CHECK(bytes > 0 && layout.arena[PLB_DISK] > 0);
    plb_layout_clear(&layout);
    limits.bytes[PLB_HOST] = bytes / 2;
    PLB_CHECK_EQ(plb_layout_assign(&e.plan, e.graph, &limits, &layout), PLB_ERROR_MEMORY);
    PLB_CHECK_CONTAINS(plb_error_message(), " bytes) of the host, ");
    clear_example(&e);
}

/* ---- held gradients ---- */

static size_t gradients_of(const plb_graph_t *graph, bool *held)
{
    size_t bytes = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        for (uint32_t j = 0; task->phase == PLB_PHASE_UPDATE && j < task->in_start[task->n_in];
             j++) {
            const struct plb_value_info *info = plb_graph_value(graph, task->in[j]);

            if (info->producer == PLB_NONE || held[task->in[j]] ||
                plb_graph_task(graph, info->producer)->phase == PLB_PHASE_UPDATE)
                continue;
            held[task->in[j]] = true;
            bytes += plb_type_bytes(&info->type);
        }
    }
    return bytes;
}

/* Nothing else ever lies where a held gradient does; without sending them away they take exactly
 * their own bytes, and a whole share is the least for the plan that keeps everything. */
static void held_gradients_have_their_own_bytes(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct example e = make_example(seed, seed % 2 ? 3 : 0);
        bool *held = calloc(plb_graph_values(e.graph) + 1, sizeof *held);
        struct plb_limits limits = all_tiers();
        struct plb_layout layout;
        struct plb_needs needs;
        uint32_t bad = 0;

        limits.hold_gradients = true;
        PLB_REQUIRE(plb_layout_assign(&e.plan, e.graph, &limits, &layout) == PLB_OK);
        PLB_REQUIRE(plb_needs_find(e.graph, &needs) == PLB_OK);
        check_places(&layout);
        PLB_CHECK_EQ(count_bad(&e, &layout, seed), 0);
        PLB_CHECK_EQ(needs.gradients, gradients_of(e.graph, held));
        for (uint32_t a = 0; a < layout.n_slots; a++)
            for (uint32_t b = 0; b < layout.n_slots; b++)
                bad += layout.slot[a].tier == PLB_DEVICE && layout.slot[a].initial == PLB_NONE &&
                       layout.slot[b].initial == PLB_NONE && held[layout.slot[a].value] &&
                       layout.slot[a].value != layout.slot[b].value &&
                       overlap(&layout.slot[a], &layout.slot[b]);
        PLB_CHECK_EQ(bad, 0);
        plb_layout_clear(&layout);
        limits.bytes[PLB_DEVICE] = plb_budget_of_share(&needs, 1.0, 0);
        if (seed % 2 == 0 && plb_layout_assign(&e.plan, e.graph, &limits, &layout) == PLB_OK) {
            PLB_CHECK_EQ(plb_layout_device_bytes(&layout), limits.bytes[PLB_DEVICE]);
            plb_layout_clear(&layout);
            limits.bytes[PLB_DEVICE]--;
            PLB_CHECK_EQ(plb_layout_assign(&e.plan, e.graph, &limits, &layout), PLB_ERROR_MEMORY);
        } else {
            PLB_CHECK_EQ(seed % 2, 1);
        }
        free(held);
        clear_example(&e);
    }
}

/* ---- placing ---- */

static bool blocks_are_apart(const struct plb__blocks *blocks, size_t bytes)
{
    for (uint32_t a = 0; a < blocks->n; a++) {
        const struct plb__block *one = &blocks->block[a];

        if (one->offset + one->bytes > bytes)
            return false;
        for (uint32_t b = 0; b < a; b++) {
            const struct plb__block *two = &blocks->block[b];

            if (one->begin < two->end && two->begin < one->end &&
                one->offset < two->offset + two->bytes && two->offset < one->offset + one->bytes)
                return false;
        }
    }
    return true;
}

enum { BLOCKS = 300, TIMES = 400 };

static int compare_begin(const void *left, const void *right)
{
    const struct plb__block *a = left, *b = right;

    return (a->begin > b->begin) - (a->begin < b->begin);
}

static void draw_blocks(struct plb__blocks *blocks, uint64_t *state)
{
    uint32_t n = 0;

    blocks->n = BLOCKS;
    for (uint32_t k = 0; k < BLOCKS; k++) {
        uint32_t begin = random_below(state, TIMES - 1);

        blocks->block[k] = (struct plb__block){
            .bytes = 64 * (size_t)(1 + random_below(state, 6) * random_below(state, 40)),
            .begin = begin,
            .end = begin + 1 + random_below(state, random_below(state, 4) ? 20 : TIMES - begin)};
    }
    qsort(blocks->block, BLOCKS, sizeof *blocks->block, compare_begin);
    for (uint32_t time = 0; time <= 2 * TIMES; time++)
        for (uint32_t k = 0; k < BLOCKS; k++)
            if (blocks->block[k].end == time)
                blocks->by_end[n++] = k;
    PLB_CHECK_EQ(n, BLOCKS);
}

static size_t peak_of(const struct plb__blocks *blocks)
{
    size_t peak = 0;

    for (uint32_t time = 0; time < TIMES; time++) {
        size_t live = 0;

        for (uint32_t k = 0; k < blocks->n; k++)
            if (blocks->block[k].begin <= time && time < blocks->block[k].end)
                live += blocks->block[k].bytes;
        peak = live > peak ? live : peak;
    }
    return peak;
}

static void blocks_are_placed_apart(void)
{
    struct plb__block block[BLOCKS];
    uint32_t by_end[BLOCKS];
    struct plb__blocks blocks = {.block = block, .by_end = by_end};
    uint64_t state = 5;

    for (int k = 0; k < 20; k++) {
        size_t bytes, enough, peak;

        draw_blocks(&blocks, &state);
        peak = peak_of(&blocks);
        PLB_CHECK_EQ(plb__place_by_size(&blocks, &bytes), PLB_OK);
        PLB_CHECK(blocks_are_apart(&blocks, bytes));
        PLB_CHECK(bytes >= peak && bytes <= peak + peak / 4);
        PLB_CHECK_EQ(plb__place_by_time(&blocks, SIZE_MAX, &bytes), PLB_OK);
        PLB_CHECK(blocks_are_apart(&blocks, bytes));
        PLB_CHECK(bytes >= peak && bytes <= 2 * peak);
        PLB_CHECK_EQ(plb__place_by_time(&blocks, bytes, &enough), PLB_OK);
        PLB_CHECK_EQ(enough, bytes);
        PLB_CHECK_EQ(plb__place_by_time(&blocks, peak - 64, &bytes), PLB_OK);
        PLB_CHECK_EQ(bytes, SIZE_MAX);
        PLB_CHECK_EQ(plb__place_by_class(&blocks, SIZE_MAX, &bytes), PLB_OK);
        PLB_CHECK(bytes >= peak && blocks_are_apart(&blocks, bytes));
        PLB_CHECK_EQ(plb__place_by_class(&blocks, bytes, &enough), PLB_OK);
        PLB_CHECK_EQ(enough, bytes);
        PLB_CHECK_EQ(plb__place_by_class(&blocks, bytes - 64, &enough), PLB_OK);
        PLB_CHECK_EQ(enough, SIZE_MAX);
    }
}

/* ---- what can go wrong ---- */

static void failures_of_memory_are_told(void)
{
    struct example e = make_example(7, 3);
    struct plb_limits limits = all_tiers();

    uint32_t survived = 0;

    limits.hold_gradients = true;
    for (long n = 1; plb_test_alloc_available(); n++) {
        struct plb_layout layout = {0};
        struct plb_needs needs;
        enum plb_status status;

        plb_test_alloc_fail_at(n);
        status = plb_layout_assign(&e.plan, e.graph, &limits, &layout);
        if (status == PLB_OK)
            status = plb_needs_find(e.graph, &needs);
        plb_layout_clear(&layout);
        if (!plb_test_alloc_stop())
            break;
        PLB_CHECK(status == PLB_ERROR_MEMORY || status == PLB_OK);
        survived += status == PLB_OK;
    }
    PLB_CHECK(survived <= 3); /* libc's qsort does without memory */
    clear_example(&e);
}

static void needs_name_the_largest_task(void)
{
    struct example e = make_example(11, 0);
    struct plb_needs needs;
    const struct plb_task *task;

    PLB_REQUIRE(plb_needs_find(e.graph, &needs) == PLB_OK);
    task = plb_graph_task(e.graph, needs.largest);
    PLB_REQUIRE(task != NULL);
    PLB_CHECK(needs.largest_task > 0 && needs.initial > 0 && needs.gradients > 0);
    PLB_CHECK(needs.saved > 0 && needs.saved <= needs.activations);
    PLB_CHECK_EQ(plb_budget_of_share(&needs, 0.5, 100),
                 needs.initial + needs.gradients + needs.activations / 2 + 100);
    clear_example(&e);
}

PLB_TEST_MAIN("runtime/plan/layout", NULL, NULL, PLB_TEST(random_plans_are_laid_out_right),
              PLB_TEST(without_waits_bytes_are_lost), PLB_TEST(limits_are_kept),
              PLB_TEST(other_tiers_have_limits_too), PLB_TEST(held_gradients_have_their_own_bytes),
              PLB_TEST(blocks_are_placed_apart), PLB_TEST(failures_of_memory_are_told),
              PLB_TEST(needs_name_the_largest_task))
