/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a card does as the CPU does it, to the bit and to the letter: operands in cells are
 * gathered, an index out of range fails the step with the same sentence, a trace has times. On the
 * emulated card; see tests/support/cuda.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "runtime/run/session.h"
#include "tests/support/cuda/emulated_card.h"
#include "tests/support/plb_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 40, VOCABULARY = 70, WIDTH = 24 };

/* The table becomes several cells. */
static const struct plb_cut_options fine = {.block_elements = 256};

struct lookup {
    plb_graph_t *graph;
    plb_value tokens, y;
    plb_store_t *store;
    plb_session_t *session;
};

static int setup(void)
{
    emulated_card_offer("1");
    return 0;
}

static bool lookup_make(const char *device, struct lookup *l)
{
    const struct plb_runtime_options runtime = {.device = device};
    const struct plb_session_options options = {.memory_policy = "none", .cut = fine};
    float table[VOCABULARY * WIDTH];
    plb_value rows;

    for (int k = 0; k < VOCABULARY * WIDTH; k++)
        table[k] = (float)k / 8;
    l->graph = plb_graph_create();
    l->tokens = plb_graph_add_value(l->graph, "tokens", PLB_ROLE_INPUT, PLB_I32, plb_shape1(ROWS));
    rows = plb_graph_add_value(l->graph, "table", PLB_ROLE_PARAMETER, PLB_F32,
                               plb_shape2(VOCABULARY, WIDTH));
    l->y = plb_embedding(l->graph, l->tokens, rows);
    plb_graph_output(l->graph, l->y);
    return PLB_CHECK_EQ(plb_runtime_start(&runtime), PLB_OK) &&
           PLB_CHECK_EQ(plb_store_create(&l->store), PLB_OK) &&
           PLB_CHECK_EQ(plb_session_create(l->graph, &options, l->store, &l->session), PLB_OK) &&
           PLB_CHECK_EQ(plb_store_write(l->store, "table", table, sizeof table), PLB_OK);
}

static void lookup_clear(struct lookup *l)
{
    plb_session_destroy(l->session);
    plb_store_destroy(l->store);
    plb_graph_destroy(l->graph);
    plb_runtime_stop();
}

/* A step that looks up `last` in the last row; its message is kept in `sentence`. */
static enum plb_status look_up(const char *device, int32_t last, float *y, char *sentence)
{
    int32_t tokens[ROWS];
    struct lookup l = {0};
    enum plb_status status;

    for (int k = 0; k < ROWS; k++)
        tokens[k] = 7 * k % VOCABULARY;
    tokens[ROWS - 1] = last;
    PLB_REQUIRE(lookup_make(device, &l));
    PLB_CHECK_EQ(plb_session_write(l.session, l.tokens, tokens, sizeof tokens), PLB_OK);
    PLB_CHECK_EQ(plb_session_step(l.session, 1), PLB_OK);
    status = plb_session_read(l.session, l.y, y, ROWS * WIDTH * sizeof *y);
    snprintf(sentence, 512, "%s", status == PLB_OK ? "" : plb_error_message());
    lookup_clear(&l);
    return status;
}

static void cells_are_gathered(void)
{
    float cpu[ROWS * WIDTH], card[ROWS * WIDTH];
    char sentence[512];

    PLB_CHECK_EQ(look_up("cpu", 3, cpu, sentence), PLB_OK);
    PLB_CHECK_EQ(look_up("cuda", 3, card, sentence), PLB_OK);
    PLB_CHECK_MEMORY(card, cpu, sizeof cpu);
}

static void an_index_out_of_range_is_told(void)
{
    static const int32_t wrong[] = {VOCABULARY, -1};
    float y[ROWS * WIDTH];
    char cpu[512], card[512];

    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
        PLB_CHECK_EQ(look_up("cpu", wrong[k], y, cpu), PLB_ERROR_INVALID);
        PLB_CHECK_EQ(look_up("cuda", wrong[k], y, card), PLB_ERROR_INVALID);
        PLB_CHECK_CONTAINS(card, "row 39 is outside of the vocabulary");
        PLB_CHECK_STRING(card, cpu);
    }
}

static void a_trace_has_times(void)
{
    const struct plb_trace_record *record;
    struct lookup l = {0};
    uint32_t n;

    PLB_REQUIRE(lookup_make("cuda", &l));
    plb_session_trace(l.session, true);
    for (uint64_t step = 1; step < 8; step++) /* more than are measured by themselves */
        PLB_CHECK_EQ(plb_session_step(l.session, step), PLB_OK);
    PLB_CHECK_EQ(plb_session_wait(l.session), PLB_OK);
    PLB_CHECK_EQ(plb_session_step(l.session, 8), PLB_OK);
    PLB_REQUIRE(plb_session_get_trace(l.session, &record, &n) == PLB_OK);
    PLB_CHECK_EQ(n, 1);
    PLB_CHECK_EQ(record[0].worker, 0);
    PLB_CHECK(record[0].start >= 0 && record[0].end > record[0].start);
    lookup_clear(&l);
}

PLB_TEST_MAIN("runtime/run/cuda_cells", setup, NULL, PLB_TEST(cells_are_gathered),
              PLB_TEST(an_index_out_of_range_is_told), PLB_TEST(a_trace_has_times))
