/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gradient rules against central finite differences.
 *
 * For a task y = f(x...), the rule was given a random projection w as the gradient of y. What its
 * tasks make for an input x, evaluated by references alone, must be d(w . y)/dx, which a difference
 * of the reference of f over 2 h tells to about h^2 and eps / h: with h = 1e-5 and double precision
 * to 1e-9 of the terms involved.
 */
#include "config.h"

#include "tests/codelets/check.h"

#include "tests/support/plb_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define STEP      1e-5
#define TOLERANCE 1e-6
#define PROBES    7   /* elements tried of each operand */
#define FLOPS     2e6 /* of the largest task: a reference runs twice for each probe */

/* w . y of a task for inputs in double precision. */
static double projected(const struct subject *s, plb_task_id id, double *const *in)
{
    const struct plb_task *task = plb_graph_task(s->graph, id);
    struct reference_value out[PLB_OPERANDS_MAX];
    double sum = 0;

    subject_reference(s, task, in, out);
    for (int64_t i = 0; i < plb_shape_elements(&out[0].type.shape); i++)
        sum += in[s->projection[id]][i] * out[0].v[i];
    reference_free(out, task->n_out);
    return sum;
}

static double difference(const struct subject *s, plb_task_id id, double *const *in, double *x)
{
    double kept = *x, up, down;

    *x = kept + STEP;
    up = projected(s, id, in);
    *x = kept - STEP;
    down = projected(s, id, in);
    *x = kept;
    return (up - down) / (2 * STEP);
}

static double largest(const double *v, int64_t n)
{
    double top = 0;

    for (int64_t i = 0; v != NULL && i < n; i++)
        top = fabs(v[i]) > top ? fabs(v[i]) : top;
    return top;
}

static void check_input(const struct subject *s, plb_task_id id, plb_value x, double *const *in)
{
    int64_t n = plb_shape_elements(&plb_graph_value(s->graph, x)->type.shape);
    const double *made = s->gradient[x] != PLB_NONE ? in[s->gradient[x]] : NULL;
    double tolerance = TOLERANCE * (1 + largest(made, n));
    int64_t stride = n / PROBES + 1;

    for (int64_t i = 0; i < n; i += stride) {
        double expected = difference(s, id, in, &in[x][i]), got = made != NULL ? made[i] : 0;
        bool ok = fabs(got - expected) <= tolerance;

        if (!ok)
            fprintf(stderr, "%s: gradient of %s of %s, element %lld of %lld: %.9g, not %.9g\n",
                    subject_name(s), plb_graph_value(s->graph, x)->name,
                    plb_graph_task(s->graph, id)->op->name, (long long)i, (long long)n, got,
                    expected);
        PLB_CHECK(ok);
    }
}

/* The references of all tasks are known (check_coverage() fails where not), none takes long. */
static bool can_differ(const struct subject *s)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(s->graph); t++) {
        struct plb_cost cost;

        plb_task_get_cost(s->graph, plb_graph_task(s->graph, t), &cost);
        if (reference_find(plb_graph_task(s->graph, t)->op->name) == NULL || cost.flops > FLOPS)
            return false;
    }
    return true;
}

void check_gradients(struct subject *s)
{
    double *values[SUBJECT_VALUES] = {NULL};
    plb_value in[SUBJECT_VALUES];

    if (s->case_->kinked || !can_differ(s))
        return;
    subject_evaluate(s, 0, plb_graph_tasks(s->graph), values);
    for (plb_task_id t = 0; t < s->n_forward; t++) {
        int n = subject_inputs(s, plb_graph_task(s->graph, t), in);

        for (int k = 0; k < n && s->projection[t] != PLB_NONE; k++) {
            if (subject_is_real(s, in[k]))
                check_input(s, t, in[k], values);
        }
    }
    for (int v = 0; v < SUBJECT_VALUES; v++)
        free(values[v]);
}
