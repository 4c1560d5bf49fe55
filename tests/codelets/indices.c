/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tokens, targets, positions and indices out of range: what cannot be known before a task runs is
 * refused by its kernel, with the value in the message, and nothing outside the operands is touched
 * (the guards around them tell). Tasks of the backward pass may rely on the forward pass to refuse,
 * but not touch anything either.
 */
#include "config.h"

#include "tests/codelets/cases.h"
#include "tests/codelets/check.h"
#include "tests/support/plb_test.h"

#include "codelets/codelets.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The second row of dimensions of each case is used. `op`: the task that reads `operand`. */
static const struct bad {
    const char *case_, *op, *operand;
    int64_t value[3];
    bool backward;
} table[] = {
    {"embedding", "embedding", "tokens", {11, -1, INT32_MIN}, false},
    {"embedding", "embedding_dw", "tokens", {11, -1, INT32_MAX}, true},
    {"embedding of a range", "embedding", "tokens", {16, -1, INT32_MIN}, false},
    {"embedding of a range", "embedding_dw", "tokens", {16, -1, INT32_MAX}, true},
    {"take_rows", "take_rows", "index", {7, -1, INT32_MAX}, false},
    {"cross_entropy", "cross_entropy", "targets", {5, INT32_MAX, 6}, false},
    {"cross_entropy", "cross_entropy_dx", "targets", {5, INT32_MAX, 6}, true},
    {"cross_entropy_part", "cross_entropy_part", "targets", {10, INT32_MAX, 11}, false},
    {"cross_entropy_part", "cross_entropy_part_dx", "targets", {10, INT32_MAX, 11}, true},
    {"cache_write", "cache_write", "positions", {8, -1, INT32_MAX}, false},
    {"attention_cached", "attention_cached", "positions", {7, -1, INT32_MAX}, false},
};

static const struct subject_case *find_case(const char *name)
{
    int n;
    const struct subject_case *cases = cases_table(&n);

    for (int k = 0; k < n; k++) {
        if (strcmp(cases[k].name, name) == 0)
            return &cases[k];
    }
    return NULL;
}

static const struct plb_task *find_task(const struct subject *s, const char *name)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(s->graph); t++) {
        const struct plb_task *task = plb_graph_task(s->graph, t);

        if (strcmp(task->op->name, name) == 0)
            return task;
    }
    return NULL;
}

static plb_value find_operand(const struct plb_task *task, const char *name)
{
    for (int k = 0; k < task->n_in; k++) {
        if (strcmp(task->op->in[k].name, name) == 0)
            return task->in[task->in_start[k]];
    }
    return PLB_NONE;
}

/* The last element is bad. */
static void try_value(struct subject *s, const struct plb_task *task, plb_value operand,
                      int64_t value, bool backward, bool by_row)
{
    static const struct pieces ways[] = {
        {.seed = 1},
        {.ranges = {CUT_UNEVEN, CUT_WHOLE}, .cells = CUT_HALVES},
    };
    int64_t last = plb_shape_elements(&plb_graph_value(s->graph, operand)->type.shape) - 1;
    double kept = element_get(s->data[operand], PLB_I32, last);
    char text[32];

    if (by_row)
        snprintf(text, sizeof text, "row %lld", (long long)last);
    else
        snprintf(text, sizeof text, "%lld", (long long)value);
    element_set(s->data[operand], PLB_I32, last, (double)value);
    for (size_t k = 0; k < sizeof(ways) / sizeof(ways[0]); k++) {
        struct made made;
        enum plb_status status;

        plb_error_clear();
        status = pieces_run(s, task, s->data, &ways[k], &made);
        made_free(&made);
        if (backward && status == PLB_OK)
            continue;
        if (status != PLB_ERROR_INVALID || strstr(plb_error_message(), text) == NULL)
            fprintf(stderr, "%s: %s with %s: %s, \"%s\"\n", subject_name(s), task->op->name, text,
                    plb_status_name(status), plb_error_message());
        PLB_CHECK_EQ(status, PLB_ERROR_INVALID);
        PLB_CHECK_CONTAINS(plb_error_message(), text);
    }
    element_set(s->data[operand], PLB_I32, last, kept);
}

void check_indices(bool by_row)
{
    const char *only = getenv("PLB_TEST_CASE");

    for (size_t k = 0; k < sizeof(table) / sizeof(table[0]); k++) {
        const struct subject_case *c = find_case(table[k].case_);
        const struct plb_task *task;
        struct subject s;

        if (only != NULL && strstr(table[k].case_, only) == NULL)
            continue;
        PLB_REQUIRE(c != NULL);
        PLB_REQUIRE(subject_create(&s, c, c->dims[1], PLB_F32, 1));
        task = find_task(&s, table[k].op);
        PLB_CHECK(task != NULL);
        for (int i = 0; i < 3 && task != NULL; i++)
            try_value(&s, task, find_operand(task, table[k].operand), table[k].value[i],
                      table[k].backward, by_row);
        subject_destroy(&s);
    }
}
