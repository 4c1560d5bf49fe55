/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values against references, in all cuts.
 */
#include "config.h"

#include "tests/codelets/check.h"

#include "codelets/codelets.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPERATORS_MAX 256
#define CALL_FLOPS    16       /* of a call by itself */
#define UNDERFLOW     0x1p-120 /* kernels need not make subnormal numbers */

/* By operator of the table. */
static struct {
    bool seen[PLB_DTYPES];
    double worst;
} record[OPERATORS_MAX];

static int operator_number(const struct plb_operator *op)
{
    int n;
    const struct plb_operator *const *table = plb_operators(&n);

    for (int k = 0; k < n && k < OPERATORS_MAX; k++) {
        if (table[k] == op)
            return k;
    }
    fprintf(stderr, "%s is not in the table of operators\n", op->name);
    abort();
}

/* --- one output ------------------------------------------------------------------------------- */

struct tolerance {
    double storage, rounding; /* relative to the element, to its scale */
    double top;               /* largest finite element of the reference */
    bool has_magnitude;
};

static struct tolerance tolerance_of(const struct plb_operator *op, enum plb_dtype dtype,
                                     const struct reference_value *ref)
{
    struct tolerance t = {0};
    int64_t n = plb_shape_elements(&ref->type.shape);

    t.storage = dtype == PLB_BF16 ? 0x1p-8 : 0;
    t.rounding = reference_find(op->name)->accuracy * 0x1p-24 +
                 pieces_runner()->rounding(op, dtype);
    if (dtype == PLB_BF16 && pieces_runner() != &pieces_cpu &&
        (reference_find(op->name)->flags & REFERENCE_ROUNDS_TERMS))
        t.rounding += 0x1p-9;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(ref->v[i]) && fabs(ref->v[i]) > t.top)
            t.top = fabs(ref->v[i]);
        t.has_magnitude = t.has_magnitude || ref->magnitude[i] > 0;
    }
    return t;
}

/* The error of an element in units of what is allowed; above 1, or NaN: wrong. */
static double error_of(const struct tolerance *t, enum plb_dtype dtype,
                       const struct reference_value *ref, int64_t i, double got)
{
    bool known = t->has_magnitude && !isnan(ref->magnitude[i]);
    double expected = ref->v[i], scale = known ? ref->magnitude[i] : t->top;
    unsigned char rounded[sizeof(double)];
    double allowed;

    if (isnan(expected) || isinf(expected))
        return (isnan(expected) && isnan(got)) || got == expected ? 0 : NAN;
    if (t->rounding == 0) {
        element_set(rounded, dtype, 0, expected);
        return element_get(rounded, dtype, 0) == got ? 0 : NAN;
    }
    scale = fabs(expected) > scale ? fabs(expected) : scale;
    allowed = t->storage * fabs(expected) + t->rounding * scale + UNDERFLOW;
    return fabs(got - expected) / allowed;
}

static bool check_output(const struct subject *s, const struct plb_task *task, int k,
                         const struct made *made, const struct reference_value *ref,
                         const char *how, bool nan)
{
    enum plb_dtype dtype = made->type[k].dtype;
    struct tolerance t = tolerance_of(task->op, dtype, ref);
    bool spreads = reference_find(task->op->name)->flags & REFERENCE_NAN_SPREADS;
    int64_t n = plb_shape_elements(&ref->type.shape), worst = 0;
    double worst_error = -1;
    bool ok = true;

    for (int64_t i = 0; i < n; i++) {
        double got = element_get(made->data[k], dtype, i);
        double error = error_of(&t, dtype, ref, i, got);

        if (!nan && isnan(ref->v[i]))
            error = NAN;
        if (nan && isnan(got) && spreads)
            error = 0;
        if (!(error <= worst_error) && !isnan(worst_error)) {
            worst_error = error;
            worst = i;
        }
        ok = ok && error <= 1;
    }
    if (!nan && worst_error > record[operator_number(task->op)].worst)
        record[operator_number(task->op)].worst = worst_error;
    if (!ok) {
        fprintf(stderr, "%s: %s, %s[%lld] of %lld %s: %.9g, not %.9g (error %.3g)\n",
                subject_name(s), task->op->name, task->op->out[k].name, (long long)worst,
                (long long)n, how, element_get(made->data[k], dtype, worst), ref->v[worst],
                worst_error);
        PLB_CHECK(ok);
    }
    return ok;
}

bool check_made(const struct subject *s, const struct plb_task *task, const struct made *made,
                const struct reference_value *reference, const char *how, bool nan)
{
    bool ok = true;

    for (int k = 0; k < made->n; k++) {
        if (made->type[k].shape.rank > 0)
            ok = check_output(s, task, k, made, &reference[k], how, nan) && ok;
    }
    return ok;
}

/* --- ways to run a task ----------------------------------------------------------------------- */

enum {
    ONLY_SEQUENCES = 1, /* for operators that know sequences */
    ONLY_SUMS = 2,      /* for operators with a sum axis */
    ONLY_LISTS = 4,     /* for operators with lists of cells */
    ONLY_SHARING = 8,
    SAME_BITS = 16,       /* as uncut */
    SAME_BITS_CELLS = 32, /* as uncut, if the reference says so */
    ONLY_UNALIGNED = 64,  /* for runners that take parts off alignment */
};

static const struct way {
    const char *name;
    struct pieces pieces;
    unsigned flags;
} ways[] = {
    {"off alignment", {.offset = 1}, ONLY_UNALIGNED | SAME_BITS},
    {"on cells", {.cells = CUT_UNEVEN}, ONLY_LISTS | SAME_BITS_CELLS},
    {"on random cells", {.cells = CUT_RANDOM}, ONLY_LISTS | SAME_BITS_CELLS},
    {"in ranges", {.ranges = {CUT_UNEVEN, CUT_UNEVEN}}, 0},
    {"in halves on cells", {.ranges = {CUT_HALVES, CUT_HALVES}, .cells = CUT_UNEVEN}, 0},
    {"in random ranges on random cells",
     {.ranges = {CUT_RANDOM, CUT_RANDOM}, .cells = CUT_RANDOM, .offset = 1},
     0},
    {"inside sequences", {.ranges = {CUT_UNEVEN, CUT_WHOLE}, .inside = true}, ONLY_SEQUENCES},
    {"inside sequences on cells",
     {.ranges = {CUT_RANDOM, CUT_WHOLE}, .inside = true, .cells = CUT_RANDOM},
     ONLY_SEQUENCES},
    {"in partial sums", {.sums = CUT_UNEVEN}, ONLY_SUMS},
    {"in ranges and partial sums on cells",
     {.ranges = {CUT_HALVES, CUT_HALVES}, .sums = CUT_RANDOM, .cells = CUT_RANDOM},
     ONLY_SUMS},
    {"in place", {.in_place = true}, ONLY_SHARING | SAME_BITS},
    {"in place in ranges",
     {.ranges = {CUT_UNEVEN, CUT_UNEVEN}, .cells = CUT_HALVES, .in_place = true},
     ONLY_SHARING},
};

static bool applies(const struct plb_operator *op, unsigned flags)
{
    bool lists = false, shares = false, sums = false;

    if ((flags & ONLY_UNALIGNED) && pieces_runner()->aligned)
        return false;
    for (int k = 0; k < op->n_in; k++)
        lists = lists || pieces_takes_list(&op->in[k]);
    for (int k = 0; k < op->n_out; k++)
        shares = shares || op->out[k].shares > 0;
    for (int a = PLB_AXIS_A; a <= PLB_AXIS_B; a++)
        sums = sums || pieces_axis(op, (enum plb_axis)a) == AXIS_SUM;
    return (op->granule > 0 || !(flags & ONLY_SEQUENCES)) && (sums || !(flags & ONLY_SUMS)) &&
           (lists || !(flags & ONLY_LISTS)) && (shares || !(flags & ONLY_SHARING));
}

static void check_same_bits(const struct subject *s, const struct plb_task *task,
                            const struct made *a, const struct made *b, const char *how)
{
    for (int k = 0; k < a->n; k++) {
        bool same = a->type[k].shape.rank == 0 ||
                    memcmp(a->data[k], b->data[k], plb_type_bytes(&a->type[k])) == 0;

        if (!same)
            fprintf(stderr, "%s: %s, %s %s has other bits than uncut\n", subject_name(s),
                    task->op->name, task->op->out[k].name, how);
        PLB_CHECK(same);
    }
}

/* Work is shared out over calls: none of it vanishes, and none is done twice, but for what a call
 * costs by itself. Of windows of sequences a cost rule sees the extents only, so there the bounds
 * are wide. Bytes may be read by several calls. */
static void check_cost(const struct subject *s, const struct plb_task *task,
                       const struct made *whole, const struct made *cut, const char *how)
{
    bool sequences = task->op->granule > 0;
    double least = sequences ? 0.4 : 0.99, most = sequences ? 3 : 1.01;
    double alone = CALL_FLOPS * cut->calls;
    bool ok = cut->cost.flops >= least * whole->cost.flops - alone &&
              cut->cost.flops <= most * whole->cost.flops + alone &&
              cut->cost.bytes >= 0.99 * whole->cost.bytes;

    if (!ok)
        fprintf(stderr, "%s: %s %s costs %g flops, %g bytes in %d calls, whole %g, %g\n",
                subject_name(s), task->op->name, how, cut->cost.flops, cut->cost.bytes, cut->calls,
                whole->cost.flops, whole->cost.bytes);
    PLB_CHECK(ok);
}

static void check_way(const struct subject *s, const struct plb_task *task, const struct way *way,
                      const struct made *whole, const struct reference_value *reference)
{
    struct pieces pieces = way->pieces;
    unsigned any_cells = reference_find(task->op->name)->flags & REFERENCE_ANY_CELLS;
    struct made made;
    enum plb_status status;

    pieces.seed = s->seed;
    status = pieces_run(s, task, s->data, &pieces, &made);
    if (status != PLB_OK)
        fprintf(stderr, "%s: %s %s: %s\n", subject_name(s), task->op->name, way->name,
                plb_error_message());
    PLB_CHECK_EQ(status, PLB_OK);
    if (status == PLB_OK) {
        check_made(s, task, &made, reference, way->name, false);
        check_cost(s, task, whole, &made, way->name);
        if ((way->flags & SAME_BITS) || ((way->flags & SAME_BITS_CELLS) && any_cells) ||
            (pieces.sums == CUT_WHOLE && pieces_runner()->same_bits(task->op)))
            check_same_bits(s, task, whole, &made, way->name);
    }
    made_free(&made);
}

/* --- a whole subject -------------------------------------------------------------------------- */

static double **doubles_of_inputs(const struct subject *s, const struct plb_task *task)
{
    double **values = calloc(SUBJECT_VALUES, sizeof *values);
    plb_value in[SUBJECT_VALUES];
    int n = subject_inputs(s, task, in);

    for (int k = 0; values != NULL && k < n; k++) {
        const struct plb_value_info *info;
        int64_t elements;

        if (in[k] == PLB_NONE || values[in[k]] != NULL)
            continue;
        info = plb_graph_value(s->graph, in[k]);
        elements = plb_shape_elements(&info->type.shape);
        values[in[k]] = malloc((size_t)elements * sizeof(double));
        for (int64_t i = 0; values[in[k]] != NULL && i < elements; i++)
            values[in[k]][i] = element_get(s->data[in[k]], info->type.dtype, i);
    }
    return values;
}

static void doubles_free(double **values)
{
    for (int v = 0; values != NULL && v < SUBJECT_VALUES; v++)
        free(values[v]);
    free(values);
}

static void keep_outputs(struct subject *s, const struct plb_task *task, const struct made *made)
{
    for (int k = 0; k < made->n; k++) {
        plb_value value = subject_output(task, k);

        if (value != PLB_NONE)
            memcpy(s->data[value], made->data[k], plb_type_bytes(&made->type[k]));
    }
}

/* Runs a task uncut. */
static bool runs(const struct subject *s, const struct plb_task *task, struct made *made)
{
    static const struct pieces uncut;
    enum plb_status status = pieces_run(s, task, s->data, &uncut, made);

    if (status != PLB_OK)
        fprintf(stderr, "%s: %s: %s\n", subject_name(s), task->op->name, plb_error_message());
    return PLB_CHECK_EQ(status, PLB_OK);
}

/* Every how many-th way a task is run in. */
static size_t stride_of(const struct made *whole)
{
    double cheap = pieces_runner()->cheap_flops;

    return cheap > 0 && whole->cost.flops > cheap ? 4 : 1;
}

static void check_task(struct subject *s, const struct plb_task *task, bool all_ways)
{
    struct reference_value reference[PLB_OPERANDS_MAX];
    struct made whole;
    size_t stride;
    double **in;

    if (reference_find(task->op->name) == NULL)
        return; /* check_coverage() fails for it */
    in = doubles_of_inputs(s, task);
    subject_reference(s, task, in, reference);
    record[operator_number(task->op)].seen[s->real] = true;
    all_ways = runs(s, task, &whole) &&
               check_made(s, task, &whole, reference, "uncut", false) && all_ways;
    stride = stride_of(&whole);
    for (size_t k = stride - 1; all_ways && k < sizeof(ways) / sizeof(ways[0]); k += stride) {
        if (applies(task->op, ways[k].flags))
            check_way(s, task, &ways[k], &whole, reference);
    }
    keep_outputs(s, task, &whole);
    made_free(&whole);
    reference_free(reference, task->n_out);
    doubles_free(in);
}

void check_values(struct subject *s)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(s->graph); t++)
        check_task(s, plb_graph_task(s->graph, t), true);
}

/* Puts NaN into an element of an input of a task, for a while. */
static void check_nan_at(struct subject *s, const struct plb_task *task, plb_value value,
                         int64_t element)
{
    const struct plb_type *type = &plb_graph_value(s->graph, value)->type;
    struct reference_value reference[PLB_OPERANDS_MAX];
    double kept = element_get(s->data[value], type->dtype, element);
    struct made made;
    double **in;

    element_set(s->data[value], type->dtype, element, NAN);
    in = doubles_of_inputs(s, task);
    subject_reference(s, task, in, reference);
    if (runs(s, task, &made))
        check_made(s, task, &made, reference, "with a NaN in an operand", true);
    element_set(s->data[value], type->dtype, element, kept);
    made_free(&made);
    reference_free(reference, task->n_out);
    doubles_free(in);
}

/* In the middle and at the end. */
static void check_nan_in(struct subject *s, const struct plb_task *task, plb_value value)
{
    int64_t n = plb_shape_elements(&plb_graph_value(s->graph, value)->type.shape);

    check_nan_at(s, task, value, n / 2);
    if (n > 1)
        check_nan_at(s, task, value, n - 1);
}

void check_nan(struct subject *s)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(s->graph); t++) {
        const struct plb_task *task = plb_graph_task(s->graph, t);
        plb_value in[SUBJECT_VALUES];
        int n = subject_inputs(s, task, in);

        if (reference_find(task->op->name) == NULL)
            continue;
        check_task(s, task, false);
        for (int k = 0; k < n; k++) {
            if (in[k] != PLB_NONE && plb_graph_value(s->graph, in[k])->type.dtype != PLB_I32)
                check_nan_in(s, task, in[k]);
        }
    }
}

/* --- all operators ---------------------------------------------------------------------------- */

void check_coverage(void)
{
    int n, n_references;
    const struct plb_operator *const *table = plb_operators(&n);
    const struct reference *references = reference_table(&n_references);

    PLB_REQUIRE(n > 0 && n < OPERATORS_MAX);
    for (int k = 0; k < n; k++) {
        const struct reference *reference = reference_find(table[k]->name);
        bool f32 = record[k].seen[PLB_F32], bf16 = record[k].seen[PLB_BF16];
        bool ok = reference != NULL && f32 && (bf16 || (reference->flags & REFERENCE_F32_ONLY));

        if (!ok)
            fprintf(stderr, "operator %s %s\n", table[k]->name,
                    reference == NULL ? "has no reference"
                    : !f32            ? "has no case in f32"
                                      : "has no case in bf16");
        PLB_CHECK(ok);
    }
    for (int k = 0; k < n_references; k++) {
        if (plb_operator_find(references[k].name) == NULL)
            fprintf(stderr, "there is no operator %s, which has a reference\n", references[k].name);
        PLB_CHECK(plb_operator_find(references[k].name) != NULL);
    }
}

void check_print_worst(void)
{
    int n;
    const struct plb_operator *const *table = plb_operators(&n);

    for (int k = 0; k < n && getenv("PLB_TEST_VERBOSE") != NULL; k++)
        printf("%-20s worst error %6.3f of what is allowed\n", table[k]->name, record[k].worst);
}
