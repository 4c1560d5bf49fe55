/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A GPT-2 made by hand of layers, trained on the bytes of a text, then asked to go on writing.
 *
 *   cc gpt2.c $(pkg-config --cflags --libs palombe) -o gpt2 && ./gpt2 TEXT [STEPS]
 */
#include <stdio.h>
#include <stdlib.h>

#include "palombe.h"

enum { V = 257, T = 64, B = 8, C = 128, HEADS = 4, LAYERS = 4, SEED = 1, WRITE = 200 };

/* The model: logits of the next byte at each of the N = sequences * T positions. */
static plb_value gpt2(plb_model_t *m, plb_value tokens, plb_value positions)
{
    plb_graph_t *g = plb_model_graph(m);

    plb_model_set_deviation(m, 0.02);
    plb_value x = plb_nn_add(m, plb_nn_embedding(m, tokens, V, C, "wte"),
                             plb_nn_embedding(m, positions, T, C, "wpe"));
    for (int i = 0; i < LAYERS; i++) {
        plb_graph_set_block(g, i);
        plb_model_enter(m, "h.%d", i);
        plb_value h = plb_nn_layer_norm(m, x, 1e-5, true, "ln_1");
        h = plb_nn_linear(m, h, 3 * C, true, "attn.c_attn");
        h = plb_nn_attention(m, h, HEADS, HEADS, T, 0.0);
        x = plb_nn_add(m, x, plb_nn_linear(m, h, C, true, "attn.c_proj"));
        h = plb_nn_layer_norm(m, x, 1e-5, true, "ln_2");
        h = plb_gelu(g, plb_nn_linear(m, h, 4 * C, true, "mlp.c_fc"), PLB_GELU_TANH);
        x = plb_nn_add(m, x, plb_nn_linear(m, h, C, true, "mlp.c_proj"));
        plb_model_leave(m);
    }
    plb_graph_set_block(g, -1);
    x = plb_nn_layer_norm(m, x, 1e-5, true, "ln_f");
    return plb_nn_linear_tied(m, x, V, "wte");
}

/* A graph for `sequences` sequences, and what goes in. */
struct step {
    plb_model_t *model;
    plb_value tokens, positions, logits;
};

static enum plb_status make_step(int64_t sequences, struct step *step)
{
    struct plb_shape rows = plb_shape1(sequences * T);

    PLB_TRY(plb_model_create(&(struct plb_model_options){PLB_F32, SEED, true}, &step->model));
    step->tokens = plb_nn_input(step->model, "tokens", PLB_I32, rows, NULL);
    step->positions = plb_nn_input(step->model, "positions", PLB_I32, rows, NULL);
    step->logits = gpt2(step->model, step->tokens, step->positions);
    return plb_model_status(step->model);
}

static enum plb_status train(const plb_corpus_t *corpus, int steps, plb_trainer_t **trainer_out)
{
    struct plb_trainer_options options = {
        .optimizer = plb_optimizer_default(PLB_OPTIMIZER_ADAMW),
        .schedule = {PLB_SCHEDULE_COSINE, .rate = 2e-3, .floor = 0.1, .warmup = 10,
                     .steps = (uint64_t)steps},
    };
    int32_t tokens[B * T], targets[B * T], positions[B * T];
    plb_trainer_t *trainer;
    struct step s;
    float loss;

    PLB_TRY(make_step(B, &s));
    plb_value answers = plb_nn_input(s.model, "targets", PLB_I32, plb_shape1(B * T), NULL);
    plb_value mean = plb_nn_loss(s.model, s.logits, answers);
    PLB_TRY(plb_trainer_create(s.model, mean, &options, &trainer));
    PLB_TRY(plb_trainer_initialize(trainer));
    plb_language_positions(B, T, positions);
    PLB_TRY(plb_trainer_write(trainer, s.positions, positions, sizeof positions));
    for (int i = 0; i < steps; i++) {
        PLB_TRY(plb_corpus_batch(corpus, PLB_CORPUS_TRAINING, SEED, (uint64_t)i, B, T, tokens,
                                 targets));
        PLB_TRY(plb_trainer_write(trainer, s.tokens, tokens, sizeof tokens));
        PLB_TRY(plb_trainer_write(trainer, answers, targets, sizeof targets));
        PLB_TRY(plb_trainer_step(trainer));
        if (i % 25 == 0 || i == steps - 1) {
            PLB_TRY(plb_trainer_read(trainer, &loss, NULL));
            printf("step %4d  loss %.4f\n", i, (double)loss);
            fflush(stdout);
        }
    }
    *trainer_out = trainer;
    return PLB_OK;
}

/* Writes on from a line break: all T positions go through the model for each byte, the simple way;
 * frontends/nn/generate.h does it with a cache. */
static enum plb_status go_on_writing(plb_store_t *store)
{
    static float logits[T * V];
    int32_t text[T + WRITE] = {'\n'}, positions[T];
    plb_session_t *session;
    plb_sampler_t *sampler;
    struct step s;

    PLB_TRY(make_step(1, &s));
    plb_graph_output(plb_model_graph(s.model), s.logits);
    PLB_TRY(plb_session_create(plb_model_graph(s.model), NULL, store, &session));
    PLB_TRY(plb_sampler_create(&(struct plb_sampling){0.7, 40, 1.0, SEED}, V, &sampler));
    plb_language_positions(1, T, positions);
    PLB_TRY(plb_session_write(session, s.positions, positions, sizeof positions));
    for (int n = 1; n < WRITE; n++) {
        int from = n > T ? n - T : 0; /* attention is causal: rows beyond n - 1 do not matter */
        PLB_TRY(plb_session_write(session, s.tokens, text + from, T * sizeof text[0]));
        PLB_TRY(plb_session_step(session, (uint64_t)n));
        PLB_TRY(plb_session_read(session, s.logits, logits, sizeof logits));
        PLB_TRY(plb_sampler_choose(sampler, logits + (n - 1 - from) * V, (uint64_t)n, &text[n]));
        putchar(text[n] < 256 ? (char)text[n] : '\n');
    }
    putchar('\n');
    plb_sampler_destroy(sampler);
    plb_session_destroy(session);
    plb_model_destroy(s.model);
    return PLB_OK;
}

static enum plb_status run(const char *text, int steps)
{
    struct plb_corpus_options options = {.vocab = V, .separator = V - 1};
    plb_tokenizer_t *tokenizer;
    plb_corpus_t *corpus;
    plb_trainer_t *trainer;

    PLB_TRY(plb_tokenizer_make_bytes(&tokenizer));
    PLB_TRY(plb_corpus_open(&text, 1, tokenizer, &options, &corpus));
    PLB_TRY(train(corpus, steps, &trainer));
    PLB_TRY(go_on_writing(plb_trainer_store(trainer)));
    plb_trainer_destroy(trainer);
    plb_corpus_close(corpus);
    plb_tokenizer_free(tokenizer);
    return PLB_OK;
}

int main(int argc, char **argv)
{
    int steps = argc > 2 ? atoi(argv[2]) : 200;

    if (argc < 2 || argc > 3 || steps < 1) {
        fprintf(stderr, "usage: gpt2 TEXT [STEPS]\n");
        return EXIT_FAILURE;
    }
    if (plb_runtime_start(NULL) != PLB_OK || run(argv[1], steps) != PLB_OK) {
        fprintf(stderr, "gpt2: %s\n", plb_error_message());
        return EXIT_FAILURE;
    }
    plb_runtime_stop();
    return EXIT_SUCCESS;
}
