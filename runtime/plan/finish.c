/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a draft (RUN, OFFLOAD, FETCH) to a plan.
 *
 * The draft is walked backwards once. A copy is *wanted* when a later instruction uses it before
 * it is made again; an instruction that uses a copy which is not wanted is its last use, and the
 * copy ends there. Moves that nobody wants, and second runs that make nothing wanted, are left out.
 * Then the plan is written forwards, with a DROP after each last use, or, where the operator
 * permits it, an output that takes over the storage of the input which ends.
 *
 * A draft treats parameters and state as always there. Those whose home is another tier come and go
 * by moves that are put in first (page.c).
 */
#include "runtime/plan/page.h"
#include "runtime/plan/writer.h"

#include <stdlib.h>
#include <string.h>

/* A copy that ends after an instruction. */
struct ending {
    uint32_t instruction;
    plb_value value;
    enum plb_tier tier;
};

struct finisher {
    const plb_graph_t *graph;
    const struct plb_plan *draft;
    struct plb_plan plan;
    uint8_t *wanted;       /* per value: bit per tier */
    bool *skipped;         /* per instruction of the draft */
    uint32_t *first_run;   /* per task: its first RUN in the draft */
    struct ending *ending; /* from last to first */
    uint32_t n_endings, capacity;
    uint32_t *ends_at; /* per value: the instruction being written, when its copy ends there */
    plb_value *home;   /* per value: the initial value in whose storage on the device it lies, or
                          PLB_NONE */
    bool *leaving;     /* per value: it has been offloaded since it was made */
};

static enum plb_status push_ending(struct finisher *f, uint32_t instruction, plb_value value,
                                   enum plb_tier tier)
{
    if (f->n_endings == f->capacity) {
        uint32_t capacity = f->capacity ? 2 * f->capacity : 1024;
        struct ending *grown = realloc(f->ending, capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %u endings of values", capacity);
        f->ending = grown;
        f->capacity = capacity;
    }
    f->ending[f->n_endings++] = (struct ending){instruction, value, tier};
    return PLB_OK;
}

/* Instruction i uses a copy: if nobody later wants it, it ends here. */
static enum plb_status use(struct finisher *f, uint32_t i, plb_value value, enum plb_tier tier)
{
    if (f->wanted[value] & (1u << tier))
        return PLB_OK;
    f->wanted[value] |= (uint8_t)(1u << tier);
    return push_ending(f, i, value, tier);
}

/* An instruction makes a copy: what lay there before was not wanted up to here. Tells whether the
 * copy is wanted. */
static bool make(struct finisher *f, plb_value value, enum plb_tier tier)
{
    bool wanted = f->wanted[value] & (1u << tier);

    f->wanted[value] &= (uint8_t) ~(1u << tier);
    return wanted;
}

static bool makes_wanted(const struct finisher *f, const struct plb_task *task)
{
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        if (f->wanted[task->out[j]] & (1u << PLB_DEVICE))
            return true;
    return false;
}

/* Inputs that are not read are used where they are, which beside the device may be on the device;
 * as parameters they are always somewhere. */
static enum plb_status use_inputs(struct finisher *f, uint32_t i, const struct plb_task *task)
{
    for (int k = task->n_in; k-- > 0;)
        for (uint32_t j = task->in_start[k + 1]; j-- > task->in_start[k];)
            if (task->tier == PLB_DEVICE || !(task->op->in[k].flags & PLB_UNREAD))
                PLB_TRY(use(f, i, task->in[j], (enum plb_tier)task->tier));
    return PLB_OK;
}

static enum plb_status look_at_run(struct finisher *f, uint32_t i)
{
    plb_task_id id = f->draft->instruction[i].subject;
    const struct plb_task *task = plb_graph_task(f->graph, id);
    enum plb_tier tier = (enum plb_tier)task->tier;

    if (f->first_run[id] != i && !makes_wanted(f, task)) {
        f->skipped[i] = true;
        return PLB_OK;
    }
    for (uint32_t j = task->out_start[task->n_out]; j-- > 0;)
        if (!make(f, task->out[j], tier))
            PLB_TRY(push_ending(f, i, task->out[j], tier));
    return use_inputs(f, i, task);
}

static enum plb_status look_at_move(struct finisher *f, uint32_t i, enum plb_tier from,
                                    enum plb_tier to)
{
    plb_value value = f->draft->instruction[i].subject;

    if (!make(f, value, to)) {
        f->skipped[i] = true;
        return PLB_OK;
    }
    return use(f, i, value, from);
}

static void want_what_lasts(struct finisher *f)
{
    for (plb_value v = 0; v < plb_graph_values(f->graph); v++) {
        const struct plb_value_info *info = plb_graph_value(f->graph, v);

        f->home[v] = info->producer == PLB_NONE && info->home == PLB_DEVICE ? v : PLB_NONE;
        if (info->output)
            f->wanted[v] |= 1u << PLB_DEVICE;
        if (info->producer == PLB_NONE)
            f->wanted[info->next == PLB_NONE ? v : info->next] |= (uint8_t)(1u << info->home);
    }
}

static enum plb_status look_backwards(struct finisher *f)
{
    for (uint32_t i = f->draft->n; i-- > 0;)
        if (f->draft->instruction[i].code == PLB_RUN)
            f->first_run[f->draft->instruction[i].subject] = i;
    want_what_lasts(f);
    for (uint32_t i = f->draft->n; i-- > 0;) {
        const struct plb_instruction *instruction = &f->draft->instruction[i];

        if (instruction->code == PLB_RUN)
            PLB_TRY(look_at_run(f, i));
        else if (instruction->code == PLB_OFFLOAD)
            PLB_TRY(look_at_move(f, i, PLB_DEVICE, instruction->tier));
        else
            PLB_TRY(look_at_move(f, i, instruction->tier, PLB_DEVICE));
    }
    return PLB_OK;
}

/* ---- writing forwards ---- */

static bool ends(const struct finisher *f, uint32_t i, plb_value value)
{
    return f->ends_at[value] == i;
}

/* May `out` be put where `in` lies? The storage of an initial value is only for the version that is
 * carried into it. A task should not have to wait for the link because a value that is on its way
 * to another tier still lies where an output would be put. */
static bool may_take(const struct finisher *f, uint32_t i, plb_value in, plb_value out)
{
    plb_value home = f->home[in];

    if (!ends(f, i, in) || f->leaving[in])
        return false;
    if (plb_type_bytes(&plb_graph_value(f->graph, in)->type) !=
        plb_type_bytes(&plb_graph_value(f->graph, out)->type))
        return false;
    return home == PLB_NONE || plb_graph_value(f->graph, home)->next == out;
}

/* A value that is listed twice stays where it is. */
static bool is_listed_again(const struct plb_task *task, uint32_t a)
{
    for (uint32_t b = 0; b < task->in_start[task->n_in]; b++)
        if (b != a && task->in[b] == task->in[a])
            return true;
    return false;
}

static bool may_take_operand(const struct finisher *f, uint32_t i, const struct plb_task *task,
                             int k)
{
    int from = task->op->out[k].shares - 1;
    uint32_t cells = task->out_start[k + 1] - task->out_start[k];

    if (from < 0 || cells == 0 || task->in_start[from + 1] - task->in_start[from] != cells)
        return false;
    for (uint32_t j = 0; j < cells; j++)
        if (!may_take(f, i, task->in[task->in_start[from] + j],
                      task->out[task->out_start[k] + j]) ||
            is_listed_again(task, task->in_start[from] + j))
            return false;
    return true;
}

/* Beside the device an output takes over what it replaces at home, and nothing else. */
static uint32_t take_over_beside(const struct finisher *f, const struct plb_task *task)
{
    uint32_t takes = 0;

    for (int k = 0; k < task->n_out; k++) {
        int from = task->op->out[k].shares - 1;
        uint32_t cells = task->out_start[k + 1] - task->out_start[k];
        bool home = from >= 0 && cells > 0 && task->in_start[from + 1] > task->in_start[from];

        for (uint32_t j = 0; j < cells && home; j++) {
            const struct plb_value_info *in =
                plb_graph_value(f->graph, task->in[task->in_start[from] + j]);

            home = in->producer == PLB_NONE && in->home == task->tier &&
                   in->next == task->out[task->out_start[k] + j];
        }
        takes |= home ? 1u << k : 0;
    }
    return takes;
}

/* The inputs that are taken over do not end by a DROP; two outputs cannot take one input. */
static uint32_t take_over(struct finisher *f, uint32_t i, const struct plb_task *task)
{
    uint32_t takes = 0;

    for (int k = 0; k < task->n_out; k++) {
        int from = task->op->out[k].shares - 1;

        if (!may_take_operand(f, i, task, k))
            continue;
        takes |= 1u << k;
        for (uint32_t j = 0; j < task->out_start[k + 1] - task->out_start[k]; j++) {
            plb_value in = task->in[task->in_start[from] + j];

            f->home[task->out[task->out_start[k] + j]] = f->home[in];
            f->ends_at[in] = PLB_NONE;
        }
    }
    return takes;
}

/* Outputs lie in storage of their own unless take_over() says otherwise. */
static void settle_outputs(struct finisher *f, const struct plb_task *task)
{
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++) {
        f->home[task->out[j]] = PLB_NONE;
        f->leaving[task->out[j]] = false;
    }
}

static enum plb_status write_instruction(struct finisher *f, uint32_t i)
{
    struct plb_instruction instruction = f->draft->instruction[i];

    if (instruction.code == PLB_RUN) {
        const struct plb_task *task = plb_graph_task(f->graph, instruction.subject);

        settle_outputs(f, task);
        instruction.tier = (enum plb_tier)task->tier;
        instruction.takes = task->tier == PLB_DEVICE ? take_over(f, i, task)
                                                     : take_over_beside(f, task);
    } else {
        f->leaving[instruction.subject] = instruction.code == PLB_OFFLOAD;
    }
    return plb_plan_append(&f->plan, instruction);
}

/* What lies in its home is not dropped but replaced by the next version. */
static bool is_at_home(const struct finisher *f, plb_value value, enum plb_tier tier)
{
    const struct plb_value_info *info = plb_graph_value(f->graph, value);

    return info->producer == PLB_NONE && info->home == (int)tier;
}

static enum plb_status write_endings(struct finisher *f, uint32_t i, uint32_t from, uint32_t to)
{
    for (uint32_t e = from; e-- > to;) {
        const struct ending *ending = &f->ending[e];

        if (ending->tier == PLB_DEVICE
                ? !ends(f, i, ending->value) || f->home[ending->value] != PLB_NONE
                : is_at_home(f, ending->value, ending->tier))
            continue;
        PLB_TRY(plb_plan_append(
            &f->plan, (struct plb_instruction){PLB_DROP, ending->value, 0, ending->tier}));
    }
    return PLB_OK;
}

static enum plb_status write_forwards(struct finisher *f)
{
    uint32_t from = f->n_endings;

    for (uint32_t i = 0; i < f->draft->n; i++) {
        uint32_t to = from;

        if (f->skipped[i])
            continue;
        for (; to > 0 && f->ending[to - 1].instruction == i; to--)
            if (f->ending[to - 1].tier == PLB_DEVICE)
                f->ends_at[f->ending[to - 1].value] = i;
        PLB_TRY(write_instruction(f, i));
        PLB_TRY(write_endings(f, i, from, to));
        from = to;
    }
    return PLB_OK;
}

static enum plb_status check_draft(const struct plb_plan *draft, const plb_graph_t *graph)
{
    for (uint32_t i = 0; i < draft->n; i++) {
        const struct plb_instruction *instruction = &draft->instruction[i];
        bool is_run = instruction->code == PLB_RUN;
        bool is_move = instruction->code == PLB_OFFLOAD || instruction->code == PLB_FETCH;

        if (!is_run && !is_move)
            return plb_fail(PLB_ERROR_INVALID, "instruction %u of a draft is a '%s'", i,
                            plb_opcode_name(instruction->code));
        if (instruction->subject >= (is_run ? plb_graph_tasks(graph) : plb_graph_values(graph)))
            return plb_fail(PLB_ERROR_INVALID, "instruction %u of a draft names %s %u of %u", i,
                            is_run ? "task" : "value", instruction->subject,
                            is_run ? plb_graph_tasks(graph) : plb_graph_values(graph));
        if (is_move && (instruction->tier <= PLB_DEVICE || instruction->tier >= PLB_TIERS))
            return plb_fail(PLB_ERROR_INVALID, "instruction %u of a draft moves to no other tier",
                            i);
    }
    return PLB_OK;
}

static enum plb_status prepare(struct finisher *f)
{
    size_t values = (size_t)plb_graph_values(f->graph) + 1;
    size_t tasks = (size_t)plb_graph_tasks(f->graph) + 1;

    f->wanted = calloc(values, sizeof *f->wanted);
    f->skipped = calloc((size_t)f->draft->n + 1, sizeof *f->skipped);
    f->first_run = malloc(tasks * sizeof *f->first_run);
    f->ends_at = malloc(values * sizeof *f->ends_at);
    f->home = malloc(values * sizeof *f->home);
    f->leaving = calloc(values, sizeof *f->leaving);
    if (!f->wanted || !f->skipped || !f->first_run || !f->ends_at || !f->home || !f->leaving)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to finish a plan of %u instructions",
                        f->draft->n);
    memset(f->ends_at, 0xff, values * sizeof *f->ends_at);
    return PLB_OK;
}

enum plb_status plb_plan_finish(const plb_graph_t *graph, const struct plb_plan *draft,
                                struct plb_plan *plan_out)
{
    struct plb_plan paged = {0};
    struct finisher f = {.graph = graph, .draft = draft};
    enum plb_status status = check_draft(draft, graph);

    if (status == PLB_OK && plb__pages(graph)) {
        status = plb__page(graph, draft, &paged);
        f.draft = &paged;
    }
    if (status == PLB_OK)
        status = prepare(&f);
    if (status == PLB_OK)
        status = look_backwards(&f);
    if (status == PLB_OK)
        status = write_forwards(&f);
    free(f.wanted);
    free(f.skipped);
    free(f.first_run);
    free(f.ending);
    free(f.ends_at);
    free(f.home);
    free(f.leaving);
    plb_plan_clear(&paged);
    if (status == PLB_OK) {
        plb_plan_clear(plan_out);
        *plan_out = f.plan;
    } else {
        plb_plan_clear(&f.plan);
    }
    return status;
}
