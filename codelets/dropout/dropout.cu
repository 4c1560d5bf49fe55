/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dropout on a CUDA card: read once, written once, the mask drawn in registers (mask.cuh). See
 * dropout.c for the record.
 *
 * The mask takes about 17 instructions an element and the rest 6, of the 27 that bf16 leaves at the
 * bandwidth of an H200 (54 for f32): near both limits in bf16, by design under that of arithmetic.
 */
#include "codelets/common/mask.cuh"

enum { THREADS = 256, EACH = 2 };
enum { SEED, STREAM }; /* indices of the integer attributes */

static __device__ __forceinline__ float masked(float x, float factor)
{
    return factor == 0.0f ? 0.0f : x * factor; /* whatever it was */
}

/* y may be x. `first` is the number of the first element in the uncut value. */
template <typename T>
static __global__ void dropout(T *y, const T *x, struct plb__mask mask, uint64_t first, int64_t n,
                               bool vectors)
{
    const int N = plb_vector<T>::N, TILE = THREADS * N * EACH;
    int64_t low = (int64_t)blockIdx.x * TILE, high = low + TILE < n ? low + TILE : n;
    float v[EACH][N], factor[4];

    if (!vectors || high - low < TILE) {
        for (int64_t i = low + threadIdx.x; i < high; i += THREADS)
            y[i] = plb_to<T>(masked(plb_float(x[i]), plb_mask_factor_of(mask, first + i)));
        return;
    }
    low += (int)threadIdx.x * N;
#pragma unroll
    for (int j = 0; j < EACH; j++)
        plb_load_vector(v[j], x + low + j * THREADS * N);
#pragma unroll
    for (int j = 0; j < EACH; j++) {
#pragma unroll
        for (int i = 0; i < N; i++) {
            if (i % 4 == 0)
                plb_mask_factors(mask, (first + low + j * THREADS * N + i) / 4, factor);
            v[j][i] = masked(v[j][i], factor[i % 4]);
        }
        plb_store_vector(y + low + j * THREADS * N, v[j]);
    }
}

static enum plb_status dropout_run(const struct plb_call *call, const struct plb_cuda_queue *queue)
{
    const struct plb_attributes *a = call->attributes;
    const struct plb_tensor *x = call->in[0].part, *y = call->out[0].part;
    int64_t n = plb_shape_elements(&y->shape);
    uint64_t first = (uint64_t)(call->low[0] * plb_shape_row_elements(&y->shape));
    struct plb__mask mask =
        plb__mask_of((uint64_t)a->i[SEED], (uint64_t)a->i[STREAM], call->step, a->f[0]);

    /* A vector draws whole counters where the first element is the first of one. */
    PLB_BY_DTYPE(y->dtype, T, {
        return plb_launch(queue, "dropout", dropout<T>,
                          plb_blocks_for(n, THREADS * plb_vector<T>::N * EACH), THREADS, 0,
                          (T *)y->data, (const T *)x->data, mask, first, n,
                          plb_aligned(x->data, y->data) && first % 4 == 0);
    });
    return PLB_OK;
}

const struct plb_cuda_operator plb_cuda_dropout = {"dropout", nullptr, dropout_run};
