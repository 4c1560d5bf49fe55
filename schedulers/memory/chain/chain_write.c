/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the table of times to a program.
 */
#include "config.h"

#include "schedulers/memory/chain/chain_write.h"

#include <math.h>

struct chain_writer {
    const struct plb__pass *pass;
    plb_writer_t *writer;
};

static enum plb_status write_blocks(const struct chain_writer *cw, uint32_t a, uint32_t b,
                                    uint32_t m);

static enum plb_status run_tasks(plb_writer_t *writer, plb_task_id from, plb_task_id to)
{
    for (plb_task_id t = from; t < to; t++)
        PLB_TRY(plb_writer_run(writer, t));
    return PLB_OK;
}

static enum plb_status run_forward(const struct chain_writer *cw, uint32_t block)
{
    const struct plb__chain_block *it = &cw->pass->chain.block[block];

    return run_tasks(cw->writer, it->forward, it->forward_end);
}

static enum plb_status run_backward(const struct chain_writer *cw, uint32_t block)
{
    const struct plb__chain_block *it = &cw->pass->chain.block[block];

    for (uint32_t at = it->backward; at < it->backward_end; at++)
        PLB_TRY(plb_writer_run(cw->writer, plb__chain_backward(&cw->pass->chain, at)));
    return PLB_OK;
}

/* Forgets what blocks a to b - 1 made, but for what crosses border `border` or lives on. */
static void forget_blocks(const struct chain_writer *cw, uint32_t a, uint32_t b, uint32_t border)
{
    const struct plb__chain *chain = &cw->pass->chain;

    for (plb_task_id t = chain->block[a].forward; t < chain->block[b - 1].forward_end; t++) {
        const struct plb_task *task = plb_graph_task(chain->problem->graph, t);

        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            if (chain->crosses[task->out[j]] < border)
                plb_writer_forget(cw->writer, task->out[j]);
    }
}

/* Forgets what block a made and an option does not keep. */
static void forget_by_option(const struct chain_writer *cw, uint32_t a,
                             const struct plb__option *option)
{
    const struct plb__chain *chain = &cw->pass->chain;

    for (plb_task_id t = chain->block[a].forward; t < chain->block[a].forward_end; t++) {
        const struct plb_task *task = plb_graph_task(chain->problem->graph, t);

        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            if (chain->crosses[task->out[j]] == a &&
                plb__option_forgets(&cw->pass->options, task->out[j], option))
                plb_writer_forget(cw->writer, task->out[j]);
    }
}

/* What lives beyond the pass is never forgotten, so that it is not made for nothing. */
static enum plb_status write_alone(const struct chain_writer *cw, uint32_t b)
{
    forget_blocks(cw, b, b + 1, cw->pass->chain.n);
    return run_backward(cw, b);
}

static enum plb_status write_keep(const struct chain_writer *cw, uint32_t a, uint32_t b,
                                  const struct plb__chain_choice *choice)
{
    PLB_TRY(run_forward(cw, a));
    forget_by_option(cw, a, &plb__options_of(&cw->pass->options, a)->option[choice->option]);
    if (a < b)
        PLB_TRY(write_blocks(cw, a + 1, b, choice->rest));
    return run_backward(cw, a);
}

static enum plb_status write_skip(const struct chain_writer *cw, uint32_t a, uint32_t b,
                                  const struct plb__chain_choice *choice)
{
    uint32_t j = choice->border;

    for (uint32_t e = a; e < j; e++)
        PLB_TRY(run_forward(cw, e));
    forget_blocks(cw, a, j, j);
    PLB_TRY(write_blocks(cw, j, b, choice->rest));
    forget_blocks(cw, a, j, cw->pass->chain.n);
    return write_blocks(cw, a, j - 1, choice->again);
}

static enum plb_status write_blocks(const struct chain_writer *cw, uint32_t a, uint32_t b,
                                    uint32_t m)
{
    struct plb__chain_choice choice =
        plb__chain_choose(&cw->pass->options, cw->pass->times, a, b, m);

    switch (choice.kind) {
    case PLB__CHAIN_KEEP: return write_keep(cw, a, b, &choice);
    case PLB__CHAIN_SKIP: return write_skip(cw, a, b, &choice);
    case PLB__CHAIN_ALONE: return write_alone(cw, b);
    default:
        return plb_fail(PLB_ERROR_MEMORY,
                        "blocks %u to %u cannot go forward and back in %.0f bytes", a, b,
                        m * cw->pass->times->unit);
    }
}

/* The slots for `target` bytes, but no fewer than the table has a way for: the table counts on the
 * safe side in places, so the least that it knows may yet fit. */
static uint32_t slots_for(const struct plb__pass *pass, size_t target)
{
    size_t beside = pass->chain.background;
    double bytes = target > beside ? (double)(target - beside) : 0.0;
    uint32_t all = pass->times->slots;
    uint32_t slots = bytes > all * pass->times->unit ? all : (uint32_t)(bytes / pass->times->unit);

    while (slots < all && isinf(plb__chain_time(pass->times, 0, pass->chain.n - 1)[slots]))
        slots++;
    return slots;
}

static enum plb_status write_step(const struct plb__chains *chains,
                                  const struct plb_problem *problem, size_t target,
                                  plb_writer_t *writer)
{
    plb_task_id at = 0;

    for (uint32_t i = 0; i < chains->n; i++) {
        const struct plb__pass *pass = &chains->pass[i];
        const struct chain_writer cw = {pass, writer};

        PLB_TRY(run_tasks(writer, at, pass->chain.begin));
        PLB_TRY(write_blocks(&cw, 0, pass->chain.n - 1, slots_for(pass, target)));
        at = pass->chain.end;
    }
    return run_tasks(writer, at, plb_graph_tasks(problem->graph));
}

enum plb_status plb__chains_write(const struct plb__chains *chains,
                                  const struct plb_problem *problem, size_t target,
                                  struct plb_plan *plan_out)
{
    plb_writer_t *writer;
    enum plb_status status;

    PLB_TRY(plb_writer_create(problem->graph, &writer));
    status = write_step(chains, problem, target, writer);
    if (status == PLB_OK)
        status = plb_writer_finish(writer, plan_out);
    if (status == PLB_OK)
        plan_out->fingerprint = chains->fingerprint;
    plb_writer_destroy(writer);
    return status;
}

size_t plb__chains_most(const struct plb__chains *chains)
{
    size_t most = 0;

    for (uint32_t i = 0; i < chains->n; i++) {
        const struct plb__pass *pass = &chains->pass[i];
        size_t bytes =
            pass->chain.background + (size_t)(pass->times->unit * (pass->times->slots + 1));

        most = bytes > most ? bytes : most;
    }
    return most;
}
