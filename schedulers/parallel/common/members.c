/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which places of a stage do a task: shards in turn; what is not divided is done by the
 * first place, or by all where that moves no more bytes than sending its results around would.
 */
#include "config.h"

#include "schedulers/parallel/common/placement.h"

/* Does somebody of the task's own job, or of a later job in its chunk, want its results at all
 * places of the stage? Known of values, latest first. */
static void find_wanted(struct plb__finder *f)
{
    const plb_graph_t *graph = f->jobs->graph;

    for (plb_task_id t = plb_graph_tasks(graph); t-- > 0;) {
        const struct plb_task *task = plb_graph_task(graph, t);
        bool wants = task->shard >= 0;

        if (f->jobs->task[t].kind == PLB__JOB_REST)
            continue;
        for (uint32_t i = 0; !wants && i < task->out_start[task->n_out]; i++)
            wants = f->wanted[task->out[i]];
        for (uint32_t i = 0; wants && i < task->in_start[task->n_in]; i++)
            f->wanted[task->in[i]] = true;
    }
}

/* Transfers more that a value takes when all places of a stage read it and not only the first. */
static double more_transfers(const struct plb__finder *f, plb_value value, double places)
{
    plb_task_id maker = plb_graph_value(f->jobs->graph, value)->producer;

    if (maker == PLB_NONE || f->member[maker] == PLB__ALL_MEMBERS)
        return 0;
    return f->member[maker] == 0 || f->member[maker] == PLB_NONE ? places - 1 : places - 2;
}

static uint32_t choose_member(const struct plb__finder *f, const struct plb_task *task,
                              uint32_t places)
{
    double in = 0, out = 0;

    for (uint32_t i = 0; i < task->in_start[task->n_in]; i++)
        in += more_transfers(f, task->in[i], places) *
              (double)plb_type_bytes(&plb_graph_value(f->jobs->graph, task->in[i])->type);
    for (uint32_t i = 0; i < task->out_start[task->n_out]; i++)
        if (f->wanted[task->out[i]])
            out += (places - 1.0) *
                   (double)plb_type_bytes(&plb_graph_value(f->jobs->graph, task->out[i])->type);
    return out > 0 && in <= out ? PLB__ALL_MEMBERS : 0;
}

static void note_home(struct plb__finder *f, plb_task_id t, plb_value value, uint32_t chunk)
{
    uint32_t number = f->parameter[value], crew = f->crew_of[f->jobs->task[t].micro_batch];
    struct plb__home *home;

    if (number == PLB_NONE)
        return;
    home = &f->home[(size_t)crew * f->n_parameters + number];
    if (home->chunk == PLB_NONE || chunk < home->chunk)
        *home = (struct plb__home){chunk, f->member[t]};
    else if (chunk == home->chunk && f->member[t] != home->member)
        home->member = PLB__ALL_MEMBERS;
}

void plb__find_members(struct plb__finder *f)
{
    find_wanted(f);
    for (plb_task_id t = 0; t < plb_graph_tasks(f->jobs->graph); t++) {
        const struct plb_task *task = plb_graph_task(f->jobs->graph, t);
        const struct plb__jobs_task *it = &f->jobs->task[t];
        const struct plb__team *team;
        uint32_t chunk, places;

        f->member[t] = PLB_NONE;
        if (it->kind == PLB__JOB_REST)
            continue;
        team = plb__team_of(f, t);
        chunk = f->chunk_of[f->crew_of[it->micro_batch]][it->position];
        places = plb__stage_places(team, team->stage_of[chunk]);
        if (places == 1)
            f->member[t] = 0;
        else if (task->shard < 0)
            f->member[t] = choose_member(f, task, places);
        else
            f->member[t] = (uint32_t)task->shard % places;
        for (uint32_t i = 0; i < task->in_start[task->n_in]; i++)
            note_home(f, t, task->in[i], chunk);
    }
}
