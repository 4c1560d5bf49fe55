/* SPDX-License-Identifier: BSD-3-Clause */
/* One forward pass over a row of tokens. */
#include "config.h"

#include "frontends/nn/logits.h"

#include <stdlib.h>

#include "frontends/nn/language.h"
#include "frontends/nn/weights.h"

/* What one forward pass needs. */
struct pass {
    struct plb_model_config config;
    struct plb_language language;
    plb_safetensors_t *set;
    plb_store_t *store;
    plb_session_t *session;
};

static enum plb_status check_tokens(const struct plb_model_config *config, const int32_t *tokens,
                                    int64_t count)
{
    if (count < 1)
        return plb_fail(PLB_ERROR_INVALID, "there are no tokens");
    for (int64_t i = 0; i < count; i++)
        if (tokens[i] < 0 || tokens[i] >= config->vocab)
            return plb_fail(PLB_ERROR_INVALID,
                            "token %d is not in the model's vocabulary of %lld tokens", tokens[i],
                            (long long)config->vocab);
    return PLB_OK;
}

static enum plb_status prepare(struct pass *pass, const char *directory, enum plb_dtype dtype,
                               const struct plb_session_options *session, const int32_t *tokens,
                               int64_t count)
{
    struct plb_language_options options = {
        .mode = PLB_LANGUAGE_LOGITS, .dtype = dtype, .batch = 1, .sequence = count};

    PLB_TRY(plb_model_config_load(directory, &pass->config));
    PLB_TRY(check_tokens(&pass->config, tokens, count));
    PLB_TRY(plb_safetensors_open(directory, &pass->set));
    PLB_TRY(plb_language_create(&pass->config, &options, &pass->language));
    PLB_TRY(plb_store_create(&pass->store));
    PLB_TRY(plb_session_create(plb_model_graph(pass->language.model), session, pass->store,
                               &pass->session));
    return plb_weights_load(pass->language.model, pass->store, pass->set);
}

/* Runs the pass; `positions` and `raw` are buffers for the positions and the logits. */
static enum plb_status run(struct pass *pass, enum plb_dtype dtype, const int32_t *tokens,
                           int64_t count, int32_t *positions, void *raw, float *logits)
{
    size_t elements = (size_t)(count * pass->config.vocab), bytes = (size_t)count * sizeof *tokens;

    plb_language_positions(1, count, positions);
    PLB_TRY(plb_session_write(pass->session, pass->language.tokens, tokens, bytes));
    PLB_TRY(plb_session_write(pass->session, pass->language.positions, positions, bytes));
    PLB_TRY(plb_session_step(pass->session, 0));
    PLB_TRY(plb_session_read(pass->session, pass->language.logits, raw,
                             elements * plb_dtype_bytes(dtype)));
    return plb_stored_convert(plb_stored_dtype_of(dtype), raw, PLB_STORED_F32, logits, elements);
}

enum plb_status plb_logits(const char *directory, enum plb_dtype dtype,
                           const struct plb_session_options *session, const int32_t *tokens,
                           int64_t count, float **logits_out, int64_t *vocab_out)
{
    struct pass pass = {0};
    int32_t *positions = NULL;
    float *logits = NULL;
    void *raw = NULL;
    enum plb_status status = prepare(&pass, directory, dtype, session, tokens, count);

    if (status == PLB_OK) {
        size_t elements = (size_t)count * (size_t)pass.config.vocab;
        positions = malloc((size_t)count * sizeof *positions);
        raw = malloc(elements * plb_dtype_bytes(dtype));
        logits = malloc(elements * sizeof *logits);
        status = positions && raw && logits
                     ? run(&pass, dtype, tokens, count, positions, raw, logits)
                     : plb_fail(PLB_ERROR_MEMORY, "no memory for %zu logits", elements);
    }
    free(raw);
    free(positions);
    plb_session_destroy(pass.session);
    plb_store_destroy(pass.store);
    plb_model_destroy(pass.language.model);
    plb_safetensors_close(pass.set);
    if (status != PLB_OK) {
        free(logits);
        return status;
    }
    *logits_out = logits;
    *vocab_out = pass.config.vocab;
    return PLB_OK;
}
