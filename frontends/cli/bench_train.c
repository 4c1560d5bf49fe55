/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * palombe bench train: the time of a training step against what the machine could do.
 *
 * The floor is arithmetic at the rate of the matrix library, and after it the optimizer's traffic
 * at the rate of copying, both measured in the same run.
 */
#include "config.h"

#include "frontends/cli/bench.h"

#include "frontends/cli/workload.h"
#include "runtime/plan/layout.h"
#include "runtime/run/device.h"
#include "runtime/run/ledger.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>

#define WARM_STEPS 2

struct bench {
    const struct plb_settings *settings;
    struct cli_rates rates;
    struct cli_workload workload;
    plb_costs_t *costs; /* of --costs, or NULL */
    plb_trainer_t *trainer;
    double median, least, most; /* seconds of a step */
    double host;                /* seconds of a step in submission */
    float loss;
    double floor_flops, floor_update; /* seconds */
    size_t needed;                    /* parameters, state, gradients, saved activations */
};

static enum plb_status make_trainer(struct bench *b)
{
    const struct plb_settings *s = b->settings;
    struct plb_session_options session = {0};

    PLB_TRY(cli_session_memory(s, &session, &b->costs));
    PLB_TRY(cli_workload_build(s, (uint64_t)plb_settings_integer(s, OPTION_SEED), &b->workload));
    return cli_workload_trainer(&b->workload, &session, &b->trainer);
}

static enum plb_status one_step(struct bench *b, double *seconds_out)
{
    double start = cli_seconds();

    PLB_TRY(plb_trainer_step(b->trainer));
    PLB_TRY(plb_trainer_read(b->trainer, &b->loss, NULL));
    PLB_TRY(plb_trainer_wait(b->trainer));
    *seconds_out = cli_seconds() - start;
    return PLB_OK;
}

static enum plb_status measure(struct bench *b)
{
    int repeat = (int)plb_settings_integer(b->settings, OPTION_REPEAT);
    double *seconds = malloc((size_t)repeat * sizeof *seconds), warm;
    struct plb_session_info before, after;
    enum plb_status status = PLB_OK;

    if (!seconds)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %d measurements", repeat);
    for (int k = 0; k < WARM_STEPS && status == PLB_OK; k++)
        status = one_step(b, &warm);
    plb_session_get_info(plb_trainer_session(b->trainer), &before);
    for (int k = 0; k < repeat && status == PLB_OK; k++)
        status = one_step(b, &seconds[k]);
    plb_session_get_info(plb_trainer_session(b->trainer), &after);
    if (status == PLB_OK) {
        b->median = cli_median(seconds, repeat);
        b->least = seconds[0];
        b->most = seconds[repeat - 1];
        b->host = (after.submit_seconds - before.submit_seconds) / repeat;
    }
    free(seconds);
    return status;
}

static enum plb_status find_needed(struct bench *b)
{
    struct plb_needs needs;

    PLB_TRY(plb_needs_find(plb_session_graph(plb_trainer_session(b->trainer)), &needs));
    b->needed = needs.initial + needs.gradients + needs.saved;
    return PLB_OK;
}

/* The optimizer's tasks move bytes, everything else computes. */
static void find_floor(struct bench *b)
{
    const plb_graph_t *graph = plb_session_graph(plb_trainer_session(b->trainer));

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);
        struct plb_cost cost;

        plb_task_get_cost(graph, task, &cost);
        if (task->phase == PLB_PHASE_UPDATE)
            b->floor_update += cost.bytes / b->rates.copied_per_second;
        else
            b->floor_flops += cost.flops / b->rates.flops_per_second;
    }
}

/* Who held how much at the moment of the peak. */
static json_t *accounts_json(const struct plb_ledger *ledger)
{
    json_t *accounts = json_object();

    for (int k = 0; k < PLB_ACCOUNTS; k++)
        json_object_set_new(accounts, plb_account_name(k),
                            json_integer((json_int_t)ledger->peak[k]));
    return accounts;
}

static void print_accounts(const struct plb_ledger *ledger)
{
    char bytes[32];

    printf("           ");
    for (int k = 0; k < PLB_ACCOUNTS; k++)
        printf("%s%s %s", k ? ", " : "", plb_account_name(k),
               cli_print_bytes((double)ledger->peak[k], bytes, sizeof bytes));
    putchar('\n');
}

static enum plb_status report_json(const struct bench *b, const struct plb_session_info *info,
                                   const struct plb_ledger *ledger)
{
    double samples = (double)b->workload.samples;
    double floor = b->floor_flops + b->floor_update;

    return cli_print_json(json_pack(
        "{s:f, s:f, s:f, s:f, s:s, s:f, s:f, s:f, s:f, s:f, s:I, s:o, s:I, s:I, s:i, s:s, s:s, "
        "s:f, "
        "s:f, s:s, s:s, s:o, s:I, s:f, s:I}",
        "step_seconds", b->median, "least_seconds", b->least, "most_seconds", b->most,
        "tokens_per_second", samples / b->median, "unit", b->workload.unit, "flops", info->flops,
        "floor_seconds", floor, "ratio_to_floor", b->median / floor, "host_seconds", b->host,
        "host_share", b->host / b->median, "peak_bytes", (json_int_t)ledger->peak_total,
        "peak_by_role", accounts_json(ledger), "needed_bytes", (json_int_t)b->needed, "tasks",
        (json_int_t)info->tasks, "workers", plb_runtime_workers(), "scheduler",
        plb_runtime_scheduler(), "dtype", plb_dtype_name(b->workload.dtype), "loss",
        (double)b->loss, "prepare_seconds", info->prepare_seconds, "device",
        plb_runtime_device()->name, "memory_policy", info->memory_policy, "budget_bytes",
        info->budget == SIZE_MAX ? json_null() : json_integer((json_int_t)info->budget),
        "planned_bytes", (json_int_t)info->planned_bytes, "again_flops", info->again_flops,
        "replans", (json_int_t)info->replans));
}

static void report_text(const struct bench *b, const struct plb_session_info *info,
                        const struct plb_ledger *ledger)
{
    double samples = (double)b->workload.samples;
    double floor = b->floor_flops + b->floor_update;
    char have[32], need[32], device[64], memory[160];

    printf("step       %.3f s (median of %" PRId64 ", %.3f to %.3f), %.4g %s/s; %s\n", b->median,
           plb_settings_integer(b->settings, OPTION_REPEAT), b->least, b->most, samples / b->median,
           b->workload.unit, b->workload.title);
    printf("floor      %.3f s: %.1f GFLOP at %.0f GFLOP/s, update at %.1f GB/s; step is %.2f times "
           "that\n",
           floor, 1e-9 * info->flops, 1e-9 * b->rates.flops_per_second,
           1e-9 * b->rates.copied_per_second, b->median / floor);
    printf("host       %.1f ms of submission a step, %.2f %% of it; %.0f ms of preparation once\n",
           1e3 * b->host, 100.0 * b->host / b->median, 1e3 * info->prepare_seconds);
    printf("memory     peak %s, %.2f times parameters, gradients, state and saved activations "
           "(%s)\n",
           cli_print_bytes((double)ledger->peak_total, have, sizeof have),
           (double)ledger->peak_total / (double)b->needed,
           cli_print_bytes((double)b->needed, need, sizeof need));
    print_accounts(ledger);
    printf("           %s\n", cli_print_memory(info, memory, sizeof memory));
    printf("tasks      %u a step on %s, scheduler %s, %s\n", info->tasks,
           cli_print_device(device, sizeof device), plb_runtime_scheduler(),
           plb_dtype_name(b->workload.dtype));
}

static enum plb_status report(const struct bench *b)
{
    struct plb_session_info info;
    struct plb_ledger ledger;

    plb_session_get_info(plb_trainer_session(b->trainer), &info);
    plb_ledger_get(plb_runtime_device()->ledger, &ledger);
    if (plb_settings_switch(b->settings, OPTION_JSON))
        return report_json(b, &info, &ledger);
    report_text(b, &info, &ledger);
    return PLB_OK;
}

static enum plb_status bench_train(struct bench *b)
{
    const struct plb_settings *s = b->settings;
    int threads;

    PLB_TRY(cli_worker_threads(s, &threads));
    PLB_TRY(cli_rates_measure(threads, &b->rates));
    PLB_TRY(cli_start_runtime(s));
    PLB_TRY(make_trainer(b));
    PLB_TRY(measure(b));
    PLB_TRY(find_needed(b));
    find_floor(b);
    PLB_TRY(cli_record_costs(s, plb_trainer_session(b->trainer)));
    return report(b);
}

enum plb_status cli_bench_train(const struct plb_settings *settings)
{
    struct bench bench = {.settings = settings};
    enum plb_status status = bench_train(&bench);

    plb_trainer_destroy(bench.trainer);
    plb_costs_destroy(bench.costs);
    plb_runtime_stop();
    cli_workload_clear(&bench.workload);
    return status;
}
