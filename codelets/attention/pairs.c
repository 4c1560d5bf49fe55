/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One block of queries with one block of keys: probabilities made again, their gradient, and the
 * products that carry it to queries, keys and values.
 */
#include "config.h"

#include "codelets/attention/pairs.h"

#include "codelets/common/simd.h"

enum { PANEL = PLB__TILE_COLUMNS };

void plb__pairs_lay_out(struct plb__pairs_memory *memory, struct plb__arena *arena,
                        const struct plb__heads *h)
{
    int64_t positions = plb__round_up(h->sequence, PANEL);

    memory->key_panels = plb__arena_take(arena, positions * h->dim);
    memory->value_panels = plb__arena_take(arena, positions * h->dim);
    memory->keys = plb__arena_take(arena, positions * h->padded_dim);
    memory->dkeys = plb__arena_take(arena, positions * h->padded_dim);
    memory->dvalues = plb__arena_take(arena, positions * h->padded_dim);
    memory->queries = plb__arena_take(arena, PLB__PAIRS_QUERIES * h->padded_dim);
    memory->dy = plb__arena_take(arena, PLB__PAIRS_QUERIES * h->padded_dim);
    memory->dqueries = plb__arena_take(arena, PLB__PAIRS_QUERIES * h->padded_dim);
    memory->scores = plb__arena_take(arena, PLB__PAIRS_QUERIES * PLB__PAIRS_KEYS);
    memory->dscores = plb__arena_take(arena, PLB__PAIRS_QUERIES * PLB__PAIRS_KEYS);
    memory->lse = plb__arena_take(arena, PLB__PAIRS_QUERIES);
    memory->delta = plb__arena_take(arena, PLB__PAIRS_QUERIES);
    memory->buffer = plb__arena_take(arena, PLB__PAIRS_QUERIES * h->padded_dim);
}

/* Scores of visible pairs become probabilities, those of others zero. */
PLB_KERNEL_CLONES static void soften(const struct plb__pairs_memory *m, const struct plb__pair *b)
{
    for (int64_t i = 0; i < b->rows; i++) {
        int64_t visible = b->at + i - b->k0 + 1;
        float *score = m->scores + i * PLB__PAIRS_KEYS, *dscore = m->dscores + i * PLB__PAIRS_KEYS;
        float lse = m->lse[i];

        for (int64_t j = visible < 0 ? 0 : visible; j < b->keys; j++) {
            score[j] = -INFINITY;
            dscore[j] = 0.0f;
        }
        for (int64_t j = 0; j < b->keys; j++)
            score[j] = plb__expf(score[j] - lse);
    }
    for (int64_t i = b->rows; i < b->padded; i++) {
        memset(m->scores + i * PLB__PAIRS_KEYS, 0, (size_t)b->keys * sizeof(float));
        memset(m->dscores + i * PLB__PAIRS_KEYS, 0, (size_t)b->keys * sizeof(float));
    }
}

/* dS = P (dP - delta), in the place of dP. */
PLB_KERNEL_CLONES static void differ(const struct plb__pairs_memory *m, const struct plb__pair *b)
{
    for (int64_t i = 0; i < b->rows; i++) {
        const float *restrict score = m->scores + i * PLB__PAIRS_KEYS;
        float *restrict dscore = m->dscores + i * PLB__PAIRS_KEYS;
        float delta = m->delta[i];

        for (int64_t j = 0; j < b->keys; j++)
            dscore[j] = score[j] * (dscore[j] - delta);
    }
}

/* The same for one row with dropout, whose factors apply to dP, and to P as it meets the values. */
PLB_KERNEL_CLONES static void differ_dropped(float *restrict score, float *restrict dscore,
                                             const float *restrict factor, float delta, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        dscore[j] = score[j] * (dscore[j] * factor[j] - delta);
        score[j] *= factor[j];
    }
}

static void drop(const struct plb__pass *p, const struct plb__pair *b)
{
    float factor[PLB__PAIRS_KEYS];

    for (int64_t i = 0; i < b->rows; i++) {
        int64_t row = p->origin + b->at + i, visible = b->at + i - b->k0 + 1;
        int64_t element = PLB__MASK_ELEMENT(p->h, row, p->head) + b->k0;
        int64_t n = visible < b->keys ? visible : b->keys;

        plb__mask_factors(p->mask, factor, (uint64_t)element, n);
        differ_dropped(p->m.scores + i * PLB__PAIRS_KEYS, p->m.dscores + i * PLB__PAIRS_KEYS,
                       factor, p->m.delta[i], n);
    }
}

/* C[queries, keys] = A[queries, D] panels[D, keys], where visible. */
static void multiply_pairs(const struct plb__pass *p, const struct plb__pair *b, float *c,
                           const float *a, const float *panels)
{
    struct plb__tiles product = {
        .c = {c, PLB__PAIRS_KEYS},
        .a = {a, p->h->padded_dim, 1},
        .b = {panels + b->k0 * p->h->dim, PANEL, PANEL * p->h->dim},
        .m = b->padded,
        .n = b->keys,
        .depth = p->h->dim,
        .causal = PLB__CAUSAL_RESULT,
        .diagonal = b->at - b->k0,
    };

    plb__tiles_multiply(&product);
}

/* sums[keys, D] += pairs[queries, keys]^T B[queries, D]; sums begin at position `base`. */
static void add_over_queries(const struct plb__pass *p, const struct plb__pair *b, float *sums,
                             const float *pairs, const float *rows)
{
    struct plb__tiles product = {
        .c = {sums + (b->k0 - p->base) * p->h->padded_dim, p->h->padded_dim},
        .a = {pairs, 1, PLB__PAIRS_KEYS},
        .b = {rows, p->h->padded_dim, PANEL},
        .m = b->keys,
        .n = p->h->padded_dim,
        .depth = b->rows,
        .add = true,
        .causal = PLB__CAUSAL_KEYS,
        .diagonal = b->at - b->k0,
    };

    plb__tiles_multiply(&product);
}

/* dqueries[queries, D] += dscores[queries, keys] keys[keys, D]. */
static void add_over_keys(const struct plb__pass *p, const struct plb__pair *b)
{
    struct plb__tiles product = {
        .c = {p->m.dqueries, p->h->padded_dim},
        .a = {p->m.dscores, PLB__PAIRS_KEYS, 1},
        .b = {p->m.keys + b->k0 * p->h->padded_dim, p->h->padded_dim, PANEL},
        .m = b->padded,
        .n = p->h->padded_dim,
        .depth = b->keys,
        .add = true,
        .causal = PLB__CAUSAL_QUERIES,
        .diagonal = b->at - b->k0,
    };

    plb__tiles_multiply(&product);
}

void plb__pairs_add(const struct plb__pass *p, const struct plb__pair *b, bool want_queries,
                    bool want_keys)
{
    const struct plb__pairs_memory *m = &p->m;

    multiply_pairs(p, b, m->scores, m->queries, m->key_panels);
    multiply_pairs(p, b, m->dscores, m->dy, m->value_panels);
    soften(m, b);
    if (p->mask != NULL)
        drop(p, b);
    else
        differ(m, b);
    if (want_queries)
        add_over_keys(p, b);
    if (want_keys) {
        add_over_queries(p, b, m->dkeys, m->dscores, m->queries);
        add_over_queries(p, b, m->dvalues, m->scores, m->dy);
    }
}
