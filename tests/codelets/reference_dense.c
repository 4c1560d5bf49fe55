/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * References of the matrix products, the embedding, and what moves rows about.
 *
 * N rows, K input features, O output features, C columns, V rows of a table.
 */
#include "config.h"

#include "tests/codelets/reference.h"

#include <math.h>

/* out[i] = sum of terms; keeps the sum of absolute values beside it. */
static void accumulate(struct reference_value *out, int64_t i, double term)
{
    out->v[i] += term;
    out->magnitude[i] += fabs(term);
}

static void clear(struct reference_value *out)
{
    int64_t n = plb_shape_elements(&out->type.shape);

    for (int64_t i = 0; i < n; i++)
        out->v[i] = out->magnitude[i] = 0;
}

void reference_embedding(const struct reference_call *call)
{
    int64_t n = reference_dim(&call->in[0], 0), c = reference_dim(&call->in[1], 1);
    int64_t rows = reference_dim(&call->in[1], 0);

    for (int64_t i = 0; i < n; i++) {
        int64_t row = (int64_t)call->in[0].v[i] - reference_int(call, "first");
        bool here = row >= 0 && row < rows;

        for (int64_t j = 0; j < c; j++)
            call->out[0].v[i * c + j] = here ? call->in[1].v[row * c + j] : 0;
    }
}

/* dtable[v] = sum over the rows n with token v of dy[n]. */
void reference_embedding_dw(const struct reference_call *call)
{
    int64_t n = reference_dim(&call->in[1], 0), c = reference_dim(&call->in[1], 1);

    clear(&call->out[0]);
    for (int64_t i = 0; i < n; i++) {
        int64_t token = (int64_t)call->in[0].v[i] - reference_int(call, "first");

        for (int64_t j = 0; j < c && token >= 0 && token < reference_dim(&call->out[0], 0); j++)
            accumulate(&call->out[0], token * c + j, call->in[1].v[i * c + j]);
    }
}

void reference_linear(const struct reference_call *call)
{
    const double *x = call->in[0].v, *w = call->in[1].v;
    int64_t n = reference_dim(&call->in[0], 0), k = reference_dim(&call->in[0], 1);
    int64_t o = reference_dim(&call->in[1], 0);

    clear(&call->out[0]);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < o; j++) {
            for (int64_t l = 0; l < k; l++)
                accumulate(&call->out[0], i * o + j, x[i * k + l] * w[j * k + l]);
            if (call->in[2].type.shape.rank > 0)
                accumulate(&call->out[0], i * o + j, call->in[2].v[j]);
        }
    }
}

void reference_linear_dx(const struct reference_call *call)
{
    const double *dy = call->in[0].v, *w = call->in[1].v;
    int64_t n = reference_dim(&call->in[0], 0), o = reference_dim(&call->in[0], 1);
    int64_t k = reference_dim(&call->in[1], 1);

    clear(&call->out[0]);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < o; j++) {
            for (int64_t l = 0; l < k; l++)
                accumulate(&call->out[0], i * k + l, dy[i * o + j] * w[j * k + l]);
        }
    }
}

void reference_linear_dw(const struct reference_call *call)
{
    const double *x = call->in[0].v, *dy = call->in[1].v;
    int64_t n = reference_dim(&call->in[0], 0), k = reference_dim(&call->in[0], 1);
    int64_t o = reference_dim(&call->in[1], 1);

    clear(&call->out[0]);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < o; j++) {
            for (int64_t l = 0; l < k; l++)
                accumulate(&call->out[0], j * k + l, dy[i * o + j] * x[i * k + l]);
        }
    }
}

void reference_linear_db(const struct reference_call *call)
{
    int64_t n = reference_dim(&call->in[0], 0), o = reference_dim(&call->in[0], 1);

    clear(&call->out[0]);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < o; j++)
            accumulate(&call->out[0], j, call->in[0].v[i * o + j]);
    }
}

void reference_take_rows(const struct reference_call *call)
{
    int64_t m = reference_dim(&call->in[1], 0), c = reference_dim(&call->in[0], 1);

    for (int64_t i = 0; i < m; i++) {
        int64_t row = (int64_t)call->in[1].v[i];

        for (int64_t j = 0; j < c; j++)
            call->out[0].v[i * c + j] = call->in[0].v[row * c + j];
    }
}
