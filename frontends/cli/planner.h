/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What `palombe plan` and `palombe compare` share: a training step made ready for planning, and
 * what a policy makes of it under a budget. StarPU is not needed for any of it.
 */
#ifndef PLB_CLI_PLANNER_H
#define PLB_CLI_PLANNER_H

#include "frontends/cli/workload.h"
#include "runtime/base/bytes.h"
#include "runtime/plan/simulate.h"

/* ---- the step, on whatever it runs ---- */

/* From --workload, --model ...: forward pass, backward pass, update (AdamW). On failure the workload
 * is to be cleared all the same. */
enum plb_status cli_step_build(const struct plb_settings *settings,
                               struct cli_workload *workload_out);
/* The same cut as a session has on this machine, unless tasks of a given length are wanted
 * (--task-seconds) or the platform is a card: then `cut_out` is left alone. */
enum plb_status cli_step_cut(const struct plb_settings *settings,
                             const struct cli_workload *workload,
                             const struct plb_platform *platform, plb_graph_t **cut_out);
/* Flops per second of one worker on that dtype. */
double cli_platform_rate(const struct plb_platform *platform, enum plb_dtype dtype);

/* ---- on one device ---- */

/* --costs, else nominal rates of this machine with --workers. */
enum plb_status cli_load_costs(const struct plb_settings *settings, plb_costs_t **costs_out);

/* A training step. */
struct cli_planner {
    const struct plb_settings *settings;
    struct cli_workload workload;
    plb_graph_t *cut;         /* NULL where the graph is left as it is */
    const plb_graph_t *graph; /* what is planned */
    plb_costs_t *costs;
    uint32_t measured;          /* tasks whose times the costs know */
    double *seconds;            /* per task */
    struct plb_problem problem; /* without limits */
    double none_seconds;        /* of a step that keeps everything, simulated */
    double pass_seconds;        /* of that, the forward and backward passes */
};

/* From --workload, --model ..., --costs, --task-seconds. */
enum plb_status cli_planner_open(const struct plb_settings *settings,
                                 struct cli_planner *planner_out);
void cli_planner_close(struct cli_planner *planner);

/* Limits of a budget; PLB_ERROR_INVALID when it is more than the device has. */
enum plb_status cli_planner_limits(const struct cli_planner *planner,
                                   const struct plb_budget *budget, struct plb_limits *limits_out);

/* What a policy decided. */
struct cli_decision {
    const char *policy;
    struct plb_budget budget;
    struct plb_problem problem; /* with the limits of the budget */
    struct plb_plan plan;
    struct plb_layout layout;
    struct plb_simulation simulation;
    double planning_seconds;
    size_t device_bytes;  /* laid out, `reserved` counted in */
    double overhead;      /* extra time over a step that keeps everything, as a share of it */
    double pass_overhead; /* ... of its forward and backward passes */
};

enum plb_status cli_decide(const struct cli_planner *planner, const char *policy,
                           const struct plb_budget *budget, struct cli_decision *decision_out);
void cli_decision_clear(struct cli_decision *decision);
size_t cli_decision_moved(const struct cli_decision *decision); /* bytes, both ways */

/* What became of the values that the forward pass leaves for the backward pass, by block of the
 * model. */
struct cli_block {
    int block;                      /* -1: outside of all */
    size_t kept, remade, offloaded; /* bytes */
};

/* In order of blocks; to be freed. */
enum plb_status cli_decision_blocks(const struct cli_decision *decision,
                                    struct cli_block **blocks_out, int *n_out);

/* A budget as a user would say it: "0.5", "1.5 GiB", "no limit". */
char *cli_print_budget(const struct plb_budget *budget, char *text, size_t size);

/* plan_picture.c: memory over time and what runs and moves, as SVG; to be freed. */
enum plb_status cli_plan_svg(const struct cli_planner *planner, const struct cli_decision *decision,
                             char **text_out);

#endif
