/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The grain of tasks: which instructions of a program StarPU gets as one task.
 *
 * Handing a task to a worker and hearing of its end costs a few microseconds on the CPU and tens of
 * them on a card, where a kernel may take less. On a device with one worker tasks run one after the
 * other in the plan's order anyway, so some that follow one another may as well be one, a *batch*.
 * It takes about as long as device->grain_seconds, counted by the times that were measured in the
 * first step of the program, which runs in single tasks.
 *
 * A batch costs no overlap of moves with computing: a RUN that must wait for a move begins one, and
 * a RUN that a move must wait for ends one. So no move conflicts with a batch in whose middle it
 * stands in the plan, and the batch may be submitted where its first RUN stands.
 */
#include "config.h"

#include "runtime/run/card.h"

#include <stdlib.h>
#include <string.h>

/* More make a task of too many tokens for what is left to win. */
#define MEMBERS_MAX 512u

/* ---- where a batch may not go on ---- */

/* Who used the bytes of a token since they were last written. */
struct use {
    uint32_t writer, readers; /* a launch; the first entry in `reader`: PLB_NONE: none */
    bool awaited;             /* a RUN has waited for the writer, and with it all RUNs after it */
};

struct reader {
    uint32_t launch, next;
};

struct edges {
    const struct plb__program *program;
    struct use *use; /* per key */
    struct reader *reader;
    uint32_t n_readers;
    bool *begins, *ends; /* per launch */
};

/* Launch `then` waits for launch `first`. */
static void follow(struct edges *e, uint32_t first, uint32_t then)
{
    bool from_move = !e->program->launch[first].job, to_move = !e->program->launch[then].job;

    if (to_move && !from_move)
        e->ends[first] = true;
    if (from_move && !to_move)
        e->begins[then] = true;
}

static void follow_use(struct edges *e, uint32_t launch, uint32_t buffer)
{
    const struct plb__launch *l = &e->program->launch[launch];
    struct use *use = &e->use[l->key[buffer]];

    if (use->writer != PLB_NONE && !(l->job && use->awaited))
        follow(e, use->writer, launch);
    use->awaited |= l->job != NULL;
    if (!(l->mode[buffer] & STARPU_W)) {
        e->reader[e->n_readers] = (struct reader){launch, use->readers};
        use->readers = e->n_readers++;
        return;
    }
    for (uint32_t k = use->readers; k != PLB_NONE; k = e->reader[k].next)
        follow(e, e->reader[k].launch, launch);
    *use = (struct use){.writer = launch, .readers = PLB_NONE};
}

static void edges_clear(struct edges *e)
{
    free(e->use);
    free(e->reader);
    free(e->begins);
    free(e->ends);
}

static enum plb_status edges_find(const struct plb__program *p, struct edges *edges_out)
{
    struct edges e = {.program = p};
    size_t buffers = 0;

    for (uint32_t k = 0; k < p->n_launches; k++)
        buffers += p->launch[k].n_buffers;
    e.use = malloc(((size_t)p->n_keys + 1) * sizeof *e.use);
    e.reader = malloc((buffers + 1) * sizeof *e.reader);
    e.begins = calloc((size_t)p->n_launches + 1, sizeof *e.begins);
    e.ends = calloc((size_t)p->n_launches + 1, sizeof *e.ends);
    if (!e.use || !e.reader || !e.begins || !e.ends) {
        edges_clear(&e);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to batch %u instructions", p->n_launches);
    }
    for (uint32_t k = 0; k < p->n_keys; k++)
        e.use[k] = (struct use){.writer = PLB_NONE, .readers = PLB_NONE};
    for (uint32_t k = 0; k < p->n_launches; k++)
        for (uint32_t j = 0; j < p->launch[k].n_buffers; j++)
            follow_use(&e, k, j);
    *edges_out = e;
    return PLB_OK;
}

/* ---- batches ---- */

static enum plb_status allocate(const struct plb__program *p, struct plb__batches *b)
{
    b->batch = calloc((size_t)p->n_launches + 1, sizeof *b->batch);
    b->member = malloc(((size_t)p->n_launches + 1) * sizeof *b->member);
    if (b->batch && b->member)
        return PLB_OK;
    plb__batches_clear(b);
    return plb_fail(PLB_ERROR_MEMORY, "no memory to batch %u instructions", p->n_launches);
}

void plb__batches_clear(struct plb__batches *b)
{
    for (uint32_t k = 0; k < b->n && b->own_tokens; k++) {
        free(b->batch[k].token);
        free(b->batch[k].mode);
    }
    free(b->batch);
    free(b->member);
    free(b->pair);
    *b = (struct plb__batches){0};
}

enum plb_status plb__batches_single(const struct plb__program *p, struct plb__batches *batches_out)
{
    struct plb__batches b = {.n = p->n_launches};

    PLB_TRY(allocate(p, &b));
    for (uint32_t k = 0; k < b.n; k++) {
        const struct plb__launch *launch = &p->launch[k];

        b.member[k] = k;
        b.batch[k] = (struct plb__batch){.n = 1,
                                         .member = &b.member[k],
                                         .n_buffers = launch->n_buffers,
                                         .token = launch->token,
                                         .mode = launch->mode};
    }
    *batches_out = b;
    return PLB_OK;
}

/* Gives each launch the number of its batch and counts the members. */
static void assign(const struct plb__program *p, const struct edges *e,
                   const struct plb__grain *grain, struct plb__batches *b, uint32_t *batch_of)
{
    uint32_t open = PLB_NONE;
    double seconds = 0.0;
    bool apart;

    for (uint32_t k = 0; k < p->n_launches; k++) {
        const struct plb__launch *launch = &p->launch[k];

        if (!launch->job) {
            b->batch[batch_of[k] = b->n++].n = 1;
            continue;
        }
        apart = p->session->device->card && plb__card_changes(launch->job);
        if (open == PLB_NONE || e->begins[k] || apart || seconds >= grain->target ||
            b->batch[open].n == MEMBERS_MAX) {
            open = b->n++;
            seconds = 0.0;
        }
        b->batch[batch_of[k] = open].n++;
        seconds += grain->seconds[launch->instruction->subject];
        if (e->ends[k] || apart)
            open = PLB_NONE;
    }
}

static void fill(const struct plb__program *p, const uint32_t *batch_of, struct plb__batches *b)
{
    uint32_t *next = b->member;

    for (uint32_t k = 0; k < b->n; k++) {
        b->batch[k].member = next;
        next += b->batch[k].n;
        b->batch[k].n = 0;
    }
    for (uint32_t k = 0; k < p->n_launches; k++) {
        struct plb__batch *batch = &b->batch[batch_of[k]];

        b->member[batch->member - b->member + batch->n++] = k;
    }
}

/* The tokens of all members, each once. */
static enum plb_status unite(const struct plb__program *p, struct plb__batch *batch,
                             uint32_t *buffer_of_key)
{
    size_t n = 0;

    for (uint32_t i = 0; i < batch->n; i++)
        n += p->launch[batch->member[i]].n_buffers;
    batch->token = malloc((n + 1) * sizeof *batch->token);
    batch->mode = malloc((n + 1) * sizeof *batch->mode);
    if (!batch->token || !batch->mode)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a task of %zu tokens", n);
    for (uint32_t i = 0; i < batch->n; i++) {
        const struct plb__launch *launch = &p->launch[batch->member[i]];

        for (uint32_t j = 0; j < launch->n_buffers; j++) {
            uint32_t *buffer = &buffer_of_key[launch->key[j]];

            if (*buffer >= batch->n_buffers || batch->token[*buffer] != launch->token[j]) {
                *buffer = batch->n_buffers++;
                batch->token[*buffer] = launch->token[j];
                batch->mode[*buffer] = STARPU_NONE;
            }
            batch->mode[*buffer] |= launch->mode[j];
        }
    }
    return PLB_OK;
}

static enum plb_status make_batches(const struct plb__program *p, const struct edges *e,
                                    const struct plb__grain *grain, struct plb__batches *b)
{
    uint32_t *batch_of = malloc(((size_t)p->n_launches + 1) * sizeof *batch_of);
    uint32_t *buffer_of_key = calloc((size_t)p->n_keys + 1, sizeof *buffer_of_key);
    enum plb_status status = PLB_OK;

    if (!batch_of || !buffer_of_key) {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to batch %u instructions", p->n_launches);
    } else {
        assign(p, e, grain, b, batch_of);
        fill(p, batch_of, b);
    }
    for (uint32_t k = 0; k < b->n && status == PLB_OK; k++)
        status = unite(p, &b->batch[k], buffer_of_key);
    free(batch_of);
    free(buffer_of_key);
    return status;
}

enum plb_status plb__batches_make(const struct plb__program *p, const struct plb__grain *grain,
                                  struct plb__batches *batches_out)
{
    struct plb__batches b = {.own_tokens = true};
    struct edges edges = {0};
    enum plb_status status;

    PLB_TRY(edges_find(p, &edges));
    status = allocate(p, &b);
    if (status == PLB_OK)
        status = make_batches(p, &edges, grain, &b);
    if (status == PLB_OK && p->session->device->card)
        status = plb__card_pairs(p->session->device->card, p, &b);
    if (status == PLB_OK && p->session->device->card)
        status = plb__card_recordings(&b);
    edges_clear(&edges);
    if (status == PLB_OK)
        *batches_out = b;
    else
        plb__batches_clear(&b);
    return status;
}
