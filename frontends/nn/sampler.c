/* SPDX-License-Identifier: BSD-3-Clause */
/* Sampling with a heap of the best candidates: O(V log k), no sort of the vocabulary. */
#include "config.h"

#include "frontends/nn/sampler.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/base/random.h"

#define STREAM_SAMPLE UINT64_C(0x73616d706c650000)
#define FIRST_HEAP    64 /* candidates tried first when only the nucleus is asked for */

struct candidate {
    float logit;
    int32_t token;
};

struct plb_sampler {
    struct plb_sampling sampling;
    int64_t vocab;
    struct candidate *heap; /* vocab of them; the worst kept candidate on top */
    float highest;          /* logit of the position at hand */
};

enum plb_status plb_sampler_create(const struct plb_sampling *sampling, int64_t vocab,
                                   plb_sampler_t **sampler_out)
{
    if (!(sampling->temperature >= 0.0 && sampling->temperature <= 1e6))
        return plb_fail(PLB_ERROR_INVALID, "temperature %g is not between 0 and 1e6",
                        sampling->temperature);
    if (!(sampling->top_p > 0.0 && sampling->top_p <= 1.0))
        return plb_fail(PLB_ERROR_INVALID, "top-p %g is not above 0 and at most 1",
                        sampling->top_p);
    if (sampling->top_k < 0 || vocab < 1 || vocab > INT32_MAX)
        return plb_fail(PLB_ERROR_INVALID, "top-k %lld of %lld tokens", (long long)sampling->top_k,
                        (long long)vocab);
    plb_sampler_t *sampler = malloc(sizeof *sampler);
    struct candidate *heap = malloc((size_t)vocab * sizeof *heap);
    if (!sampler || !heap) {
        free(sampler);
        free(heap);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to sample from %lld tokens", (long long)vocab);
    }
    *sampler = (struct plb_sampler){*sampling, vocab, heap, 0.0f};
    *sampler_out = sampler;
    return PLB_OK;
}

void plb_sampler_destroy(plb_sampler_t *sampler)
{
    if (!sampler)
        return;
    free(sampler->heap);
    free(sampler);
}

static int better(const struct candidate *a, const struct candidate *b)
{
    return a->logit > b->logit || (a->logit == b->logit && a->token < b->token);
}

static int by_rank(const void *a, const void *b)
{
    return better(a, b) ? -1 : 1;
}

/* Lets the candidate at the top sink to its place among n. */
static void sink(struct candidate *heap, int64_t n)
{
    int64_t at = 0;

    for (;;) {
        int64_t worst = at;
        for (int64_t child = 2 * at + 1; child <= 2 * at + 2 && child < n; child++)
            if (better(&heap[worst], &heap[child]))
                worst = child;
        if (worst == at)
            return;
        struct candidate moved = heap[at];
        heap[at] = heap[worst];
        heap[worst] = moved;
        at = worst;
    }
}

static void rise(struct candidate *heap, int64_t at)
{
    while (at > 0) {
        int64_t parent = (at - 1) / 2;
        if (!better(&heap[parent], &heap[at]))
            return;
        struct candidate moved = heap[at];
        heap[at] = heap[parent];
        heap[parent] = moved;
        at = parent;
    }
}

/* Puts the best k tokens into the heap, best first, and returns their number (NaN is no number). */
static int64_t best(plb_sampler_t *sampler, const float *logits, int64_t k)
{
    struct candidate *heap = sampler->heap;
    int64_t n = 0;

    for (int64_t token = 0; token < sampler->vocab; token++) {
        struct candidate candidate = {logits[token], (int32_t)token};
        if (isnan(candidate.logit))
            continue;
        if (n < k) {
            heap[n] = candidate;
            rise(heap, n++);
        } else if (better(&candidate, &heap[0])) {
            heap[0] = candidate;
            sink(heap, n);
        }
    }
    qsort(heap, (size_t)n, sizeof *heap, by_rank);
    return n;
}

/* Puts all tokens into the heap, in their own order. */
static int64_t all(plb_sampler_t *sampler, const float *logits)
{
    int64_t n = 0;

    for (int64_t token = 0; token < sampler->vocab; token++)
        if (!isnan(logits[token]))
            sampler->heap[n++] = (struct candidate){logits[token], (int32_t)token};
    return n;
}

static double weight(const plb_sampler_t *sampler, float logit)
{
    return exp((double)(logit - sampler->highest) / sampler->sampling.temperature);
}

static double sum_all(const plb_sampler_t *sampler, const float *logits)
{
    double sum = 0.0;

    for (int64_t token = 0; token < sampler->vocab; token++)
        if (!isnan(logits[token]))
            sum += weight(sampler, logits[token]);
    return sum;
}

/* How many of the n candidates, from the best on, make up `share`; n + 1 when they do not suffice.
 */
static int64_t nucleus(const plb_sampler_t *sampler, int64_t n, double share)
{
    double sum = 0.0;

    for (int64_t i = 0; i < n; i++) {
        sum += weight(sampler, sampler->heap[i].logit);
        if (sum >= share)
            return i + 1;
    }
    return n + 1;
}

/* Fills the heap with the candidates that both filters leave. */
static int64_t filter(plb_sampler_t *sampler, const float *logits)
{
    const struct plb_sampling *sampling = &sampler->sampling;
    int64_t vocab = sampler->vocab;

    if (sampling->top_k > 0 && sampling->top_k < vocab) {
        int64_t n = best(sampler, logits, sampling->top_k);
        double sum = 0.0;
        for (int64_t i = 0; i < n; i++)
            sum += weight(sampler, sampler->heap[i].logit);
        int64_t kept = nucleus(sampler, n, sampling->top_p * sum);
        return kept < n ? kept : n;
    }
    if (sampling->top_p >= 1.0)
        return all(sampler, logits);
    double share = sampling->top_p * sum_all(sampler, logits);
    for (int64_t k = FIRST_HEAP;; k *= 8) {
        int64_t n = best(sampler, logits, k < vocab ? k : vocab);
        int64_t kept = nucleus(sampler, n, share);
        if (kept <= n || k >= vocab)
            return kept <= n ? kept : n;
    }
}

static int32_t draw(const plb_sampler_t *sampler, int64_t n, uint64_t position)
{
    double sum = 0.0, passed = 0.0;
    uint32_t words[4];

    for (int64_t i = 0; i < n; i++)
        sum += weight(sampler, sampler->heap[i].logit);
    plb_random_words(sampler->sampling.seed, STREAM_SAMPLE, position, words);
    double point = sum * (((double)words[0] + (double)words[1] * 0x1p-32) * 0x1p-32);
    for (int64_t i = 0; i < n; i++) {
        passed += weight(sampler, sampler->heap[i].logit);
        if (point < passed)
            return sampler->heap[i].token;
    }
    return sampler->heap[n - 1].token;
}

enum plb_status plb_sampler_choose(plb_sampler_t *sampler, const float *logits, uint64_t position,
                                   int32_t *token_out)
{
    int64_t n = best(sampler, logits, 1);

    if (n == 0 || isinf(sampler->heap[0].logit))
        return plb_fail(PLB_ERROR_INVALID, "the model's logits at position %llu are not finite",
                        (unsigned long long)position);
    sampler->highest = sampler->heap[0].logit;
    if (sampler->sampling.temperature == 0.0 || sampler->sampling.top_k == 1) {
        *token_out = sampler->heap[0].token;
        return PLB_OK;
    }
    n = filter(sampler, logits);
    *token_out = draw(sampler, n, position);
    return PLB_OK;
}
