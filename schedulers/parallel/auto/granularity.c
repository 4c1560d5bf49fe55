/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Task sizes, planned and played. What this is not: noise (granularity_noise.c).
 */
#include "config.h"

#include "schedulers/parallel/auto/granularity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIZES_MAX 12u
#define FREE_MAX  32u /* places up to which each row has a plan of its own */

const double plb_granularity_targets[PLB_GRANULARITY_TARGETS] = {0,    10e-3,  3e-3,
                                                                 1e-3, 300e-6, 100e-6};

/* A job of `serial` seconds of kernels on so many workers. */
struct job {
    double tasks, wall;
    double host, idle; /* seconds of workers */
};

static struct job cut_job(double serial, double workers, double host, double target)
{
    double tasks = target > 0 ? fmax(1, floor(serial / target + 0.5)) : 1;
    double rounds = ceil(tasks / workers), wall = rounds * (serial / tasks + host);

    if (!(serial > 0))
        return (struct job){0, 0, 0, 0};
    return (struct job){tasks, wall, tasks * host, workers * wall - serial - tasks * host};
}

/* The parts of `s` of one job on one place of a degree. */
static struct job job_of(const struct plb_platform *platform, const struct plb_auto_seconds *s,
                         double samples, double target)
{
    return cut_job(s->each * samples * platform->workers, platform->workers,
                   platform->task_seconds, target);
}

static const struct plb_platform *platform_of(const struct plb_auto_problem *problem,
                                              uint32_t kind)
{
    return plb_costs_platform(plb_places_costs(problem->places, kind));
}

/* The profile with jobs of a size of micro-batch, cut. */
static enum plb_status cut_profile(const struct plb_auto_problem *problem, uint32_t m,
                                   double target, struct plb_auto_profile *cut_out)
{
    const struct plb_auto_profile *from = problem->profile;

    PLB_TRY(plb_auto_profile_create(from->n_records, from->n_units, from->kinds, from->samples,
                                    cut_out));
    cut_out->micro_batches = m;
    memcpy(cut_out->unit, from->unit, from->n_units * sizeof *from->unit);
    memcpy(cut_out->record, from->record, from->n_records * sizeof *from->record);
    for (uint32_t r = 0; r < from->n_records; r++) {
        for (uint32_t k = 0; k < from->kinds; k++) {
            for (uint32_t d = 0; d < PLB_AUTO_DEGREES; d++) {
                struct plb_auto_work *w = &cut_out->record[r].work[k][d];
                struct plb_auto_seconds *job[] = {&w->forward, &w->inputs, &w->weights};

                for (int i = 0; i < 3; i++)
                    *job[i] = (struct plb_auto_seconds){
                        0, job_of(platform_of(problem, k), job[i],
                                  (double)from->samples / m, target).wall};
            }
        }
    }
    return PLB_OK;
}

/* ---- what a plan says ---- */

static void count_unit(const struct plb_auto_problem *problem, const struct plb_auto_stage *stage,
                       uint32_t kind, uint32_t unit, uint32_t share,
                       struct plb_granularity_row *row, double sum[3])
{
    const struct plb_auto_profile *profile = problem->profile;
    const struct plb_platform *platform = platform_of(problem, kind);
    const struct plb_auto_work *w;
    uint32_t d = 0;

    while (1u << d < stage->degree)
        d++;
    w = &profile->record[profile->unit[unit]].work[kind][d];
    for (int i = 0; i < 3; i++) {
        const struct plb_auto_seconds *s = i == 0 ? &w->forward : i == 1 ? &w->inputs : &w->weights;
        struct job job = job_of(platform, s, (double)profile->samples / row->micro_batches,
                                row->target);

        row->tasks += (uint64_t)(job.tasks * stage->degree * share);
        sum[0] += share * job.host;
        sum[1] += share * job.idle;
        sum[2] += share * job.wall * platform->workers;
    }
}

static void fill_row(const struct plb_auto_problem *problem, const struct plb_auto_plan *plan,
                     struct plb_granularity_row *row)
{
    double sum[3] = {0, 0, 0};

    row->seconds = plan->seconds;
    row->bubble = plan->bubble;
    row->replicas = plan->replicas;
    row->stages = plan->in_replica[1];
    row->degree = plan->stage[0].degree;
    for (uint32_t r = 0; r < plan->replicas; r++) {
        for (uint32_t s = plan->in_replica[r]; s < plan->in_replica[r + 1]; s++) {
            const struct plb_auto_stage *stage = &plan->stage[s];
            uint32_t kind = plb_places_at(problem->places, plan->place[stage->place])->kind;

            for (uint32_t u = stage->unit; u < stage->unit_end; u++)
                count_unit(problem, stage, kind, u, plan->share[r], row, sum);
        }
    }
    row->host_share = sum[2] > 0 ? sum[0] / sum[2] : 0;
    row->idle_share = sum[2] > 0 ? sum[1] / sum[2] : 0;
}

/* ---- the table ---- */

static enum plb_status make_row(const struct plb_auto_problem *problem,
                                struct plb_auto_problem *fixed, struct plb_granularity_row *row)
{
    struct plb_auto_profile profile;
    struct plb_auto_plan plan;
    enum plb_status status;

    PLB_TRY(cut_profile(problem, row->micro_batches, row->target, &profile));
    fixed->profile = &profile;
    status = plb_auto_plan_make(fixed, &plan);
    row->seconds = HUGE_VAL;
    if (status == PLB_OK) {
        fill_row(problem, &plan, row);
        if (plb_places_count(problem->places) > FREE_MAX) {
            fixed->replicas = row->replicas;
            fixed->schedule = fixed->schedule ? fixed->schedule : "1f1b";
        }
        plb_auto_plan_clear(&plan);
    }
    plb_auto_profile_clear(&profile);
    return status;
}

static uint32_t list_sizes(const struct plb_auto_problem *problem, uint32_t size[SIZES_MAX])
{
    const struct plb_auto_profile *profile = problem->profile;
    uint32_t given = profile->micro_batches ? profile->micro_batches : problem->micro_batches;
    uint32_t n = 0;

    for (uint32_t m = 1; !given && n < SIZES_MAX && m <= profile->samples; m *= 2)
        if (profile->samples % m == 0)
            size[n++] = m;
    if (given)
        size[n++] = given;
    return n;
}

enum plb_status plb_granularity_make(const struct plb_auto_problem *problem,
                                     struct plb_granularity *table_out)
{
    uint32_t size[SIZES_MAX], sizes;
    struct plb_granularity table = {.n = 0};
    enum plb_status status = PLB_OK, first = PLB_OK;
    bool any = false;

    PLB_TRY(plb_auto_profile_check(problem->profile));
    sizes = list_sizes(problem, size);
    table.row = calloc((size_t)sizes * PLB_GRANULARITY_TARGETS, sizeof *table.row);
    if (!table.row)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a table of task sizes");
    for (uint32_t i = 0; i < sizes; i++) {
        struct plb_auto_problem fixed = *problem;

        for (uint32_t t = 0; t < PLB_GRANULARITY_TARGETS; t++, table.n++) {
            struct plb_granularity_row *row = &table.row[table.n];

            row->micro_batches = size[i];
            row->target = plb_granularity_targets[t];
            status = make_row(problem, &fixed, row);
            first = first == PLB_OK ? status : first;
            any = any || status == PLB_OK;
            if (row->seconds < table.row[table.best].seconds)
                table.best = table.n;
        }
    }
    if (!any) {
        plb_granularity_clear(&table);
        return first;
    }
    *table_out = table;
    return PLB_OK;
}

void plb_granularity_clear(struct plb_granularity *table)
{
    free(table->row);
    *table = (struct plb_granularity){.n = 0};
}
