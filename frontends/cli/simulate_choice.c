/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which graph the policy "auto" would like to have: how many micro-batches, split how often by
 * tensor parallelism.
 *
 * What a model costs is read from two small graphs, one with the whole batch as its only
 * micro-batch and one with a single sequence: between them lies what a sequence adds, and what is
 * left is the price of a micro-batch, whatever its size. What this is not: the search (auto.h), or
 * the comparison with the graph as it was given (simulate.c).
 */
#include "config.h"

#include "frontends/cli/simulate.h"

#include "frontends/nn/split.h"
#include "schedulers/parallel/auto/graph.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- graphs of other sizes ---- */

struct sizes {
    int64_t batch, micro_batches;
    const char *tensor; /* NULL: not split */
};

/* The simulated step with other sizes, on the same places. */
static enum plb_status open_sized(const struct cli_simulation *s, const struct sizes *sizes,
                                  bool whole, struct cli_machine *machine_out)
{
    const struct plb_settings *from = s->machine.settings;
    size_t n = (size_t)from->program->n_options;
    struct plb_settings settings = *from;
    char batch[24], micro_batches[24];
    enum plb_status status;

    settings.text = malloc(n * sizeof *settings.text);
    settings.given = malloc(n * sizeof *settings.given);
    if (settings.text && settings.given) {
        memcpy(settings.text, from->text, n * sizeof *settings.text);
        memcpy(settings.given, from->given, n * sizeof *settings.given);
        snprintf(batch, sizeof batch, "%" PRId64, sizes->batch);
        snprintf(micro_batches, sizeof micro_batches, "%" PRId64, sizes->micro_batches);
        settings.text[OPTION_BATCH] = batch;
        settings.text[OPTION_PARTS] = micro_batches;
        settings.given[OPTION_PARTS] = true;
        settings.text[OPTION_TENSOR] = sizes->tensor;
        status = cli_machine_open(&settings, whole, machine_out);
    } else {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for settings");
    }
    free(settings.text);
    free(settings.given);
    if (status != PLB_OK)
        return status;
    machine_out->settings = from;
    memcpy(machine_out->budget, s->machine.budget,
           plb_places_count(machine_out->places) * sizeof *machine_out->budget);
    return PLB_OK;
}

enum plb_status cli_choice_open(const struct cli_simulation *s, const struct cli_choice *choice,
                                struct cli_machine *machine_out)
{
    const struct sizes sizes = {plb_settings_integer(s->machine.settings, OPTION_BATCH),
                                choice->micro_batches, choice->tensor[0] ? choice->tensor : NULL};

    return open_sized(s, &sizes, false, machine_out);
}

/* ---- the profile ---- */

/* By blocks, of which nothing is recomputed. */
static enum plb_status read_blocks(const struct cli_machine *m, uint32_t samples,
                                   struct plb_auto_profile *profile_out)
{
    struct plb__auto_graph read;
    struct plb__jobs jobs;
    enum plb_status status;

    PLB_TRY(plb__jobs_find(m->graph, &jobs));
    status = plb__auto_graph_read(&jobs, m->places, (const double *const *)m->seconds, samples,
                                  true, &read);
    plb__jobs_clear(&jobs);
    if (status != PLB_OK)
        return status;
    free(read.bound);
    *profile_out = read.profile;
    return PLB_OK;
}

/* `again`: with what blocks may recompute. */
static enum plb_status read_profile(const struct cli_simulation *s, const struct sizes *sizes,
                                    bool again, struct plb_auto_profile *profile_out)
{
    uint32_t samples = (uint32_t)sizes->batch;
    struct cli_machine m;
    enum plb_status status;

    PLB_TRY(open_sized(s, sizes, true, &m));
    if (again)
        status = plb_auto_profile_of_blocks(m.graph, m.places, (const double *const *)m.seconds,
                                            samples, profile_out);
    else
        status = read_blocks(&m, samples, profile_out);
    cli_machine_close(&m);
    return status;
}

/* A line through the seconds of a job of `n` samples and of one. */
static void fit(struct plb_auto_seconds *all, const struct plb_auto_seconds *one, double n)
{
    double of_all = all->fixed + n * all->each, of_one = one->fixed + one->each;

    all->each = fmax(0.0, of_all - of_one) / (n - 1.0);
    all->fixed = fmax(0.0, of_all - n * all->each);
}

/* Units of both profiles are the same, their records need not be. */
static void fit_record(struct plb_auto_profile *profile, const struct plb_auto_profile *single,
                       uint32_t record)
{
    uint32_t unit = 0;

    while (profile->unit[unit] != record)
        unit++;
    for (uint32_t k = 0; k < profile->kinds; k++)
        for (uint32_t d = 0; d < PLB_AUTO_DEGREES; d++) {
            struct plb_auto_work *all = &profile->record[record].work[k][d];
            const struct plb_auto_work *one = &single->record[single->unit[unit]].work[k][d];

            fit(&all->forward, &one->forward, profile->samples);
            fit(&all->inputs, &one->inputs, profile->samples);
            fit(&all->weights, &one->weights, profile->samples);
        }
}

/* Without a memory policy nothing is recomputed. */
static enum plb_status make_profile(const struct cli_simulation *s, const char *tensor,
                                    struct plb_auto_profile *profile_out)
{
    struct sizes sizes = {plb_settings_integer(s->machine.settings, OPTION_BATCH), 1, tensor};
    struct plb_auto_profile single;
    enum plb_status status;

    PLB_TRY(read_profile(s, &sizes, s->memory != NULL, profile_out));
    profile_out->micro_batches = 0; /* to be chosen */
    if (sizes.batch == 1)
        return PLB_OK;
    sizes.batch = 1;
    status = read_profile(s, &sizes, false, &single);
    if (status != PLB_OK) {
        plb_auto_profile_clear(profile_out);
        return status;
    }
    for (uint32_t r = 0; r < profile_out->n_records && single.n_units == profile_out->n_units; r++)
        fit_record(profile_out, &single, r);
    plb_auto_profile_clear(&single);
    return PLB_OK;
}

/* ---- the choice ---- */

/* The most ways that the model can be split on so many places: a power of two. */
static enum plb_status find_most(const struct cli_simulation *s, int64_t *layers_out,
                                 uint32_t *most_out)
{
    uint32_t places = plb_places_count(s->machine.places), most = 1;
    struct plb_model_config config;

    PLB_TRY(cli_model_config(s->machine.settings, &config));
    for (; 2 * most <= places && most < 1u << (PLB_AUTO_DEGREES - 1); most *= 2) {
        const struct plb_split split = {
            .n = 1,
            .range = {{0, config.layers - 1, (int)(2 * most)}},
            .vocabulary = (int)(2 * most)};

        if (plb_split_check(&split, &config) != PLB_OK) {
            plb_error_clear();
            break;
        }
    }
    *layers_out = config.layers;
    *most_out = most;
    return PLB_OK;
}

/* As --tensor has it: ranges of blocks of one degree. Units are what stands before the blocks, the
 * blocks, and what follows, which is split with the vocabulary. */
static void write_tensor(const struct plb_auto_plan *plan, uint32_t layers,
                         struct cli_choice *choice)
{
    uint32_t first = plb_auto_degree_of(plan, 0), last = plb_auto_degree_of(plan, layers + 1);
    size_t n = 0;

    for (uint32_t b = 0, next; b < layers && n < sizeof choice->tensor; b = next) {
        uint32_t degree = plb_auto_degree_of(plan, b + 1);

        for (next = b + 1; next < layers && plb_auto_degree_of(plan, next + 1) == degree; next++)
            ;
        if (degree > 1)
            n += (size_t)snprintf(choice->tensor + n, sizeof choice->tensor - n, "%s%u-%u:%u",
                                  n ? "," : "", b, next - 1, degree);
    }
    if (first < last)
        first = last;
    if (first > 1 && n < sizeof choice->tensor)
        n += (size_t)snprintf(choice->tensor + n, sizeof choice->tensor - n, "%svocabulary:%u",
                              n ? "," : "", first);
    if (n >= sizeof choice->tensor)
        choice->tensor[0] = '\0'; /* of too many pieces to be worth it */
}

/* A plan of no more micro-batches than a graph can have. */
static enum plb_status make_plan(struct plb_auto_problem *problem, struct plb_auto_plan *plan_out)
{
    uint32_t most = PLB_MICRO_BATCHES_MAX;

    PLB_TRY(plb_auto_plan_make(problem, plan_out));
    if (plan_out->micro_batches <= most)
        return PLB_OK;
    while (problem->profile->samples % most != 0)
        most--;
    plb_auto_plan_clear(plan_out);
    problem->micro_batches = most;
    return plb_auto_plan_make(problem, plan_out);
}

/* Of the first replica; a stage can have several chunks of the model. */
static uint32_t count_stages(const struct plb_auto_plan *plan)
{
    uint32_t n = 0;

    for (uint32_t c = 0, b; c < plan->in_replica[1]; c++) {
        for (b = 0; b < c; b++)
            if (plan->place[plan->stage[b].place] == plan->place[plan->stage[c].place])
                break;
        n += b == c;
    }
    return n;
}

/* `given`: the --tensor of the user, NULL where it is to be chosen. */
static enum plb_status choose(struct plb_auto_problem *problem, const char *given, int64_t layers,
                              struct cli_choice *choice)
{
    struct plb_auto_plan plan;

    PLB_TRY(make_plan(problem, &plan));
    *choice = (struct cli_choice){.micro_batches = plan.micro_batches,
                                  .replicas = plan.replicas,
                                  .stages = count_stages(&plan)};
    if (given)
        snprintf(choice->tensor, sizeof choice->tensor, "%s", given);
    else if (problem->profile->n_units == (uint32_t)layers + 2)
        write_tensor(&plan, (uint32_t)layers, choice);
    plb_auto_plan_clear(&plan);
    return PLB_OK;
}

/* As the planner likes best; without shards; and all on one place, where transfers cost more than
 * they save. What it refuses is left out. */
static enum plb_status choose_all(const struct cli_simulation *s, struct plb_auto_problem *problem,
                                  const char *given, int64_t layers, struct cli_choices *choices)
{
    const struct plb_auto_problem wanted = *problem;

    for (int k = 0; k < CLI_CHOICES_MAX; k++) {
        struct cli_choice *choice = &choices->choice[choices->n];
        enum plb_status status;
        bool known;

        *problem = wanted;
        problem->degree = k > 0 && !given ? 1 : 0;
        if (k == 2 && !problem->replicas && !problem->stages)
            problem->replicas = problem->stages = 1;
        status = choose(problem, given, layers, choice);
        if (status != PLB_OK && status != PLB_ERROR_INVALID && status != PLB_ERROR_MEMORY)
            return status;
        plb_error_clear();
        known = status != PLB_OK || (choice->micro_batches == s->machine.workload.micro_batches &&
                                     (given || !choice->tensor[0]));
        for (int i = 0; i < choices->n && !known; i++)
            known = choices->choice[i].micro_batches == choice->micro_batches &&
                    strcmp(choices->choice[i].tensor, choice->tensor) == 0;
        choices->n += !known;
    }
    return PLB_OK;
}

enum plb_status cli_choices_make(const struct cli_simulation *s, struct cli_choices *choices_out)
{
    const struct plb_settings *settings = s->machine.settings;
    const char *given = plb_settings_text(settings, OPTION_TENSOR);
    struct plb_auto_profile profile;
    struct plb_auto_problem problem = {.profile = &profile,
                                       .places = s->machine.places,
                                       .budget = s->machine.budget,
                                       .shard_state = s->degrees.shard_state,
                                       .replicas = s->degrees.replicas,
                                       .stages = s->degrees.stages};
    int64_t layers = 0;
    uint32_t most = 1;
    char widest[16];
    enum plb_status status;

    if (!given)
        PLB_TRY(find_most(s, &layers, &most));
    snprintf(widest, sizeof widest, "%u", most);
    if (plb_settings_given(settings, OPTION_PARTS))
        problem.micro_batches = (uint32_t)plb_settings_integer(settings, OPTION_PARTS);
    PLB_TRY(make_profile(s, given ? given : most > 1 ? widest : NULL, &profile));
    choices_out->n = 0;
    status = choose_all(s, &problem, given, layers, choices_out);
    plb_auto_profile_clear(&profile);
    return status;
}
