/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Products by cublasLt: row-major matrices as it wants them, and the algorithms it has named.
 *
 * cublasLt's matrices are column-major. A row-major matrix is the transposed one to it, and the
 * transposed of C = A B is C^T = B^T A^T. So its first operand is our b, its second our a, and the
 * rows of its result are our columns, along which it adds a bias.
 */
#include "codelets/common/cublas.cuh"
#include "codelets/common/kernel.cuh"
#include "runtime/base/hash.h"

#include <cublasLt.h>
#include <pthread.h>
#include <string.h>

/* ---- what an algorithm is chosen for ---- */

/* All that the heuristic sees. No padding: it is hashed and compared as bytes. */
struct key {
    int64_t m, n, k;
    int64_t stride_a, stride_b, stride_c;
    int64_t batch, batch_a, batch_b, batch_c;
    uint64_t workspace;
    int32_t capability, multiprocessors;
    uint16_t align_a, align_b, align_c, align_bias;
    uint8_t in, out, transposed_a, transposed_b, bias, accumulate, tf32, unused;
};

static_assert(sizeof(struct key) == 112, "a key has padding");

/* The largest power of two up to 64 that divides an address. Values lie at multiples of 64 bytes: a
 * larger one would follow from the plan, and with it the algorithm. */
static uint16_t alignment(const void *address)
{
    uint16_t bytes = 64;

    while (((uintptr_t)address & (bytes - 1u)) != 0)
        bytes /= 2;
    return bytes;
}

static struct key key_of(const struct plb_product *p, const struct plb_cuda_batch *batch,
                         const struct plb_cuda_queue *queue)
{
    struct key key;

    memset(&key, 0, sizeof key);
    key.m = p->m;
    key.n = p->n;
    key.k = p->k;
    key.stride_a = p->a.stride;
    key.stride_b = p->b.stride;
    key.stride_c = p->c_stride;
    key.batch = batch->count;
    key.batch_a = batch->a;
    key.batch_b = batch->b;
    key.batch_c = batch->c;
    key.workspace = queue->workspace_bytes;
    key.capability = queue->capability;
    key.multiprocessors = queue->multiprocessors;
    key.align_a = alignment(p->a.data);
    key.align_b = alignment(p->b.data);
    key.align_c = alignment(p->c);
    key.align_bias = p->bias == nullptr ? 0 : alignment(p->bias);
    key.in = (uint8_t)p->a.dtype;
    key.out = (uint8_t)p->c_dtype;
    key.transposed_a = p->a.transposed;
    key.transposed_b = p->b.transposed;
    key.bias = p->bias != nullptr;
    key.accumulate = p->accumulate;
    key.tf32 = queue->tf32 && p->a.dtype == PLB_F32;
    return key;
}

/* ---- algorithms that are known ---- */

/* A table with open addressing. When a stretch of it is full its first entry gives way; the
 * heuristic would name the same algorithm again. */
enum { ENTRIES = 4096, STRETCH = 8 };

struct entry {
    bool used;
    struct key key;
    cublasLtMatmulAlgo_t algorithm;
};

static struct entry table[ENTRIES];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;

/* The entry of a key, or the one that it may take. With the lock held. */
static struct entry *table_find(const struct key *key)
{
    uint64_t first = plb_hash_bytes(key, sizeof *key);

    for (uint64_t i = first; i < first + STRETCH; i++) {
        struct entry *entry = &table[i % ENTRIES];

        if (!entry->used || memcmp(&entry->key, key, sizeof *key) == 0)
            return entry;
    }
    return &table[first % ENTRIES];
}

static bool table_get(const struct key *key, cublasLtMatmulAlgo_t *algorithm_out)
{
    struct entry *entry;
    bool found;

    pthread_mutex_lock(&table_lock);
    entry = table_find(key);
    found = entry->used && memcmp(&entry->key, key, sizeof *key) == 0;
    if (found)
        *algorithm_out = entry->algorithm;
    pthread_mutex_unlock(&table_lock);
    return found;
}

static void table_put(const struct key *key, const cublasLtMatmulAlgo_t *algorithm)
{
    struct entry *entry;

    pthread_mutex_lock(&table_lock);
    entry = table_find(key);
    entry->used = true;
    entry->key = *key;
    entry->algorithm = *algorithm;
    pthread_mutex_unlock(&table_lock);
}

/* ---- what cublasLt is told ---- */

/* A product in its terms; a is our b and b our a. On the stack: made anew for each call, which
 * costs less than a launch by far. */
struct terms {
    cublasLtMatmulDescOpaque_t product;
    cublasLtMatrixLayoutOpaque_t a, b, c;
};

static enum plb_status failed(const struct key *key, const char *what, cublasStatus_t status)
{
    return plb_fail(
        PLB_ERROR_DEVICE, "%s: %s (product of %lld x %lld by %lld x %lld, %lld times, %s to %s)",
        what, cublasLtGetStatusString(status), (long long)key->m, (long long)key->k,
        (long long)key->k, (long long)key->n, (long long)key->batch,
        plb_dtype_name((enum plb_dtype)key->in), plb_dtype_name((enum plb_dtype)key->out));
}

/* The first failure of a row of calls counts. */
static void also(cublasStatus_t *status, cublasStatus_t next)
{
    if (*status == CUBLAS_STATUS_SUCCESS)
        *status = next;
}

static cudaDataType_t type_of(uint8_t dtype)
{
    return dtype == PLB_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static cublasStatus_t layout_init(cublasLtMatrixLayout_t layout, cudaDataType_t type, int64_t rows,
                                  int64_t cols, int64_t stride, int64_t batch, int64_t offset)
{
    int32_t count = (int32_t)batch;
    cublasStatus_t status =
        cublasLtMatrixLayoutInit(layout, type, (uint64_t)rows, (uint64_t)cols, stride);

    if (batch == 1)
        return status;
    also(&status, cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                                   &count, sizeof count));
    also(&status, cublasLtMatrixLayoutSetAttribute(
                      layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &offset, sizeof offset));
    return status;
}

static cublasStatus_t describe(const struct key *key, const void *bias, struct terms *terms_out)
{
    cublasLtMatmulDesc_t product = &terms_out->product;
    int32_t transpose_b = key->transposed_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    int32_t transpose_a = key->transposed_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    uint32_t epilogue = key->bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    cublasStatus_t status = cublasLtMatmulDescInit(
        product, key->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F);

    also(&status, cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &transpose_b,
                                                 sizeof transpose_b));
    also(&status, cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSB, &transpose_a,
                                                 sizeof transpose_a));
    also(&status, cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                                 sizeof epilogue));
    if (key->bias)
        also(&status, cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                     &bias, sizeof bias));
    return status;
}

static cublasStatus_t layouts(const struct key *key, struct terms *terms_out)
{
    cudaDataType_t in = type_of(key->in);
    bool ta = key->transposed_a, tb = key->transposed_b;
    cublasStatus_t status =
        layout_init(&terms_out->a, in, tb ? key->k : key->n, tb ? key->n : key->k, key->stride_b,
                    key->batch, key->batch_b);

    also(&status, layout_init(&terms_out->b, in, ta ? key->m : key->k, ta ? key->k : key->m,
                              key->stride_a, key->batch, key->batch_a));
    also(&status, layout_init(&terms_out->c, type_of(key->out), key->n, key->m, key->stride_c,
                              key->batch, key->batch_c));
    return status;
}

/* ---- choosing ---- */

static cublasStatus_t prefer(const struct key *key, cublasLtMatmulPreference_t preference)
{
    const struct {
        cublasLtMatmulPreferenceAttributes_t name;
        uint32_t value;
    } of[] = {
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key->align_b},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key->align_a},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key->align_c},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key->align_c},
    };
    uint64_t workspace = key->workspace;
    cublasStatus_t status = cublasLtMatmulPreferenceInit(preference);

    also(&status,
         cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                              &workspace, sizeof workspace));
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++)
        also(&status, cublasLtMatmulPreferenceSetAttribute(preference, of[i].name, &of[i].value,
                                                           sizeof of[i].value));
    return status;
}

static enum plb_status choose(const struct key *key, struct terms *terms,
                              const struct plb_cuda_queue *queue,
                              cublasLtMatmulAlgo_t *algorithm_out)
{
    cublasLtMatmulPreferenceOpaque_t preference;
    cublasLtMatmulHeuristicResult_t best;
    int found = 0;
    cublasStatus_t status = prefer(key, &preference);

    memset(&best, 0, sizeof best);
    also(&status,
         cublasLtMatmulAlgoGetHeuristic(queue->blas, &terms->product, &terms->a, &terms->b,
                                        &terms->c, &terms->c, &preference, 1, &best, &found));
    if (status == CUBLAS_STATUS_SUCCESS)
        status = found == 0 ? CUBLAS_STATUS_NOT_SUPPORTED : best.state;
    if (status != CUBLAS_STATUS_SUCCESS)
        return failed(key, "cublasLt has no algorithm", status);
    *algorithm_out = best.algo;
    return PLB_OK;
}

enum plb_status plb_cuda_product(const struct plb_product *product,
                                 const struct plb_cuda_batch *batch,
                                 const struct plb_cuda_queue *queue)
{
    const struct plb_cuda_batch one = {1, 0, 0, 0};
    const struct key key = key_of(product, batch == nullptr ? &one : batch, queue);
    const float alpha = 1.0f, beta = product->accumulate ? 1.0f : 0.0f;
    struct terms terms;
    cublasLtMatmulAlgo_t algorithm;
    cublasStatus_t status = describe(&key, product->bias, &terms);

    also(&status, layouts(&key, &terms));
    if (status != CUBLAS_STATUS_SUCCESS)
        return failed(&key, "cublasLt does not take a product", status);
    if (!table_get(&key, &algorithm)) {
        PLB_TRY(choose(&key, &terms, queue, &algorithm));
        table_put(&key, &algorithm);
    }
    status =
        cublasLtMatmul(queue->blas, &terms.product, &alpha, product->b.data, &terms.a,
                       product->a.data, &terms.b, &beta, product->c, &terms.c, product->c, &terms.c,
                       &algorithm, queue->workspace, queue->workspace_bytes, queue->stream);
    return status == CUBLAS_STATUS_SUCCESS ? PLB_OK : failed(&key, "cublasLtMatmul", status);
}
