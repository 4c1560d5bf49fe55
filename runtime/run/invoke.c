/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preparing and making calls of kernels.
 *
 * Scratch memory of a call is laid out as: the operands, their parts, the kernel's own scratch, and
 * the buffers of gathered operands, each part aligned to 64 bytes.
 */
#include "runtime/run/invoke.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT ((size_t)64)

static size_t aligned_to(size_t bytes, size_t alignment)
{
    return (bytes + alignment - 1) & ~(alignment - 1);
}

static size_t aligned(size_t bytes)
{
    return aligned_to(bytes, ALIGNMENT);
}

/* The range of an operand in the value it belongs to. */
struct range {
    int64_t row_low, row_high, col_low, col_high;
};

static const struct plb_operand_spec *spec_of(const struct plb_operator *op, int n_in, int k)
{
    return k < n_in ? &op->in[k] : &op->out[k - n_in];
}

static bool takes_list(const struct plb_operand_spec *spec)
{
    const unsigned list =
        PLB_LIST | PLB_WINDOW_BEFORE | PLB_WINDOW_SEQUENCE | PLB_VARIADIC | PLB_UNSPLIT;

    return (spec->flags & list) != 0;
}

/* What the cells of a list cover: a part of a grid. */
static struct range range_of_cells(const struct plb__invocation *v, int k)
{
    const struct plb_tensor *first = &v->part[v->first[k]], *last = &v->part[v->first[k + 1] - 1];
    bool matrix = v->operand[k].whole.rank == 2;

    return (struct range){first->row0, last->row0 + last->shape.dim[0], matrix ? first->col0 : 0,
                          matrix ? last->col0 + last->shape.dim[1] : 1};
}

static struct range range_of(const struct plb__invocation *v, int k)
{
    const struct plb_operand_spec *spec = spec_of(v->op, v->n_in, k);
    const struct plb_shape *whole = &v->operand[k].whole;
    struct range range = {0, whole->dim[0], 0, whole->rank == 2 ? whole->dim[1] : 1};

    if (takes_list(spec))
        return range_of_cells(v, k);
    if (spec->rows != PLB_AXIS_NONE) {
        range.row_low = v->low[spec->rows - 1];
        range.row_high = v->high[spec->rows - 1];
    }
    if (spec->cols != PLB_AXIS_NONE && !(spec->flags & PLB_UNSPLIT)) {
        range.col_low = v->low[spec->cols - 1];
        range.col_high = v->high[spec->cols - 1];
    }
    return range;
}

/* The arrays of an invocation stand in one block; this hands out the writable pointers. */
struct arrays {
    struct plb_tensor *part;
    struct plb_operand *operand;
    uint32_t *first;
    size_t *gather;
};

static enum plb_status allocate(struct plb__invocation *v, struct arrays *arrays)
{
    size_t operands = (size_t)(v->n_in + v->n_out);
    size_t parts = aligned(v->n_cells * sizeof *arrays->part);
    size_t ops = aligned(operands * sizeof *arrays->operand);
    size_t firsts = aligned((operands + 1) * sizeof *arrays->first);
    char *block = calloc(1, parts + ops + firsts + operands * sizeof *arrays->gather + 1);

    if (!block)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to prepare task %s", v->name);
    v->block = block;
    v->part = arrays->part = (void *)block;
    v->operand = arrays->operand = (void *)(block + parts);
    v->first = arrays->first = (void *)(block + parts + ops);
    v->gather = arrays->gather = (void *)(block + parts + ops + firsts);
    return PLB_OK;
}

static void fill_cells(const plb_graph_t *graph, const struct plb_task *task,
                       const struct arrays *arrays)
{
    uint32_t n_in_cells = task->in_start[task->n_in];

    for (int k = 0; k < task->n_in; k++)
        arrays->first[k] = task->in_start[k];
    for (int k = 0; k <= task->n_out; k++)
        arrays->first[task->n_in + k] = n_in_cells + task->out_start[k];
    for (int k = 0; k < task->n_in + task->n_out; k++) {
        for (uint32_t j = arrays->first[k]; j < arrays->first[k + 1]; j++) {
            plb_value value = j < n_in_cells ? task->in[j] : task->out[j - n_in_cells];
            const struct plb_value_info *info = plb_graph_value(graph, value);

            arrays->part[j] = (struct plb_tensor){.dtype = info->type.dtype,
                                                  .shape = info->type.shape,
                                                  .row0 = info->row0,
                                                  .col0 = info->col0};
            arrays->operand[k].whole = info->whole;
        }
        arrays->operand[k].n_parts = (int)(arrays->first[k + 1] - arrays->first[k]);
        arrays->operand[k].part = &arrays->part[arrays->first[k]];
    }
}

/* May the kernel see the operand as its cells are? */
static bool may_stay(const struct plb__invocation *v, int k, bool one_part)
{
    const struct plb_operand_spec *spec = spec_of(v->op, v->n_in, k);
    struct range r;

    if (v->operand[k].n_parts == 0)
        return true;
    if (takes_list(spec))
        return !one_part || v->operand[k].n_parts == 1 || (spec->flags & PLB_VARIADIC);
    r = range_of(v, k);
    return plb__operand_is_exact(&v->operand[k], r.row_low, r.row_high, r.col_low, r.col_high);
}

static enum plb_status fail_output(const struct plb__invocation *v, int k)
{
    const struct plb_operand_spec *spec = spec_of(v->op, v->n_in, k);

    if (takes_list(spec))
        return plb_fail(PLB_ERROR_UNAVAILABLE,
                        "task %s: output '%s' is cut into %d cells, and this device makes one: "
                        "leave the cut to Palombe, or cut less",
                        v->name, spec->name, v->operand[k].n_parts);
    return plb_fail(PLB_ERROR_INTERNAL, "task %s: output '%s' is not one cell", v->name,
                    spec->name);
}

static enum plb_status find_gathers(struct plb__invocation *v, bool one_part, size_t *gather)
{
    for (int k = 0; k < v->n_in + v->n_out; k++) {
        struct range r;

        if (may_stay(v, k, one_part))
            continue;
        if (k >= v->n_in)
            return fail_output(v, k);
        r = range_of(v, k);
        gather[k] =
            plb__gather_bytes(&v->operand[k], r.row_low, r.row_high, r.col_low, r.col_high);
        v->n_parts++;
    }
    return PLB_OK;
}

size_t plb__invocation_frame_bytes(const struct plb__invocation *v)
{
    return aligned((size_t)(v->n_in + v->n_out) * sizeof *v->operand) +
           aligned(v->n_parts * sizeof *v->part);
}

size_t plb__invocation_gather_bytes(const struct plb__invocation *v, size_t alignment)
{
    size_t bytes = 0;

    for (int k = 0; k < v->n_in; k++)
        bytes += aligned_to(v->gather[k], alignment);
    return bytes;
}

static void count_scratch(const plb_graph_t *graph, const struct plb_task *task,
                          struct plb__invocation *v)
{
    v->scratch_bytes = plb__invocation_frame_bytes(v);
    if (v->op->scratch) {
        struct plb_task_types types;

        plb_task_get_types(graph, task, &types);
        v->kernel_scratch = v->op->scratch(&types);
    }
    v->scratch_bytes += aligned(v->kernel_scratch) + plb__invocation_gather_bytes(v, ALIGNMENT);
}

enum plb_status plb__invocation_prepare(const plb_graph_t *graph, plb_task_id id, bool one_part,
                                        struct plb__invocation *invocation_out)
{
    const struct plb_task *task = plb_graph_task(graph, id);
    struct plb__invocation v = {.op = task->op,
                                .name = task->name,
                                .attributes = &task->attributes,
                                .n_in = task->n_in,
                                .n_out = task->n_out};
    struct arrays arrays = {0};
    enum plb_status status;

    v.n_cells = v.n_parts = task->in_start[task->n_in] + task->out_start[task->n_out];
    memcpy(v.low, task->low, sizeof v.low);
    memcpy(v.high, task->high, sizeof v.high);
    PLB_TRY(allocate(&v, &arrays));
    fill_cells(graph, task, &arrays);
    status = find_gathers(&v, one_part, arrays.gather);
    if (status != PLB_OK) {
        plb__invocation_clear(&v);
        return status;
    }
    count_scratch(graph, task, &v);
    *invocation_out = v;
    return PLB_OK;
}

void plb__invocation_clear(struct plb__invocation *invocation)
{
    free(invocation->block);
    *invocation = (struct plb__invocation){0};
}

/* Gathered operands get parts behind those of the cells. */
static enum plb_status gather(const struct plb__invocation *v, const struct plb__frame *frame,
                              struct plb_operand *operand, struct plb_tensor *gathered)
{
    char *buffer = frame->buffer;

    for (int k = 0; k < v->n_in; k++) {
        struct range r;

        if (!v->gather[k])
            continue;
        r = range_of(v, k);
        PLB_TRY(plb__gather(&operand[k], r.row_low, r.row_high, r.col_low, r.col_high,
                            frame->copier, buffer, gathered));
        operand[k].part = gathered++;
        operand[k].n_parts = 1;
        buffer += aligned_to(v->gather[k], frame->alignment);
    }
    return PLB_OK;
}

enum plb_status plb__invocation_fill(const struct plb__invocation *v, void *const *data,
                                     uint64_t step, const struct plb__frame *frame,
                                     struct plb_call *call_out)
{
    size_t n_operands = (size_t)(v->n_in + v->n_out);
    struct plb_operand *operand = frame->frame;
    struct plb_tensor *part = (void *)((char *)frame->frame + aligned(n_operands * sizeof *operand));

    *call_out = (struct plb_call){.attributes = v->attributes,
                                  .n_in = v->n_in,
                                  .n_out = v->n_out,
                                  .in = operand,
                                  .out = operand + v->n_in,
                                  .step = step};
    memcpy(call_out->low, v->low, sizeof call_out->low);
    memcpy(call_out->high, v->high, sizeof call_out->high);
    memcpy(operand, v->operand, n_operands * sizeof *operand);
    memcpy(part, v->part, v->n_cells * sizeof *part);
    for (uint32_t j = 0; j < v->n_cells; j++)
        part[j].data = data[j];
    for (size_t k = 0; k < n_operands; k++)
        operand[k].part = part + v->first[k];
    return gather(v, frame, operand, part + v->n_cells);
}

static enum plb_status fill(const struct plb__invocation *v, void *const *data, uint64_t step,
                            void *scratch, struct plb_call *call_out)
{
    char *kernel = (char *)scratch + plb__invocation_frame_bytes(v);
    struct plb__frame frame = {.frame = scratch,
                               .copier = &plb__copier_cpu,
                               .buffer = kernel + aligned(v->kernel_scratch),
                               .alignment = ALIGNMENT};

    PLB_TRY(plb__invocation_fill(v, data, step, &frame, call_out));
    call_out->scratch = kernel;
    return PLB_OK;
}

enum plb_status plb__invocation_run(const struct plb__invocation *v, void *const *data,
                                    uint64_t step, void *scratch)
{
    struct plb_call call;

    PLB_TRY(fill(v, data, step, scratch, &call));
    return v->op->cpu(&call);
}

/* ---- a part of a call ---- */

int64_t plb__invocation_rows(const struct plb__invocation *v)
{
    for (int k = 0; k < v->n_in + v->n_out; k++) {
        const struct plb_operand_spec *spec = spec_of(v->op, v->n_in, k);

        if (takes_list(spec) || v->operand[k].n_parts > 1 ||
            (k >= v->n_in && spec->rows != PLB_AXIS_A))
            return 1;
    }
    return v->high[0] - v->low[0];
}

/* The rows [low, high) of a call, of a part that has all of them. */
static void narrow(struct plb_tensor *part, int64_t first, int64_t low, int64_t high)
{
    const struct plb_type type = {part->dtype, part->shape};
    size_t row = plb_type_bytes(&type) / (size_t)part->shape.dim[0];

    part->data = (char *)part->data + (size_t)low * row;
    part->row0 = first + low;
    part->shape.dim[0] = high - low;
}

enum plb_status plb__invocation_run_rows(const struct plb__invocation *v, void *const *data,
                                         uint64_t step, void *scratch, int64_t low, int64_t high)
{
    struct plb_operand *operand = scratch;
    struct plb_call call;

    PLB_TRY(fill(v, data, step, scratch, &call));
    for (int k = 0; k < v->n_in + v->n_out; k++)
        if (spec_of(v->op, v->n_in, k)->rows == PLB_AXIS_A && operand[k].n_parts > 0)
            narrow((struct plb_tensor *)operand[k].part, v->low[0], low, high);
    call.low[0] = v->low[0] + low;
    call.high[0] = v->low[0] + high;
    return v->op->cpu(&call);
}
