/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fingerprints: equal for graphs that compute and cost the same, different for all others.
 */
#include "config.h"

#include "tests/runtime/graph/fake.h"
#include "tests/support/plb_test.h"

#include <string.h>

/* What can differ between two graphs of the same build. */
struct variant {
    const char *name;
    int64_t rows;
    enum plb_dtype dtype;
    enum plb_role role;
    enum plb_phase phase;
    int block;
    int64_t attribute_i;
    double attribute_f;
    const struct plb_operator *op;
    bool swapped, carried, output, more;
};

static const struct variant plain = {
    .name = "a",
    .rows = 4,
    .dtype = PLB_F32,
    .role = PLB_ROLE_PARAMETER,
    .op = &fake_one,
};

static uint64_t fingerprint_of(const struct variant *variant)
{
    plb_graph_t *graph = plb_graph_create();
    struct plb_attributes attributes = {.i = {variant->attribute_i}, .f = {variant->attribute_f}};
    plb_value in[2], y, out[2];
    uint64_t hash;

    plb_graph_set_scope(graph, variant->name);
    in[0] = plb_graph_add_value(graph, "x", variant->role, variant->dtype,
                                plb_shape2(variant->rows, 3));
    in[1] = plb_graph_add_value(graph, "w", variant->role, variant->dtype,
                                plb_shape2(variant->rows, 3));
    plb_graph_set_phase(graph, variant->phase);
    plb_graph_set_block(graph, variant->block);
    y = fake_binary(graph, &fake_mul, in[variant->swapped], in[!variant->swapped]);
    plb_graph_add_task(graph, variant->op, &attributes, &y, 1, NULL, out);
    plb_graph_set_role(graph, y, PLB_ROLE_ACTIVATION);
    plb_graph_set_role(graph, out[0], PLB_ROLE_ACTIVATION);
    if (variant->carried)
        plb_graph_carry(graph, in[0], y);
    if (variant->output)
        plb_graph_output(graph, y);
    if (variant->more)
        fake_input(graph, "more", 1, 1);
    PLB_CHECK_EQ(plb_graph_status(graph), PLB_OK);
    hash = plb_graph_fingerprint(graph);
    plb_graph_destroy(graph);
    return hash;
}

static void names_do_not_count(void)
{
    struct variant other = plain;

    other.name = "b";
    PLB_CHECK(fingerprint_of(&plain) == fingerprint_of(&plain));
    PLB_CHECK(fingerprint_of(&plain) == fingerprint_of(&other));
}

static void all_else_counts(void)
{
    struct plb_operator other = fake_one;
    struct variant v[13];
    uint64_t hash[13];

    other.name = "fake_other";
    for (int k = 0; k < 13; k++)
        v[k] = plain;
    v[1].rows = 5;
    v[2].dtype = PLB_BF16;
    v[3].role = PLB_ROLE_STATE;
    v[4].phase = PLB_PHASE_UPDATE;
    v[5].block = 1;
    v[6].attribute_i = 1;
    v[7].attribute_f = 0.5;
    v[8].op = &other;
    v[9].swapped = true;
    v[10].carried = true;
    v[11].output = true;
    v[12].more = true;
    for (int k = 0; k < 13; k++) {
        hash[k] = fingerprint_of(&v[k]);
        for (int j = 0; j < k; j++)
            PLB_CHECK(hash[j] != hash[k]);
    }
}

/* One task on cells whose place and range are given. */
static uint64_t fingerprint_of_cells(int64_t row0, int64_t high)
{
    plb_graph_t *graph = plb_graph_create();
    struct plb_value_info info = {.name = "",
                                  .type = {PLB_F32, plb_shape2(2, 3)},
                                  .producer = PLB_NONE,
                                  .whole = plb_shape2(8, 3),
                                  .row0 = row0};
    const uint32_t start[2] = {0, 1};
    struct plb_task_cells task = {.op = &fake_one,
                                  .n_in = 1,
                                  .n_out = 1,
                                  .in_start = start,
                                  .out_start = start,
                                  .high = {high}};
    plb_value in = plb_graph_add_cell(graph, &info), out = plb_graph_add_cell(graph, &info);
    uint64_t hash;

    task.in = &in;
    task.out = &out;
    PLB_CHECK_EQ(plb_graph_add_task_cells(graph, &task), PLB_OK);
    hash = plb_graph_fingerprint(graph);
    plb_graph_destroy(graph);
    return hash;
}

static void cells_and_ranges_count(void)
{
    PLB_CHECK(fingerprint_of_cells(0, 2) == fingerprint_of_cells(0, 2));
    PLB_CHECK(fingerprint_of_cells(0, 2) != fingerprint_of_cells(2, 2));
    PLB_CHECK(fingerprint_of_cells(0, 2) != fingerprint_of_cells(0, 1));
}

PLB_TEST_MAIN("runtime/graph/fingerprint", NULL, NULL, PLB_TEST(names_do_not_count),
              PLB_TEST(all_else_counts), PLB_TEST(cells_and_ranges_count))
