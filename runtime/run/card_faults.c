/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What went wrong on a card, found out between steps.
 *
 * A kernel notes the task and the row of an index that is out of range. What there is to say of it
 * the operator's CPU kernel knows: it is run once more on copies of the task's operands, of which
 * indices are still what they were, and fails with the sentence that the CPU would have said.
 */
#include "config.h"

#include "runtime/run/card.h"

#include <stdio.h>
#include <stdlib.h>

#define NOTHING UINT64_MAX

/* Where the session's word lies on the card. */
static uint64_t *word_of(const struct plb_session *s)
{
    return (void *)((char *)s->inputs.address + s->inputs.bytes - PLB__FAULT_BYTES);
}

enum plb_status plb__card_clear_fault(struct plb_session *s)
{
    const struct plb__card *card = s->device->card;
    uint64_t word = NOTHING;

    return card->module->memory->copy(card->context, PLB__CUDA_IN, word_of(s), &word, sizeof word);
}

/* ---- the sentence ---- */

static const struct plb__launch *find_launch(const struct plb_session *s, plb_task_id task)
{
    const struct plb__program *p = s->program;

    for (uint32_t k = 0; k < p->n_launches; k++)
        if (p->launch[k].job && p->launch[k].instruction->subject == task)
            return &p->launch[k];
    return NULL;
}

static enum plb_status copy_cell(const struct plb__card *card, const struct plb__launch *launch,
                                 uint32_t cell, void **copy_out)
{
    const struct plb_tensor *part = &launch->job->invocation.part[cell];
    const struct plb_type type = {part->dtype, part->shape};
    size_t bytes = plb_type_bytes(&type);

    *copy_out = malloc(bytes + 1);
    if (!*copy_out)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to look at a task");
    return card->module->memory->copy(card->context, PLB__CUDA_ASIDE, *copy_out, launch->data[cell],
                                      bytes);
}

/* Fails as the CPU would; PLB_OK: the indices are others by now, or cannot be looked at. */
static enum plb_status run_again(const struct plb_session *s, const struct plb__launch *launch)
{
    const struct plb__invocation *v = &launch->job->invocation;
    void **data = calloc((size_t)v->n_cells + 1, sizeof *data);
    void *scratch = aligned_alloc(64, (v->scratch_bytes + 127) / 64 * 64);
    bool copied = data && scratch;
    enum plb_status status = PLB_OK;

    for (uint32_t j = 0; j < v->n_cells && copied; j++)
        copied = copy_cell(s->device->card, launch, j, &data[j]) == PLB_OK;
    if (copied)
        status = plb__invocation_run(v, data, 0, scratch);
    for (uint32_t j = 0; data && j < v->n_cells; j++)
        free(data[j]);
    free(data);
    free(scratch);
    return status;
}

static void fail_task(struct plb_session *s, plb_task_id task, uint32_t row)
{
    const struct plb__launch *launch = find_launch(s, task);
    enum plb_status status = launch ? run_again(s, launch) : PLB_OK;
    char what[256];

    if (status == PLB_OK)
        status = plb_fail(PLB_ERROR_INVALID, "an index in row %u is out of range", row);
    snprintf(what, sizeof what, "task %s", plb_graph_task(s->cut, task)->name);
    plb__session_fail(s, what, status);
}

/* ---- looking ---- */

void plb__card_look(struct plb_session *s)
{
    const struct plb__card *card = s->device->card;
    uint64_t word = NOTHING;
    enum plb_status status;

    if (plb__session_failed(s) != PLB_OK)
        return;
    status = plb__card_check();
    if (status == PLB_OK)
        status = card->module->memory->copy(card->context, PLB__CUDA_ASIDE, &word, word_of(s),
                                            sizeof word);
    if (status != PLB_OK)
        plb__session_fail(s, "the card", status);
    else if (word != NOTHING)
        fail_task(s, (plb_task_id)(word >> 32), (uint32_t)word);
}
