/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drafts: keeping, playing, writing down.
 */
#include "config.h"

#include "schedulers/parallel/auto/draft.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CUTS_MAX 32.0 /* ways to cut a line into chunks, up to which each is played */

void plb__auto_draft_clear(struct plb__auto_draft *draft)
{
    for (uint32_t c = 0; draft->part && c < draft->rows->n_classes; c++) {
        free(draft->part[c].line.stage);
        plb__verdict_clear(&draft->part[c].verdict);
    }
    free(draft->part);
    draft->part = NULL;
}

enum plb_status plb__auto_draft_copy(const struct plb__auto_draft *draft,
                                     struct plb__auto_draft *copy_out)
{
    struct plb__auto_draft copy = *draft;

    copy.part = calloc(draft->rows->n_classes, sizeof *copy.part);
    if (!copy.part)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a draft of a plan");
    for (uint32_t c = 0; c < draft->rows->n_classes; c++) {
        const struct plb__line *line = &draft->part[c].line;
        size_t bytes = line->n * sizeof *line->stage;

        copy.part[c].share = draft->part[c].share;
        copy.part[c].line = *line;
        copy.part[c].line.stage = malloc(bytes);
        if (!copy.part[c].line.stage) {
            plb__auto_draft_clear(&copy);
            return plb_fail(PLB_ERROR_MEMORY, "no memory for a draft of %u stages", line->n);
        }
        memcpy(copy.part[c].line.stage, line->stage, bytes);
    }
    *copy_out = copy;
    return PLB_OK;
}

struct plb__slice plb__auto_draft_slice(const struct plb__rows *rows, struct plb__tables *tables,
                                   uint32_t class, uint32_t share)
{
    uint32_t r = rows->of_class[class];

    tables->replicas = tables->problem->shard_state ? rows->replicas : 1;
    return (struct plb__slice){.tables = tables, .fleet = rows->fleet, .first = rows->first[r],
                               .n = rows->n[r], .micro_batches = share,
                               .replicas = rows->replicas, .beside = rows->beside,
                               .limit = HUGE_VAL};
}

/* ---- playing ---- */

/* The next way to cut units [0, units) into the line's chunks after the one that it has; the first
 * when `first`. False: that was the last. */
static bool next_cut(struct plb__line *line, uint32_t units, bool first)
{
    uint32_t c = line->n - 1, at;

    for (uint32_t i = 0; first && i < line->n; i++)
        line->stage[i].to = i + 1;
    if (!first) {
        while (c > 0 && line->stage[c - 1].to == units - (line->n - c))
            c--;
        if (c == 0)
            return false;
        at = line->stage[c - 1].to;
        for (uint32_t i = c - 1; i + 1 < line->n; i++)
            line->stage[i].to = ++at;
    }
    line->stage[line->n - 1].to = units;
    for (uint32_t i = 0; i < line->n; i++)
        line->stage[i].from = i ? line->stage[i - 1].to : 0;
    return true;
}

static bool few_cuts(uint32_t units, uint32_t chunks)
{
    double cuts = 1;

    for (uint32_t i = 1; i < chunks; i++)
        cuts = cuts * (units - i) / i;
    return cuts <= CUTS_MAX;
}

static enum plb_status judge_cuts(const struct plb__slice *slice, const struct plb__pipe_rule *rule,
                                  struct plb__line *cut, struct plb__part *part, uint32_t *played)
{
    uint32_t units = slice->tables->n;
    enum plb_status status = plb__judge(slice, cut, rule, false, &part->verdict);
    bool more = few_cuts(units, cut->n);

    memcpy(part->line.stage, cut->stage, cut->n * sizeof *cut->stage);
    for (bool first = true; more && status == PLB_OK && next_cut(cut, units, first);
         first = false) {
        struct plb__verdict verdict;

        ++*played;
        status = plb__judge(slice, cut, rule, false, &verdict);
        if (status != PLB_OK || !(verdict.seconds < part->verdict.seconds * PLB__SHORTER))
            continue;
        part->verdict = verdict; /* rules of several chunks recompute nothing: no levels */
        memcpy(part->line.stage, cut->stage, cut->n * sizeof *cut->stage);
    }
    return status;
}

/* The line cut anew into chunks for the rule, evenly, or where there are few ways in the best; only
 * where all its stages have one degree. */
static enum plb_status play_chunks(const struct plb__slice *slice,
                                   const struct plb__pipe_rule *rule, struct plb__part *part,
                                   uint32_t *played)
{
    uint32_t stages = part->line.n, chunks = stages * (rule->chunks ? rule->chunks : 2);
    struct plb__line cut = {.n = 0};
    struct plb__line_stage *room;
    enum plb_status status;

    for (uint32_t s = 1; s < stages; s++)
        if (part->line.stage[s].d != part->line.stage[0].d)
            return PLB_OK;
    cut.stage = malloc(chunks * sizeof *cut.stage);
    room = realloc(part->line.stage, chunks * sizeof *room);
    if (room)
        part->line.stage = room;
    if (!cut.stage || !room) {
        free(cut.stage);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a line of %u chunks", chunks);
    }
    status = PLB_OK;
    if (plb__balance(slice, rule, stages, chunks, part->line.stage[0].d, &cut)) {
        part->line.n = chunks;
        status = judge_cuts(slice, rule, &cut, part, played);
    }
    free(cut.stage);
    return status;
}

/* The way of one sample forward, and for the next token back to the first stage. */
static void follow_sample(const struct plb__slice *slice, const struct plb__line *line,
                          const struct plb__pipe_rule *rule, struct plb__verdict *verdict)
{
    struct plb__trial x;

    *verdict = (struct plb__verdict){.rule = rule, .seconds = HUGE_VAL};
    if (plb__trial_create(slice, line, rule, &x) != PLB_OK)
        return;
    verdict->seconds = 0;
    for (uint32_t c = 0; c < line->n; c++) {
        verdict->seconds += x.cost[c].forward + x.pipeline.travel_forward[c];
        verdict->most_bytes = fmax(verdict->most_bytes, x.used[c]);
        if (x.room[c] < -PLB__BYTES_OFF * x.used[c])
            verdict->seconds = HUGE_VAL;
    }
    if (slice->tables->problem->goal == PLB_AUTO_NEXT_TOKEN && line->n > 1)
        verdict->seconds += plb__fleet_seconds(slice->fleet, line->stage[line->n - 1].entry,
                                               line->stage[0].entry, sizeof(int32_t));
    plb__trial_clear(&x);
}

static enum plb_status play_part(struct plb__auto_draft *draft, uint32_t c,
                                 const struct plb__pipe_rule *rule, bool refine, uint32_t *played)
{
    struct plb__part *part = &draft->part[c];
    struct plb__tables tables = *draft->tables;
    struct plb__slice slice = plb__auto_draft_slice(draft->rows, &tables, c, part->share);

    ++*played;
    plb__verdict_clear(&part->verdict);
    part->verdict = (struct plb__verdict){.rule = rule, .seconds = HUGE_VAL};
    if (tables.forward_only) {
        follow_sample(&slice, &part->line, rule, &part->verdict);
        return PLB_OK;
    }
    if (rule->chunks != 1)
        return play_chunks(&slice, rule, part, played);
    return plb__judge(&slice, &part->line, rule, refine, &part->verdict);
}

enum plb_status plb__auto_draft_play(struct plb__auto_draft *draft,
                                     const struct plb__pipe_rule *rule,
                                bool refine, uint32_t *played)
{
    draft->seconds = 0;
    for (uint32_t c = 0; c < draft->rows->n_classes; c++) {
        PLB_TRY(play_part(draft, c, rule, refine, played));
        draft->seconds = fmax(draft->seconds, draft->part[c].verdict.seconds);
        if (draft->seconds == HUGE_VAL)
            break;
    }
    return PLB_OK;
}

/* ---- the pool ---- */

void plb__auto_pool_add(struct plb__auto_pool *pool, struct plb__auto_draft *draft)
{
    struct plb__auto_draft *list = pool->draft[draft->list];
    uint32_t *n = &pool->n[draft->list], at = *n;

    if (*n == PLB__POOL) {
        if (!(draft->seconds < list[PLB__POOL - 1].seconds)) {
            plb__auto_draft_clear(draft);
            return;
        }
        plb__auto_draft_clear(&list[--at]);
    } else {
        ++*n;
    }
    for (; at > 0 && list[at - 1].seconds > draft->seconds; at--)
        list[at] = list[at - 1];
    list[at] = *draft;
    draft->part = NULL;
}

void plb__auto_pool_clear(struct plb__auto_pool *pool)
{
    for (uint32_t l = 0; l < PLB__LISTS; l++) {
        for (uint32_t i = 0; i < pool->n[l]; i++)
            plb__auto_draft_clear(&pool->draft[l][i]);
        pool->n[l] = 0;
    }
}

/* ---- writing down ---- */

static enum plb_status take_memory(const struct plb__auto_draft *draft, struct plb_auto_plan *plan)
{
    const struct plb__rows *rows = draft->rows;
    uint32_t stages = 0, places = 0, levels = 0;

    for (uint32_t r = 0; r < rows->replicas; r++) {
        const struct plb__part *part = &draft->part[rows->class_of[r]];

        stages += part->line.n;
        for (uint32_t s = 0; s < part->line.n; s++)
            places += 1u << part->line.stage[s].d;
    }
    for (uint32_t c = 0; c < rows->n_classes; c++)
        levels += draft->part[c].line.n * draft->part[c].share;
    plan->in_replica = calloc(rows->replicas + 1u, sizeof *plan->in_replica);
    plan->share = calloc(rows->replicas, sizeof *plan->share);
    plan->stage = calloc(stages, sizeof *plan->stage);
    plan->place = calloc(places, sizeof *plan->place);
    plan->level = calloc(levels, sizeof *plan->level);
    if (!plan->in_replica || !plan->share || !plan->stage || !plan->place || !plan->level)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a plan of %u stages", stages);
    return PLB_OK;
}

static void write_levels(const struct plb__auto_draft *draft, struct plb_auto_plan *plan)
{
    for (uint32_t c = 0; c < draft->rows->n_classes; c++) {
        const struct plb__part *part = &draft->part[c];
        uint32_t n = part->line.n * part->share;

        if (part->verdict.level)
            memcpy(&plan->level[plan->n_levels], part->verdict.level, n * sizeof *plan->level);
        plan->n_levels += n;
        plan->most_bytes = fmax(plan->most_bytes, part->verdict.most_bytes);
        if (part->verdict.seconds >= draft->seconds)
            plan->bubble = part->verdict.bubble;
    }
}

/* Where the levels of a class begin. */
static uint32_t levels_of(const struct plb__auto_draft *draft, uint32_t class)
{
    uint32_t at = 0;

    for (uint32_t c = 0; c < class; c++)
        at += draft->part[c].line.n * draft->part[c].share;
    return at;
}

/* The first chunk at the places of chunk s. */
static uint32_t first_chunk(const struct plb__line *line, uint32_t s)
{
    uint32_t first = 0;

    while (line->stage[first].entry != line->stage[s].entry)
        first++;
    return first;
}

static void write_replica(const struct plb__auto_draft *draft, uint32_t r,
                          struct plb_auto_plan *plan)
{
    const struct plb__rows *rows = draft->rows;
    const struct plb__part *part = &draft->part[rows->class_of[r]];
    uint32_t shift = rows->first[r] - rows->first[rows->of_class[rows->class_of[r]]];
    uint32_t levels = levels_of(draft, rows->class_of[r]);

    plan->in_replica[r + 1] = plan->in_replica[r] + part->line.n;
    for (uint32_t s = 0; s < part->line.n; s++) {
        const struct plb__line_stage *from = &part->line.stage[s];
        struct plb_auto_stage *stage = &plan->stage[plan->in_replica[r] + s];
        uint32_t before = first_chunk(&part->line, s);

        *stage = (struct plb_auto_stage){.unit = from->from, .unit_end = from->to,
                                         .degree = 1u << from->d,
                                         .place = plan->n_places,
                                         .option = levels + s * part->share};
        if (before < s) {
            stage->place = plan->stage[plan->in_replica[r] + before].place;
            continue;
        }
        memcpy(&plan->place[plan->n_places], &rows->fleet->place[shift + from->entry],
               stage->degree * sizeof *plan->place);
        plan->n_places += stage->degree;
    }
}

enum plb_status plb__auto_draft_write(const struct plb_auto_problem *problem,
                                      const struct plb__auto_draft *draft,
                                      struct plb_auto_plan *plan_out)
{
    struct plb_auto_plan plan = {.replicas = draft->rows->replicas,
                                 .micro_batches = draft->micro_batches,
                                 .seconds = draft->seconds};

    if (take_memory(draft, &plan) != PLB_OK) {
        plb_auto_plan_clear(&plan);
        return PLB_ERROR_MEMORY;
    }
    if (problem->goal == PLB_AUTO_THROUGHPUT)
        plb__rows_deal(draft->rows, draft->tables, draft->micro_batches, draft->shift, plan.share);
    else
        for (uint32_t r = 0; r < plan.replicas; r++)
            plan.share[r] = 1;
    for (uint32_t r = 0; r < plan.replicas; r++)
        write_replica(draft, r, &plan);
    write_levels(draft, &plan);
    snprintf(plan.schedule, sizeof plan.schedule, "%s", draft->part[0].verdict.rule->name);
    *plan_out = plan;
    return PLB_OK;
}

void plb_auto_plan_clear(struct plb_auto_plan *plan)
{
    free(plan->in_replica);
    free(plan->share);
    free(plan->stage);
    free(plan->place);
    free(plan->level);
    *plan = (struct plb_auto_plan){.replicas = 0};
}
