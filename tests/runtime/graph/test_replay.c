/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dropped, evicted and lost are one thing: after a training step of a small GPT-2 in cells, values
 * are lost at random, lineage says what must run again, and what it makes has the bits that it had.
 */
#include "config.h"

#include "codelets/common/blas.h"
#include "runtime/base/random.h"
#include "runtime/graph/cut.h"
#include "runtime/graph/lineage.h"
#include "runtime/run/invoke.h"
#include "tests/runtime/graph/fake.h"
#include "tests/runtime/graph/models.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOSSES 60 /* rounds of losing values */
#define STEP   3

/* The step and all its values, as they are now and as they were after the step. */
static struct {
    struct model model;
    plb_graph_t *cut;
    uint32_t n_values, n_tasks;
    void **now, **then;
    bool *have, *again;
} step;

static size_t bytes_of(plb_value v)
{
    return plb_type_bytes(&plb_graph_value(step.cut, v)->type);
}

static enum plb_status run_task(plb_task_id t)
{
    const struct plb_task *task = plb_graph_task(step.cut, t);
    uint32_t n_in = task->in_start[task->n_in], n = n_in + task->out_start[task->n_out];
    void **data = malloc((n + 1) * sizeof *data), *scratch;
    struct plb__invocation invocation;
    enum plb_status status;

    for (uint32_t i = 0; i < n; i++)
        data[i] = step.now[i < n_in ? task->in[i] : task->out[i - n_in]];
    status = plb__invocation_prepare(step.cut, t, false, &invocation);
    if (status != PLB_OK) {
        free(data);
        return status;
    }
    scratch = aligned_alloc(64, (invocation.scratch_bytes + 127) / 64 * 64);
    status = plb__invocation_run(&invocation, data, STEP, scratch);
    plb__invocation_clear(&invocation);
    free(scratch);
    free(data);
    return status;
}

/* Small numbers in all that exists before the step; integers index tables, of which the least has a
 * row per position. */
static void fill(plb_value v, int64_t below)
{
    const struct plb_type *type = &plb_graph_value(step.cut, v)->type;
    int64_t n = plb_shape_elements(&type->shape);

    for (int64_t i = 0; i < n; i++) {
        float normal = 0.1f * plb_random_normal(5, v, (uint64_t)i);

        if (type->dtype == PLB_I32)
            ((int32_t *)step.now[v])[i] = (int32_t)((7 * i + v) % below);
        else if (type->dtype == PLB_F32)
            ((float *)step.now[v])[i] = normal * normal; /* second moments must not be negative */
    }
}

static int begin(void)
{
    const struct model_shape shape = {.batch = 2,
                                      .sequence = 16,
                                      .width = 32,
                                      .heads = 4,
                                      .layers = 2,
                                      .vocabulary = 61,
                                      .clip = true,
                                      .dropout = 0.1};
    const struct plb_cut_options options = {
        .target_seconds = 2e-6, .block_elements = 512, .rows_min = 4};

    if (plb_blas_start() != PLB_OK)
        return 1;
    step.model = model_gpt(&shape);
    if (plb_graph_cut(step.model.graph, &options, &step.cut) != PLB_OK)
        return 1;
    step.n_values = plb_graph_values(step.cut);
    step.n_tasks = plb_graph_tasks(step.cut);
    step.now = calloc(step.n_values, sizeof *step.now);
    step.then = calloc(step.n_values, sizeof *step.then);
    step.have = calloc(step.n_values, sizeof *step.have);
    step.again = calloc(step.n_tasks, sizeof *step.again);
    for (plb_value v = 0; v < step.n_values; v++) {
        step.now[v] = aligned_alloc(64, (bytes_of(v) + 127) / 64 * 64);
        step.then[v] = malloc(bytes_of(v));
        memset(step.now[v], 0xff, bytes_of(v));
        if (plb_graph_value(step.cut, v)->producer == PLB_NONE)
            fill(v, shape.sequence);
    }
    for (plb_task_id t = 0; t < step.n_tasks; t++) {
        if (run_task(t) != PLB_OK) {
            fprintf(stderr, "%s: %s\n", plb_graph_task(step.cut, t)->name, plb_error_message());
            return 1;
        }
    }
    for (plb_value v = 0; v < step.n_values; v++)
        memcpy(step.then[v], step.now[v], bytes_of(v));
    return 0;
}

static int finish(void)
{
    for (plb_value v = 0; v < step.n_values; v++) {
        free(step.now[v]);
        free(step.then[v]);
    }
    free(step.now);
    free(step.then);
    free(step.have);
    free(step.again);
    plb_graph_destroy(step.cut);
    plb_graph_destroy(step.model.graph);
    return 0;
}

/* Loses each made value with a chance of `lost` in 8; what is lost is all ones, NaNs. */
static void lose(uint64_t *random, uint32_t lost)
{
    for (plb_value v = 0; v < step.n_values; v++) {
        step.have[v] =
            plb_graph_value(step.cut, v)->producer == PLB_NONE || fake_draw(random, 8) >= lost;
        if (step.have[v])
            memcpy(step.now[v], step.then[v], bytes_of(v));
        else
            memset(step.now[v], 0xff, bytes_of(v));
    }
}

/* Makes one value again; the number of tasks that this took. */
static uint32_t make_again(plb_value wanted)
{
    uint32_t count = 0, ran = 0;

    PLB_CHECK_EQ(plb_lineage(step.cut, &wanted, 1, step.have, step.again, &count), PLB_OK);
    for (plb_task_id t = 0; t < step.n_tasks; t++) {
        if (!step.again[t])
            continue;
        PLB_CHECK_EQ(run_task(t), PLB_OK);
        ran++;
    }
    PLB_CHECK_EQ(ran, count);
    PLB_CHECK_MEMORY(step.now[wanted], step.then[wanted], bytes_of(wanted));
    return count;
}

static void what_was_lost_comes_back_with_its_bits(void)
{
    uint64_t random = 1000;

    for (int k = 0; k < LOSSES; k++) {
        unsigned failures = CU_get_number_of_failures();

        lose(&random, 1 + fake_draw(&random, 8));
        make_again(fake_draw(&random, step.n_values));
        if (CU_get_number_of_failures() != failures) {
            printf("round %d of PLB_TEST_SEED=%llu\n", k, (unsigned long long)fake_seed());
            return;
        }
    }
}

/* With nothing left but what exists before the step, the last value needs most of the step. */
static void all_can_be_made_from_the_beginning(void)
{
    uint64_t random = 0;
    plb_value last = plb_graph_task(step.cut, step.n_tasks - 1)->out[0];
    plb_value loss = plb_graph_cells(step.cut, step.model.loss).cells[0];

    PLB_CHECK(step.n_tasks > 200);
    PLB_CHECK(isfinite(*(const float *)step.then[loss]));
    PLB_CHECK(isfinite(*(const float *)step.then[last]));
    lose(&random, 8);
    PLB_CHECK(make_again(last) > step.n_tasks / 2);
    lose(&random, 0);
    PLB_CHECK_EQ(make_again(last), 0);
}

PLB_TEST_MAIN("runtime/graph/replay", begin, finish,
              PLB_TEST(what_was_lost_comes_back_with_its_bits),
              PLB_TEST(all_can_be_made_from_the_beginning))
