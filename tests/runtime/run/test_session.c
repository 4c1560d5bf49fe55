/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The executor against the serial interpreter: a training step of a small language model has the
 * same bits on StarPU as value by value in order; failures are reported and named; memory goes
 * back; times are traced.
 */
#include "config.h"

#include "codelets/codelets.h"
#include "runtime/graph/differentiate.h"
#include "runtime/run/ledger.h"
#include "runtime/run/session.h"
#include "runtime/run/timeline.h"
#include "tests/support/interpreter.h"
#include "tests/support/plb_test.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 3, SEQUENCE = 20, ROWS = BATCH * SEQUENCE, VOCAB = 300, WIDTH = 48, HEADS = 3 };

/* Cuts everything into small pieces, so that even a small model becomes hundreds of tasks: more
 * cells in an operand than StarPU's array of buffers, tree sums, columns. */
static const struct plb_cut_options fine = {.target_seconds = 2e-7,
                                            .block_elements = 256,
                                            .rows_min = 8};

struct model {
    plb_graph_t *graph;
    plb_value tokens, targets, hyper, loss;
    plb_value parameter[8];
    int n_parameters;
};

static plb_value parameter(struct model *m, const char *name, struct plb_shape shape)
{
    plb_value v = plb_graph_add_value(m->graph, name, PLB_ROLE_PARAMETER, PLB_F32, shape);

    m->parameter[m->n_parameters++] = v;
    return v;
}

static void add_updates(struct model *m)
{
    const struct plb_sgd sgd = {.momentum = 0.9};
    plb_value gradient[8];

    PLB_CHECK_EQ(plb_graph_differentiate(m->graph, m->loss, m->parameter, m->n_parameters, gradient),
                 PLB_OK);
    plb_graph_set_phase(m->graph, PLB_PHASE_UPDATE);
    for (int k = 0; k < m->n_parameters; k++) {
        const struct plb_value_info *info = plb_graph_value(m->graph, m->parameter[k]);
        struct plb_shape shape = info->type.shape;
        struct plb_update next;
        char name[64];
        plb_value v;

        snprintf(name, sizeof name, "%s.velocity", info->name);
        v = plb_graph_add_value(m->graph, name, PLB_ROLE_STATE, PLB_F32, shape);
        next = plb_sgd(m->graph, m->parameter[k], gradient[k], v, m->hyper, PLB_NONE, PLB_NONE,
                       &sgd);
        plb_graph_carry(m->graph, m->parameter[k], next.parameter);
        plb_graph_carry(m->graph, v, next.moment1);
    }
}

static struct model make_model(void)
{
    const struct plb_attention attention = {
        .heads = HEADS, .kv_heads = HEADS, .head_dim = WIDTH / HEADS, .sequence = SEQUENCE};
    struct model m = {.graph = plb_graph_create()};
    plb_graph_t *g = m.graph;
    plb_value table, x, y;

    m.tokens = plb_graph_add_value(g, "tokens", PLB_ROLE_INPUT, PLB_I32, plb_shape1(ROWS));
    m.targets = plb_graph_add_value(g, "targets", PLB_ROLE_INPUT, PLB_I32, plb_shape1(ROWS));
    m.hyper = plb_graph_add_value(g, "hyper", PLB_ROLE_INPUT, PLB_F32, plb_shape1(4));
    table = parameter(&m, "table", plb_shape2(VOCAB, WIDTH));
    x = plb_embedding(g, m.tokens, table);
    y = plb_layer_norm(g, x, parameter(&m, "gamma", plb_shape1(WIDTH)), PLB_NONE, 1e-5);
    y = plb_linear(g, y, parameter(&m, "qkv", plb_shape2(3 * WIDTH, WIDTH)),
                   parameter(&m, "qkv.bias", plb_shape1(3 * WIDTH)));
    y = plb_attention(g, y, &attention);
    y = plb_dropout(g, y, 0.1, 5, 1);
    x = plb_add(g, x, plb_linear(g, y, parameter(&m, "out", plb_shape2(WIDTH, WIDTH)), PLB_NONE));
    x = plb_gelu(g, x, PLB_GELU_TANH);
    x = plb_linear(g, x, table, PLB_NONE);
    m.loss = plb_mean_loss(g, plb_cross_entropy(g, x, m.targets), m.targets);
    plb_graph_output(g, m.loss);
    add_updates(&m);
    PLB_CHECK_EQ(plb_graph_status(g), PLB_OK);
    return m;
}

/* Fixed data: small integers scaled, no library's random numbers. */
static float number(uint32_t k)
{
    return (float)((int)(k * 2654435761u >> 20) - 2048) / 30000.0f;
}

static float *parameter_data(const struct model *m, int k, size_t *bytes_out)
{
    const struct plb_type *type = &plb_graph_value(m->graph, m->parameter[k])->type;
    int64_t n = plb_shape_elements(&type->shape);
    float *data = malloc((size_t)n * sizeof *data);

    for (int64_t i = 0; i < n; i++)
        data[i] = type->shape.rank == 1 ? 1.0f : number((uint32_t)(i + 1000 * k));
    *bytes_out = (size_t)n * sizeof *data;
    return data;
}

static void fill_rows(int step, int32_t *tokens, int32_t *targets)
{
    for (int r = 0; r < ROWS; r++) {
        tokens[r] = (r * 7 + step % 2 * 13) % VOCAB;
        targets[r] = r % 9 == 0 ? -100 : (r * 11 + step % 2) % VOCAB;
    }
}

static const float hyper[4] = {0.5f, 1.0f, 1.0f, 0.0f};

static const char *name_of(const struct model *m, int k)
{
    return plb_graph_value(m->graph, m->parameter[k])->name;
}

static void fill_store(const struct model *m, plb_store_t *store)
{
    for (int k = 0; k < m->n_parameters; k++) {
        size_t bytes;
        float *data = parameter_data(m, k, &bytes);

        PLB_CHECK_EQ(plb_store_write(store, name_of(m, k), data, bytes), PLB_OK);
        free(data);
    }
}

/* One step on the session; the loss. */
static float session_step(const struct model *m, plb_session_t *session, int step)
{
    int32_t tokens[ROWS], targets[ROWS];
    float loss = 0.0f;

    fill_rows(step, tokens, targets);
    PLB_CHECK_EQ(plb_session_write(session, m->tokens, tokens, sizeof tokens), PLB_OK);
    PLB_CHECK_EQ(plb_session_write(session, m->targets, targets, sizeof targets), PLB_OK);
    PLB_CHECK_EQ(plb_session_write(session, m->hyper, hyper, sizeof hyper), PLB_OK);
    PLB_CHECK_EQ(plb_session_step(session, (uint64_t)step), PLB_OK);
    PLB_CHECK_EQ(plb_session_read(session, m->loss, &loss, sizeof loss), PLB_OK);
    return loss;
}

static float interpreter_step(const struct model *m, plb_interpreter_t *interpreter, int step)
{
    int32_t tokens[ROWS], targets[ROWS];
    float loss = 0.0f;

    fill_rows(step, tokens, targets);
    plb_interpreter_write(interpreter, m->tokens, tokens, sizeof tokens);
    plb_interpreter_write(interpreter, m->targets, targets, sizeof targets);
    plb_interpreter_write(interpreter, m->hyper, hyper, sizeof hyper);
    PLB_CHECK_EQ(plb_interpreter_step(interpreter, (uint64_t)step), PLB_OK);
    plb_interpreter_read(interpreter, m->loss, &loss, sizeof loss);
    return loss;
}

static void compare_parameters(const struct model *m, plb_store_t *store,
                               const plb_interpreter_t *interpreter)
{
    for (int k = 0; k < m->n_parameters; k++) {
        size_t bytes = plb_type_bytes(&plb_graph_value(m->graph, m->parameter[k])->type);
        void *ours = malloc(bytes), *theirs = malloc(bytes);

        PLB_CHECK_EQ(plb_store_read(store, name_of(m, k), ours, bytes), PLB_OK);
        PLB_CHECK_EQ(plb_interpreter_read(interpreter, m->parameter[k], theirs, bytes), PLB_OK);
        PLB_CHECK_MEMORY(ours, theirs, bytes);
        free(ours);
        free(theirs);
    }
}

/* A session with its store. */
struct bench {
    struct model model;
    plb_store_t *store;
    plb_session_t *session;
};

static struct bench make_bench(const struct plb_session_options *options)
{
    struct bench b = {.model = make_model()};

    PLB_REQUIRE(plb_store_create(&b.store) == PLB_OK);
    PLB_CHECK_EQ(plb_session_create(b.model.graph, options, b.store, &b.session), PLB_OK);
    PLB_REQUIRE(b.session != NULL);
    fill_store(&b.model, b.store);
    return b;
}

static void free_bench(struct bench *b)
{
    plb_session_destroy(b->session);
    plb_store_destroy(b->store);
    plb_graph_destroy(b->model.graph);
}

static void same_bits_as_in_order(void)
{
    const struct plb_session_options options = {.cut = fine};
    struct bench b = make_bench(&options);
    plb_interpreter_t *interpreter;
    float first = 0.0f, last = 0.0f;

    PLB_REQUIRE(plb_interpreter_create(b.model.graph, plb_session_graph(b.session),
                                       &interpreter) == PLB_OK);
    for (int k = 0; k < b.model.n_parameters; k++) {
        size_t bytes;
        float *data = parameter_data(&b.model, k, &bytes);

        plb_interpreter_write(interpreter, b.model.parameter[k], data, bytes);
        free(data);
    }
    for (int step = 0; step < 11; step++) {
        float ours = session_step(&b.model, b.session, step);
        float theirs = interpreter_step(&b.model, interpreter, step);

        PLB_CHECK_MEMORY(&ours, &theirs, sizeof ours);
        first = step ? first : ours;
        last = ours;
    }
    PLB_CHECK(last < first);
    compare_parameters(&b.model, b.store, interpreter);
    plb_interpreter_destroy(interpreter);
    free_bench(&b);
}

/* The cut of the test above is what makes it a test. */
static void the_cut_is_fine(void)
{
    const struct plb_session_options options = {.cut = fine};
    struct bench b = make_bench(&options);
    const plb_graph_t *cut = plb_session_graph(b.session);
    uint32_t most = 0, sums = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(cut); t++) {
        const struct plb_task *task = plb_graph_task(cut, t);

        if (task->in_start[task->n_in] > most)
            most = task->in_start[task->n_in];
        sums += task->source == PLB_NONE;
    }
    PLB_CHECK(plb_graph_tasks(cut) > 10 * plb_graph_tasks(b.model.graph));
    PLB_CHECK(most > 32);
    PLB_CHECK(sums > 0);
    free_bench(&b);
}

/* Steps submitted without waiting, with little or much in flight, give the same bits. */
static void flight_does_not_matter(void)
{
    float losses[3];

    for (int k = 0; k < 3; k++) {
        const struct plb_session_options options = {.cut = fine, .in_flight = k == 0   ? 1
                                                                             : k == 1 ? 100
                                                                                      : 100000};
        struct bench b = make_bench(&options);

        session_step(&b.model, b.session, 0);
        for (int step = 1; step < 5; step++)
            PLB_CHECK_EQ(plb_session_step(b.session, (uint64_t)step), PLB_OK);
        PLB_CHECK_EQ(plb_session_read(b.session, b.model.loss, &losses[k], sizeof losses[k]),
                     PLB_OK);
        free_bench(&b);
    }
    PLB_CHECK_MEMORY(&losses[0], &losses[1], sizeof losses[0]);
    PLB_CHECK_MEMORY(&losses[0], &losses[2], sizeof losses[0]);
}

static void failures_are_named(void)
{
    struct bench b = make_bench(NULL);
    int32_t tokens[ROWS] = {0};
    float loss;

    session_step(&b.model, b.session, 0);
    tokens[5] = VOCAB;
    PLB_CHECK_EQ(plb_session_write(b.session, b.model.tokens, tokens, sizeof tokens), PLB_OK);
    PLB_CHECK_EQ(plb_session_step(b.session, 1), PLB_OK);
    PLB_CHECK(plb_session_read(b.session, b.model.loss, &loss, sizeof loss) != PLB_OK);
    PLB_CHECK_CONTAINS(plb_error_message(), "embedding");
    PLB_CHECK_CONTAINS(plb_error_message(), "300");
    PLB_CHECK(plb_session_step(b.session, 2) != PLB_OK);
    free_bench(&b);
}

static void wrong_calls_are_refused(void)
{
    struct bench b = make_bench(NULL);
    plb_session_t *other = NULL;
    plb_graph_t *graph = plb_graph_create();
    const struct plb_trace_record *records;
    struct plb_type type;
    float data[4] = {0};
    uint32_t n;

    PLB_CHECK_EQ(plb_session_write(b.session, b.model.hyper, data, 4), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "'hyper' has 16 bytes, not 4");
    PLB_CHECK_EQ(plb_session_write(b.session, b.model.parameter[0], data, 16), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_session_write(b.session, PLB_NONE, data, 16), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_session_read(b.session, b.model.loss - 1, data, 4), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "not marked as output");
    PLB_CHECK_EQ(plb_store_read(b.store, "nothing", data, 4), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_store_read(b.store, "gamma", data, 4), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_store_type(b.store, "gamma", &type), PLB_OK);
    PLB_CHECK_EQ(type.shape.dim[0], WIDTH);
    PLB_CHECK_EQ(plb_session_get_trace(b.session, &records, &n), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_runtime_start(NULL), PLB_ERROR_INVALID);
    /* The same name with another type. */
    plb_graph_output(graph, plb_gelu(graph,
                                     plb_graph_add_value(graph, "gamma", PLB_ROLE_PARAMETER,
                                                         PLB_F32, plb_shape1(7)),
                                     PLB_GELU_ERF));
    PLB_CHECK_EQ(plb_session_create(graph, NULL, b.store, &other), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "'gamma' is f32[48] in the store, f32[7] in the graph");
    PLB_CHECK(other == NULL);
    plb_graph_destroy(graph);
    free_bench(&b);
}

/* Parameters that no machine holds: refused with the figures, and nothing is left behind. */
static void too_large_is_refused(void)
{
    plb_graph_t *graph = plb_graph_create();
    plb_session_t *session = NULL;
    plb_store_t *store;
    plb_value w = plb_graph_add_value(graph, "w", PLB_ROLE_PARAMETER, PLB_F32,
                                      plb_shape2(1 << 20, 1 << 22));

    PLB_REQUIRE(plb_store_create(&store) == PLB_OK);
    plb_graph_output(graph, plb_sum_squares(graph, w));
    PLB_CHECK_EQ(plb_session_create(graph, NULL, store, &session), PLB_ERROR_MEMORY);
    PLB_CHECK_CONTAINS(plb_error_message(), "16.0 TiB");
    PLB_CHECK(session == NULL);
    plb_store_destroy(store);
    plb_graph_destroy(graph);
}

static void memory_goes_back(void)
{
    struct plb_session_info info;
    struct plb_ledger before, during, after;
    struct bench b;
    size_t sum = 0;

    plb_ledger_get(0, &before);
    b = make_bench(NULL);
    session_step(&b.model, b.session, 0);
    plb_ledger_get(0, &during);
    plb_session_get_info(b.session, &info);
    for (int a = 0; a < PLB_ACCOUNTS; a++)
        sum += during.now[a];
    PLB_CHECK_EQ(sum, during.now_total);
    PLB_CHECK_EQ(during.now_total,
                 info.persistent_bytes + info.transient_bytes + info.scratch_bytes);
    PLB_CHECK(info.planned_peak <= info.persistent_bytes + info.transient_bytes);
    PLB_CHECK_EQ(plb_store_bytes(b.store), info.persistent_bytes);
    free_bench(&b);
    plb_ledger_get(0, &after);
    PLB_CHECK_EQ(after.now_total - after.now[PLB_ACCOUNT_SCRATCH],
                 before.now_total - before.now[PLB_ACCOUNT_SCRATCH]);
    PLB_CHECK(after.peak_total >= during.now_total);
}

static void steps_are_traced(void)
{
    struct bench b = make_bench(NULL);
    const struct plb_trace_record *record;
    uint32_t n = 0;
    char *svg = NULL, *perfetto = NULL;
    json_t *root;

    plb_session_trace(b.session, true);
    session_step(&b.model, b.session, 0);
    PLB_REQUIRE(plb_session_get_trace(b.session, &record, &n) == PLB_OK);
    PLB_CHECK_EQ(n, plb_graph_tasks(plb_session_graph(b.session)));
    for (uint32_t k = 0; k < n; k++) {
        PLB_CHECK(record[k].worker >= 0 && record[k].worker < plb_runtime_workers());
        PLB_CHECK(record[k].start >= 0.0 && record[k].end >= record[k].start);
    }
    PLB_CHECK_EQ(plb_timeline_svg(b.session, "a <step> & more", &svg), PLB_OK);
    PLB_CHECK_CONTAINS(svg, "a &lt;step&gt; &amp; more");
    PLB_CHECK_CONTAINS(svg, "</svg>");
    PLB_CHECK_EQ(plb_timeline_perfetto(b.session, &perfetto), PLB_OK);
    root = json_loads(perfetto, JSON_REJECT_DUPLICATES, NULL);
    PLB_CHECK_EQ(json_array_size(json_object_get(root, "traceEvents")), n);
    json_decref(root);
    free(svg);
    free(perfetto);
    free_bench(&b);
}

static int start(void)
{
    const struct plb_runtime_options options = {.workers = 2};

    if (plb_runtime_start(&options) == PLB_OK)
        return 0;
    fprintf(stderr, "%s\n", plb_error_message());
    return 1;
}

static int stop(void)
{
    plb_runtime_stop();
    return plb_runtime_workers();
}

PLB_TEST_MAIN("runtime/run/session", start, stop, PLB_TEST(same_bits_as_in_order),
              PLB_TEST(the_cut_is_fine), PLB_TEST(flight_does_not_matter),
              PLB_TEST(failures_are_named), PLB_TEST(wrong_calls_are_refused),
              PLB_TEST(too_large_is_refused), PLB_TEST(memory_goes_back),
              PLB_TEST(steps_are_traced))
