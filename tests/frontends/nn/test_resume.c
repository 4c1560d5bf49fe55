/* SPDX-License-Identifier: BSD-3-Clause */
/* Checkpoints of a run: the same bits after resuming; torn, mangled and foreign ones; a full disk.
 */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/frontends/nn/fixtures.h"
#include "tests/support/plb_test.h"

enum { STEPS = 10, SAVED = 6 };

/* The record says what the options were, to the last bit. */
static void check_record(const char *directory, const struct plb_pretrain_options *options)
{
    struct plb_trainer_record record;

    PLB_REQUIRE(plb_trainer_record_load(directory, &record) == PLB_OK);
    PLB_CHECK_EQ(record.step, SAVED);
    PLB_CHECK_EQ(record.seed, options->seed);
    PLB_CHECK_EQ(record.dtype, options->dtype);
    PLB_CHECK_EQ(record.batch, options->batch);
    PLB_CHECK_EQ(record.sequence, options->sequence);
    PLB_CHECK_EQ(record.micro_batches, 1);
    PLB_CHECK_MEMORY(&record.schedule.rate, &options->schedule.rate, sizeof(double));
    PLB_CHECK_MEMORY(&record.optimizer.weight_decay, &options->optimizer.weight_decay,
                     sizeof(double));
    PLB_CHECK_EQ(record.schedule.kind, options->schedule.kind);
    PLB_CHECK_EQ(record.schedule.warmup, options->schedule.warmup);
    PLB_CHECK_EQ(record.schedule.steps, options->schedule.steps);
    PLB_CHECK_EQ(record.optimizer.kind, options->optimizer.kind);
}

/* With dropout, so that its randomness is part of it. */
static void check_resume(enum plb_model_family family, enum plb_dtype dtype,
                         enum plb_optimizer_kind kind)
{
    struct plb_model_config config = fixture_config(family);
    struct plb_pretrain_options options = fixture_options(dtype);
    plb_corpus_t *corpus = fixture_corpus(1000);
    const char *directory = plb_test_tmp("resume");
    float whole[STEPS], parts[STEPS];
    plb_pretrain_t *resumed = NULL;

    config.attention_dropout = 0.1;
    if (family == PLB_FAMILY_GPT2)
        config.embedding_dropout = config.residual_dropout = 0.1;
    options.optimizer = plb_optimizer_default(kind);
    options.optimizer.weight_decay = 0.1 / 3.0;
    options.schedule = (struct plb_schedule){PLB_SCHEDULE_COSINE, 1.0 / 300.0, 0.1, 2, 12};
    plb_pretrain_t *first = fixture_pretrain(&config, corpus, &options);
    fixture_train(first, STEPS, whole);
    uint64_t bits = fixture_bits(first);
    plb_pretrain_destroy(first);
    plb_pretrain_t *stopped = fixture_pretrain(&config, corpus, &options);
    fixture_train(stopped, SAVED, parts);
    PLB_REQUIRE(plb_pretrain_save(stopped, directory) == PLB_OK);
    plb_pretrain_destroy(stopped);
    check_record(directory, &options);
    PLB_REQUIRE(plb_pretrain_create(&config, corpus, NULL, &options, &resumed) == PLB_OK);
    PLB_REQUIRE(plb_trainer_resume(plb_pretrain_trainer(resumed), directory) == PLB_OK);
    PLB_CHECK_EQ(plb_trainer_steps(plb_pretrain_trainer(resumed)), SAVED);
    fixture_train(resumed, STEPS - SAVED, parts + SAVED);
    PLB_CHECK_MEMORY(parts, whole, sizeof whole);
    PLB_CHECK(fixture_bits(resumed) == bits);
    plb_pretrain_destroy(resumed);
    plb_corpus_close(corpus);
}

static void a_resumed_run_has_the_same_bits(void)
{
    check_resume(PLB_FAMILY_GPT2, PLB_F32, PLB_OPTIMIZER_ADAMW);
    check_resume(PLB_FAMILY_LLAMA, PLB_BF16, PLB_OPTIMIZER_ADAMW);
    check_resume(PLB_FAMILY_GPT2, PLB_BF16, PLB_OPTIMIZER_SGD);
}

/* Changes one byte of a file, or cuts it, or removes it. */
static void damage(const char *directory, const char *name, long at, long cut, bool gone)
{
    char path[4200];
    size_t bytes;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    char *data = plb_test_read_file(path, &bytes);
    PLB_REQUIRE(data != NULL && bytes > (size_t)(at + cut));
    if (gone) {
        PLB_REQUIRE(unlink(path) == 0);
    } else {
        data[bytes - 1 - (size_t)at] ^= 1;
        PLB_REQUIRE(plb_test_write_file(path, data, bytes - (size_t)cut));
    }
    free(data);
}

static void torn_checkpoints_are_refused(void)
{
    static const struct {
        const char *name;
        long at, cut;
        bool gone;
        enum plb_status status;
        const char *reason;
    } cases[] = {
        {"model.safetensors", 100, 0, false, PLB_ERROR_FORMAT, "another checksum"},
        {"optimizer.safetensors", 5, 0, false, PLB_ERROR_FORMAT, "another checksum"},
        {"model.safetensors", 0, 64, false, PLB_ERROR_FORMAT, "bytes where"},
        {"optimizer.safetensors", 0, 0, true, PLB_ERROR_FORMAT, "torn"},
        {"trainer.json", 0, 0, true, PLB_ERROR_IO, "trainer.json"},
        {"trainer.json", 0, 20, false, PLB_ERROR_FORMAT, "trainer.json"},
    };
    struct plb_model_config config = fixture_config(PLB_FAMILY_GPT2);
    struct plb_pretrain_options options = fixture_options(PLB_F32);
    plb_corpus_t *corpus = fixture_corpus(1000);
    plb_pretrain_t *pretrain = fixture_pretrain(&config, corpus, &options);
    plb_trainer_t *trainer = plb_pretrain_trainer(pretrain);
    uint64_t bits = fixture_bits(pretrain);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "torn-%zu", i);
        const char *directory = plb_test_tmp(name);
        PLB_REQUIRE(plb_pretrain_save(pretrain, directory) == PLB_OK);
        damage(directory, cases[i].name, cases[i].at, cases[i].cut, cases[i].gone);
        PLB_CHECK_EQ(plb_trainer_resume(trainer, directory), cases[i].status);
        PLB_CHECK_CONTAINS(plb_error_message(), cases[i].reason);
        PLB_CHECK(fixture_bits(pretrain) == bits); /* untouched */
        PLB_CHECK_EQ(plb_pretrain_save(pretrain, directory), PLB_OK);
        PLB_CHECK_EQ(plb_trainer_resume(trainer, directory), PLB_OK);
    }
    plb_pretrain_destroy(pretrain);
    plb_corpus_close(corpus);
}

/* Any damage to trainer.json is refused, or harmless; never believed beyond its bounds. */
static void a_mangled_record_is_refused(void)
{
    struct plb_model_config config = fixture_config(PLB_FAMILY_GPT2);
    struct plb_pretrain_options options = fixture_options(PLB_F32);
    plb_corpus_t *corpus = fixture_corpus(1000);
    plb_pretrain_t *pretrain = fixture_pretrain(&config, corpus, &options);
    const char *directory = plb_test_tmp("mangled");
    char path[4200];
    size_t bytes;
    int refused = 0;

    PLB_REQUIRE(plb_pretrain_save(pretrain, directory) == PLB_OK);
    plb_pretrain_destroy(pretrain);
    plb_corpus_close(corpus);
    snprintf(path, sizeof path, "%s/trainer.json", directory);
    char *text = plb_test_read_file(path, &bytes);
    PLB_REQUIRE(text != NULL);
    for (size_t at = 0; at / 2 + 2 < bytes; at += 3) { /* the last byte ends a line, no more */
        struct plb_trainer_record record = {.step = 777};
        char kept = text[at / 2];
        text[at / 2] = at % 2 ? '9' : '"';
        PLB_REQUIRE(plb_test_write_file(path, text, bytes));
        enum plb_status status = plb_trainer_record_load(directory, &record);
        PLB_CHECK(status == PLB_OK || status == PLB_ERROR_FORMAT);
        PLB_CHECK((status == PLB_OK) == (record.step != 777));
        refused += status != PLB_OK;
        text[at / 2] = kept;
        PLB_REQUIRE(plb_test_write_file(path, text, at / 2)); /* and cut there */
        PLB_CHECK_EQ(plb_trainer_record_load(directory, &record), PLB_ERROR_FORMAT);
    }
    PLB_CHECK(refused > (int)bytes / 4);
    free(text);
}

static void foreign_checkpoints_are_refused(void)
{
    struct plb_model_config config = fixture_config(PLB_FAMILY_GPT2);
    struct plb_pretrain_options options = fixture_options(PLB_F32);
    plb_corpus_t *corpus = fixture_corpus(1000), *other = fixture_corpus(1001);
    plb_pretrain_t *pretrain = fixture_pretrain(&config, corpus, &options);
    const char *directory = plb_test_tmp("foreign");
    static const char *const reasons[] = {"its model",
                                          "its dtype",
                                          "its optimizer",
                                          "its corpus",
                                          "its seed is 5 and not 6",
                                          "its batch is 2 and not 3",
                                          "its sequence is 16"};

    PLB_REQUIRE(plb_pretrain_save(pretrain, directory) == PLB_OK);
    plb_pretrain_destroy(pretrain);
    for (int i = 0; i < 7; i++) {
        struct plb_model_config c = config;
        struct plb_pretrain_options o = options;
        c.layers += i == 0;
        o.dtype = i == 1 ? PLB_BF16 : PLB_F32;
        o.optimizer.kind = i == 2 ? PLB_OPTIMIZER_SGD : PLB_OPTIMIZER_ADAMW;
        o.seed += i == 4;
        o.batch += i == 5;
        o.sequence += i == 6;
        pretrain = fixture_pretrain(&c, i == 3 ? other : corpus, &o);
        PLB_CHECK_EQ(plb_trainer_resume(plb_pretrain_trainer(pretrain), directory),
                     PLB_ERROR_FORMAT);
        PLB_CHECK_CONTAINS(plb_error_message(), reasons[i]);
        plb_pretrain_destroy(pretrain);
    }
    plb_corpus_close(other);
    plb_corpus_close(corpus);
}

/* A limit on the size of files stands for a disk without room: the save fails, the old one stays.
 */
static void a_full_disk_leaves_the_old_checkpoint(void)
{
    struct plb_model_config config = fixture_config(PLB_FAMILY_GPT2);
    struct plb_pretrain_options options = fixture_options(PLB_F32);
    plb_corpus_t *corpus = fixture_corpus(1000);
    plb_pretrain_t *pretrain = fixture_pretrain(&config, corpus, &options);
    plb_trainer_t *trainer = plb_pretrain_trainer(pretrain);
    const char *directory = plb_test_tmp("full");
    struct rlimit before, small;
    float loss;

    PLB_REQUIRE(plb_pretrain_save(pretrain, directory) == PLB_OK);
    uint64_t bits = fixture_bits(pretrain);
    fixture_train(pretrain, 1, &loss);
    PLB_CHECK(fixture_bits(pretrain) != bits);
    PLB_REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 0; limit < 100000; limit = 4 * limit + 1000) {
        small = (struct rlimit){limit, before.rlim_max};
        PLB_REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
        enum plb_status status = plb_pretrain_save(pretrain, directory);
        PLB_REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
        PLB_CHECK_EQ(status, PLB_ERROR_IO);
        PLB_CHECK_CONTAINS(plb_error_message(), "File too large");
    }
    PLB_CHECK_EQ(plb_trainer_resume(trainer, directory), PLB_OK);
    PLB_CHECK_EQ(plb_trainer_steps(trainer), 0);
    PLB_CHECK(fixture_bits(pretrain) == bits);
    plb_pretrain_destroy(pretrain);
    plb_corpus_close(corpus);
}

PLB_TEST_MAIN("frontends/nn/resume", fixture_start, fixture_stop,
              PLB_TEST(a_resumed_run_has_the_same_bits), PLB_TEST(torn_checkpoints_are_refused),
              PLB_TEST(a_mangled_record_is_refused), PLB_TEST(foreign_checkpoints_are_refused),
              PLB_TEST(a_full_disk_leaves_the_old_checkpoint))
