/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of a card, and copies between it and main memory.
 *
 * Copies of one direction share a stream. Whoever wants one sleeps on an event of its own until it
 * is there, so that several threads may copy at a time and none takes a core.
 */
#include "config.h"

#include "runtime/run/cuda/module_internal.h"

/* A stream's memory operation `error`, and all before it on the stream, are over. */
static enum plb_status finish(cudaStream_t stream, cudaError_t error, const char *what)
{
    cudaEvent_t event;

    PLB_TRY(plb__cuda_status(error, what));
    PLB__CUDA_TRY(cudaEventCreateWithFlags, &event, cudaEventDisableTiming | cudaEventBlockingSync);
    error = cudaEventRecord(event, stream);
    if (error == cudaSuccess)
        error = cudaEventSynchronize(event);
    cudaEventDestroy(event);
    return plb__cuda_status(error, what);
}

static void give(struct plb__cuda_context *context, void *address)
{
    if (address && cudaSetDevice(context->card) == cudaSuccess)
        cudaFree(address);
    (void)cudaGetLastError(); /* a card that is lost has nothing to give back */
}

static enum plb_status take(struct plb__cuda_context *context, size_t bytes, void **address_out)
{
    cudaStream_t stream = context->stream[PLB__CUDA_ASIDE];
    enum plb_status status;
    void *address = NULL;

    PLB_TRY(plb__cuda_use(context));
    PLB__CUDA_TRY(cudaMalloc, &address, bytes);
    status = plb__cuda_status(cudaMemsetAsync(address, 0, bytes, stream), "cudaMemsetAsync");
    if (status == PLB_OK)
        status = plb__cuda_status(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    if (status != PLB_OK) {
        give(context, address);
        return status;
    }
    *address_out = address;
    return PLB_OK;
}

static enum plb_status pin(struct plb__cuda_context *context, void *address, size_t bytes)
{
    PLB_TRY(plb__cuda_use(context));
    PLB__CUDA_TRY(cudaHostRegister, address, bytes, cudaHostRegisterPortable);
    return PLB_OK;
}

static void unpin(struct plb__cuda_context *context, void *address)
{
    if (address && cudaSetDevice(context->card) == cudaSuccess)
        cudaHostUnregister(address);
    (void)cudaGetLastError();
}

static enum plb_status copy(struct plb__cuda_context *context, enum plb__cuda_direction direction,
                            void *to, const void *from, size_t bytes)
{
    enum cudaMemcpyKind kind =
        direction == PLB__CUDA_IN ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToHost;
    cudaStream_t stream = context->stream[direction];

    PLB_TRY(plb__cuda_use(context));
    return finish(stream, cudaMemcpyAsync(to, from, bytes, kind, stream), "cudaMemcpyAsync");
}

/* From the receiving side, as StarPU does it. */
static enum plb_status copy_peer(struct plb__cuda_context *to_context, void *to,
                                 struct plb__cuda_context *from_context, const void *from,
                                 size_t bytes)
{
    cudaStream_t stream = to_context->stream[PLB__CUDA_IN];

    PLB_TRY(plb__cuda_use(to_context));
    return finish(
        stream, cudaMemcpyPeerAsync(to, to_context->card, from, from_context->card, bytes, stream),
        "cudaMemcpyPeerAsync");
}

const struct plb__cuda_memory plb__cuda_memory = {
    .take = take, .give = give, .pin = pin, .unpin = unpin, .copy = copy, .copy_peer = copy_peer};
