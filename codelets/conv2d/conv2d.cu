/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * conv2d and its gradients dx and dw on a CUDA card: windows become the columns of a matrix
 * (image.h), cublasLt multiplies (cublas.cuh). See conv2d.c, conv2d_dx.c, conv2d_dw.c for the
 * records.
 *
 *   y[O,P]     = w[O,taps] col(x)[taps,P]     for each image, P positions of the output
 *   dx[C,H*W]  = w'[C,O*R*S] col'(dy)[O*R*S,H*W]   a convolution backwards: see source()
 *   dw[O,taps] = dy[O,P] col(x)[taps,P]^T     summed over images
 *
 * The matrix of columns is made in scratch for as many images as LIMIT allows, or for a part of one
 * image; that split follows from shapes alone. It costs about R*S writes and reads for each element
 * of x, in a cache mostly, beside 2*O operations on each: for O below about 200 a direct kernel
 * could do better by up to a factor of two. dx with a stride multiplies stride^2 times as much as
 * it must, by zeros.
 *
 * A bias is one more column of w, against a row of ones; columns up to a multiple of ALIGN are
 * zero, so that vectors of 16 bytes can be used whatever the number of taps.
 */
#include "codelets/common/cublas.cuh"
#include "codelets/common/kernel.cuh"
#include "codelets/common/operators.h"
#include "codelets/conv2d/conv2d.h"

enum { THREADS = 256, ALIGN = 8, GROUP = 32 };
#define LIMIT ((int64_t)32 << 20) /* bytes of a matrix of columns, unless ALIGN columns need more  \
                                   */

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* ---- columns ---- */

/* How a matrix of columns sees an image [channels, from_h, from_w]: tap (c, r, s) of the window at
 * place (h, w) of [to_h, to_w]. */
struct view {
    int64_t from_h, from_w, to_h, to_w;
    int64_t window_h, window_w, stride, padding;
    int64_t taps;  /* channels * window_h * window_w; a row of ones follows, then zeros */
    int64_t image; /* elements from one image to the next */
};

static int64_t positions_of(const struct view *v)
{
    return v->to_h * v->to_w;
}

/* Where on a side of the source the tap is that a window at `place` has at `tap`; below zero or
 * from the side on: outside. Backwards: the output whose window has this place at this tap; -1
 * where the stride leaves none. */
template <bool BACK>
static __device__ __forceinline__ int64_t source(int64_t place, int64_t tap, int64_t stride,
                                                 int64_t padding)
{
    int64_t at = place + padding - tap;

    if (!BACK)
        return place * stride - padding + tap;
    if (stride == 1 || at < 0)
        return at;
    return at % stride == 0 ? at / stride : -1;
}

/* col[t, j] for `rows` rows and `width` columns: column j is position first + j % block of image
 * j / block. A thread makes GROUP rows of one column. */
template <typename T, bool BACK>
static __global__ void gather(T *col, const T *x, struct view v, int64_t first, int64_t block,
                              int64_t rows, int64_t width)
{
    int64_t j = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, p = first + j % block;
    int64_t t = (int64_t)blockIdx.y * GROUP, end = t + GROUP < rows ? t + GROUP : rows;
    int64_t s = t % v.window_w, r = t / v.window_w % v.window_h, c = t / v.window_w / v.window_h;
    bool real = p < v.to_h * v.to_w;

    if (j >= width)
        return;
    x += j / block * v.image;
    for (; t < end; t++) {
        int64_t h = source<BACK>(p / v.to_w, r, v.stride, v.padding);
        int64_t w = source<BACK>(p % v.to_w, s, v.stride, v.padding);
        T value = plb_to<T>(real && t == v.taps ? 1.0f : 0.0f);

        if (real && t < v.taps && h >= 0 && h < v.from_h && w >= 0 && w < v.from_w)
            value = x[(c * v.from_h + h) * v.from_w + w];
        col[t * width + j] = value;
        s = s + 1 < v.window_w ? s + 1 : 0;
        r = s > 0 ? r : r + 1 < v.window_h ? r + 1 : 0;
        c = s > 0 || r > 0 ? c : c + 1;
    }
}

/* The weights beside such columns: a[m, t], the bias in the column after the taps. Backwards, m is
 * a channel of x, and t goes over outputs. */
template <typename T, bool BACK>
static __global__ void weights(T *a, const T *w, const T *bias, int64_t channels, int64_t window,
                               int64_t taps, int64_t rows, int64_t n)
{
    int64_t at = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, m = at / rows, t = at % rows;
    T value = plb_to<T>(0.0f);

    if (at >= n)
        return;
    if (t < taps)
        value = BACK ? w[(t / window * channels + m) * window + t % window] : w[m * taps + t];
    else if (t == taps && bias != nullptr)
        value = bias[m];
    a[at] = value;
}

/* ---- chunks ---- */

/* So many images, or so many positions of one, at a time. */
struct chunk {
    int64_t images, block;
    int64_t bytes; /* of `rows` rows of them */
};

static struct chunk chunk_of(const struct view *v, int64_t rows, int64_t images,
                             enum plb_dtype dtype)
{
    int64_t size = (int64_t)plb_dtype_bytes(dtype), most = LIMIT / (rows * size);
    struct chunk chunk = {1, round_up(positions_of(v), ALIGN), 0};

    if (chunk.block > most)
        chunk.block = most < ALIGN ? (int64_t)ALIGN : most / ALIGN * ALIGN;
    else if (images > 1)
        chunk.images = most / chunk.block < images ? most / chunk.block : images;
    chunk.bytes = round_up(rows * chunk.images * chunk.block * size, 256);
    return chunk;
}

/* Enqueues the columns of `images` images from x on, from position `first` on. */
template <bool BACK>
static enum plb_status gather_run(const struct plb_cuda_queue *queue, enum plb_dtype dtype,
                                  void *col, const void *x, const struct view *v, int64_t first,
                                  int64_t block, int64_t rows, int64_t images)
{
    int64_t width = images * block;
    dim3 blocks(plb_blocks_for(width, THREADS), plb_blocks_for(rows, GROUP));

    PLB_BY_DTYPE(dtype, T, {
        return plb_launch(queue, "columns of images", gather<T, BACK>, blocks, THREADS, 0, (T *)col,
                          (const T *)x, *v, first, block, rows, width);
    });
    return PLB_OK;
}

static const void *offset(const void *data, int64_t elements, enum plb_dtype dtype)
{
    return (const char *)data + elements * (int64_t)plb_dtype_bytes(dtype);
}

/* ---- forward and dx: weights times columns, for each image ---- */

/* What makes out[images, m, positions] of x through a view. */
struct through {
    struct view view;
    int64_t m, rows;
    int64_t weights_bytes;
    struct chunk chunk;
};

static struct through through_of(struct view view, int64_t m, int64_t images, enum plb_dtype dtype)
{
    struct through t = {view, m, round_up(view.taps + 1, ALIGN), 0, {}};

    t.weights_bytes = round_up(m * t.rows * (int64_t)plb_dtype_bytes(dtype), 256);
    t.chunk = chunk_of(&t.view, t.rows, images, dtype);
    return t;
}

/* One product for `images` images from `image` on. */
template <bool BACK>
static enum plb_status through_part(const struct plb_call *call, const struct plb_cuda_queue *queue,
                                    const struct through *t, int64_t image, int64_t images,
                                    int64_t first)
{
    const struct plb_tensor *x = call->in[0].part, *y = call->out[0].part;
    int64_t positions = positions_of(&t->view), block = t->chunk.block;
    int64_t left = positions - first;
    const struct plb_cuda_batch batch = {images, 0, block, t->m * positions};
    void *col = (char *)call->scratch + t->weights_bytes;
    struct plb_product product = {};

    PLB_TRY(gather_run<BACK>(queue, x->dtype, col, offset(x->data, image * t->view.image, x->dtype),
                             &t->view, first, block, t->rows, images));
    product.m = t->m;
    product.n = left < block ? left : block;
    product.k = t->rows;
    product.a = {call->scratch, x->dtype, t->rows, false};
    product.b = {col, x->dtype, images * block, false};
    product.c = (void *)offset(y->data, image * t->m * positions + first, y->dtype);
    product.c_dtype = y->dtype;
    product.c_stride = positions;
    return plb_cuda_product(&product, &batch, queue);
}

template <bool BACK>
static enum plb_status through_run(const struct plb_call *call, const struct plb_cuda_queue *queue,
                                   const struct through *t, const void *bias)
{
    const struct plb_tensor *w = call->in[1].part;
    int64_t all = call->out[0].part->shape.dim[0], n = t->m * t->rows;
    int64_t window = t->view.window_h * t->view.window_w;

    PLB_BY_DTYPE(w->dtype, T, {
        PLB_TRY(plb_launch(queue, "weights of conv2d", weights<T, BACK>, plb_blocks_for(n, THREADS),
                           THREADS, 0, (T *)call->scratch, (const T *)w->data, (const T *)bias,
                           w->shape.dim[1], window, t->view.taps, t->rows, n));
    });
    for (int64_t image = 0; image < all; image += t->chunk.images) {
        int64_t left = all - image, images = left < t->chunk.images ? left : t->chunk.images;

        for (int64_t p = 0; p < positions_of(&t->view); p += t->chunk.block)
            PLB_TRY(through_part<BACK>(call, queue, t, image, images, p));
    }
    return PLB_OK;
}

/* ---- conv2d ---- */

static struct view forward_view(const struct plb__windows *w)
{
    struct view view = {w->height,
                        w->width,
                        w->out_h,
                        w->out_w,
                        w->window_h,
                        w->window_w,
                        w->stride,
                        w->padding,
                        plb__windows_taps(w),
                        w->channels * w->height * w->width};

    return view;
}

enum { STRIDE, PADDING, THIRD, FOURTH };

static struct through conv2d_through(const struct plb_attributes *attributes,
                                     const struct plb_type *x, const struct plb_type *w)
{
    struct plb__windows windows =
        plb__conv2d_windows(&x->shape, &w->shape, attributes->i[STRIDE], attributes->i[PADDING]);

    plb__windows_fit(&plb_op_conv2d, &windows); /* the shape rule has accepted them */
    return through_of(forward_view(&windows), w->shape.dim[0], x->shape.dim[0], x->dtype);
}

static size_t conv2d_scratch(const struct plb_task_types *types)
{
    struct through t = conv2d_through(types->attributes, &types->in[0], &types->in[1]);

    return (size_t)(t.weights_bytes + t.chunk.bytes);
}

static struct plb_type type_of(const struct plb_tensor *tensor)
{
    struct plb_type type = {tensor->dtype, tensor->shape};

    return type;
}

static enum plb_status conv2d_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_type x = type_of(call->in[0].part), w = type_of(call->in[1].part);
    struct through t = conv2d_through(call->attributes, &x, &w);
    const void *bias = call->in[2].n_parts > 0 ? call->in[2].part->data : nullptr;

    return through_run<false>(call, queue, &t, bias);
}

/* ---- conv2d_dx ---- */

static struct through dx_through(const struct plb_attributes *attributes, const struct plb_type *dy,
                                 const struct plb_type *w)
{
    const int64_t *i = attributes->i, *of = w->shape.dim;
    int64_t positions = dy->shape.dim[2] * dy->shape.dim[3];
    struct view view = {dy->shape.dim[2],
                        dy->shape.dim[3],
                        i[THIRD],
                        i[FOURTH],
                        of[2],
                        of[3],
                        i[STRIDE],
                        i[PADDING],
                        of[0] * of[2] * of[3],
                        of[0] * positions};

    return through_of(view, of[1], dy->shape.dim[0], dy->dtype);
}

static size_t dx_scratch(const struct plb_task_types *types)
{
    struct through t = dx_through(types->attributes, &types->in[0], &types->in[1]);

    return (size_t)(t.weights_bytes + t.chunk.bytes);
}

static enum plb_status dx_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_type dy = type_of(call->in[0].part), w = type_of(call->in[1].part);
    struct through t = dx_through(call->attributes, &dy, &w);

    return through_run<true>(call, queue, &t, nullptr);
}

/* ---- conv2d_dw ---- */

/* Columns of x, and dy beside them as what 1 x 1 windows see, in chunks of images (axis A); the
 * task makes m of the O output channels. */
struct dw {
    struct view x, dy;
    int64_t m;
    struct chunk chunk;
};

static struct dw dw_of(const struct plb_attributes *attributes, const struct plb_type *x,
                       const struct plb_shape *dy, int64_t m, int64_t images)
{
    const int64_t *i = attributes->i;
    struct plb_shape w = plb_shape4(1, x->shape.dim[1], i[THIRD], i[FOURTH]);
    struct plb__windows windows = plb__conv2d_windows(&x->shape, &w, i[STRIDE], i[PADDING]);
    int64_t h = dy->dim[2], width = dy->dim[3];
    struct dw dw;

    windows.out_h = h;
    windows.out_w = width;
    dw.x = forward_view(&windows);
    dw.dy = {h, width, h, width, 1, 1, 1, 0, m, dy->dim[1] * h * width};
    dw.m = m;
    dw.chunk = chunk_of(&dw.x, dw.x.taps + m, images, x->dtype);
    return dw;
}

static size_t dw_scratch(const struct plb_task_types *types)
{
    const struct plb_type *x = &types->in[0];

    return (size_t)dw_of(types->attributes, x, &types->in[1].shape, types->out[0].shape.dim[0],
                         x->shape.dim[0])
        .chunk.bytes;
}

/* Adds what `images` images from `image` on give, from position `first` on. */
static enum plb_status dw_part(const struct plb_call *call, const struct plb_cuda_queue *queue,
                               const struct dw *dw, int64_t image, int64_t images, int64_t first)
{
    const struct plb_tensor *x = call->in[0].part, *dy = call->in[1].part, *out = call->out[0].part;
    int64_t block = dw->chunk.block, width = images * block;
    void *x_col = call->scratch, *dy_col = (void *)offset(x_col, dw->x.taps * width, x->dtype);
    const void *x_from = offset(x->data, (image - x->row0) * dw->x.image, x->dtype);
    const void *dy_from =
        offset(dy->data, (image - dy->row0) * dw->dy.image + call->low[1] * positions_of(&dw->dy),
               dy->dtype);
    struct plb_product product = {};

    PLB_TRY(gather_run<false>(queue, x->dtype, x_col, x_from, &dw->x, first, block, dw->x.taps,
                              images));
    PLB_TRY(
        gather_run<false>(queue, dy->dtype, dy_col, dy_from, &dw->dy, first, block, dw->m, images));
    product.m = dw->m;
    product.n = dw->x.taps;
    product.k = width;
    product.a = {dy_col, dy->dtype, width, false};
    product.b = {x_col, x->dtype, width, true};
    product.c = out->data;
    product.c_dtype = PLB_F32;
    product.c_stride = dw->x.taps;
    product.accumulate = image > call->low[0] || first > 0;
    return plb_cuda_product(&product, nullptr, queue);
}

static enum plb_status dw_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_type x = type_of(call->in[0].part);
    const struct plb_shape *dy = &call->in[1].part->shape;
    int64_t low = call->low[0], high = call->high[0];
    struct dw dw = dw_of(call->attributes, &x, dy, call->high[1] - call->low[1], high - low);

    for (int64_t image = low; image < high; image += dw.chunk.images) {
        int64_t left = high - image, images = left < dw.chunk.images ? left : dw.chunk.images;

        for (int64_t p = 0; p < positions_of(&dw.x); p += dw.chunk.block)
            PLB_TRY(dw_part(call, queue, &dw, image, images, p));
    }
    return PLB_OK;
}

const struct plb_cuda_operator plb_cuda_conv2d = {"conv2d", conv2d_scratch, conv2d_run};
const struct plb_cuda_operator plb_cuda_conv2d_dx = {"conv2d_dx", dx_scratch, dx_run};
const struct plb_cuda_operator plb_cuda_conv2d_dw = {"conv2d_dw", dw_scratch, dw_run};
