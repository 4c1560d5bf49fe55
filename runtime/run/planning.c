/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a session plans with: policy, costs, limits.
 */
#include "config.h"

#include "runtime/base/report.h"
#include "runtime/plan/simulate.h"
#include "runtime/run/run_internal.h"

#include "schedulers/schedulers.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_DRIFT 0.2
/* Of the main memory that could be had when a session is made, what copies beside a card may take:
 * the rest is for those who make the session, and for others. */
#define HOST_SHARE 0.75

void plb__session_note(struct plb_session *s, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(s->info.note, sizeof s->info.note, format, arguments);
    va_end(arguments);
    plb_report("%s", s->info.note);
}

/* ---- costs ---- */

/* What is true of the device here, whatever the table was recorded on. */
static void describe_device(const struct plb_session *s, struct plb_platform *platform)
{
    const struct plb_device *device = s->device;

    platform->workers = device->workers;
    platform->bytes[PLB_DEVICE] = device->bytes;
    platform->bytes[PLB_HOST] = device->has_host ? plb__memory_bytes() : 0;
    platform->bytes[PLB_DISK] = SIZE_MAX;
    if (device->has_host)
        platform->link[PLB_HOST] = device->host;
}

enum plb_status plb__planning_costs(struct plb_session *s, plb_costs_t *given)
{
    struct plb__planning *p = &s->planning;
    struct plb_platform platform =
        given ? *plb_costs_platform(given) : plb__runtime_nominal();

    describe_device(s, &platform);
    p->costs = given;
    if (given)
        return plb_costs_set_platform(given, &platform);
    snprintf(platform.name, sizeof platform.name, "%s", s->device->name);
    p->owns_costs = true;
    PLB_TRY(plb_costs_create(&platform, &p->costs));
    plb__calibrated_record(s->cut, p->costs);
    return PLB_OK;
}

enum plb_status plb__planning_prepare(struct plb_session *s,
                                      const struct plb_session_options *options)
{
    struct plb__planning *p = &s->planning;

    p->drift = options->drift != 0.0 ? options->drift : DEFAULT_DRIFT;
    p->lowered = SIZE_MAX;
    p->directory = plb__disk_directory(options->offload_dir);
    p->disk_bytes = options->disk_bytes ? options->disk_bytes : SIZE_MAX;
    PLB_TRY(plb_memory_policy_find(options->memory_policy, &p->policy));
    s->info.memory_policy = p->policy->name;
    p->seconds = calloc((size_t)plb_graph_tasks(s->cut) + 1, sizeof *p->seconds);
    if (!p->seconds)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to plan %u tasks", plb_graph_tasks(s->cut));
    return plb__planning_costs(s, options->costs);
}

void plb__planning_clear(struct plb_session *s)
{
    if (s->planning.owns_costs)
        plb_costs_destroy(s->planning.costs);
    plb__draft_clear(&s->planning.draft);
    free(s->planning.seconds);
}

/* ---- limits ---- */

static enum plb_status read_budget(struct plb_session *s, const struct plb_session_options *options)
{
    struct plb__planning *p = &s->planning;
    struct plb_budget budget = options->budget;

    if (!(budget.share >= 0.0 && budget.share <= 1.0))
        return plb_fail(PLB_ERROR_INVALID,
                        "a budget that is a share is above 0 and at most 1, not %g", budget.share);
    if (!budget.bytes && !(budget.share > 0.0))
        PLB_TRY(plb_budget_read(getenv("PALOMBE_MEMORY_BUDGET"), &budget));
    p->asked = budget.bytes ? budget.bytes : SIZE_MAX;
    if (budget.share > 0.0) {
        p->asked = plb_budget_of_share(&p->problem.needs, budget.share, p->problem.limits.reserved);
        p->problem.limits.hold_gradients = true;
    }
    return PLB_OK;
}

/* What is kept there from step to step has its room already; the limit counts it, too. Parts of a
 * session share what can be had. */
static size_t host_limit(const struct plb_session *s, size_t asked)
{
    double share = HOST_SHARE / (s->outer ? plb_runtime_devices() : 1);
    size_t copies = asked ? asked : (size_t)(share * (double)plb__memory_available());

    return copies < SIZE_MAX - s->info.away_bytes ? copies + s->info.away_bytes : SIZE_MAX;
}

/* Disk that is not there is found out when it is taken, with the reason. */
static size_t disk_limit(const struct plb__planning *p)
{
    size_t room = plb__disk_free(p->directory);

    return room && room < p->disk_bytes ? room : p->disk_bytes;
}

size_t plb__planning_budget(const struct plb_session *s)
{
    const struct plb__planning *p = &s->planning;
    size_t budget = p->asked < p->lowered ? p->asked : p->lowered;
    size_t others = s->device->held(s->device) - p->taken - s->arena.bytes;

    if (s->device->has_host && budget == SIZE_MAX)
        budget = s->device->bytes - others;
    return budget;
}

enum plb_status plb__planning_limit(struct plb_session *s,
                                    const struct plb_session_options *options)
{
    struct plb__planning *p = &s->planning;
    struct plb_limits *limits = &p->problem.limits;

    PLB_TRY(plb_problem_prepare(s->cut, p->costs, NULL, p->seconds, &p->problem));
    p->taken = s->info.persistent_bytes + s->inputs.bytes + plb__runtime_scratch_bytes(s->device);
    limits->reserved = p->taken - p->problem.needs.initial; /* work space, and cells' alignment */
    if (s->managed)
        p->taken = plb__runtime_scratch_bytes(s->device); /* the rest is in main memory */
    limits->bytes[PLB_HOST] = 0;
    if (s->device->has_host)
        limits->bytes[PLB_HOST] = host_limit(s, options->host_bytes);
    limits->bytes[PLB_DISK] = disk_limit(p);
    PLB_TRY(read_budget(s, options));
    return PLB_OK;
}

/* ---- plans ---- */

void plb__draft_clear(struct plb__draft *draft)
{
    plb_plan_clear(&draft->plan);
    plb_layout_clear(&draft->layout);
    *draft = (struct plb__draft){0};
}

/* A device without a limit of its own has more than any plan takes. */
bool plb__planning_fits(const struct plb_session *s, const struct plb_layout *layout)
{
    const struct plb__planning *p = &s->planning;

    for (int tier = PLB_HOST; tier < PLB_TIERS; tier++)
        if (layout->arena[tier] + layout->away_bytes[tier] > p->problem.limits.bytes[tier])
            return false;
    return p->taken + layout->arena[PLB_DEVICE] <= plb__planning_budget(s);
}

enum plb_status plb__planning_check(struct plb_session *s)
{
    struct plb__planning *p = &s->planning;

    p->problem.limits.bytes[PLB_DEVICE] = plb__planning_budget(s);
    return plb_problem_check(p->policy, &p->problem);
}

enum plb_status plb__predict(const struct plb_problem *problem, const struct plb_plan *plan,
                             const struct plb_layout *layout, double *predicted_out)
{
    struct plb_simulation simulation;

    PLB_TRY(plb_simulate(plan, layout, problem, &simulation));
    *predicted_out = simulation.seconds;
    plb_simulation_clear(&simulation);
    return PLB_OK;
}

enum plb_status plb__draft_make(struct plb_session *s, plb__ask how, const struct plb_plan *current,
                                struct plb__draft *draft_out)
{
    struct plb__planning *p = &s->planning;
    struct plb__draft draft = {0};
    enum plb_status status;

    plb__runtime_rest(); /* planning needs a core, too */
    PLB_TRY(plb_costs_of_graph(p->costs, s->cut, p->seconds, NULL));
    p->problem.platform = plb_costs_platform(p->costs);
    p->problem.limits.bytes[PLB_DEVICE] = plb__planning_budget(s);
    s->info.asked++;
    if (s->part && s->info.away_bytes == 0 && strcmp(p->policy->name, "none") == 0)
        PLB_TRY(plb__parts_given(s, &draft));
    else
        PLB_TRY(how(p->policy, &p->problem, PLB_EVENT_PRESSURE, current, &draft.plan,
                    &draft.layout));
    status = plb__predict(&p->problem, &draft.plan, &draft.layout, &draft.predicted);
    if (status == PLB_OK)
        *draft_out = draft;
    else
        plb__draft_clear(&draft);
    return status;
}
