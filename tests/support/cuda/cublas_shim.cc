/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cublasLt on the host's processor, for tests: as much of it as codelets/common/cublas.cu uses (its
 * head lists that), and the module's handle.
 *
 * Products are plain loops with sums in fp32, in the turn of the stream. What the library documents
 * as required is checked, and refused with a status and a sentence on stderr: operands that do not
 * fit one another, strides below the number of rows, types and attributes that are not known here,
 * and operands less aligned than the preference that an algorithm was asked for with.
 */
#include "tests/support/cuda/emulator.h"

#include <cublasLt.h>
#include <cuda_bf16.h>
#include <stdio.h>

#include <vector>

/* ---- what stands in the opaque structures ---- */

enum : uint64_t { PRODUCT = 0x70726f64, LAYOUT = 0x6c61796f, PREFERENCE = 0x70726566 };
enum { OPERANDS = 4 }; /* A, B, C, D */

struct product {
    uint64_t magic;
    cublasComputeType_t compute;
    int32_t transposed[2]; /* of A and B */
    uint32_t epilogue;
    const void *bias;
};

struct layout {
    uint64_t magic;
    uint64_t rows, cols;
    int64_t stride, offset;
    cudaDataType_t type;
    int32_t batch;
};

struct preference {
    uint64_t magic;
    uint64_t workspace;
    uint32_t reductions;
    uint32_t alignment[OPERANDS];
};

/* What an algorithm promises. */
struct algorithm {
    uint64_t magic;
    uint64_t workspace;
    uint32_t alignment[OPERANDS];
};

static_assert(sizeof(struct product) <= sizeof(cublasLtMatmulDescOpaque_t), "product");
static_assert(sizeof(struct layout) <= sizeof(cublasLtMatrixLayoutOpaque_t), "layout");
static_assert(sizeof(struct preference) <= sizeof(cublasLtMatmulPreferenceOpaque_t), "preference");
static_assert(sizeof(struct algorithm) <= sizeof(cublasLtMatmulAlgo_t), "algorithm");

struct cublasLtContext {
    uint64_t unused;
};

static cublasStatus_t refuse(const char *why)
{
    fprintf(stderr, "cublasLt, emulated: %s\n", why);
    return CUBLAS_STATUS_INVALID_VALUE;
}

/* Copies an attribute if it has the size that is documented for it. */
template <typename T> static cublasStatus_t set(T *to, const void *value, size_t bytes)
{
    if (value == nullptr || bytes != sizeof *to)
        return refuse("an attribute has another size");
    memcpy(to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- handle and names ---- */

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    *handle = new cublasLtContext();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion(void)
{
    return CUBLAS_VERSION;
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_SUCCESS         ? "success"
           : status == CUBLAS_STATUS_NOT_SUPPORTED ? "not supported"
           : status == CUBLAS_STATUS_INVALID_VALUE ? "invalid value"
                                                   : "failed";
}

/* ---- descriptors, layouts, preferences ---- */

cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t desc, size_t size,
                                               cublasComputeType_t compute, cudaDataType_t scale)
{
    const struct product product = {
        PRODUCT, compute, {CUBLAS_OP_N, CUBLAS_OP_N}, CUBLASLT_EPILOGUE_DEFAULT, nullptr};

    if (size != sizeof *desc || scale != CUDA_R_32F ||
        (compute != CUBLAS_COMPUTE_32F && compute != CUBLAS_COMPUTE_32F_FAST_TF32))
        return refuse("a product computes in fp32 only, with or without TF32");
    memset(static_cast<void *>(desc), 0, size);
    memcpy(static_cast<void *>(desc), &product, sizeof product);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes)
{
    struct product *product = reinterpret_cast<struct product *>(desc);

    if (product->magic != PRODUCT)
        return refuse("a product was not initialised");
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return set(&product->transposed[0], value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return set(&product->transposed[1], value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return set(&product->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return set(&product->bias, value, bytes);
    default:
        return refuse("an attribute of a product is not known");
    }
}

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t to, size_t size,
                                                 cudaDataType type, uint64_t rows, uint64_t cols,
                                                 int64_t ld)
{
    const struct layout layout = {LAYOUT, rows, cols, ld, 0, type, 1};

    if (size != sizeof *to || (type != CUDA_R_32F && type != CUDA_R_16BF))
        return refuse("matrices are of fp32 or bf16");
    if (rows == 0 || cols == 0 || ld < (int64_t)rows)
        return refuse("a matrix is empty, or its stride is below its rows");
    memcpy(static_cast<void *>(to), &layout, sizeof layout);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t to,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *value, size_t bytes)
{
    struct layout *layout = reinterpret_cast<struct layout *>(to);

    if (layout->magic != LAYOUT)
        return refuse("a layout was not initialised");
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
        return set(&layout->batch, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
        return set(&layout->offset, value, bytes);
    default:
        return refuse("an attribute of a layout is not known");
    }
}

cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t to, size_t size)
{
    const struct preference preference = {
        PREFERENCE, 0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}};

    if (size != sizeof *to)
        return refuse("a preference has another size");
    memcpy(static_cast<void *>(to), &preference, sizeof preference);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t to,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t bytes)
{
    struct preference *preference = reinterpret_cast<struct preference *>(to);

    if (preference->magic != PREFERENCE)
        return refuse("a preference was not initialised");
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        return set(&preference->workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
        return set(&preference->reductions, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
        return set(&preference->alignment[0], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
        return set(&preference->alignment[1], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
        return set(&preference->alignment[2], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        return set(&preference->alignment[3], value, bytes);
    default:
        return refuse("an attribute of a preference is not known");
    }
}

/* ---- what fits ---- */

/* Rows and columns of an operand as the product sees it. */
static uint64_t rows_of(const struct layout *layout, int32_t op)
{
    return op == CUBLAS_OP_N ? layout->rows : layout->cols;
}

static uint64_t cols_of(const struct layout *layout, int32_t op)
{
    return op == CUBLAS_OP_N ? layout->cols : layout->rows;
}

/* Batches of a result must not lie on one another; operands may be shared. */
static bool batches_fit(const struct layout *a, const struct layout *b, const struct layout *d)
{
    if (a->batch != d->batch || b->batch != d->batch || d->batch < 1)
        return false;
    return d->batch == 1 || d->offset >= (int64_t)d->rows;
}

static cublasStatus_t check(const struct product *p, const struct layout *a, const struct layout *b,
                            const struct layout *c, const struct layout *d)
{
    int32_t ta = p->transposed[0], tb = p->transposed[1];

    if (p->magic != PRODUCT || a->magic != LAYOUT || b->magic != LAYOUT || c->magic != LAYOUT ||
        d->magic != LAYOUT)
        return refuse("a descriptor or layout was not initialised");
    if ((ta != CUBLAS_OP_N && ta != CUBLAS_OP_T) || (tb != CUBLAS_OP_N && tb != CUBLAS_OP_T))
        return refuse("an operation on an operand is not known");
    if (rows_of(a, ta) != d->rows || cols_of(b, tb) != d->cols || cols_of(a, ta) != rows_of(b, tb))
        return refuse("sizes of operands do not fit one another");
    if (memcmp(c, d, sizeof *c) != 0)
        return refuse("C has another layout than D");
    if (!batches_fit(a, b, d))
        return refuse("batches of operands do not fit one another");
    if (a->type != b->type || (a->type == CUDA_R_32F && d->type != CUDA_R_32F) ||
        (p->compute == CUBLAS_COMPUTE_32F_FAST_TF32 && a->type != CUDA_R_32F))
        return refuse("types of operands do not fit one another");
    if (p->epilogue != CUBLASLT_EPILOGUE_DEFAULT &&
        (p->epilogue != CUBLASLT_EPILOGUE_BIAS || p->bias == nullptr))
        return refuse("an epilogue is not known, or a bias has no address");
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *found)
{
    const struct preference *of = reinterpret_cast<struct preference *>(preference);
    struct algorithm algorithm = {PREFERENCE, of->workspace, {}};
    cublasStatus_t status =
        check(reinterpret_cast<struct product *>(desc), reinterpret_cast<struct layout *>(a),
              reinterpret_cast<struct layout *>(b), reinterpret_cast<struct layout *>(c),
              reinterpret_cast<struct layout *>(d));

    *found = 0;
    if (handle == nullptr || wanted < 1 || of->magic != PREFERENCE)
        return refuse("no handle, no preference, or no result is wanted");
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    memcpy(algorithm.alignment, of->alignment, sizeof algorithm.alignment);
    memset(static_cast<void *>(&results[0]), 0, sizeof results[0]);
    memcpy(static_cast<void *>(&results[0].algo), &algorithm, sizeof algorithm);
    results[0].workspaceSize = of->workspace;
    results[0].state = CUBLAS_STATUS_SUCCESS;
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- the product ---- */

/* Everything that the product needs when its turn comes. */
struct work {
    struct product product;
    struct layout a, b, d;
    const void *a_data, *b_data, *c_data;
    void *d_data;
    float alpha, beta;
};

static float load(const void *data, cudaDataType_t type, int64_t at)
{
    return type == CUDA_R_16BF ? __bfloat162float(static_cast<const __nv_bfloat16 *>(data)[at])
                               : static_cast<const float *>(data)[at];
}

/* The nearest number with a mantissa of 10 bits. */
static float to_tf32(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7f800000u) != 0x7f800000u)
        bits = (bits + 0x1000u) & ~0x1fffu;
    memcpy(&x, &bits, sizeof bits);
    return x;
}

/* A matrix of rows x cols as fp32, row after row, whose rows are the columns of the operand as it
 * lies in memory, or else its rows. */
static std::vector<float> pack(const struct work *w, const struct layout *layout, const void *data,
                               int64_t batch, int64_t rows, int64_t cols, bool by_columns)
{
    bool tf32 = w->product.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    std::vector<float> packed((size_t)(rows * cols));

    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) {
            int64_t at = by_columns ? i * layout->stride + j : j * layout->stride + i;
            float x = load(data, layout->type, batch * layout->offset + at);

            packed[(size_t)(i * cols + j)] = tf32 ? to_tf32(x) : x;
        }
    }
    return packed;
}

static void store(const struct work *w, int64_t batch, int64_t i, int64_t j, float sum)
{
    int64_t at = batch * w->d.offset + j * w->d.stride + i;

    sum *= w->alpha;
    if (w->beta != 0.0f)
        sum += w->beta * load(w->c_data, w->d.type, at);
    if (w->product.epilogue == CUBLASLT_EPILOGUE_BIAS)
        sum += load(w->product.bias, w->d.type, i);
    if (w->d.type == CUDA_R_16BF)
        static_cast<__nv_bfloat16 *>(w->d_data)[at] = __float2bfloat16_rn(sum);
    else
        static_cast<float *>(w->d_data)[at] = sum;
}

/* Elements (from i on, j) of op(A) op(B), a few at once; each is summed in the order of k. */
enum { AT_ONCE = 16 };

static void sums(const float *a, int64_t a_cols, const float *b, int64_t depth, int64_t n,
                 float *sum)
{
    for (int k = 0; k < AT_ONCE; k++)
        sum[k] = 0.0f;
    if (n == AT_ONCE) {
        for (int64_t k = 0; k < depth; k++) {
            for (int i = 0; i < AT_ONCE; i++)
                sum[i] += a[k * a_cols + i] * b[k];
        }
        return;
    }
    for (int64_t k = 0; k < depth; k++) {
        for (int64_t i = 0; i < n; i++)
            sum[i] += a[k * a_cols + i] * b[k];
    }
}

static void multiply_one(const struct work *w, int64_t batch)
{
    bool ta = w->product.transposed[0] == CUBLAS_OP_T, tb = w->product.transposed[1] == CUBLAS_OP_T;
    int64_t m = (int64_t)w->d.rows, n = (int64_t)w->d.cols;
    int64_t depth = (int64_t)(ta ? w->a.rows : w->a.cols);
    /* The transposed of op(A), and of op(B). */
    std::vector<float> a = pack(w, &w->a, w->a_data, batch, depth, m, !ta);
    std::vector<float> b = pack(w, &w->b, w->b_data, batch, n, depth, !tb);
    float sum[AT_ONCE];

    for (int64_t j = 0; j < n; j++) {
        for (int64_t i = 0; i < m; i += AT_ONCE) {
            int64_t width = m - i < AT_ONCE ? m - i : (int64_t)AT_ONCE;

            sums(&a[(size_t)i], m, &b[(size_t)(j * depth)], depth, width, sum);
            for (int64_t k = 0; k < width; k++)
                store(w, batch, i + k, j, sum[k]);
        }
    }
}

static void multiply(const struct work *work)
{
    for (int64_t batch = 0; batch < work->d.batch; batch++)
        multiply_one(work, batch);
}

/* Are all operands aligned as the algorithm was promised? */
static cublasStatus_t check_addresses(const struct algorithm *algorithm, const struct work *work,
                                      const void *workspace, size_t bytes)
{
    const void *const address[OPERANDS] = {work->a_data, work->b_data, work->c_data, work->d_data};

    if (algorithm->magic != PREFERENCE)
        return refuse("an algorithm did not come from the heuristic");
    if (bytes < algorithm->workspace || (bytes > 0 && workspace == nullptr) ||
        (reinterpret_cast<uintptr_t>(workspace) & 15) != 0)
        return refuse("less workspace than the algorithm was chosen for, or not aligned to 16");
    for (int i = 0; i < OPERANDS; i++) {
        if (reinterpret_cast<uintptr_t>(address[i]) % algorithm->alignment[i] != 0)
            return refuse("an operand is less aligned than the algorithm was chosen for");
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                              cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                              cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
    const struct layout *c_of = reinterpret_cast<struct layout *>(c_layout);
    struct algorithm chosen;
    struct work work;
    cublasStatus_t status;

    if (handle == nullptr || algorithm == nullptr)
        return refuse("a product without a handle or an algorithm");
    memcpy(&work.product, desc, sizeof work.product);
    memcpy(&work.a, a_layout, sizeof work.a);
    memcpy(&work.b, b_layout, sizeof work.b);
    memcpy(&work.d, d_layout, sizeof work.d);
    memcpy(&chosen, algorithm, sizeof chosen);
    work.a_data = a;
    work.b_data = b;
    work.c_data = c;
    work.d_data = d;
    work.alpha = *static_cast<const float *>(alpha);
    work.beta = *static_cast<const float *>(beta);
    status = check(&work.product, &work.a, &work.b, c_of, &work.d);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = check_addresses(&chosen, &work, workspace, workspace_bytes);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    if (emulator::submit(stream, emulator::job{"cublasLtMatmul", dim3(1), dim3(1), 0, nullptr,
                                                nullptr, [work]() { multiply(&work); }}) !=
        cudaSuccess)
        return CUBLAS_STATUS_EXECUTION_FAILED;
    return CUBLAS_STATUS_SUCCESS;
}
