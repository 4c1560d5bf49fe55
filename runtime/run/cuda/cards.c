/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding cards, and opening one.
 */
#include "config.h"

#include "runtime/run/cuda/module_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum plb_status plb__cuda_status(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return PLB_OK;
    (void)cudaGetLastError(); /* it is told now */
    if (error == cudaErrorMemoryAllocation)
        return plb_fail(PLB_ERROR_MEMORY, "the card is out of memory (%s)", what);
    return plb_fail(PLB_ERROR_DEVICE, "%s: %s (CUDA error %d)", what, cudaGetErrorString(error),
                    (int)error);
}

enum plb_status plb__cuda_use(const struct plb__cuda_context *context)
{
    return plb__cuda_status(cudaSetDevice(context->card), "cudaSetDevice");
}

/* ---- what is there ---- */

static void get_versions(int *driver_out, int *toolkit_out)
{
    *driver_out = 0; /* also where there is no driver */
    if (cudaDriverGetVersion(driver_out) != cudaSuccess)
        *driver_out = 0;
    *toolkit_out = CUDART_VERSION;
}

static enum plb_status fail_old_driver(void)
{
    int driver, toolkit;

    get_versions(&driver, &toolkit);
    if (driver == 0)
        return plb_fail(PLB_ERROR_UNAVAILABLE, "there is no NVIDIA driver on this machine");
    return plb_fail(PLB_ERROR_UNAVAILABLE,
                    "the NVIDIA driver here is for CUDA %d.%d, and this Palombe was built with "
                    "CUDA %d.%d: install a newer driver, or build with an older toolkit",
                    driver / 1000, driver % 1000 / 10, toolkit / 1000, toolkit % 1000 / 10);
}

static enum plb_status count_cards(int *n_out)
{
    int n = 0;
    cudaError_t error = cudaGetDeviceCount(&n);

    if (error != cudaSuccess)
        (void)cudaGetLastError();
    if (error == cudaErrorInsufficientDriver)
        return fail_old_driver();
    if (error == cudaErrorNoDevice || (error == cudaSuccess && n == 0))
        return plb_fail(PLB_ERROR_UNAVAILABLE, "there is no CUDA card in this machine (or "
                                               "CUDA_VISIBLE_DEVICES hides it)");
    PLB_TRY(plb__cuda_status(error, "cudaGetDeviceCount"));
    *n_out = n;
    return PLB_OK;
}

static enum plb_status check_card(int card)
{
    int n;

    PLB_TRY(count_cards(&n));
    if (card < 0 || card >= n)
        return plb_fail(PLB_ERROR_UNAVAILABLE, "there is no CUDA card %d: this machine has %d",
                        card, n);
    return PLB_OK;
}

static enum plb_status find_kind(int card, int *capability_out, int *multiprocessors_out)
{
    int major, minor;

    PLB__CUDA_TRY(cudaDeviceGetAttribute, &major, cudaDevAttrComputeCapabilityMajor, card);
    PLB__CUDA_TRY(cudaDeviceGetAttribute, &minor, cudaDevAttrComputeCapabilityMinor, card);
    PLB__CUDA_TRY(cudaDeviceGetAttribute, multiprocessors_out, cudaDevAttrMultiProcessorCount,
                  card);
    *capability_out = 10 * major + minor;
    return PLB_OK;
}

static enum plb_status describe_card(int card, struct plb__cuda_card *card_out)
{
    struct plb__cuda_card found = {.capability = 0};
    struct cudaDeviceProp properties;

    PLB_TRY(check_card(card));
    PLB__CUDA_TRY(cudaGetDeviceProperties, &properties, card);
    PLB_TRY(find_kind(card, &found.capability, &found.multiprocessors));
    PLB__CUDA_TRY(cudaSetDevice, card);
    PLB__CUDA_TRY(cudaMemGetInfo, &found.free_bytes, &found.bytes);
    snprintf(found.name, sizeof found.name, "%.95s", properties.name);
    *card_out = found;
    return PLB_OK;
}

/* ---- opening ---- */

/* The least that the module has code for. */
#define LEAST_CAPABILITY 80

static enum plb_status check_kind(int card, int capability)
{
    if (capability < LEAST_CAPABILITY)
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "CUDA card %d has compute capability %d.%d; %d.%d is the least that works",
                        card, capability / 10, capability % 10, LEAST_CAPABILITY / 10,
                        LEAST_CAPABILITY % 10);
    return PLB_OK;
}

static void close_card(struct plb__cuda_context *context)
{
    if (!context)
        return;
    (void)cudaSetDevice(context->card);
    for (uint32_t k = 0; k < context->n_marks; k++)
        if (context->mark[k])
            cudaEventDestroy(context->mark[k]);
    for (int k = 0; k < PLB__CUDA_DIRECTIONS; k++)
        if (context->stream[k])
            cudaStreamDestroy(context->stream[k]);
    if (context->blas)
        cublasLtDestroy(context->blas);
    pthread_mutex_destroy(&context->lock);
    free(context->mark);
    free(context);
}

static enum plb_status fill_context(struct plb__cuda_context *context)
{
    cublasStatus_t error;

    PLB_TRY(plb__cuda_use(context));
    PLB_TRY(find_kind(context->card, &context->capability, &context->multiprocessors));
    PLB_TRY(check_kind(context->card, context->capability));
    for (int k = 0; k < PLB__CUDA_DIRECTIONS; k++)
        PLB__CUDA_TRY(cudaStreamCreateWithFlags, &context->stream[k], cudaStreamNonBlocking);
    error = cublasLtCreate(&context->blas);
    if (error != CUBLAS_STATUS_SUCCESS)
        return plb_fail(PLB_ERROR_DEVICE, "cublasLtCreate failed with status %d", (int)error);
    return PLB_OK;
}

static enum plb_status open_card(int card, struct plb__cuda_context **context_out)
{
    struct plb__cuda_context *context;
    enum plb_status status;

    PLB_TRY(check_card(card));
    context = calloc(1, sizeof *context);
    if (!context)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to open CUDA card %d", card);
    context->card = card;
    pthread_mutex_init(&context->lock, NULL);
    status = fill_context(context);
    if (status != PLB_OK) {
        close_card(context);
        return plb_fail_within(status, "CUDA card %d cannot be opened", card);
    }
    *context_out = context;
    return PLB_OK;
}

const struct plb__cuda_cards plb__cuda_cards = {.versions = get_versions,
                                                .count = count_cards,
                                                .describe = describe_card,
                                                .open = open_card,
                                                .close = close_card};
