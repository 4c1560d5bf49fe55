/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * palombe train: from settings to a trainer.
 */
#include "config.h"

#include "frontends/cli/train.h"

#include "frontends/data/corpus_text.h"
#include "runtime/base/file.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A tokenizer is learnt from the first part of the corpus; more would not make it better. */
#define TOKENIZER_TEXT ((size_t)8 << 20)
/* Steps measured for --minutes, after one that warms up. */
#define MEASURED_STEPS 5

/* ---- the tokenizer ---- */

struct sample {
    char *text;
    size_t bytes;
};

static enum plb_status take_block(void *context, const char *path, const char *text, size_t bytes)
{
    struct sample *sample = context;
    size_t room = TOKENIZER_TEXT - sample->bytes;

    (void)path;
    if (bytes > room)
        bytes = room;
    memcpy(sample->text + sample->bytes, text, bytes);
    sample->bytes += bytes;
    return PLB_OK;
}

static enum plb_status end_document(void *context, const char *path)
{
    (void)context;
    (void)path;
    return PLB_OK;
}

static enum plb_status learn_tokenizer(const struct cli_run *run, int32_t vocabulary,
                                       plb_tokenizer_t **tokenizer_out)
{
    struct sample sample = {.text = malloc(TOKENIZER_TEXT)};
    enum plb_status status = PLB_OK;

    if (!sample.text)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to learn a tokenizer");
    for (int k = 0; k < run->settings->n_arguments && status == PLB_OK; k++)
        if (sample.bytes < TOKENIZER_TEXT)
            status = plb__text_read(run->settings->argument[k], take_block, end_document, &sample);
    if (status == PLB_OK && sample.bytes == 0)
        status = plb_fail(PLB_ERROR_INVALID, "the corpus is empty");
    if (status == PLB_OK)
        status = plb_tokenizer_train(sample.text, sample.bytes, vocabulary, tokenizer_out);
    free(sample.text);
    return status;
}

/* A model that comes with a tokenizer keeps it. */
static enum plb_status choose_tokenizer(struct cli_run *run)
{
    const char *model = plb_settings_text(run->settings, OPTION_MODEL);
    const char *given = plb_settings_text(run->settings, OPTION_TOKENIZER);
    int64_t vocabulary = plb_settings_integer(run->settings, OPTION_VOCABULARY);

    if (run->resumed)
        return plb_tokenizer_load(run->out, &run->tokenizer);
    if (given)
        return plb_tokenizer_load(given, &run->tokenizer);
    if (plb_file_is_directory(model) && plb_file_exists_in(model, "tokenizer.json"))
        return plb_tokenizer_load(model, &run->tokenizer);
    if (vocabulary == 0)
        return plb_tokenizer_make_bytes(&run->tokenizer);
    if (vocabulary < 257)
        return plb_fail(PLB_ERROR_INVALID,
                        "--vocabulary wants 0 (bytes) or 257 to 65536, not %" PRId64, vocabulary);
    cli_say(run->settings, "learning a vocabulary of %" PRId64 " tokens ...\n", vocabulary);
    return learn_tokenizer(run, (int32_t)vocabulary, &run->tokenizer);
}

/* ---- configuration ---- */

/* A fresh model takes the tokenizer's vocabulary; one that was loaded must hold it. */
static enum plb_status fit_vocabulary(struct cli_run *run)
{
    const char *model = plb_settings_text(run->settings, OPTION_MODEL);
    int32_t vocabulary = plb_tokenizer_vocab(run->tokenizer);
    int32_t end = plb_tokenizer_find(run->tokenizer, PLB_END_OF_TEXT);

    if (run->resumed || plb_file_is_directory(model)) {
        if (vocabulary > run->config.vocab)
            return plb_fail(PLB_ERROR_INVALID,
                            "the tokenizer has %d tokens, the model only %" PRId64, vocabulary,
                            run->config.vocab);
        return PLB_OK;
    }
    run->config.vocab = vocabulary;
    run->config.pad_token = PLB_NO_TOKEN;
    run->config.bos_token = end >= 0 ? end : PLB_NO_TOKEN;
    run->config.eos_count = end >= 0;
    run->config.eos_token[0] = end;
    return plb_model_config_check(&run->config);
}

static enum plb_status read_optimizer(const struct plb_settings *s, struct plb_optimizer *out)
{
    enum plb_optimizer_kind kind;

    PLB_TRY(plb_optimizer_find(plb_settings_text(s, OPTION_OPTIMIZER), &kind));
    *out = plb_optimizer_default(kind);
    out->weight_decay = plb_settings_number(s, OPTION_WEIGHT_DECAY);
    out->clip = plb_settings_number(s, OPTION_CLIP);
    return PLB_OK;
}

static enum plb_status read_settings(struct cli_run *run)
{
    const struct plb_settings *s = run->settings;

    run->options.dtype = cli_dtype(s);
    run->validation = plb_settings_number(s, OPTION_VALIDATION);
    run->options.batch = plb_settings_integer(s, OPTION_BATCH);
    run->options.sequence = plb_settings_integer(s, OPTION_SEQUENCE);
    run->options.micro_batches = plb_settings_integer(s, OPTION_MICRO_BATCHES);
    run->options.seed = (uint64_t)plb_settings_integer(s, OPTION_SEED);
    PLB_TRY(cli_session_memory(s, &run->options.session, &run->costs));
    run->options.schedule = (struct plb_schedule){
        .kind = strcmp(plb_settings_text(s, OPTION_SCHEDULE), "cosine") == 0
                    ? PLB_SCHEDULE_COSINE
                    : PLB_SCHEDULE_CONSTANT,
        .rate = plb_settings_number(s, OPTION_LEARNING_RATE),
        .floor = 0.1,
        .warmup = (uint64_t)plb_settings_integer(s, OPTION_WARMUP),
        .steps = (uint64_t)plb_settings_integer(s, OPTION_STEPS)};
    PLB_TRY(read_optimizer(s, &run->options.optimizer));
    return cli_model_config(s, &run->config);
}

static enum plb_status fail_kept(const struct cli_run *run, int option)
{
    const char *name = run->settings->program->option[option].name;

    return plb_fail(PLB_ERROR_INVALID,
                    "the run in %s was not begun with --%s %s, and keeps its own: leave that out, "
                    "or choose another --out",
                    run->out, name, plb_settings_text(run->settings, option));
}

/* An option that a resumed run would not follow is refused, not passed over. */
static enum plb_status check_kept(const struct cli_run *run)
{
    const struct plb_settings *s = run->settings;
    const struct plb_pretrain_options *o = &run->options;
    const struct {
        int option;
        double kept;
    } numbers[] = {{OPTION_BATCH, (double)o->batch},
                   {OPTION_SEQUENCE, (double)o->sequence},
                   {OPTION_MICRO_BATCHES, (double)(o->micro_batches ? o->micro_batches : 1)},
                   {OPTION_SEED, (double)o->seed},
                   {OPTION_LAYERS, (double)run->config.layers},
                   {OPTION_HIDDEN, (double)run->config.hidden},
                   {OPTION_HEADS, (double)run->config.heads},
                   {OPTION_LEARNING_RATE, o->schedule.rate},
                   {OPTION_WEIGHT_DECAY, o->optimizer.weight_decay},
                   {OPTION_CLIP, o->optimizer.clip}};
    enum plb_optimizer_kind kind;

    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
        double given = plb_settings_number(s, numbers[k].option);

        if (plb_settings_given(s, numbers[k].option) &&
            !(fabs(given - numbers[k].kept) <= 1e-9 * fabs(given)))
            return fail_kept(run, numbers[k].option);
    }
    PLB_TRY(plb_optimizer_find(plb_settings_text(s, OPTION_OPTIMIZER), &kind));
    if (plb_settings_given(s, OPTION_OPTIMIZER) && kind != o->optimizer.kind)
        return fail_kept(run, OPTION_OPTIMIZER);
    if (plb_settings_given(s, OPTION_DTYPE) && cli_dtype(s) != o->dtype)
        return fail_kept(run, OPTION_DTYPE);
    return PLB_OK;
}

/* A run that goes on takes everything from its checkpoint; only where to stop may be said anew. */
static enum plb_status read_checkpoint(struct cli_run *run)
{
    struct plb_trainer_record record;

    PLB_TRY(plb_trainer_record_load(run->out, &record));
    run->options.dtype = record.dtype;
    run->validation = record.validation;
    run->options.batch = record.batch;
    run->options.sequence = record.sequence;
    run->options.micro_batches = record.micro_batches;
    run->options.seed = record.seed;
    PLB_TRY(cli_session_memory(run->settings, &run->options.session, &run->costs));
    run->options.optimizer = record.optimizer;
    run->options.schedule = record.schedule;
    PLB_TRY(plb_model_config_load(run->out, &run->config));
    return check_kept(run);
}

/* Nothing of an earlier run, and no model of somebody else's, is overwritten by mistake. */
static enum plb_status check_vacant(struct cli_run *run)
{
    static const char *const taken[] = {"trainer.json", "model.safetensors",
                                        "model.safetensors.index.json"};
    struct plb_trainer_record record;

    if (plb_trainer_record_load(run->out, &record) == PLB_OK)
        return plb_fail(PLB_ERROR_INVALID,
                        "%s already holds step %" PRIu64 " of a run: add --resume to go on with "
                        "it, or choose another --out",
                        run->out, record.step);
    plb_error_clear();
    for (size_t k = 0; k < sizeof taken / sizeof taken[0]; k++)
        if (plb_file_exists_in(run->out, taken[k]))
            return plb_fail(PLB_ERROR_INVALID,
                            "%s already holds a %s that is of no run to go on with: choose another "
                            "--out",
                            run->out, taken[k]);
    run->made_out = !plb_file_is_directory(run->out);
    return plb_file_make_directory(run->out);
}

/* What cannot be saved is said before the training, not after it. */
static enum plb_status check_out(struct cli_run *run)
{
    if (!run->resumed)
        PLB_TRY(check_vacant(run));
    if (access(run->out, F_OK) == 0 && access(run->out, W_OK | X_OK) != 0)
        return plb_fail(PLB_ERROR_IO, "cannot write into %s: %s", run->out, strerror(errno));
    return PLB_OK;
}

/* ---- corpus, model, trainer ---- */

static enum plb_status open_corpus(struct cli_run *run)
{
    const struct plb_corpus_options options = {
        .validation = run->validation,
        .vocab = run->config.vocab,
        .separator = plb_tokenizer_find(run->tokenizer, PLB_END_OF_TEXT)};
    int64_t windows;

    PLB_TRY(plb_corpus_open(run->settings->argument, run->settings->n_arguments, run->tokenizer,
                            &options, &run->corpus));
    PLB_TRY(plb_corpus_windows(run->corpus, PLB_CORPUS_TRAINING, run->options.sequence, &windows));
    cli_say(run->settings, "corpus: %" PRId64 " tokens for training, %" PRId64 " for validation\n",
            plb_corpus_tokens(run->corpus, PLB_CORPUS_TRAINING),
            plb_corpus_tokens(run->corpus, PLB_CORPUS_VALIDATION));
    return PLB_OK;
}

/* A trainer with fresh parameters. */
static enum plb_status make_trainer(struct cli_run *run)
{
    PLB_TRY(cli_split(run->settings, &run->config, &run->options.split));
    PLB_TRY(plb_pretrain_create(&run->config, run->corpus, run->tokenizer, &run->options,
                                &run->pretrain));
    run->trainer = plb_pretrain_trainer(run->pretrain);
    return plb_trainer_initialize(run->trainer);
}

static enum plb_status one_step(struct cli_run *run)
{
    float loss;

    PLB_TRY(plb_pretrain_step(run->pretrain));
    return plb_trainer_read(run->trainer, &loss, NULL);
}

/* For --minutes: measures some steps on a trainer of its own, then fixes the number of steps, so
 * that the run itself is a function of its options alone. */
static enum plb_status choose_steps(struct cli_run *run)
{
    double minutes = plb_settings_number(run->settings, OPTION_MINUTES), start, each;

    if (minutes <= 0.0 || run->resumed)
        return PLB_OK;
    PLB_TRY(make_trainer(run));
    PLB_TRY(one_step(run));
    start = cli_seconds();
    for (int k = 0; k < MEASURED_STEPS; k++)
        PLB_TRY(one_step(run));
    each = (cli_seconds() - start) / MEASURED_STEPS;
    plb_pretrain_destroy(run->pretrain);
    run->pretrain = NULL;
    run->options.schedule.steps = (uint64_t)(60.0 * minutes / each) + 1;
    if (run->options.schedule.warmup > run->options.schedule.steps / 10)
        run->options.schedule.warmup = run->options.schedule.steps / 10;
    cli_say(run->settings, "a step takes %.0f ms: --steps %" PRIu64 " for %.1f minutes\n",
            1e3 * each, run->options.schedule.steps, minutes);
    return PLB_OK;
}

static enum plb_status fill_parameters(struct cli_run *run)
{
    const char *model = plb_settings_text(run->settings, OPTION_MODEL);

    if (run->resumed) {
        PLB_TRY(plb_trainer_resume(run->trainer, run->out));
        cli_say(run->settings, "resuming at step %" PRIu64 "\n", plb_trainer_steps(run->trainer));
        return cli_run_load_points(run);
    }
    if (plb_file_is_directory(model))
        return plb_trainer_load(run->trainer, model);
    return PLB_OK;
}

static void check_validation(struct cli_run *run)
{
    int64_t windows;

    if (run->validation <= 0.0)
        return;
    run->validates = plb_corpus_windows(run->corpus, PLB_CORPUS_VALIDATION, run->options.sequence,
                                        &windows) == PLB_OK;
    if (run->validates)
        return;
    cli_say(run->settings, "no validation: %s\n", plb_error_message());
    plb_error_clear();
}

static void say_what(const struct cli_run *run)
{
    struct plb_session_info info;
    char device[64], memory[160];

    plb_session_get_info(plb_trainer_session(run->trainer), &info);
    cli_say(run->settings,
            "%s, %.1f M parameters, %s; %u tasks a step on %s, scheduler %s; %s\n",
            plb_model_family_name(run->config.family),
            1e-6 * (double)plb_model_elements(plb_trainer_model(run->trainer)),
            plb_dtype_name(run->options.dtype), info.tasks,
            cli_print_device(device, sizeof device), plb_runtime_scheduler(),
            cli_print_memory(&info, memory, sizeof memory));
    cli_say_parallel(run->settings, &info);
}

/* A run that goes on may be told to go further than its schedule, whose last rate then stays. */
static void choose_last(struct cli_run *run)
{
    uint64_t stop = (uint64_t)plb_settings_integer(run->settings, OPTION_STOP_AT);

    run->last = run->options.schedule.steps;
    if (run->resumed && plb_settings_given(run->settings, OPTION_STEPS))
        run->last = (uint64_t)plb_settings_integer(run->settings, OPTION_STEPS);
    if (stop && stop < run->last)
        run->last = stop;
}

enum plb_status cli_run_prepare(struct cli_run *run)
{
    run->resumed = plb_settings_switch(run->settings, OPTION_RESUME);
    PLB_TRY(check_out(run));
    PLB_TRY(run->resumed ? read_checkpoint(run) : read_settings(run));
    PLB_TRY(choose_tokenizer(run));
    PLB_TRY(fit_vocabulary(run));
    PLB_TRY(open_corpus(run));
    PLB_TRY(cli_start_runtime(run->settings));
    PLB_TRY(choose_steps(run));
    PLB_TRY(make_trainer(run));
    PLB_TRY(fill_parameters(run));
    check_validation(run);
    choose_last(run);
    say_what(run);
    return PLB_OK;
}

void cli_run_clear(struct cli_run *run)
{
    plb_pretrain_destroy(run->pretrain);
    plb_costs_destroy(run->costs);
    plb_runtime_stop();
    plb_corpus_close(run->corpus);
    plb_tokenizer_free(run->tokenizer);
    free(run->point);
}
