/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of `palombe simulate` share: a training step on a platform that need not be at
 * hand, and what each parallel policy makes of it.
 */
#ifndef PLB_CLI_SIMULATE_H
#define PLB_CLI_SIMULATE_H

#include "frontends/cli/workload.h"
#include "runtime/base/bytes.h"
#include "runtime/plan/parallel.h"

#define CLI_TRIALS_MAX 32

/* A step, and the places where it could run. */
struct cli_machine {
    const struct plb_settings *settings;
    plb_places_t *places;
    struct cli_workload workload;
    plb_graph_t *cut;         /* NULL where the graph is left as it is */
    const plb_graph_t *graph; /* what is planned */
    double **seconds;         /* per kind of device: per task */
    uint32_t measured;        /* tasks whose times the costs of the first kind know */
    size_t *budget;           /* per place: most bytes on the device */
    double flops;             /* of the step */
    double rate;              /* flops per second of all places together */
};

/* From --platform (or, where the command has it, --costs), --workload, --model ...,
 * --micro-batches, --task-seconds. `whole`: a task per operator, whatever the platform. */
enum plb_status cli_machine_open(const struct plb_settings *settings, bool whole,
                                 struct cli_machine *machine_out);
void cli_machine_close(struct cli_machine *machine);
/* --out must end in .svg, where it is given. */
enum plb_status cli_check_picture(const struct plb_settings *settings);

/* What the planner makes of a model before there is a graph. */
struct cli_choice {
    int64_t micro_batches;
    char tensor[200];          /* as --tensor has it; "": not split */
    uint32_t replicas, stages; /* that it has in mind (stages of the first replica) */
};
#define CLI_CHOICES_MAX 3
struct cli_choices {
    int n;
    struct cli_choice choice[CLI_CHOICES_MAX];
};

/* What one policy decided, in virtual time. */
struct cli_trial {
    const struct plb_parallel_policy *policy;
    struct cli_machine own;   /* with a graph chosen for this policy alone, where it has one */
    struct cli_choice choice; /* of that graph */
    char reason[400]; /* why there is no plan; "" when there is one */
    double planning_seconds;
    struct plb_hybrid hybrid;
    struct plb_spread spread;
    struct plb_plan *plan;     /* per place, by the memory policy; NULL: those of the parts */
    struct plb_layout *layout; /* per place; NULL: memory is no limit */
    struct plb_spread_simulation simulation;
    uint32_t used;    /* places that have tasks */
    uint32_t fullest; /* the place with the highest peak */
    size_t sent;      /* bytes, all places together */
    double again;     /* seconds of tasks that had run before, all places together */
};

struct cli_simulation;
/* The step as this policy has it. */
const struct cli_machine *cli_trial_machine(const struct cli_simulation *simulation,
                                            const struct cli_trial *trial);
/* The plan that a place runs. */
const struct plb_plan *cli_trial_plan(const struct cli_trial *trial, uint32_t place);

struct cli_simulation {
    struct cli_machine machine;
    struct plb_degrees degrees;
    const struct plb_memory_policy *memory; /* of each part; NULL: none is asked */
    struct plb_budget memory_budget;
    char *names; /* the list of policies, cut into words */
    struct cli_trial trial[CLI_TRIALS_MAX];
    int n_trials;
};

/* simulate_choice.c: the micro-batches and, unless --tensor is given, the degrees that the planner
 * of "auto" would give the model; --micro-batches binds it. Only choices that differ from the graph
 * that is there, and from each other. */
enum plb_status cli_choices_make(const struct cli_simulation *simulation,
                                 struct cli_choices *choices_out);
/* The step with a graph of that choice. */
enum plb_status cli_choice_open(const struct cli_simulation *simulation,
                                const struct cli_choice *choice, struct cli_machine *machine_out);

/* simulate_report.c: prints the table, or JSON. */
enum plb_status cli_simulate_report(const struct cli_simulation *simulation);

/* simulate_picture.c: what every place does when, as SVG; to be freed. */
enum plb_status cli_simulate_svg(const struct cli_simulation *simulation, char **text_out);

#endif
