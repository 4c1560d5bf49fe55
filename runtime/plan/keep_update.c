/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which updates of parameters are made in main memory, where their state is kept.
 *
 * On the device an update of a parameter with a bf16 copy, whose state is kept in main memory,
 * takes 12 bytes an element of the link each way, and else nothing to speak of. In main memory it
 * takes 4 out (the gradient) and 2 in (the copy), and 30 of main memory. Both go on beside one
 * another and beside the device, so what counts is the one that takes longest: the link's busier
 * direction, or main memory.
 */
#include "config.h"

#include "runtime/plan/keep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Seconds. */
struct load {
    double out, in, host;
};

struct chooser {
    plb_graph_t *graph;
    const struct plb_platform *platform;
    plb_value *replaces; /* per value: the initial value whose last version it is, or PLB_NONE */
    struct load all;
};

static size_t bytes_of(const struct chooser *c, plb_value value)
{
    return plb_type_bytes(&plb_graph_value(c->graph, value)->type);
}

static bool is_home(const struct chooser *c, plb_value value)
{
    const struct plb_value_info *info = plb_graph_value(c->graph, value);

    return info->producer == PLB_NONE && info->home == PLB_HOST;
}

/* Does it make nothing but last versions, one of which at least is kept in main memory? */
static bool may_choose(const struct chooser *c, const struct plb_task *task)
{
    bool away = false;

    if (task->phase != PLB_PHASE_UPDATE)
        return false;
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
        plb_value first = c->replaces[task->out[j]];

        if (first == PLB_NONE || plb_graph_value(c->graph, first)->home == PLB_DISK)
            return false;
        away |= is_home(c, first);
    }
    return away;
}

static double seconds(const struct chooser *c, bool out, size_t bytes)
{
    const struct plb_link *link = &c->platform->link[PLB_HOST];

    return (double)bytes / (out ? link->out_bytes_per_second : link->in_bytes_per_second);
}

static struct load load_of(const struct chooser *c, const struct plb_task *task, bool beside)
{
    struct load load = {0, 0, beside ? plb_task_beside_seconds(c->platform, c->graph, task) : 0};

    for (int k = 0; k < task->n_in; k++)
        for (uint32_t j = task->in_start[k]; j < task->in_start[k + 1]; j++) {
            bool home = is_home(c, task->in[j]), read = !(task->op->in[k].flags & PLB_UNREAD);

            if (beside && read && !home)
                load.out += seconds(c, true, bytes_of(c, task->in[j]));
            if (!beside && home)
                load.in += seconds(c, false, bytes_of(c, task->in[j]));
        }
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
        bool home = is_home(c, c->replaces[task->out[j]]);

        if (beside && !home)
            load.in += seconds(c, false, bytes_of(c, task->out[j]));
        if (!beside && home)
            load.out += seconds(c, true, bytes_of(c, task->out[j]));
    }
    return load;
}

static struct load add(struct load a, struct load b, double sign)
{
    return (struct load){a.out + sign * b.out, a.in + sign * b.in, a.host + sign * b.host};
}

static double longest(const struct chooser *c, struct load load)
{
    bool duplex = c->platform->link[PLB_HOST].duplex;

    return fmax(load.host, duplex ? fmax(load.out, load.in) : load.out + load.in);
}

/* Less for the longest, or the same and less in all (but for what rounding makes of it). */
static bool is_better(const struct chooser *c, struct load a, struct load b)
{
    const double same = 1.0 - 1e-9;
    double x = longest(c, a), y = longest(c, b);

    return x < same * y || (x * same <= y && a.out + a.in + a.host < b.out + b.in + b.host);
}

static void choose(struct chooser *c, plb_task_id id, bool forced)
{
    const struct plb_task *task = plb_graph_task(c->graph, id);
    struct load without = add(c->all, load_of(c, task, false), -1.0);
    struct load with = add(without, load_of(c, task, true), 1.0);

    if (!forced && !is_better(c, with, c->all))
        return;
    c->all = with;
    plb_graph_set_tier(c->graph, id, PLB_HOST);
}

static void choose_all(struct chooser *c, bool forced)
{
    for (plb_value v = 0; v < plb_graph_values(c->graph); v++)
        c->replaces[v] = PLB_NONE;
    for (plb_value v = 0; v < plb_graph_values(c->graph); v++) {
        const struct plb_value_info *info = plb_graph_value(c->graph, v);

        if (info->producer == PLB_NONE && info->next != PLB_NONE)
            c->replaces[info->next] = v;
    }
    for (plb_task_id t = 0; t < plb_graph_tasks(c->graph); t++)
        if (may_choose(c, plb_graph_task(c->graph, t)))
            c->all = add(c->all, load_of(c, plb_graph_task(c->graph, t), false), 1.0);
    for (plb_task_id t = 0; t < plb_graph_tasks(c->graph); t++)
        if (may_choose(c, plb_graph_task(c->graph, t)))
            choose(c, t, forced);
}

enum plb_status plb_keep_updates(const struct plb_keep *keep, const struct plb_platform *platform,
                                 plb_graph_t *graph)
{
    struct chooser c = {.graph = graph, .platform = platform};
    const struct plb_link *link = &platform->link[PLB_HOST];
    bool forced = keep->update == PLB_UPDATE_HOST;

    if (keep->bytes == 0 || keep->update == PLB_UPDATE_DEVICE)
        return PLB_OK;
    if (!(platform->host_bytes_per_second > 0 && link->out_bytes_per_second > 0 &&
          link->in_bytes_per_second > 0)) {
        if (!forced)
            return PLB_OK;
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "platform '%s' makes no updates in main memory: it has no "
                        "\"host_bytes_per_second\", or no link to there",
                        platform->name);
    }
    c.replaces = malloc(((size_t)plb_graph_values(graph) + 1) * sizeof *c.replaces);
    if (!c.replaces)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to place the updates of %u values",
                        plb_graph_values(graph));
    choose_all(&c, forced);
    free(c.replaces);
    return plb_graph_status(graph);
}
