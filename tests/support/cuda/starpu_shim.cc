/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What StarPU's CUDA driver calls when it starts and stops a worker, beyond the runtime: handles of
 * libraries that no kernel of Palombe uses. A handle is good for nothing but to be given back, and a
 * status of 0 is success in each of the libraries. (Their headers cannot be included together.)
 */
typedef void *handle;

static int nothing;

#define PLB_MAKE(name)                \
    extern "C" int name(handle *made) \
    {                                 \
        *made = &nothing;             \
        return 0;                     \
    }
PLB_MAKE(cublasCreate_v2)
PLB_MAKE(cusolverDnCreate)
PLB_MAKE(cusolverRfCreate)
PLB_MAKE(cusolverSpCreate)
PLB_MAKE(cusparseCreate)

#define PLB_TAKE(name)           \
    extern "C" int name(handle)  \
    {                            \
        return 0;                \
    }
PLB_TAKE(cublasDestroy_v2)
PLB_TAKE(cublasSetKernelStream)
PLB_TAKE(cusolverDnDestroy)
PLB_TAKE(cusolverRfDestroy)
PLB_TAKE(cusolverSpDestroy)
PLB_TAKE(cusparseDestroy)

#define PLB_SET_STREAM(name)             \
    extern "C" int name(handle, handle)  \
    {                                    \
        return 0;                        \
    }
PLB_SET_STREAM(cublasSetStream_v2)
PLB_SET_STREAM(cusolverDnSetStream)
PLB_SET_STREAM(cusolverSpSetStream)
PLB_SET_STREAM(cusparseSetStream)

extern "C" int cublasInit(void)
{
    return 0;
}

extern "C" int cublasShutdown(void)
{
    return 0;
}
