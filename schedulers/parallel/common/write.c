/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From schedules to the lists of tasks of a hybrid plan.
 *
 * All runs of all places stand in one order: by job, within a job by task, then what follows the
 * job. Whatever a run waits for comes before it there, and each place's list is a part of it; so no
 * plan that comes out of here can lock.
 */
#include "config.h"

#include "schedulers/parallel/common/jobs.h"

#include <stdlib.h>
#include <string.h>

/* A run, and where it stands. */
struct entry {
    uint32_t place, after, turn; /* turn: among what has the same `after` */
    bool rest;
    plb_task_id task;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    if (x->after != y->after)
        return x->after < y->after ? -1 : 1;
    if (x->rest != y->rest)
        return x->rest ? 1 : -1;
    if (x->turn != y->turn)
        return x->turn < y->turn ? -1 : 1;
    return (x->task > y->task) - (x->task < y->task);
}

/* ---- turns ---- */

/* Turns of tasks are those of their numbers, but that in a fused job W comes as early as it can:
 * before what is sent to the stage before. There W has the turn after the last of those that make
 * what it reads. Turns grow by steps of two, so that there is one in between. */
static uint32_t turn_of_w(const struct plb__jobs *jobs, const uint32_t *turn, plb_task_id t)
{
    const struct plb_task *task = plb_graph_task(jobs->graph, t);
    uint32_t latest = 0;

    for (uint32_t i = 0; i < task->in_start[task->n_in]; i++) {
        plb_task_id maker = plb_graph_value(jobs->graph, task->in[i])->producer;

        if (maker != PLB_NONE && jobs->task[maker].kind != PLB__JOB_F &&
            turn[maker] > latest)
            latest = turn[maker];
    }
    return latest % 2 == 0 ? latest + 1 : latest;
}

static uint32_t *find_turns(const struct plb__jobs *jobs, bool fused)
{
    uint32_t n = plb_graph_tasks(jobs->graph), *turn = malloc(((size_t)n + 1) * sizeof *turn);

    for (plb_task_id t = 0; turn && t < n; t++)
        turn[t] = fused && jobs->task[t].kind == PLB__JOB_W ? turn_of_w(jobs, turn, t) : 2 * t + 2;
    return turn;
}

/* ---- lists ---- */

static void list_entries(const struct plb__jobs *jobs, const struct plb__placement *placement,
                         const uint32_t *turn, struct entry *entry)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(jobs->graph); t++) {
        for (uint32_t k = 0; k < placement->count[t]; k++) {
            const struct plb__done *done = &placement->at[placement->first[t] + k];

            *entry++ = (struct entry){done->place, done->after, turn[t],
                                      jobs->task[t].kind == PLB__JOB_REST, t};
        }
    }
}

static enum plb_status make_lists(const struct entry *entry, uint32_t n, uint32_t n_places,
                                  struct plb_hybrid *hybrid)
{
    hybrid->n_places = n_places;
    hybrid->in_place = calloc((size_t)n_places + 1, sizeof *hybrid->in_place);
    hybrid->run = malloc(((size_t)n + 1) * sizeof *hybrid->run);
    if (!hybrid->in_place || !hybrid->run)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a plan of %u runs", n);
    for (uint32_t k = 0; k < n; k++) {
        hybrid->in_place[entry[k].place + 1]++;
        hybrid->run[k] = entry[k].task;
    }
    for (uint32_t p = 0; p < n_places; p++)
        hybrid->in_place[p + 1] += hybrid->in_place[p];
    return PLB_OK;
}

enum plb_status plb__hybrid_write(const struct plb__jobs *jobs,
                                  const struct plb_parallel_problem *problem,
                                  const struct plb__crew *crew, uint32_t n_crews, bool in_order,
                                  struct plb_hybrid *hybrid_out)
{
    struct plb__placement placement = {0};
    uint32_t *turn = NULL;
    struct entry *entry = NULL;
    enum plb_status status = plb__placement_find(jobs, problem, crew, n_crews, &placement);

    if (status != PLB_OK)
        return status;
    turn = find_turns(jobs, crew[0].schedule.fused);
    entry = malloc(((size_t)placement.n + 1) * sizeof *entry);
    if (!turn || !entry) {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for a plan of %u runs", placement.n);
    } else {
        list_entries(jobs, &placement, turn, entry);
        qsort(entry, placement.n, sizeof *entry, compare_entries);
        hybrid_out->in_order = in_order;
        status = make_lists(entry, placement.n, plb_places_count(problem->places), hybrid_out);
    }
    free(turn);
    free(entry);
    plb__placement_clear(&placement);
    return status;
}
