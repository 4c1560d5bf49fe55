/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of a hybrid plan played for real: see parts.h. */
#include "config.h"

#include "tests/support/parts.h"

#include <stdlib.h>
#include <string.h>

struct playing {
    plb_interpreter_t *interpreter; /* NULL: nothing to do */
    const struct plb_plan *plan;
    uint32_t at; /* the instruction that comes next */
};

struct parts {
    const struct plb_spread *spread;
    uint64_t step;
    struct playing *playing;
    bool *sent;  /* per transfer */
    void **mail; /* per transfer: what was sent */
};

static size_t bytes_of(const plb_graph_t *graph, plb_value value)
{
    return plb_type_bytes(&plb_graph_value(graph, value)->type);
}

static void *memory_of(const struct parts *p, uint32_t place, plb_value value)
{
    return plb_interpreter_memory(p->playing[place].interpreter, value);
}

/* ---- tasks ---- */

static enum plb_status run_task(const struct parts *p, uint32_t place, plb_task_id id)
{
    const struct plb_task *task = plb_graph_task(p->spread->part[place].graph, id);
    uint32_t n_in = task->in_start[task->n_in], n_out = task->out_start[task->n_out];
    void **operand = malloc((n_in + n_out + 1) * sizeof *operand);
    enum plb_status status;

    if (operand == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u operands", n_in + n_out);
    for (uint32_t j = 0; j < n_in; j++)
        operand[j] = memory_of(p, place, task->in[j]);
    for (uint32_t j = 0; j < n_out; j++)
        operand[n_in + j] = memory_of(p, place, task->out[j]);
    status = plb_interpreter_run(p->playing[place].interpreter, id, operand, p->step);
    free(operand);
    return status;
}

/* Tells by `waits_out` that what is to be received is not there yet. */
static enum plb_status play_run(const struct parts *p, uint32_t place, plb_task_id id,
                                bool *waits_out)
{
    const struct plb_part *part = &p->spread->part[place];
    const struct plb_task *task = plb_graph_task(part->graph, id);
    uint32_t k = part->transfer[id];

    if (k == PLB_NONE)
        return run_task(p, place, id);
    if (plb_operator_is_send(task->op)) {
        memcpy(p->mail[k], memory_of(p, place, task->in[0]), p->spread->transfer[k].bytes);
        p->sent[k] = true;
        return PLB_OK;
    }
    *waits_out = !p->sent[k];
    if (p->sent[k])
        memcpy(memory_of(p, place, task->out[0]), p->mail[k], p->spread->transfer[k].bytes);
    return PLB_OK;
}

/* Goes on at a place until it waits; tells how many instructions that were. */
static enum plb_status go_on(const struct parts *p, uint32_t place, uint32_t *done)
{
    struct playing *playing = &p->playing[place];
    bool waits = false;

    for (; playing->at < playing->plan->n; playing->at++, ++*done) {
        const struct plb_instruction *instruction = &playing->plan->instruction[playing->at];

        if (instruction->code == PLB_RUN)
            PLB_TRY(play_run(p, place, instruction->subject, &waits));
        if (waits)
            return PLB_OK;
    }
    return PLB_OK;
}

static enum plb_status play_all(const struct parts *p)
{
    uint32_t done, left;

    do {
        done = left = 0;
        for (uint32_t place = 0; place < p->spread->n_parts; place++) {
            if (p->playing[place].interpreter == NULL)
                continue;
            PLB_TRY(go_on(p, place, &done));
            left += p->playing[place].plan->n - p->playing[place].at;
        }
    } while (left > 0 && done > 0);
    if (left > 0)
        return plb_fail(PLB_ERROR_INVALID, "%u instructions wait for ever", left);
    return PLB_OK;
}

/* ---- values ---- */

static void fill(const struct parts *p, plb_interpreter_t *reference, uint32_t place)
{
    const struct plb_part *part = &p->spread->part[place];

    for (plb_value v = 0; v < plb_graph_values(part->graph); v++) {
        bool initial = plb_graph_value(part->graph, v)->producer == PLB_NONE;

        if (initial)
            memcpy(memory_of(p, place, v), plb_interpreter_memory(reference, part->value[v]),
                   bytes_of(part->graph, v));
        else
            memset(memory_of(p, place, v), 0xff, bytes_of(part->graph, v));
    }
}

/* A value that lives on lies in the reference where the first version did. */
static enum plb_status compare(const struct parts *p, plb_interpreter_t *reference, uint32_t place)
{
    const struct plb_part *part = &p->spread->part[place];

    for (plb_value v = 0; v < plb_graph_values(part->graph); v++) {
        const struct plb_value_info *info = plb_graph_value(part->graph, v);
        plb_value mine = info->next != PLB_NONE ? info->next : v;

        if (!info->output && info->producer != PLB_NONE)
            continue;
        if (memcmp(memory_of(p, place, mine), plb_interpreter_memory(reference, part->value[v]),
                   bytes_of(part->graph, v)) != 0)
            return plb_fail(PLB_ERROR_INVALID, "'%s' has other bits at place %u", info->name,
                            place);
    }
    return PLB_OK;
}

/* ---- all of it ---- */

static enum plb_status prepare(struct parts *p, const struct plb_plan *const *plan)
{
    const struct plb_spread *spread = p->spread;

    p->playing = calloc((size_t)spread->n_parts + 1, sizeof *p->playing);
    p->sent = calloc((size_t)spread->n_transfers + 1, sizeof *p->sent);
    p->mail = calloc((size_t)spread->n_transfers + 1, sizeof *p->mail);
    if (p->playing == NULL || p->sent == NULL || p->mail == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u parts", spread->n_parts);
    for (uint32_t k = 0; k < spread->n_transfers; k++) {
        p->mail[k] = malloc(spread->transfer[k].bytes);
        if (p->mail[k] == NULL)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for a transfer");
    }
    for (uint32_t place = 0; place < spread->n_parts; place++) {
        const struct plb_part *part = &spread->part[place];

        p->playing[place].plan = plan != NULL && plan[place] != NULL ? plan[place] : &part->plan;
        if (part->graph != NULL)
            PLB_TRY(plb_interpreter_create(part->graph, NULL, &p->playing[place].interpreter));
    }
    return PLB_OK;
}

static enum plb_status step_all(struct parts *p, const struct plb_plan *const *plan,
                                plb_interpreter_t *reference)
{
    PLB_TRY(prepare(p, plan));
    for (uint32_t place = 0; place < p->spread->n_parts; place++)
        if (p->playing[place].interpreter != NULL)
            fill(p, reference, place);
    PLB_TRY(play_all(p));
    PLB_TRY(plb_interpreter_step(reference, p->step));
    for (uint32_t place = 0; place < p->spread->n_parts; place++)
        if (p->playing[place].interpreter != NULL)
            PLB_TRY(compare(p, reference, place));
    return PLB_OK;
}

enum plb_status parts_step(const struct plb_spread *spread,
                           const struct plb_plan *const *plan, plb_interpreter_t *reference,
                           uint64_t step)
{
    struct parts p = {.spread = spread, .step = step};
    enum plb_status status = step_all(&p, plan, reference);

    for (uint32_t place = 0; p.playing != NULL && place < spread->n_parts; place++)
        plb_interpreter_destroy(p.playing[place].interpreter);
    for (uint32_t k = 0; p.mail != NULL && k < spread->n_transfers; k++)
        free(p.mail[k]);
    free(p.playing);
    free(p.sent);
    free(p.mail);
    return status;
}
