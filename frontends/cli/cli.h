/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the commands of the program share.
 */
#ifndef PLB_CLI_H
#define PLB_CLI_H

#include "frontends/formats/hf_config.h"
#include "frontends/nn/split.h"
#include "runtime/base/options.h"
#include "runtime/base/status.h"
#include "runtime/graph/value.h"
#include "runtime/run/session.h"

#include <jansson.h>
#include <stdio.h>

/* Numbers of the options: OPTION_BATCH and so on. */
enum cli_option {
#define OPTION(id, flag, environment, type, argument, initial, low, high, choices, commands, help) \
    OPTION_##id,
#include "frontends/cli/options.def"
#undef OPTION
    OPTIONS
};

extern const struct plb_program cli_program;

/* Each command gets its parsed settings and returns a status; output goes to standard output,
 * progress and messages to standard error. */
enum plb_status cli_train(const struct plb_settings *settings);
enum plb_status cli_generate(const struct plb_settings *settings);
enum plb_status cli_logits(const struct plb_settings *settings);
enum plb_status cli_graph(const struct plb_settings *settings);
enum plb_status cli_info(const struct plb_settings *settings);
enum plb_status cli_plan(const struct plb_settings *settings);
enum plb_status cli_plan_granularity(const struct plb_settings *settings);
enum plb_status cli_compare(const struct plb_settings *settings);
enum plb_status cli_simulate(const struct plb_settings *settings);
enum plb_status cli_doctor(const struct plb_settings *settings);
enum plb_status cli_bench_train(const struct plb_settings *settings);
enum plb_status cli_bench_generate(const struct plb_settings *settings);
enum plb_status cli_bench_replan(const struct plb_settings *settings);

/* --- settings.c --- */

enum plb_dtype cli_dtype(const struct plb_settings *settings);
/* Starts the runtime with --workers and --device. */
enum plb_status cli_start_runtime(const struct plb_settings *settings);
/* Fills what --memory, --memory-budget, --offload-dir and --costs say of a session. The costs are to
 * be destroyed after the session; `costs_out` is NULL on entry and may stay so. */
/* A line on what is spread over devices and how, if anything is. */
void cli_say_parallel(const struct plb_settings *settings, const struct plb_session_info *info);
enum plb_status cli_session_memory(const struct plb_settings *settings,
                                   struct plb_session_options *options, plb_costs_t **costs_out);
/* Saves what the session measured where --record-costs says, if it does. */
enum plb_status cli_record_costs(const struct plb_settings *settings, const plb_session_t *session);
/* "virtual:2.0 GiB, 1 worker": what the runtime computes on, into text; returns text. */
char *cli_print_device(char *text, size_t size);
/* "memory policy swap, 1.2 GiB planned of a budget of 1.5 GiB" */
char *cli_print_memory(const struct plb_session_info *info, char *text, size_t size);

/* --- output.c --- */

/* Prints an object as one line on standard output and releases it. A NULL object (memory was short
 * when it was made) is PLB_ERROR_MEMORY. */
enum plb_status cli_print_json(json_t *object);
/* Says on standard error what is printed for people only (nothing under --quiet or --json). */
void cli_say(const struct plb_settings *settings, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Writes text to DIRECTORY/NAME, or to NAME when directory is NULL. */
enum plb_status cli_write_text(const char *directory, const char *name, const char *text);
/* "1.5 GiB", "12.3 MiB" ... into text; returns text. */
char *cli_print_bytes(double bytes, char *text, size_t size);

/* "3.2 GFLOP" likewise, in powers of 1000. */
char *cli_print_flops(double flops, char *text, size_t size);

/* --- interrupt.c --- */

/* From now on SIGINT and SIGTERM only set a flag, a second one ends the process. */
void cli_interrupt_catch(void);
bool cli_interrupted(void);

/* --- presets.c --- */

struct cli_preset {
    const char *name, *help;
    enum plb_model_family family;
    int64_t vocab, hidden, layers, heads, kv_heads, ffn, max_positions;
    bool tied;
};

const struct cli_preset *cli_presets(int *n_out);
/* The configuration of --model with --layers, --hidden and --heads applied. The vocabulary of a
 * preset may be changed afterwards. */
enum plb_status cli_model_config(const struct plb_settings *settings,
                                 struct plb_model_config *config_out);
/* How --tensor splits that model. */
enum plb_status cli_split(const struct plb_settings *settings,
                          const struct plb_model_config *config, struct plb_split *split_out);

/* --- progress.c --- */

/* A line that is drawn again in place on a terminal, and printed now and then elsewhere. */
struct cli_progress {
    bool on, terminal;
    double start, last; /* seconds */
};

void cli_progress_start(struct cli_progress *progress, bool on);
/* `share` of the work done, 0 to 1; the text stands behind the bar. */
void cli_progress_show(struct cli_progress *progress, double share, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void cli_progress_end(struct cli_progress *progress);
double cli_seconds(void); /* of a clock that only goes forward */

/* --- chart.c --- */

/* One point of a loss curve; a NaN value is left out. */
struct cli_point {
    double step, loss, validation;
};

/* A loss curve as SVG; `text_out` is to be freed by the caller. */
enum plb_status cli_chart_svg(const struct cli_point *point, size_t n, const char *title,
                              char **text_out);

/* --- picture.c --- */

/* DOT to SVG through Graphviz's program `dot`. PLB_ERROR_UNAVAILABLE when it is not installed or
 * takes more than `seconds`. */
enum plb_status cli_dot_to_svg(const char *dot_path, const char *svg_path, int seconds);

#endif
