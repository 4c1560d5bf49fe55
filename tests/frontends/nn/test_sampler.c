/* SPDX-License-Identifier: BSD-3-Clause */
/* Sampling: filters against a plain reference, frequencies against probabilities, bad logits. */
#include "config.h"

#include <math.h>
#include <stdlib.h>

#include "frontends/nn/sampler.h"
#include "runtime/base/random.h"
#include "tests/support/plb_test.h"

enum { VOCAB = 1000 };

static plb_sampler_t *make(double temperature, int64_t top_k, double top_p, int64_t vocab)
{
    struct plb_sampling sampling = {temperature, top_k, top_p, 3};
    plb_sampler_t *sampler = NULL;

    PLB_REQUIRE(plb_sampler_create(&sampling, vocab, &sampler) == PLB_OK);
    return sampler;
}

static void fill(float *logits, uint64_t stream)
{
    for (int i = 0; i < VOCAB; i++)
        logits[i] = 3.0f * plb_random_normal(11, stream, (uint64_t)i);
}

static void cold_is_the_most_probable(void)
{
    float logits[VOCAB];
    plb_sampler_t *cold = make(0.0, 0, 1.0, VOCAB), *one = make(1.0, 1, 1.0, VOCAB);
    int32_t token;

    for (uint64_t n = 0; n < 20; n++) {
        int32_t best = 0;
        fill(logits, n);
        for (int32_t i = 1; i < VOCAB; i++)
            best = logits[i] > logits[best] ? i : best;
        PLB_CHECK_EQ(plb_sampler_choose(cold, logits, n, &token), PLB_OK);
        PLB_CHECK_EQ(token, best);
        PLB_CHECK_EQ(plb_sampler_choose(one, logits, n, &token), PLB_OK);
        PLB_CHECK_EQ(token, best);
        logits[(best + 1) % VOCAB] = logits[best]; /* a tie */
        PLB_CHECK_EQ(plb_sampler_choose(cold, logits, n, &token), PLB_OK);
        PLB_CHECK_EQ(token, best + 1 < VOCAB ? best : 0);
    }
    plb_sampler_destroy(one);
    plb_sampler_destroy(cold);
}

/* Which tokens the filters leave, found the slow way: by rank. */
static void allowed(const float *logits, double temperature, int64_t top_k, double top_p,
                    bool kept[VOCAB])
{
    double sum = 0, before[VOCAB];
    int rank[VOCAB];

    for (int i = 0; i < VOCAB; i++) {
        rank[i] = 0;
        for (int j = 0; j < VOCAB; j++)
            rank[i] += logits[j] > logits[i] || (logits[j] == logits[i] && j < i);
    }
    for (int i = 0; i < VOCAB; i++) {
        if (rank[i] < top_k)
            sum += exp((double)logits[i] / temperature);
        before[i] = 0;
        for (int j = 0; j < VOCAB; j++)
            if (rank[j] < rank[i])
                before[i] += exp((double)logits[j] / temperature);
    }
    for (int i = 0; i < VOCAB; i++)
        kept[i] = rank[i] < top_k && before[i] < top_p * sum;
}

static void only_what_the_filters_leave_is_drawn(void)
{
    static const struct {
        double temperature;
        int64_t top_k;
        double top_p;
    } cases[] = {{1.0, 5, 1.0}, {0.7, 50, 0.9}, {1.0, 0, 0.5}, {3.0, 0, 0.95}, {1.0, 0, 0.01}};
    float logits[VOCAB];
    bool kept[VOCAB], drawn[VOCAB];

    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        plb_sampler_t *sampler = make(cases[c].temperature, cases[c].top_k, cases[c].top_p, VOCAB);
        int outside = 0, number = 0, seen = 0;
        fill(logits, 100 + c);
        allowed(logits, cases[c].temperature, cases[c].top_k ? cases[c].top_k : VOCAB,
                cases[c].top_p, kept);
        for (int i = 0; i < VOCAB; i++)
            drawn[i] = false;
        for (uint64_t n = 0; n < 3000; n++) {
            int32_t token = -1;
            PLB_REQUIRE(plb_sampler_choose(sampler, logits, n, &token) == PLB_OK);
            outside += !kept[token];
            drawn[token] = true;
        }
        PLB_CHECK_EQ(outside, 0);
        for (int i = 0; i < VOCAB; i++) {
            number += kept[i];
            seen += drawn[i];
        }
        PLB_CHECK(seen >= (number < 6 ? number : 6));
        plb_sampler_destroy(sampler);
    }
}

static void frequencies_follow_the_probabilities(void)
{
    static const float logits[4] = {0.0f, 1.0f, 2.0f, -INFINITY};
    enum { DRAWS = 40000 };
    plb_sampler_t *sampler = make(2.0, 0, 1.0, 4);
    double sum = 1 + exp(0.5) + exp(1.0);
    int count[4] = {0};

    for (uint64_t n = 0; n < DRAWS; n++) {
        int32_t token = 3;
        PLB_REQUIRE(plb_sampler_choose(sampler, logits, n, &token) == PLB_OK);
        count[token]++;
    }
    for (int i = 0; i < 3; i++)
        PLB_CHECK_NEAR((double)count[i] / DRAWS, exp((double)logits[i] / 2) / sum, 0.01);
    PLB_CHECK_EQ(count[3], 0);
    plb_sampler_destroy(sampler);
}

static void draws_repeat_and_differ_by_position(void)
{
    float logits[VOCAB];
    plb_sampler_t *a = make(1.0, 0, 1.0, VOCAB), *b = make(1.0, 0, 1.0, VOCAB);
    int different = 0;
    int32_t first = -1, token_a = -1, token_b = -1;

    fill(logits, 1);
    for (uint64_t n = 0; n < 50; n++) {
        PLB_REQUIRE(plb_sampler_choose(a, logits, n, &token_a) == PLB_OK);
        PLB_REQUIRE(plb_sampler_choose(b, logits, n, &token_b) == PLB_OK);
        PLB_CHECK_EQ(token_a, token_b);
        first = n == 0 ? token_a : first;
        different += token_a != first;
    }
    PLB_CHECK(different > 10);
    plb_sampler_destroy(b);
    plb_sampler_destroy(a);
}

static void bad_logits_and_options_are_refused(void)
{
    float logits[4] = {NAN, NAN, NAN, NAN};
    static const struct plb_sampling bad[] = {
        {-1.0, 0, 1.0, 0}, {NAN, 0, 1.0, 0}, {1.0, -1, 1.0, 0}, {1.0, 0, 0.0, 0}, {1.0, 0, 1.5, 0}};
    plb_sampler_t *sampler = make(1.0, 0, 1.0, 4);
    int32_t token = 42;

    PLB_CHECK_EQ(plb_sampler_choose(sampler, logits, 0, &token), PLB_ERROR_INVALID);
    logits[1] = INFINITY;
    PLB_CHECK_EQ(plb_sampler_choose(sampler, logits, 0, &token), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(token, 42);
    logits[1] = 1.0f; /* one number suffices */
    PLB_CHECK_EQ(plb_sampler_choose(sampler, logits, 0, &token), PLB_OK);
    PLB_CHECK_EQ(token, 1);
    plb_sampler_destroy(sampler);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        PLB_CHECK_EQ(plb_sampler_create(&bad[i], 4, &sampler), PLB_ERROR_INVALID);
}

PLB_TEST_MAIN("frontends/nn/sampler", NULL, NULL, PLB_TEST(cold_is_the_most_probable),
              PLB_TEST(only_what_the_filters_leave_is_drawn),
              PLB_TEST(frequencies_follow_the_probabilities),
              PLB_TEST(draws_repeat_and_differ_by_position),
              PLB_TEST(bad_logits_and_options_are_refused))
