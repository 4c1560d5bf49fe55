/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tasks of a batch that are enqueued together: updates of parameters that follow one another, and
 * pairs that have a kernel of their own. A step that is measured enqueues task by task.
 */
#include "config.h"

#include "runtime/run/card.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT PLB__CARD_ALIGNMENT

enum { UPDATES_MAX = 64 }; /* at a time */

static const struct plb__instance *instance_of(const struct plb__step *step,
                                               const struct plb__batch *batch, uint32_t k)
{
    return &step->instance[batch->member[k]];
}

static bool is_update(const struct plb__instance *instance)
{
    const struct plb__job *job = instance->launch->job;

    return strcmp(job->kernel->name, "adamw") == 0 &&
           plb__invocation_gather_bytes(&job->invocation, ALIGNMENT) == 0;
}

uint32_t plb__card_together(const struct plb__step *step, const struct plb__batch *batch,
                            uint32_t k)
{
    uint32_t count = 0;

    if (step->measured)
        return 1;
    if (batch->pair && batch->pair[k].fusion)
        return batch->pair[k].distance + 1;
    while (k + count < batch->n && count < UPDATES_MAX &&
           is_update(instance_of(step, batch, k + count)))
        count++;
    return count > 0 ? count : 1;
}

/* ---- calls ---- */

/* Room for the operands of each of n members. */
static size_t largest_frame(const struct plb__step *step, const struct plb__batch *batch,
                            uint32_t k, uint32_t n)
{
    size_t largest = 0;

    for (uint32_t j = k; j < k + n; j++) {
        const struct plb__launch *launch = instance_of(step, batch, j)->launch;
        size_t bytes = plb__invocation_frame_bytes(&launch->job->invocation);

        largest = bytes > largest ? bytes : largest;
    }
    return (largest + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}

/* Of a task that gathers nothing. */
static enum plb_status fill_call(const struct plb__instance *instance, char *memory,
                                 struct plb_call *call_out)
{
    const struct plb__launch *launch = instance->launch;
    struct plb__frame frame = {.frame = memory, .alignment = ALIGNMENT};

    return plb__invocation_fill(&launch->job->invocation, launch->data, instance->step->number,
                                &frame, call_out);
}

/* ---- updates of parameters ---- */

/* Calls that work in place write nothing that another one reads. */
static bool in_place(const struct plb_call *call, const struct plb_operator *op)
{
    for (int k = 0; k < call->n_out; k++) {
        if (call->out[k].n_parts > 0 &&
            call->out[k].part->data != call->in[op->out[k].shares - 1].part->data)
            return false;
    }
    return true;
}

/* `memory` has room for n frames of `each` bytes. */
static enum plb_status run_updates(const struct plb__card *card, const struct plb__step *step,
                                   const struct plb__batch *batch, uint32_t k, uint32_t n,
                                   char *memory, size_t each)
{
    const struct plb__instance *first = instance_of(step, batch, k);
    const struct plb__job *job = first->launch->job;
    struct plb_cuda_queue queue = plb__card_queue(card, first);
    const struct plb_call *list[UPDATES_MAX];
    struct plb_call call[UPDATES_MAX];
    bool together = true;

    for (uint32_t j = 0; j < n; j++) {
        PLB_TRY(fill_call(instance_of(step, batch, k + j), memory + j * each, &call[j]));
        together = together && in_place(&call[j], job->invocation.op);
        list[j] = &call[j];
    }
    if (together)
        return card->module->work->adamw_many(list, (int)n, &queue);
    for (uint32_t j = 0; j < n; j++)
        PLB_TRY(job->kernel->run(list[j], &queue));
    return PLB_OK;
}

/* ---- pairs ---- */

/* What stands between the two follows them. */
static enum plb_status run_pair(const struct plb__card *card, const struct plb__step *step,
                                const struct plb__batch *batch, uint32_t k, char *memory,
                                size_t each)
{
    const struct plb__pair *pair = &batch->pair[k];
    struct plb_cuda_queue queue = plb__card_queue(card, instance_of(step, batch, k));
    struct plb_call first, second;

    PLB_TRY(fill_call(instance_of(step, batch, k), memory, &first));
    PLB_TRY(fill_call(instance_of(step, batch, k + pair->distance), memory + each, &second));
    PLB_TRY(pair->fusion->run(&first, &second, pair->fusion->in, pair->keep, &queue));
    return pair->distance == 1 ? PLB_OK : plb__card_run(card, instance_of(step, batch, k + 1));
}

enum plb_status plb__card_run_together(const struct plb__card *card, const struct plb__step *step,
                                       const struct plb__batch *batch, uint32_t k, uint32_t n)
{
    size_t each = largest_frame(step, batch, k, n);
    char *memory = aligned_alloc(ALIGNMENT, n * each);
    enum plb_status status;

    if (!memory)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the operands of %u tasks", n);
    if (batch->pair && batch->pair[k].fusion)
        status = run_pair(card, step, batch, k, memory, each);
    else
        status = run_updates(card, step, batch, k, n, memory, each);
    free(memory);
    return status;
}
