/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory policy "sqrt": as "block", with stretches of about sqrt(n) of a model's n blocks in
 * the place of blocks: what they hand on and the inside of one of them take O(sqrt(n)) memory
 * together (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", section 4.1).
 *
 * There is one such plan, whatever the budget.
 */
#include "config.h"

#include "schedulers/memory/common/fates.h"
#include "schedulers/memory/common/fit.h"
#include "schedulers/schedulers.h"

#include <math.h>
#include <stdlib.h>

/* Segments `from` to `to` - 1, those of one forward pass, in about sqrt(n) parts from `part` on.
 * Returns the number after the last part. */
static uint32_t join_pass(uint32_t from, uint32_t to, uint32_t part, uint32_t *into)
{
    uint32_t n = to - from, parts = (uint32_t)lround(sqrt(n));

    for (uint32_t s = from; s < to; s++)
        into[s] = part + (s - from) * parts / n;
    return part + parts;
}

static enum plb_status join(struct plb__fates *fates)
{
    uint32_t *into = malloc(((size_t)fates->n_segments + 1) * sizeof *into), part = 0, from = 0;

    if (!into)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to join %u segments", fates->n_segments);
    for (uint32_t s = 0; s < fates->n_segments; s++) {
        if (!fates->closes[s])
            continue;
        part = join_pass(from, s + 1, part, into);
        from = s + 1;
    }
    plb__fates_join(fates, into);
    free(into);
    return PLB_OK;
}

static enum plb_status propose(const struct plb_problem *problem, size_t target, void *context,
                               struct plb_plan *plan_out)
{
    struct plb__fates *fates;
    enum plb_status status = PLB_OK;

    (void)target;
    (void)context;
    PLB_TRY(plb__fates_create(problem, &fates));
    if (fates->has_blocks)
        status = join(fates);
    plb__fates_checkpoint(fates);
    if (status == PLB_OK)
        status = plb__fates_plan(fates, plan_out);
    plb__fates_destroy(fates);
    return status;
}

static enum plb_status plan_sqrt(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    const struct plb__fit fit = {.propose = propose};

    return plb__fit_plan(problem, &fit, plan_out);
}

const struct plb_memory_policy plb_memory_sqrt = {
    .name = "sqrt",
    .help = "keep only what passes between sqrt(n) stretches of n blocks",
    .plan = plan_sqrt,
};
