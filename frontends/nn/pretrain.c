/* SPDX-License-Identifier: BSD-3-Clause */
/* A trainer fed from a corpus. */
#include "config.h"

#include "frontends/nn/pretrain.h"

#include <stdlib.h>

struct plb_pretrain {
    struct plb_model_config config;
    struct plb_pretrain_options options;
    const plb_corpus_t *corpus;
    const plb_tokenizer_t *tokenizer;
    struct plb_language language, evaluation;
    plb_trainer_t *trainer;
    plb_session_t *evaluator; /* made when first asked for */
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
        status = make_trainer(pretrain);
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
    struct plb_language evaluation;
    plb_session_t *session;

    PLB_TRY(plb_language_create(&pretrain->config, &options, &evaluation));
    enum plb_status status =
        plb_session_create(plb_model_graph(evaluation.model), &pretrain->options.session,
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
