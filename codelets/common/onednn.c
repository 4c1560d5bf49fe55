/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * oneDNN on the calling thread. Its primitives are made anew for each call: it keeps a cache of
 * them by itself, and finding one there takes microseconds.
 */
#include "config.h"

#include "codelets/common/onednn.h"

#ifdef PLB_HAVE_ONEDNN

#include <dlfcn.h>
#include <dnnl.h>
#include <dnnl_debug.h>
#include <stdio.h>

static struct {
    dnnl_engine_t engine;
    /* OpenMP's own functions, when oneDNN brought it along. Its number of threads belongs to the
     * calling thread, so that it is set around each call and then put back. */
    int (*omp_get)(void);
    void (*omp_set)(int);
} dnn;

static enum plb_status dnn_check(dnnl_status_t status, const char *what)
{
    if (status == dnnl_success)
        return PLB_OK;
    if (status == dnnl_out_of_memory)
        return plb_fail(PLB_ERROR_MEMORY, "oneDNN has no memory for %s", what);
    return plb_fail(PLB_ERROR_DEVICE, "oneDNN: %s failed with \"%s\"", what,
                    dnnl_status2str(status));
}

enum plb_status plb__onednn_start(void)
{
    *(void **)&dnn.omp_get = dlsym(RTLD_DEFAULT, "omp_get_max_threads");
    *(void **)&dnn.omp_set = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    return dnn_check(dnnl_engine_create(&dnn.engine, dnnl_cpu, 0), "the processor's engine");
}

void plb__onednn_inspect(struct plb_blas_info *info)
{
    const dnnl_version_t *version = dnnl_version();

    snprintf(info->onednn_version, sizeof info->onednn_version, "%d.%d.%d", version->major,
             version->minor, version->patch);
    snprintf(info->onednn_isa, sizeof info->onednn_isa, "%s",
             dnnl_cpu_isa2str(dnnl_get_effective_cpu_isa()));
}

bool plb__onednn_has_amx(void)
{
    unsigned amx = dnnl_cpu_isa_avx512_core_amx;

    return ((unsigned)dnnl_get_effective_cpu_isa() & amx) == amx;
}

/* Gives this thread one OpenMP thread; returns what to put back, 0 for nothing. */
static int threads_one(void)
{
    int before = dnn.omp_get != NULL && dnn.omp_set != NULL ? dnn.omp_get() : 1;

    if (before == 1)
        return 0;
    dnn.omp_set(1);
    return before;
}

static void threads_restore(int before)
{
    if (before != 0)
        dnn.omp_set(before);
}

enum plb_status plb__onednn_sgemm(const struct plb__sgemm *p)
{
    int threads = threads_one();
    dnnl_status_t status =
        dnnl_sgemm(p->ta ? 'T' : 'N', p->tb ? 'T' : 'N', p->m, p->n, p->k, 1.0f, p->a, p->lda, p->b,
                   p->ldb, p->accumulate ? 1.0f : 0.0f, p->c, p->ldc);

    threads_restore(threads);
    return dnn_check(status, "a product in fp32");
}

/* --- bf16: descriptions differ between 2.x and 3.x, the rest does not ------------------------- */

enum operand { A, B, C, BIAS, OPERANDS };

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t description;

static dnnl_status_t description_make(description *d, const dnnl_dims_t dims, dnnl_data_type_t type,
                                      const dnnl_dims_t strides)
{
    return dnnl_memory_desc_create_with_strides(d, 2, dims, type, strides);
}

static void description_free(description *d)
{
    if (*d != NULL)
        dnnl_memory_desc_destroy(*d);
}

static dnnl_status_t memory_make(dnnl_memory_t *memory, description *d, void *data)
{
    return dnnl_memory_create(memory, *d, dnn.engine, data);
}

static dnnl_status_t sum_append(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef);
}

static dnnl_status_t matmul_describe(dnnl_primitive_desc_t *pd, description d[OPERANDS], bool bias,
                                     dnnl_primitive_attr_t attributes)
{
    return dnnl_matmul_primitive_desc_create(pd, dnn.engine, d[A], d[B], bias ? d[BIAS] : NULL,
                                             d[C], attributes);
}

#else

typedef dnnl_memory_desc_t description;

static dnnl_status_t description_make(description *d, const dnnl_dims_t dims, dnnl_data_type_t type,
                                      const dnnl_dims_t strides)
{
    return dnnl_memory_desc_init_by_strides(d, 2, dims, type, strides);
}

static void description_free(description *d)
{
    (void)d;
}

static dnnl_status_t memory_make(dnnl_memory_t *memory, description *d, void *data)
{
    return dnnl_memory_create(memory, d, dnn.engine, data);
}

static dnnl_status_t sum_append(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1.0f);
}

static dnnl_status_t matmul_describe(dnnl_primitive_desc_t *pd, description d[OPERANDS], bool bias,
                                     dnnl_primitive_attr_t attributes)
{
    dnnl_matmul_desc_t matmul;
    dnnl_status_t status =
        dnnl_matmul_desc_init(&matmul, &d[A], &d[B], bias ? &d[BIAS] : NULL, &d[C]);

    if (status != dnnl_success)
        return status;
    return dnnl_primitive_desc_create(pd, &matmul, attributes, dnn.engine, NULL);
}

#endif

struct matmul {
    description d[OPERANDS];
    dnnl_memory_t memory[OPERANDS];
    dnnl_post_ops_t ops;
    dnnl_primitive_attr_t attributes;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
};

/* An operand of rows x cols elements at `data`, stored transposed or not with rows `ld` apart. */
static dnnl_status_t operand_make(struct matmul *mm, enum operand k, int64_t rows, int64_t cols,
                                  bool transposed, int64_t ld, dnnl_data_type_t type,
                                  const void *data)
{
    const dnnl_dims_t dims = {rows, cols};
    const dnnl_dims_t strides = {transposed ? 1 : ld, transposed ? ld : 1};
    dnnl_status_t status = description_make(&mm->d[k], dims, type, strides);

    return status == dnnl_success ? memory_make(&mm->memory[k], &mm->d[k], (void *)(uintptr_t)data)
                                  : status;
}

static dnnl_data_type_t type_of(bool bf16)
{
    return bf16 ? dnnl_bf16 : dnnl_f32;
}

static dnnl_status_t operands_make(struct matmul *mm, const struct plb__bgemm *p)
{
    dnnl_status_t status = operand_make(mm, A, p->m, p->k, p->ta, p->lda, dnnl_bf16, p->a);

    if (status == dnnl_success)
        status = operand_make(mm, B, p->k, p->n, p->tb, p->ldb, dnnl_bf16, p->b);
    if (status == dnnl_success)
        status = operand_make(mm, C, p->m, p->n, false, p->ldc, type_of(p->c_bf16), p->c);
    if (status == dnnl_success && p->bias != NULL)
        status = operand_make(mm, BIAS, 1, p->n, false, p->n, type_of(p->bias_bf16), p->bias);
    return status;
}

static dnnl_status_t attributes_make(struct matmul *mm, bool accumulate)
{
    dnnl_status_t status = dnnl_primitive_attr_create(&mm->attributes);

    if (status != dnnl_success || !accumulate)
        return status;
    status = dnnl_post_ops_create(&mm->ops);
    if (status == dnnl_success)
        status = sum_append(mm->ops);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(mm->attributes, mm->ops);
    return status;
}

static dnnl_status_t matmul_make(struct matmul *mm, const struct plb__bgemm *p)
{
    dnnl_status_t status = operands_make(mm, p);

    if (status == dnnl_success)
        status = attributes_make(mm, p->accumulate);
    if (status == dnnl_success)
        status = matmul_describe(&mm->pd, mm->d, p->bias != NULL, mm->attributes);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&mm->primitive, mm->pd);
    if (status == dnnl_success)
        status = dnnl_stream_create(&mm->stream, dnn.engine, dnnl_stream_default_flags);
    return status;
}

static dnnl_status_t matmul_run(struct matmul *mm)
{
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, mm->memory[A]},
        {DNNL_ARG_WEIGHTS, mm->memory[B]},
        {DNNL_ARG_DST, mm->memory[C]},
        {DNNL_ARG_BIAS, mm->memory[BIAS]},
    };
    int n = mm->memory[BIAS] != NULL ? OPERANDS : BIAS;
    dnnl_status_t status = dnnl_primitive_execute(mm->primitive, mm->stream, n, arguments);

    return status == dnnl_success ? dnnl_stream_wait(mm->stream) : status;
}

static void matmul_free(struct matmul *mm)
{
    if (mm->stream != NULL)
        dnnl_stream_destroy(mm->stream);
    if (mm->primitive != NULL)
        dnnl_primitive_destroy(mm->primitive);
    if (mm->pd != NULL)
        dnnl_primitive_desc_destroy(mm->pd);
    if (mm->ops != NULL)
        dnnl_post_ops_destroy(mm->ops);
    if (mm->attributes != NULL)
        dnnl_primitive_attr_destroy(mm->attributes);
    for (int k = 0; k < OPERANDS; k++) {
        if (mm->memory[k] != NULL)
            dnnl_memory_destroy(mm->memory[k]);
        description_free(&mm->d[k]);
    }
}

enum plb_status plb__onednn_bgemm(const struct plb__bgemm *p)
{
    struct matmul mm = {.ops = NULL};
    int threads = threads_one();
    dnnl_status_t status = matmul_make(&mm, p);

    if (status == dnnl_success)
        status = matmul_run(&mm);
    matmul_free(&mm);
    threads_restore(threads);
    return dnn_check(status, "a product in bf16");
}

#else

static enum plb_status onednn_missing(void)
{
    return plb_fail(PLB_ERROR_UNAVAILABLE, "Palombe was built without oneDNN");
}

enum plb_status plb__onednn_start(void)
{
    return onednn_missing();
}

void plb__onednn_inspect(struct plb_blas_info *info)
{
    (void)info;
}

bool plb__onednn_has_amx(void)
{
    return false;
}

enum plb_status plb__onednn_sgemm(const struct plb__sgemm *p)
{
    (void)p;
    return onednn_missing();
}

enum plb_status plb__onednn_bgemm(const struct plb__bgemm *p)
{
    (void)p;
    return onednn_missing();
}

#endif
