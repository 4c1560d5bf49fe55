/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is enqueued on a card: kernels' queues, copies within the card, marks of time.
 */
#include "config.h"

#include "runtime/run/cuda/module_internal.h"

#include "codelets/adamw/many.h"

#include <stdlib.h>
#include <string.h>

static void fill_queue(struct plb__cuda_context *context, struct CUstream_st *stream,
                       struct plb_cuda_queue *queue_out)
{
    *queue_out = (struct plb_cuda_queue){.stream = stream,
                                         .blas = context->blas,
                                         .capability = context->capability,
                                         .multiprocessors = context->multiprocessors};
}

/* Rows without gaps are one: a value of one dimension has rows of an element, which the card's copy
 * engines would take one by one. */
static enum plb_status copy(struct CUstream_st *stream, const struct plb__cuda_rectangle *r)
{
    if (r->width == r->from_pitch && r->width == r->to_pitch) {
        PLB__CUDA_TRY(cudaMemcpyAsync, r->to, r->from, r->rows * r->width, cudaMemcpyDeviceToDevice,
                      stream);
        return PLB_OK;
    }
    PLB__CUDA_TRY(cudaMemcpy2DAsync, r->to, r->to_pitch, r->from, r->from_pitch, r->width, r->rows,
                  cudaMemcpyDeviceToDevice, stream);
    return PLB_OK;
}

/* ---- graphs ---- */

static enum plb_status record(struct CUstream_st *stream)
{
    PLB__CUDA_TRY(cudaStreamBeginCapture, stream, cudaStreamCaptureModeThreadLocal);
    return PLB_OK;
}

static enum plb_status recorded(struct CUstream_st *stream, void **graph_out)
{
    cudaGraphExec_t exec = NULL;
    cudaGraph_t graph = NULL;
    cudaError_t error;

    PLB__CUDA_TRY(cudaStreamEndCapture, stream, &graph);
    error = cudaGraphInstantiate(&exec, graph, 0);
    cudaGraphDestroy(graph);
    if (error != cudaSuccess)
        return plb__cuda_status(error, "cudaGraphInstantiate");
    *graph_out = exec;
    return PLB_OK;
}

static enum plb_status replay(struct CUstream_st *stream, void *graph)
{
    PLB__CUDA_TRY(cudaGraphLaunch, graph, stream);
    return PLB_OK;
}

static void forget(void *graph)
{
    cudaGraphExecDestroy(graph);
}

/* ---- marks ---- */

/* With the lock held. */
static enum plb_status grow_marks(struct plb__cuda_context *context, uint32_t n)
{
    cudaEvent_t *grown = realloc(context->mark, n * sizeof *grown);

    if (!grown)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u marks of time", n);
    memset(grown + context->n_marks, 0, (n - context->n_marks) * sizeof *grown);
    context->mark = grown;
    context->n_marks = n;
    return PLB_OK;
}

static enum plb_status find_mark(struct plb__cuda_context *context, uint32_t index,
                                 cudaEvent_t *event_out)
{
    enum plb_status status = PLB_OK;

    pthread_mutex_lock(&context->lock);
    if (index >= context->n_marks)
        status = grow_marks(context, 2 * index + 64);
    if (status == PLB_OK && !context->mark[index])
        status = plb__cuda_status(cudaEventCreateWithFlags(&context->mark[index], cudaEventDefault),
                                  "cudaEventCreateWithFlags");
    if (status == PLB_OK)
        *event_out = context->mark[index];
    pthread_mutex_unlock(&context->lock);
    return status;
}

static enum plb_status mark(struct plb__cuda_context *context, struct CUstream_st *stream,
                            uint32_t index)
{
    cudaEvent_t event;

    PLB_TRY(find_mark(context, index, &event));
    PLB__CUDA_TRY(cudaEventRecord, event, stream);
    return PLB_OK;
}

static enum plb_status mark_now(struct plb__cuda_context *context)
{
    cudaEvent_t event;

    PLB_TRY(plb__cuda_use(context));
    PLB_TRY(find_mark(context, 0, &event));
    PLB__CUDA_TRY(cudaEventRecord, event, context->stream[PLB__CUDA_ASIDE]);
    PLB__CUDA_TRY(cudaEventSynchronize, event);
    return PLB_OK;
}

static enum plb_status elapsed(struct plb__cuda_context *context, uint32_t from, uint32_t to,
                               double *seconds_out)
{
    cudaEvent_t first, second;
    float milliseconds;

    PLB_TRY(find_mark(context, from, &first));
    PLB_TRY(find_mark(context, to, &second));
    PLB__CUDA_TRY(cudaEventElapsedTime, &milliseconds, first, second);
    *seconds_out = 1e-3 * (double)milliseconds;
    return PLB_OK;
}

const struct plb__cuda_work plb__cuda_work = {.find = plb__cuda_operator,
                                              .fusions = plb__cuda_fusions,
                                              .adamw_many = plb_cuda_adamw_many,
                                              .queue = fill_queue,
                                              .copy = copy,
                                              .record = record,
                                              .recorded = recorded,
                                              .replay = replay,
                                              .forget = forget,
                                              .mark = mark,
                                              .mark_now = mark_now,
                                              .elapsed = elapsed};
