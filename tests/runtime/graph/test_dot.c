/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Graphs as text: what must stand in it, hostile names, and Graphviz itself where it is installed.
 */
#include "config.h"

#include "runtime/graph/differentiate.h"
#include "tests/runtime/graph/fake.h"
#include "tests/support/plb_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two blocks, all phases, an output, an update, a next version made from something else. */
static plb_graph_t *example(const char *name)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value x, w, s, y, next;

    x = plb_graph_add_value(graph, name, PLB_ROLE_INPUT, PLB_F32, plb_shape2(6, 4));
    w = fake_input(graph, "w", 4, 4);
    s = fake_input(graph, "s", 4, 4);
    plb_graph_set_block(graph, 0);
    plb_graph_set_scope(graph, "h.0");
    y = fake_binary(graph, &fake_linear, x, w);
    plb_graph_set_block(graph, 1);
    plb_graph_set_scope(graph, "h.1");
    y = fake_binary(graph, &fake_linear, y, w);
    plb_graph_set_block(graph, -1);
    plb_graph_set_scope(graph, NULL);
    y = fake_unary(graph, &fake_total, y);
    plb_graph_output(graph, y);
    plb_graph_set_phase(graph, PLB_PHASE_BACKWARD);
    next = fake_unary(graph, &fake_one, w);
    plb_graph_set_phase(graph, PLB_PHASE_UPDATE);
    next = fake_binary(graph, &fake_mul, w, next);
    plb_graph_carry(graph, w, next);
    plb_graph_carry(graph, s, fake_unary(graph, &fake_one, next));
    return graph;
}

static void the_overview_leaves_out(void)
{
    plb_graph_t *graph = example("a \"hostile\" name");
    char *text = NULL;

    PLB_CHECK_EQ(plb_graph_dot_overview(graph, &text), PLB_OK);
    PLB_CHECK_CONTAINS(text, "a \\\"hostile\\\" name");
    PLB_CHECK_CONTAINS(text, "subgraph cluster_1");
    PLB_CHECK_CONTAINS(text, "t0 -> t1 [label=\"f32[6,4]\", weight=4];");
    PLB_CHECK(strstr(text, "t4") == NULL);    /* the update */
    PLB_CHECK(strstr(text, "v1 ->") == NULL); /* the parameter */
    free(text);
    plb_graph_destroy(graph);
}

static char *text_of(plb_graph_t *graph)
{
    char *text = NULL;

    PLB_CHECK_EQ(plb_graph_status(graph), PLB_OK);
    PLB_CHECK_EQ(plb_graph_dot(graph, &text), PLB_OK);
    plb_graph_destroy(graph);
    return text;
}

static void everything_is_drawn(void)
{
    char *text = text_of(example("tokens"));

    PLB_CHECK_CONTAINS(text, "v1_2 [shape=ellipse, fillcolor=\"#fff2b8\", label=\"w\\nf32[4,4]\"");
    PLB_CHECK_CONTAINS(text, "v1_3 [shape=ellipse, fillcolor=\"#fff2b8\", label=\"w\\nf32[4,4]\"");
    PLB_CHECK_CONTAINS(text, "label=\"fake_linear\\nh.1/fake_linear\\nf32[6,4]\"");
    PLB_CHECK_CONTAINS(text, "subgraph cluster_2 {\n  label=\"block 0, forward\"");
    PLB_CHECK_CONTAINS(text, "subgraph cluster_3 {\n  label=\"block 1, forward\"");
    PLB_CHECK_CONTAINS(text, "t0 -> t1;");
    PLB_CHECK_CONTAINS(text, "v1_2 -> t0;");
    PLB_CHECK_CONTAINS(text, "v1_3 -> t1;");
    PLB_CHECK_CONTAINS(text, "t2 -> o5;");
    PLB_CHECK_CONTAINS(text, "t2 [shape=box, fillcolor=\"#cfe3f7\"");
    PLB_CHECK_CONTAINS(text, "t3 [shape=box, fillcolor=\"#fbdcc4\"");
    PLB_CHECK_CONTAINS(
        text, "t4 [shape=box, fillcolor=\"#d3ecd0\", label=\"fake_mul\\nupdates w\\nf32[4,4]\"");
    PLB_CHECK(strstr(text, "v1_5 -> t4") == NULL); /* w is written in the box */
    PLB_CHECK_CONTAINS(text,
                       "v6_5 [shape=note, fillcolor=\"#fbdcc4\", label=\"fake_one\\nf32[4,4]\"");
    PLB_CHECK_CONTAINS(text, "v6_5 -> t4;"); /* made in another phase */
    PLB_CHECK(strstr(text, "t3 -> t4") == NULL);
    PLB_CHECK_CONTAINS(text, "n8 [shape=ellipse, peripheries=2, label=\"next s\"");
    PLB_CHECK_CONTAINS(text, "t5 -> n8;");
    PLB_CHECK(strstr(text, "v2_") == NULL); /* no one reads s */
    free(text);
}

/* Many updates do not stand in one row. */
static void updates_stand_in_rows(void)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value x = fake_input(graph, "x", 1, 1);
    char *text;

    plb_graph_set_phase(graph, PLB_PHASE_UPDATE);
    for (int k = 0; k < 9; k++)
        fake_unary(graph, &fake_one, x);
    text = text_of(graph);
    PLB_CHECK_CONTAINS(text, "t0 -> t6 [style=invis];");
    PLB_CHECK_CONTAINS(text, "t2 -> t8 [style=invis];");
    PLB_CHECK(strstr(text, "t3 -> t9") == NULL);
    free(text);
}

static void names_are_escaped(void)
{
    char *text = text_of(example("a\"b\\N&lt;\n\x7f"));

    PLB_CHECK_CONTAINS(text, "label=\"a\\\"b\\\\N&amp;lt;?"
                             "?\\nf32[6,4]\"");
    free(text);
}

static void an_empty_graph_is_a_graph(void)
{
    char *text = text_of(plb_graph_create());

    PLB_CHECK_CONTAINS(text, "digraph palombe {");
    free(text);
}

/* Writes both texts and has Graphviz read them; a machine without it checks nothing here. */
static void graphviz_reads_it(void)
{
    const char *const version[] = {"dot", "-V", NULL};
    struct plb_test_output there = plb_test_command(version, NULL);
    const char *const names[] = {"tokens", "a\"b\\N&lt;\n\x7f", "\\", "\"", "}]; evil -> evil;"};

    for (size_t k = 0; there.status == 0 && k < sizeof names / sizeof names[0]; k++) {
        const char *const plain[] = {"dot", "-Tplain", NULL};
        char *text = text_of(example(names[k]));
        struct plb_test_output drawn = plb_test_command(plain, text);

        PLB_CHECK_EQ(drawn.status, 0);
        PLB_CHECK_STRING(drawn.err, "");
        PLB_CHECK_CONTAINS(drawn.out, "\nnode t5 ");
        PLB_CHECK(strstr(drawn.out, "node evil") == NULL);
        plb_test_output_free(&drawn);
        free(text);
    }
    plb_test_output_free(&there);
}

/* A step of many blocks, each value of the forward pass read by the backward pass too: Graphviz
 * must come to an end with it (the watchdog waits for that). */
static plb_graph_t *deep_step(void)
{
    enum { BLOCKS = 12 };
    plb_graph_t *graph = plb_graph_create();
    plb_value w[BLOCKS], d[BLOCKS], h = fake_input(graph, "x", 4, 4);
    char name[16];

    for (int b = 0; b < BLOCKS; b++) {
        snprintf(name, sizeof name, "w%d", b);
        w[b] = fake_input(graph, name, 4, 4);
        plb_graph_set_block(graph, b);
        for (int k = 0; k < 4; k++)
            h = fake_binary(graph, &fake_mul, fake_binary(graph, &fake_linear, h, w[b]), h);
    }
    plb_graph_set_block(graph, -1);
    PLB_CHECK_EQ(plb_graph_differentiate(graph, fake_unary(graph, &fake_total, h), w, BLOCKS, d),
                 PLB_OK);
    plb_graph_set_phase(graph, PLB_PHASE_UPDATE);
    for (int b = 0; b < BLOCKS; b++)
        plb_graph_carry(graph, w[b], fake_binary(graph, &fake_mul, w[b], d[b]));
    return graph;
}

static void graphviz_comes_to_an_end(void)
{
    const char *const version[] = {"dot", "-V", NULL}, *const plain[] = {"dot", "-Tplain", NULL};
    struct plb_test_output there = plb_test_command(version, NULL);

    if (there.status == 0) {
        char *text = text_of(deep_step());
        struct plb_test_output drawn = plb_test_command(plain, text);

        PLB_CHECK_EQ(drawn.status, 0);
        PLB_CHECK_STRING(drawn.err, "");
        plb_test_output_free(&drawn);
        free(text);
    }
    plb_test_output_free(&there);
}

/* With one allocation failing: the whole text (libc may do without some of its own) or a failure.
 */
static void check_short_memory(enum plb_status (*draw)(const plb_graph_t *, char **))
{
    plb_graph_t *graph = example("x");
    char *text = NULL, *whole = NULL;
    long n;

    PLB_REQUIRE(draw(graph, &whole) == PLB_OK);
    for (n = 1; plb_test_alloc_available(); n++) {
        enum plb_status status;
        bool failed;

        text = NULL;
        plb_test_alloc_fail_at(n);
        status = draw(graph, &text);
        failed = plb_test_alloc_stop();
        if (status == PLB_OK)
            PLB_CHECK_STRING(text, whole);
        else
            PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
        PLB_CHECK_EQ(text == NULL, status != PLB_OK);
        free(text);
        if (!failed)
            break;
        PLB_CHECK(status != PLB_OK || n > 3); /* the first are ours */
    }
    free(whole);
    plb_graph_destroy(graph);
}

static void short_memory_is_reported(void)
{
    check_short_memory(plb_graph_dot);
    check_short_memory(plb_graph_dot_overview);
}

PLB_TEST_MAIN("runtime/graph/dot", NULL, NULL, PLB_TEST(the_overview_leaves_out),
              PLB_TEST(everything_is_drawn), PLB_TEST(updates_stand_in_rows),
              PLB_TEST(names_are_escaped), PLB_TEST(an_empty_graph_is_a_graph),
              PLB_TEST(graphviz_reads_it), PLB_TEST(graphviz_comes_to_an_end),
              PLB_TEST(short_memory_is_reported))
