/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parallel policies against each other, and each against what the simulator says of it.
 *
 *   bench_parallel DEVICES POLICY... [name=number...]
 *
 * trains one GPT per policy (layers=4 hidden=512 heads=2 sequence=256 micro=8 vocabulary=64) on the
 * devices, a step of each in turn, and prints the median, the least and the most seconds of a step,
 * what the simulator predicts with the costs that were measured meanwhile, and how far that is off;
 * rounds=10 after warm=2 that do not count. Costs are calibrated first, by warm steps of the first
 * policy: policies plan with them. Slices have at least rows=256. The ratios of interleaved medians
 * are what can be compared. The last line says of how many pairs of policies the simulator knows
 * which is the faster one.
 */
#include "config.h"

#include "frontends/nn/language.h"
#include "frontends/nn/trainer.h"
#include "runtime/run/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { POLICIES = 16, ROUNDS = 1000 };

static struct {
    const char *name;
    long value;
} figures[] = {{"layers", 4}, {"hidden", 512},    {"heads", 2},   {"sequence", 256},
               {"micro", 8},  {"vocabulary", 64}, {"rounds", 10}, {"warm", 2},
               {"rows", 256}};

enum { LAYERS, HIDDEN, HEADS, SEQUENCE, MICRO, VOCABULARY, ROUNDS_ASKED, WARM, ROWS, FIGURES };

struct run {
    const char *policy;
    struct plb_language language;
    plb_trainer_t *trainer;
    double seconds[ROUNDS];
    double median, predicted; /* of a step */
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct plb_model_config config_of(void)
{
    struct plb_model_config config;

    plb_model_config_default(PLB_FAMILY_GPT2, &config);
    config.vocab = figures[VOCABULARY].value;
    config.hidden = figures[HIDDEN].value;
    config.layers = figures[LAYERS].value;
    config.heads = config.kv_heads = figures[HEADS].value;
    config.head_dim = config.hidden / config.heads;
    config.ffn = 4 * config.hidden;
    config.max_positions = figures[SEQUENCE].value;
    config.embedding_dropout = config.residual_dropout = config.attention_dropout = 0.0;
    config.bos_token = config.pad_token = PLB_NO_TOKEN;
    config.eos_count = 0;
    return config;
}

static enum plb_status create(struct run *run, const int32_t *tokens, const int32_t *positions,
                              plb_costs_t *costs)
{
    const struct plb_model_config config = config_of();
    long micro = figures[MICRO].value, sequence = figures[SEQUENCE].value;
    const struct plb_language_options language = {.mode = PLB_LANGUAGE_TRAIN,
                                                  .batch = micro,
                                                  .sequence = sequence,
                                                  .micro_batches = micro,
                                                  .seed = 1};
    const struct plb_trainer_options options = {
        .optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW),
        .schedule = {PLB_SCHEDULE_CONSTANT, 1e-4, 0.1, 0, ROUNDS},
        .session = {.parallel = run->policy,
                    .costs = costs,
                    .cut.rows_min = figures[ROWS].value},
        .batch = micro,
        .sequence = sequence,
        .micro_batches = micro};

    PLB_TRY(plb_language_create(&config, &language, &run->language));
    PLB_TRY(plb_trainer_create(run->language.model, run->language.loss, &options, &run->trainer));
    PLB_TRY(plb_trainer_write(run->trainer, run->language.positions, positions,
                              (size_t)sequence * sizeof *positions));
    PLB_TRY(plb_language_write(&run->language, plb_trainer_session(run->trainer), tokens, tokens));
    return plb_trainer_initialize(run->trainer);
}

static enum plb_status step(struct run *run, double *seconds_out)
{
    double start = now();
    float loss;

    PLB_TRY(plb_trainer_step(run->trainer));
    PLB_TRY(plb_trainer_read(run->trainer, &loss, NULL));
    PLB_TRY(plb_trainer_wait(run->trainer));
    *seconds_out = now() - start;
    return PLB_OK;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static enum plb_status report(struct run *run, long rounds)
{
    struct plb_session_info info;
    double bubble;

    plb_session_get_info(plb_trainer_session(run->trainer), &info);
    PLB_TRY(plb_session_predict(plb_trainer_session(run->trainer), &run->predicted, &bubble));
    qsort(run->seconds, (size_t)rounds, sizeof run->seconds[0], compare);
    run->median = run->seconds[rounds / 2];
    printf("%-12s %8.2f ms a step (%.2f to %.2f), simulated %8.2f ms (%+.1f %%), bubble %4.1f %%, "
           "%u transfers, %u tasks\n",
           run->policy, 1e3 * run->median, 1e3 * run->seconds[0], 1e3 * run->seconds[rounds - 1],
           1e3 * run->predicted, 100.0 * (run->predicted / run->median - 1.0), 100.0 * bubble, info.transfers,
           info.tasks);
    return PLB_OK;
}

static void compare_pairs(const struct run *run, int n)
{
    int pairs = 0, right = 0;

    for (int j = 0; j < n; j++)
        for (int k = 0; k < j; k++) {
            pairs++;
            right += (run[j].median < run[k].median) == (run[j].predicted < run[k].predicted);
        }
    if (pairs > 0)
        printf("the simulator knows the faster one of %d of %d pairs\n", right, pairs);
}

static enum plb_status measure(struct run *run, int n)
{
    long rounds = figures[ROUNDS_ASKED].value, warm = figures[WARM].value;
    double seconds;

    for (long round = -warm; round < rounds; round++)
        for (int k = 0; k < n; k++) {
            struct run *one = &run[round % 2 ? n - 1 - k : k];

            PLB_TRY(step(one, &seconds));
            if (round >= 0)
                one->seconds[round] = seconds;
        }
    for (int k = 0; k < n; k++) {
        PLB_TRY(report(&run[k], rounds));
        if (k > 0)
            printf("%-12s %+.1f %% of the speed of %s\n", run[k].policy,
                   100.0 * (run[0].median / run[k].median - 1.0), run[0].policy);
    }
    compare_pairs(run, n);
    return PLB_OK;
}

/* A table of what tasks take for each policy. */
static enum plb_status calibrate(struct run *run, const int32_t *tokens, const int32_t *positions,
                                 plb_costs_t **cost)
{
    struct run trial = {.policy = run->policy};
    enum plb_status status = create(&trial, tokens, positions, NULL);
    double seconds;

    for (long k = 0; k <= figures[WARM].value && status == PLB_OK; k++)
        status = step(&trial, &seconds);
    for (int k = 0; k < POLICIES && run[k].policy && status == PLB_OK; k++)
        status = plb_costs_copy(plb_session_costs(plb_trainer_session(trial.trainer)), &cost[k]);
    plb_trainer_destroy(trial.trainer);
    return status;
}

static enum plb_status bench(struct run *run, int n)
{
    size_t tokens = (size_t)(figures[MICRO].value * figures[SEQUENCE].value);
    int32_t *token = calloc(2 * tokens, sizeof *token), *position = token + tokens;
    plb_costs_t *cost[POLICIES] = {NULL};
    enum plb_status status;

    if (!token)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %zu tokens", tokens);
    for (size_t i = 0; i < tokens; i++) {
        token[i] = (int32_t)((i * 2654435761u >> 7) % (size_t)figures[VOCABULARY].value);
        position[i] = (int32_t)(i % (size_t)figures[SEQUENCE].value);
    }
    status = calibrate(run, token, position, cost);
    for (int k = 0; k < n && status == PLB_OK; k++)
        status = create(&run[k], token, position, cost[k]);
    if (status == PLB_OK)
        status = measure(run, n);
    for (int k = 0; k < n; k++) {
        plb_trainer_destroy(run[k].trainer);
        plb_costs_destroy(cost[k]);
    }
    free(token);
    return status;
}

/* "name=number" */
static bool read_figure(const char *text)
{
    size_t n = strcspn(text, "=");

    for (int k = 0; k < FIGURES && text[n]; k++)
        if (strlen(figures[k].name) == n && memcmp(figures[k].name, text, n) == 0) {
            figures[k].value = strtol(text + n + 1, NULL, 10);
            return figures[k].value > 0 && figures[k].value <= ROUNDS * ROUNDS;
        }
    return false;
}

int main(int argc, char **argv)
{
    static struct run run[POLICIES];
    struct plb_runtime_options options = {.devices = argc > 1 ? argv[1] : NULL};
    enum plb_status status;
    int n = 0;

    for (int k = 2; k < argc; k++) {
        if (strchr(argv[k], '=') && read_figure(argv[k]))
            continue;
        if (strchr(argv[k], '=') || n == POLICIES) {
            fprintf(stderr, "bench_parallel: what is '%s'?\n", argv[k]);
            return 1;
        }
        run[n++].policy = argv[k];
    }
    if (n == 0 || figures[ROUNDS_ASKED].value > ROUNDS) {
        fprintf(stderr, "bench_parallel DEVICES POLICY... [layers= hidden= heads= sequence= micro= "
                        "vocabulary= rounds= warm=]\n");
        return 1;
    }
    status = plb_runtime_start(&options);
    if (status == PLB_OK)
        status = bench(run, n);
    if (status != PLB_OK)
        fprintf(stderr, "bench_parallel: %s\n", plb_error_message());
    plb_runtime_stop();
    return status != PLB_OK;
}
