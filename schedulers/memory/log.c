/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory policy "log:POLICY": another policy, whose decisions are written down.
 *
 * Each decision becomes two files in the directory PALOMBE_POLICY_LOG (default: palombe-log), which
 * is made where it is missing: 000001-problem.json, what the policy was asked and how it went, and
 * 000001-plan.json, the plan (see "replay"). Numbers go on from what is in the directory; several
 * processes may write into one. It changes no decision.
 */
#include "config.h"

#include "runtime/base/file.h"
#include "runtime/base/json.h"
#include "schedulers/schedulers.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_DEFAULT "palombe-log"
#define LOG_MOST    999999u

/* What is written of one decision. */
struct decision {
    const struct plb_problem *problem;
    const char *event; /* "first", "drift", ... */
    const char *policy;
    const struct plb_plan *plan; /* NULL: failed, the thread's message says why */
    double seconds;              /* that it took */
};

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Takes the first free number in the directory: the file of the problem is made, empty. */
static enum plb_status take_number(const char *directory, char *stem, size_t bytes)
{
    PLB_TRY(plb_file_make_directory(directory));
    for (unsigned k = 1; k <= LOG_MOST; k++) {
        char name[32], *path;
        int file;

        snprintf(name, sizeof name, "%06u-problem.json", k);
        PLB_TRY(plb_file_join(directory, name, &path));
        file = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
        if (file < 0 && errno != EEXIST) {
            enum plb_status status =
                plb_fail(PLB_ERROR_IO, "cannot write '%s': %s", path, strerror(errno));

            free(path);
            return status;
        }
        free(path);
        if (file < 0)
            continue;
        close(file);
        snprintf(stem, bytes, "%06u", k);
        return PLB_OK;
    }
    return plb_fail(PLB_ERROR_IO, "'%s' has %u decisions already", directory, LOG_MOST);
}

/* ---- the summary ---- */

/* Bytes; null stands for no limit. */
static json_t *json_bytes(size_t bytes)
{
    return bytes > INT64_MAX ? json_null() : json_integer((json_int_t)bytes);
}

static json_t *limits_json(const struct plb_limits *limits)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:b}", "device", json_bytes(limits->bytes[PLB_DEVICE]),
                     "host", json_bytes(limits->bytes[PLB_HOST]), "disk",
                     json_bytes(limits->bytes[PLB_DISK]), "reserved", json_bytes(limits->reserved),
                     "hold_gradients", limits->hold_gradients);
}

static json_t *needs_json(const struct plb_needs *needs)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "initial", json_bytes(needs->initial),
                     "gradients", json_bytes(needs->gradients), "activations",
                     json_bytes(needs->activations), "saved", json_bytes(needs->saved),
                     "largest_task", json_bytes(needs->largest_task));
}

static json_t *counts_json(const struct plb_plan *plan)
{
    json_int_t count[PLB_OPCODES] = {0};

    for (uint32_t i = 0; i < plan->n; i++)
        count[plan->instruction[i].code]++;
    return json_pack("{s:I, s:I, s:I, s:I}", plb_opcode_name(PLB_RUN), count[PLB_RUN],
                     plb_opcode_name(PLB_DROP), count[PLB_DROP], plb_opcode_name(PLB_OFFLOAD),
                     count[PLB_OFFLOAD], plb_opcode_name(PLB_FETCH), count[PLB_FETCH]);
}

static json_t *summary_json(const struct decision *d)
{
    const plb_graph_t *graph = d->problem->graph;
    char fingerprint[24];
    double seconds = 0.0;
    json_t *root;

    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++)
        seconds += d->problem->seconds ? d->problem->seconds[t] : 0.0;
    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, plb_graph_fingerprint(graph));
    root = json_pack("{s:s, s:s, s:s, s:i, s:i, s:f, s:o, s:o, s:f}", "policy", d->policy, "event",
                     d->event, "fingerprint", fingerprint, "tasks", (int)plb_graph_tasks(graph),
                     "values", (int)plb_graph_values(graph), "seconds_of_tasks", seconds, "limits",
                     limits_json(&d->problem->limits), "needs", needs_json(&d->problem->needs),
                     "planning_seconds", d->seconds);
    if (root && d->problem->platform)
        json_object_set_new(root, "platform", json_string(d->problem->platform->name));
    if (root && d->plan)
        json_object_set_new(root, "instructions", counts_json(d->plan));
    else if (root)
        json_object_set_new(root, "failed", json_string(plb_error_message()));
    return root;
}

/* ---- files ---- */

static enum plb_status save_in(const char *directory, const char *stem, const char *kind,
                               const json_t *summary, const struct plb_plan *plan)
{
    char name[32], *path;
    enum plb_status status;

    snprintf(name, sizeof name, "%s-%s.json", stem, kind);
    PLB_TRY(plb_file_join(directory, name, &path));
    status = plan ? plb_plan_save(plan, path) : plb_json_save(path, summary);
    free(path);
    return status;
}

static enum plb_status write_decision(const struct decision *d)
{
    const char *directory = getenv("PALOMBE_POLICY_LOG");
    json_t *summary = summary_json(d);
    char stem[16];
    enum plb_status status;

    if (!summary)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to log a decision");
    if (!directory || !*directory)
        directory = LOG_DEFAULT;
    status = take_number(directory, stem, sizeof stem);
    if (status == PLB_OK)
        status = save_in(directory, stem, "problem", summary, NULL);
    if (status == PLB_OK && d->plan)
        status = save_in(directory, stem, "plan", NULL, d->plan);
    json_decref(summary);
    return status;
}

/* The policy's own failure is what the caller hears of, logged or not. */
static enum plb_status log_failure(struct decision *d, enum plb_status failure)
{
    char *message = strdup(plb_error_message());

    d->plan = NULL;
    (void)write_decision(d);
    plb_fail(failure, "%s", message ? message : d->policy);
    free(message);
    return failure;
}

static enum plb_status ask_and_log(const struct plb_problem *problem, enum plb_event event,
                                   const struct plb_plan *current, struct plb_plan *plan_out)
{
    const struct plb_memory_policy *policy;
    struct plb_plan plan = {0};
    struct decision decision = {
        .problem = problem, .event = current ? plb_event_name(event) : "first", .plan = &plan};
    enum plb_status status;

    if (!problem->argument)
        return plb_fail(PLB_ERROR_INVALID, "'log' needs a policy: log:POLICY");
    PLB_TRY(plb_memory_policy_find(problem->argument, &policy));
    decision.policy = policy->name;
    decision.seconds = seconds_now();
    status = plb_memory_policy_ask(policy, problem, event, current, &plan);
    decision.seconds = seconds_now() - decision.seconds;
    if (status != PLB_OK)
        return log_failure(&decision, status);
    status = write_decision(&decision);
    if (status != PLB_OK) {
        plb_plan_clear(&plan);
        return status;
    }
    *plan_out = plan;
    return PLB_OK;
}

static enum plb_status plan_and_log(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    return ask_and_log(problem, PLB_EVENT_DRIFT, NULL, plan_out);
}

const struct plb_memory_policy plb_memory_log = {
    .name = "log",
    .help = "another policy, with its decisions written to PALOMBE_POLICY_LOG",
    .plan = plan_and_log,
    .replan = ask_and_log,
    .takes = "POLICY",
};
