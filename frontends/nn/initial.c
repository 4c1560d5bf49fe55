/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Initial values of parameters. Counter-based: element e of a tensor depends on (seed, name, e)
 * alone, so the order in which a model makes its parameters does not matter, nor how a tensor is
 * split.
 *
 * Not plb_random_normal(): one draw of Philox gives four deviates here, by Box and Muller's method
 * in single precision, since a model has hundreds of millions of them.
 */
#include "config.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "frontends/nn/model.h"
#include "runtime/base/hash.h"
#include "runtime/base/random.h"

/* Threads that draw values of a parameter, and what is worth one. */
enum { THREADS_MAX = 64, THREAD_ELEMENTS = 1 << 18 };

#define TWO_PI 6.28318530717958647692f

/* Two deviates of two words. 1 - u is in (0, 1], so the logarithm is finite. */
static void deviates(uint32_t a, uint32_t b, float out[2])
{
    float radius = sqrtf(-2.0f * logf(1.0f - plb_random_unit(a)));
    float angle = TWO_PI * plb_random_unit(b);

    out[0] = radius * cosf(angle);
    out[1] = radius * sinf(angle);
}

static void fill_normal(uint64_t seed, uint64_t stream, uint64_t first, uint64_t count,
                        float deviation, float *data)
{
    uint64_t done = 0;

    while (done < count) {
        uint64_t element = first + done;
        unsigned skip = (unsigned)(element % 4);
        uint32_t words[4];
        float four[4];

        plb_random_words(seed, stream, element / 4, words);
        deviates(words[0], words[1], four);
        deviates(words[2], words[3], four + 2);
        for (; skip < 4 && done < count; skip++)
            data[done++] = deviation * four[skip];
    }
}

/* Rows row0 to row0 + rows of a slice of the parameter, in as few draws as may be. */
static void fill_slice(const struct plb_parameter *parameter, uint64_t seed, int64_t row0,
                       int64_t rows, int64_t tensor_row0, float *data)
{
    uint64_t stream = plb_hash_bytes(parameter->tensor, strlen(parameter->tensor));
    int64_t columns = plb_shape_row_elements(&parameter->tensor_shape);
    int64_t cols = parameter->share.cols, each = cols == columns ? rows : 1;

    for (int64_t r = 0; r < rows; r += each)
        fill_normal(seed, stream, (uint64_t)((tensor_row0 + r) * columns + parameter->share.col0),
                    (uint64_t)(each * cols), (float)parameter->deviation, data + (row0 + r) * cols);
}

static void fill_rows(const struct plb_parameter *parameter, uint64_t seed, int64_t row0,
                      int64_t rows, float *data)
{
    for (int i = 0; i < parameter->share.n; i++) {
        const struct plb_slice *slice = &parameter->share.slice[i];
        int64_t end = slice->row0 + slice->rows, low = row0 > slice->row0 ? row0 : slice->row0;
        int64_t high = row0 + rows < end ? row0 + rows : end;

        if (low < high)
            fill_slice(parameter, seed, low - row0, high - low,
                       slice->tensor_row0 + low - slice->row0, data);
    }
}

void plb_parameter_initialize(const struct plb_parameter *parameter, uint64_t seed, int64_t row0,
                              int64_t rows, float *data)
{
    uint64_t count = (uint64_t)(rows * plb_shape_row_elements(&parameter->shape));

    switch (parameter->initial) {
    case PLB_INITIAL_ZEROS:
        memset(data, 0, count * sizeof *data);
        break;
    case PLB_INITIAL_ONES:
        for (uint64_t i = 0; i < count; i++)
            data[i] = 1.0f;
        break;
    case PLB_INITIAL_NORMAL:
        fill_rows(parameter, seed, row0, rows, data);
        break;
    }
}

/* Some rows of a parameter. */
struct drawing {
    const struct plb_parameter *parameter;
    uint64_t seed;
    int64_t row0, rows;
    float *data;
    pthread_t thread;
    bool started;
};

static void *draw(void *argument)
{
    const struct drawing *d = argument;

    plb_parameter_initialize(d->parameter, d->seed, d->row0, d->rows, d->data);
    return NULL;
}

static int drawing_threads(size_t elements)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    if (n > THREADS_MAX)
        n = THREADS_MAX;
    if (n > (long)(elements / THREAD_ELEMENTS))
        n = (long)(elements / THREAD_ELEMENTS);
    return n < 1 ? 1 : (int)n;
}

/* A thread that cannot be had is done without. */
void plb_parameter_initialize_all(const struct plb_parameter *parameter, uint64_t seed, float *data)
{
    size_t elements = (size_t)plb_shape_elements(&parameter->shape);
    int64_t rows = parameter->shape.dim[0], row = plb_shape_row_elements(&parameter->shape);
    struct drawing part[THREADS_MAX];
    int n = drawing_threads(elements);

    for (int k = 0; k < n; k++) {
        int64_t row0 = rows * k / n;

        part[k] = (struct drawing){.parameter = parameter,
                                   .seed = seed,
                                   .row0 = row0,
                                   .rows = rows * (k + 1) / n - row0,
                                   .data = data + row0 * row};
        part[k].started = k > 0 && pthread_create(&part[k].thread, NULL, draw, &part[k]) == 0;
    }
    for (int k = 0; k < n; k++)
        if (!part[k].started)
            draw(&part[k]);
    for (int k = 0; k < n; k++)
        if (part[k].started)
            pthread_join(part[k].thread, NULL);
}
