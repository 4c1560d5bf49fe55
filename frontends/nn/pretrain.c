/* SPDX-License-Identifier: BSD-3-Clause */
/* A trainer fed from a corpus. */
#include "config.h"

#include "frontends/nn/pretrain.h"

#include "runtime/base/bytes.h"
#include "runtime/run/device.h"

#include <stdlib.h>

struct plb_pretrain {
    struct plb_model_config config;
    struct plb_pretrain_options options;
    const plb_corpus_t *corpus;
    const plb_tokenizer_t *tokenizer;
    struct plb_language language, evaluation;
    plb_trainer_t *trainer;
    plb_session_t *evaluator; /* made when first asked for */
    size_t evaluation_bytes;  /* of the device, that it may use beside work space; 0: no limit */
    size_t set_aside;         /* of a budget in bytes, for the evaluator; 0: nothing */
    int32_t *tokens, *targets, *positions;
};

static size_t row_bytes(const plb_pretrain_t *pretrain)
{
    return (size_t)(pretrain->options.batch * pretrain->options.sequence) * sizeof(int32_t);
}

static enum plb_status make_buffers(plb_pretrain_t *pretrain)
{
    size_t bytes = row_bytes(pretrain);

    pretrain->tokens = malloc(bytes);
    pretrain->targets = malloc(bytes);
    pretrain->positions = malloc(bytes);
    if (!pretrain->tokens || !pretrain->targets || !pretrain->positions)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a batch of %zu bytes", bytes);
    plb_language_positions(pretrain->options.batch, pretrain->options.sequence,
                           pretrain->positions);
    return PLB_OK;
}

static struct plb_language_options language_options(const plb_pretrain_t *pretrain,
                                                    enum plb_language_mode mode)
{
    struct plb_language_options options = {
        .mode = mode,
        .dtype = pretrain->options.dtype,
        .batch = pretrain->options.batch,
        .sequence = pretrain->options.sequence,
        .micro_batches = mode == PLB_LANGUAGE_TRAIN ? pretrain->options.micro_batches : 0,
        .seed = pretrain->options.seed,
        .split = pretrain->options.split,
    };
    return options;
}

static enum plb_status make_trainer(plb_pretrain_t *pretrain)
{
    const struct plb_pretrain_options *options = &pretrain->options;
    struct plb_language_options language = language_options(pretrain, PLB_LANGUAGE_TRAIN);
    struct plb_trainer_options trainer = {
        .optimizer = options->optimizer,
        .schedule = options->schedule,
        .session = options->session,
        .batch = options->batch,
        .sequence = options->sequence,
        .micro_batches = options->micro_batches,
        .data = plb_corpus_fingerprint(pretrain->corpus),
        .validation = plb_corpus_validation(pretrain->corpus),
    };

    PLB_TRY(plb_language_create(&pretrain->config, &language, &pretrain->language));
    enum plb_status status = plb_trainer_create(pretrain->language.model, pretrain->language.loss,
                                                &trainer, &pretrain->trainer);
    if (status != PLB_OK) {
        plb_model_destroy(pretrain->language.model);
        return status;
    }
    size_t bytes = row_bytes(pretrain) / (size_t)pretrain->language.micro_batches;
    return plb_trainer_write(pretrain->trainer, pretrain->language.positions, pretrain->positions,
                             bytes);
}

/* ---- a budget for two sessions ---- */

static enum plb_status needs_of(const plb_pretrain_t *pretrain, const plb_graph_t *whole,
                                struct plb_needs *needs_out, uint32_t *values_out)
{
    struct plb_cut_options options = plb_session_cut(&pretrain->options.session.cut);
    plb_graph_t *cut;

    PLB_TRY(plb_graph_cut(whole, &options, &cut));
    enum plb_status status = plb_needs_find(cut, needs_out);
    *values_out = plb_graph_values(cut);
    plb_graph_destroy(cut);
    return status;
}

/* What an evaluation needs of its own, and with what it reads of the store. */
static enum plb_status evaluation_bytes(const plb_pretrain_t *pretrain, size_t *own_out,
                                        size_t *all_out)
{
    struct plb_language_options options = language_options(pretrain, PLB_LANGUAGE_EVALUATE);
    struct plb_language evaluation;
    struct plb_needs needs = {0};
    uint32_t values = 0;

    PLB_TRY(plb_language_create(&pretrain->config, &options, &evaluation));
    enum plb_status status = needs_of(pretrain, plb_model_graph(evaluation.model), &needs, &values);
    plb_model_destroy(evaluation.model);
    *own_out = needs.activations + needs.activations / 16 + values * PLB_SLOT_ALIGNMENT;
    *all_out = needs.initial + *own_out;
    return status;
}

/* Most bytes of the activations of a training step. */
static enum plb_status training_activations(const plb_pretrain_t *pretrain, size_t *bytes_out)
{
    struct plb_language_options options = language_options(pretrain, PLB_LANGUAGE_TRAIN);
    struct plb_language language;
    struct plb_training training;
    struct plb_needs needs = {0};
    uint32_t values;

    PLB_TRY(plb_language_create(&pretrain->config, &options, &language));
    enum plb_status status =
        language.loss != PLB_NONE
            ? plb_nn_train(language.model, language.loss, &pretrain->options.optimizer, &training)
            : plb_nn_update(language.model, &pretrain->options.optimizer, &training);
    if (status == PLB_OK)
        status = needs_of(pretrain, plb_model_graph(language.model), &needs, &values);
    plb_model_destroy(language.model);
    *bytes_out = needs.activations;
    return status;
}

/* The budget that was asked for, or the memory that a card has. */
static enum plb_status find_budget(const plb_pretrain_t *pretrain, struct plb_budget *budget_out)
{
    const struct plb_device *device = plb_runtime_device();

    *budget_out = pretrain->options.session.budget;
    if (!budget_out->bytes && !(budget_out->share > 0.0))
        PLB_TRY(plb_budget_read(getenv("PALOMBE_MEMORY_BUDGET"), budget_out));
    if (!budget_out->bytes && !(budget_out->share > 0.0) && device && device->has_host)
        budget_out->bytes = device->bytes;
    return PLB_OK;
}

/* Evaluations have a session beside that of the training: under a budget their memory is taken from
 * its, so that both together keep it. What is computed stays the same. */
static enum plb_status share_memory(plb_pretrain_t *pretrain)
{
    const struct plb_device *device = plb_runtime_device();
    struct plb_budget *budget = &pretrain->options.session.budget;
    size_t own, activations;
    int64_t windows;

    if (plb_corpus_windows(pretrain->corpus, PLB_CORPUS_VALIDATION, pretrain->options.sequence,
                           &windows) != PLB_OK) {
        plb_error_clear(); /* nothing to evaluate on */
        return PLB_OK;
    }
    PLB_TRY(find_budget(pretrain, budget));
    if (!budget->bytes && !(budget->share > 0.0))
        return PLB_OK;
    if (device && budget->bytes > device->bytes) /* the session says so */
        return PLB_OK;
    PLB_TRY(evaluation_bytes(pretrain, &own, &pretrain->evaluation_bytes));
    if (budget->bytes) {
        budget->bytes = budget->bytes > own ? budget->bytes - own : 1;
        pretrain->set_aside = own;
        return PLB_OK;
    }
    PLB_TRY(training_activations(pretrain, &activations));
    budget->share -= (double)own / (double)activations;
    if (budget->share > 0.0)
        return PLB_OK;
    return plb_fail(PLB_ERROR_MEMORY,
                    "validation takes %s, which is more than the share of the activations' %s "
                    "that is the memory budget",
                    plb_bytes_text((double)own).text, plb_bytes_text((double)activations).text);
}

enum plb_status plb_pretrain_create(const struct plb_model_config *config,
                                    const plb_corpus_t *corpus, const plb_tokenizer_t *tokenizer,
                                    const struct plb_pretrain_options *options,
                                    plb_pretrain_t **pretrain_out)
{
    int64_t windows;

    PLB_TRY(plb_corpus_windows(corpus, PLB_CORPUS_TRAINING, options->sequence, &windows));
    plb_pretrain_t *pretrain = calloc(1, sizeof *pretrain);
    if (!pretrain)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a trainer");
    pretrain->config = *config;
    pretrain->config.dtype = plb_stored_dtype_of(options->dtype);
    pretrain->options = *options;
    pretrain->corpus = corpus;
    pretrain->tokenizer = tokenizer;
    enum plb_status status = make_buffers(pretrain);
    if (status == PLB_OK)
        status = share_memory(pretrain);
    if (status == PLB_OK)
        status = make_trainer(pretrain);
    if (status == PLB_ERROR_MEMORY && pretrain->set_aside > 0)
        plb_fail_within(status, "beside the %s (%zu bytes) of the budget that validation takes",
                        plb_bytes_text((double)pretrain->set_aside).text, pretrain->set_aside);
    if (status != PLB_OK) {
        plb_pretrain_destroy(pretrain);
        return status;
    }
    *pretrain_out = pretrain;
    return PLB_OK;
}

void plb_pretrain_destroy(plb_pretrain_t *pretrain)
{
    if (!pretrain)
        return;
    plb_session_destroy(pretrain->evaluator);
    plb_model_destroy(pretrain->evaluation.model);
    plb_trainer_destroy(pretrain->trainer); /* with the model */
    free(pretrain->tokens);
    free(pretrain->targets);
    free(pretrain->positions);
    free(pretrain);
}

plb_trainer_t *plb_pretrain_trainer(plb_pretrain_t *pretrain)
{
    return pretrain->trainer;
}

const plb_graph_t *plb_pretrain_graph(const plb_pretrain_t *pretrain)
{
    return plb_model_graph(pretrain->language.model);
}

/* Reads a batch into the buffers. */
static enum plb_status take_batch(plb_pretrain_t *pretrain, enum plb_corpus_part part,
                                  uint64_t step)
{
    return plb_corpus_batch(pretrain->corpus, part, pretrain->options.seed, step,
                            pretrain->options.batch, pretrain->options.sequence, pretrain->tokens,
                            pretrain->targets);
}

enum plb_status plb_pretrain_step(plb_pretrain_t *pretrain)
{
    plb_session_t *session = plb_trainer_session(pretrain->trainer);

    PLB_TRY(take_batch(pretrain, PLB_CORPUS_TRAINING, plb_trainer_steps(pretrain->trainer)));
    PLB_TRY(plb_language_write(&pretrain->language, session, pretrain->tokens, pretrain->targets));
    return plb_trainer_step(pretrain->trainer);
}

static enum plb_status make_evaluator(plb_pretrain_t *pretrain)
{
    struct plb_language_options options = language_options(pretrain, PLB_LANGUAGE_EVALUATE);
    struct plb_session_options session_options = pretrain->options.session;

    session_options.parallel = "none"; /* reads what the training session has spread */
    session_options.hybrid = NULL;
    struct plb_language evaluation;
    plb_session_t *session;

    if (pretrain->evaluation_bytes > 0) {
        struct plb_session_info info;

        plb_session_get_info(plb_trainer_session(pretrain->trainer), &info);
        session_options.memory_policy = "none";
        session_options.budget =
            (struct plb_budget){.bytes = pretrain->evaluation_bytes + info.scratch_bytes};
    }
    PLB_TRY(plb_language_create(&pretrain->config, &options, &evaluation));
    enum plb_status status = plb_session_create(plb_model_graph(evaluation.model), &session_options,
                                                plb_trainer_store(pretrain->trainer), &session);
    if (status == PLB_OK) {
        status = plb_session_write(session, evaluation.positions, pretrain->positions,
                                   row_bytes(pretrain));
        if (status != PLB_OK)
            plb_session_destroy(session);
    }
    if (status != PLB_OK) {
        plb_model_destroy(evaluation.model);
        return status;
    }
    pretrain->evaluation = evaluation;
    pretrain->evaluator = session;
    return PLB_OK;
}

enum plb_status plb_pretrain_evaluate(plb_pretrain_t *pretrain, int64_t batches, double *loss_out)
{
    double sum = 0.0;

    if (batches < 1)
        return plb_fail(PLB_ERROR_INVALID, "an evaluation of %lld batches", (long long)batches);
    if (!pretrain->evaluator)
        PLB_TRY(make_evaluator(pretrain));
    for (int64_t i = 0; i < batches; i++) {
        float loss;
        PLB_TRY(take_batch(pretrain, PLB_CORPUS_VALIDATION, (uint64_t)i));
        PLB_TRY(plb_language_write(&pretrain->evaluation, pretrain->evaluator, pretrain->tokens,
                                   pretrain->targets));
        PLB_TRY(plb_session_step(pretrain->evaluator, (uint64_t)i));
        PLB_TRY(
            plb_session_read(pretrain->evaluator, pretrain->evaluation.loss, &loss, sizeof loss));
        sum += (double)loss;
    }
    *loss_out = sum / (double)batches;
    return PLB_OK;
}

static enum plb_status write_companions(void *context, const char *folder)
{
    const plb_pretrain_t *pretrain = context;

    PLB_TRY(plb_model_config_save(&pretrain->config, folder));
    return pretrain->tokenizer ? plb_tokenizer_save(pretrain->tokenizer, folder) : PLB_OK;
}

enum plb_status plb_pretrain_save(plb_pretrain_t *pretrain, const char *directory)
{
    struct plb_trainer_companion companion = {write_companions, pretrain};

    return plb_trainer_save(pretrain->trainer, directory, &companion);
}
