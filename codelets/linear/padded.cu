/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Products through padded copies of A or C.
 *
 * With A[m,k] as it is, rows of A and C go through the copies; with a transposed A, which lies as
 * [k,m], parts of the sum do, and C (in fp32) is added to. How many at a time is fixed, so bits
 * follow from the sizes.
 */
#include "codelets/linear/padded.cuh"
#include "codelets/common/kernel.cuh"

enum { THREADS = 256, EACH = 4 }; /* EACH: elements that a thread copies */
enum { BYTES = 16 };              /* what rows should be a multiple of */

/* Rows that go through the copies at a time. */
static const int64_t ROWS = 4096;

/* From what sizes on a product and a matrix of it are worth copies. */
static const int64_t SIDE_MIN = 32, ELEMENTS_MIN = 1 << 16;

/* What is padded: strides of the copies in elements, 0 for none, and where C's copy begins. */
struct padding {
    int64_t a, c;
    size_t a_bytes, bytes;
};

/* Elements from row to row of a copy of a matrix; 0: it stays where it is. */
static int64_t padded(int64_t rows, int64_t width, enum plb_dtype dtype)
{
    int64_t each = BYTES / (int64_t)plb_dtype_bytes(dtype);

    if (width % each == 0 || rows * width < ELEMENTS_MIN)
        return 0;
    return (width + each - 1) / each * each;
}

static size_t copy_bytes(int64_t rows, int64_t stride, enum plb_dtype dtype)
{
    size_t bytes = (size_t)((rows < ROWS ? rows : ROWS) * stride) * plb_dtype_bytes(dtype);

    return (bytes + 255) / 256 * 256;
}

static struct padding padding_of(const struct plb_product *p)
{
    int64_t rows = p->a.transposed ? p->k : p->m, width = p->a.transposed ? p->m : p->k;
    struct padding padding = {0, 0, 0, 0};

    if (p->m < SIDE_MIN || p->n < SIDE_MIN || p->k < SIDE_MIN)
        return padding;
    padding.a = padded(rows, width, p->a.dtype);
    if (!p->a.transposed)
        padding.c = padded(p->m, p->n, p->c_dtype);
    padding.a_bytes = copy_bytes(rows, padding.a, p->a.dtype);
    padding.bytes = padding.a_bytes + copy_bytes(p->m, padding.c, p->c_dtype);
    return padding;
}

size_t plb_cuda_padded_scratch(const struct plb_product *product)
{
    return padding_of(product).bytes;
}

template <typename T>
static __global__ void copy_rows(T *to, int64_t to_stride, const T *from, int64_t from_stride,
                                 int64_t width)
{
    int64_t row = blockIdx.y, j = (int64_t)blockIdx.x * THREADS * EACH + threadIdx.x;

#pragma unroll
    for (int i = 0; i < EACH; i++, j += THREADS) {
        if (j < width)
            to[row * to_stride + j] = from[row * from_stride + j];
    }
}

static enum plb_status copy(const struct plb_cuda_queue *queue, enum plb_dtype dtype, void *to,
                            int64_t to_stride, const void *from, int64_t from_stride, int64_t rows,
                            int64_t width)
{
    dim3 blocks(plb_blocks_for(width, THREADS * EACH), (unsigned)rows);

    PLB_BY_DTYPE(dtype, T, {
        return plb_launch(queue, "padded rows", copy_rows<T>, blocks, THREADS, 0, (T *)to,
                          to_stride, (const T *)from, from_stride, width);
    });
    return PLB_OK;
}

static void *row_of(const void *data, int64_t row, int64_t stride, enum plb_dtype dtype)
{
    return (char *)data + row * stride * (int64_t)plb_dtype_bytes(dtype);
}

/* Rows first.. of C, from those of A. */
static enum plb_status rows_part(const struct plb_product *p, const struct padding *padding,
                                 int64_t first, int64_t rows, char *scratch,
                                 const struct plb_cuda_queue *queue)
{
    struct plb_product part = *p;
    void *c = row_of(p->c, first, p->c_stride, p->c_dtype);

    part.m = rows;
    part.a.data = row_of(p->a.data, first, p->a.stride, p->a.dtype);
    part.c = c;
    if (padding->a > 0) {
        PLB_TRY(copy(queue, p->a.dtype, scratch, padding->a, part.a.data, p->a.stride, rows, p->k));
        part.a.data = scratch;
        part.a.stride = padding->a;
    }
    if (padding->c > 0) {
        part.c = scratch + padding->a_bytes;
        part.c_stride = padding->c;
    }
    PLB_TRY(plb_cuda_product(&part, nullptr, queue));
    if (padding->c == 0)
        return PLB_OK;
    return copy(queue, p->c_dtype, c, p->c_stride, part.c, padding->c, rows, p->n);
}

/* Adds what rows first.. of A as it lies and of B give. */
static enum plb_status depth_part(const struct plb_product *p, const struct padding *padding,
                                  int64_t first, int64_t rows, char *scratch,
                                  const struct plb_cuda_queue *queue)
{
    struct plb_product part = *p;

    part.k = rows;
    part.a.data = scratch;
    part.a.stride = padding->a;
    part.b.data = row_of(p->b.data, first, p->b.stride, p->b.dtype);
    part.accumulate = p->accumulate || first > 0;
    PLB_TRY(copy(queue, p->a.dtype, scratch, padding->a,
                 row_of(p->a.data, first, p->a.stride, p->a.dtype), p->a.stride, rows, p->m));
    return plb_cuda_product(&part, nullptr, queue);
}

enum plb_status plb_cuda_padded_product(const struct plb_product *product, void *scratch,
                                        const struct plb_cuda_queue *queue)
{
    struct padding padding = padding_of(product);
    bool deep = product->a.transposed;
    int64_t all = deep ? product->k : product->m;

    if (padding.bytes == 0)
        return plb_cuda_product(product, nullptr, queue);
    for (int64_t first = 0; first < all; first += ROWS) {
        int64_t rows = all - first < ROWS ? all - first : ROWS;

        PLB_TRY((deep ? depth_part : rows_part)(product, &padding, first, rows, (char *)scratch,
                                                queue));
    }
    return PLB_OK;
}
