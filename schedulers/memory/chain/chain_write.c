/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the table of times to a program, and the passes that are kept solved.
 */
#include "config.h"

#include "schedulers/memory/chain/chain_write.h"

#include "runtime/base/hash.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

/* ---- writing ---- */

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

/* ---- solving ---- */

static void destroy(struct plb__chains *chains)
{
    if (!chains)
        return;
    for (uint32_t i = 0; i < chains->n; i++) {
        plb__chain_table_clear(&chains->pass[i].table);
        plb__chain_table_clear(&chains->pass[i].other);
        plb__options_clear(&chains->pass[i].options);
        plb__chain_clear(&chains->pass[i].chain);
    }
    free(chains->pass);
    free(chains->free);
    free(chains);
}

static const struct plb__pass *find_like(const struct plb__chains *chains, uint32_t i)
{
    uint32_t k = 0;

    while (chains->pass[k].chain.signature != chains->pass[i].chain.signature)
        k++;
    return &chains->pass[k];
}

static enum plb_status solve_pass(struct plb__chains *chains, uint32_t i)
{
    struct plb__pass *pass = &chains->pass[i];

    pass->times = &find_like(chains, i)->table;
    PLB_TRY(plb__options_create(&pass->chain, &pass->options));
    if (pass->times != &pass->table)
        return PLB_OK;
    return plb__chain_table_create(&pass->options, NULL, &pass->table);
}

enum plb_status plb__chains_send_away(struct plb__chains *chains,
                                      const struct plb__chain_away *away)
{
    for (uint32_t i = 0; i < chains->n; i++) {
        struct plb__pass *pass = &chains->pass[i];
        const struct plb__pass *like = find_like(chains, i);

        plb__chain_table_clear(&pass->other);
        pass->times = &like->table;
        if (away && like == pass)
            PLB_TRY(plb__chain_table_create(&pass->options, away, &pass->other));
        if (away)
            pass->times = &like->other;
    }
    return PLB_OK;
}

static void gather_free(const plb_graph_t *graph, struct plb__chains *chains)
{
    for (plb_value v = 0; v < plb_graph_values(graph); v++) {
        chains->free[v] = plb_graph_value(graph, v)->producer == PLB_NONE;
        for (uint32_t i = 0; i < chains->n; i++)
            chains->free[v] |= chains->pass[i].chain.free[v];
    }
}

static enum plb_status solve(const struct plb_problem *problem, enum plb__grain grain,
                             struct plb__chains *chains)
{
    plb_task_id begin, middle, end = 0;
    uint32_t count = 0;

    while (plb__chain_next(problem->graph, end, &begin, &middle, &end))
        count++;
    chains->pass = calloc((size_t)count + 1, sizeof *chains->pass);
    chains->free = malloc((size_t)plb_graph_values(problem->graph) + 1);
    if (!chains->pass || !chains->free)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u passes", count);
    for (end = 0; plb__chain_next(problem->graph, end, &begin, &middle, &end); chains->n++) {
        PLB_TRY(plb__chain_create(problem, grain, begin, middle, end,
                                  &chains->pass[chains->n].chain));
        PLB_TRY(solve_pass(chains, chains->n));
    }
    gather_free(problem->graph, chains);
    return PLB_OK;
}

/* ---- keeping what was solved ---- */

enum { KEPT = 6 };

static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static struct plb__chains *kept[KEPT]; /* the latest first */

static uint64_t key_of(const struct plb_problem *problem, uint64_t fingerprint,
                       enum plb__grain grain)
{
    uint64_t key = fingerprint;
    uint32_t kind = (uint32_t)grain << 1 | problem->limits.hold_gradients;

    key = plb_hash_mix(key, &kind, sizeof kind);
    return plb_hash_mix(key, problem->seconds,
                        plb_graph_tasks(problem->graph) * sizeof *problem->seconds);
}

static struct plb__chains *take_kept(uint64_t key)
{
    struct plb__chains *found = NULL;

    pthread_mutex_lock(&kept_lock);
    for (int k = 0; k < KEPT && !found; k++)
        if (kept[k] && kept[k]->key == key) {
            found = kept[k];
            kept[k] = NULL;
        }
    pthread_mutex_unlock(&kept_lock);
    return found;
}

enum plb_status plb__chains_take(const struct plb_problem *problem, enum plb__grain grain,
                                 struct plb__chains **chains_out)
{
    uint64_t fingerprint = plb_graph_fingerprint(problem->graph);
    uint64_t key = key_of(problem, fingerprint, grain);
    struct plb__chains *chains = take_kept(key);
    enum plb_status status = PLB_OK;

    if (!chains) {
        chains = calloc(1, sizeof *chains);
        if (!chains)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for the chains of a graph");
        chains->key = key;
        chains->fingerprint = fingerprint;
        status = solve(problem, grain, chains);
    }
    if (status != PLB_OK) {
        destroy(chains);
        return status;
    }
    for (uint32_t i = 0; i < chains->n; i++)
        chains->pass[i].chain.problem = problem;
    *chains_out = chains;
    return PLB_OK;
}

void plb__chains_give(struct plb__chains *chains)
{
    struct plb__chains *oldest;

    if (!chains)
        return;
    for (uint32_t i = 0; i < chains->n; i++) {
        plb__chain_table_clear(&chains->pass[i].other);
        chains->pass[i].times = &find_like(chains, i)->table;
        chains->pass[i].chain.problem = NULL;
    }
    pthread_mutex_lock(&kept_lock);
    oldest = kept[KEPT - 1];
    for (int k = KEPT - 1; k > 0; k--)
        kept[k] = kept[k - 1];
    kept[0] = chains;
    pthread_mutex_unlock(&kept_lock);
    destroy(oldest);
}
