/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * palombe train: the loss curve, the pictures, the last lines.
 */
#define _GNU_SOURCE
#include "config.h"

#include "frontends/cli/train.h"

#include "runtime/base/file.h"
#include "runtime/run/device.h"
#include "runtime/run/ledger.h"
#include "runtime/run/timeline.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CURVE "loss.csv"
#define CURVE_BYTES ((size_t)1 << 30)
#define DRAW_SECONDS 60

enum plb_status cli_run_add_point(struct cli_run *run, double step, double loss, double validation)
{
    if (run->n_points == run->points_capacity) {
        size_t capacity = run->points_capacity ? 2 * run->points_capacity : 256;
        struct cli_point *grown = realloc(run->point, capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %zu points of the loss", capacity);
        run->point = grown;
        run->points_capacity = capacity;
    }
    run->point[run->n_points++] = (struct cli_point){step, loss, validation};
    return PLB_OK;
}

/* Lines "step,loss,validation", the last field empty where it was not measured. Lines past the
 * checkpoint's step are of a part of the run that is made again. */
static enum plb_status read_points(struct cli_run *run, char *text)
{
    double most = (double)plb_trainer_steps(run->trainer);
    char *rest = text;

    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        double step, loss, validation = NAN;

        if (sscanf(line, "%lf,%lf,%lf", &step, &loss, &validation) >= 2 && step <= most)
            PLB_TRY(cli_run_add_point(run, step, loss, validation));
    }
    return PLB_OK;
}

enum plb_status cli_run_load_points(struct cli_run *run)
{
    char *path = NULL, *text = NULL;
    size_t bytes;
    enum plb_status status;

    if (!plb_file_exists_in(run->out, CURVE))
        return PLB_OK;
    PLB_TRY(plb_file_join(run->out, CURVE, &path));
    status = plb_file_read(path, CURVE_BYTES, &text, &bytes);
    if (status == PLB_OK)
        status = read_points(run, text);
    free(text);
    free(path);
    return status;
}

enum plb_status cli_run_save_points(const struct cli_run *run)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    enum plb_status status;
    bool failed;

    if (!out)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the loss curve");
    fputs("step,loss,validation\n", out);
    for (size_t k = 0; k < run->n_points; k++) {
        fprintf(out, "%.0f,%.9g,", run->point[k].step, run->point[k].loss);
        if (isfinite(run->point[k].validation))
            fprintf(out, "%.9g", run->point[k].validation);
        fputc('\n', out);
    }
    failed = ferror(out) != 0;
    if (fclose(out) == 0 && !failed && text)
        status = cli_write_text(run->out, CURVE, text);
    else
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for the loss curve");
    free(text);
    return status;
}

static enum plb_status write_and_free(const struct cli_run *run, const char *name, char *text)
{
    enum plb_status status = cli_write_text(run->out, name, text);

    free(text);
    return status;
}

/* step.dot has everything, step.svg the overview. The picture is a convenience: without Graphviz the
 * DOT file alone is there. */
static enum plb_status draw_overview(const struct cli_run *run, const plb_graph_t *graph)
{
    char *text, *dot = NULL, *svg = NULL;
    enum plb_status status;

    PLB_TRY(plb_graph_dot_overview(graph, &text));
    PLB_TRY(write_and_free(run, "step-overview.dot", text));
    PLB_TRY(plb_file_join(run->out, "step-overview.dot", &dot));
    status = plb_file_join(run->out, "step.svg", &svg);
    if (status == PLB_OK)
        status = cli_dot_to_svg(dot, svg, DRAW_SECONDS);
    free(dot);
    free(svg);
    return status;
}

static enum plb_status draw_graph(const struct cli_run *run)
{
    const plb_graph_t *graph = plb_pretrain_graph(run->pretrain);
    enum plb_status status;
    char *text;

    PLB_TRY(plb_graph_dot(graph, &text));
    PLB_TRY(write_and_free(run, "step.dot", text));
    status = draw_overview(run, graph);
    if (status != PLB_ERROR_UNAVAILABLE)
        return status;
    cli_say(run->settings, "no step.svg: %s\n", plb_error_message());
    plb_error_clear();
    return PLB_OK;
}

enum plb_status cli_run_draw(struct cli_run *run)
{
    plb_session_t *session = plb_trainer_session(run->trainer);
    char *text;

    PLB_TRY(cli_chart_svg(run->point, run->n_points, "Loss in nats per token", &text));
    PLB_TRY(write_and_free(run, "loss.svg", text));
    if (run->steps) { /* a resumed run may have been at its end already */
        PLB_TRY(plb_timeline_svg(session, "One training step", &text));
        PLB_TRY(write_and_free(run, "timeline.svg", text));
        PLB_TRY(plb_timeline_perfetto(session, &text));
        PLB_TRY(write_and_free(run, "timeline.json", text));
    }
    return draw_graph(run);
}

static double tokens_per_second(const struct cli_run *run)
{
    double tokens = (double)run->steps * (double)(run->options.batch * run->options.sequence);

    return run->seconds > 0.0 ? tokens / run->seconds : 0.0;
}

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static enum plb_status report_json(const struct cli_run *run, const struct plb_ledger *ledger,
                                   const struct plb_session_info *info)
{
    return cli_print_json(json_pack(
        "{s:s, s:I, s:I, s:o, s:o, s:f, s:f, s:I, s:I, s:s, s:i, s:s, s:s, s:o, s:I, s:I, s:s}",
        "out", run->out, "step",
        (json_int_t)plb_trainer_steps(run->trainer), "steps_made", (json_int_t)run->steps, "loss",
        number_or_null(run->steps ? (double)run->loss : NAN), "validation",
        number_or_null(run->validation_loss), "seconds", run->seconds, "tokens_per_second",
        tokens_per_second(run), "parameters",
        (json_int_t)plb_model_elements(plb_trainer_model(run->trainer)), "peak_bytes",
        (json_int_t)ledger->peak_total, "scheduler", plb_runtime_scheduler(), "workers",
        plb_runtime_workers(), "device", plb_runtime_device()->name, "memory_policy",
        info->memory_policy, "budget_bytes",
        info->budget == SIZE_MAX ? json_null() : json_integer((json_int_t)info->budget),
        "planned_bytes", (json_int_t)info->planned_bytes, "replans", (json_int_t)info->replans,
        "note", info->note));
}

/* With the costs that were measured. */
static void say_predicted(const struct cli_run *run, const struct plb_session_info *info)
{
    double seconds, bubble;

    if (strcmp(info->parallel, "none") == 0 || run->steps == 0 ||
        plb_session_predict(plb_trainer_session(run->trainer), &seconds, &bubble) != PLB_OK)
        return;
    cli_say(run->settings, "a step took %.1f ms; simulated with the times measured %.1f ms, bubble "
                           "%.1f %%\n",
            1e3 * run->seconds / (double)run->steps, 1e3 * seconds, 100.0 * bubble);
}

enum plb_status cli_run_report(const struct cli_run *run)
{
    struct plb_session_info info;
    struct plb_ledger ledger;
    char bytes[32];

    plb_session_get_info(plb_trainer_session(run->trainer), &info);
    plb_ledger_get(plb_runtime_device()->ledger, &ledger);
    if (plb_settings_switch(run->settings, OPTION_JSON))
        return report_json(run, &ledger, &info);
    if (info.note[0])
        cli_say(run->settings, "%s\n", info.note);
    say_predicted(run, &info);
    printf("%s: step %" PRIu64, run->out, plb_trainer_steps(run->trainer));
    if (run->steps)
        printf(", loss %.4f", (double)run->loss);
    if (isfinite(run->validation_loss))
        printf(", validation %.4f", run->validation_loss);
    printf(", %.0f tokens/s, peak memory %s\n", tokens_per_second(run),
           cli_print_bytes((double)ledger.peak_total, bytes, sizeof bytes));
    return PLB_OK;
}
