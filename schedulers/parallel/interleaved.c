/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interleaved 1F1B (Narayanan et al. 2021, "Efficient Large-Scale Language Model Training on GPU
 * Clusters Using Megatron-LM", section 2.2): each stage has v chunks of the model, and
 * micro-batches pass in groups of p, one group through all chunks before the next. The bubble is (p
 * - 1)/(v m + p - 1); the first stage holds p (1 + (p - 1)/(p v)) micro-batches.
 */
#include "config.h"

#include "schedulers/parallel/common/jobs.h"
#include "schedulers/schedulers.h"

static enum plb_status check(const struct plb__pipeline *pipeline)
{
    uint32_t p = pipeline->stages, m = pipeline->micro_batches;

    for (uint32_t c = 0; c < pipeline->chunks; c++)
        if (pipeline->stage_of[c] != c % p || pipeline->chunks % p != 0)
            return plb_fail(PLB_ERROR_INVALID, "'interleaved' is defined for as many chunks at "
                            "each of the stages in turn, not for %u chunks at %u stages",
                            pipeline->chunks, p);
    if (m % p != 0)
        return plb_fail(PLB_ERROR_INVALID, "'interleaved' is defined for a number of micro-batches "
                        "that is a multiple of the stages, not for %u at %u stages", m, p);
    return PLB_OK;
}

/* The k-th forward job of a stage, or with `back` the k-th backward job. */
static void add(struct plb__orders *orders, const struct plb__pipeline *pipeline, uint32_t s,
                uint32_t k, bool back)
{
    uint32_t p = pipeline->stages, v = pipeline->chunks / p;
    uint32_t chunk = k % (p * v) / p, micro_batch = k / (p * v) * p + k % p;

    if (back)
        chunk = v - 1 - chunk;
    plb__orders_add(orders, s, back ? PLB__JOB_B : PLB__JOB_F, chunk * p + s, micro_batch);
}

static enum plb_status order(const struct plb__pipeline *pipeline,
                             struct plb__schedule *schedule_out)
{
    uint32_t p = pipeline->stages, v = pipeline->chunks / p, n = pipeline->micro_batches * v;
    struct plb__orders orders;

    PLB_TRY(check(pipeline));
    PLB_TRY(plb__orders_begin(pipeline, &orders));
    for (uint32_t s = 0; s < p; s++) {
        uint32_t warm = 2 * (p - s - 1) + (v - 1) * p, f = 0;

        while (f < warm && f < n)
            add(&orders, pipeline, s, f++, false);
        for (uint32_t b = 0; b < n; b++) {
            if (f < n)
                add(&orders, pipeline, s, f++, false);
            add(&orders, pipeline, s, b, true);
        }
    }
    plb__orders_end(&orders, schedule_out);
    return PLB_OK;
}

const struct plb__pipe_rule plb__rule_interleaved = {
    .name = "interleaved",
    .fused = true,
    .order = order,
};

static enum plb_status plan(const struct plb_parallel_problem *problem,
                            struct plb_hybrid *hybrid_out)
{
    return plb__pipe_plan(problem, &plb__rule_interleaved, hybrid_out);
}

const struct plb_parallel_policy plb_parallel_interleaved = {
    .name = "interleaved",
    .help = "1f1b with several chunks of the model at each stage",
    .plan = plan,
};
