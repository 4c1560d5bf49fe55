/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans: what the checker refuses, each by its name; that what it lets through does not depend on
 * how a plan was written; and how plans print.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "runtime/plan/policy.h"
#include "runtime/plan/writer.h"
#include "schedulers/schedulers.h"
#include "tests/runtime/plan/random_plan.h"
#include "tests/support/plb_test.h"
#include "tests/support/random_graph.h"

#include <stdlib.h>
#include <string.h>

#define CELL ((size_t)64) /* bytes of most values here */

/* a = f(x), b = f(a), twice = b + b, y = a + twice, w' = w + b: an input, a parameter with a next
 * version, an output. */
struct example {
    plb_graph_t *graph;
    plb_value x, w, a, b, y, next, twice;
    struct plb_plan plan;
    struct plb_limits limits;
};

static struct plb_instruction run_of(const struct example *e, plb_value made, uint32_t takes)
{
    return (struct plb_instruction){PLB_RUN, plb_graph_value(e->graph, made)->producer, takes,
                                    PLB_DEVICE};
}

static struct plb_instruction copy(enum plb_opcode code, plb_value value, enum plb_tier tier)
{
    return (struct plb_instruction){code, value, 0, tier};
}

static void append(struct example *e, struct plb_instruction instruction)
{
    PLB_CHECK_EQ(plb_plan_append(&e->plan, instruction), PLB_OK);
}

static void make_graph(struct example *e)
{
    plb_graph_t *g = e->graph = plb_graph_create();

    e->x = plb_graph_add_value(g, "x", PLB_ROLE_INPUT, PLB_F32, plb_shape2(4, 4));
    e->w = plb_graph_add_value(g, "w", PLB_ROLE_PARAMETER, PLB_F32, plb_shape2(4, 4));
    e->a = plb_gelu(g, e->x, PLB_GELU_ERF);
    e->b = plb_gelu(g, e->a, PLB_GELU_ERF);
    e->twice = plb_add(g, e->b, e->b);
    e->y = plb_add(g, e->a, e->twice);
    plb_graph_output(g, e->y);
    e->next = plb_add(g, e->w, e->b);
    plb_graph_carry(g, e->w, e->next);
    plb_graph_set_name(g, e->a, "a");
    plb_graph_set_name(g, e->b, "b");
    plb_graph_set_name(g, e->twice, "twice");
    plb_graph_set_name(g, e->y, "y");
    plb_graph_set_name(g, e->next, "w'");
    PLB_REQUIRE(plb_graph_status(g) == PLB_OK);
}

/* A plan that uses every instruction: a goes to the host and comes back, b is made twice. */
enum place {
    RUN_A,
    SEND_A,
    RUN_B,
    DROP_A,
    RUN_TWICE,
    DROP_B,
    FETCH_A,
    DROP_HOST,
    RUN_Y,
    DROP_TWICE,
    RUN_A_AGAIN,
    RUN_B_AGAIN,
    DROP_A_AGAIN,
    RUN_NEXT,
    DROP_B_AGAIN,
    PLACES
};

static struct example make_example(void)
{
    struct example e = {.limits = {.bytes = {SIZE_MAX, SIZE_MAX, 0}}};

    make_graph(&e);
    append(&e, run_of(&e, e.a, 0));
    append(&e, copy(PLB_OFFLOAD, e.a, PLB_HOST));
    append(&e, run_of(&e, e.b, 0));
    append(&e, copy(PLB_DROP, e.a, PLB_DEVICE));
    append(&e, run_of(&e, e.twice, 0));
    append(&e, copy(PLB_DROP, e.b, PLB_DEVICE));
    append(&e, copy(PLB_FETCH, e.a, PLB_HOST));
    append(&e, copy(PLB_DROP, e.a, PLB_HOST));
    append(&e, run_of(&e, e.y, 1)); /* takes over a */
    append(&e, copy(PLB_DROP, e.twice, PLB_DEVICE));
    append(&e, run_of(&e, e.a, 0));
    append(&e, run_of(&e, e.b, 0));
    append(&e, copy(PLB_DROP, e.a, PLB_DEVICE));
    append(&e, run_of(&e, e.next, 1)); /* takes over w */
    append(&e, copy(PLB_DROP, e.b, PLB_DEVICE));
    e.plan.fingerprint = plb_graph_fingerprint(e.graph);
    PLB_CHECK_EQ(e.plan.n, PLACES);
    return e;
}

static void clear_example(struct example *e)
{
    plb_plan_clear(&e->plan);
    plb_graph_destroy(e->graph);
}

static void right_plans_pass(void)
{
    struct example e = make_example();

    PLB_CHECK_EQ(plb_plan_check(&e.plan, e.graph, &e.limits), PLB_OK);
    e.limits.bytes[PLB_DEVICE] = 5 * CELL; /* x, w, a, b and what is made of them */
    e.limits.bytes[PLB_HOST] = CELL;
    PLB_CHECK_EQ(plb_plan_check(&e.plan, e.graph, &e.limits), PLB_OK);
    clear_example(&e);
}

/* ---- violations ---- */

static void erase(struct plb_plan *plan, uint32_t at)
{
    plan->n--;
    memmove(&plan->instruction[at], &plan->instruction[at + 1],
            (plan->n - at) * sizeof plan->instruction[0]);
}

static void other_graph(struct example *e)
{
    e->plan.fingerprint++;
}

static void missing_input(struct example *e)
{
    erase(&e->plan, RUN_A);
}

static void dropped_too_soon(struct example *e)
{
    struct plb_instruction drop = e->plan.instruction[DROP_B];

    e->plan.instruction[DROP_B] = e->plan.instruction[RUN_TWICE];
    e->plan.instruction[RUN_TWICE] = drop;
}

static void made_twice(struct example *e)
{
    e->plan.instruction[SEND_A] = e->plan.instruction[RUN_A];
}

static void drop_absent(struct example *e)
{
    append(e, copy(PLB_DROP, e->b, PLB_DEVICE));
}

static void drop_absent_copy(struct example *e)
{
    append(e, copy(PLB_DROP, e->b, PLB_DISK));
}

static void drop_lasting(struct example *e)
{
    append(e, copy(PLB_DROP, e->x, PLB_DEVICE));
}

static void drop_next(struct example *e)
{
    append(e, copy(PLB_DROP, e->next, PLB_DEVICE));
}

static void forget_drop(struct example *e)
{
    erase(&e->plan, DROP_B_AGAIN);
}

static void forget_copy(struct example *e)
{
    erase(&e->plan, DROP_HOST);
}

static void drop_output(struct example *e)
{
    append(e, copy(PLB_DROP, e->y, PLB_DEVICE));
}

static void not_in_place(struct example *e)
{
    e->plan.instruction[RUN_NEXT].takes = 0;
}

static void drop_parameter(struct example *e)
{
    e->plan.instruction[RUN_NEXT] = copy(PLB_DROP, e->w, PLB_DEVICE);
}

static void not_permitted(struct example *e)
{
    e->plan.instruction[RUN_A].takes = 1; /* gelu may not overwrite its input */
}

static void still_needed(struct example *e)
{
    e->plan.instruction[RUN_TWICE].takes = 1; /* of b + b the first b would go */
}

static void taken_and_read(struct example *e)
{
    e->plan.instruction[DROP_A_AGAIN] = e->plan.instruction[RUN_NEXT];
}

static void no_such_output(struct example *e)
{
    e->plan.instruction[RUN_A].takes = 2;
}

static void no_such_task(struct example *e)
{
    e->plan.instruction[RUN_A].subject = plb_graph_tasks(e->graph);
}

static void no_such_value(struct example *e)
{
    e->plan.instruction[DROP_B].subject = plb_graph_values(e->graph);
}

static void no_such_code(struct example *e)
{
    e->plan.instruction[RUN_A].code = (enum plb_opcode)77;
}

static void no_such_tier(struct example *e)
{
    e->plan.instruction[SEND_A].tier = (enum plb_tier)9;
}

static void to_the_device(struct example *e)
{
    e->plan.instruction[SEND_A].tier = PLB_DEVICE;
}

static void send_absent(struct example *e)
{
    e->plan.instruction[SEND_A].subject = e->b;
}

static void send_again(struct example *e)
{
    e->plan.instruction[RUN_B] = e->plan.instruction[SEND_A];
}

static void fetch_absent(struct example *e)
{
    e->plan.instruction[FETCH_A].tier = PLB_DISK;
}

static void fetch_present(struct example *e)
{
    e->plan.instruction[RUN_B] = copy(PLB_FETCH, e->a, PLB_HOST);
}

static void no_tier_here(struct example *e)
{
    e->limits.bytes[PLB_HOST] = 0;
}

static void device_too_small(struct example *e)
{
    e->limits.bytes[PLB_DEVICE] = 5 * CELL - 1;
}

static void work_space_counts(struct example *e)
{
    e->limits.bytes[PLB_DEVICE] = 6 * CELL;
    e->limits.reserved = CELL + 1;
}

static void reserved_beyond_all(struct example *e)
{
    e->limits.bytes[PLB_DEVICE] = 6 * CELL;
    e->limits.reserved = SIZE_MAX - CELL;
}

static void initial_values_count(struct example *e)
{
    e->limits.bytes[PLB_DEVICE] = CELL;
}

static void host_too_small(struct example *e)
{
    e->limits.bytes[PLB_HOST] = CELL - 1;
}

static const struct violation {
    void (*spoil)(struct example *e);
    const char *expected;
} violations[] = {
    {other_graph, "the plan was made for another graph"},
    {missing_input, "instruction 0: offload of 'a', which is not there on the device"},
    {dropped_too_soon, "instruction 5: add reads 'b', which is not there on the device"},
    {made_twice, "instruction 1: gelu makes 'a', which is there already"},
    {drop_absent, "instruction 15 drops 'b', which is not there on the device"},
    {drop_absent_copy, "instruction 15 drops 'b', which is not there on the disk"},
    {drop_lasting, "instruction 15 drops 'x', which lives on from step to step"},
    {drop_next, "instruction 15 drops 'w'', which lives on from step to step"},
    {forget_drop, "at the end 'b' was not dropped"},
    {forget_copy, "at the end 'a' was not dropped from the host"},
    {drop_output, "at the end the output 'y' is not there"},
    {not_in_place, "at the end 'w'' does not lie in the storage of 'w'"},
    {drop_parameter, "instruction 13 drops 'w', which lives on from step to step"},
    {not_permitted, "instruction 0: output 'y' of gelu may not take over any input's storage"},
    {still_needed, "takes over 'b', which it still needs as another input"},
    {taken_and_read, "instruction 13: add reads 'w', which is not there on the device"},
    {no_such_output, "instruction 0: gelu has no output 1"},
    {no_such_task, "instruction 0 runs task 5 of 5"},
    {no_such_value, "instruction 5: drop of value 7 of 7"},
    {no_such_code, "instruction 0 has the unknown code 77"},
    {no_such_tier, "instruction 1: offload of 'a' names the unknown tier 9"},
    {to_the_device, "instruction 1: offload of 'a' from the device to itself"},
    {send_absent, "instruction 1: offload of 'b', which is not there on the device"},
    {send_again, "instruction 2: offload of 'a', which is there already on the host"},
    {fetch_absent, "instruction 6: fetch of 'a', which is not there on the disk"},
    {fetch_present, "instruction 2: fetch of 'a', which is there already on the device"},
    {no_tier_here, "instruction 1: offload of 'a': there is no host here"},
    {device_too_small,
     "(run gelu): copies on the device take 1 byte more than the limit of 319 bytes"},
    {work_space_counts, "copies on the device take 1 byte more than the limit of 384 bytes"},
    {reserved_beyond_all, "before the first instruction"},
    {initial_values_count, "before the first instruction what is on the device takes 64 bytes more "
                           "than the limit of 64 bytes"},
    {host_too_small,
     "instruction 1 (offload a): copies on the host take 1 byte more than the limit of 63 bytes"},
};

static void checker_names_the_violation(void)
{
    for (size_t k = 0; k < sizeof violations / sizeof violations[0]; k++) {
        struct example e = make_example();

        violations[k].spoil(&e);
        PLB_CHECK_EQ(plb_plan_check(&e.plan, e.graph, &e.limits), PLB_ERROR_INVALID);
        PLB_CHECK_CONTAINS(plb_error_message(), violations[k].expected);
        clear_example(&e);
    }
}

/* A task "add" on cells as they are given, and what the checker says when it takes over. */
static void check_cells(uint32_t n_in, int64_t rows_out, const char *expected)
{
    const uint32_t in_start[] = {0, n_in, n_in + 1}, out_start[] = {0, 1};
    plb_graph_t *g = plb_graph_create();
    struct plb_value_info cell = {.name = "cell",
                                  .type = {PLB_F32, plb_shape2(4, 4)},
                                  .role = PLB_ROLE_ACTIVATION,
                                  .producer = PLB_NONE,
                                  .next = PLB_NONE,
                                  .whole = plb_shape2(8, 4)};
    plb_value in[3] = {plb_graph_add_cell(g, &cell), plb_graph_add_cell(g, &cell),
                       plb_graph_add_cell(g, &cell)};
    plb_value out;
    struct plb_task_cells task = {.op = plb_operator_find("add"),
                                  .name = "add",
                                  .block = -1,
                                  .n_in = 2,
                                  .n_out = 1,
                                  .in_start = in_start,
                                  .out_start = out_start,
                                  .in = in,
                                  .out = &out};
    struct plb_plan plan = {.n = 0};

    cell.type.shape.dim[0] = rows_out;
    out = plb_graph_add_cell(g, &cell);
    PLB_REQUIRE(plb_graph_add_task_cells(g, &task) == PLB_OK);
    PLB_CHECK_EQ(plb_plan_append(&plan, (struct plb_instruction){PLB_RUN, 0, 1, PLB_DEVICE}), 0);
    plan.fingerprint = plb_graph_fingerprint(g);
    PLB_CHECK_EQ(plb_plan_check(&plan, g, NULL), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), expected);
    plb_plan_clear(&plan);
    plb_graph_destroy(g);
}

static void only_what_fits_is_taken_over(void)
{
    check_cells(2, 8, "instruction 0: add has another number of cells in 'a' than in 'y'");
    check_cells(1, 8, "instruction 0: 'cell' does not fit exactly into the storage of 'cell'");
    check_cells(1, 4, "at the end 'cell' does not lie in the storage of 'cell'");
}

/* ---- random plans ---- */

/* Every right plan passes; without any one of its instructions none does. */
static void each_instruction_is_needed(void)
{
    const struct plb_limits limits = {.bytes = {SIZE_MAX, SIZE_MAX, SIZE_MAX}};

    for (uint64_t seed = 1; seed <= 12; seed++) {
        const struct random_options options = {.seed = seed, .blocks = 2, .width = 8, .batch = 1};
        struct random_graph random;
        struct plb_plan plan = {.n = 0};
        uint32_t passed = 0;

        PLB_REQUIRE(random_graph_make(&options, &random) == PLB_OK);
        PLB_REQUIRE(random_plan_make(random.graph, seed, 3, &plan) == PLB_OK);
        PLB_CHECK_EQ(plb_plan_check(&plan, random.graph, &limits), PLB_OK);
        for (uint32_t i = 0; i < plan.n; i++) {
            struct plb_instruction kept = plan.instruction[i];

            erase(&plan, i);
            passed += plb_plan_check(&plan, random.graph, &limits) == PLB_OK;
            memmove(&plan.instruction[i + 1], &plan.instruction[i],
                    (plan.n - i) * sizeof plan.instruction[0]);
            plan.instruction[i] = kept;
            plan.n++;
        }
        PLB_CHECK_EQ(passed, 0);
        plb_plan_clear(&plan);
        random_graph_clear(&random);
    }
}

static void held_gradients_count_for_the_whole_step(void)
{
    const struct random_options options = {.seed = 9, .blocks = 3, .width = 16, .batch = 2};
    struct plb_limits limits = plb_limits_none();
    struct random_graph random;
    struct plb_plan plan = {.n = 0};
    struct plb_needs needs;

    PLB_REQUIRE(random_graph_make(&options, &random) == PLB_OK);
    PLB_REQUIRE(random_plan_make(random.graph, 1, 0, &plan) == PLB_OK);
    PLB_REQUIRE(plb_needs_find(random.graph, &needs) == PLB_OK);
    limits.hold_gradients = true;
    limits.bytes[PLB_DEVICE] = plb_budget_of_share(&needs, 1.0, 0);
    PLB_CHECK_EQ(plb_plan_check(&plan, random.graph, &limits), PLB_OK);
    limits.bytes[PLB_DEVICE] = plb_budget_of_share(&needs, 0.95, 0);
    PLB_CHECK_EQ(plb_plan_check(&plan, random.graph, &limits), PLB_ERROR_INVALID);
    limits.hold_gradients = false; /* the last gradients come when activations are gone */
    PLB_CHECK_EQ(plb_plan_check(&plan, random.graph, &limits), PLB_OK);
    plb_plan_clear(&plan);
    random_graph_clear(&random);
}

/* ---- printing ---- */

static void plans_print(void)
{
    struct example e = make_example();
    char *text = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&text, &bytes);

    PLB_REQUIRE(file != NULL);
    PLB_CHECK_EQ(plb_plan_print(&e.plan, e.graph, file), PLB_OK);
    fclose(file);
    PLB_CHECK_CONTAINS(text, " 0  run     gelu\n");
    PLB_CHECK_CONTAINS(text, " 1  offload a  f32[4,4]  to the host\n");
    PLB_CHECK_CONTAINS(text, " 3  drop    a  f32[4,4]\n");
    PLB_CHECK_CONTAINS(text, " 6  fetch   a  f32[4,4]  from the host\n");
    PLB_CHECK_CONTAINS(text, " 7  drop    a  f32[4,4]  on the host\n");
    PLB_CHECK_CONTAINS(text, "13  run     add  in the place of a\n");
    free(text);
    file = fopen("/dev/full", "w");
    if (file) {
        PLB_CHECK_EQ(plb_plan_print(&e.plan, e.graph, file), PLB_ERROR_IO);
        fclose(file);
    }
    clear_example(&e);
}

static void failures_of_memory_are_told(void)
{
    struct example e = make_example();

    e.limits.hold_gradients = true;
    for (long n = 1; plb_test_alloc_available(); n++) {
        enum plb_status status;

        plb_test_alloc_fail_at(n);
        status = plb_plan_check(&e.plan, e.graph, &e.limits);
        if (!plb_test_alloc_stop())
            break;
        PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
    }
    clear_example(&e);
}

static void unknown_policy_lists_the_known(void)
{
    const struct plb_memory_policy *policy = NULL;

    unsetenv("PALOMBE_MEMORY");
    PLB_CHECK_EQ(plb_memory_policy_find(NULL, &policy), PLB_OK);
    PLB_CHECK(policy == &plb_memory_none);
    PLB_CHECK_EQ(plb_memory_policy_find("nome", &policy), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "'nome'; known are: none");
    setenv("PALOMBE_MEMORY", "psychic", 1);
    PLB_CHECK_EQ(plb_memory_policy_find(NULL, &policy), PLB_ERROR_INVALID);
    unsetenv("PALOMBE_MEMORY");
}

PLB_TEST_MAIN("runtime/plan", NULL, NULL, PLB_TEST(right_plans_pass),
              PLB_TEST(checker_names_the_violation), PLB_TEST(only_what_fits_is_taken_over),
              PLB_TEST(each_instruction_is_needed),
              PLB_TEST(held_gradients_count_for_the_whole_step), PLB_TEST(plans_print),
              PLB_TEST(failures_of_memory_are_told), PLB_TEST(unknown_policy_lists_the_known))
