/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the policy "online" pays for an eviction, and the heap of its candidates.
 *
 * The heuristic is that of DTR (Kirisame et al., Dynamic Tensor Rematerialization, ICLR 2021,
 * section 4.1), h = (c + sum of c over the evicted neighbourhood e*) / (bytes * staleness), with
 * what a known graph tells better:
 *   - the time to the next use stands where DTR has the time since the last one;
 *   - of what is missing, only that counts which would not be made again at about that time anyway,
 *     for a use of its own: values of one block come back together, so their costs add up once;
 *   - what is there now but will be gone by then counts as missing.
 */
#include "config.h"

#include "schedulers/memory/online/online_internal.h"

#include <math.h>

/* Tasks that a look at a value visits at most: what lies beyond is dear enough already. */
#define UPWARD_MOST   256u
#define DOWNWARD_MOST 16u

uint32_t plb__online_next(const struct plb__online *o, plb_value value)
{
    return o->next_use[value] < o->in_use[value + 1] ? o->use[o->next_use[value]] : PLB_NONE;
}

/* The last turn that reads a value; only for values with one. */
static uint32_t last_use(const struct plb__online *o, plb_value value)
{
    return o->use[o->in_use[value + 1] - 1];
}

/* 1: nobody else makes the two at about one time; 0: at the same time. */
static double apart(const struct plb__online *o, uint32_t a, uint32_t b)
{
    double between = fabs(o->time[a] - o->time[b]);
    double near = o->weights.near * o->time[plb_graph_tasks(o->graph)];

    return between < near ? between / near : 1.0;
}

/* Is the value still of use when turn `at` comes? Else it will have ended, with its copy. */
static bool lasts_until(const struct plb__online *o, plb_value value, uint32_t at)
{
    return plb__online_next(o, value) != PLB_NONE && last_use(o, value) >= at;
}

/* How much of the cost of making a missing value counts for another one that is wanted at `at`. */
static double share_of(const struct plb__online *o, plb_value missing, uint32_t at)
{
    uint32_t next = plb__online_next(o, missing);

    if (!lasts_until(o, missing, at))
        return 1.0;
    return apart(o, next, at);
}

static bool runs_once(const struct plb__online *o, plb_task_id task)
{
    return plb_graph_task(o->graph, task)->op->once;
}

/* Seconds to make `value` again for turn `at`; it looks no further when these are above `most`. */
static double cost_upwards(struct plb__online *o, plb_value value, uint32_t at, double most)
{
    plb_task_id producer = o->maker[value];
    double total = o->problem->seconds[producer];
    uint32_t n = 0;

    if (runs_once(o, producer))
        return INFINITY;
    o->search++;
    o->stamp[producer] = o->search;
    o->share[n] = 1.0;
    o->todo[n++] = producer;
    for (uint32_t seen = 0; n > 0 && seen < UPWARD_MOST && total <= most; seen++) {
        const struct plb_task *task = plb_graph_task(o->graph, o->todo[--n]);
        double share = o->share[n];

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            plb_value in = task->in[j];
            plb_task_id maker = o->maker[in];
            bool lasts;

            if (maker == PLB_NONE) {
                if (o->until[in] <= at)
                    return INFINITY;
                continue;
            }
            lasts = lasts_until(o, in, at);
            if (o->stamp[maker] == o->search || (o->here[in] && lasts))
                continue;
            if (o->copy[in] != PLB_DEVICE && lasts) {
                total += share * share_of(o, in, at) * plb__online_fetch_cost(o, in);
                continue;
            }
            if (runs_once(o, maker))
                return INFINITY;
            o->stamp[maker] = o->search;
            o->share[n] = share * share_of(o, in, at);
            total += o->share[n] * o->problem->seconds[maker];
            if (o->share[n] > 0.0)
                o->todo[n++] = maker;
        }
    }
    return total;
}

/* How much of a value's cost comes on top because something that is missing, made from it, is
 * wanted earlier than the value itself. */
static double share_downwards(struct plb__online *o, plb_value value, uint32_t at)
{
    double most = 0.0;
    uint32_t n = 0, seen = 0;

    o->todo[n++] = value;
    while (n > 0) {
        plb_value v = o->todo[--n];

        for (uint32_t k = o->in_use[v]; k < o->in_use[v + 1] && seen < DOWNWARD_MOST; k++) {
            const struct plb_task *task;

            if (o->use[k] >= o->now)
                break;
            task = plb_graph_task(o->graph, o->order[o->use[k]]);
            seen++;
            for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
                plb_value out = task->out[j];
                uint32_t next = plb__online_next(o, out);

                if (o->here[out])
                    continue;
                if (next == PLB_NONE && n < o->n_todo)
                    o->todo[n++] = out;
                else if (next != PLB_NONE && next < at && apart(o, next, at) > most)
                    most = apart(o, next, at);
            }
        }
    }
    return most;
}

double plb__online_again_cost(struct plb__online *o, plb_value value, double most)
{
    uint32_t at = plb__online_next(o, value);
    double cost = cost_upwards(o, value, at, most);

    return cost > most ? cost : cost + cost * share_downwards(o, value, at);
}

double plb__online_price(struct plb__online *o, plb_value value, enum plb_tier *tier_out)
{
    double distance = o->time[plb__online_next(o, value)] - o->time[o->now];
    double whole = o->time[plb_graph_tasks(o->graph)];
    double move = plb__online_move_cost(o, value, tier_out);
    double again =
        o->weights.again * plb__online_again_cost(o, value, move / o->weights.again);

    o->result.looks++;
    if (again <= move)
        *tier_out = PLB_DEVICE;
    return fmin(again, move) /
           ((double)o->bytes[value] * pow((distance + 1e-6 * whole) / whole, o->weights.distance));
}

/* ---- the heap ---- */

static void set(struct plb__online *o, uint32_t at, plb_value value)
{
    o->heap[at] = value;
    o->place[value] = at;
}

static uint32_t rise(struct plb__online *o, uint32_t at, plb_value value)
{
    while (at > 0 && o->price[value] < o->price[o->heap[(at - 1) / 2]]) {
        set(o, at, o->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    return at;
}

static uint32_t sink(struct plb__online *o, uint32_t at, plb_value value)
{
    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < o->n_heap && o->price[o->heap[child + 1]] < o->price[o->heap[child]])
            child++;
        if (child >= o->n_heap || !(o->price[o->heap[child]] < o->price[value]))
            return at;
        set(o, at, o->heap[child]);
        at = child;
    }
}

void plb__online_heap_put(struct plb__online *o, plb_value value, double price)
{
    uint32_t at = o->place[value] == PLB_NONE ? o->n_heap++ : o->place[value];

    o->price[value] = price;
    at = rise(o, at, value);
    set(o, at, value);
    set(o, sink(o, at, value), value);
}

void plb__online_heap_remove(struct plb__online *o, plb_value value)
{
    uint32_t at = o->place[value];
    plb_value last;

    if (at == PLB_NONE)
        return;
    o->place[value] = PLB_NONE;
    last = o->heap[--o->n_heap];
    if (last == value)
        return;
    o->place[last] = at;
    plb__online_heap_put(o, last, o->price[last]);
}
