/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What tasks and transfers take by a model: the roofline (Williams, Waterman and Patterson 2009,
 * Communications of the ACM 52:65) for tasks, latency and bandwidth for transfers.
 */
#include "config.h"

#include "runtime/base/hash.h"
#include "runtime/graph/cut.h"
#include "runtime/plan/costs_internal.h"

#include <math.h>
#include <string.h>

/* What StarPU adds to a task, end to end, on one core of a server of 2023. */
#define NOMINAL_TASK_SECONDS 4e-6
/* A disk that no one would call fast. */
#define NOMINAL_DISK_BYTES_PER_SECOND 1e9
#define NOMINAL_DISK_LATENCY          1e-4

struct plb_platform plb_platform_nominal(int workers)
{
    struct plb_platform platform = {
        .name = "nominal",
        .workers = workers,
        .bytes = {[PLB_DEVICE] = SIZE_MAX, [PLB_DISK] = SIZE_MAX},
        .bytes_per_second = PLB_NOMINAL_BYTES_PER_SECOND,
        .task_seconds = NOMINAL_TASK_SECONDS,
        .link[PLB_DISK] = {NOMINAL_DISK_BYTES_PER_SECOND, NOMINAL_DISK_BYTES_PER_SECOND,
                           NOMINAL_DISK_LATENCY, false},
    };

    for (int dtype = 0; dtype < PLB_DTYPES; dtype++)
        platform.flops_per_second[dtype] = PLB_NOMINAL_FLOPS_PER_SECOND;
    return platform;
}

/* ---- does a platform make sense? ---- */

static enum plb_status check_number(const char *platform, const char *what, double number,
                                    bool may_be_zero)
{
    if ((number > 0 || (may_be_zero && number == 0)) && number <= PLB__COST_RATE_MAX)
        return PLB_OK;
    return plb_fail(PLB_ERROR_INVALID, "platform '%s': %s is %g", platform, what, number);
}

/* Names go into messages, tables and file names. */
static enum plb_status check_name(const char name[PLB_PLATFORM_NAME])
{
    size_t length = strnlen(name, PLB_PLATFORM_NAME);

    for (size_t k = 0; k < length; k++)
        if (name[k] < ' ' || name[k] > '~')
            return plb_fail(PLB_ERROR_INVALID, "character %zu of a platform's name is not ASCII",
                            k);
    if (length == 0 || length == PLB_PLATFORM_NAME)
        return plb_fail(PLB_ERROR_INVALID, "a platform's name has %s",
                        length ? "no end" : "no letter");
    return PLB_OK;
}

enum plb_status plb_platform_check(const struct plb_platform *platform)
{
    const char *name = platform->name;

    PLB_TRY(check_name(name));
    if (platform->workers < 1 || platform->workers > PLB_WORKERS_MAX)
        return plb_fail(PLB_ERROR_INVALID, "platform '%s' has %d workers, not 1 to %d", name,
                        platform->workers, PLB_WORKERS_MAX);
    for (int dtype = 0; dtype < PLB_DTYPES; dtype++)
        PLB_TRY(check_number(name, "a rate of flops", platform->flops_per_second[dtype],
                             dtype != PLB_F32));
    PLB_TRY(check_number(name, "the rate of bytes", platform->bytes_per_second, false));
    PLB_TRY(check_number(name, "the rate of bytes in main memory", platform->host_bytes_per_second,
                         true));
    PLB_TRY(check_number(name, "the time that a task adds", platform->task_seconds, true));
    for (int tier = PLB_HOST; tier < PLB_TIERS; tier++) {
        const struct plb_link *link = &platform->link[tier];

        PLB_TRY(check_number(name, "a link's rate out", link->out_bytes_per_second, true));
        PLB_TRY(check_number(name, "a link's rate in", link->in_bytes_per_second, true));
        PLB_TRY(check_number(name, "a link's latency", link->latency_seconds, true));
    }
    return PLB_OK;
}

/* ---- tasks ---- */

static uint64_t mix_type(uint64_t hash, const struct plb_type *type)
{
    int64_t field[2 + PLB_RANK_MAX] = {(int64_t)type->dtype, type->shape.rank};

    memcpy(&field[2], type->shape.dim, sizeof type->shape.dim);
    return plb_hash_mix(hash, field, sizeof field);
}

static uint32_t footprint_of_types(const struct plb_task_types *types)
{
    uint64_t hash = plb_hash_mix(0, &types->variadic, sizeof types->variadic);

    for (int k = 0; k < types->n_in && k < PLB_OPERANDS_MAX; k++)
        hash = mix_type(hash, &types->in[k]);
    for (int k = 0; k < types->n_out; k++)
        hash = mix_type(hash, &types->out[k]);
    return (uint32_t)(hash ^ (hash >> 32));
}

uint32_t plb_task_footprint(const plb_graph_t *graph, const struct plb_task *task)
{
    struct plb_task_types types;

    plb_task_get_types(graph, task, &types);
    return footprint_of_types(&types);
}

/* Arithmetic is done in the dtype of the first input that is there, outputs where there is none. */
static enum plb_dtype dtype_of(const struct plb_task_types *types)
{
    for (int k = 0; k < types->n_in && k < PLB_OPERANDS_MAX; k++)
        if (types->in[k].shape.rank > 0)
            return types->in[k].dtype;
    return types->n_out > 0 ? types->out[0].dtype : PLB_F32;
}

static double model(const struct plb_platform *platform, const struct plb_operator *op,
                    const struct plb_task_types *types)
{
    double rate = platform->flops_per_second[dtype_of(types)];
    struct plb_cost cost = {0, 0};

    if (!(rate > 0))
        rate = platform->flops_per_second[PLB_F32];
    op->cost(types, &cost);
    return fmax(cost.flops / rate, cost.bytes / platform->bytes_per_second) +
           platform->task_seconds;
}

double plb_task_beside_seconds(const struct plb_platform *platform, const plb_graph_t *graph,
                               const struct plb_task *task)
{
    struct plb_cost cost;

    plb_task_get_cost(graph, task, &cost);
    return platform->host_bytes_per_second > 0 ? cost.bytes / platform->host_bytes_per_second
                                               : HUGE_VAL;
}

double plb_task_modelled_seconds(const struct plb_platform *platform, const plb_graph_t *graph,
                                 const struct plb_task *task)
{
    struct plb_task_types types;

    plb_task_get_types(graph, task, &types);
    return model(platform, task->op, &types);
}

enum plb_status plb_costs_of_graph(const plb_costs_t *costs, const plb_graph_t *graph,
                                   double *seconds_out, uint32_t *measured_out)
{
    struct plb_platform platform = costs ? *plb_costs_platform(costs) : plb_platform_nominal(1);
    uint32_t measured = 0;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);
        struct plb_task_types types;
        double sample = 0;

        seconds_out[t] = 0;
        if (task->op->once)
            continue;
        if (task->tier != PLB_DEVICE) {
            seconds_out[t] = plb_task_beside_seconds(&platform, graph, task);
            continue;
        }
        plb_task_get_types(graph, task, &types);
        if (costs)
            sample = plb_costs_measured(costs, task->op->name, footprint_of_types(&types));
        measured += sample > 0;
        seconds_out[t] =
            sample > 0 ? sample + platform.task_seconds : model(&platform, task->op, &types);
    }
    if (measured_out)
        *measured_out = measured;
    return PLB_OK;
}

/* ---- transfers ---- */

double plb_transfer_seconds(const struct plb_platform *platform, enum plb_tier tier, bool out,
                            size_t bytes)
{
    const struct plb_link *link;
    double rate;

    if (tier <= PLB_DEVICE || tier >= PLB_TIERS)
        return HUGE_VAL;
    link = &platform->link[tier];
    rate = out ? link->out_bytes_per_second : link->in_bytes_per_second;
    return rate > 0 ? link->latency_seconds + (double)bytes / rate : HUGE_VAL;
}
