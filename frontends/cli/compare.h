/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of `palombe compare` share.
 */
#ifndef PLB_CLI_COMPARE_H
#define PLB_CLI_COMPARE_H

#include "frontends/cli/planner.h"

#define CLI_PAIRS_MAX 256

/* Seconds that were found one after the other. */
struct cli_times {
    double *seconds;
    int n, capacity;
};

/* A policy under a budget, with what was planned and measured. The first pair of a comparison is
 * "none" without a limit, which all others are compared with (where the device holds it). */
struct cli_pair {
    const char *policy; /* owned by the comparison */
    struct plb_budget budget;
    size_t budget_bytes;  /* 0: no limit */
    char reason[400];     /* why it cannot be planned; "" when it can */
    bool left_to_starpu;  /* nothing is planned; StarPU evicts */
    size_t planned_bytes; /* of the device */
    size_t peak_bytes;    /* ... really held at the most; 0: not run */
    uint32_t again_tasks;
    double again_flops;
    size_t moved; /* bytes a step, both ways */
    double planning_seconds;
    double predicted;         /* seconds of a step, by the times that the plan was made with */
    double simulated;         /* ... by the times of the same runs; 0: not known */
    double simulated_overhead;
    struct cli_times replays; /* simulated seconds of each run */
    struct cli_times steps;   /* measured seconds of steps */
    double measured;          /* their median */
    double measured_overhead;
    uint64_t own_moves; /* bytes that StarPU moved by itself in a run */
    bool same_bits;     /* every run had the losses of the first run */
};

struct cli_comparison {
    const struct plb_settings *settings;
    struct cli_planner planner;
    char *policies, *budgets; /* the lists, cut into words */
    int steps, rounds;
    bool runs; /* not only simulated */
    char device[64];
    struct cli_pair pair[CLI_PAIRS_MAX];
    int n_pairs;
    char *costs; /* of this machine as JSON, for runs to plan with */
    float *loss; /* of each step of the first run: what all others must have */
};

/* compare_run.c: runs every pair in turn, `rounds` times, there and back; fills what is measured.
 */
enum plb_status cli_compare_run(struct cli_comparison *comparison);

/* compare_report.c: prints what was found. */
enum plb_status cli_compare_report(const struct cli_comparison *comparison);
/* Other bits, a budget that was not kept, and transfers that nobody planned are failures. */
enum plb_status cli_compare_judge(const struct cli_comparison *comparison);

/* compare_picture.c: the front of memory and time as SVG; to be freed. */
enum plb_status cli_compare_svg(const struct cli_comparison *comparison, char **text_out);

#endif
