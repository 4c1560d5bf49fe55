/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the rules of pipelines share: placement of chunks, writing of schedules.
 */
#include "config.h"

#include "schedulers/parallel/common/rule.h"

#include <stdlib.h>

#define JOBS_MAX ((size_t)1 << 28)

uint32_t plb__rule_stage(const struct plb__pipe_rule *rule, uint32_t chunk, uint32_t stages)
{
    uint32_t at = chunk % stages;

    return rule->v_shape && chunk / stages % 2 == 1 ? stages - 1 - at : at;
}

enum plb_status plb__rule_wants_one_chunk(const struct plb__pipeline *pipeline, const char *name)
{
    bool one = pipeline->chunks == pipeline->stages;

    for (uint32_t c = 0; one && c < pipeline->chunks; c++)
        one = pipeline->stage_of[c] == c;
    if (!one)
        return plb_fail(PLB_ERROR_INVALID, "'%s' is defined for one chunk at each stage, not for "
                        "%u chunks at %u stages", name, pipeline->chunks, pipeline->stages);
    return PLB_OK;
}

enum plb_status plb__orders_begin(const struct plb__pipeline *pipeline, struct plb__orders *orders)
{
    uint32_t p = pipeline->stages;
    uint32_t each = pipeline->micro_batches * (pipeline->fused ? 2u : 3u);

    *orders = (struct plb__orders){.schedule = {.stages = p, .fused = pipeline->fused}};
    if (pipeline->micro_batches == 0 || pipeline->chunks == 0 ||
        (size_t)pipeline->micro_batches > JOBS_MAX / PLB__JOB_KINDS / pipeline->chunks)
        return plb_fail(PLB_ERROR_INVALID, "a pipeline of %u chunks and %u micro-batches",
                        pipeline->chunks, pipeline->micro_batches);
    orders->next = calloc((size_t)p + 1, sizeof *orders->next);
    orders->schedule.in_stage = calloc((size_t)p + 1, sizeof *orders->schedule.in_stage);
    orders->schedule.job = calloc(plb__pipeline_jobs(pipeline), sizeof *orders->schedule.job);
    if (!orders->next || !orders->schedule.in_stage || !orders->schedule.job) {
        plb__orders_drop(orders);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the order of a pipeline's jobs");
    }
    for (uint32_t c = 0; c < pipeline->chunks; c++)
        orders->schedule.in_stage[pipeline->stage_of[c] + 1] += each;
    for (uint32_t s = 0; s < p; s++) {
        orders->schedule.in_stage[s + 1] += orders->schedule.in_stage[s];
        orders->next[s] = orders->schedule.in_stage[s];
    }
    return PLB_OK;
}

void plb__orders_add(struct plb__orders *orders, uint32_t stage, enum plb__job_kind kind,
                     uint32_t chunk, uint32_t micro_batch)
{
    orders->schedule.job[orders->next[stage]++] =
        (struct plb__pipe_job){kind, chunk, micro_batch};
}

void plb__orders_end(struct plb__orders *orders, struct plb__schedule *schedule_out)
{
    *schedule_out = orders->schedule;
    free(orders->next);
    *orders = (struct plb__orders){0};
}

void plb__orders_drop(struct plb__orders *orders)
{
    plb__schedule_clear(&orders->schedule);
    free(orders->next);
    *orders = (struct plb__orders){0};
}

enum plb_status plb__order_in_turns(const struct plb__pipeline *pipeline, const char *name,
                                    uint32_t delay, struct plb__schedule *schedule_out)
{
    uint32_t p = pipeline->stages, m = pipeline->micro_batches;
    struct plb__orders orders;

    PLB_TRY(plb__rule_wants_one_chunk(pipeline, name));
    PLB_TRY(plb__orders_begin(pipeline, &orders));
    for (uint32_t s = 0; s < p; s++) {
        uint32_t f = 0, w = 0;

        while (f < p - s - 1 && f < m)
            plb__orders_add(&orders, s, PLB__JOB_F, s, f++);
        for (uint32_t b = 0; b < m; b++) {
            if (f < m)
                plb__orders_add(&orders, s, PLB__JOB_F, s, f++);
            plb__orders_add(&orders, s, PLB__JOB_B, s, b);
            if (!pipeline->fused && b >= w + delay * s)
                plb__orders_add(&orders, s, PLB__JOB_W, s, w++);
        }
        while (!pipeline->fused && w < m)
            plb__orders_add(&orders, s, PLB__JOB_W, s, w++);
    }
    plb__orders_end(&orders, schedule_out);
    return PLB_OK;
}
