/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From an instance of a task to kernels on a stream.
 *
 * The scratch memory of a worker is laid out as: the workspace of products, the kernel's own
 * scratch memory, the buffers of gathered operands. The operands themselves, as kernels' host code
 * sees them, lie in main memory.
 */
#include "config.h"

#include "runtime/run/card.h"

#include <stdlib.h>

#define ALIGNMENT PLB__CARD_ALIGNMENT

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}

enum plb_status plb__card_prepare(const struct plb__card *card, const plb_graph_t *graph,
                                  plb_task_id id, struct plb__job *job)
{
    const struct plb_task *task = plb_graph_task(graph, id);
    struct plb_task_types types;

    job->kernel = card->module->work->find(task->op->name);
    if (!job->kernel)
        return plb_fail(PLB_ERROR_UNAVAILABLE, "operator '%s' has no kernel for CUDA cards",
                        task->op->name);
    plb_task_get_types(graph, task, &types);
    job->kernel_scratch = job->kernel->scratch ? job->kernel->scratch(&types) : 0;
    return PLB_OK;
}

size_t plb__card_scratch(const struct plb__card *card, const struct plb__job *job)
{
    return aligned(card->workspace_bytes) + aligned(job->kernel_scratch) +
           plb__invocation_gather_bytes(&job->invocation, ALIGNMENT);
}

struct plb_cut_options plb__card_cut(const struct plb_cut_options *asked)
{
    const double forever = 1e9;
    struct plb_cut_options cut = *asked;

    if (cut.target_seconds == 0.0)
        cut.target_seconds = forever;
    if (cut.block_elements == 0)
        cut.block_elements = INT64_MAX;
    return cut;
}

/* Of a multiprocessor in a cycle: products of f32 by its 128 lanes, of bf16 by its tensor cores (by
 * the data sheets of A100 and H100 at their sizes and clocks). */
#define CLOCK                1.4e9
#define FLOPS_F32            256.0
#define FLOPS_TENSOR_80      2048.0
#define FLOPS_TENSOR_90      4096.0
#define BYTES_PER_SECOND_80  1.5e12
#define BYTES_PER_SECOND_90  3.3e12
#define SECONDS_OF_A_TASK    20e-6

void plb__card_rates(const struct plb__card *card, struct plb_platform *platform)
{
    double cycles = CLOCK * card->multiprocessors;
    bool hopper = card->capability >= 90;
    double tensor = cycles * (hopper ? FLOPS_TENSOR_90 : FLOPS_TENSOR_80);

    platform->flops_per_second[PLB_BF16] = tensor;
    platform->flops_per_second[PLB_F32] = card->tf32 ? tensor / 2 : cycles * FLOPS_F32;
    platform->bytes_per_second = hopper ? BYTES_PER_SECOND_90 : BYTES_PER_SECOND_80;
    platform->task_seconds = SECONDS_OF_A_TASK;
}

/* ---- a call ---- */

struct copies {
    const struct plb__cuda_work *work;
    struct CUstream_st *stream;
};

static enum plb_status copy_rows(void *argument, void *to, size_t to_pitch, const void *from,
                                 size_t from_pitch, size_t width, size_t rows)
{
    const struct copies *copies = argument;
    const struct plb__cuda_rectangle rectangle = {to, from, to_pitch, from_pitch, width, rows};

    return copies->work->copy(copies->stream, &rectangle);
}

struct plb_cuda_queue plb__card_queue(const struct plb__card *card,
                                      const struct plb__instance *instance)
{
    const struct plb_session *s = instance->step->session;
    struct plb_cuda_queue queue;

    card->module->work->queue(card->context, plb__card_stream(), &queue);
    queue.workspace = plb__runtime_scratch();
    queue.workspace_bytes = card->workspace_bytes;
    queue.tf32 = card->tf32;
    queue.fault = (void *)((char *)s->inputs.address + s->inputs.bytes - PLB__FAULT_BYTES);
    queue.tag = instance->launch->instruction->subject;
    return queue;
}

static enum plb_status call_kernel(const struct plb__card *card,
                                   const struct plb__instance *instance, void *memory)
{
    const struct plb__job *job = instance->launch->job;
    struct plb_cuda_queue queue = plb__card_queue(card, instance);
    char *scratch = (char *)queue.workspace + aligned(card->workspace_bytes);
    struct copies copies = {card->module->work, queue.stream};
    const struct plb__copier copier = {copy_rows, &copies};
    struct plb__frame frame = {.frame = memory,
                               .copier = &copier,
                               .buffer = scratch + aligned(job->kernel_scratch),
                               .alignment = ALIGNMENT};
    struct plb_call call;

    PLB_TRY(plb__invocation_fill(&job->invocation, instance->launch->data, instance->step->number,
                                 &frame, &call));
    call.scratch = scratch;
    return job->kernel->run(&call, &queue);
}

enum plb_status plb__card_run(const struct plb__card *card, const struct plb__instance *instance)
{
    size_t bytes = plb__invocation_frame_bytes(&instance->launch->job->invocation);
    _Alignas(64) char few[4096];
    char *memory = bytes > sizeof few ? malloc(bytes) : few;
    enum plb_status status = PLB_OK;

    if (!memory)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the operands of a task");
    if (instance->step->measured)
        status = plb__card_mark(card, instance, false);
    if (status == PLB_OK)
        status = call_kernel(card, instance, memory);
    if (status == PLB_OK && instance->step->measured)
        status = plb__card_mark(card, instance, true);
    if (memory != few)
        free(memory);
    return status;
}
