/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory policy "block": of each of the model's blocks only what it reads of other blocks is
 * kept, all else is made again when the backward pass comes to the block. This is what frameworks
 * do when a layer is "checkpointed" (full activation recomputation in Megatron's terms; Korthikanti
 * et al. 2023, "Reducing Activation Recomputation in Large Transformer Models", section 5). What
 * the last block makes stays, for its backward pass follows at once.
 *
 * There is one such plan, whatever the budget. For a model without blocks it is that of "sqrt".
 */
#include "config.h"

#include "schedulers/memory/common/fates.h"
#include "schedulers/memory/common/fit.h"
#include "schedulers/schedulers.h"

static enum plb_status propose(const struct plb_problem *problem, size_t target, void *context,
                               struct plb_plan *plan_out)
{
    struct plb__fates *fates;
    enum plb_status status;

    (void)target;
    (void)context;
    PLB_TRY(plb__fates_create(problem, &fates));
    plb__fates_checkpoint(fates);
    status = plb__fates_plan(fates, plan_out);
    plb__fates_destroy(fates);
    return status;
}

static enum plb_status plan_block(const struct plb_problem *problem, struct plb_plan *plan_out)
{
    const struct plb__fit fit = {.propose = propose};

    return plb__fit_plan(problem, &fit, plan_out);
}

const struct plb_memory_policy plb_memory_block = {
    .name = "block",
    .help = "keep only the inputs of blocks, make the rest again",
    .plan = plan_block,
};
