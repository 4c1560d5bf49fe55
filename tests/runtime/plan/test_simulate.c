/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulator: schedules that were worked out by hand, and what must hold of every schedule of
 * random training steps with random offloading.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "runtime/base/random.h"
#include "runtime/plan/simulate.h"
#include "runtime/plan/writer.h"
#include "tests/support/plb_test.h"
#include "tests/support/random_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* All values by hand are this large, and a copy of one takes a second each way. */
#define BYTES      ((size_t)64 * 64 * 4)
#define TASKS_MOST 8
/* Room enough that no one waits for another's. */
#define ROOMY (64 * BYTES)

/* A graph by hand on a platform by hand. */
struct bench {
    plb_graph_t *graph;
    struct plb_platform platform;
    double seconds[TASKS_MOST];
    struct plb_problem problem;
    struct plb_plan plan;
    struct plb_layout layout;
    struct plb_simulation result;
};

static plb_value add_input(struct bench *b)
{
    return plb_graph_add_value(b->graph, "x", PLB_ROLE_INPUT, PLB_F32, plb_shape2(64, 64));
}

static plb_value gelu(struct bench *b, plb_value x, double seconds)
{
    b->seconds[plb_graph_tasks(b->graph)] = seconds;
    return plb_gelu(b->graph, x, PLB_GELU_ERF);
}

static plb_value sum(struct bench *b, plb_value x, plb_value y, double seconds)
{
    b->seconds[plb_graph_tasks(b->graph)] = seconds;
    return plb_add(b->graph, x, y);
}

static struct bench make_bench(int workers)
{
    struct bench b = {.graph = plb_graph_create(), .platform = plb_platform_nominal(workers)};

    b.platform.bytes[PLB_HOST] = SIZE_MAX;
    b.platform.link[PLB_HOST] = (struct plb_link){BYTES, BYTES, 0, true};
    b.platform.link[PLB_DISK] = (struct plb_link){(double)BYTES / 2, (double)BYTES / 3, 1, false};
    return b;
}

static plb_task_id maker(const struct bench *b, plb_value value)
{
    return plb_graph_value(b->graph, value)->producer;
}

static void append(struct bench *b, enum plb_opcode code, uint32_t subject, enum plb_tier tier)
{
    PLB_CHECK_EQ(plb_plan_append(&b->plan, (struct plb_instruction){code, subject, 0, tier}),
                 PLB_OK);
}

static void run(struct bench *b, plb_value value)
{
    append(b, PLB_RUN, maker(b, value), PLB_DEVICE);
}

/* Gives every slot bytes of its own, so that no one waits for another's. */
static void spread(struct plb_layout *layout, uint32_t n)
{
    size_t offset[PLB_TIERS] = {0};

    for (uint32_t k = 0; k < layout->n_slots; k++) {
        struct plb_slot *slot = &layout->slot[k];

        if (slot->initial != PLB_NONE)
            continue;
        slot->offset = offset[slot->tier];
        offset[slot->tier] += BYTES;
    }
    memcpy(layout->arena, offset, sizeof offset);
    memset(layout->in_wait, 0, ((size_t)n + 1) * sizeof *layout->in_wait);
}

/* Finishes what was appended and plays it with `device` bytes beside the initial value. */
static void play(struct bench *b, size_t device)
{
    struct plb_plan draft = b->plan;

    b->plan = (struct plb_plan){0};
    b->problem = (struct plb_problem){.graph = b->graph,
                                      .platform = &b->platform,
                                      .seconds = b->seconds,
                                      .limits = {.bytes = {device + BYTES, SIZE_MAX, SIZE_MAX}}};
    PLB_CHECK_EQ(plb_graph_status(b->graph), PLB_OK);
    PLB_REQUIRE(plb_plan_finish(b->graph, &draft, &b->plan) == PLB_OK);
    b->plan.fingerprint = plb_graph_fingerprint(b->graph);
    plb_plan_clear(&draft);
    PLB_REQUIRE(plb_plan_check(&b->plan, b->graph, &b->problem.limits) == PLB_OK);
    PLB_REQUIRE(plb_layout_assign(&b->plan, b->graph, &b->problem.limits, &b->layout) == PLB_OK);
    if (device == ROOMY)
        spread(&b->layout, b->plan.n);
    PLB_REQUIRE(plb_simulate(&b->plan, &b->layout, &b->problem, &b->result) == PLB_OK);
}

static void clear(struct bench *b)
{
    plb_simulation_clear(&b->result);
    plb_layout_clear(&b->layout);
    plb_plan_clear(&b->plan);
    plb_graph_destroy(b->graph);
}

/* The n-th instruction of this kind. */
static const struct plb_simulated *find(const struct bench *b, enum plb_opcode code,
                                        uint32_t subject, int n)
{
    for (uint32_t i = 0; i < b->plan.n; i++)
        if (b->plan.instruction[i].code == code && b->plan.instruction[i].subject == subject &&
            n-- == 0)
            return &b->result.timeline[i];
    PLB_REQUIRE(!"the instruction is in the plan");
    return NULL;
}

static void check_run(const struct bench *b, plb_value value, int n, double start, double end,
                      int lane)
{
    const struct plb_simulated *seen = find(b, PLB_RUN, maker(b, value), n);

    PLB_CHECK_NEAR(seen->start, start, 1e-12);
    PLB_CHECK_NEAR(seen->end, end, 1e-12);
    PLB_CHECK_EQ(seen->lane, lane);
}

static void check_copy(const struct bench *b, enum plb_opcode code, plb_value value, double start,
                       double end, int lane)
{
    const struct plb_simulated *seen = find(b, code, value, 0);

    PLB_CHECK_NEAR(seen->start, start, 1e-12);
    PLB_CHECK_NEAR(seen->end, end, 1e-12);
    PLB_CHECK_EQ(seen->lane, lane);
}

/* ---- by hand ---- */

static void a_chain_takes_the_sum(void)
{
    struct bench b = make_bench(2);
    plb_value x = add_input(&b), y = gelu(&b, x, 1), z = gelu(&b, y, 2), u = gelu(&b, z, 4);

    plb_graph_output(b.graph, u);
    run(&b, y);
    run(&b, z);
    run(&b, u);
    play(&b, ROOMY);
    check_run(&b, y, 0, 0, 1, 0);
    check_run(&b, z, 0, 1, 3, 0);
    check_run(&b, u, 0, 3, 7, 0);
    PLB_CHECK_NEAR(b.result.seconds, 7, 0);
    PLB_CHECK_NEAR(b.result.compute_seconds, 7, 0);
    PLB_CHECK_NEAR(b.result.waited_seconds, 7, 0); /* the other worker */
    PLB_CHECK_EQ(b.result.again_tasks, 0);
    PLB_CHECK_EQ(b.result.peak[PLB_DEVICE], plb_layout_device_bytes(&b.layout));
    PLB_CHECK_EQ(b.result.peak[PLB_HOST], 0);
    clear(&b);
}

/* Four tasks of one input, then their sum: workers take what is first in the plan. */
static void two_workers_share(void)
{
    struct bench b = make_bench(2);
    plb_value x = add_input(&b), a = gelu(&b, x, 3), c = gelu(&b, x, 1), d = gelu(&b, x, 1);
    plb_value e = gelu(&b, x, 2), s = sum(&b, a, c, 1), t = sum(&b, d, e, 1);

    plb_graph_output(b.graph, s);
    plb_graph_output(b.graph, t);
    run(&b, e); /* the plan's order, not the graph's */
    run(&b, a);
    run(&b, c);
    run(&b, d);
    run(&b, t);
    run(&b, s);
    play(&b, ROOMY);
    check_run(&b, e, 0, 0, 2, 0);
    check_run(&b, a, 0, 0, 3, 1);
    check_run(&b, c, 0, 2, 3, 0);
    check_run(&b, d, 0, 3, 4, 0);
    check_run(&b, t, 0, 4, 5, 0); /* both end at 4; worker 0 has the lower number */
    check_run(&b, s, 0, 3, 4, 1);
    PLB_CHECK_NEAR(b.result.seconds, 5, 0);
    PLB_CHECK_NEAR(b.result.waited_seconds, 1, 0);
    clear(&b);
}

/* y is sent away and comes back while others compute. */
static void copies_overlap_computing(void)
{
    struct bench b = make_bench(1);
    plb_value x = add_input(&b), y = gelu(&b, x, 1), z = gelu(&b, x, 3), u = gelu(&b, z, 1);
    plb_value v = sum(&b, u, y, 2);

    plb_graph_output(b.graph, v);
    run(&b, y);
    append(&b, PLB_OFFLOAD, y, PLB_HOST);
    run(&b, z);
    append(&b, PLB_FETCH, y, PLB_HOST);
    run(&b, u);
    run(&b, v);
    play(&b, ROOMY);
    check_copy(&b, PLB_OFFLOAD, y, 1, 2, PLB_LANE_OUT + PLB_HOST);
    check_run(&b, z, 0, 1, 4, 0);
    check_copy(&b, PLB_FETCH, y, 2, 3, PLB_LANE_IN + PLB_HOST); /* room was free: not before 2 */
    check_run(&b, u, 0, 4, 5, 0);
    check_run(&b, v, 0, 5, 7, 0);
    PLB_CHECK_EQ(b.result.moved_out[PLB_HOST], BYTES);
    PLB_CHECK_EQ(b.result.moved_in[PLB_HOST], BYTES);
    PLB_CHECK_EQ(b.result.moved_out[PLB_DISK], 0);
    PLB_CHECK_EQ(b.result.peak[PLB_HOST], BYTES);
    clear(&b);
}

/* Room for two values: u needs the place of y while that is being sent away, y comes back to the
 * place of u. */
static struct bench tight(double copy_seconds)
{
    struct bench b = make_bench(1);
    plb_value x = add_input(&b), y = gelu(&b, x, 1), z = gelu(&b, x, 3), u = gelu(&b, z, 1);
    plb_value w = gelu(&b, u, 1), v = sum(&b, w, y, 2);

    b.platform.link[PLB_HOST].out_bytes_per_second = (double)BYTES / copy_seconds;
    plb_graph_output(b.graph, v);
    run(&b, y);
    run(&b, z);
    append(&b, PLB_OFFLOAD, y, PLB_HOST);
    run(&b, u);
    run(&b, w);
    append(&b, PLB_FETCH, y, PLB_HOST);
    run(&b, v);
    play(&b, 2 * BYTES);
    check_run(&b, z, 0, 1, 4, 0);
    PLB_CHECK_EQ(b.result.peak[PLB_DEVICE], 3 * BYTES);
    check_copy(&b, PLB_OFFLOAD, y, 1, 1 + copy_seconds, PLB_LANE_OUT + PLB_HOST);
    check_run(&b, u, 0, fmax(4, 1 + copy_seconds), b.result.seconds - 4, 0);
    check_run(&b, w, 0, b.result.seconds - 4, b.result.seconds - 3, 0);
    check_copy(&b, PLB_FETCH, y, b.result.seconds - 3, b.result.seconds - 2,
               PLB_LANE_IN + PLB_HOST);
    check_run(&b, v, 0, b.result.seconds - 2, b.result.seconds, 0);
    return b;
}

static void a_copy_holds_up_who_needs_its_room(void)
{
    struct bench b = tight(2); /* hidden behind z */

    PLB_CHECK_NEAR(b.result.seconds, 9, 0);
    PLB_CHECK_NEAR(b.result.waited_seconds, 1, 0); /* for the way back */
    clear(&b);
    b = tight(10); /* u waits from 4 to 11 */
    PLB_CHECK_NEAR(b.result.seconds, 16, 0);
    PLB_CHECK_NEAR(b.result.waited_seconds, 8, 0);
    clear(&b);
}

/* Two values leave, one comes back: on a duplex link at once, else one after the other, those that
 * are ready at the same time in the plan's order. */
static struct bench cross(bool duplex)
{
    struct bench b = make_bench(1);
    plb_value x = add_input(&b), y = gelu(&b, x, 1), z = gelu(&b, x, 1), u = sum(&b, y, x, 1);
    plb_value v = sum(&b, u, z, 1);

    b.platform.link[PLB_HOST].duplex = duplex;
    plb_graph_output(b.graph, v);
    run(&b, y);
    append(&b, PLB_OFFLOAD, y, PLB_HOST);
    run(&b, z);
    append(&b, PLB_OFFLOAD, z, PLB_HOST);
    append(&b, PLB_FETCH, y, PLB_HOST);
    run(&b, u);
    append(&b, PLB_FETCH, z, PLB_HOST);
    run(&b, v);
    play(&b, ROOMY);
    check_copy(&b, PLB_OFFLOAD, y, 1, 2, PLB_LANE_OUT + PLB_HOST);
    check_copy(&b, PLB_OFFLOAD, z, 2, 3, PLB_LANE_OUT + PLB_HOST);
    check_copy(&b, PLB_FETCH, y, duplex ? 2 : 3, duplex ? 3 : 4, PLB_LANE_IN + PLB_HOST);
    check_copy(&b, PLB_FETCH, z, duplex ? 3 : 4, duplex ? 4 : 5, PLB_LANE_IN + PLB_HOST);
    check_run(&b, u, 0, duplex ? 3 : 4, duplex ? 4 : 5, 0);
    check_run(&b, v, 0, duplex ? 4 : 5, duplex ? 5 : 6, 0);
    return b;
}

static void links_are_duplex_or_not(void)
{
    struct bench b = cross(true);

    clear(&b);
    b = cross(false);
    clear(&b);
}

/* The disk has rates and a latency of its own: 1 + 2 s out, 1 + 3 s in, beside the host's link. */
static void tiers_have_links_of_their_own(void)
{
    struct bench b = make_bench(1);
    plb_value x = add_input(&b), y = gelu(&b, x, 1), z = gelu(&b, x, 1), u = sum(&b, y, z, 1);

    plb_graph_output(b.graph, u);
    run(&b, y);
    run(&b, z);
    append(&b, PLB_OFFLOAD, y, PLB_DISK);
    append(&b, PLB_OFFLOAD, z, PLB_HOST);
    append(&b, PLB_FETCH, z, PLB_HOST);
    append(&b, PLB_FETCH, y, PLB_DISK);
    run(&b, u);
    play(&b, ROOMY);
    check_copy(&b, PLB_OFFLOAD, y, 1, 4, PLB_LANE_OUT + PLB_DISK);
    check_copy(&b, PLB_OFFLOAD, z, 2, 3, PLB_LANE_OUT + PLB_HOST);
    check_copy(&b, PLB_FETCH, z, 3, 4, PLB_LANE_IN + PLB_HOST);
    check_copy(&b, PLB_FETCH, y, 4, 8, PLB_LANE_IN + PLB_DISK);
    check_run(&b, u, 0, 8, 9, 0);
    PLB_CHECK_EQ(b.result.moved_out[PLB_DISK], BYTES);
    PLB_CHECK_EQ(b.result.moved_in[PLB_DISK], BYTES);
    PLB_CHECK_EQ(b.result.peak[PLB_DISK], BYTES);
    PLB_CHECK_NEAR(b.result.waited_seconds, 6, 0);
    clear(&b);
}

/* What is ready does not wait for what is before it in the plan and is not. */
static void a_copy_overtakes_one_that_is_not_ready(void)
{
    struct bench b = make_bench(2);
    plb_value x = add_input(&b), y = gelu(&b, x, 5), z = gelu(&b, x, 1), u = sum(&b, y, z, 1);

    plb_graph_output(b.graph, u);
    run(&b, y);
    run(&b, z);
    append(&b, PLB_OFFLOAD, y, PLB_HOST);
    append(&b, PLB_OFFLOAD, z, PLB_HOST);
    append(&b, PLB_FETCH, y, PLB_HOST);
    append(&b, PLB_FETCH, z, PLB_HOST);
    run(&b, u);
    play(&b, ROOMY);
    check_copy(&b, PLB_OFFLOAD, z, 1, 2, PLB_LANE_OUT + PLB_HOST);
    check_copy(&b, PLB_OFFLOAD, y, 5, 6, PLB_LANE_OUT + PLB_HOST);
    clear(&b);
}

static void what_runs_again_is_counted(void)
{
    struct bench b = make_bench(1);
    plb_value x = add_input(&b), y = gelu(&b, x, 1), z = gelu(&b, y, 2), u = gelu(&b, z, 4);
    plb_value v = sum(&b, u, y, 8);
    struct plb_cost cost;

    plb_graph_output(b.graph, v);
    run(&b, y);
    run(&b, z);
    run(&b, u);
    run(&b, y);
    run(&b, v);
    play(&b, ROOMY);
    plb_task_get_cost(b.graph, plb_graph_task(b.graph, maker(&b, y)), &cost);
    PLB_CHECK_EQ(b.result.again_tasks, 1);
    PLB_CHECK_NEAR(b.result.again_seconds, 1, 0);
    PLB_CHECK_NEAR(b.result.again_flops, cost.flops, 0);
    PLB_CHECK_NEAR(b.result.compute_seconds, 16, 0);
    PLB_CHECK_NEAR(b.result.seconds, 16, 0);
    check_run(&b, y, 1, 7, 8, 0);
    clear(&b);
}

static void a_missing_link_is_named(void)
{
    struct bench b = make_bench(1);
    plb_value x = add_input(&b), y = gelu(&b, x, 1), z = gelu(&b, x, 1), u = sum(&b, y, z, 1);
    struct plb_simulation result = {0};

    plb_graph_output(b.graph, u);
    run(&b, y);
    append(&b, PLB_OFFLOAD, y, PLB_DISK);
    run(&b, z);
    append(&b, PLB_FETCH, y, PLB_DISK);
    run(&b, u);
    play(&b, ROOMY);
    b.platform.link[PLB_DISK].out_bytes_per_second = 0;
    PLB_CHECK_EQ(plb_simulate(&b.plan, &b.layout, &b.problem, &result), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "no link between device and disk");
    PLB_CHECK(result.timeline == NULL);
    clear(&b);
}

static void short_memory_is_told(void)
{
    struct bench b = make_bench(1);
    plb_value x = add_input(&b), y = gelu(&b, x, 1), z = gelu(&b, y, 1);

    plb_graph_output(b.graph, z);
    run(&b, y);
    append(&b, PLB_OFFLOAD, y, PLB_HOST);
    run(&b, z);
    play(&b, ROOMY);
    for (long n = 1; plb_test_alloc_available(); n++) {
        struct plb_simulation result = {0};
        enum plb_status status;

        plb_test_alloc_fail_at(n);
        status = plb_simulate(&b.plan, &b.layout, &b.problem, &result);
        plb_simulation_clear(&result);
        if (!plb_test_alloc_stop())
            break;
        PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
    }
    clear(&b);
}

/* ---- at random ---- */

/* A step of a random graph in which what the forward pass leaves is kept, forgotten or sent away
 * by chance. */
struct scene {
    struct random_graph graph;
    struct plb_platform platform;
    double *seconds;
    struct plb_problem problem;
    struct plb_plan plan;
    struct plb_layout layout;
};

static uint32_t chance(uint64_t seed, uint64_t number, uint32_t below)
{
    uint32_t word[4];

    plb_random_words(seed, 17, number, word);
    return word[0] % below;
}

static enum plb_status write_step(const struct scene *s, uint64_t seed, plb_writer_t *writer)
{
    const plb_graph_t *g = s->problem.graph;

    for (plb_task_id t = 0; t < plb_graph_tasks(g); t++) {
        const struct plb_task *task = plb_graph_task(g, t);

        PLB_TRY(plb_writer_run(writer, t));
        if (task->phase != PLB_PHASE_FORWARD)
            continue;
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
            uint32_t fate = chance(seed, task->out[j], 8);

            if (fate < 3)
                PLB_TRY(plb_writer_offload(writer, task->out[j], fate ? PLB_HOST : PLB_DISK));
            if (fate < 4)
                plb_writer_forget(writer, task->out[j]);
        }
    }
    return PLB_OK;
}

static void make_scene(struct scene *s, uint64_t seed, int workers, bool move)
{
    plb_writer_t *writer = NULL;
    const plb_graph_t *g;

    *s = (struct scene){.platform = plb_platform_nominal(workers)};
    s->platform.bytes[PLB_HOST] = SIZE_MAX;
    s->platform.link[PLB_HOST] = (struct plb_link){2e9, 1e9, 1e-6, seed % 2};
    PLB_REQUIRE(random_graph_make(&(struct random_options){.seed = seed}, &s->graph) == PLB_OK);
    g = s->graph.graph;
    s->seconds = calloc(plb_graph_tasks(g) + 1, sizeof *s->seconds);
    PLB_REQUIRE(s->seconds != NULL);
    for (plb_task_id t = 0; t < plb_graph_tasks(g); t++)
        s->seconds[t] = 1e-6 * chance(seed, t, 20); /* some take no time at all */
    s->problem = (struct plb_problem){
        .graph = g, .platform = &s->platform, .seconds = s->seconds, .limits = plb_limits_none()};
    s->problem.limits.bytes[PLB_HOST] = s->problem.limits.bytes[PLB_DISK] = SIZE_MAX;
    PLB_REQUIRE(plb_writer_create(g, &writer) == PLB_OK);
    if (move)
        PLB_REQUIRE(write_step(s, seed, writer) == PLB_OK);
    for (plb_task_id t = 0; !move && t < plb_graph_tasks(g); t++)
        PLB_REQUIRE(plb_writer_run(writer, t) == PLB_OK);
    PLB_REQUIRE(plb_writer_finish(writer, &s->plan) == PLB_OK);
    plb_writer_destroy(writer);
    s->plan.fingerprint = plb_graph_fingerprint(g);
    PLB_REQUIRE(plb_plan_check(&s->plan, g, &s->problem.limits) == PLB_OK);
    /* As tight as it can be: that gives the most waits. */
    PLB_REQUIRE(plb_layout_assign(&s->plan, g, &s->problem.limits, &s->layout) == PLB_OK);
}

static void clear_scene(struct scene *s)
{
    plb_layout_clear(&s->layout);
    plb_plan_clear(&s->plan);
    free(s->seconds);
    random_graph_clear(&s->graph);
}

/* Everything starts when what it reads has been made or copied. */
static int count_early(const struct scene *s, const struct plb_simulation *r)
{
    const plb_graph_t *g = s->problem.graph;
    uint32_t n = plb_graph_values(g);
    double *there = calloc((size_t)n * PLB_TIERS + 1, sizeof *there); /* [tier * n + value] */
    int wrong = 0;

    PLB_REQUIRE(there != NULL);
    for (uint32_t i = 0; i < s->plan.n; i++) {
        const struct plb_instruction *instruction = &s->plan.instruction[i];
        const struct plb_task *task = plb_graph_task(g, instruction->subject);
        size_t copy = (size_t)instruction->tier * n + instruction->subject;

        switch (instruction->code) {
        case PLB_RUN:
            for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
                wrong += there[task->in[j]] > r->timeline[i].start;
            for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
                there[task->out[j]] = r->timeline[i].end;
            break;
        case PLB_OFFLOAD:
            wrong += there[instruction->subject] > r->timeline[i].start;
            there[copy] = r->timeline[i].end;
            break;
        case PLB_FETCH:
            wrong += there[copy] > r->timeline[i].start;
            there[instruction->subject] = r->timeline[i].end;
            break;
        default:
            break;
        }
    }
    free(there);
    return wrong;
}

/* When a slot is first and last in use. */
struct span {
    double from, to;
};

static void find_spans(const struct scene *s, const struct plb_simulation *r, struct span *span)
{
    const struct plb_layout *l = &s->layout;

    for (uint32_t k = 0; k < l->n_slots; k++)
        span[k] = (struct span){HUGE_VAL, 0};
    for (uint32_t i = 0; i < s->plan.n; i++)
        for (uint32_t o = l->in_operand[i];
             o < l->in_operand[i + 1] && s->plan.instruction[i].code != PLB_DROP; o++) {
            struct span *used = &span[l->operand[o]];

            used->from = fmin(used->from, r->timeline[i].start);
            used->to = fmax(used->to, r->timeline[i].end);
        }
}

/* Bytes that slots share are used by one after the other. */
static int count_conflicts(const struct scene *s, const struct plb_simulation *r)
{
    const struct plb_layout *l = &s->layout;
    struct span *span = malloc((l->n_slots + 1) * sizeof *span);
    int wrong = 0;

    PLB_REQUIRE(span != NULL);
    find_spans(s, r, span);
    for (uint32_t a = 0; a < l->n_slots; a++)
        for (uint32_t b = 0; b < l->n_slots; b++) {
            const struct plb_slot *x = &l->slot[a], *y = &l->slot[b];
            bool shared = x->tier == y->tier && x->initial == PLB_NONE && y->initial == PLB_NONE &&
                          x->offset < y->offset + y->bytes && y->offset < x->offset + x->bytes;

            if (a != b && shared && x->end <= y->begin && span[a].to > span[b].from)
                wrong++;
        }
    free(span);
    return wrong;
}

/* Instructions of one lane overlap nowhere. */
static int count_overlaps(const struct scene *s, const struct plb_simulation *r)
{
    int wrong = 0;

    for (uint32_t i = 0; i < r->n; i++)
        for (uint32_t j = i + 1; j < r->n; j++) {
            const struct plb_simulated *a = &r->timeline[i], *b = &r->timeline[j];
            bool one = a->lane == b->lane && a->lane >= 0;
            int tier = a->lane % 1000;

            /* Both directions of a link that is not duplex are one. */
            if (a->lane >= PLB_LANE_OUT && b->lane >= PLB_LANE_OUT && tier == b->lane % 1000 &&
                !s->platform.link[tier].duplex)
                one = true;
            wrong += one && a->start < b->end && b->start < a->end;
        }
    return wrong;
}

/* The longest chain of tasks, each run once. */
static double critical_path(const struct scene *s)
{
    const plb_graph_t *g = s->problem.graph;
    double *end = calloc(plb_graph_values(g) + 1, sizeof *end), longest = 0;

    PLB_REQUIRE(end != NULL);
    for (plb_task_id t = 0; t < plb_graph_tasks(g); t++) {
        const struct plb_task *task = plb_graph_task(g, t);
        double ready = 0;

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
            ready = fmax(ready, end[task->in[j]]);
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            end[task->out[j]] = ready + s->seconds[t];
        longest = fmax(longest, ready + s->seconds[t]);
    }
    free(end);
    return longest;
}

static void check_bounds(const struct scene *s, const struct plb_simulation *r)
{
    const double rounding = 1 - 1e-9;
    int workers = s->platform.workers;

    PLB_CHECK(r->seconds >= rounding * critical_path(s));
    PLB_CHECK(r->seconds >= rounding * r->compute_seconds / workers);
    for (int tier = PLB_HOST; tier < PLB_TIERS; tier++) {
        const struct plb_link *link = &s->platform.link[tier];
        double out = (double)r->moved_out[tier] / link->out_bytes_per_second;
        double in = (double)r->moved_in[tier] / link->in_bytes_per_second;

        PLB_CHECK(r->seconds >= rounding * (link->duplex ? fmax(out, in) : out + in));
    }
    PLB_CHECK_NEAR(r->waited_seconds, workers * r->seconds - r->compute_seconds, 1e-9 * r->seconds);
    for (uint32_t i = 0; i < r->n; i++)
        if (s->plan.instruction[i].code == PLB_RUN)
            PLB_CHECK(r->timeline[i].lane >= 0 && r->timeline[i].lane < workers);
}

static void random_steps_keep_the_rules(void)
{
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct scene s;
        struct plb_simulation first = {0}, second = {0};

        make_scene(&s, seed, 1 + (int)seed % 4, true);
        PLB_REQUIRE(plb_simulate(&s.plan, &s.layout, &s.problem, &first) == PLB_OK);
        PLB_REQUIRE(plb_simulate(&s.plan, &s.layout, &s.problem, &second) == PLB_OK);
        PLB_CHECK(first.moved_out[PLB_HOST] > 0);
        PLB_CHECK_EQ(count_early(&s, &first), 0);
        PLB_CHECK_EQ(count_conflicts(&s, &first), 0);
        PLB_CHECK_EQ(count_overlaps(&s, &first), 0);
        check_bounds(&s, &first);
        PLB_CHECK_MEMORY(first.timeline, second.timeline, first.n * sizeof *first.timeline);
        plb_simulation_clear(&first);
        plb_simulation_clear(&second);
        clear_scene(&s);
    }
}

static void one_worker_without_copies_takes_the_sum(void)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct scene s;
        struct plb_simulation result = {0};
        double now = 0;

        make_scene(&s, seed, 1, false);
        PLB_REQUIRE(plb_simulate(&s.plan, &s.layout, &s.problem, &result) == PLB_OK);
        for (uint32_t i = 0; i < result.n; i++)
            if (s.plan.instruction[i].code == PLB_RUN) {
                PLB_CHECK_NEAR(result.timeline[i].start, now, 0);
                now += s.seconds[s.plan.instruction[i].subject];
            }
        PLB_CHECK_NEAR(result.seconds, now, 0);
        PLB_CHECK_NEAR(result.compute_seconds, now, 0);
        PLB_CHECK_NEAR(result.waited_seconds, 0, 0);
        plb_simulation_clear(&result);
        clear_scene(&s);
    }
}

PLB_TEST_MAIN("runtime/plan/simulate", NULL, NULL, PLB_TEST(a_chain_takes_the_sum),
              PLB_TEST(two_workers_share), PLB_TEST(copies_overlap_computing),
              PLB_TEST(a_copy_holds_up_who_needs_its_room), PLB_TEST(links_are_duplex_or_not),
              PLB_TEST(tiers_have_links_of_their_own),
              PLB_TEST(a_copy_overtakes_one_that_is_not_ready),
              PLB_TEST(what_runs_again_is_counted), PLB_TEST(a_missing_link_is_named),
              PLB_TEST(short_memory_is_told), PLB_TEST(random_steps_keep_the_rules),
              PLB_TEST(one_worker_without_copies_takes_the_sum))
