/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one interpreter of programs. It knows of each value where its copies are, which is all that
 * the rules are about; bytes are counted afterwards, over the slots that were found (walk_count.c).
 */
#include "config.h"

#include "runtime/plan/walk.h"

#include <stdlib.h>
#include <string.h>

struct walker {
    const struct plb_plan *plan;
    const plb_graph_t *graph;
    struct plb__walk *walk;
    uint32_t *at[PLB_TIERS]; /* per value: the slot of its copy in a tier, or PLB_NONE */
    plb_value *carried;      /* per value: the initial value that it replaces, or PLB_NONE */
    bool *held;              /* per value; NULL: nothing is held */
    uint32_t *keeper_of;     /* per value: the first slot that it was held in, or PLB_NONE */
    bool *ran;               /* per task */
    uint32_t position;
};

static const char *name_of(const struct walker *w, plb_value value)
{
    return plb_graph_value(w->graph, value)->name;
}

static size_t bytes_of(const struct walker *w, plb_value value)
{
    return plb_type_bytes(&plb_graph_value(w->graph, value)->type);
}

/* ---- slots and operands ---- */

static enum plb_status grow_slots(struct plb__walk *walk)
{
    uint32_t capacity = walk->slot_capacity ? 2 * walk->slot_capacity : 256;
    struct plb_slot *slot = realloc(walk->slot, capacity * sizeof *slot);
    uint32_t *keeper;

    if (!slot)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u slots", capacity);
    walk->slot = slot;
    keeper = realloc(walk->keeper, capacity * sizeof *keeper);
    if (!keeper)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u slots", capacity);
    walk->keeper = keeper;
    walk->slot_capacity = capacity;
    return PLB_OK;
}

static enum plb_status push_operand(struct plb__walk *walk, uint32_t slot)
{
    if (walk->n_operands == walk->operand_capacity) {
        uint32_t capacity = walk->operand_capacity ? 2 * walk->operand_capacity : 1024;
        uint32_t *grown = realloc(walk->operand, capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %u operands", capacity);
        walk->operand = grown;
        walk->operand_capacity = capacity;
    }
    walk->operand[walk->n_operands++] = slot;
    return PLB_OK;
}

/* A held value has come into a slot: the slot counts for the whole step, unless the value was held
 * in another one before, whose storage it can then have again. */
static void hold(struct walker *w, plb_value value, uint32_t slot)
{
    uint32_t first = w->keeper_of ? w->keeper_of[value] : PLB_NONE;

    if (!w->held || !w->held[value] || w->walk->keeper[slot] != PLB_NONE)
        return;
    if (first != PLB_NONE && w->walk->slot[first].end <= w->walk->slot[slot].begin) {
        w->walk->keeper[slot] = w->walk->keeper[first];
    } else {
        w->walk->keeper[slot] = slot;
    }
    w->keeper_of[value] = slot;
}

static enum plb_status begin_slot(struct walker *w, plb_value value, enum plb_tier tier,
                                  bool initial)
{
    struct plb__walk *walk = w->walk;
    const struct plb_value_info *info = plb_graph_value(w->graph, value);

    if (walk->n_slots == walk->slot_capacity)
        PLB_TRY(grow_slots(walk));
    walk->slot[walk->n_slots] = (struct plb_slot){.tier = tier,
                                                  .role = info->role,
                                                  .value = value,
                                                  .initial = initial ? value : PLB_NONE,
                                                  .bytes = plb_type_bytes(&info->type),
                                                  .begin = w->position,
                                                  .end = w->plan->n};
    walk->keeper[walk->n_slots] = PLB_NONE;
    w->at[tier][value] = walk->n_slots++;
    if (tier == PLB_DEVICE && !initial)
        hold(w, value, walk->n_slots - 1);
    return PLB_OK;
}

/* ---- RUN ---- */

/* The slot of the input at place j of the task's list, which is operand k, or PLB_NONE. What is not
 * read may lie on the device, too: where it lies does not matter. */
static uint32_t slot_of_input(const struct walker *w, const struct plb_task *task, int k,
                              uint32_t j)
{
    uint32_t slot = w->at[task->tier][task->in[j]];

    if (slot == PLB_NONE && (task->op->in[k].flags & PLB_UNREAD))
        slot = w->at[PLB_DEVICE][task->in[j]];
    return slot;
}

static enum plb_status read_inputs(const struct walker *w, const struct plb_task *task)
{
    for (int k = 0; k < task->n_in; k++)
        for (uint32_t j = task->in_start[k]; j < task->in_start[k + 1]; j++) {
            uint32_t slot = slot_of_input(w, task, k, j);

            if (slot == PLB_NONE)
                return plb_fail(PLB_ERROR_INVALID,
                                "instruction %u: %s reads '%s', which is not there on the %s",
                                w->position, task->name, name_of(w, task->in[j]),
                                plb_tier_name((enum plb_tier)task->tier));
            PLB_TRY(push_operand(w->walk, slot));
        }
    return PLB_OK;
}

static enum plb_status check_outputs(const struct walker *w, const struct plb_task *task)
{
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        if (w->at[task->tier][task->out[j]] != PLB_NONE)
            return plb_fail(PLB_ERROR_INVALID,
                            "instruction %u: %s makes '%s', which is there already", w->position,
                            task->name, name_of(w, task->out[j]));
    return PLB_OK;
}

/* May output k take over storage at all, and whose? */
static enum plb_status check_takes(const struct walker *w, const struct plb_task *task, int k)
{
    int from = task->op->out[k].shares - 1;

    if (from < 0)
        return plb_fail(PLB_ERROR_INVALID,
                        "instruction %u: output '%s' of %s may not take over any input's storage",
                        w->position, task->op->out[k].name, task->name);
    if (from >= task->n_in || task->in_start[from + 1] - task->in_start[from] !=
                                  task->out_start[k + 1] - task->out_start[k])
        return plb_fail(PLB_ERROR_INVALID,
                        "instruction %u: %s has another number of cells in '%s' than in '%s'",
                        w->position, task->name, task->op->in[from].name, task->op->out[k].name);
    return PLB_OK;
}

/* Is the input at place j of the task's list read a second time, at another place? */
static bool is_read_twice(const struct plb_task *task, uint32_t j)
{
    for (uint32_t i = 0; i < task->in_start[task->n_in]; i++)
        if (i != j && task->in[i] == task->in[j])
            return true;
    return false;
}

static enum plb_status take_over(struct walker *w, const struct plb_task *task, uint32_t in_place,
                                 plb_value out)
{
    plb_value in = task->in[in_place];
    uint32_t slot = w->at[task->tier][in];

    if (slot == PLB_NONE)
        return plb_fail(PLB_ERROR_INVALID,
                        "instruction %u: %s takes over '%s', whose storage is already taken",
                        w->position, task->name, name_of(w, in));
    if (is_read_twice(task, in_place))
        return plb_fail(PLB_ERROR_INVALID,
                        "instruction %u: %s takes over '%s', which it still needs as another input",
                        w->position, task->name, name_of(w, in));
    if (bytes_of(w, in) != bytes_of(w, out))
        return plb_fail(PLB_ERROR_INVALID,
                        "instruction %u: '%s' does not fit exactly into the storage of '%s'",
                        w->position, name_of(w, out), name_of(w, in));
    w->at[task->tier][in] = PLB_NONE;
    w->at[task->tier][out] = slot;
    if (task->tier == PLB_DEVICE && w->walk->slot[slot].initial == PLB_NONE)
        hold(w, out, slot);
    return PLB_OK;
}

static enum plb_status make_outputs(struct walker *w, const struct plb_task *task, uint32_t takes)
{
    for (int k = 0; k < task->n_out; k++) {
        bool over = takes & (1u << k);
        uint32_t source = 0;

        if (over) {
            PLB_TRY(check_takes(w, task, k));
            source = task->in_start[task->op->out[k].shares - 1];
        }
        for (uint32_t j = task->out_start[k]; j < task->out_start[k + 1]; j++) {
            if (over)
                PLB_TRY(take_over(w, task, source + j - task->out_start[k], task->out[j]));
            else
                PLB_TRY(begin_slot(w, task->out[j], (enum plb_tier)task->tier, false));
            PLB_TRY(push_operand(w->walk, w->at[task->tier][task->out[j]]));
        }
    }
    return PLB_OK;
}

static enum plb_status walk_run(struct walker *w, const struct plb_instruction *instruction)
{
    const struct plb_task *task = plb_graph_task(w->graph, instruction->subject);

    if (!task)
        return plb_fail(PLB_ERROR_INVALID, "instruction %u runs task %u of %u", w->position,
                        instruction->subject, plb_graph_tasks(w->graph));
    if (task->op->once && w->ran[instruction->subject])
        return plb_fail(PLB_ERROR_INVALID,
                        "instruction %u runs '%s' again, which can run only once in a step",
                        w->position, task->name);
    w->ran[instruction->subject] = true;
    if ((int)instruction->tier != task->tier)
        return plb_fail(PLB_ERROR_INVALID, "instruction %u: %s runs on the %s, not on the %s",
                        w->position, task->name, plb_tier_name((enum plb_tier)task->tier),
                        plb_tier_name(instruction->tier));
    if (task->tier == PLB_DISK)
        return plb_fail(PLB_ERROR_INVALID, "instruction %u: %s cannot work on a disk", w->position,
                        task->name);
    PLB_TRY(read_inputs(w, task));
    PLB_TRY(check_outputs(w, task));
    if (task->n_out < 32 && instruction->takes >> task->n_out)
        return plb_fail(PLB_ERROR_INVALID, "instruction %u: %s has no output %d", w->position,
                        task->name, task->n_out);
    return make_outputs(w, task, instruction->takes);
}

/* ---- OFFLOAD, FETCH, DROP ---- */

static enum plb_status check_subject(const struct walker *w,
                                     const struct plb_instruction *instruction)
{
    const char *verb = plb_opcode_name(instruction->code);

    if (instruction->subject >= plb_graph_values(w->graph))
        return plb_fail(PLB_ERROR_INVALID, "instruction %u: %s of value %u of %u", w->position,
                        verb, instruction->subject, plb_graph_values(w->graph));
    if ((unsigned)instruction->tier >= PLB_TIERS)
        return plb_fail(PLB_ERROR_INVALID, "instruction %u: %s of '%s' names the unknown tier %d",
                        w->position, verb, name_of(w, instruction->subject),
                        (int)instruction->tier);
    return PLB_OK;
}

/* Is the value the last version of one whose home is this tier, and which still lies there? */
static bool comes_home(const struct walker *w, plb_value value, enum plb_tier tier)
{
    plb_value first = w->carried[value];

    return first != PLB_NONE && plb_graph_value(w->graph, first)->home == (int)tier &&
           w->at[tier][first] != PLB_NONE;
}

/* Then it goes where the first version lay. */
static void replace(struct walker *w, plb_value value, enum plb_tier tier)
{
    plb_value first = w->carried[value];

    w->at[tier][value] = w->at[tier][first];
    w->at[tier][first] = PLB_NONE;
}

static enum plb_status walk_move(struct walker *w, const struct plb_instruction *instruction)
{
    bool out = instruction->code == PLB_OFFLOAD;
    enum plb_tier from = out ? PLB_DEVICE : instruction->tier;
    enum plb_tier to = out ? instruction->tier : PLB_DEVICE;
    plb_value value = instruction->subject;
    const char *verb = plb_opcode_name(instruction->code);

    PLB_TRY(check_subject(w, instruction));
    if (from == to)
        return plb_fail(PLB_ERROR_INVALID, "instruction %u: %s of '%s' from the device to itself",
                        w->position, verb, name_of(w, value));
    if (w->at[from][value] == PLB_NONE)
        return plb_fail(PLB_ERROR_INVALID,
                        "instruction %u: %s of '%s', which is not there on the %s", w->position,
                        verb, name_of(w, value), plb_tier_name(from));
    if (w->at[to][value] != PLB_NONE)
        return plb_fail(PLB_ERROR_INVALID,
                        "instruction %u: %s of '%s', which is there already on the %s", w->position,
                        verb, name_of(w, value), plb_tier_name(to));
    PLB_TRY(push_operand(w->walk, w->at[from][value]));
    if (comes_home(w, value, to))
        replace(w, value, to);
    else
        PLB_TRY(begin_slot(w, value, to, false));
    return push_operand(w->walk, w->at[to][value]);
}

static enum plb_status walk_drop(struct walker *w, const struct plb_instruction *instruction)
{
    plb_value value = instruction->subject;
    uint32_t slot;

    PLB_TRY(check_subject(w, instruction));
    slot = w->at[instruction->tier][value];
    if (slot == PLB_NONE)
        return plb_fail(PLB_ERROR_INVALID,
                        "instruction %u drops '%s', which is not there on the %s", w->position,
                        name_of(w, value), plb_tier_name(instruction->tier));
    if (w->walk->slot[slot].initial != PLB_NONE)
        return plb_fail(PLB_ERROR_INVALID,
                        "instruction %u drops '%s', which lives on from step to step", w->position,
                        name_of(w, value));
    w->walk->slot[slot].end = w->position;
    w->at[instruction->tier][value] = PLB_NONE;
    return push_operand(w->walk, slot);
}

/* ---- the program ---- */

static enum plb_status check_lasting(const struct walker *w, plb_value v,
                                     const struct plb_value_info *info)
{
    plb_value last = info->next == PLB_NONE ? v : info->next;
    uint32_t slot = w->at[info->home][last];

    if (slot == PLB_NONE || w->walk->slot[slot].initial != v)
        return plb_fail(PLB_ERROR_INVALID, "at the end '%s' does not lie in the storage of '%s'",
                        name_of(w, last), info->name);
    return PLB_OK;
}

/* What another place waits for. */
static enum plb_status check_transfers(const struct walker *w)
{
    for (plb_task_id t = 0; t < plb_graph_tasks(w->graph); t++) {
        const struct plb_task *task = plb_graph_task(w->graph, t);

        if (task->op->once && !w->ran[t])
            return plb_fail(PLB_ERROR_INVALID, "at the end '%s' has not run", task->name);
    }
    return PLB_OK;
}

static enum plb_status check_end(const struct walker *w)
{
    PLB_TRY(check_transfers(w));
    for (plb_value v = 0; v < plb_graph_values(w->graph); v++) {
        const struct plb_value_info *info = plb_graph_value(w->graph, v);
        uint32_t slot = w->at[PLB_DEVICE][v];

        for (int tier = PLB_DEVICE + 1; tier < PLB_TIERS; tier++)
            if (w->at[tier][v] != PLB_NONE && w->walk->slot[w->at[tier][v]].initial == PLB_NONE)
                return plb_fail(PLB_ERROR_INVALID, "at the end '%s' was not dropped from the %s",
                                info->name, plb_tier_name((enum plb_tier)tier));
        if (info->producer == PLB_NONE)
            PLB_TRY(check_lasting(w, v, info));
        if (info->producer != PLB_NONE && info->output && slot == PLB_NONE)
            return plb_fail(PLB_ERROR_INVALID, "at the end the output '%s' is not there",
                            info->name);
        else if (!info->output && slot != PLB_NONE && w->walk->slot[slot].initial == PLB_NONE)
            return plb_fail(PLB_ERROR_INVALID, "at the end '%s' was not dropped", info->name);
    }
    return PLB_OK;
}

static enum plb_status begin_home(struct walker *w, plb_value value)
{
    const struct plb_value_info *info = plb_graph_value(w->graph, value);

    if (info->next != PLB_NONE)
        w->carried[info->next] = value;
    return begin_slot(w, value, (enum plb_tier)info->home, true);
}

static enum plb_status walk_program(struct walker *w)
{
    for (plb_value v = 0; v < plb_graph_values(w->graph); v++)
        if (plb_graph_value(w->graph, v)->producer == PLB_NONE)
            PLB_TRY(begin_home(w, v));
    for (w->position = 0; w->position < w->plan->n; w->position++) {
        const struct plb_instruction *instruction = &w->plan->instruction[w->position];

        w->walk->in_operand[w->position] = w->walk->n_operands;
        switch (instruction->code) {
        case PLB_RUN:
            PLB_TRY(walk_run(w, instruction));
            break;
        case PLB_DROP:
            PLB_TRY(walk_drop(w, instruction));
            break;
        case PLB_OFFLOAD:
        case PLB_FETCH:
            PLB_TRY(walk_move(w, instruction));
            break;
        default:
            return plb_fail(PLB_ERROR_INVALID, "instruction %u has the unknown code %d",
                            w->position, (int)instruction->code);
        }
    }
    w->walk->in_operand[w->plan->n] = w->walk->n_operands;
    return check_end(w);
}

/* ---- from outside ---- */

void plb__walk_clear(struct plb__walk *walk)
{
    free(walk->slot);
    free(walk->keeper);
    free(walk->in_operand);
    free(walk->operand);
    *walk = (struct plb__walk){0};
}

void plb__held_values(const plb_graph_t *graph, bool *held_out)
{
    memset(held_out, 0, plb_graph_values(graph) * sizeof *held_out);
    for (plb_task_id t = 0; t < plb_graph_tasks(graph); t++) {
        const struct plb_task *task = plb_graph_task(graph, t);

        if (task->phase != PLB_PHASE_UPDATE)
            continue;
        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            plb_task_id producer = plb_graph_value(graph, task->in[j])->producer;

            if (producer != PLB_NONE && plb_graph_task(graph, producer)->phase != PLB_PHASE_UPDATE)
                held_out[task->in[j]] = true;
        }
    }
}

static enum plb_status prepare(struct walker *w, bool hold_gradients)
{
    size_t values = (size_t)plb_graph_values(w->graph) + 1;
    bool ok = true;

    for (int tier = 0; tier < PLB_TIERS; tier++) {
        w->at[tier] = malloc(values * sizeof *w->at[tier]);
        ok = ok && w->at[tier];
    }
    w->carried = malloc(values * sizeof *w->carried);
    w->ran = calloc((size_t)plb_graph_tasks(w->graph) + 1, sizeof *w->ran);
    w->walk->in_operand = malloc(((size_t)w->plan->n + 1) * sizeof *w->walk->in_operand);
    if (hold_gradients) {
        w->held = malloc(values * sizeof *w->held);
        w->keeper_of = malloc(values * sizeof *w->keeper_of);
        ok = ok && w->held && w->keeper_of;
    }
    if (!ok || !w->carried || !w->ran || !w->walk->in_operand)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to follow a plan of %u instructions",
                        w->plan->n);
    for (int tier = 0; tier < PLB_TIERS; tier++)
        memset(w->at[tier], 0xff, values * sizeof *w->at[tier]);
    memset(w->carried, 0xff, values * sizeof *w->carried);
    if (hold_gradients) {
        plb__held_values(w->graph, w->held);
        memset(w->keeper_of, 0xff, values * sizeof *w->keeper_of);
    }
    return PLB_OK;
}

enum plb_status plb__walk(const struct plb_plan *plan, const plb_graph_t *graph,
                          const struct plb_limits *limits, struct plb__walk *walk_out)
{
    const struct plb_limits none = plb_limits_none();
    struct plb__walk walk = {0};
    struct walker w = {.plan = plan, .graph = graph, .walk = &walk};
    enum plb_status status;

    if (!limits)
        limits = &none;
    if (plan->fingerprint != plb_graph_fingerprint(graph))
        return plb_fail(PLB_ERROR_INVALID, "the plan was made for another graph");
    status = prepare(&w, limits->hold_gradients);
    if (status == PLB_OK)
        status = walk_program(&w);
    for (int tier = 0; tier < PLB_TIERS; tier++)
        free(w.at[tier]);
    free(w.carried);
    free(w.held);
    free(w.keeper_of);
    free(w.ran);
    if (status != PLB_OK) {
        plb__walk_clear(&walk);
        return status;
    }
    plb__walk_count(&walk, plan, limits);
    *walk_out = walk;
    return PLB_OK;
}
