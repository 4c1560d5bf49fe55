/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The runs of `palombe compare`.
 *
 * Every run starts the runtime, makes a trainer with the same parameters and data, makes some steps
 * and stops the runtime again: so each has the machine for itself, its own peak of memory, and the
 * configuration of StarPU that it wants. A first pass over all pairs, which is not timed, measures
 * tasks and transfers; all later runs of a pair plan with what it found, and so have the same plan.
 *
 * A machine that others share is faster now and slower then, by more than most policies cost. So
 * what is held against the clock is the simulation of each run by the times of that run.
 */
#include "config.h"

#include "frontends/cli/bench.h"
#include "frontends/cli/compare.h"

#include "runtime/run/device.h"
#include "runtime/run/ledger.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One run of a pair. */
struct run {
    struct cli_comparison *comparison;
    struct cli_pair *pair;
    bool timed;
    struct cli_workload workload;
    plb_costs_t *costs;
    plb_trainer_t *trainer;
};

/* ---- what StarPU is told when it shall evict by itself ---- */

#define STARPU_SCHEDULER "dmdas"

static enum plb_status start_runtime(const struct run *run)
{
    const struct plb_settings *s = run->comparison->settings;
    const char *chosen = getenv("STARPU_SCHED");
    bool ours = run->pair->left_to_starpu && !chosen;
    enum plb_status status;

    if (ours)
        setenv("STARPU_SCHED", STARPU_SCHEDULER, 1);
    status = cli_start_runtime(s);
    if (ours)
        unsetenv("STARPU_SCHED");
    return status;
}

/* ---- one run ---- */

static enum plb_status make_trainer(struct run *run)
{
    const struct plb_settings *s = run->comparison->settings;
    const char *known = run->comparison->costs;
    struct plb_session_options options = {.parallel = "none",
                                          .memory_policy = run->pair->policy,
                                          .budget = run->pair->budget,
                                          .offload_dir = plb_settings_text(s, OPTION_OFFLOAD_DIR),
                                          .state = "device",
                                          .drift = -1.0};

    if (known)
        PLB_TRY(
            plb_costs_from_json(known, strlen(known), "the costs measured so far", &run->costs));
    options.costs = run->costs;
    PLB_TRY(cli_workload_build(s, (uint64_t)plb_settings_integer(s, OPTION_SEED), &run->workload));
    return cli_workload_trainer(&run->workload, &options, &run->trainer);
}

static enum plb_status add_time(struct cli_times *times, double seconds)
{
    if (times->n == times->capacity) {
        int capacity = times->capacity ? 2 * times->capacity : 64;
        double *grown = realloc(times->seconds, (size_t)capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %d measurements", capacity);
        times->seconds = grown;
        times->capacity = capacity;
    }
    times->seconds[times->n++] = seconds;
    return PLB_OK;
}

/* The first step of a run touches memory for the first time, and is not counted; nor is what it, and
 * the runs before, told of costs. */
static enum plb_status make_steps(struct run *run, float *loss)
{
    for (int k = 0; k < run->comparison->steps; k++) {
        double start = cli_seconds();

        PLB_TRY(plb_trainer_step(run->trainer));
        PLB_TRY(plb_trainer_read(run->trainer, &loss[k], NULL));
        PLB_TRY(plb_trainer_wait(run->trainer));
        if (run->timed && (k > 0 || run->comparison->steps == 1))
            PLB_TRY(add_time(&run->pair->steps, cli_seconds() - start));
        if (run->timed && k == 0 && run->comparison->steps > 1)
            plb_costs_forget(plb_session_costs(plb_trainer_session(run->trainer)));
        if (cli_interrupted())
            return plb_fail(PLB_ERROR_INTERRUPTED, "interrupted");
    }
    return PLB_OK;
}

/* The plan of the run in virtual time, by the times that its own tasks and moves took: what is left
 * between that and the clock is what the simulator does not know. */
static enum plb_status replay(struct run *run)
{
    const plb_session_t *session = plb_trainer_session(run->trainer);
    const plb_graph_t *graph = plb_session_graph(session);
    double *seconds = malloc(((size_t)plb_graph_tasks(graph) + 1) * sizeof *seconds);
    struct plb_simulation simulation = {0};
    struct plb_problem problem;
    enum plb_status status;

    if (!seconds)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to simulate a run");
    status = plb_problem_prepare(graph, plb_session_costs(session), NULL, seconds, &problem);
    if (status == PLB_OK)
        status = plb_simulate(plb_session_plan(session), plb_session_layout(session), &problem,
                              &simulation);
    if (status == PLB_OK)
        status = add_time(&run->pair->replays, simulation.seconds);
    plb_simulation_clear(&simulation);
    free(seconds);
    return status;
}

/* The losses of the first run are those that all others must have. */
static enum plb_status check_bits(struct run *run, const float *loss)
{
    struct cli_comparison *c = run->comparison;
    size_t bytes = (size_t)c->steps * sizeof *loss;

    if (c->loss) {
        run->pair->same_bits &= memcmp(c->loss, loss, bytes) == 0;
        return PLB_OK;
    }
    c->loss = malloc(bytes);
    if (!c->loss)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the losses of %d steps", c->steps);
    memcpy(c->loss, loss, bytes);
    return PLB_OK;
}

static void take_info(struct run *run)
{
    struct cli_pair *pair = run->pair;
    struct plb_session_info info;
    struct plb_ledger ledger;

    cli_print_device(run->comparison->device, sizeof run->comparison->device);
    plb_session_get_info(plb_trainer_session(run->trainer), &info);
    plb_ledger_get(plb_runtime_device()->ledger, &ledger);
    pair->budget_bytes = info.budget == SIZE_MAX ? 0 : info.budget;
    pair->planned_bytes = info.planned_bytes;
    if (run->timed && ledger.peak_total > pair->peak_bytes) /* the first pass has other plans */
        pair->peak_bytes = ledger.peak_total;
    pair->again_tasks = info.again_tasks;
    pair->again_flops = info.again_flops;
    pair->moved = 0;
    for (int t = PLB_HOST; t < PLB_TIERS; t++)
        pair->moved += info.moved_out[t] + info.moved_in[t];
    if (plb_runtime_device()->moved_by_starpu)
        pair->own_moves = plb_runtime_device()->moved_by_starpu();
    pair->planning_seconds = info.prepare_seconds;
    pair->predicted = info.predicted_seconds;
    if (!pair->left_to_starpu)
        return;
    pair->planned_bytes = 0; /* no plan was kept to */
    pair->predicted = 0.0;
}

/* What the first pass measured is what the runs plan with; where StarPU evicts, tasks meet memory
 * that is colder. */
static enum plb_status keep_costs(struct run *run)
{
    char *text;

    if (run->timed || run->pair->left_to_starpu ||
        plb_settings_given(run->comparison->settings, OPTION_COSTS))
        return PLB_OK;
    PLB_TRY(plb_costs_to_json(plb_session_costs(plb_trainer_session(run->trainer)), &text));
    free(run->comparison->costs);
    run->comparison->costs = text;
    return PLB_OK;
}

static enum plb_status run_steps(struct run *run)
{
    float *loss = malloc((size_t)run->comparison->steps * sizeof *loss);
    enum plb_status status = PLB_OK;

    if (!loss)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the losses");
    status = make_steps(run, loss);
    if (status == PLB_OK)
        status = check_bits(run, loss);
    free(loss);
    if (status == PLB_OK)
        status = keep_costs(run);
    if (status == PLB_OK && run->timed && !run->pair->left_to_starpu)
        status = replay(run);
    if (status == PLB_OK)
        take_info(run);
    return status;
}

/* That there is no plan for a pair is a result. */
static enum plb_status run_pair(struct cli_comparison *c, struct cli_pair *pair, bool timed)
{
    struct run run = {.comparison = c, .pair = pair, .timed = timed};
    enum plb_status status;

    if (pair->reason[0])
        return PLB_OK;
    PLB_TRY(start_runtime(&run));
    status = make_trainer(&run);
    if (status == PLB_ERROR_MEMORY || status == PLB_ERROR_INVALID) {
        snprintf(pair->reason, sizeof pair->reason, "%s", plb_error_message());
        plb_error_clear();
        status = PLB_OK;
    } else if (status == PLB_OK) {
        status = run_steps(&run);
    }
    plb_trainer_destroy(run.trainer);
    cli_workload_clear(&run.workload);
    plb_costs_destroy(run.costs);
    plb_runtime_stop();
    return status;
}

/* ---- all runs ---- */

/* Pass 0 warms up; then there and back, so that a drift of the machine hits all alike. */
static enum plb_status run_all(struct cli_comparison *c, struct cli_progress *progress)
{
    for (int pass = 0; pass <= c->rounds; pass++) {
        for (int k = 0; k < c->n_pairs; k++) {
            struct cli_pair *pair = &c->pair[pass % 2 == 0 ? k : c->n_pairs - 1 - k];
            char budget[32];

            cli_progress_show(progress,
                              (double)(pass * c->n_pairs + k) / ((c->rounds + 1) * c->n_pairs),
                              "%s %d/%d: %s, %s", pass ? "round" : "warming up", pass, c->rounds,
                              pair->policy, cli_print_budget(&pair->budget, budget, sizeof budget));
            PLB_TRY(run_pair(c, pair, pass > 0));
        }
    }
    return PLB_OK;
}

static enum plb_status record_costs(const struct cli_comparison *c)
{
    const char *path = plb_settings_text(c->settings, OPTION_RECORD_COSTS);

    return path && *path && c->costs ? cli_write_text(NULL, path, c->costs) : PLB_OK;
}

static void find_medians(struct cli_comparison *c)
{
    const struct cli_pair *none = &c->pair[0];

    for (int k = 0; k < c->n_pairs; k++) {
        struct cli_pair *pair = &c->pair[k];

        if (pair->steps.n > 0)
            pair->measured = cli_median(pair->steps.seconds, pair->steps.n);
        if (pair->replays.n > 0)
            pair->simulated = cli_median(pair->replays.seconds, pair->replays.n);
        if (none->measured > 0.0)
            pair->measured_overhead = pair->measured / none->measured - 1.0;
        if (none->simulated > 0.0)
            pair->simulated_overhead = pair->simulated / none->simulated - 1.0;
    }
}

enum plb_status cli_compare_run(struct cli_comparison *comparison)
{
    struct cli_progress progress;
    enum plb_status status;

    for (int k = 0; k < comparison->n_pairs; k++)
        comparison->pair[k].same_bits = true;
    unsetenv("PALOMBE_MEMORY_BUDGET"); /* the first pair has no limit */
    cli_interrupt_catch();
    cli_progress_start(&progress, !plb_settings_switch(comparison->settings, OPTION_QUIET) &&
                                      !plb_settings_switch(comparison->settings, OPTION_JSON));
    if (plb_settings_given(comparison->settings, OPTION_COSTS))
        PLB_TRY(plb_costs_to_json(comparison->planner.costs, &comparison->costs));
    status = run_all(comparison, &progress);
    cli_progress_end(&progress);
    PLB_TRY(status);
    find_medians(comparison);
    return record_costs(comparison);
}
