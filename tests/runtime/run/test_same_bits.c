/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same bits, however a step is run.
 *
 * A small GPT-2 and a small LLaMA, in f32 and in bf16, with dropout, are trained for 20 steps. The
 * bits of all losses and gradient norms must be equal for 1 and 2 workers and for StarPU's policies
 * eager, lws, dmda and random, for a run that was stopped, saved and resumed, and for the serial
 * interpreter, which shares no storage and knows no StarPU. The cut is finer than by default, so
 * that small models too are hundreds of tasks.
 *
 * StarPU reads its environment when it starts, so each setting is a process: the program calls
 * itself with --train FOLDER, which trains all four models and prints their bits.
 */
#include "config.h"

#include "tests/support/interpreter.h"
#include "tests/support/plb_test.h"

#include "frontends/nn/language.h"
#include "frontends/nn/trainer.h"
#include "runtime/base/random.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { STEPS = 20, HALF = 9, BATCH = 3, SEQUENCE = 24, TOKENS = BATCH * SEQUENCE, MODELS = 4 };
enum { VOCABULARY = 203, USED = 16 };

/* --- one training run ------------------------------------------------------------------------- */

struct run {
    struct plb_language language;
    plb_trainer_t *trainer;
};

static struct plb_model_config config_of(enum plb_model_family family)
{
    struct plb_model_config config;

    plb_model_config_default(family, &config);
    config.vocab = VOCABULARY;
    config.hidden = 48;
    config.layers = 2;
    config.heads = 4;
    config.kv_heads = family == PLB_FAMILY_GPT2 ? 4 : 2;
    config.head_dim = 12;
    config.ffn = 104;
    config.max_positions = 40;
    config.embedding_dropout = config.residual_dropout = family == PLB_FAMILY_GPT2 ? 0.1 : 0;
    config.attention_dropout = 0.1;
    config.tied_embeddings = family == PLB_FAMILY_GPT2;
    config.bos_token = config.pad_token = PLB_NO_TOKEN;
    config.eos_count = 0;
    return config;
}

static struct plb_trainer_options options_of(void)
{
    struct plb_trainer_options options = {
        .optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW),
        .schedule = {PLB_SCHEDULE_COSINE, 0.01, 0.1, 3, STEPS},
        .session = {.cut = {.target_seconds = 4e-5, .block_elements = 2048, .rows_min = 8}},
        .batch = BATCH,
        .sequence = SEQUENCE,
    };
    return options;
}

static enum plb_status run_create(int number, struct run *run)
{
    enum plb_model_family family = number / 2 == 0 ? PLB_FAMILY_GPT2 : PLB_FAMILY_LLAMA;
    struct plb_model_config config = config_of(family);
    struct plb_language_options language = {
        .mode = PLB_LANGUAGE_TRAIN,
        .dtype = number % 2 == 0 ? PLB_F32 : PLB_BF16,
        .batch = BATCH,
        .sequence = SEQUENCE,
        .seed = 7,
    };
    struct plb_trainer_options options = options_of();
    int32_t positions[TOKENS];
    enum plb_status status;

    PLB_TRY(plb_language_create(&config, &language, &run->language));
    status = plb_trainer_create(run->language.model, run->language.loss, &options, &run->trainer);
    if (status != PLB_OK) {
        plb_model_destroy(run->language.model);
        return status;
    }
    plb_language_positions(BATCH, SEQUENCE, positions);
    return plb_trainer_write(run->trainer, run->language.positions, positions, sizeof positions);
}

/* A text that can be learnt: few of the tokens come up, and the next follows from the one before,
 * but for a random one now and then. The last position of each sequence has no target. */
static void batch_of(int step, int32_t *tokens, int32_t *targets)
{
    for (int i = 0; i < TOKENS; i++) {
        uint32_t word[4];

        plb_random_words(99, (uint64_t)step, (uint64_t)i, word);
        tokens[i] = i % SEQUENCE == 0 || word[1] % 8 == 0 ? (int32_t)(word[0] % USED)
                                                          : (tokens[i - 1] * 5 + 1) % USED;
    }
    for (int i = 0; i < TOKENS; i++)
        targets[i] = i % SEQUENCE == SEQUENCE - 1 ? -1 : tokens[i + 1];
}

static enum plb_status run_step(struct run *run, int step, float *loss, float *norm)
{
    int32_t tokens[TOKENS], targets[TOKENS];

    batch_of(step, tokens, targets);
    PLB_TRY(plb_trainer_write(run->trainer, run->language.tokens, tokens, sizeof tokens));
    PLB_TRY(plb_trainer_write(run->trainer, run->language.targets, targets, sizeof targets));
    PLB_TRY(plb_trainer_step(run->trainer));
    return plb_trainer_read(run->trainer, loss, norm);
}

static void print_bits(int number, int step, float loss, float norm)
{
    uint32_t bits[2];

    memcpy(&bits[0], &loss, sizeof loss);
    memcpy(&bits[1], &norm, sizeof norm);
    printf("%d %d %08" PRIx32 " %08" PRIx32 " %g %g\n", number, step, bits[0], bits[1],
           (double)loss, (double)norm);
}

static enum plb_status run_steps(struct run *run, int number, int from, int to)
{
    float loss = NAN, norm = NAN;

    for (int step = from; step < to; step++) {
        PLB_TRY(run_step(run, step, &loss, &norm));
        print_bits(number, step, loss, norm);
    }
    return PLB_OK;
}

/* --- the child -------------------------------------------------------------------------------- */

static enum plb_status train_straight(int number)
{
    struct run run = {0};
    enum plb_status status = run_create(number, &run);

    if (status == PLB_OK)
        status = plb_trainer_initialize(run.trainer);
    if (status == PLB_OK)
        status = run_steps(&run, number, 0, STEPS);
    plb_trainer_destroy(run.trainer);
    return status;
}

/* Trains one half, saves; trains the other in a fresh trainer. */
static enum plb_status train_resumed(int number, const char *folder)
{
    struct run first = {0}, second = {0};
    enum plb_status status = run_create(number, &first);
    char path[4096];

    snprintf(path, sizeof path, "%s/%d", folder, number);
    if (status == PLB_OK)
        status = plb_trainer_initialize(first.trainer);
    if (status == PLB_OK)
        status = run_steps(&first, number, 0, HALF);
    if (status == PLB_OK)
        status = plb_trainer_save(first.trainer, path, NULL);
    plb_trainer_destroy(first.trainer);
    if (status == PLB_OK)
        status = run_create(number, &second);
    if (status == PLB_OK)
        status = plb_trainer_resume(second.trainer, path);
    if (status == PLB_OK)
        status = run_steps(&second, number, HALF, STEPS);
    plb_trainer_destroy(second.trainer);
    return status;
}

/* --- the serial interpreter ------------------------------------------------------------------- */

/* Gives the interpreter the parameters and state of the trainer's store. */
static enum plb_status copy_store(struct run *run, const plb_graph_t *graph,
                                  plb_interpreter_t *interpreter)
{
    plb_store_t *store = plb_trainer_store(run->trainer);
    enum plb_status status = PLB_OK;

    for (uint32_t i = 0; i < plb_store_tensors(store) && status == PLB_OK; i++) {
        const char *name = plb_store_name(store, i);
        struct plb_type type;
        void *data;

        PLB_TRY(plb_store_type(store, name, &type));
        data = malloc(plb_type_bytes(&type));
        if (data == NULL)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %s", name);
        status = plb_store_read(store, name, data, plb_type_bytes(&type));
        if (status == PLB_OK)
            status = plb_interpreter_write(interpreter, plb_graph_find(graph, name), data,
                                           plb_type_bytes(&type));
        free(data);
    }
    return status;
}

static enum plb_status interpret_step(struct run *run, const plb_graph_t *graph,
                                      plb_interpreter_t *interpreter, int step, float *loss)
{
    struct plb_trainer_options options = options_of();
    int32_t tokens[TOKENS], targets[TOKENS];
    float hyper[4];

    batch_of(step, tokens, targets);
    plb_optimizer_hyper(&options.optimizer, &options.schedule, (uint64_t)step, hyper);
    PLB_TRY(plb_interpreter_write(interpreter, run->language.tokens, tokens, sizeof tokens));
    PLB_TRY(plb_interpreter_write(interpreter, run->language.targets, targets, sizeof targets));
    PLB_TRY(
        plb_interpreter_write(interpreter, plb_graph_find(graph, "hyper"), hyper, sizeof hyper));
    PLB_TRY(plb_interpreter_step(interpreter, (uint64_t)step));
    return plb_interpreter_read(interpreter, run->language.loss, loss, sizeof *loss);
}

/* Prints losses only: the norm's value is the trainer's own. */
static enum plb_status interpret_steps(struct run *run, int number, plb_interpreter_t *interpreter)
{
    const plb_graph_t *graph = plb_model_graph(run->language.model);
    int32_t positions[TOKENS];
    float loss = NAN;

    plb_language_positions(BATCH, SEQUENCE, positions);
    PLB_TRY(
        plb_interpreter_write(interpreter, run->language.positions, positions, sizeof positions));
    PLB_TRY(copy_store(run, graph, interpreter));
    for (int step = 0; step < STEPS; step++) {
        PLB_TRY(interpret_step(run, graph, interpreter, step, &loss));
        print_bits(number, step, loss, 0);
    }
    return PLB_OK;
}

static enum plb_status train_serially(int number)
{
    struct run run = {0};
    plb_interpreter_t *interpreter = NULL;
    enum plb_status status = run_create(number, &run);

    if (status == PLB_OK)
        status = plb_trainer_initialize(run.trainer);
    if (status == PLB_OK)
        status = plb_interpreter_create(plb_model_graph(run.language.model),
                                        plb_session_graph(plb_trainer_session(run.trainer)),
                                        &interpreter);
    if (status == PLB_OK)
        status = interpret_steps(&run, number, interpreter);
    plb_interpreter_destroy(interpreter);
    plb_trainer_destroy(run.trainer);
    return status;
}

static int child(const char *how, const char *folder)
{
    enum plb_status status = plb_runtime_start(NULL);

    mkdir(folder, 0777);
    fprintf(stderr, "%s with %d workers\n", plb_runtime_scheduler(), plb_runtime_workers());
    for (int number = 0; number < MODELS && status == PLB_OK; number++) {
        if (strcmp(how, "--resume") == 0)
            status = train_resumed(number, folder);
        else if (strcmp(how, "--serial") == 0)
            status = train_serially(number);
        else
            status = train_straight(number);
    }
    if (status != PLB_OK)
        fprintf(stderr, "%s\n", plb_error_message());
    plb_runtime_stop();
    return status != PLB_OK;
}

/* --- the tests -------------------------------------------------------------------------------- */

static char *self;

/* What the program prints when it trains with these settings; NULL after a failed check. */
static char *train(const char *policy, int workers, const char *how)
{
    char sched[64], ncpu[64], setting[64];
    const char *const argv[] = {"env", sched, ncpu, self, how, plb_test_tmp(how + 2), NULL};
    struct plb_test_output output;
    char *printed = NULL;

    snprintf(sched, sizeof sched, "STARPU_SCHED=%s", policy);
    snprintf(ncpu, sizeof ncpu, "STARPU_NCPU=%d", workers);
    output = plb_test_command(argv, NULL);
    if (output.status != 0)
        fprintf(stderr, "%s, %d workers, %s: %s\n", policy, workers, how, output.err);
    PLB_CHECK_EQ(output.status, 0);
    snprintf(setting, sizeof setting, "%s with %d workers", policy, workers);
    PLB_CHECK_CONTAINS(output.err, setting);
    if (output.status == 0 && output.out != NULL)
        printed = strdup(output.out);
    plb_test_output_free(&output);
    return printed;
}

/* What a run with one worker and the policy eager prints, made once. */
static const char *expect(void)
{
    static char *printed;

    if (printed == NULL)
        printed = train("eager", 1, "--train");
    PLB_REQUIRE(printed != NULL);
    return printed;
}

static void compare(const char *policy, int workers, const char *how)
{
    const char *expected = expect();
    char *printed = train(policy, workers, how);

    PLB_REQUIRE(printed != NULL);
    PLB_CHECK_STRING(printed, expected);
    free(printed);
}

/* The loss of a step of a model, out of what was printed. */
static double loss_in(const char *printed, int number, int step, uint32_t *bits_out)
{
    int n, s, used;
    double loss, norm;
    uint32_t bits[2];

    while (sscanf(printed, "%d %d %" SCNx32 " %" SCNx32 " %lg %lg\n%n", &n, &s, &bits[0], &bits[1],
                  &loss, &norm, &used) == 6) {
        *bits_out = bits[0];
        if (n == number && s == step)
            return loss;
        printed += used;
    }
    return NAN;
}

static void training_learns(void)
{
    const char *expected = expect();
    uint32_t bits;

    for (int number = 0; number < MODELS; number++) {
        double first = loss_in(expected, number, 0, &bits);
        double last = loss_in(expected, number, STEPS - 1, &bits);

        PLB_CHECK_NEAR(first, log(VOCABULARY), 0.5);
        PLB_CHECK(last < first - 1.5);
    }
}

static void bits_do_not_depend_on_workers_or_policy(void)
{
    static const char *const policies[] = {"eager", "lws", "dmda", "random"};

    compare("lws", 1, "--train");
    for (int k = 0; k < 4; k++)
        compare(policies[k], 2, "--train");
}

static void bits_do_not_depend_on_a_stop(void)
{
    compare("lws", 2, "--resume");
}

static void bits_are_those_of_serial_execution(void)
{
    const char *expected = expect();
    char *printed = train("eager", 1, "--serial");

    PLB_REQUIRE(printed != NULL);
    for (int number = 0; number < MODELS; number++) {
        for (int step = 0; step < STEPS; step++) {
            uint32_t a = 0, b = 1;

            PLB_CHECK(isfinite(loss_in(printed, number, step, &a)));
            PLB_CHECK(isfinite(loss_in(expected, number, step, &b)));
            PLB_CHECK_EQ(a, b);
        }
    }
    free(printed);
}

int main(int argc, char **argv)
{
    static const struct plb_test tests[] = {
        PLB_TEST(training_learns),
        PLB_TEST(bits_do_not_depend_on_workers_or_policy),
        PLB_TEST(bits_do_not_depend_on_a_stop),
        PLB_TEST(bits_are_those_of_serial_execution),
    };

    if (argc == 3 && strncmp(argv[1], "--", 2) == 0)
        return child(argv[1], argv[2]);
    self = argv[0];
    return plb_test_run_all("runtime/run/same_bits", NULL, NULL, tests,
                            sizeof(tests) / sizeof(tests[0]), argc, argv);
}
