/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls of kernels on pieces of a task.
 */
#include "config.h"

#include "tests/codelets/pieces.h"

#include "runtime/base/random.h"
#include "tests/support/plb_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_MAX 512 /* boundaries of a cut, both ends included */
#define PARTS_MAX  512 /* parts of all operands of a call */
#define ALIGNMENT  64
#define GUARD      64
#define GUARD_BYTE 0xA5
#define GARBAGE    0xFF /* NaN in every real dtype, -1 in integers */

/* AddressSanitizer watches the end of a block itself, to the byte. */
#ifdef __SANITIZE_ADDRESS__
#define GUARD_AFTER 0
#else
#define GUARD_AFTER GUARD
#endif

/* A rectangle of a value; columns are those of rank 2, else one. */
struct region {
    int64_t row0, row1, col0, col1;
};

struct memory {
    unsigned char *block, *data, *copy; /* copy: of an input, to see whether it was written */
    size_t bytes, before, after;        /* before, after: bytes of the guards */
};

struct session {
    const struct subject *s;
    const struct plb_task *task;
    const struct plb_operator *op;
    void *const *data;
    const struct pieces *pieces;
    struct plb_call call;
    struct plb_operand in[PLB_OPERANDS_MAX], out[PLB_OPERANDS_MAX];
    struct plb_tensor part[PARTS_MAX];
    struct memory memory[PARTS_MAX + 1];
    int n_parts;
    int64_t place[PLB_AXES][PLACES_MAX];
    int n_places[PLB_AXES];
};

/* --- runners ---------------------------------------------------------------------------------- */

static bool cpu_same_bits(const struct plb_operator *op)
{
    (void)op;
    return false;
}

static double cpu_rounding(const struct plb_operator *op, enum plb_dtype dtype)
{
    (void)op;
    (void)dtype;
    return 0;
}

static size_t cpu_scratch(const struct plb_operator *op, const struct plb_task_types *types)
{
    return op->scratch != NULL ? op->scratch(types) : 0;
}

static enum plb_status cpu_run(const struct plb_operator *op, const struct plb_call *call,
                               size_t scratch)
{
    (void)scratch;
    return op->cpu(call);
}

const struct pieces_runner pieces_cpu = {
    .same_bits = cpu_same_bits,
    .rounding = cpu_rounding,
    .scratch = cpu_scratch,
    .run = cpu_run,
};

static const struct pieces_runner *runner = &pieces_cpu;

void pieces_use(const struct pieces_runner *other)
{
    runner = other;
}

const struct pieces_runner *pieces_runner(void)
{
    return runner;
}

/* --- places of a cut -------------------------------------------------------------------------- */

static int64_t draw(uint64_t seed, int64_t extent, int k)
{
    uint32_t word[4];

    plb_random_words(seed, (uint64_t)extent, (uint64_t)k, word);
    return (int64_t)(word[0] % (uint32_t)extent);
}

static int compare_places(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Boundaries 0 = p[0] < p[1] < ... = extent; returns how many. */
static int cut_places(enum cutting cutting, int64_t extent, uint64_t seed, int64_t *p)
{
    int64_t raw[8] = {0, extent};
    int n = 2, kept = 1;

    if (cutting == CUT_HALVES) {
        raw[n++] = extent / 2;
    } else if (cutting == CUT_UNEVEN) {
        raw[n++] = 1;
        raw[n++] = 1 + (extent - 1) / 2;
    } else if (cutting == CUT_RANDOM) {
        for (int k = 0; k < 5; k++)
            raw[n++] = draw(seed, extent, k);
    }
    qsort(raw, (size_t)n, sizeof raw[0], compare_places);
    p[0] = 0;
    for (int k = 1; k < n; k++) {
        if (raw[k] > p[kept - 1] && raw[k] <= extent)
            p[kept++] = raw[k];
    }
    return kept;
}

/* Tasks of an operator on sequences hold whole ones, or a part of one. */
static int cut_sequences(const struct pieces *pieces, enum cutting cutting, int64_t extent,
                         int64_t granule, int64_t *p)
{
    int64_t inner[PLACES_MAX];
    int n, kept = 1;

    if (!pieces->inside) {
        n = cut_places(cutting, extent / granule, pieces->seed, p);
        for (int k = 0; k < n; k++)
            p[k] *= granule;
        return n;
    }
    n = cut_places(cutting, granule, pieces->seed, inner);
    p[0] = 0;
    for (int64_t first = 0; first < extent; first += granule) {
        for (int k = 1; k < n && kept < PLACES_MAX; k++)
            p[kept++] = first + inner[k];
    }
    return kept;
}

bool pieces_takes_list(const struct plb_operand_spec *spec)
{
    return (spec->flags & (PLB_LIST | PLB_WINDOW_BEFORE | PLB_WINDOW_SEQUENCE | PLB_UNSPLIT)) != 0;
}

enum axis_use pieces_axis(const struct plb_operator *op, enum plb_axis axis)
{
    enum axis_use use = AXIS_UNUSED;

    for (int k = 0; k < op->n_in; k++) {
        if (op->in[k].rows == axis || op->in[k].cols == axis)
            use = AXIS_SUM;
    }
    for (int k = 0; k < op->n_out; k++) {
        if (op->out[k].rows == axis || op->out[k].cols == axis)
            use = AXIS_RANGE;
    }
    for (int k = 0; k < op->n_in; k++) {
        if (op->in[k].cols == axis && (op->in[k].flags & PLB_UNSPLIT))
            use = AXIS_FIXED;
    }
    return use;
}

/* --- operands --------------------------------------------------------------------------------- */

static struct plb_shape shape_of(const struct session *p, plb_value value)
{
    return plb_graph_value(p->s->graph, value)->type.shape;
}

static int64_t granule_of(const struct session *p)
{
    return p->op->granule > 0 ? p->task->attributes.i[p->op->granule - 1] : 1;
}

static struct region region_of(const struct session *p, const struct plb_operand_spec *spec,
                               const struct plb_shape *shape)
{
    struct region r = {0, shape->dim[0], 0, shape->rank == 2 ? shape->dim[1] : 1};
    int64_t granule = granule_of(p);

    if (spec->rows != PLB_AXIS_NONE) {
        r.row0 = p->call.low[spec->rows - 1];
        r.row1 = p->call.high[spec->rows - 1];
    }
    if (spec->cols != PLB_AXIS_NONE) {
        r.col0 = p->call.low[spec->cols - 1];
        r.col1 = p->call.high[spec->cols - 1];
    }
    if (spec->flags & (PLB_WINDOW_BEFORE | PLB_WINDOW_SEQUENCE))
        r.row0 -= r.row0 % granule;
    if (spec->flags & PLB_WINDOW_SEQUENCE)
        r.row1 = (r.row1 + granule - 1) / granule * granule;
    return r;
}

static struct plb_shape region_shape(const struct region *r, const struct plb_shape *whole)
{
    struct plb_shape shape = *whole;

    shape.dim[0] = r->row1 - r->row0;
    if (shape.rank == 2)
        shape.dim[1] = r->col1 - r->col0;
    return shape;
}

/* Copies a region out of the whole value, or back into it. */
static void copy_region(const struct region *r, const struct plb_shape *whole, size_t element,
                        unsigned char *value, unsigned char *part, bool back)
{
    bool columns = whole->rank == 2;
    size_t row = (size_t)plb_shape_row_elements(whole) * element;
    size_t begin = columns ? (size_t)r->col0 * element : 0;
    size_t bytes = columns ? (size_t)(r->col1 - r->col0) * element : row;

    for (int64_t i = r->row0; i < r->row1; i++) {
        unsigned char *a = value + (size_t)i * row + begin;
        unsigned char *b = part + (size_t)(i - r->row0) * bytes;

        memcpy(back ? a : b, back ? b : a, bytes);
    }
}

static void memory_allocate(struct memory *m, size_t bytes, size_t offset)
{
    m->bytes = bytes;
    m->before = GUARD + offset;
    m->after = GUARD_AFTER;
    m->block = NULL;
    if (posix_memalign((void **)&m->block, ALIGNMENT, m->before + bytes + m->after) != 0) {
        fputs("no memory for an operand\n", stderr);
        abort();
    }
    m->data = m->block + m->before;
    m->copy = NULL;
    memset(m->block, GUARD_BYTE, m->before);
    memset(m->data, GARBAGE, bytes);
    memset(m->data + bytes, GUARD_BYTE, m->after);
}

/* Adds a part; returns it. Its memory is fresh. */
static struct plb_tensor *part_add(struct session *p, plb_value value, const struct region *r,
                                   enum plb_dtype dtype)
{
    struct plb_shape whole = shape_of(p, value);
    struct plb_tensor *part = &p->part[p->n_parts];
    struct memory *m = &p->memory[p->n_parts];
    size_t element = plb_dtype_bytes(dtype);

    if (p->n_parts >= PARTS_MAX) {
        fprintf(stderr, "%s: too many parts\n", p->op->name);
        abort();
    }
    p->n_parts++;
    *part = (struct plb_tensor){NULL, dtype, region_shape(r, &whole), r->row0, r->col0};
    memory_allocate(m, (size_t)plb_shape_elements(&part->shape) * element,
                    runner->aligned ? 0 : (size_t)p->pieces->offset * element);
    part->data = m->data;
    return part;
}

static void input_part(struct session *p, plb_value value, const struct region *r)
{
    const struct plb_value_info *info = plb_graph_value(p->s->graph, value);
    struct plb_tensor *part = part_add(p, value, r, info->type.dtype);
    struct memory *m = &p->memory[p->n_parts - 1];

    copy_region(r, &info->type.shape, plb_dtype_bytes(part->dtype), p->data[value], part->data,
                false);
    m->copy = malloc(m->bytes);
    if (m->copy != NULL)
        memcpy(m->copy, m->data, m->bytes);
}

static bool shared(const struct session *p, int input)
{
    for (int k = 0; k < p->op->n_out; k++) {
        if (p->pieces->in_place && p->op->out[k].shares == input + 1)
            return true;
    }
    return false;
}

/* The cells of a list operand that meet its region; `clip`: made to end where the region does. */
static int list_regions(const struct session *p, const struct plb_operand_spec *spec,
                        const struct plb_shape *shape, const struct region *r, bool clip,
                        struct region *list)
{
    int64_t rows[PLACES_MAX], cols[PLACES_MAX] = {0, shape->rank == 2 ? shape->dim[1] : 1};
    int n_rows = cut_places(p->pieces->cells, shape->dim[0], p->pieces->seed + 1, rows);
    int n_cols = 2, n = 0;

    if (spec->cols != PLB_AXIS_NONE)
        n_cols = cut_places(p->pieces->cells, shape->dim[1], p->pieces->seed + 2, cols);
    for (int i = 0; i + 1 < n_rows; i++) {
        for (int j = 0; j + 1 < n_cols; j++) {
            struct region c = {rows[i], rows[i + 1], cols[j], cols[j + 1]};

            if (c.row1 <= r->row0 || c.row0 >= r->row1 || c.col1 <= r->col0 || c.col0 >= r->col1)
                continue;
            if (clip) {
                c.row0 = c.row0 > r->row0 ? c.row0 : r->row0;
                c.row1 = c.row1 < r->row1 ? c.row1 : r->row1;
                c.col0 = c.col0 > r->col0 ? c.col0 : r->col0;
                c.col1 = c.col1 < r->col1 ? c.col1 : r->col1;
            }
            list[n++] = c;
        }
    }
    return n;
}

/* Cells in one: they fill a rectangle, of which the last one is the far corner. */
static int gathered(struct region *list, int n)
{
    if (n == 0 || !runner->gathers)
        return n;
    list[0].row1 = list[n - 1].row1;
    list[0].col1 = list[n - 1].col1;
    return 1;
}

static void input_prepare(struct session *p, int k)
{
    const struct plb_operand_spec *spec = &p->op->in[k];
    uint32_t from = p->task->in_start[k], to = p->task->in_start[k + 1];
    struct region r, list[PARTS_MAX];
    struct plb_shape shape;
    int first = p->n_parts, n = 1;

    p->in[k] = (struct plb_operand){0};
    if (from == to)
        return;
    shape = shape_of(p, p->task->in[from]);
    r = region_of(p, spec, &shape);
    if (pieces_takes_list(spec))
        n = gathered(list, list_regions(p, spec, &shape, &r, shared(p, k), list));
    else
        list[0] = r;
    for (uint32_t i = from; i < to; i++) {
        for (int j = 0; j < n; j++)
            input_part(p, p->task->in[i], &list[j]);
    }
    p->in[k] = (struct plb_operand){p->n_parts - first, &p->part[first], shape};
}

/* The dtype in which an output is made: partial sums are f32, whatever becomes of them. */
static enum plb_dtype output_dtype(const struct session *p, plb_value value)
{
    enum plb_dtype dtype = plb_graph_value(p->s->graph, value)->type.dtype;

    return p->pieces->sums != CUT_WHOLE && dtype == PLB_BF16 ? PLB_F32 : dtype;
}

static void output_prepare(struct session *p, int k)
{
    const struct plb_operand_spec *spec = &p->op->out[k];
    plb_value value = subject_output(p->task, k);
    struct region r, list[PARTS_MAX];
    int first = p->n_parts, n = 1;
    struct plb_shape shape;

    p->out[k] = (struct plb_operand){0};
    if (value == PLB_NONE)
        return;
    shape = shape_of(p, value);
    r = region_of(p, spec, &shape);
    if (pieces_takes_list(spec))
        n = gathered(list, list_regions(p, spec, &shape, &r, true, list));
    else
        list[0] = r;
    for (int j = 0; j < n; j++) {
        struct plb_tensor *part = part_add(p, value, &list[j], output_dtype(p, value));

        if (p->pieces->in_place && spec->shares > 0 && p->in[spec->shares - 1].n_parts > 0) {
            part->data = p->in[spec->shares - 1].part[j].data;
            free(p->memory[p->in[spec->shares - 1].part - p->part + j].copy);
            p->memory[p->in[spec->shares - 1].part - p->part + j].copy = NULL;
        }
    }
    p->out[k] = (struct plb_operand){n, &p->part[first], shape};
}

/* --- one call --------------------------------------------------------------------------------- */

static struct plb_type operand_type(const struct session *p, const struct plb_operand_spec *spec,
                                    const struct plb_operand *operand)
{
    struct plb_type type = {PLB_F32, {0, {0}}};
    struct region r;

    if (operand->n_parts == 0)
        return type;
    r = region_of(p, spec, &operand->whole);
    type.dtype = operand->part[0].dtype;
    type.shape = region_shape(&r, &operand->whole);
    return type;
}

static void call_types(const struct session *p, struct plb_task_types *types)
{
    *types = (struct plb_task_types){
        .attributes = &p->task->attributes, .n_in = p->op->n_in, .n_out = p->op->n_out};
    for (int k = 0; k < p->op->n_in; k++)
        types->in[k] = operand_type(p, &p->op->in[k], &p->in[k]);
    for (int k = 0; k < p->op->n_out; k++)
        types->out[k] = operand_type(p, &p->op->out[k], &p->out[k]);
    if (p->op->n_in > 0 && (p->op->in[p->op->n_in - 1].flags & PLB_VARIADIC))
        types->variadic = p->in[p->op->n_in - 1].n_parts;
}

static void memory_check(const struct session *p, const struct memory *m)
{
    bool front = true, back = true;

    for (size_t i = 0; i < m->before; i++)
        front = front && m->block[i] == GUARD_BYTE;
    for (size_t i = 0; i < m->after; i++)
        back = back && m->data[m->bytes + i] == GUARD_BYTE;
    if (!front || !back || (m->copy != NULL && memcmp(m->copy, m->data, m->bytes) != 0)) {
        fprintf(stderr, "%s task %s: wrote %s\n", subject_name(p->s), p->op->name,
                !front  ? "before an operand"
                : !back ? "past an operand"
                        : "an input");
        PLB_CHECK(front && back && (m->copy == NULL || !"input unchanged"));
    }
}

static void memories_release(struct session *p)
{
    for (int i = 0; i < p->n_parts; i++) {
        memory_check(p, &p->memory[i]);
        free(p->memory[i].block);
        free(p->memory[i].copy);
    }
    p->n_parts = 0;
}

static void output_collect(const struct session *p, int k, struct made *made)
{
    const struct plb_operand *out = &p->out[k];

    for (int j = 0; j < out->n_parts; j++) {
        const struct plb_tensor *part = &out->part[j];
        struct region r = {part->row0, part->row0 + part->shape.dim[0], part->col0,
                           part->col0 + (part->shape.rank == 2 ? part->shape.dim[1] : 1)};

        if (p->pieces->sums == CUT_WHOLE) {
            copy_region(&r, &out->whole, plb_dtype_bytes(part->dtype), made->data[k], part->data,
                        true);
            continue;
        }
        for (int64_t i = 0; i < plb_shape_elements(&part->shape); i++) {
            int64_t columns = plb_shape_row_elements(&part->shape);
            int64_t at = (r.row0 + i / columns) * plb_shape_row_elements(&out->whole) +
                         (out->whole.rank == 2 ? r.col0 : 0) + i % columns;

            ((double *)made->data[k])[at] += element_get(part->data, part->dtype, i);
        }
    }
}

static enum plb_status call_once(struct session *p, struct made *made)
{
    struct plb_task_types types;
    struct plb_cost cost = {-1, -1};
    struct memory scratch;
    enum plb_status status;

    for (int k = 0; k < p->op->n_in; k++)
        input_prepare(p, k);
    for (int k = 0; k < p->op->n_out; k++)
        output_prepare(p, k);
    call_types(p, &types);
    memory_allocate(&scratch, runner->scratch(p->op, &types), 0);
    p->call.scratch = scratch.data;
    p->op->cost(&types, &cost);
    PLB_CHECK(cost.flops >= 0 && cost.bytes > 0);
    made->cost.flops += cost.flops;
    made->cost.bytes += cost.bytes;
    made->calls++;
    status = runner->run(p->op, &p->call, scratch.bytes);
    for (int k = 0; k < p->op->n_out && status == PLB_OK; k++)
        output_collect(p, k, made);
    memory_check(p, &scratch);
    free(scratch.block);
    memories_release(p);
    return status;
}

/* --- all calls -------------------------------------------------------------------------------- */

static int64_t axis_extent(const struct session *p, enum plb_axis axis)
{
    int64_t extent = 0;

    for (int k = 0; k < p->op->n_in + p->op->n_out; k++) {
        bool is_in = k < p->op->n_in;
        int j = is_in ? k : k - p->op->n_in;
        const struct plb_operand_spec *spec = is_in ? &p->op->in[j] : &p->op->out[j];
        const uint32_t *start = is_in ? p->task->in_start : p->task->out_start;
        struct plb_shape shape;

        if (start[j] == start[j + 1])
            continue;
        shape = shape_of(p, is_in ? p->task->in[start[j]] : p->task->out[start[j]]);
        if (spec->rows == axis)
            extent = shape.dim[0];
        if (spec->cols == axis)
            extent = shape.dim[1];
    }
    return extent;
}

static void axis_prepare(struct session *p, int a)
{
    enum axis_use use = pieces_axis(p->op, (enum plb_axis)(a + 1));
    enum cutting cutting = use == AXIS_RANGE ? p->pieces->ranges[a]
                           : use == AXIS_SUM ? p->pieces->sums
                                             : CUT_WHOLE;
    int64_t extent = axis_extent(p, (enum plb_axis)(a + 1));

    if (use == AXIS_UNUSED) {
        p->place[a][0] = p->place[a][1] = 0;
        p->n_places[a] = 2;
    } else if (a == 0 && p->op->granule > 0) {
        p->n_places[a] = cut_sequences(p->pieces, cutting, extent, granule_of(p), p->place[a]);
    } else {
        p->n_places[a] = cut_places(cutting, extent, p->pieces->seed + 3, p->place[a]);
    }
}

static void made_prepare(const struct session *p, struct made *made)
{
    *made = (struct made){.n = p->op->n_out};
    for (int k = 0; k < made->n; k++) {
        plb_value value = subject_output(p->task, k);

        if (value == PLB_NONE)
            continue;
        made->type[k] = plb_graph_value(p->s->graph, value)->type;
        if (p->pieces->sums != CUT_WHOLE)
            made->type[k].dtype = PLB_F64;
        made->data[k] = calloc(1, plb_type_bytes(&made->type[k]));
    }
}

enum plb_status pieces_run(const struct subject *s, const struct plb_task *task, void *const *data,
                           const struct pieces *pieces, struct made *made_out)
{
    static struct session session; /* large; the tests run on one thread */
    struct session *p = &session;
    enum plb_status status = PLB_OK;

    memset(p, 0, sizeof *p);
    p->s = s;
    p->task = task;
    p->op = task->op;
    p->data = data;
    p->pieces = pieces;
    made_prepare(p, made_out);
    for (int a = 0; a < PLB_AXES; a++)
        axis_prepare(p, a);
    p->call = (struct plb_call){.attributes = &task->attributes,
                                .n_in = task->op->n_in,
                                .n_out = task->op->n_out,
                                .in = p->in,
                                .out = p->out,
                                .step = s->step};
    for (int i = 0; i + 1 < p->n_places[0] && status == PLB_OK; i++) {
        for (int j = 0; j + 1 < p->n_places[1] && status == PLB_OK; j++) {
            p->call.low[0] = p->place[0][i];
            p->call.high[0] = p->place[0][i + 1];
            p->call.low[1] = p->place[1][j];
            p->call.high[1] = p->place[1][j + 1];
            status = call_once(p, made_out);
        }
    }
    return status;
}

void made_free(struct made *made)
{
    for (int k = 0; k < made->n; k++)
        free(made->data[k]);
    *made = (struct made){0};
}
