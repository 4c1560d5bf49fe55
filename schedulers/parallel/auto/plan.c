/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a plan: what a unit recomputes, which degree its graph needs, a table for people.
 */
#include "config.h"

#include "schedulers/parallel/auto/tables.h"

#include <stdio.h>
#include <stdlib.h>

static const struct plb_auto_stage *stage_of(const struct plb_auto_plan *plan, uint32_t replica,
                                             uint32_t unit)
{
    for (uint32_t s = plan->in_replica[replica]; s < plan->in_replica[replica + 1]; s++)
        if (unit >= plan->stage[s].unit && unit < plan->stage[s].unit_end)
            return &plan->stage[s];
    return NULL;
}

static uint32_t log_of(uint32_t degree)
{
    uint32_t d = 0;

    while (1u << d < degree)
        d++;
    return d;
}

uint32_t plb_auto_option_of(const struct plb_auto_problem *problem,
                            const struct plb_auto_plan *plan, uint32_t replica, uint32_t unit,
                            uint32_t micro_batch)
{
    const struct plb_auto_stage *stage = stage_of(plan, replica, unit);
    uint32_t level = stage ? plan->level[stage->option + micro_batch] : 0, option = 0;
    struct plb__tables tables;
    struct plb__group group;

    if (level == 0 || plb__tables_create(problem,
                                         (double)problem->profile->samples / plan->micro_batches,
                                         &tables) != PLB_OK)
        return 0;
    group = (struct plb__group){.from = stage->unit, .to = stage->unit_end,
                                .d = log_of(stage->degree),
                                .kind = plb_places_at(problem->places,
                                                      plan->place[stage->place])->kind};
    option = plb__group_option(&tables, &group, level, unit);
    plb__tables_clear(&tables);
    return option;
}

uint32_t plb_auto_degree_of(const struct plb_auto_plan *plan, uint32_t unit)
{
    uint32_t degree = 1;

    for (uint32_t r = 0; r < plan->replicas; r++) {
        const struct plb_auto_stage *stage = stage_of(plan, r, unit);

        if (stage && stage->degree > degree)
            degree = stage->degree;
    }
    return degree;
}

/* ---- for people ---- */

static void print_stage(FILE *out, const struct plb_auto_problem *problem,
                        const struct plb_auto_plan *plan, uint32_t r, uint32_t s)
{
    const struct plb_auto_stage *stage = &plan->stage[s];
    uint32_t lean = 0;

    for (uint32_t j = 0; j < plan->share[r]; j++)
        lean += plan->level[stage->option + j] > 0;
    fprintf(out, "%7u %6u  %5u-%-5u %6u  %7u of %-5u  %s", r, s - plan->in_replica[r], stage->unit,
            stage->unit_end - 1, stage->degree, lean, plan->share[r],
            plb_places_at(problem->places, plan->place[stage->place])->name);
    if (stage->degree > 1)
        fprintf(out, " and %u more", stage->degree - 1);
    fputc('\n', out);
}

enum plb_status plb_auto_plan_print(const struct plb_auto_problem *problem,
                                    const struct plb_auto_plan *plan, char **text_out)
{
    size_t bytes;
    char *text = NULL;
    FILE *out = open_memstream(&text, &bytes);

    if (!out)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the text of a plan");
    fprintf(out, "%u replica%s, %u micro-batch%s, schedule %s: %.6g s, bubble %.1f %%\n",
            plan->replicas, plan->replicas == 1 ? "" : "s", plan->micro_batches,
            plan->micro_batches == 1 ? "" : "es", plan->schedule, plan->seconds,
            100 * plan->bubble);
    fprintf(out, "replica  stage    units    degree  recomputing      places\n");
    for (uint32_t r = 0; r < plan->replicas; r++)
        for (uint32_t s = plan->in_replica[r]; s < plan->in_replica[r + 1]; s++)
            print_stage(out, problem, plan, r, s);
    if (fclose(out) != 0) {
        free(text);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the text of a plan");
    }
    *text_out = text;
    return PLB_OK;
}
