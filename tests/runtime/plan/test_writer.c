/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writers: what a task needs comes back by itself, and copies end after their last use.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "runtime/plan/writer.h"
#include "tests/support/plb_test.h"

#include <stdio.h>
#include <string.h>

/* x -> a -> b -> c, y = c + a, and w' = w + b; a chain with a skip and an update. */
struct example {
    plb_graph_t *graph;
    plb_writer_t *writer;
    plb_value x, w, a, b, c, y, next;
};

static struct example begin(void)
{
    struct example e = {.graph = plb_graph_create()};
    plb_graph_t *g = e.graph;

    e.x = plb_graph_add_value(g, "x", PLB_ROLE_INPUT, PLB_F32, plb_shape2(4, 4));
    e.w = plb_graph_add_value(g, "w", PLB_ROLE_PARAMETER, PLB_F32, plb_shape2(4, 4));
    e.a = plb_gelu(g, e.x, PLB_GELU_ERF);
    e.b = plb_gelu(g, e.a, PLB_GELU_ERF);
    e.c = plb_gelu(g, e.b, PLB_GELU_ERF);
    e.y = plb_add(g, e.c, e.a);
    plb_graph_output(g, e.y);
    e.next = plb_add(g, e.w, e.b);
    plb_graph_carry(g, e.w, e.next);
    plb_graph_set_name(g, e.a, "a");
    plb_graph_set_name(g, e.b, "b");
    PLB_REQUIRE(plb_graph_status(g) == PLB_OK);
    PLB_REQUIRE(plb_writer_create(g, &e.writer) == PLB_OK);
    return e;
}

static enum plb_status run(const struct example *e, plb_value made)
{
    return plb_writer_run(e->writer, plb_graph_value(e->graph, made)->producer);
}

/* Ends the writer and tells the plan in short: "Ra Rb Da" and so on. */
static void expect(struct example *e, const char *expected)
{
    static const char code[PLB_OPCODES] = {'R', 'D', 'O', 'F'};
    const plb_value values[] = {e->x, e->w, e->a, e->b, e->c, e->y, e->next};
    const char names[] = "xwabcyn";
    struct plb_plan plan = {.n = 0};
    char told[512] = "";

    PLB_REQUIRE(plb_writer_finish(e->writer, &plan) == PLB_OK);
    for (uint32_t i = 0; i < plan.n; i++) {
        const struct plb_instruction *one = &plan.instruction[i];
        plb_value v = one->code == PLB_RUN ? plb_graph_task(e->graph, one->subject)->out[0]
                                           : one->subject;

        for (size_t k = 0; k < sizeof values / sizeof values[0]; k++)
            if (values[k] == v)
                snprintf(told + strlen(told), sizeof told - strlen(told), "%s%c%c%s%s",
                         *told ? " " : "", code[one->code], names[k], one->takes ? "!" : "",
                         one->code != PLB_RUN && one->tier == PLB_HOST   ? "h"
                         : one->code != PLB_RUN && one->tier == PLB_DISK ? "d"
                                                                         : "");
    }
    PLB_CHECK_STRING(told, expected);
    plb_plan_clear(&plan);
    plb_writer_destroy(e->writer);
    plb_graph_destroy(e->graph);
}

static void values_end_after_their_last_use(void)
{
    struct example e = begin();

    PLB_CHECK_EQ(run(&e, e.a), PLB_OK);
    PLB_CHECK_EQ(run(&e, e.b), PLB_OK);
    PLB_CHECK_EQ(run(&e, e.c), PLB_OK);
    PLB_CHECK_EQ(run(&e, e.y), PLB_OK);
    PLB_CHECK_EQ(run(&e, e.next), PLB_OK);
    expect(&e, "Ra Rb Rc Ry! Da Rn! Db");
}

static void what_was_forgotten_is_made_again(void)
{
    struct example e = begin();

    PLB_CHECK_EQ(run(&e, e.c), PLB_OK); /* with a and b before it */
    plb_writer_forget(e.writer, e.a);
    plb_writer_forget(e.writer, e.b);
    plb_writer_forget(e.writer, e.x); /* stays: nobody could make it again */
    PLB_CHECK(!plb_writer_has(e.writer, e.a) && plb_writer_has(e.writer, e.x));
    PLB_CHECK_EQ(run(&e, e.y), PLB_OK);
    plb_writer_forget(e.writer, e.a);
    PLB_CHECK_EQ(run(&e, e.next), PLB_OK); /* b from a again */
    expect(&e, "Ra Rb Da Rc Db Ra Ry! Da Ra Rb Da Rn! Db");
}

static void copies_elsewhere_come_back_by_a_fetch(void)
{
    struct example e = begin();

    PLB_CHECK_EQ(run(&e, e.b), PLB_OK);
    PLB_CHECK_EQ(plb_writer_offload(e.writer, e.b, PLB_HOST), PLB_OK);
    PLB_CHECK_EQ(plb_writer_offload(e.writer, e.b, PLB_HOST), PLB_OK); /* is there already */
    PLB_CHECK_EQ(plb_writer_offload(e.writer, e.a, PLB_DISK), PLB_OK);
    PLB_CHECK_EQ(run(&e, e.c), PLB_OK);
    plb_writer_forget(e.writer, e.a);
    plb_writer_forget(e.writer, e.b);
    PLB_CHECK(plb_writer_has_copy(e.writer, e.a) && plb_writer_has_copy(e.writer, e.b));
    PLB_CHECK_EQ(plb_writer_fetch(e.writer, e.b), PLB_OK); /* ahead of its use */
    PLB_CHECK_EQ(run(&e, e.y), PLB_OK);
    PLB_CHECK_EQ(run(&e, e.next), PLB_OK);
    expect(&e, "Ra Rb Obh Oad Da Rc Db Fbh Dbh Fad Dad Ry! Da Rn! Db");
}

/* A fetch that nobody reads, an offload that is never fetched, a second run in vain. */
static void what_nobody_wants_is_left_out(void)
{
    struct example e = begin();

    PLB_CHECK_EQ(run(&e, e.c), PLB_OK);
    PLB_CHECK_EQ(plb_writer_offload(e.writer, e.c, PLB_HOST), PLB_OK);
    PLB_CHECK_EQ(plb_writer_offload(e.writer, e.a, PLB_HOST), PLB_OK);
    plb_writer_forget(e.writer, e.a);
    PLB_CHECK_EQ(plb_writer_fetch(e.writer, e.a), PLB_OK);
    plb_writer_forget(e.writer, e.a);
    PLB_CHECK_EQ(plb_writer_fetch(e.writer, e.a), PLB_OK);
    PLB_CHECK_EQ(run(&e, e.y), PLB_OK);
    PLB_CHECK_EQ(run(&e, e.c), PLB_OK);
    PLB_CHECK_EQ(run(&e, e.next), PLB_OK);
    expect(&e, "Ra Rb Rc Oah Da Fah Dah Ry! Da Rn! Db");
}

static void what_an_update_replaced_is_gone(void)
{
    struct example e = begin();

    PLB_CHECK_EQ(run(&e, e.next), PLB_OK);
    plb_writer_forget(e.writer, e.next); /* lasts */
    PLB_CHECK(plb_writer_has(e.writer, e.next) && !plb_writer_has(e.writer, e.w));
    PLB_CHECK_EQ(plb_writer_need(e.writer, e.w), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "'w' is needed after its update");
    PLB_CHECK_EQ(plb_writer_offload(e.writer, e.c, PLB_HOST), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_writer_offload(e.writer, e.b, PLB_DEVICE), PLB_ERROR_INVALID);
    expect(&e, "Ra Rb Rn! Rc Db Ry! Da"); /* finishing brings the output */
}

static void long_chains_are_no_danger(void)
{
    enum { LENGTH = 100000 };
    plb_graph_t *g = plb_graph_create();
    plb_value v = plb_graph_add_value(g, "x", PLB_ROLE_INPUT, PLB_F32, plb_shape1(1));
    struct plb_plan plan = {.n = 0};
    plb_writer_t *writer;

    for (int k = 0; k < LENGTH; k++)
        v = plb_gelu(g, v, PLB_GELU_ERF);
    plb_graph_output(g, v);
    PLB_REQUIRE(plb_writer_create(g, &writer) == PLB_OK);
    PLB_CHECK_EQ(plb_writer_need(writer, v), PLB_OK);
    PLB_CHECK_EQ(plb_writer_length(writer), LENGTH);
    PLB_CHECK_EQ(plb_writer_finish(writer, &plan), PLB_OK);
    PLB_CHECK_EQ(plb_plan_check(&plan, g, NULL), PLB_ERROR_INVALID); /* not yet signed */
    plan.fingerprint = plb_graph_fingerprint(g);
    PLB_CHECK_EQ(plb_plan_check(&plan, g, NULL), PLB_OK);
    plb_writer_destroy(writer);
    plb_plan_clear(&plan);
    plb_graph_destroy(g);
}

static void drafts_are_looked_at(void)
{
    struct example e = begin();
    const struct {
        struct plb_instruction instruction;
        const char *message;
    } wrong[] = {{{PLB_DROP, e.a, 0, PLB_DEVICE}, "is a 'drop'"},
                 {{PLB_RUN, 5, 0, PLB_DEVICE}, "names task 5 of 5"},
                 {{PLB_FETCH, 7, 0, PLB_HOST}, "names value 7 of 7"},
                 {{PLB_OFFLOAD, e.a, 0, PLB_DEVICE}, "moves to no other tier"},
                 {{PLB_OFFLOAD, e.a, 0, PLB_TIERS}, "moves to no other tier"}};
    struct plb_plan plan = {.n = 0};

    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
        struct plb_instruction one = wrong[k].instruction;
        const struct plb_plan draft = {.n = 1, .instruction = &one};

        PLB_CHECK_EQ(plb_plan_finish(e.graph, &draft, &plan), PLB_ERROR_INVALID);
        PLB_CHECK_CONTAINS(plb_error_message(), wrong[k].message);
    }
    expect(&e, "Ra Rb Rc Db Ry! Da");
}

PLB_TEST_MAIN("runtime/plan/writer", NULL, NULL, PLB_TEST(values_end_after_their_last_use),
              PLB_TEST(what_was_forgotten_is_made_again),
              PLB_TEST(copies_elsewhere_come_back_by_a_fetch),
              PLB_TEST(what_nobody_wants_is_left_out), PLB_TEST(what_an_update_replaced_is_gone),
              PLB_TEST(long_chains_are_no_danger), PLB_TEST(drafts_are_looked_at))
