/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Building graphs: values, names, tasks, ranges, cells, and what is refused.
 */
#include "config.h"

#include "runtime/graph/graph.h"
#include "tests/runtime/graph/fake.h"
#include "tests/support/plb_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static plb_graph_t *graph;

static void begin(void)
{
    plb_graph_destroy(graph);
    graph = plb_graph_create();
    PLB_REQUIRE(graph != NULL);
}

static int finish(void)
{
    plb_graph_destroy(graph);
    graph = NULL;
    return 0;
}

/* The graph has failed with this status and a message that contains `part`. */
static void check_failed(enum plb_status status, const char *part)
{
    plb_error_clear();
    PLB_CHECK_EQ(plb_graph_status(graph), status);
    PLB_CHECK_CONTAINS(plb_error_message(), part);
}

static void a_task_makes_values(void)
{
    const struct plb_value_info *info;
    const struct plb_task *task;
    plb_value x, w, y;

    begin();
    x = fake_input(graph, "x", 6, 4);
    w = fake_input(graph, "w", 3, 4);
    plb_graph_set_block(graph, 2);
    plb_graph_set_scope(graph, "h.2");
    y = fake_binary(graph, &fake_linear, x, w);
    PLB_CHECK_EQ(plb_graph_status(graph), PLB_OK);
    PLB_CHECK_EQ(plb_graph_values(graph), 3);
    PLB_CHECK_EQ(plb_graph_tasks(graph), 1);
    info = plb_graph_value(graph, y);
    PLB_CHECK_STRING(info->name, "h.2/fake_linear");
    PLB_CHECK_EQ(info->role, PLB_ROLE_ACTIVATION);
    PLB_CHECK_EQ(info->producer, 0);
    PLB_CHECK_EQ(info->next, PLB_NONE);
    PLB_CHECK_EQ(info->source, y);
    PLB_CHECK_EQ(info->type.shape.dim[0], 6);
    PLB_CHECK_EQ(info->type.shape.dim[1], 3);
    PLB_CHECK(plb_shape_equal(&info->whole, &info->type.shape));
    task = plb_graph_task(graph, 0);
    PLB_CHECK_STRING(task->name, "h.2/fake_linear");
    PLB_CHECK_EQ(task->block, 2);
    PLB_CHECK_EQ(task->phase, PLB_PHASE_FORWARD);
    PLB_CHECK_EQ(task->source, 0);
    PLB_CHECK_EQ(task->low[0], 0);
    PLB_CHECK_EQ(task->high[0], 6);
    PLB_CHECK_EQ(task->low[1], 0);
    PLB_CHECK_EQ(task->high[1], 3);
    PLB_CHECK_EQ(task->in[task->in_start[1]], w);
    PLB_CHECK_EQ(task->in_start[2], 2);
    PLB_CHECK_EQ(task->out[0], y);
    PLB_CHECK_EQ(task->out_start[1], 1);
}

static void optional_outputs_are_made_when_asked_for(void)
{
    plb_value x, out[2];
    const bool want[2] = {false, false};

    begin();
    x = fake_input(graph, "x", 6, 4);
    PLB_CHECK_EQ(plb_graph_add_task(graph, &fake_powers, NULL, &x, 1, NULL, out), PLB_OK);
    PLB_CHECK_STRING(plb_graph_value(graph, out[1])->name, "fake_powers.z");
    PLB_CHECK_EQ(plb_graph_task(graph, 0)->out_start[2], 2);
    /* y is not optional, so it is made whatever is wanted. */
    PLB_CHECK_EQ(plb_graph_add_task(graph, &fake_powers, NULL, &x, 1, want, out), PLB_OK);
    PLB_CHECK(out[0] != PLB_NONE);
    PLB_CHECK_EQ(out[1], PLB_NONE);
    PLB_CHECK_EQ(plb_graph_task(graph, 1)->out_start[2], 1);
    PLB_CHECK_EQ(plb_graph_values(graph), 4);
}

static void roles_follow_the_phase(void)
{
    plb_value x, y;

    begin();
    x = fake_input(graph, "x", 2, 2);
    plb_graph_set_phase(graph, PLB_PHASE_BACKWARD);
    y = fake_unary(graph, &fake_one, x);
    PLB_CHECK_EQ(plb_graph_value(graph, y)->role, PLB_ROLE_GRADIENT);
    plb_graph_set_phase(graph, PLB_PHASE_UPDATE);
    y = fake_unary(graph, &fake_one, x);
    PLB_CHECK_EQ(plb_graph_value(graph, y)->role, PLB_ROLE_STATE);
    plb_graph_set_role(graph, y, PLB_ROLE_PARAMETER);
    PLB_CHECK_EQ(plb_graph_value(graph, y)->role, PLB_ROLE_PARAMETER);
    PLB_CHECK_EQ(plb_graph_task(graph, 1)->phase, PLB_PHASE_UPDATE);
}

static void the_first_failure_sticks(void)
{
    plb_value x, w, y, z;

    begin();
    x = fake_input(graph, "x", 6, 4);
    w = fake_input(graph, "w", 3, 5);
    y = fake_binary(graph, &fake_linear, x, w);
    PLB_CHECK_EQ(y, PLB_NONE);
    /* What comes after does nothing, whatever it is given. */
    z = fake_binary(graph, &fake_mul, y, y);
    PLB_CHECK_EQ(z, PLB_NONE);
    PLB_CHECK_EQ(fake_input(graph, "late", 1, 1), PLB_NONE);
    plb_graph_output(graph, z);
    plb_graph_carry(graph, x, z);
    plb_graph_set_name(graph, z, "z");
    PLB_CHECK_EQ(plb_graph_values(graph), 2);
    PLB_CHECK_EQ(plb_graph_tasks(graph), 0);
    plb_fail(PLB_ERROR_IO, "something else");
    check_failed(PLB_ERROR_INVALID, "fake_linear: columns of x and w differ");
    PLB_CHECK_EQ(plb_graph_fail(graph, PLB_ERROR_IO), PLB_ERROR_INVALID);
}

static void a_missing_value_has_no_type(void)
{
    begin();
    PLB_CHECK_EQ(plb_graph_value(graph, PLB_NONE)->type.shape.rank, 0);
    PLB_CHECK_STRING(plb_graph_value(graph, 7)->name, "");
    PLB_CHECK(plb_graph_task(graph, 0) == NULL);
}

static void wrong_inputs_are_refused(void)
{
    plb_value x, in[3];

    begin();
    x = fake_input(graph, "x", 2, 2);
    in[0] = in[1] = in[2] = x;
    fake_many(graph, &fake_mul, in, 3);
    check_failed(PLB_ERROR_INVALID, "fake_mul takes 2 inputs, not 3");
    begin();
    fake_many(graph, &fake_gather, NULL, 0);
    check_failed(PLB_ERROR_INVALID, "fake_gather takes at least 1 inputs, not 0");
    begin();
    x = fake_input(graph, "x", 2, 2);
    fake_binary(graph, &fake_mul, x, PLB_NONE);
    check_failed(PLB_ERROR_INVALID, "fake_mul: input b is missing");
    begin();
    x = fake_input(graph, "x", 2, 2);
    fake_binary(graph, &fake_mul, x, 17);
    check_failed(PLB_ERROR_INVALID, "input b is value 17");
    begin();
    in[0] = fake_input(graph, "x", 2, 2);
    in[1] = fake_input(graph, "y", 2, 3);
    fake_many(graph, &fake_gather, in, 2);
    check_failed(PLB_ERROR_INVALID, "x 0 is f32[2,2], x 1 is f32[2,3]");
}

static void operands_must_agree_on_an_axis(void)
{
    plb_value x, y;

    begin();
    x = fake_input(graph, "x", 6, 4);
    y = fake_input(graph, "y", 5, 4);
    fake_binary(graph, &fake_mul, x, y);
    check_failed(PLB_ERROR_INVALID, "fake_mul: a has 6 rows, b has 5");
}

static void wrong_values_are_refused(void)
{
    struct plb_shape shape = plb_shape2(2, 2);

    begin();
    plb_graph_add_value(graph, "x", PLB_ROLE_INPUT, (enum plb_dtype)12, shape);
    check_failed(PLB_ERROR_INVALID, "x has the unknown dtype 12");
    begin();
    plb_graph_add_value(graph, "x", (enum plb_role)12, PLB_F32, shape);
    check_failed(PLB_ERROR_INVALID, "x has the unknown role 12");
    begin();
    fake_input(graph, "x", 2, 0);
    check_failed(PLB_ERROR_INVALID, "x would be f32[2,0]");
    begin();
    fake_input(graph, "x", INT64_MAX, INT64_MAX);
    check_failed(PLB_ERROR_INVALID, "fit in memory");
    begin();
    shape.rank = 5;
    plb_graph_add_value(graph, "x", PLB_ROLE_INPUT, PLB_F32, shape);
    check_failed(PLB_ERROR_INVALID, "x has rank 5");
    begin();
    plb_graph_set_phase(graph, (enum plb_phase)4);
    check_failed(PLB_ERROR_INVALID, "unknown phase 4");
    begin();
    plb_graph_set_block(graph, -2);
    check_failed(PLB_ERROR_INVALID, "block -2");
}

static void names_are_unique_and_found(void)
{
    char name[32];
    plb_value v;

    begin();
    PLB_CHECK_EQ(plb_graph_find(graph, "x"), PLB_NONE);
    for (int k = 0; k < 20000; k++) {
        snprintf(name, sizeof name, "value %d", k);
        v = fake_input(graph, name, 1, 1);
        if (v != (plb_value)k)
            break;
    }
    PLB_CHECK_EQ(plb_graph_values(graph), 20000);
    PLB_CHECK_EQ(plb_graph_find(graph, "value 0"), 0);
    PLB_CHECK_EQ(plb_graph_find(graph, "value 19999"), 19999);
    PLB_CHECK_EQ(plb_graph_find(graph, "value 20000"), PLB_NONE);
    plb_graph_set_scope(graph, "a");
    v = fake_input(graph, "value 1", 1, 1);
    PLB_CHECK_EQ(plb_graph_find(graph, "a/value 1"), v);
    plb_graph_set_scope(graph, NULL);
    fake_input(graph, "value 77", 1, 1);
    check_failed(PLB_ERROR_INVALID, "already has a value \"value 77\"");
}

static void a_renamed_value_is_found_by_its_new_name(void)
{
    plb_value x, y;

    begin();
    x = fake_input(graph, "x", 1, 1);
    plb_graph_set_name(graph, x, "first");
    PLB_CHECK_EQ(plb_graph_find(graph, "first"), x);
    PLB_CHECK_EQ(plb_graph_find(graph, "x"), PLB_NONE);
    y = fake_input(graph, "x", 1, 1);
    PLB_CHECK_EQ(plb_graph_find(graph, "x"), y);
    for (int k = 0; k < 2000; k++)
        plb_graph_set_name(graph, x, k % 2 ? "first" : "second");
    PLB_CHECK_EQ(plb_graph_find(graph, "first"), x);
    PLB_CHECK_EQ(plb_graph_find(graph, "second"), PLB_NONE);
    PLB_CHECK_EQ(plb_graph_status(graph), PLB_OK);
    plb_graph_set_name(graph, fake_unary(graph, &fake_one, x), "x"); /* made: need not differ */
    PLB_CHECK_EQ(plb_graph_status(graph), PLB_OK);
    PLB_CHECK_EQ(plb_graph_find(graph, "x"), y);
    plb_graph_set_name(graph, x, "x");
    check_failed(PLB_ERROR_INVALID, "already has a value \"x\"");
}

static void long_names_are_refused(void)
{
    static char name[3000];

    memset(name, 'n', sizeof name - 1);
    begin();
    fake_input(graph, name, 1, 1);
    check_failed(PLB_ERROR_INVALID, "is longer than 1023 bytes");
    begin();
    plb_graph_set_scope(graph, name);
    check_failed(PLB_ERROR_INVALID, "is longer than 1023 bytes");
    begin();
    name[1023] = '\0';
    PLB_CHECK(fake_input(graph, name, 1, 1) != PLB_NONE);
    plb_graph_set_scope(graph, name);
    fake_unary(graph, &fake_one, 0);
    check_failed(PLB_ERROR_INVALID, "is longer than 1023 bytes");
}

static void what_lives_on_is_carried(void)
{
    plb_value x, y, z;

    begin();
    x = fake_input(graph, "x", 2, 3);
    y = fake_unary(graph, &fake_one, x);
    z = fake_unary(graph, &fake_total, x);
    plb_graph_carry(graph, x, y);
    plb_graph_output(graph, z);
    PLB_CHECK_EQ(plb_graph_status(graph), PLB_OK);
    PLB_CHECK_EQ(plb_graph_value(graph, x)->next, y);
    PLB_CHECK(plb_graph_value(graph, z)->output);
    PLB_CHECK(!plb_graph_value(graph, y)->output);
    plb_graph_carry(graph, x, y);
    check_failed(PLB_ERROR_INVALID, "x already has a next version");
    begin();
    x = fake_input(graph, "x", 2, 3);
    z = fake_unary(graph, &fake_total, x);
    plb_graph_carry(graph, x, z);
    check_failed(PLB_ERROR_INVALID, "x is f32[2,3], its next version fake_total is f32[1]");
    begin();
    x = fake_input(graph, "x", 2, 3);
    y = fake_unary(graph, &fake_one, x);
    plb_graph_carry(graph, y, x);
    check_failed(PLB_ERROR_INVALID, "fake_one is made by a task");
    begin();
    plb_graph_output(graph, 3);
    check_failed(PLB_ERROR_INVALID, "output: the graph has no value 3");
}

static void many_values_of_a_variadic_input(void)
{
    plb_value x[100], y;
    struct plb_task_types types;
    const struct plb_task *task;

    begin();
    x[0] = fake_input(graph, "x", 8, 2);
    for (int k = 1; k < 100; k++)
        x[k] = fake_unary(graph, &fake_one, x[k - 1]);
    y = fake_many(graph, &fake_gather, x, 100);
    PLB_REQUIRE(y != PLB_NONE);
    task = plb_graph_task(graph, plb_graph_value(graph, y)->producer);
    PLB_CHECK_EQ(task->n_in, 1);
    PLB_CHECK_EQ(task->in_start[1], 100);
    PLB_CHECK_EQ(task->in[99], x[99]);
    plb_task_get_types(graph, task, &types);
    PLB_CHECK_EQ(types.variadic, 100);
    PLB_CHECK_EQ(types.n_in, PLB_OPERANDS_MAX);
    PLB_CHECK_EQ(types.in[PLB_OPERANDS_MAX - 1].shape.dim[0], 8);
    PLB_CHECK_EQ(plb_graph_status(graph), PLB_OK);
}

/* --- cells ------------------------------------------------------------------------------------ */

static plb_value cell(int64_t row0, int64_t rows, int64_t cols, int64_t whole_rows)
{
    struct plb_value_info info = {
        .name = "cell",
        .type = {PLB_F32, plb_shape2(rows, cols)},
        .producer = PLB_NONE,
        .whole = plb_shape2(whole_rows, cols),
        .row0 = row0,
    };

    return plb_graph_add_cell(graph, &info);
}

/* y rows 2..6 of 8 from the cells of x that overlap them and two cells of w. */
static enum plb_status add_linear(const plb_value *in, plb_value out)
{
    static const uint32_t in_start[3] = {0, 2, 4}, out_start[2] = {0, 1};
    struct plb_task_cells task = {
        .op = &fake_linear,
        .name = "part",
        .source = 3,
        .low = {2, 0},
        .high = {6, 10},
        .n_in = 2,
        .n_out = 1,
        .in_start = in_start,
        .out_start = out_start,
        .in = in,
        .out = &out,
    };

    return plb_graph_add_task_cells(graph, &task);
}

static void tasks_on_cells_keep_their_lists(void)
{
    plb_value in[4], out;
    struct plb_task_types types;
    struct plb_cost cost;
    const struct plb_task *task;

    begin();
    in[0] = cell(0, 4, 5, 8);
    in[1] = cell(4, 4, 5, 8);
    in[2] = cell(0, 7, 5, 10);
    in[3] = cell(7, 3, 5, 10);
    out = cell(2, 4, 10, 8);
    PLB_CHECK_EQ(add_linear(in, out), PLB_OK);
    task = plb_graph_task(graph, 0);
    PLB_CHECK_STRING(task->name, "part");
    PLB_CHECK_EQ(task->source, 3);
    PLB_CHECK_EQ(task->in[3], in[3]);
    PLB_CHECK_EQ(plb_graph_value(graph, out)->producer, 0);
    plb_task_get_types(graph, task, &types);
    PLB_CHECK_EQ(types.in[0].shape.dim[0], 4); /* the range, not the cells' eight rows */
    PLB_CHECK_EQ(types.in[0].shape.dim[1], 5);
    PLB_CHECK_EQ(types.in[1].shape.dim[0], 10);
    PLB_CHECK_EQ(types.out[0].shape.dim[0], 4);
    PLB_CHECK_EQ(types.out[0].shape.dim[1], 10);
    plb_task_get_cost(graph, task, &cost);
    PLB_CHECK_NEAR(cost.flops, 20, 0);
    PLB_CHECK_NEAR(cost.bytes, 4 * (20 + 40), 0);
    PLB_CHECK_EQ(plb_graph_find(graph, "cell"), PLB_NONE);
}

static void windows_are_what_the_cells_hold(void)
{
    struct plb_operator window = fake_one;
    struct plb_task_cells task = {
        .op = &window, .low = {4, 0}, .high = {6, 0}, .n_in = 1, .n_out = 1};
    const uint32_t in_start[2] = {0, 2}, out_start[2] = {0, 1};
    struct plb_task_types types;
    plb_value in[2], out;

    begin();
    window.in[0].flags = PLB_WINDOW_BEFORE;
    in[0] = cell(0, 4, 5, 8);
    in[1] = cell(4, 2, 5, 8);
    out = cell(4, 2, 5, 8);
    task.in_start = in_start;
    task.out_start = out_start;
    task.in = in;
    task.out = &out;
    PLB_CHECK_EQ(plb_graph_add_task_cells(graph, &task), PLB_OK);
    plb_task_get_types(graph, plb_graph_task(graph, 0), &types);
    PLB_CHECK_EQ(types.in[0].shape.dim[0], 6);
    PLB_CHECK_EQ(types.in[0].shape.dim[1], 5);
    PLB_CHECK_EQ(types.out[0].shape.dim[0], 2);
}

static void wrong_cells_are_refused(void)
{
    plb_value in[4];

    begin();
    cell(5, 4, 5, 8);
    check_failed(PLB_ERROR_INTERNAL, "is not inside its value");
    begin();
    fake_input(graph, "x", 1, 1);
    cell(0, 1, 1, 1);
    check_failed(PLB_ERROR_INVALID, "cannot share a graph");
    begin();
    for (int k = 0; k < 4; k++)
        in[k] = cell(0, 4, 5, 8);
    add_linear(in, in[0]);
    check_failed(PLB_ERROR_INTERNAL, "fake_linear: cell is read before it is made");
    begin();
    for (int k = 0; k < 4; k++)
        in[k] = cell(0, 4, 5, 8);
    PLB_CHECK_EQ(add_linear(in, cell(0, 4, 5, 8)), PLB_OK);
    add_linear(in, 4);
    check_failed(PLB_ERROR_INTERNAL, "fake_linear: cell already has a producer");
    begin();
    for (int k = 0; k < 4; k++)
        in[k] = cell(0, 4, 5, 8);
    add_linear(in, cell(0, 4, 5, 8));
    add_linear(in, 2);
    check_failed(PLB_ERROR_INTERNAL, "fake_linear: cell is read before it is made");
    begin();
    in[0] = 99;
    add_linear(in, cell(0, 4, 5, 8));
    check_failed(PLB_ERROR_INTERNAL, "fake_linear: the graph has no value 99");
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Builds a graph that needs several chunks, blocks and tables; its status. */
static enum plb_status build_much(void)
{
    enum plb_status status;
    plb_graph_t *g = plb_graph_create();
    plb_value v;
    char name[32];

    if (g == NULL)
        return PLB_ERROR_MEMORY;
    v = fake_input(g, "x", 4, 4);
    for (int k = 0; k < 600; k++) {
        snprintf(name, sizeof name, "w%d", k);
        v = fake_binary(g, &fake_mul, v, fake_input(g, name, 4, 4));
    }
    plb_graph_fingerprint(g);
    status = plb_graph_status(g);
    PLB_CHECK_EQ(v == PLB_NONE, status != PLB_OK);
    plb_graph_destroy(g);
    return status;
}

static void short_memory_is_a_sticky_failure(void)
{
    PLB_CHECK_EQ(build_much(), PLB_OK);
    for (long n = 1; plb_test_alloc_available(); n++) {
        enum plb_status status;

        plb_test_alloc_fail_at(n);
        status = build_much();
        if (!plb_test_alloc_stop()) {
            PLB_CHECK(n > 10);
            break;
        }
        PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
        PLB_CHECK_CONTAINS(plb_error_message(), "no memory for");
    }
}

PLB_TEST_MAIN("runtime/graph/graph", NULL, finish, PLB_TEST(a_task_makes_values),
              PLB_TEST(optional_outputs_are_made_when_asked_for), PLB_TEST(roles_follow_the_phase),
              PLB_TEST(the_first_failure_sticks), PLB_TEST(a_missing_value_has_no_type),
              PLB_TEST(wrong_inputs_are_refused), PLB_TEST(operands_must_agree_on_an_axis),
              PLB_TEST(wrong_values_are_refused), PLB_TEST(names_are_unique_and_found),
              PLB_TEST(a_renamed_value_is_found_by_its_new_name), PLB_TEST(long_names_are_refused),
              PLB_TEST(what_lives_on_is_carried), PLB_TEST(many_values_of_a_variadic_input),
              PLB_TEST(tasks_on_cells_keep_their_lists), PLB_TEST(windows_are_what_the_cells_hold),
              PLB_TEST(wrong_cells_are_refused), PLB_TEST(short_memory_is_a_sticky_failure))
