/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plan made ready to be submitted: tokens for its ranges, addresses, launches; and what orders it
 * after the plan that it replaces.
 */
#include "config.h"

#include "runtime/run/card.h"
#include "runtime/run/starpu_managed.h"

#include <stdlib.h>
#include <string.h>

/* ---- ranges and their tokens ---- */

static int compare_ranges(const void *first, const void *second)
{
    const struct plb_slot *a = *(const struct plb_slot *const *)first;
    const struct plb_slot *b = *(const struct plb_slot *const *)second;

    if (a->tier != b->tier)
        return a->tier < b->tier ? -1 : 1;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    return a->bytes == b->bytes ? 0 : a->bytes < b->bytes ? -1 : 1;
}

/* Those that are not initial values'. */
static uint32_t sort_slots(const struct plb_layout *layout, const struct plb_slot **sorted)
{
    uint32_t n = 0;

    for (uint32_t k = 0; k < layout->n_slots; k++)
        if (layout->slot[k].initial == PLB_NONE)
            sorted[n++] = &layout->slot[k];
    qsort(sorted, n, sizeof *sorted, compare_ranges);
    return n;
}

/* Slots with the same bytes share a range, whose token then orders them. */
static enum plb_status find_ranges(struct plb__program *p, const struct plb_slot **sorted)
{
    uint32_t n = sort_slots(&p->layout, sorted);

    for (uint32_t k = 0; k < p->layout.n_slots; k++)
        p->range_of_slot[k] = PLB_NONE;
    for (uint32_t j = 0; j < n; j++) {
        if (j == 0 || compare_ranges(&sorted[j - 1], &sorted[j]) != 0) {
            struct plb__range *range = &p->range[p->n_ranges];

            *range = (struct plb__range){
                .tier = sorted[j]->tier, .offset = sorted[j]->offset, .bytes = sorted[j]->bytes};
            PLB_TRY(plb__token_take(&p->session->tokens, &range->token));
            p->n_ranges++;
        }
        p->range_of_slot[sorted[j] - p->layout.slot] = p->n_ranges - 1;
    }
    return PLB_OK;
}

uint32_t plb__program_tokens(const struct plb__program *p)
{
    return p->n_ranges + p->n_gates;
}

uint32_t plb__layout_tokens(const struct plb_layout *layout)
{
    const struct plb_slot **sorted = malloc(((size_t)layout->n_slots + 1) * sizeof *sorted);
    uint32_t tokens = 0, n;

    if (!sorted)
        return 0;
    n = sort_slots(layout, sorted);
    for (uint32_t j = 0; j < n; j++)
        tokens += j == 0 || compare_ranges(&sorted[j - 1], &sorted[j]) != 0;
    free(sorted);
    return tokens;
}

/* Left to StarPU, every slot is a variable; which bytes it has is StarPU's affair. */
static void make_variables(struct plb__program *p)
{
    for (uint32_t k = 0; k < p->layout.n_slots; k++) {
        const struct plb_slot *slot = &p->layout.slot[k];

        p->range_of_slot[k] = PLB_NONE;
        if (slot->initial != PLB_NONE)
            continue;
        p->range[p->n_ranges] = (struct plb__range){.bytes = slot->bytes};
        plb__managed_register(&p->range[p->n_ranges].token, NULL, slot->bytes);
        p->range_of_slot[k] = p->n_ranges++;
    }
}

static enum plb_status make_ranges(struct plb__program *p)
{
    size_t n = (size_t)p->layout.n_slots + 1;
    const struct plb_slot **sorted = malloc(n * sizeof *sorted);
    enum plb_status status = PLB_OK;

    p->range = calloc(n, sizeof *p->range);
    p->range_of_slot = malloc(n * sizeof *p->range_of_slot);
    p->rescued = calloc(n, sizeof *p->rescued);
    if (!sorted || !p->range || !p->range_of_slot || !p->rescued) {
        free(sorted);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %zu slots", n - 1);
    }
    if (p->session->managed)
        make_variables(p);
    else
        status = find_ranges(p, sorted);
    free(sorted);
    return status;
}

static starpu_data_handle_t token_of(const struct plb__program *p, uint32_t slot)
{
    plb_value initial = p->layout.slot[slot].initial;

    return initial == PLB_NONE ? p->range[p->range_of_slot[slot]].token
                               : p->session->home[initial].token;
}

struct plb__place plb__program_place(const struct plb__program *p, uint32_t slot)
{
    const struct plb_slot *s = &p->layout.slot[slot];

    if (s->initial != PLB_NONE)
        return p->session->home[s->initial];
    return (struct plb__place){.block = &p->session->arena,
                               .offset = s->offset,
                               .token = token_of(p, slot),
                               .managed = p->session->managed};
}

char *plb__program_address(const struct plb__program *p, uint32_t slot)
{
    const struct plb_slot *s = &p->layout.slot[slot];
    struct plb__place place;

    if (s->initial == PLB_NONE && s->tier == PLB_HOST)
        return p->host + s->offset;
    place = plb__program_place(p, slot);
    return (char *)place.block->address + place.offset;
}

/* ---- launches ---- */

/* Finds the buffer of a token in a launch that is being prepared. */
struct finder {
    uint32_t *buffer_of_slot; /* PLB_NONE between launches */
    uint32_t *key_of_slot;    /* slots of one token have one key */
};

static void add_buffer(struct plb__launch *launch, const struct finder *finder, uint32_t slot,
                       enum starpu_data_access_mode mode)
{
    uint32_t *buffer = &finder->buffer_of_slot[finder->key_of_slot[slot]];

    if (*buffer == PLB_NONE) {
        *buffer = launch->n_buffers++;
        launch->token[*buffer] = token_of(launch->program, slot);
        launch->key[*buffer] = finder->key_of_slot[slot];
        launch->mode[*buffer] = mode;
    } else {
        launch->mode[*buffer] |= mode;
    }
}

static void note_buffers(struct plb__launch *launch, const uint32_t *slot, uint32_t n,
                         const struct finder *finder)
{
    for (uint32_t j = 0; j < n; j++)
        launch->buffer_of[j] = finder->buffer_of_slot[finder->key_of_slot[slot[j]]];
}

static void add_wait(struct plb__launch *launch, const struct finder *finder, uint32_t slot)
{
    const struct plb__program *p = launch->program;
    uint32_t gate = p->gate_of_slot[slot];

    if (gate == PLB_NONE || finder->buffer_of_slot[finder->key_of_slot[slot]] != PLB_NONE) {
        add_buffer(launch, finder, slot, STARPU_W);
        return;
    }
    launch->token[launch->n_buffers] = p->gate[gate].passed;
    launch->key[launch->n_buffers] = p->gate[gate].key;
    launch->mode[launch->n_buffers++] = STARPU_R;
}

/* Has the launch's tokens begin there among those of all. */
static void place_buffers(struct plb__launch *launch, size_t at)
{
    const struct plb__program *p = launch->program;

    launch->token = p->token + at;
    launch->mode = p->mode + at;
    launch->key = p->key + at;
}

/* Tokens of instructions at most, a turn included; those of gates follow. */
static size_t tokens_of(const struct plb__program *p, uint32_t i)
{
    return (size_t)p->layout.in_operand[i] + p->layout.in_wait[i] + i;
}

/* What launches point into, for all of them: to allocate for each takes longer than the rest. */
static enum plb_status make_buffers(struct plb__program *p)
{
    size_t tokens = tokens_of(p, p->plan.n) + 2 * (size_t)p->n_gates + 1;
    size_t operands = (size_t)p->layout.in_operand[p->plan.n] + 1;

    p->token = malloc(tokens * sizeof *p->token);
    p->mode = malloc(tokens * sizeof *p->mode);
    p->key = malloc(tokens * sizeof *p->key);
    p->data = malloc(operands * sizeof *p->data);
    p->buffer_of = malloc(operands * sizeof *p->buffer_of);
    p->drop = malloc(((size_t)p->plan.n + 1) * sizeof *p->drop);
    if (p->token && p->mode && p->key && p->data && p->buffer_of && p->drop)
        return PLB_OK;
    return plb_fail(PLB_ERROR_MEMORY, "no memory for the addresses of %zu cells", operands - 1);
}

/* In order, a RUN waits for the end of the one that its worker's turn was before. */
static void take_turn(struct plb__launch *launch)
{
    struct plb__program *p = launch->program;
    uint32_t turn;

    if (!p->session->in_order || !launch->job)
        return;
    turn = p->n_runs++ % (uint32_t)p->session->device->workers;
    launch->token[launch->n_buffers] = p->session->turn[turn];
    launch->key[launch->n_buffers] = p->n_keys + turn;
    launch->mode[launch->n_buffers++] = STARPU_RW;
}

/* The tokens of what the instruction reads, writes and waits for. */
static enum plb_status prepare_buffers(struct plb__launch *launch, uint32_t i, uint32_t n_read,
                                       const struct finder *finder)
{
    const struct plb_layout *layout = &launch->program->layout;
    uint32_t first = layout->in_operand[i], last = layout->in_operand[i + 1];
    uint32_t wait = layout->in_wait[i], end = layout->in_wait[i + 1];

    place_buffers(launch, tokens_of(launch->program, i));
    for (uint32_t j = first; j < last; j++)
        add_buffer(launch, finder, layout->operand[j], j - first < n_read ? STARPU_R : STARPU_W);
    if (launch->program->session->managed) {
        note_buffers(launch, &layout->operand[first], last - first, finder);
        end = wait; /* StarPU has other bytes */
    }
    for (uint32_t j = wait; j < end; j++)
        add_wait(launch, finder, layout->wait[j]);
    for (uint32_t j = first; j < last; j++)
        finder->buffer_of_slot[finder->key_of_slot[layout->operand[j]]] = PLB_NONE;
    for (uint32_t j = wait; j < end; j++)
        finder->buffer_of_slot[finder->key_of_slot[layout->wait[j]]] = PLB_NONE;
    take_turn(launch);
    if (launch->n_buffers > PLB__TOKENS_MAX)
        return plb_fail(PLB_ERROR_UNAVAILABLE, "an instruction of %u tokens; %d can be had",
                        launch->n_buffers, PLB__TOKENS_MAX);
    return PLB_OK;
}

/* A send reads its one operand, a receive makes its last one. */
static uint32_t prepare_transfer(struct plb__launch *launch, uint32_t i)
{
    struct plb__program *p = launch->program;
    const struct plb_task *task = plb_graph_task(p->session->cut, launch->instruction->subject);
    const uint32_t *slot = &p->layout.operand[p->layout.in_operand[i]];
    uint32_t n_in = task->in_start[task->n_in];
    bool sends = plb_operator_is_send(task->op);
    plb_value value = sends ? task->in[0] : task->out[0];

    launch->transfer = true;
    launch->end = p->n_ends++;
    launch->place = plb__program_place(p, slot[sends ? 0 : n_in]);
    launch->bytes = plb_type_bytes(&plb_graph_value(p->session->cut, value)->type);
    if (!sends)
        p->slot_at_end[value] = slot[n_in];
    return n_in;
}

/* How many of its operands are read. */
static uint32_t prepare_run(struct plb__launch *launch, uint32_t i)
{
    struct plb__program *p = launch->program;
    const struct plb_task *task = plb_graph_task(p->session->cut, launch->instruction->subject);
    const uint32_t *slot = &p->layout.operand[p->layout.in_operand[i]];
    uint32_t n_in = task->in_start[task->n_in], n = n_in + task->out_start[task->n_out];

    if (launch->instruction->tier == PLB_DEVICE) {
        launch->job = &p->session->job[launch->instruction->subject];
    } else {
        launch->beside = &p->session->job[launch->instruction->subject];
        p->n_beside++;
    }
    launch->data = p->data + p->layout.in_operand[i];
    launch->buffer_of = p->buffer_of + p->layout.in_operand[i];
    for (uint32_t j = 0; j < n && !p->session->managed; j++)
        launch->data[j] = plb__program_address(p, slot[j]);
    for (uint32_t j = n_in; j < n; j++)
        p->slot_at_end[task->out[j - n_in]] = slot[j];
    return n_in;
}

static void prepare_move(struct plb__launch *launch, uint32_t i)
{
    struct plb__program *p = launch->program;
    const uint32_t *slot = &p->layout.operand[p->layout.in_operand[i]];
    bool out = launch->instruction->code == PLB_OFFLOAD;
    enum plb_tier tier = launch->instruction->tier;

    launch->slot = slot[out ? 1 : 0];
    launch->place = plb__program_place(p, slot[out ? 0 : 1]);
    launch->bytes = p->layout.slot[launch->slot].bytes;
    if (out)
        p->moved_out[tier] += launch->bytes;
    else
        p->moved_in[tier] += launch->bytes;
    if (!out)
        p->slot_at_end[launch->instruction->subject] = slot[1];
}

static struct plb__launch *new_launch(struct plb__program *p, uint32_t i)
{
    struct plb__launch *launch = &p->launch[p->n_launches];

    launch->program = p;
    launch->instruction = &p->plan.instruction[i];
    launch->index = p->n_launches++;
    return launch;
}

/* Those that stand before instruction i. */
static void prepare_gates(struct plb__program *p, uint32_t i, uint32_t *next)
{
    for (; *next < p->n_gates && p->gate[*next].before == i; (*next)++) {
        const struct plb__gate *gate = &p->gate[*next];
        struct plb__launch *launch = new_launch(p, i);

        place_buffers(launch, tokens_of(p, p->plan.n) + 2 * (size_t)*next);
        launch->gate = true;
        launch->n_buffers = 2;
        launch->token[0] = token_of(p, gate->slot);
        launch->key[0] = p->range_of_slot[gate->slot];
        launch->token[1] = gate->passed;
        launch->key[1] = gate->key;
        launch->mode[0] = launch->mode[1] = STARPU_W;
    }
}

static bool is_transfer(const struct plb__launch *launch)
{
    const struct plb_session *s = launch->program->session;

    return plb_graph_task(s->cut, launch->instruction->subject)->op->once;
}

static enum plb_status prepare_launch(struct plb__program *p, uint32_t i,
                                      const struct finder *finder)
{
    struct plb__launch *launch = new_launch(p, i);
    uint32_t n_read = 1;

    if (launch->instruction->code == PLB_RUN && is_transfer(launch))
        n_read = prepare_transfer(launch, i);
    else if (launch->instruction->code == PLB_RUN)
        n_read = prepare_run(launch, i);
    else
        prepare_move(launch, i);
    return prepare_buffers(launch, i, n_read, finder);
}

/* Left to StarPU, the value of a DROP ends when the instruction before it was submitted. */
static void prepare_drop(struct plb__program *p, uint32_t i)
{
    uint32_t slot = p->layout.operand[p->layout.in_operand[i]];
    struct plb__launch *launch;

    if (!p->session->managed || p->n_launches == 0)
        return;
    launch = &p->launch[p->n_launches - 1];
    if (launch->n_drops == 0)
        launch->drop = &p->drop[p->n_drops];
    launch->drop[launch->n_drops++] = token_of(p, slot);
    p->n_drops++;
}

static enum plb_status prepare_launches(struct plb__program *p, const struct finder *finder)
{
    p->n_keys = p->n_ranges;
    for (uint32_t k = 0; k < p->layout.n_slots; k++)
        finder->key_of_slot[k] =
            p->range_of_slot[k] == PLB_NONE ? p->n_keys++ : p->range_of_slot[k];
    memset(finder->buffer_of_slot, 0xff, ((size_t)p->n_keys + 1) * sizeof *finder->buffer_of_slot);
    for (uint32_t g = 0; g < p->n_gates; g++)
        p->gate[g].key = p->n_keys++;
    for (plb_value v = 0; v < plb_graph_values(p->session->cut); v++)
        p->slot_at_end[v] = PLB_NONE;
    for (uint32_t k = 0; k < p->layout.n_slots; k++)
        if (p->layout.slot[k].initial != PLB_NONE)
            p->slot_at_end[p->layout.slot[k].initial] = k;
    for (uint32_t i = 0, gate = 0; i < p->plan.n; i++) {
        prepare_gates(p, i, &gate);
        if (p->plan.instruction[i].code == PLB_DROP)
            prepare_drop(p, i);
        else
            PLB_TRY(prepare_launch(p, i, finder));
    }
    p->n_keys += p->session->in_order ? (uint32_t)p->session->device->workers : 0;
    return plb__batches_single(p, &p->single);
}

static enum plb_status make_launches(struct plb__program *p)
{
    size_t n = 2 * (size_t)p->layout.n_slots + 2;
    struct finder finder = {malloc(n * sizeof *finder.buffer_of_slot),
                            malloc(n * sizeof *finder.key_of_slot)};
    enum plb_status status;

    p->launch = calloc((size_t)p->plan.n + p->n_gates + 1, sizeof *p->launch);
    p->slot_at_end =
        malloc(((size_t)plb_graph_values(p->session->cut) + 1) * sizeof *p->slot_at_end);
    if (finder.buffer_of_slot && finder.key_of_slot && p->launch && p->slot_at_end)
        status = make_buffers(p);
    else
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to prepare %u instructions", p->plan.n);
    if (status == PLB_OK)
        status = prepare_launches(p, &finder);
    free(finder.buffer_of_slot);
    free(finder.key_of_slot);
    return status;
}

/* What the plan does beyond running each task once. */
static enum plb_status count_again(struct plb__program *p)
{
    bool *ran = calloc((size_t)p->session->n_jobs + 1, sizeof *ran);

    if (!ran)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to count %u tasks", p->session->n_jobs);
    for (uint32_t k = 0; k < p->n_launches; k++) {
        uint32_t task = p->launch[k].instruction->subject;

        if (!p->launch[k].job)
            continue;
        p->again_tasks += ran[task];
        p->again_flops += ran[task] ? p->launch[k].job->flops : 0.0;
        ran[task] = true;
    }
    free(ran);
    return PLB_OK;
}

/* ---- memory in the other tiers ---- */

static enum plb_status take_tiers(struct plb__program *p)
{
    void *host;

    if (p->layout.arena[PLB_DISK] > p->session->disk.bytes) /* former programs may still use it */
        PLB_TRY(plb__disk_resize(p->session->planning.directory, p->layout.arena[PLB_DISK],
                                 &p->session->disk));
    PLB_TRY(plb__memory_map(p->layout.arena[PLB_HOST], "copies in main memory", &host));
    p->host = host;
    p->pinned = plb__pin(p->session->device, host, p->layout.arena[PLB_HOST]);
    return PLB_OK;
}

enum plb_status plb__program_create(struct plb_session *session, struct plb_plan *plan,
                                    struct plb_layout *layout, struct plb__program **program_out)
{
    struct plb__program *p = calloc(1, sizeof *p);
    enum plb_status status;

    if (!p) {
        plb_plan_clear(plan);
        plb_layout_clear(layout);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a program");
    }
    p->session = session;
    p->plan = *plan;
    p->layout = *layout;
    *plan = (struct plb_plan){0};
    *layout = (struct plb_layout){0};
    status = take_tiers(p);
    if (status == PLB_OK)
        status = make_ranges(p);
    if (status == PLB_OK)
        status = plb__gates_make(p);
    if (status == PLB_OK)
        status = make_launches(p);
    if (status == PLB_OK)
        status = count_again(p);
    if (status == PLB_OK)
        status = plb__lanes_start(session, p);
    if (status != PLB_OK) {
        plb__program_destroy(p);
        return status;
    }
    *program_out = p;
    return PLB_OK;
}

void plb__program_destroy(struct plb__program *p)
{
    if (!p)
        return;
    for (uint32_t k = 0; k < p->n_ranges; k++) {
        if (p->session->managed)
            plb__managed_unregister(p->range[k].token, false);
        else
            plb__token_give(&p->session->tokens, p->range[k].token);
    }
    for (uint32_t k = 0; p->rescued && k < p->layout.n_slots; k++)
        plb__rescued_free(p, k);
    plb__gates_clear(p);
    if (p->pinned)
        p->session->device->unpin(p->session->device, p->host);
    plb__memory_unmap(p->host, p->layout.arena[PLB_HOST]);
    if (p->session->device->card)
        plb__card_forget(p->session->device->card, &p->batches);
    plb__batches_clear(&p->single);
    plb__batches_clear(&p->batches);
    free(p->launch);
    free(p->token);
    free(p->mode);
    free(p->key);
    free(p->data);
    free(p->buffer_of);
    free(p->drop);
    free(p->range);
    free(p->range_of_slot);
    free(p->slot_at_end);
    free(p->rescued);
    plb_layout_clear(&p->layout);
    plb_plan_clear(&p->plan);
    free(p);
}
