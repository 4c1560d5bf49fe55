/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules: what a pipeline policy is made of.
 *
 * A rule is the published part of a pipeline policy: how many chunks a stage has, how they lie, and
 * in which order a stage does its jobs (pipeline.h). It is one constant record in the policy's
 * file; all else (cutting the model into chunks, finding places, writing the plan) is common to all
 * of them, in plb__pipe_plan().
 *
 * Thread-safety: pure; a writer belongs to one thread.
 */
#ifndef PLB_PARALLEL_RULE_H
#define PLB_PARALLEL_RULE_H

#include "schedulers/parallel/common/pipeline.h"

struct plb__pipe_rule {
    const char *name;
    bool fused;      /* B with W */
    bool v_shape;    /* two chunks of a stage, and the way through the model turns at the last stage
                        and comes back; else it begins again at the first */
    uint32_t chunks; /* of a stage; 0: any number, two unless it is given */
    double in_flight; /* what a stage may hold when no budget says it: that of so many times as many
                         micro-batches as there are stages; 0: the rule has no use for a capacity */
    /* Required. Writes the order. PLB_ERROR_INVALID says for what the rule is not defined,
     * PLB_ERROR_MEMORY that a capacity cannot be kept. */
    enum plb_status (*order)(const struct plb__pipeline *pipeline,
                             struct plb__schedule *schedule_out);
};

extern const struct plb__pipe_rule plb__rule_gpipe;
extern const struct plb__pipe_rule plb__rule_1f1b;
extern const struct plb__pipe_rule plb__rule_1f1b_split; /* W apart, right after its B */
extern const struct plb__pipe_rule plb__rule_interleaved;
extern const struct plb__pipe_rule plb__rule_zb_h1;
extern const struct plb__pipe_rule plb__rule_zb_v;
extern const struct plb__pipe_rule plb__rule_zb_greedy;

/* The stage of a chunk of a pipeline with so many stages. */
uint32_t plb__rule_stage(const struct plb__pipe_rule *rule, uint32_t chunk, uint32_t stages);
/* Chunk c at stage c; else PLB_ERROR_INVALID names the rule. */
enum plb_status plb__rule_wants_one_chunk(const struct plb__pipeline *pipeline, const char *name);

/* Writes a schedule, each stage's jobs one after the other; stages in any order. */
struct plb__orders {
    struct plb__schedule schedule;
    uint32_t *next; /* per stage */
};

enum plb_status plb__orders_begin(const struct plb__pipeline *pipeline, struct plb__orders *orders);
/* No more than belong to the stage. */
void plb__orders_add(struct plb__orders *orders, uint32_t stage, enum plb__job_kind kind,
                     uint32_t chunk, uint32_t micro_batch);
void plb__orders_end(struct plb__orders *orders, struct plb__schedule *schedule_out);
void plb__orders_drop(struct plb__orders *orders);

/* One F and one B in turns, after as many F as it takes for the first B to come back (1F1B). Where
 * W is apart, that of a micro-batch follows the B of the one that is `delay` times the stage's
 * number later. For one chunk at each stage; `name` is of the rule. */
enum plb_status plb__order_in_turns(const struct plb__pipeline *pipeline, const char *name,
                                    uint32_t delay, struct plb__schedule *schedule_out);

/* The order of whoever is asked moment by moment: at each stage that is free, B before F before W
 * (of several B the oldest micro-batch's, of several F the one of the latest chunk), F only where
 * memory is left for it and for one micro-batch's way through the later chunks of the stage. So
 * memory never locks the stages: the micro-batch that has come farthest can always go on.
 * PLB_ERROR_MEMORY: a stage's capacity does not hold one micro-batch. */
enum plb_status plb__order_greedily(const struct plb__pipeline *pipeline,
                                    struct plb__schedule *schedule_out);

#endif
