/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Poolings, enlarging, and their gradients on a CUDA card: one thread for each element of the
 * result, so each is written once and read as often as windows overlap, mostly from the cache.
 *
 * A gradient is gathered, not scattered: the thread of an element goes over the windows that hold
 * it, in order, so sums have one order and no atomics. See max_pool2d.c, avg_pool2d.c and
 * upsample2d.c for the records.
 */
#include "codelets/common/kernel.cuh"
#include "codelets/pool/pool.h"

enum { THREADS = 256 };
enum { Y, INDEX };
enum { DY, WHERE };
enum { FACTOR };

/* Number of this thread's element. */
static __device__ __forceinline__ int64_t element()
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

/* Starts one thread for each of n elements. */
#define LAUNCH(name, kernel, n, ...)                                                               \
    plb_launch(queue, name, kernel, plb_blocks_for(n, THREADS), THREADS, 0, __VA_ARGS__, n)

/* ---- forward ---- */

/* The first element of the window that makes output element `at`, in its channel, and where the
 * channel begins. */
static __device__ __forceinline__ int64_t window_of(const plb__pool &pool, int64_t at,
                                                    int64_t *channel_out)
{
    int64_t positions = pool.out_h * pool.out_w, p = at % positions;

    *channel_out = at / positions * pool.height * pool.width;
    return (p / pool.out_w * pool.width + p % pool.out_w) * pool.stride;
}

template <typename T>
static __global__ void max_forward(T *y, int32_t *index, const T *x, struct plb__pool pool,
                                   int64_t n)
{
    int64_t at = element(), channel, corner, best;
    float top;

    if (at >= n)
        return;
    corner = best = window_of(pool, at, &channel);
    top = plb_float(x[channel + best]);
    for (int64_t r = 0; r < pool.window; r++) {
        for (int64_t s = 0; s < pool.window; s++) {
            int64_t place = corner + r * pool.width + s;
            float value = plb_float(x[channel + place]);

            if (value > top || (value != value && top == top)) {
                best = place;
                top = value;
            }
        }
    }
    y[at] = x[channel + best];
    index[at] = (int32_t)best;
}

template <typename T>
static __global__ void avg_forward(T *y, const T *x, struct plb__pool pool, int64_t n)
{
    int64_t at = element(), channel, corner;
    float sum = 0.0f;

    if (at >= n)
        return;
    corner = window_of(pool, at, &channel);
    for (int64_t r = 0; r < pool.window; r++) {
        for (int64_t s = 0; s < pool.window; s++)
            sum += plb_float(x[channel + corner + r * pool.width + s]);
    }
    y[at] = plb_to<T>(sum * (1.0f / (float)(pool.window * pool.window)));
}

static enum plb_status max_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *x = call->in[0].part, *y = call->out[Y].part;
    struct plb__pool pool = plb__pool_of(&x->shape, call->attributes);
    int64_t n = plb_shape_elements(&y->shape);

    PLB_BY_DTYPE(y->dtype, T, {
        return LAUNCH("max_pool2d", max_forward<T>, n, (T *)y->data,
                      (int32_t *)call->out[INDEX].part->data, (const T *)x->data, pool);
    });
    return PLB_OK;
}

static enum plb_status avg_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *x = call->in[0].part, *y = call->out[0].part;
    struct plb__pool pool = plb__pool_of(&x->shape, call->attributes);
    int64_t n = plb_shape_elements(&y->shape);

    PLB_BY_DTYPE(y->dtype, T, {
        return LAUNCH("avg_pool2d", avg_forward<T>, n, (T *)y->data, (const T *)x->data, pool);
    });
    return PLB_OK;
}

/* ---- gradients ---- */

/* Windows low..high-1 along one side are those that hold `place`. */
static __device__ __forceinline__ void windows_with(int64_t place, int64_t window, int64_t stride,
                                                    int64_t count, int64_t *low_out,
                                                    int64_t *high_out)
{
    *low_out = place < window ? 0 : (place - window) / stride + 1;
    *high_out = place / stride < count ? place / stride + 1 : count;
}

/* Is the largest element of position p the one at `place`? What is no place in a channel of the
 * image is told of by the thread whose place is the window's first, which each window has. */
static __device__ __forceinline__ bool chosen(const int32_t *index, int64_t at, int64_t place,
                                              bool corner, const plb__pool &pool, int64_t row,
                                              unsigned long long *fault, uint32_t tag)
{
    int32_t i = index[at];

    if (corner && (i < 0 || i >= pool.height * pool.width))
        plb_complain(fault, tag, row);
    return i == place;
}

template <typename T>
static __global__ void max_backward(T *dx, const T *dy, const int32_t *index, struct plb__pool pool,
                                    int64_t channels, int64_t first_row, unsigned long long *fault,
                                    uint32_t tag, int64_t n)
{
    int64_t at = element(), places = pool.height * pool.width, place = at % places;
    int64_t h = place / pool.width, w = place % pool.width, h_low, h_high, w_low, w_high;
    int64_t channel = at / places;
    float sum = 0.0f;

    if (at >= n)
        return;
    windows_with(h, pool.window, pool.stride, pool.out_h, &h_low, &h_high);
    windows_with(w, pool.window, pool.stride, pool.out_w, &w_low, &w_high);
    for (int64_t oh = h_low; oh < h_high; oh++) {
        for (int64_t ow = w_low; ow < w_high; ow++) {
            int64_t from = (channel * pool.out_h + oh) * pool.out_w + ow;
            bool corner = oh * pool.stride == h && ow * pool.stride == w;

            if (chosen(index, from, place, corner, pool, first_row + channel / channels, fault,
                       tag))
                sum += plb_float(dy[from]);
        }
    }
    dx[at] = plb_to<T>(sum);
}

template <typename T>
static __global__ void avg_backward(T *dx, const T *dy, struct plb__pool pool, int64_t n)
{
    int64_t at = element(), places = pool.height * pool.width, place = at % places;
    int64_t h_low, h_high, w_low, w_high, channel = at / places;
    float scale = 1.0f / (float)(pool.window * pool.window), sum = 0.0f;

    if (at >= n)
        return;
    windows_with(place / pool.width, pool.window, pool.stride, pool.out_h, &h_low, &h_high);
    windows_with(place % pool.width, pool.window, pool.stride, pool.out_w, &w_low, &w_high);
    for (int64_t oh = h_low; oh < h_high; oh++) {
        for (int64_t ow = w_low; ow < w_high; ow++)
            sum += plb_float(dy[(channel * pool.out_h + oh) * pool.out_w + ow]) * scale;
    }
    dx[at] = plb_to<T>(sum);
}

static enum plb_status max_dx_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *dy = call->in[DY].part, *dx = call->out[0].part;
    struct plb__pool pool = plb__pool_of(&dx->shape, call->attributes);
    int64_t n = plb_shape_elements(&dx->shape), channels = dx->shape.dim[1];

    PLB_BY_DTYPE(dx->dtype, T, {
        return LAUNCH("max_pool2d_dx", max_backward<T>, n, (T *)dx->data, (const T *)dy->data,
                      (const int32_t *)call->in[WHERE].part->data, pool, channels, dx->row0,
                      queue->fault, queue->tag);
    });
    return PLB_OK;
}

static enum plb_status avg_dx_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *dy = call->in[DY].part, *dx = call->out[0].part;
    struct plb__pool pool = plb__pool_of(&dx->shape, call->attributes);
    int64_t n = plb_shape_elements(&dx->shape);

    PLB_BY_DTYPE(dx->dtype, T, {
        return LAUNCH("avg_pool2d_dx", avg_backward<T>, n, (T *)dx->data, (const T *)dy->data,
                      pool);
    });
    return PLB_OK;
}

/* ---- enlarging ---- */

/* y[., fH, width] of x[., H, width / f], channels and images being rows as well. */
template <typename T>
static __global__ void enlarge(T *y, const T *x, int64_t width, int64_t factor, int64_t n)
{
    int64_t at = element();

    if (at < n)
        y[at] = x[at / width / factor * (width / factor) + at % width / factor];
}

/* dx[., width] is the sum of the squares of dy[., f * width]. */
template <typename T>
static __global__ void shrink(T *dx, const T *dy, int64_t width, int64_t factor, int64_t n)
{
    int64_t at = element(), row = at / width * factor;
    float sum = 0.0f;

    if (at >= n)
        return;
    for (int64_t r = 0; r < factor; r++) {
        for (int64_t s = 0; s < factor; s++)
            sum += plb_float(dy[((row + r) * width + at % width) * factor + s]);
    }
    dx[at] = plb_to<T>(sum);
}

static enum plb_status upsample_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *x = call->in[0].part, *y = call->out[0].part;
    int64_t n = plb_shape_elements(&y->shape);

    PLB_BY_DTYPE(y->dtype, T, {
        return LAUNCH("upsample2d", enlarge<T>, n, (T *)y->data, (const T *)x->data,
                      y->shape.dim[3], call->attributes->i[FACTOR]);
    });
    return PLB_OK;
}

static enum plb_status upsample_dx_run(const struct plb_call *call,
                                       const struct plb_cuda_queue *queue)
{
    const struct plb_tensor *dy = call->in[DY].part, *dx = call->out[0].part;
    int64_t n = plb_shape_elements(&dx->shape);

    PLB_BY_DTYPE(dx->dtype, T, {
        return LAUNCH("upsample2d_dx", shrink<T>, n, (T *)dx->data, (const T *)dy->data,
                      dx->shape.dim[3], call->attributes->i[FACTOR]);
    });
    return PLB_OK;
}

const struct plb_cuda_operator plb_cuda_max_pool2d = {"max_pool2d", nullptr, max_run};
const struct plb_cuda_operator plb_cuda_max_pool2d_dx = {"max_pool2d_dx", nullptr, max_dx_run};
const struct plb_cuda_operator plb_cuda_avg_pool2d = {"avg_pool2d", nullptr, avg_run};
const struct plb_cuda_operator plb_cuda_avg_pool2d_dx = {"avg_pool2d_dx", nullptr, avg_dx_run};
const struct plb_cuda_operator plb_cuda_upsample2d = {"upsample2d", nullptr, upsample_run};
const struct plb_cuda_operator plb_cuda_upsample2d_dx = {"upsample2d_dx", nullptr, upsample_dx_run};
