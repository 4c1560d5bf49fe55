/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The passes of a graph solved, and kept for the next call: see chain_write.h.
 */
#include "config.h"

#include "schedulers/memory/chain/chain_write.h"

#include "runtime/base/hash.h"

#include <pthread.h>
#include <stdlib.h>

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
    free(chains->sizes.free);
    free(chains->sizes.bytes);
    free(chains);
}

static struct plb__pass *find_like(const struct plb__chains *chains, uint32_t i)
{
    uint32_t k = 0;

    while (chains->pass[k].chain.signature != chains->pass[i].chain.signature)
        k++;
    return &chains->pass[k];
}

static void clear_tables(struct plb__chains *chains)
{
    for (uint32_t i = 0; i < chains->n; i++) {
        plb__chain_table_clear(&chains->pass[i].table);
        plb__chain_table_clear(&chains->pass[i].other);
        chains->pass[i].times = NULL;
    }
}

static enum plb_status fill_table(struct plb__chains *chains, const struct plb__pass *pass,
                                  const struct plb__chain_away *away,
                                  struct plb__chain_table *table)
{
    PLB_TRY(plb__chain_table_create(&pass->options, away, table));
    chains->cells += (size_t)table->n_rows * (table->slots + 1);
    return PLB_OK;
}

enum plb_status plb__chains_solve(struct plb__chains *chains, const struct plb__chain_away *away)
{
    for (uint32_t i = 0; i < chains->n; i++) {
        struct plb__pass *pass = &chains->pass[i], *like = find_like(chains, i);

        plb__chain_table_clear(&pass->other);
        if (like == pass && away)
            PLB_TRY(fill_table(chains, pass, away, &pass->other));
        if (like == pass && !away && !pass->table.time)
            PLB_TRY(fill_table(chains, pass, NULL, &pass->table));
        pass->times = away ? &like->other : &like->table;
    }
    return PLB_OK;
}

static void gather_sizes(const plb_graph_t *graph, struct plb__chains *chains)
{
    for (plb_value v = 0; v < plb_graph_values(graph); v++) {
        chains->sizes.bytes[v] = plb_type_bytes(&plb_graph_value(graph, v)->type);
        chains->sizes.free[v] = plb_graph_value(graph, v)->producer == PLB_NONE;
        for (uint32_t i = 0; i < chains->n; i++)
            chains->sizes.free[v] |= chains->pass[i].chain.free[v];
    }
}

/* All that does not depend on seconds, and the options. */
static enum plb_status look_at_graph(const struct plb_problem *problem, enum plb__grain grain,
                                     struct plb__chains *chains)
{
    size_t values = (size_t)plb_graph_values(problem->graph) + 1;
    plb_task_id begin, middle, end = 0;
    uint32_t count = 0;

    while (plb__chain_next(problem->graph, end, &begin, &middle, &end))
        count++;
    chains->pass = calloc((size_t)count + 1, sizeof *chains->pass);
    chains->sizes.free = malloc(values * sizeof *chains->sizes.free);
    chains->sizes.bytes = malloc(values * sizeof *chains->sizes.bytes);
    if (!chains->pass || !chains->sizes.free || !chains->sizes.bytes)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u passes", count);
    for (end = 0; plb__chain_next(problem->graph, end, &begin, &middle, &end);) {
        struct plb__pass *pass = &chains->pass[chains->n];

        PLB_TRY(plb__chain_create(problem, grain, begin, middle, end, &pass->chain));
        chains->n++;
        PLB_TRY(plb__options_create(&pass->chain, &pass->options));
        chains->walked += pass->options.walked;
    }
    gather_sizes(problem->graph, chains);
    return PLB_OK;
}

/* ---- keeping what was solved ---- */

enum { KEPT = 6 };

static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static struct plb__chains *kept[KEPT]; /* the latest first */

static uint64_t key_of(const struct plb_problem *problem, uint64_t fingerprint,
                       enum plb__grain grain)
{
    uint32_t kind = (uint32_t)grain << 1 | problem->limits.hold_gradients;

    return plb_hash_mix(fingerprint, &kind, sizeof kind);
}

/* Takes one of this graph, with these prices if there is such. */
static struct plb__chains *take_kept(uint64_t key, uint64_t prices)
{
    struct plb__chains *found = NULL;
    int at = KEPT;

    pthread_mutex_lock(&kept_lock);
    for (int k = KEPT; k-- > 0;)
        if (kept[k] && kept[k]->key == key &&
            (at == KEPT || kept[at]->prices != prices || kept[k]->prices == prices))
            at = k;
    if (at < KEPT) {
        found = kept[at];
        kept[at] = NULL;
    }
    pthread_mutex_unlock(&kept_lock);
    return found;
}

static void price(struct plb__chains *chains, uint64_t prices)
{
    clear_tables(chains);
    for (uint32_t i = 0; i < chains->n; i++) {
        plb__chain_price(&chains->pass[i].chain);
        plb__options_price(&chains->pass[i].options);
    }
    chains->prices = prices;
}

enum plb_status plb__chains_take(const struct plb_problem *problem, enum plb__grain grain,
                                 struct plb__chains **chains_out)
{
    uint64_t fingerprint = plb_graph_fingerprint(problem->graph);
    uint64_t key = key_of(problem, fingerprint, grain);
    uint64_t prices = plb_hash_mix(key, problem->seconds, plb_graph_tasks(problem->graph) *
                                                              sizeof *problem->seconds);
    struct plb__chains *chains = take_kept(key, prices);
    enum plb_status status = PLB_OK;

    if (chains) {
        for (uint32_t i = 0; i < chains->n; i++)
            chains->pass[i].chain.problem = problem;
    } else {
        chains = calloc(1, sizeof *chains);
        if (!chains)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for the chains of a graph");
        *chains = (struct plb__chains){.key = key, .prices = prices, .fingerprint = fingerprint};
        status = look_at_graph(problem, grain, chains);
    }
    if (status != PLB_OK) {
        destroy(chains);
        return status;
    }
    if (chains->prices != prices)
        price(chains, prices);
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
        chains->pass[i].times = NULL;
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
