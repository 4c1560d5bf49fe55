/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Subjects: building, filling, evaluating in double precision.
 */
#include "config.h"

#include "tests/codelets/subject.h"

#include "runtime/base/random.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- elements --------------------------------------------------------------------------------- */

double element_get(const void *data, enum plb_dtype dtype, int64_t i)
{
    uint32_t bits;
    float single;

    switch (dtype) {
    case PLB_F32:
        return ((const float *)data)[i];
    case PLB_F64:
        return ((const double *)data)[i];
    case PLB_I32:
        return ((const int32_t *)data)[i];
    default:
        break;
    }
    bits = (uint32_t)((const uint16_t *)data)[i] << 16;
    memcpy(&single, &bits, sizeof single);
    return single;
}

/* Rounds to bf16 to nearest, ties to even, through fp32. */
static uint16_t bf16_of(double value)
{
    float single = (float)value;
    uint32_t bits, lost;

    memcpy(&bits, &single, sizeof bits);
    if (isnan(single))
        return (uint16_t)(bits >> 16 | 0x40);
    lost = bits & 0xFFFF;
    bits >>= 16;
    return (uint16_t)(bits + (lost > 0x8000 || (lost == 0x8000 && (bits & 1))));
}

void element_set(void *data, enum plb_dtype dtype, int64_t i, double value)
{
    switch (dtype) {
    case PLB_F32:
        ((float *)data)[i] = (float)value;
        break;
    case PLB_F64:
        ((double *)data)[i] = value;
        break;
    case PLB_I32:
        ((int32_t *)data)[i] = (int32_t)value;
        break;
    default:
        ((uint16_t *)data)[i] = bf16_of(value);
        break;
    }
}

/* --- filling ---------------------------------------------------------------------------------- */

static double uniform(const struct subject *s, plb_value value, int64_t i)
{
    uint32_t word[4];

    plb_random_words(s->seed, value, (uint64_t)i, word);
    return (double)word[2] * 0x1p-32;
}

/* A shuffled ladder of 256 steps of 1/8 around zero, all of which bf16 can hold. It repeats, but
 * not within the 255 elements that a window for pooling may span. */
static double ladder(int64_t i)
{
    return (double)(i * 97 % 256 - 128) / 8;
}

static double filling(const struct subject *s, plb_value value, int64_t i, int64_t n)
{
    static const double hyper[] = {0.05, 1 / (1 - 0.9 * 0.9), 1 / (1 - 0.95 * 0.95), 0};
    double a = s->fill_a[value], normal = plb_random_normal(s->seed, value, (uint64_t)i);

    switch (s->fill[value]) {
    case FILL_NORMAL:
        return a * normal;
    case FILL_WIDE:
        return ldexp(normal, (int)(i * 7 % 41) - 20);
    case FILL_POSITIVE:
        return 0.1 + fabs(normal) * a;
    case FILL_APART:
        return normal + copysign(0.1, normal);
    case FILL_DISTINCT:
        return ladder(i);
    case FILL_FEW:
        return floor(uniform(s, value, i) * a) - 1;
    case FILL_INDEX:
        return floor(uniform(s, value, i) * a);
    case FILL_TARGET:
        return uniform(s, value, i + n) < 0.25 ? -1 : floor(uniform(s, value, i) * a);
    case FILL_IGNORED:
        return -1;
    case FILL_PLACES:
        return (double)(i % (int64_t)a + i / (int64_t)a % 3);
    case FILL_HYPER:
        return hyper[i % 4];
    }
    return 0;
}

static bool fill_value(struct subject *s, plb_value value)
{
    const struct plb_value_info *info = plb_graph_value(s->graph, value);
    int64_t n = plb_shape_elements(&info->type.shape);

    s->data[value] = calloc(1, plb_type_bytes(&info->type));
    if (s->data[value] == NULL)
        return false;
    for (int64_t i = 0; info->producer == PLB_NONE && i < n; i++)
        element_set(s->data[value], info->type.dtype, i, filling(s, value, i, n));
    return true;
}

/* --- building --------------------------------------------------------------------------------- */

plb_value subject_input(struct subject *s, const char *name, enum plb_dtype dtype,
                        struct plb_shape shape, enum fill fill, double a)
{
    plb_value value = plb_graph_add_value(s->graph, name, PLB_ROLE_INPUT, dtype, shape);

    if (value < SUBJECT_VALUES) {
        s->fill[value] = fill;
        s->fill_a[value] = a;
    }
    return value;
}

plb_value subject_real(struct subject *s, const char *name, struct plb_shape shape)
{
    return subject_input(s, name, s->real, shape, FILL_NORMAL, 1);
}

int subject_inputs(const struct subject *s, const struct plb_task *task, plb_value *in)
{
    bool variadic = task->n_in > 0 && (task->op->in[task->n_in - 1].flags & PLB_VARIADIC);
    int n = 0;

    (void)s;
    for (int k = 0; k < task->n_in; k++) {
        uint32_t from = task->in_start[k], to = task->in_start[k + 1];

        if (from == to)
            in[n++] = PLB_NONE;
        for (uint32_t i = from; i < to && (i == from || (variadic && k == task->n_in - 1)); i++)
            in[n++] = task->in[i];
    }
    return n;
}

plb_value subject_output(const struct plb_task *task, int k)
{
    return task->out_start[k] < task->out_start[k + 1] ? task->out[task->out_start[k]] : PLB_NONE;
}

bool subject_is_real(const struct subject *s, plb_value value)
{
    enum plb_dtype dtype;

    if (value == PLB_NONE)
        return false;
    dtype = plb_graph_value(s->graph, value)->type.dtype;
    return dtype == PLB_F32 || dtype == PLB_BF16;
}

/* Lets the rule of task `id` add its tasks. The graph may move the task: it is looked up again. */
static enum plb_status differentiate(struct subject *s, plb_task_id id)
{
    const struct plb_task *task = plb_graph_task(s->graph, id);
    plb_value in[SUBJECT_VALUES], d_in[SUBJECT_VALUES], out[PLB_OPERANDS_MAX];
    plb_value d_out[PLB_OPERANDS_MAX];
    bool needs[SUBJECT_VALUES];
    int n = subject_inputs(s, task, in);
    const struct plb_value_info *y = plb_graph_value(s->graph, subject_output(task, 0));
    struct plb_gradient g = {s->graph, task, in, out, d_out, needs, d_in};
    char name[32];

    for (int k = 0; k < n; k++) {
        needs[k] = subject_is_real(s, in[k]);
        d_in[k] = PLB_NONE;
    }
    for (int k = 0; k < task->n_out; k++) {
        out[k] = subject_output(task, k);
        d_out[k] = PLB_NONE;
    }
    snprintf(name, sizeof name, "projection.%u", (unsigned)id);
    d_out[0] = s->projection[id] =
        subject_input(s, name, y->type.dtype, y->type.shape, FILL_NORMAL, 1);
    PLB_TRY(plb_graph_status(s->graph));
    PLB_TRY(task->op->gradient(&g));
    for (int k = 0; k < n; k++) {
        if (in[k] != PLB_NONE)
            s->gradient[in[k]] = d_in[k];
    }
    return plb_graph_status(s->graph);
}

static enum plb_status build(struct subject *s)
{
    s->case_->build(s);
    PLB_TRY(plb_graph_status(s->graph));
    s->n_forward = plb_graph_tasks(s->graph);
    plb_graph_set_phase(s->graph, PLB_PHASE_BACKWARD);
    for (plb_task_id t = 0; t < s->n_forward; t++) {
        if (plb_graph_task(s->graph, t)->op->gradient != NULL)
            PLB_TRY(differentiate(s, t));
    }
    return plb_graph_status(s->graph);
}

bool subject_create(struct subject *s, const struct subject_case *c, const int64_t *dims,
                    enum plb_dtype real, uint64_t seed)
{
    enum plb_status status;

    *s = (struct subject){.case_ = c, .d = dims, .real = real, .seed = seed, .step = 3};
    for (int k = 0; k < SUBJECT_VALUES; k++)
        s->projection[k] = s->gradient[k] = PLB_NONE;
    s->graph = plb_graph_create();
    if (s->graph == NULL)
        return false;
    status = build(s);
    s->n = plb_graph_values(s->graph);
    if (status != PLB_OK || s->n > SUBJECT_VALUES) {
        fprintf(stderr, "%s: %s\n", subject_name(s), plb_error_message());
        PLB_CHECK_EQ(status, PLB_OK);
        subject_destroy(s);
        return false;
    }
    for (plb_value v = 0; v < s->n; v++) {
        if (!fill_value(s, v))
            return false;
    }
    return true;
}

void subject_destroy(struct subject *s)
{
    for (int v = 0; v < SUBJECT_VALUES; v++)
        free(s->data[v]);
    plb_graph_destroy(s->graph);
    *s = (struct subject){0};
}

const char *subject_name(const struct subject *s)
{
    static char text[160];
    int n = snprintf(text, sizeof text, "%s %s seed %llu:", s->case_->name, plb_dtype_name(s->real),
                     (unsigned long long)s->seed);

    for (int k = 0; k < SUBJECT_DIMS && n < (int)sizeof text; k++)
        n += snprintf(text + n, sizeof text - (size_t)n, " %lld", (long long)s->d[k]);
    return text;
}

/* --- references ------------------------------------------------------------------------------- */

static void *allocate(int64_t n)
{
    void *memory = calloc((size_t)n, sizeof(double));

    if (memory == NULL) {
        fputs("no memory for a reference\n", stderr);
        abort();
    }
    return memory;
}

void reference_free(struct reference_value *value, int n)
{
    for (int k = 0; k < n; k++) {
        free(value[k].v);
        free(value[k].magnitude);
    }
}

void subject_reference(const struct subject *s, const struct plb_task *task, double *const *in,
                       struct reference_value *out)
{
    struct reference_value list[SUBJECT_VALUES] = {{0}};
    plb_value values[SUBJECT_VALUES];
    struct reference_call call = {task->op, &task->attributes, 0, list, out, s->step};

    call.n_in = subject_inputs(s, task, values);
    for (int k = 0; k < call.n_in; k++) {
        if (values[k] != PLB_NONE)
            list[k] = (struct reference_value){in[values[k]], NULL,
                                               plb_graph_value(s->graph, values[k])->type};
    }
    for (int k = 0; k < task->n_out; k++) {
        plb_value value = subject_output(task, k);

        out[k] = (struct reference_value){0};
        if (value == PLB_NONE)
            continue;
        out[k].type = plb_graph_value(s->graph, value)->type;
        out[k].v = allocate(plb_shape_elements(&out[k].type.shape));
        out[k].magnitude = allocate(plb_shape_elements(&out[k].type.shape));
    }
    reference_find(task->op->name)->run(&call);
}

static void evaluate_task(const struct subject *s, const struct plb_task *task, double **values)
{
    struct reference_value out[PLB_OPERANDS_MAX];

    subject_reference(s, task, values, out);
    for (int k = 0; k < task->n_out; k++) {
        plb_value value = subject_output(task, k);

        free(out[k].magnitude);
        if (value == PLB_NONE)
            continue;
        free(values[value]);
        values[value] = out[k].v;
    }
}

void subject_evaluate(const struct subject *s, plb_task_id first, plb_task_id last, double **values)
{
    for (plb_value v = 0; v < s->n; v++) {
        const struct plb_value_info *info = plb_graph_value(s->graph, v);
        int64_t n = plb_shape_elements(&info->type.shape);

        if (values[v] != NULL || info->producer != PLB_NONE)
            continue;
        values[v] = allocate(n);
        for (int64_t i = 0; i < n; i++)
            values[v][i] = element_get(s->data[v], info->type.dtype, i);
    }
    for (plb_task_id t = first; t < last; t++)
        evaluate_task(s, plb_graph_task(s->graph, t), values);
}
