/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzz target: the input is a plan. What is read writes and reads back the same; the checker takes
 * whatever it is, for a graph that it was not written for, and what passes can be laid out. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codelets/codelets.h"
#include "runtime/plan/layout.h"
#include "tests/fuzz/fuzz.h"

const char plb_fuzz_name[] = "plan";

/* An input (value 0), a parameter (1) and its next version (6), an output (5); tasks 0 to 4. */
static plb_graph_t *make_graph(void)
{
    plb_graph_t *g = plb_graph_create();
    plb_value x = plb_graph_add_value(g, "x", PLB_ROLE_INPUT, PLB_F32, plb_shape2(4, 4));
    plb_value w = plb_graph_add_value(g, "w", PLB_ROLE_PARAMETER, PLB_F32, plb_shape2(4, 4));
    plb_value a = plb_gelu(g, x, PLB_GELU_ERF), b = plb_gelu(g, a, PLB_GELU_ERF);

    plb_graph_output(g, plb_add(g, a, plb_add(g, b, b)));
    plb_graph_carry(g, w, plb_add(g, w, b));
    if (plb_graph_status(g) != PLB_OK)
        abort();
    return g;
}

static void check_text(const struct plb_plan *plan)
{
    struct plb_plan again = {.n = 0};
    char *text = NULL;

    if (plb_plan_to_json(plan, &text) != PLB_OK ||
        plb_plan_from_json(text, strlen(text), &again) != PLB_OK || again.n != plan->n ||
        again.fingerprint != plan->fingerprint)
        abort();
    for (uint32_t i = 0; i < plan->n; i++)
        if (again.instruction[i].code != plan->instruction[i].code ||
            again.instruction[i].subject != plan->instruction[i].subject ||
            again.instruction[i].takes != plan->instruction[i].takes ||
            again.instruction[i].tier != plan->instruction[i].tier)
            abort();
    free(text);
    plb_plan_clear(&again);
}

static void check_program(const struct plb_plan *plan, const plb_graph_t *graph)
{
    struct plb_limits limits = {.bytes = {SIZE_MAX, SIZE_MAX, SIZE_MAX}};
    FILE *file = fopen("/dev/null", "w");
    struct plb_layout layout;

    for (int hold = 0; hold < 2; hold++) {
        limits.hold_gradients = hold;
        if (plb_plan_check(plan, graph, &limits) != PLB_OK)
            continue;
        if (plb_layout_assign(plan, graph, &limits, &layout) != PLB_OK)
            abort();
        plb_layout_clear(&layout);
    }
    if (file) {
        plb_plan_print(plan, graph, file);
        fclose(file);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plb_plan plan = {.n = 0};
    plb_graph_t *graph;

    if (plb_plan_from_json((const char *)data, size, &plan) != PLB_OK)
        return 0;
    graph = make_graph();
    check_text(&plan);
    plan.fingerprint = plb_graph_fingerprint(graph);
    check_program(&plan, graph);
    plb_graph_destroy(graph);
    plb_plan_clear(&plan);
    return 0;
}
