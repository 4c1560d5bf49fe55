/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Batches as CUDA graphs.
 *
 * The addresses that a program's tasks work on never change, so what a batch enqueues is the same in
 * every step: the first time it is recorded, and then handed to the card at once, which takes the
 * host one call instead of one for each kernel and leaves smaller gaps between them. It is recorded
 * anew when the worker's scratch memory has moved, as for a session that needs more of it. A task
 * whose kernel depends on the number of the step (dropout) is in no batch; a batch that cannot be
 * recorded is enqueued task by task.
 */
#include "config.h"

#include "runtime/run/card.h"

#include <stdlib.h>

bool plb__card_changes(const struct plb__job *job)
{
    int k = job->invocation.op->step_attribute - 1;

    return k >= 0 && job->invocation.attributes->f[k] > 0.0;
}

static enum plb_status enqueue(const struct plb__card *card, struct plb__step *step,
                               const struct plb__batch *batch)
{
    uint32_t n;

    for (uint32_t k = 0; k < batch->n; k += n) {
        n = plb__card_together(step, batch, k);
        if (n > 1)
            PLB_TRY(plb__card_run_together(card, step, batch, k, n));
        else
            PLB_TRY(plb__card_run(card, &step->instance[batch->member[k]]));
    }
    return PLB_OK;
}

/* Whatever happened while the batch was recorded, nothing of it ran. */
static enum plb_status record(const struct plb__card *card, struct plb__step *step,
                              const struct plb__batch *batch, struct plb__recording *recording)
{
    const struct plb__cuda_work *work = card->module->work;
    struct CUstream_st *stream = plb__card_stream();
    enum plb_status status, ended;

    PLB_TRY(work->record(stream));
    status = enqueue(card, step, batch);
    ended = work->recorded(stream, &recording->graph);
    recording->scratch = plb__runtime_scratch();
    return status == PLB_OK ? ended : status;
}

enum plb_status plb__card_recordings(struct plb__batches *b)
{
    b->recording = calloc((size_t)b->n + 1, sizeof *b->recording);
    if (!b->recording)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to record %u batches", b->n);
    for (uint32_t k = 0; k < b->n; k++)
        b->batch[k].recording = &b->recording[k];
    return PLB_OK;
}

static void forget(const struct plb__card *card, struct plb__recording *recording)
{
    if (recording->graph)
        card->module->work->forget(recording->graph);
    recording->graph = NULL;
}

void plb__card_forget(const struct plb__card *card, struct plb__batches *b)
{
    for (uint32_t k = 0; k < b->n && b->recording; k++)
        forget(card, &b->recording[k]);
    free(b->recording);
    b->recording = NULL;
}

bool plb__card_replay(const struct plb__card *card, struct plb__step *step,
                      const struct plb__batch *batch)
{
    struct plb__recording *recording = batch->recording;

    if (batch->n < 2 || step->measured || !recording || recording->refused)
        return false;
    if (recording->scratch != plb__runtime_scratch())
        forget(card, recording);
    if (!recording->graph && record(card, step, batch, recording) != PLB_OK) {
        recording->refused = true;
        plb_error_clear();
        return false;
    }
    return card->module->work->replay(plb__card_stream(), recording->graph) == PLB_OK;
}
