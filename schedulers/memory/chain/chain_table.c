/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filling the table of times, and reading decisions from it.
 *
 * A decision is not stored: it is the candidate that gives the time that stands in the table, which
 * is found again for the few states on the way through a plan.
 */
#include "config.h"

#include "schedulers/memory/chain/chain_table.h"

#include "runtime/base/hash.h"

#include <math.h>
#include <stdlib.h>

/* Steps of the inner loop that filling a table may take, and the bounds of its resolution. */
#define STEPS_MOST 1e8
enum { SLOTS_MOST = 1500, SLOTS_LEAST = 100 };

/* One way to go on: from `least` slots it takes `seconds` and leaves m - taken for `next`, and
 * m - held for `after`, where there are such. */
struct candidate {
    uint32_t least, taken, held;
    float seconds;
    const float *next, *after;
    struct plb__chain_choice choice;
};

struct filler {
    const struct plb__options *options;
    const struct plb__chain *chain;
    struct plb__chain_table *table;
    size_t held[PLB__CHAIN_BLOCKS_MAX + 1]; /* bytes of gradients made in blocks i and above */
    size_t late[PLB__CHAIN_BLOCKS_MAX];     /* of those to be away, not yet when block i begins */
};

static uint32_t slots_of(const struct plb__chain_table *table, size_t bytes)
{
    double slots = floor((double)bytes / table->unit + 0.5);

    return slots > (double)table->slots ? table->slots + 1 : (uint32_t)slots;
}

/* Bytes in use beside the chain's when block e runs forward on the way to block b: the gradient that
 * waits or, the first time, what is still on its way out. */
static size_t waiting(const struct filler *f, uint32_t e, uint32_t b)
{
    return f->chain->block[b].incoming + (b + 1 == f->chain->n ? f->late[e] : 0);
}

/* Bytes of gradients that blocks a to b make for after the pass: all who go back through lower blocks
 * hold them, and find so much less. */
static size_t gradients(const struct filler *f, uint32_t a, uint32_t b)
{
    return f->held[a] - f->held[b + 1];
}

static size_t greater(size_t a, size_t b)
{
    return a > b ? a : b;
}

static struct candidate keep(const struct filler *f, uint32_t a, uint32_t b, uint32_t o)
{
    const struct plb__option *option = &plb__options_of(f->options, a)->option[o];
    size_t saved = option->saved + (a < b ? plb__chain_over(f->chain, a, a + 1, b) : 0);
    size_t peak = greater(option->forward_peak + waiting(f, a, b),
                          option->backward_peak + gradients(f, a + 1, b));
    struct candidate c = {
        .least = slots_of(f->table, greater(peak, saved)),
        .taken = slots_of(f->table, saved),
        .seconds = (float)(f->chain->block[a].seconds + option->seconds),
        .next = a < b ? plb__chain_time(f->table, a + 1, b) : NULL,
        .choice = {.kind = PLB__CHAIN_KEEP, .option = o},
    };

    if (c.least < c.taken)
        c.least = c.taken;
    return c;
}

static struct candidate alone(const struct filler *f, uint32_t b)
{
    const struct plb__block_options *options = plb__options_of(f->options, b);

    return (struct candidate){
        .least = slots_of(f->table, options->alone_peak),
        .seconds = (float)options->alone_seconds,
        .choice = {.kind = PLB__CHAIN_ALONE},
    };
}

/* `peak` and `seconds` are those of the blocks from a up to j - 1 (see below). */
static struct candidate skip(const struct filler *f, uint32_t a, uint32_t j, uint32_t b,
                             size_t peak, double seconds)
{
    struct candidate c = {
        .least = slots_of(f->table, peak),
        .taken = slots_of(f->table, plb__chain_over(f->chain, a, j, b)),
        .held = slots_of(f->table, gradients(f, j, b)),
        .seconds = (float)seconds,
        .next = plb__chain_time(f->table, j, b),
        .after = plb__chain_time(f->table, a, j - 1),
        .choice = {.kind = PLB__CHAIN_SKIP, .border = j},
    };

    if (c.least < c.taken)
        c.least = c.taken;
    if (c.least < c.held)
        c.least = c.held;
    return c;
}

/* Calls `look` for every candidate of (a, b). */
static void for_each(const struct filler *f, uint32_t a, uint32_t b,
                     void (*look)(void *context, const struct candidate *c), void *context)
{
    uint32_t n_options = plb__options_of(f->options, a)->n;
    size_t peak = 0;
    double seconds = 0.0;
    struct candidate c;

    if (a == b && b + 1 < f->chain->n) {
        c = alone(f, b);
        look(context, &c);
        return;
    }
    for (uint32_t o = 0; o < n_options; o++) {
        c = keep(f, a, b, o);
        look(context, &c);
    }
    for (uint32_t j = a + 1; j <= b; j++) {
        peak = greater(peak, plb__chain_over(f->chain, a, j - 1, b) + waiting(f, j - 1, b) +
                                 plb__options_of(f->options, j - 1)->once_peak);
        seconds += f->chain->block[j - 1].seconds;
        c = skip(f, a, j, b, peak, seconds);
        look(context, &c);
    }
}

/* A row of the table that is being filled. */
struct row {
    float *time;
    uint32_t slots, within;
};

static void lower_alone(float *restrict time, uint32_t n, float seconds)
{
    for (uint32_t i = 0; i < n; i++)
        time[i] = seconds < time[i] ? seconds : time[i];
}

static void lower_next(float *restrict time, uint32_t n, float seconds, const float *restrict next)
{
    for (uint32_t i = 0; i < n; i++) {
        float t = seconds + next[i];

        time[i] = t < time[i] ? t : time[i];
    }
}

static void lower_both(float *restrict time, uint32_t n, float seconds, const float *restrict next,
                       const float *restrict after)
{
    for (uint32_t i = 0; i < n; i++) {
        float t = seconds + next[i] + after[i];

        time[i] = t < time[i] ? t : time[i];
    }
}

static void lower_row(void *context, const struct candidate *c)
{
    const struct row *row = context;
    uint32_t from = c->least, split = row->within + 1 > from ? row->within + 1 : from;

    if (from > row->slots || (c->after && c->held > row->within))
        return;
    if (!c->next) {
        lower_alone(row->time + from, row->slots + 1 - from, c->seconds);
    } else if (!c->after) {
        lower_next(row->time + from, row->slots + 1 - from, c->seconds,
                   c->next + (from - c->taken));
    } else {
        lower_both(row->time + from, split - from, c->seconds, c->next + (from - c->taken),
                   c->after + (from - c->held));
        lower_next(row->time + split, row->slots + 1 - split,
                   c->seconds + c->after[row->within - c->held], c->next + (split - c->taken));
    }
}

static void prepare(struct filler *f)
{
    double left = (double)f->table->away.bytes;

    f->held[f->chain->n] = 0;
    for (uint32_t e = f->chain->n; e-- > 0;)
        f->held[e] = f->held[e + 1] + f->chain->block[e].gradients;
    for (uint32_t e = 0; e < f->chain->n; e++) {
        f->late[e] = left > 0.0 ? (size_t)left : 0;
        left -= f->table->away.rate * f->chain->block[e].seconds;
    }
}

/* ---- rows that are alike ---- */

/* What the row of blocks a to b depends on, but for what those of a + 1 to b and of a to b - 1 do. */
static uint64_t mix_row(const struct filler *f, uint32_t a, uint32_t b, const uint64_t *key)
{
    size_t over[PLB__CHAIN_BLOCKS_MAX];
    bool last = b + 1 == f->chain->n;
    uint64_t parts[6] = {f->chain->block[a].like, f->chain->block[b].like, last,
                         last ? f->late[a] : 0};

    if (a < b) {
        parts[4] = key[plb__chain_pair(a + 1, b)];
        parts[5] = key[plb__chain_pair(a, b - 1)];
    }
    for (uint32_t k = a + 1; k <= b; k++)
        over[k - a - 1] = plb__chain_over(f->chain, a, k, b);
    return plb_hash_mix(plb_hash_mix(b - a, parts, sizeof parts), over, (b - a) * sizeof *over);
}

/* Numbers the rows: those that depend on the same have the same number, the next free one where
 * there is no such yet. Between like blocks that is most of them. `key` has room for all pairs. */
static void number_rows(struct filler *f, uint64_t *key)
{
    uint32_t *row = f->table->row;

    for (uint32_t length = 0; length < f->chain->n; length++)
        for (uint32_t a = 0; a + length < f->chain->n; a++) {
            uint32_t pair = plb__chain_pair(a, a + length), other = 0;

            key[pair] = mix_row(f, a, a + length, key);
            while (other < a && key[plb__chain_pair(other, other + length)] != key[pair])
                other++;
            row[pair] = other < a ? row[plb__chain_pair(other, other + length)]
                                  : f->table->n_rows++;
        }
}

static enum plb_status prepare_rows(struct filler *f)
{
    struct plb__chain_table *table = f->table;
    size_t pairs = (size_t)table->n * (table->n + 1) / 2;
    uint64_t *key = malloc(pairs * sizeof *key);

    table->row = malloc(pairs * sizeof *table->row);
    if (key && table->row)
        number_rows(f, key);
    free(key);
    table->time = malloc((size_t)table->n_rows * (table->slots + 1) * sizeof *table->time);
    if (table->n_rows > 0 && table->time)
        return PLB_OK;
    plb__chain_table_clear(table);
    return plb_fail(PLB_ERROR_MEMORY, "no memory for a table of %u blocks times %u slots",
                    f->chain->n, table->slots);
}

/* Rows are numbered in the order in which they are needed. */
static void fill(struct filler *f)
{
    uint32_t filled = 0;

    for (uint32_t length = 0; length < f->chain->n; length++)
        for (uint32_t a = 0; a + length < f->chain->n; a++) {
            struct row row = {plb__chain_time(f->table, a, a + length), f->table->slots,
                              f->table->within};

            if (f->table->row[plb__chain_pair(a, a + length)] != filled)
                continue;
            filled++;
            for (uint32_t m = 0; m <= row.slots; m++)
                row.time[m] = INFINITY;
            for_each(f, a, a + length, lower_row, &row);
        }
}

/* Bytes with which nothing needs to run again: beyond them the table has nothing to say. */
static size_t greatest_use(const struct filler *f)
{
    size_t saved = 0, peak = 0;

    for (uint32_t e = 0; e < f->chain->n; e++) {
        const struct plb__option *most = &plb__options_of(f->options, e)->option[0];

        peak = greater(peak, saved + greater(most->forward_peak,
                                             most->backward_peak + f->held[e + 1]));
        saved += most->saved +
                 (e + 1 < f->chain->n ? plb__chain_over(f->chain, e, e + 1, f->chain->n - 1) : 0);
    }
    return greater(peak, saved) + f->held[0] + f->table->away.bytes + 1;
}

static uint32_t resolution(const struct filler *f)
{
    double n = f->chain->n, steps = 0.0;

    for (uint32_t e = 0; e < f->chain->n; e++)
        steps += (plb__options_of(f->options, e)->n + n / 3.0) * (n - e);
    steps = STEPS_MOST / (steps + 1.0);
    return steps > SLOTS_MOST ? SLOTS_MOST : steps < SLOTS_LEAST ? SLOTS_LEAST : (uint32_t)steps;
}

enum plb_status plb__chain_table_create(const struct plb__options *options,
                                        const struct plb__chain_away *away,
                                        struct plb__chain_table *table_out)
{
    struct plb__chain_table table = {.n = options->chain->n};
    struct filler f = {.options = options, .chain = options->chain, .table = &table};

    if (away)
        table.away = *away;
    prepare(&f);
    table.slots = resolution(&f);
    /* A twentieth more, so that rounding does not make the last step infeasible. */
    table.unit = 1.05 * (double)greatest_use(&f) / table.slots;
    table.within = away ? slots_of(&table, away->device) : table.slots;
    if (table.within > table.slots)
        table.within = table.slots;
    PLB_TRY(prepare_rows(&f));
    fill(&f);
    *table_out = table;
    return PLB_OK;
}

void plb__chain_table_clear(struct plb__chain_table *table)
{
    free(table->time);
    free(table->row);
    *table = (struct plb__chain_table){.n = 0};
}

struct chooser {
    uint32_t m, within;
    float time;
    struct plb__chain_choice best;
};

static void consider(void *context, const struct candidate *c)
{
    struct chooser *chooser = context;
    float time;

    if (c->least > chooser->m || (c->after && c->held > chooser->within))
        return;
    time = c->seconds + (c->next ? c->next[chooser->m - c->taken] : 0.0f) +
           (c->after ? c->after[chooser->within - c->held] : 0.0f);
    if (!(time < chooser->time))
        return;
    chooser->time = time;
    chooser->best = c->choice;
    chooser->best.rest = chooser->m - c->taken;
    chooser->best.again = chooser->within - c->held;
}

struct plb__chain_choice plb__chain_choose(const struct plb__options *options,
                                           const struct plb__chain_table *table, uint32_t a,
                                           uint32_t b, uint32_t m)
{
    struct plb__chain_table readable = *table;
    struct filler f = {.options = options, .chain = options->chain, .table = &readable};
    struct chooser chooser = {.m = m,
                              .within = m < table->within ? m : table->within,
                              .time = INFINITY, .best = {.kind = PLB__CHAIN_NONE}};

    prepare(&f);
    for_each(&f, a, b, consider, &chooser);
    return chooser.best;
}
