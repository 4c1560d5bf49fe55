/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shape rules: each operand of each task of a subject is taken away, given another dtype, another
 * rank, or a longer dimension. That must be refused as invalid, with a message that names an
 * operand, unless the operand is free to be so. Attributes become numbers without sense.
 */
#include "config.h"

#include "tests/codelets/check.h"

#include "tests/support/plb_test.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* What may change on its own where an operator has several inputs. Dimension 0 is "0", ... */
static const struct freedom {
    const char *op, *operand, *what;
} freedoms[] = {
    {"embedding", "tokens", "0"},
    {"embedding", "table", "0 1 bf16"},
    {"linear", "x", "0"},
    {"linear", "w", "0"}, /* where there is no bias */
    {"linear_dx", "dy", "0"},
    {"linear_dx", "w", "1"},
    {"linear_dw", "x", "1"},
    {"linear_dw", "dy", "1"},
    {"embedding_dw", "dy", "1 bf16"},
    {"layer_norm", "x", "0"},
    {"rms_norm", "x", "0"},
    {"rope", "x", "1 bf16"},
    {"cache_write", "cache", ""},
    {"take_rows", "x", "0 1 bf16 f64 i32"},
    {"take_rows", "index", "0"},
    {"cross_entropy", "logits", "1 bf16"},
    {"cross_entropy_dx", "logits", "1 bf16"},
    {"cross_entropy_part", "logits", "1 bf16"},
    {"cross_entropy_part_dx", "logits", "1 bf16"},
    {"mean_loss_dx", "targets", "0"},
    {"max_pool2d_dx", "dy", "bf16"},
    {"reshape", "x", "f64 i32"}, /* any dtype: it moves bytes */
    {"conv2d", "x", "0 2 3"},
    {"conv2d", "w", "0 2 3"},
    {"conv2d_dx", "dy", "0"},
    {"conv2d_dx", "w", "1 2 3"}, /* 2, 3: where the stride passes over the rest */
    {"conv2d_dw", "x", "1 2 3"},
    {"conv2d_dw", "dy", "1"},
};

struct mutation {
    struct plb_attributes attributes;
    plb_value types[SUBJECT_VALUES];
    struct plb_type type[SUBJECT_VALUES];
    bool absent[SUBJECT_VALUES];
    int n;
};

static bool is_free(const struct plb_operator *op, const char *operand, const char *what)
{
    for (size_t k = 0; k < sizeof(freedoms) / sizeof(freedoms[0]); k++) {
        if (strcmp(freedoms[k].op, op->name) == 0 && strcmp(freedoms[k].operand, operand) == 0 &&
            strstr(freedoms[k].what, what) != NULL)
            return true;
    }
    return false;
}

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        bool begins = at == text || (!isalnum((unsigned char)at[-1]) && at[-1] != '_');

        if (begins && !isalnum((unsigned char)at[n]) && at[n] != '_')
            return true;
    }
    return false;
}

static bool names_operand(const struct plb_operator *op, const char *text)
{
    if (op->n_in == 1 && has_word(text, op->name))
        return true;
    for (int k = 0; k < op->n_in; k++) {
        if (has_word(text, op->in[k].name))
            return true;
    }
    for (int k = 0; k < 8; k++) {
        if (op->attribute_i[k] != NULL && has_word(text, op->attribute_i[k]))
            return true;
    }
    return false;
}

/* What the graph says to a task with these inputs. */
static enum plb_status try_task(const struct plb_task *task, const struct mutation *m)
{
    plb_graph_t *graph = plb_graph_create();
    plb_value in[SUBJECT_VALUES], out[PLB_OPERANDS_MAX];
    enum plb_status status;
    char name[16];

    for (int k = 0; k < m->n; k++) {
        snprintf(name, sizeof name, "in.%d", k);
        in[k] = m->absent[k] ? PLB_NONE
                             : plb_graph_add_value(graph, name, PLB_ROLE_INPUT, m->type[k].dtype,
                                                   m->type[k].shape);
    }
    plb_graph_add_task(graph, task->op, &m->attributes, in, m->n, NULL, out);
    status = plb_graph_status(graph);
    plb_graph_destroy(graph);
    return status;
}

static void require_rejection(const struct subject *s, const struct plb_task *task,
                              const struct mutation *m, int k, const char *what)
{
    const struct plb_operator *op = task->op;
    const struct plb_operand_spec *spec = &op->in[k < op->n_in ? k : op->n_in - 1];
    enum plb_status status = try_task(task, m);
    bool alone = m->n == 1 && what[1] == '\0'; /* the rank and the extents of an only operand */
    bool ok = status == PLB_ERROR_INVALID && names_operand(op, plb_error_message());

    if (status == PLB_OK && (alone || is_free(op, spec->name, what)))
        return;
    if (!ok)
        fprintf(stderr, "%s: %s with another %s (%s): %s\n", subject_name(s), op->name, spec->name,
                what, status == PLB_OK ? "accepted" : plb_error_message());
    PLB_CHECK(ok);
}

static void mutate_dtype(const struct subject *s, const struct plb_task *task,
                         const struct mutation *original, int k)
{
    enum plb_dtype dtype = original->type[k].dtype;
    bool real = dtype == PLB_F32 || dtype == PLB_BF16;
    struct mutation m = *original;

    m.type[k].dtype = real ? PLB_F64 : PLB_F32;
    require_rejection(s, task, &m, k, real ? "f64" : "f32");
    if (real) {
        m.type[k].dtype = PLB_I32;
        require_rejection(s, task, &m, k, "i32");
    }
    if (real && m.n > 1) {
        m.type[k].dtype = dtype == PLB_F32 ? PLB_BF16 : PLB_F32;
        require_rejection(s, task, &m, k, "bf16");
    }
}

static void mutate_shape(const struct subject *s, const struct plb_task *task,
                         const struct mutation *original, int k)
{
    struct mutation m = *original;
    int rank = m.type[k].shape.rank;
    char what[2] = {0};

    for (int d = 0; d < rank; d++) {
        what[0] = (char)('0' + d);
        m = *original;
        m.type[k].shape.dim[d]++;
        require_rejection(s, task, &m, k, what);
    }
    m = *original;
    m.type[k].shape.rank = rank < PLB_RANK_MAX ? rank + 1 : rank - 1;
    m.type[k].shape.dim[rank < PLB_RANK_MAX ? rank : rank - 1] = rank < PLB_RANK_MAX;
    require_rejection(s, task, &m, k, "r");
}

/* A rule may live with another number, but not with one of `never`, and it may not overflow. */
static void require_sense(const struct subject *s, const struct plb_task *task,
                          const struct mutation *m, const char *name, bool never, double value)
{
    enum plb_status status = try_task(task, m);
    bool ok = status == PLB_ERROR_INVALID || (status == PLB_OK && !never);

    if (!ok)
        fprintf(stderr, "%s: %s with %s %g: %s\n", subject_name(s), task->op->name, name, value,
                status == PLB_OK ? "accepted" : plb_error_message());
    PLB_CHECK(ok);
}

static bool among(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcmp(*names, name) == 0)
            return true;
    }
    return false;
}

static void mutate_attributes(const struct subject *s, const struct plb_task *task,
                              const struct mutation *original)
{
    static const char *const positive[] = {"heads",    "kv_heads", "head_dim", "sequence",
                                           "capacity", "window",   "stride",   NULL};
    static const char *const numbers[] = {"p",     "dropout", "eps",      "beta1",        "beta2",
                                          "theta", "epsilon", "momentum", "weight_decay", NULL};
    bool backward = strstr(task->op->name, "_d") != NULL; /* their attributes come from a rule */
    static const int64_t integers[] = {0, -1, INT64_MIN, INT64_MAX, INT64_MAX / 2, 1 << 20};
    static const double reals[] = {-1, NAN, INFINITY};

    for (int k = 0; k < 8; k++) {
        const char *name = task->op->attribute_i[k];

        for (int j = 0; name != NULL && j < 6; j++) {
            struct mutation m = *original;

            m.attributes.i[k] = integers[j];
            require_sense(s, task, &m, name, among(name, positive) && integers[j] <= 0,
                          (double)integers[j]);
        }
    }
    for (int k = 0; k < 4; k++) {
        const char *name = task->op->attribute_f[k];

        for (int j = 0; name != NULL && j < 3; j++) {
            struct mutation m = *original;

            m.attributes.f[k] = reals[j];
            require_sense(s, task, &m, name, !backward && among(name, numbers), reals[j]);
        }
    }
}

static void check_task(const struct subject *s, const struct plb_task *task)
{
    struct mutation original = {.attributes = task->attributes, .n = 0}, m;
    const struct plb_operator *op = task->op;

    original.n = subject_inputs(s, task, original.types);
    for (int k = 0; k < original.n; k++) {
        original.absent[k] = original.types[k] == PLB_NONE;
        if (!original.absent[k])
            original.type[k] = plb_graph_value(s->graph, original.types[k])->type;
    }
    PLB_CHECK_EQ(try_task(task, &original), PLB_OK);
    mutate_attributes(s, task, &original);
    for (int k = 0; k < original.n; k++) {
        const struct plb_operand_spec *spec = &op->in[k < op->n_in ? k : op->n_in - 1];

        if (original.absent[k])
            continue;
        m = original;
        m.absent[k] = true;
        if (!(spec->flags & PLB_OPTIONAL))
            require_rejection(s, task, &m, k, "absent");
        mutate_dtype(s, task, &original, k);
        mutate_shape(s, task, &original, k);
    }
}

void check_rejections(struct subject *s)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(s->graph); t++)
        check_task(s, plb_graph_task(s->graph, t));
}
