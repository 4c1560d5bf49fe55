/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session that is spread over several devices gives the bits that one device gives: for every
 * policy, for memory policies under a budget per device, for state beside virtual accelerators, for
 * a run that is saved on some devices and resumed on others. What cannot be is refused with a
 * sentence.
 */
#include "config.h"

#include "tests/support/plb_test.h"

#include "frontends/nn/language.h"
#include "frontends/nn/trainer.h"
#include "runtime/base/hash.h"
#include "runtime/run/device.h"
#include "runtime/run/ledger.h"
#include "runtime/run/run_internal.h"
#include "runtime/run/timeline.h"

#include <stdlib.h>
#include <string.h>

enum { STEPS = 3, BATCH = 4, SEQUENCE = 8, TOKENS = BATCH * SEQUENCE, MICRO = 4, VOCABULARY = 61 };

#define TWO      "cpu:1,cpu:1"
#define FOUR     "cpu:1,cpu:1,cpu:1,cpu:1"
#define VIRTUALS "virtual:64MiB,virtual:64MiB"

struct run {
    struct plb_language language;
    plb_trainer_t *trainer;
};

/* How a run is spread. */
struct how {
    const char *devices, *parallel, *memory, *state;
    double share;
    struct plb_degrees degrees;
};

static enum plb_status run_create(const struct how *how, struct run *run)
{
    struct plb_model_config config;
    const struct plb_language_options language = {.mode = PLB_LANGUAGE_TRAIN,
                                                  .batch = BATCH,
                                                  .sequence = SEQUENCE,
                                                  .micro_batches = MICRO,
                                                  .seed = 7};
    const struct plb_trainer_options options = {
        .optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW),
        .schedule = {PLB_SCHEDULE_CONSTANT, 0.01, 0.1, 0, STEPS},
        .session = {.parallel = how->parallel,
                    .degrees = how->degrees,
                    .memory_policy = how->memory,
                    .state = how->state,
                    .budget.share = how->share},
        .batch = BATCH,
        .sequence = SEQUENCE,
        .micro_batches = MICRO};
    int32_t positions[TOKENS];
    enum plb_status status;

    plb_model_config_default(PLB_FAMILY_GPT2, &config);
    config.vocab = VOCABULARY;
    config.hidden = 16;
    config.layers = 4;
    config.heads = config.kv_heads = 2;
    config.head_dim = 8;
    config.ffn = 32;
    config.max_positions = SEQUENCE;
    config.residual_dropout = 0.1;
    config.bos_token = config.pad_token = PLB_NO_TOKEN;
    config.eos_count = 0;
    PLB_TRY(plb_language_create(&config, &language, &run->language));
    status = plb_trainer_create(run->language.model, run->language.loss, &options, &run->trainer);
    if (status != PLB_OK) {
        plb_model_destroy(run->language.model);
        return status;
    }
    plb_language_positions(BATCH / MICRO, SEQUENCE, positions);
    return plb_trainer_write(run->trainer, run->language.positions, positions,
                             sizeof positions / MICRO);
}

static enum plb_status run_step(struct run *run, int step, uint64_t *hash)
{
    int32_t tokens[TOKENS], targets[TOKENS];
    float out[2];

    for (int i = 0; i < TOKENS; i++) {
        tokens[i] = (i * 7 + step * 13 + i * i) % VOCABULARY;
        targets[i] = (tokens[i] + 3) % VOCABULARY;
    }
    PLB_TRY(plb_language_write(&run->language, plb_trainer_session(run->trainer), tokens, targets));
    PLB_TRY(plb_trainer_step(run->trainer));
    PLB_TRY(plb_trainer_read(run->trainer, &out[0], &out[1]));
    *hash = plb_hash_mix(*hash, out, sizeof out);
    return PLB_OK;
}

static enum plb_status hash_store(struct run *run, uint64_t *hash)
{
    plb_store_t *store = plb_trainer_store(run->trainer);
    enum plb_status status = PLB_OK;

    for (uint32_t i = 0; i < plb_store_tensors(store) && status == PLB_OK; i++) {
        struct plb_type type;
        void *data;

        PLB_TRY(plb_store_type(store, plb_store_name(store, i), &type));
        data = malloc(plb_type_bytes(&type));
        PLB_REQUIRE(data != NULL);
        status = plb_store_read(store, plb_store_name(store, i), data, plb_type_bytes(&type));
        /* sums, for sessions do not name tensors in one order */
        *hash += plb_hash_mix(plb_hash_bytes(plb_store_name(store, i),
                                             strlen(plb_store_name(store, i))),
                              data, plb_type_bytes(&type));
        free(data);
    }
    return status;
}

/* Losses and norms of all steps, and what is in the store then. */
static enum plb_status train(const struct how *how, uint64_t *hash_out)
{
    struct run run = {0};
    uint64_t hash = 1;
    enum plb_status status = run_create(how, &run);

    if (status == PLB_OK)
        status = plb_trainer_initialize(run.trainer);
    for (int step = 0; step < STEPS && status == PLB_OK; step++)
        status = run_step(&run, step, &hash);
    if (status == PLB_OK)
        status = hash_store(&run, &hash);
    plb_trainer_destroy(run.trainer);
    *hash_out = hash;
    return status;
}

static bool start(const char *devices)
{
    const struct plb_runtime_options options = {.devices = devices};

    return PLB_CHECK_EQ(plb_runtime_start(&options), PLB_OK);
}

static uint64_t bits_of_one(void)
{
    static uint64_t bits;
    const struct how how = {.parallel = "none"};

    if (bits)
        return bits;
    PLB_REQUIRE(start("cpu:1"));
    PLB_CHECK_EQ(train(&how, &bits), PLB_OK);
    plb_runtime_stop();
    return bits;
}

/* Runs all, on the devices of the first. (How many virtual devices there are is decided by who is
 * first in the process: so they run before what they are compared with.) */
static void check_bits(const struct how *how, size_t n)
{
    uint64_t bits[16] = {0};

    PLB_REQUIRE(n <= 16 && start(how->devices));
    for (size_t k = 0; k < n; k++)
        if (!PLB_CHECK_EQ(train(&how[k], &bits[k]), PLB_OK))
            fprintf(stderr, "%s: %s\n", how[k].parallel, plb_error_message());
    plb_runtime_stop();
    for (size_t k = 0; k < n; k++)
        if (!PLB_CHECK(bits[k] == bits_of_one()))
            fprintf(stderr, "%s, %s\n", how[k].parallel, how[k].memory ? how[k].memory : "none");
}

static void policies(void)
{
    static const struct how how[] = {
        {.devices = TWO, .parallel = "none"},
        {.devices = TWO, .parallel = "gpipe"},
        {.devices = TWO, .parallel = "1f1b"},
        {.devices = TWO, .parallel = "interleaved"},
        {.devices = TWO, .parallel = "zb-h1"},
        {.devices = TWO, .parallel = "zb-v"},
        {.devices = TWO, .parallel = "zb-greedy"},
        {.devices = TWO, .parallel = "dp"},
        {.devices = TWO, .parallel = "dp", .degrees.shard_state = true},
    };

    check_bits(how, sizeof how / sizeof how[0]);
}

static void four_devices(void)
{
    static const struct how how[] = {
        {.devices = FOUR, .parallel = "1f1b"},
        {.devices = FOUR, .parallel = "zb-greedy", .degrees = {.replicas = 2, .stages = 2}},
    };

    check_bits(how, sizeof how / sizeof how[0]);
}

static void groups_of_two(void)
{
    static const struct how how[] = {{.devices = "cpu:2,cpu:2", .parallel = "1f1b"}};

    check_bits(how, 1);
}

static void memory_policies(void)
{
    static const struct how how[] = {
        {.devices = TWO, .parallel = "1f1b", .memory = "block"},
        {.devices = TWO, .parallel = "1f1b", .memory = "chain-dp", .share = 0.95},
        {.devices = TWO, .parallel = "zb-h1", .memory = "online", .share = 0.8},
        {.devices = TWO, .parallel = "dp", .memory = "swap", .share = 0.8},
    };

    check_bits(how, sizeof how / sizeof how[0]);
}

static void virtual_devices(void)
{
    static const struct how how[] = {
        {.devices = VIRTUALS, .parallel = "1f1b"},
        {.devices = VIRTUALS, .parallel = "dp", .state = "host"},
    };

#ifndef PLB_HAVE_OPENCL
    return;
#endif
    check_bits(how, sizeof how / sizeof how[0]);
}

/* What each device has of the memory it used is given back, and so is what was put aside. */
static void nothing_is_left(void)
{
    const struct how how = {.devices = TWO, .parallel = "1f1b"};
    struct plb_ledger ledger;
    uint64_t bits;

    PLB_REQUIRE(start(TWO));
    PLB_CHECK_EQ(train(&how, &bits), PLB_OK);
    plb_ledger_get(0, &ledger);
    PLB_CHECK_EQ(ledger.now[PLB_ROLE_ACTIVATION], 0);
    PLB_CHECK_EQ(ledger.now[PLB_ROLE_PARAMETER], 0);
    PLB_CHECK(ledger.now[PLB_ACCOUNT_SCRATCH] > 0);
    plb_runtime_stop();
}

static void resumed(void)
{
    const struct how first = {.parallel = "1f1b"}, second = {.parallel = "dp"};
    const char *folder = plb_test_tmp("resumed");
    struct run run = {0};
    uint64_t hash = 1;

    PLB_REQUIRE(start(TWO));
    PLB_REQUIRE(run_create(&first, &run) == PLB_OK);
    PLB_CHECK_EQ(plb_trainer_initialize(run.trainer), PLB_OK);
    PLB_CHECK_EQ(run_step(&run, 0, &hash), PLB_OK);
    PLB_CHECK_EQ(plb_trainer_save(run.trainer, folder, NULL), PLB_OK);
    plb_trainer_destroy(run.trainer);
    PLB_REQUIRE(run_create(&second, &run) == PLB_OK);
    PLB_CHECK_EQ(plb_trainer_resume(run.trainer, folder), PLB_OK);
    for (int step = 1; step < STEPS; step++)
        PLB_CHECK_EQ(run_step(&run, step, &hash), PLB_OK);
    PLB_CHECK_EQ(hash_store(&run, &hash), PLB_OK);
    plb_trainer_destroy(run.trainer);
    plb_runtime_stop();
    PLB_CHECK(hash == bits_of_one());
}

/* A task fails on one device: the session does, and nobody waits for what never comes. */
static void failure(void)
{
    const struct how how = {.parallel = "1f1b"};
    int32_t tokens[TOKENS] = {VOCABULARY}, targets[TOKENS] = {0};
    float loss;
    struct run run = {0};

    PLB_REQUIRE(start(TWO));
    PLB_REQUIRE(run_create(&how, &run) == PLB_OK);
    PLB_CHECK_EQ(plb_trainer_initialize(run.trainer), PLB_OK);
    PLB_CHECK_EQ(plb_language_write(&run.language, plb_trainer_session(run.trainer), tokens,
                                    targets),
                 PLB_OK);
    PLB_CHECK_EQ(plb_trainer_step(run.trainer), PLB_OK);
    PLB_CHECK_EQ(plb_trainer_read(run.trainer, &loss, NULL), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "embedding");
    PLB_CHECK(plb_trainer_step(run.trainer) != PLB_OK);
    plb_trainer_destroy(run.trainer);
    plb_runtime_stop();
}

/* The second device, which takes more than the first, cannot keep the budget: then none has it. */
static void budget_refused(void)
{
    const struct how how = {.parallel = "zb-v", .share = 1};
    const struct plb_session *first;
    struct run run = {0};
    size_t asked;

    PLB_REQUIRE(start(TWO));
    PLB_REQUIRE(run_create(&how, &run) == PLB_OK);
    first = plb__parts_first(plb_trainer_session(run.trainer));
    asked = first->planning.asked;
    PLB_CHECK_EQ(plb_session_set_budget(plb_trainer_session(run.trainer),
                                        first->info.planned_bytes),
                 PLB_ERROR_MEMORY);
    PLB_CHECK_CONTAINS(plb_error_message(), "device 1");
    PLB_CHECK_EQ(first->planning.asked, asked);
    plb_trainer_destroy(run.trainer);
    plb_runtime_stop();
}

/* What a session has spread over devices is not another's that is spread otherwise, even where that
 * one is made at the address of the first. */
static void spread_otherwise(void)
{
    const struct how how = {.parallel = "1f1b"};
    const struct plb_session_options first = {.parallel = "1f1b"}, second = {.parallel = "dp"};
    const plb_graph_t *whole;
    plb_session_t *session = NULL;
    plb_store_t *store = NULL;
    struct run run = {0};

    PLB_REQUIRE(start(TWO));
    PLB_REQUIRE(run_create(&how, &run) == PLB_OK);
    PLB_REQUIRE(plb_store_create(&store) == PLB_OK);
    whole = plb_trainer_session(run.trainer)->whole;
    PLB_CHECK_EQ(plb_session_create(whole, &first, store, &session), PLB_OK);
    plb_session_destroy(session);
    PLB_CHECK_EQ(plb_session_create(whole, &first, store, &session), PLB_OK);
    plb_session_destroy(session);
    PLB_CHECK_EQ(plb_session_create(whole, &second, store, &session), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "lies elsewhere");
    plb_store_destroy(store);
    plb_trainer_destroy(run.trainer);
    plb_runtime_stop();
}

static void figures(void)
{
    const struct how how = {.parallel = "zb-h1"};
    const struct plb_trace_record *record;
    struct plb_session_info info;
    uint32_t n, transfers = 0;
    plb_session_t *session;
    struct run run = {0};
    double seconds, bubble;
    uint64_t hash = 1;
    char *text = NULL;

    PLB_REQUIRE(start(TWO));
    PLB_REQUIRE(run_create(&how, &run) == PLB_OK);
    session = plb_trainer_session(run.trainer);
    PLB_CHECK_EQ(plb_trainer_initialize(run.trainer), PLB_OK);
    plb_session_trace(session, true);
    PLB_CHECK_EQ(run_step(&run, 0, &hash), PLB_OK);
    plb_session_get_info(session, &info);
    PLB_CHECK_STRING(info.parallel, "zb-h1");
    PLB_CHECK_EQ(info.devices, 2);
    PLB_CHECK(info.transfers > 0 && info.transferred > 0 && info.predicted_seconds > 0);
    PLB_REQUIRE(plb_session_get_trace(session, &record, &n) == PLB_OK);
    for (uint32_t k = 0; k < n; k++)
        transfers += record[k].from != PLB_NONE;
    PLB_CHECK_EQ(transfers, info.transfers);
    PLB_CHECK_EQ(plb_session_predict(session, &seconds, &bubble), PLB_OK);
    PLB_CHECK(seconds > 0 && bubble > 0 && bubble < 1);
    PLB_CHECK_EQ(plb_timeline_svg(session, "two devices", &text), PLB_OK);
    PLB_CHECK_CONTAINS(text, "device 0 to 1");
    free(text);
    plb_trainer_destroy(run.trainer);
    plb_runtime_stop();
}

static void bad_lists(void)
{
    static const struct {
        const char *devices, *says;
    } bad[] = {
        {"cpu:1,gpu:1", "there is no device 'gpu:1'"},
        {"cpu:1,cpu:0", "1 to"},
        {"cpu:1,cpu:1,", "there is no device ''"},
        {"cpu,cpu:1", "says how many"},
        {"cpu:1,virtual:1GiB", "of one kind"},
        {"cpu:40,cpu:40", "80 workers asked for"},
    };

    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        const struct plb_runtime_options options = {.devices = bad[k].devices};

        PLB_CHECK_EQ(plb_runtime_start(&options), PLB_ERROR_INVALID);
        PLB_CHECK_CONTAINS(plb_error_message(), bad[k].says);
    }
}

static void check_refused(const char *devices, const struct how *how, const char *says)
{
    struct run run = {0};

    PLB_REQUIRE(start(devices));
    PLB_CHECK_EQ(run_create(how, &run), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), says);
    plb_runtime_stop();
}

static void refused(void)
{
    check_refused("cpu:1", &(struct how){.parallel = "1f1b"}, "needs several devices");
    check_refused("cpu:1,cpu:2", &(struct how){.parallel = "dp"}, "equally many workers");
    check_refused(TWO, &(struct how){.parallel = "fast"}, "unknown parallel policy 'fast'");
    check_refused(TWO, &(struct how){.parallel = "1f1b", .degrees.stages = 9}, "9 stages");
}

PLB_TEST_MAIN("runtime/run/hybrid", NULL, NULL, PLB_TEST(virtual_devices), PLB_TEST(policies),
              PLB_TEST(four_devices), PLB_TEST(groups_of_two), PLB_TEST(memory_policies),
              PLB_TEST(nothing_is_left), PLB_TEST(resumed), PLB_TEST(failure),
              PLB_TEST(budget_refused), PLB_TEST(spread_otherwise), PLB_TEST(figures),
              PLB_TEST(bad_lists), PLB_TEST(refused))
