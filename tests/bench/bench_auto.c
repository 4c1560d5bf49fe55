/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long planning takes: a GPT of 96 blocks on a platform (default: 1024-cards), and again after
 * places are lost. Processor seconds of this process, the least of several runs.
 *
 *   bench_auto [PLATFORM [SAMPLES]]
 */
#include "config.h"

#include "schedulers/parallel/auto.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RUNS   5
#define BLOCKS 96u

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Embedding, blocks, head of width 12288 in 16 bits on cards of 500 Tflop/s; kinds after the first
 * at two fifths of that. Bytes held by Korthikanti et al. 2023, "Reducing Activation Recomputation in
 * Large Transformer Models", section 4.1, without the attention matrix. */
static void fill_unit(struct plb_auto_unit *u, uint32_t r, uint32_t kinds)
{
    double h = 12288, tokens = 2048, words = 51200;
    double parameters = r == 1 ? 12 * h * h : words * h;
    double flops =
        tokens * (r == 0 ? 100 * h : r == 1 ? 24 * h * h + 4 * tokens * h : 2 * h * words);

    u->most_degree = 32;
    u->parameters = u->gradients = 2 * parameters;
    u->state = 12 * parameters;
    u->boundary = 2 * tokens * h;
    u->saved = tokens * h * (r == 1 ? 34 : 4);
    u->saved_weights = 0.6 * u->saved;
    u->exchanged = u->boundary * (r == 1 ? 2 : 1);
    u->exchanges = r == 1 ? 2 : 1;
    u->n_options = 3;
    u->option[0] = (struct plb_auto_option){1, 0};
    u->option[1] = (struct plb_auto_option){0.5, 0.03};
    u->option[2] = (struct plb_auto_option){0.06, 1};
    for (uint32_t k = 0; k < kinds; k++) {
        double seconds = flops / (k == 0 ? 500e12 : 200e12);

        u->work[k][0] = (struct plb_auto_work){
            {seconds, 1e-5}, {seconds, 1e-5}, {seconds, 1e-5}, parameters * 20 / 3e12};
    }
}

static enum plb_status make_profile(uint32_t kinds, uint32_t samples,
                                    struct plb_auto_profile *profile_out)
{
    PLB_TRY(plb_auto_profile_create(3, BLOCKS + 2, kinds, samples, profile_out));
    for (uint32_t r = 0; r < 3; r++)
        fill_unit(&profile_out->record[r], r, kinds);
    for (uint32_t i = 0; i < BLOCKS + 2; i++)
        profile_out->unit[i] = i == 0 ? 0 : i == BLOCKS + 1 ? 2 : 1;
    plb_auto_profile_divide(profile_out);
    return PLB_OK;
}

static enum plb_status bench_first(const struct plb_auto_problem *problem,
                                   struct plb_auto_plan *plan_out)
{
    double least = 1e30;

    for (int i = 0; i < RUNS; i++) {
        double start = now();

        if (i > 0)
            plb_auto_plan_clear(plan_out);
        PLB_TRY(plb_auto_plan_make(problem, plan_out));
        least = now() - start < least ? now() - start : least;
    }
    printf("plan: %.3f s; %llu partial plans, %u played: %u replicas of %u stages, %u "
           "micro-batches, %s, %.4g s a step\n",
           least, (unsigned long long)plan_out->visited, plan_out->played, plan_out->replicas,
           plan_out->in_replica[1], plan_out->micro_batches, plan_out->schedule,
           plan_out->seconds);
    return PLB_OK;
}

static enum plb_status bench_again(const struct plb_auto_problem *problem,
                                   const struct plb_auto_plan *plan)
{
    uint32_t places = plb_places_count(problem->places);
    bool *gone = calloc(places, sizeof *gone);
    struct plb_auto_plan again;

    if (!gone)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a list of %u places", places);
    for (uint32_t lost = 1; lost <= 4 && lost < places; lost++) {
        double least = 1e30;

        gone[plan->place[(lost * 997) % plan->n_places]] = true;
        for (int i = 0; i < RUNS; i++) {
            double start = now();

            PLB_TRY(plb_auto_plan_again(problem, gone, plan, &again));
            least = now() - start < least ? now() - start : least;
            if (i + 1 < RUNS)
                plb_auto_plan_clear(&again);
        }
        printf("without %u: %.4f s; %u replicas, %s, %.4g s a step\n", lost, least,
               again.replicas, again.schedule, again.seconds);
        plb_auto_plan_clear(&again);
    }
    free(gone);
    return PLB_OK;
}

static enum plb_status bench(const char *platform, uint32_t samples)
{
    struct plb_auto_problem problem = {.goal = PLB_AUTO_THROUGHPUT};
    struct plb_auto_profile profile;
    struct plb_auto_plan plan;
    plb_places_t *places;

    PLB_TRY(plb_places_find(platform, &places));
    PLB_TRY(make_profile(plb_places_kinds(places), samples, &profile));
    problem.profile = &profile;
    problem.places = places;
    PLB_TRY(bench_first(&problem, &plan));
    PLB_TRY(bench_again(&problem, &plan));
    plb_auto_plan_clear(&plan);
    plb_auto_profile_clear(&profile);
    plb_places_destroy(places);
    return PLB_OK;
}

int main(int argc, char **argv)
{
    const char *platform = argc > 1 ? argv[1] : "1024-cards";
    int samples = argc > 2 ? atoi(argv[2]) : 2048;

    if (samples > 0 && bench(platform, (uint32_t)samples) == PLB_OK)
        return 0;
    fprintf(stderr, "bench_auto: %s\n", plb_error_message());
    return 1;
}
