/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all pipeline policies do, apart from their rule: from the degrees to crews, from crews to
 * the plan. Places are taken in their order: those of a stage side by side, then the stages of a
 * replica, then the replicas.
 */
#include "config.h"

#include "schedulers/parallel/common/jobs.h"

#include <stdlib.h>

#define CHUNKS_OF_A_STAGE 2 /* where the rule takes any number and none is given */

/* ---- degrees ---- */

struct shape {
    uint32_t replicas, stages, chunks, members; /* chunks of a stage, places of a stage */
};

static enum plb_status fail_division(uint32_t places, const struct shape *shape)
{
    return plb_fail(PLB_ERROR_INVALID, "%u places cannot be divided among %u replicas of %u stages "
                    "with %u places each", places, shape->replicas, shape->stages, shape->members);
}

static enum plb_status find_chunks(const struct plb__pipe_rule *rule, uint32_t asked,
                                   uint32_t *chunks_out)
{
    if (asked > 0 && rule->chunks > 0 && asked != rule->chunks)
        return plb_fail(PLB_ERROR_INVALID, "'%s' is defined for %u chunk%s at each stage, not for "
                        "%u", rule->name, rule->chunks, rule->chunks == 1 ? "" : "s", asked);
    *chunks_out = asked > 0 ? asked : rule->chunks > 0 ? rule->chunks : CHUNKS_OF_A_STAGE;
    return PLB_OK;
}

/* As many replicas as are asked for; else, where stages are, as many as use all places. */
static uint32_t count_replicas(const struct plb_degrees *degrees, uint32_t places, uint32_t shards)
{
    if (degrees->replicas > 0)
        return degrees->replicas;
    if (degrees->stages == 0 || shards > places || degrees->stages > places / shards)
        return 1;
    return places / (degrees->stages * shards);
}

/* As many places for each stage as there are shards; where stages and replicas are both given, as
 * many as there are. */
static enum plb_status find_shape(const struct plb__jobs *jobs,
                                  const struct plb_parallel_problem *problem,
                                  const struct plb__pipe_rule *rule, struct shape *shape)
{
    const struct plb_degrees *degrees = &problem->degrees;
    uint32_t n = plb_places_count(problem->places), groups;

    PLB_TRY(find_chunks(rule, degrees->chunks, &shape->chunks));
    shape->replicas = count_replicas(degrees, n, jobs->shards);
    shape->members = jobs->shards;
    shape->stages = degrees->stages;
    if (shape->replicas > jobs->micro_batches)
        return plb_fail(PLB_ERROR_INVALID, "%u micro-batches are fewer than %u replicas",
                        jobs->micro_batches, shape->replicas);
    if (jobs->micro_batches % shape->replicas != 0)
        return plb_fail(PLB_ERROR_INVALID, "%u micro-batches cannot be divided among %u "
                        "replicas", jobs->micro_batches, shape->replicas);
    if (n < shape->replicas || n % shape->replicas != 0)
        return plb_fail(PLB_ERROR_INVALID, "%u places cannot be divided among %u replicas", n,
                        shape->replicas);
    groups = n / shape->replicas;
    if (shape->stages == 0 && groups < shape->members)
        shape->members = groups;
    if (shape->stages == 0)
        shape->stages = groups / shape->members;
    else if (jobs->shards > 1 && groups / shape->stages < shape->members)
        shape->members = groups / shape->stages;
    if (shape->members == 0 || groups != shape->stages * shape->members)
        return fail_division(n, shape);
    if (jobs->shards % shape->members != 0)
        return plb_fail(PLB_ERROR_INVALID, "%u shards cannot be divided among the %u places of a "
                        "stage", jobs->shards, shape->members);
    return PLB_OK;
}

/* ---- crews ---- */

static enum plb_status make_team(const struct plb__jobs *jobs,
                                 const struct plb_parallel_problem *problem,
                                 const struct plb__pipe_rule *rule, const struct shape *shape,
                                 uint32_t replica, struct plb__team *team)
{
    uint32_t places = shape->stages * shape->members;
    uint32_t share = jobs->micro_batches / shape->replicas;

    PLB_TRY(plb__team_create(shape->stages, shape->stages * shape->chunks, places, team));
    team->first = replica * share;
    team->end = team->first + share;
    for (uint32_t c = 0; c < team->chunks; c++)
        team->stage_of[c] = plb__rule_stage(rule, c, shape->stages);
    for (uint32_t s = 0; s <= shape->stages; s++)
        team->in_stage[s] = s * shape->members;
    for (uint32_t k = 0; k < places; k++)
        team->place[k] = replica * places + k;
    return plb__team_balance(jobs, problem, team);
}

void plb__crew_clear(struct plb__crew *crew)
{
    plb__team_clear(&crew->team);
    plb__team_pipeline_clear(&crew->pipeline);
    plb__schedule_clear(&crew->schedule);
    plb__pipeline_times_clear(&crew->times);
}

enum plb_status plb__crew_order(const struct plb__jobs *jobs,
                                const struct plb_parallel_problem *problem,
                                const struct plb__pipe_rule *rule, struct plb__crew *crew)
{
    PLB_TRY(plb__team_pipeline(jobs, problem, &crew->team, rule->fused, rule->in_flight,
                               &crew->pipeline));
    PLB_TRY(rule->order(&crew->pipeline.pipeline, &crew->schedule));
    return plb__pipeline_play(&crew->pipeline.pipeline, &crew->schedule, &crew->times);
}

static enum plb_status plan_crews(const struct plb__jobs *jobs,
                                  const struct plb_parallel_problem *problem,
                                  const struct plb__pipe_rule *rule, const struct shape *shape,
                                  struct plb__crew *crew, struct plb_hybrid *hybrid_out)
{
    for (uint32_t r = 0; r < shape->replicas; r++) {
        PLB_TRY(make_team(jobs, problem, rule, shape, r, &crew[r].team));
        PLB_TRY(plb__crew_order(jobs, problem, rule, &crew[r]));
    }
    return plb__hybrid_write(jobs, problem, crew, shape->replicas, shape->stages > 1, hybrid_out);
}

enum plb_status plb__pipe_plan(const struct plb_parallel_problem *problem,
                               const struct plb__pipe_rule *rule, struct plb_hybrid *hybrid_out)
{
    struct plb__jobs jobs;
    struct shape shape = {0};
    struct plb__crew *crew = NULL;
    enum plb_status status;

    PLB_TRY(plb__jobs_find(problem->graph, &jobs));
    status = find_shape(&jobs, problem, rule, &shape);
    if (status == PLB_OK) {
        crew = calloc(shape.replicas, sizeof *crew);
        status = crew ? plan_crews(&jobs, problem, rule, &shape, crew, hybrid_out)
                      : plb_fail(PLB_ERROR_MEMORY, "no memory for %u replicas", shape.replicas);
    }
    for (uint32_t r = 0; crew && r < shape.replicas; r++)
        plb__crew_clear(&crew[r]);
    free(crew);
    plb__jobs_clear(&jobs);
    return status;
}
