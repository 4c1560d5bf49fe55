/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small training steps on sessions.
 */
#include "config.h"

#include "tests/runtime/run/steps.h"

#include "runtime/base/hash.h"
#include "runtime/plan/writer.h"
#include "tests/support/plb_test.h"

#include <stdlib.h>
#include <string.h>

static enum plb_status fill_value(struct steps *s, plb_value v)
{
    const struct plb_value_info *info = plb_graph_value(s->random.whole, v);
    size_t bytes = plb_type_bytes(&info->type);
    void *data = malloc(bytes);
    enum plb_status status;

    random_graph_fill(&s->random, v, data);
    if (info->role == PLB_ROLE_INPUT)
        status = plb_session_write(s->session, v, data, bytes);
    else
        status = plb_store_write(s->store, info->name, data, bytes);
    free(data);
    return status;
}

static enum plb_status fill(struct steps *s)
{
    for (plb_value v = 0; v < plb_graph_values(s->random.whole); v++)
        if (plb_graph_value(s->random.whole, v)->producer == PLB_NONE)
            PLB_TRY(fill_value(s, v));
    return PLB_OK;
}

enum plb_status steps_make(const struct random_options *random,
                           const struct plb_session_options *options, struct steps *steps_out)
{
    /* As fine as the graphs are small. */
    const struct plb_cut_options fine = {
        .target_seconds = 2e-7, .block_elements = 256, .rows_min = 4};
    struct plb_session_options with_cut = *options;
    struct steps s = {0};
    enum plb_status status;

    with_cut.cut = fine;
    *steps_out = s;
    status = random_graph_make(random, &s.random);
    if (status == PLB_OK)
        status = plb_store_create(&s.store);
    if (status == PLB_OK)
        status = plb_session_create(s.random.whole, &with_cut, s.store, &s.session);
    if (status == PLB_OK)
        status = fill(&s);
    if (status == PLB_OK)
        *steps_out = s;
    else
        steps_clear(&s);
    return status;
}

void steps_clear(struct steps *s)
{
    plb_session_destroy(s->session);
    plb_store_destroy(s->store);
    if (s->random.whole)
        random_graph_clear(&s->random);
    *s = (struct steps){0};
}

enum plb_status steps_submit(struct steps *s, int n)
{
    for (int k = 0; k < n; k++)
        PLB_TRY(plb_session_step(s->session, s->next++));
    return PLB_OK;
}

static uint64_t hash_store(struct steps *s, uint64_t hash)
{
    for (uint32_t k = 0; k < plb_store_tensors(s->store); k++) {
        const char *name = plb_store_name(s->store, k);
        struct plb_type type;
        void *data;

        PLB_CHECK_EQ(plb_store_type(s->store, name, &type), PLB_OK);
        data = malloc(plb_type_bytes(&type));
        PLB_CHECK_EQ(plb_store_read(s->store, name, data, plb_type_bytes(&type)), PLB_OK);
        hash = plb_hash_mix(hash, data, plb_type_bytes(&type));
        free(data);
    }
    return hash;
}

uint64_t steps_hash_store(struct steps *s)
{
    return hash_store(s, 0);
}

float steps_loss(struct steps *s)
{
    float loss = 0.0f;

    PLB_CHECK_EQ(plb_session_read(s->session, s->random.loss, &loss, sizeof loss), PLB_OK);
    PLB_CHECK(loss == loss);
    return loss;
}

uint64_t steps_hash(struct steps *s)
{
    float loss = steps_loss(s);

    return hash_store(s, plb_hash_mix(0, &loss, sizeof loss));
}

uint64_t steps_expected(const struct random_options *random, int n)
{
    const struct plb_session_options options = {.memory_policy = "none"};
    static const struct random_options *known;
    static uint64_t hash;
    struct steps s;

    if (random == known)
        return hash;
    PLB_REQUIRE(steps_make(random, &options, &s) == PLB_OK);
    PLB_CHECK_EQ(steps_submit(&s, n), PLB_OK);
    hash = steps_hash(&s);
    known = random;
    steps_clear(&s);
    return hash;
}

struct plb_session_info steps_info(const struct steps *s)
{
    struct plb_session_info info;

    plb_session_get_info(s->session, &info);
    return info;
}

/* ---- plans by hand ---- */

/* Between the passes: 0 stays, 1 moves, 2 is forgotten. */
static enum plb_status part(const plb_graph_t *graph, plb_writer_t *writer, enum plb_tier tier)
{
    for (plb_value v = 0; v < plb_graph_values(graph); v++) {
        if (plb_graph_value(graph, v)->producer == PLB_NONE || !plb_writer_has(writer, v))
            continue;
        if (v % 3 == 1)
            PLB_TRY(plb_writer_offload(writer, v, tier));
        if (v % 3 != 0)
            plb_writer_forget(writer, v);
    }
    return PLB_OK;
}

/* Fetches what a task will read, while another runs. */
static enum plb_status look_ahead(const plb_graph_t *graph, plb_writer_t *writer, plb_task_id t)
{
    const struct plb_task *task = plb_graph_task(graph, t);

    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        if (plb_writer_has_copy(writer, task->in[j]))
            PLB_TRY(plb_writer_fetch(writer, task->in[j]));
    return PLB_OK;
}

static enum plb_status write_program(const plb_graph_t *graph, plb_writer_t *writer,
                                     enum plb_tier tier, uint32_t ahead)
{
    bool parted = false;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        if (!parted && plb_graph_task(graph, t)->phase == PLB_PHASE_BACKWARD) {
            PLB_TRY(part(graph, writer, tier));
            parted = true;
        }
        if (parted && t + ahead < plb_graph_tasks(graph))
            PLB_TRY(look_ahead(graph, writer, t + ahead));
        PLB_TRY(plb_writer_run(writer, t));
    }
    return PLB_OK;
}

enum plb_status steps_write_plan(const struct steps *s, enum plb_tier tier, uint32_t ahead,
                                 const char *path)
{
    const plb_graph_t *graph = plb_session_graph(s->session);
    struct plb_plan plan = {0};
    plb_writer_t *writer;
    enum plb_status status;

    PLB_TRY(plb_writer_create(graph, &writer));
    status = write_program(graph, writer, tier, ahead);
    if (status == PLB_OK)
        status = plb_writer_finish(writer, &plan);
    plb_writer_destroy(writer);
    if (status == PLB_OK) {
        snprintf(plan.policy, sizeof plan.policy, "by hand");
        plan.fingerprint = plb_graph_fingerprint(graph);
        status = plb_plan_save(&plan, path);
    }
    plb_plan_clear(&plan);
    return status;
}
