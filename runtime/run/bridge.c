/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From one program to the next, without draining what runs.
 *
 * The two have different tokens for the same bytes. Tasks without work, *bridges*, order the users
 * of the new ones after those of the old ones: first every old token is taken for writing, which
 * its readers and writers so far come before; then the new ones are, together with reading the old
 * ones that lie in the same bytes. Neighbouring ranges share a bridge: a submission costs as much
 * as dozens of tokens in one, and what a task waits for too long is its neighbours' bytes, once.
 */
#include "config.h"

#include "runtime/run/run_internal.h"

#include <stdlib.h>

/* Ranges that share a bridge: of the old program, of the new one. */
enum { CLOSED_TOGETHER = 32, OPENED_TOGETHER = 8 };

static struct starpu_codelet codelet = {
    .where = STARPU_NOWHERE, .nbuffers = STARPU_VARIABLE_NBUFFERS, .name = "bridge"};

/* A bridge that is being put together. */
struct bridge {
    struct plb__program *program;
    starpu_data_handle_t *token;
    enum starpu_data_access_mode *mode;
    uint32_t n;
};

static void end_bridge(void *argument)
{
    struct plb__program *program = argument;

    __atomic_sub_fetch(&program->bridges, 1, __ATOMIC_ACQ_REL);
}

static void add(struct bridge *b, starpu_data_handle_t token, enum starpu_data_access_mode mode)
{
    b->token[b->n] = token;
    b->mode[b->n++] = mode;
}

static enum plb_status submit(struct bridge *b)
{
    struct starpu_task *task = plb__task_create(b->token, b->mode, b->n);
    int error;

    if (!task)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a task of %u tokens", b->n);
    task->cl = &codelet;
    task->callback_func = end_bridge;
    task->callback_arg = b->program;
    b->n = 0;
    __atomic_add_fetch(&b->program->bridges, 1, __ATOMIC_ACQ_REL);
    error = starpu_task_submit(task);
    if (!error)
        return PLB_OK;
    __atomic_sub_fetch(&b->program->bridges, 1, __ATOMIC_ACQ_REL);
    task->destroy = 0;
    starpu_task_destroy(task);
    return plb__starpu_failed("starpu_task_submit", error);
}

/* Copies in main memory beside a card are each program's own. */
static bool is_shared(const struct plb__range *range)
{
    return range->tier != PLB_HOST;
}

static enum plb_status close_ranges(struct bridge *b, const struct plb__program *former)
{
    if (former->steps == 0) /* all of its users have ended */
        return PLB_OK;
    for (uint32_t k = 0; k < former->n_ranges; k++) {
        if (is_shared(&former->range[k]))
            add(b, former->range[k].token, STARPU_W);
        if (b->n == CLOSED_TOGETHER)
            PLB_TRY(submit(b));
    }
    return b->n > 0 ? submit(b) : PLB_OK;
}

static bool overlap(const struct plb__range *a, const struct plb__range *b)
{
    return a->tier == b->tier && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

/* Ranges of a program are in order of tier and offset. */
static bool overlaps_any(const struct plb__range *range, const struct plb__range *group, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        if (is_shared(&group[k]) && overlap(range, &group[k]))
            return true;
    return false;
}

static enum plb_status open_ranges(struct bridge *b, const struct plb__program *former,
                                   const struct plb__range *group, uint32_t n)
{
    for (; former; former = former->next)
        for (uint32_t k = 0; k < former->n_ranges && former->steps > 0; k++)
            if (overlaps_any(&former->range[k], group, n))
                add(b, former->range[k].token, STARPU_R);
    if (b->n == 0)
        return PLB_OK;
    for (uint32_t k = 0; k < n; k++)
        add(b, group[k].token, STARPU_W);
    return submit(b);
}

static enum plb_status build(struct bridge *b, struct plb__program *former)
{
    const struct plb__program *program = b->program;

    for (const struct plb__program *p = former; p; p = p->next)
        PLB_TRY(close_ranges(b, p));
    for (uint32_t k = 0; k < program->n_ranges; k += OPENED_TOGETHER) {
        uint32_t n = program->n_ranges - k;

        PLB_TRY(open_ranges(b, former, &program->range[k],
                            n < OPENED_TOGETHER ? n : OPENED_TOGETHER));
    }
    return PLB_OK;
}

enum plb_status plb__program_bridge(struct plb__program *program, struct plb__program *former)
{
    struct bridge b = {.program = program};
    enum plb_status status;
    size_t n = program->n_ranges + 1;

    for (const struct plb__program *p = former; p; p = p->next)
        n += p->n_ranges;
    b.token = malloc(n * sizeof(*b.token));
    b.mode = malloc(n * sizeof(*b.mode));
    if (b.token && b.mode)
        status = build(&b, former);
    else
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to replace a plan of %zu ranges", n - 1);
    free(b.token);
    free(b.mode);
    return status;
}
