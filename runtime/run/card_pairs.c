/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which tasks of a batch have a kernel together: an operator and one that reads its output, from
 * the module's table of such pairs. They follow one another, or one task stands between them (as
 * the gradient of a norm's weights between that of its input and the sum with the residual's),
 * which then comes after both.
 *
 * The plan is as it was: every slot keeps its place and its time, so it need not be known to
 * policies, checker and simulator. What has to be shown here is that the pair's kernel, which reads
 * and writes all at once, does nothing else than the two would one after the other:
 *   - the second writes over nothing that the first reads, but element for element, in an array of
 *     the same shape at the same address, as kernels allow that work in place;
 *   - the second reads nothing that the task between writes, and writes nothing that it uses;
 *   - what goes from one to the other is written unless nobody reads it after the second.
 */
#include "config.h"

#include "runtime/run/card.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of an operand's cell. */
struct cell {
    const struct plb_tensor *tensor; /* without its address */
    const char *data;
    size_t bytes;
};

static struct cell cell_of(const struct plb__launch *launch, uint32_t j)
{
    const struct plb_tensor *tensor = &launch->job->invocation.part[j];
    const struct plb_type type = {tensor->dtype, tensor->shape};

    return (struct cell){tensor, launch->data[j], plb_type_bytes(&type)};
}

/* Input cells come first, then those of the outputs. */
static uint32_t inputs_of(const struct plb__launch *launch)
{
    const struct plb__invocation *v = &launch->job->invocation;

    return v->first[v->n_in];
}

static bool overlap(const struct cell *a, const struct cell *b)
{
    return a->data < b->data + b->bytes && b->data < a->data + a->bytes;
}

static bool same_array(const struct cell *a, const struct cell *b)
{
    return a->data == b->data && a->tensor->dtype == b->tensor->dtype &&
           plb_shape_equal(&a->tensor->shape, &b->tensor->shape);
}

/* Do cells [from, to) of one task share bytes with cells [low, high) of another? */
static bool touch(const struct plb__launch *a, uint32_t from, uint32_t to,
                  const struct plb__launch *b, uint32_t low, uint32_t high, bool in_place)
{
    for (uint32_t i = from; i < to; i++)
        for (uint32_t j = low; j < high; j++) {
            struct cell one = cell_of(a, i), other = cell_of(b, j);

            if (overlap(&one, &other) && !(in_place && same_array(&one, &other)))
                return true;
        }
    return false;
}

/* ---- one pair ---- */

/* Is the first's output what the second reads there, and is it whole? */
static bool joins(const struct plb__launch *first, const struct plb__launch *second, int in)
{
    const struct plb__invocation *v = &first->job->invocation, *w = &second->job->invocation;
    uint32_t from = v->first[v->n_in], to = w->first[in];
    struct cell made, read;

    if (v->first[v->n_in + 1] - from != 1 || w->first[in + 1] - to != 1)
        return false;
    if (plb__invocation_gather_bytes(v, 1) + plb__invocation_gather_bytes(w, 1) > 0)
        return false;
    made = cell_of(first, from);
    read = cell_of(second, to);
    return same_array(&made, &read);
}

/* Nothing else of the second is what the first makes, and it writes where it may. */
static bool may_join(const struct plb__launch *first, const struct plb__launch *second, int in)
{
    uint32_t read = second->job->invocation.first[in], n = inputs_of(second);
    uint32_t made = inputs_of(first), end = first->job->invocation.n_cells;

    return !touch(second, 0, read, first, made, end, false) &&
           !touch(second, read + 1, n, first, made, end, false) &&
           !touch(second, n, second->job->invocation.n_cells, first, 0, made, true);
}

static bool may_wait(const struct plb__launch *between, const struct plb__launch *second)
{
    uint32_t made = inputs_of(between), end = between->job->invocation.n_cells;
    uint32_t n = inputs_of(second);

    return !touch(second, 0, n, between, made, end, false) &&
           !touch(second, n, second->job->invocation.n_cells, between, 0, end, false);
}

static const struct plb_cuda_fusion *fusion_of(const struct plb__card *card,
                                               const struct plb__launch *first,
                                               const struct plb__launch *second)
{
    const struct plb_cuda_fusion *f = card->module->work->fusions;

    for (; f->first; f++)
        if (strcmp(f->first, first->job->kernel->name) == 0 &&
            strcmp(f->second, second->job->kernel->name) == 0 && joins(first, second, f->in) &&
            may_join(first, second, f->in))
            return f;
    return NULL;
}

/* ---- what goes from one to the other ---- */

static bool uses(const struct plb_layout *layout, uint32_t i, uint32_t slot)
{
    for (uint32_t k = layout->in_operand[i]; k < layout->in_operand[i + 1]; k++)
        if (layout->operand[k] == slot)
            return true;
    return false;
}

/* Is the first's output read by anything that comes after the second? */
static bool is_kept(const struct plb__program *p, const struct plb__launch *first,
                    const struct plb__launch *second)
{
    const struct plb_layout *layout = &p->layout;
    uint32_t i = (uint32_t)(first->instruction - p->plan.instruction);
    uint32_t j = (uint32_t)(second->instruction - p->plan.instruction);
    uint32_t slot = layout->operand[layout->in_operand[i] + inputs_of(first)];
    uint32_t end = layout->slot[slot].end;

    for (uint32_t k = inputs_of(second); k < second->job->invocation.n_cells; k++)
        if (layout->operand[layout->in_operand[j] + k] == slot)
            return false; /* the second writes over it */
    if (end == p->plan.n)
        return true;
    for (uint32_t k = i + 1; k < end; k++)
        if (k != j && uses(layout, k, slot))
            return true;
    return false;
}

/* ---- all of them ---- */

static struct plb__pair pair_at(const struct plb__card *card, const struct plb__program *p,
                                const struct plb__batch *batch, uint32_t k)
{
    const struct plb__launch *first = &p->launch[batch->member[k]];

    for (uint32_t distance = 1; distance <= 2 && k + distance < batch->n; distance++) {
        const struct plb__launch *second = &p->launch[batch->member[k + distance]];
        const struct plb_cuda_fusion *fusion = fusion_of(card, first, second);

        if (!fusion || (distance == 2 && !may_wait(&p->launch[batch->member[k + 1]], second)))
            continue;
        return (struct plb__pair){fusion, distance, is_kept(p, first, second)};
    }
    return (struct plb__pair){0};
}

enum plb_status plb__card_pairs(const struct plb__card *card, const struct plb__program *p,
                                struct plb__batches *b)
{
    if (p->session->managed) /* StarPU alone knows where values lie */
        return PLB_OK;
    b->pair = calloc((size_t)p->n_launches + 1, sizeof *b->pair);
    if (!b->pair)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to pair %u instructions", p->n_launches);
    for (uint32_t k = 0; k < b->n; k++) {
        struct plb__batch *batch = &b->batch[k];
        struct plb__pair *pair = &b->pair[batch->member - b->member];
        uint32_t next = 0;

        batch->pair = pair;
        while (next < batch->n) {
            if (p->launch[batch->member[next]].job)
                pair[next] = pair_at(card, p, batch, next);
            next += pair[next].distance + 1;
        }
    }
    return PLB_OK;
}
