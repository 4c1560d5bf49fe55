/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The second pass of the cut: how many pieces. What no shape decides follows from modelled costs.
 *
 * Rows of activations get slices such that the time of a slice of a task, as a mean weighted with
 * that time itself (what a worker spends its time in), is about the target. Tasks whose columns can
 * be cut as well as their rows do not count (the product that makes logits would otherwise set the
 * slices of the whole model). More slices read the weights more often, so they end where that costs
 * too much. Columns come after rows, in cut_columns.c.
 */
#include "config.h"

#include "runtime/graph/cut_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define SLICES_MAX      1024 /* of a class of rows; leaves cells to its columns */
#define SLICE_ALIGNED   INT64_C(16)
#define SLICE_TOLERANCE 1.41421356 /* a mean up to this times the target is near enough */
#define SLICES_WANTED   8          /* even of tasks shorter than the target, */
#define SLICE_SHORTEST  0.1        /* down to this times the target */
#define SLICE_OVERHEAD  1.25 /* most modelled time of all slices, by that of the uncut tasks */

/* --- the tasks of each class ------------------------------------------------------------------ */

/* The members of all classes, by number: those of class r stand at start[r] to start[r + 1] - 1. */
struct members {
    uint32_t *start;
    struct plb__member *member;
};

static void members_place(const struct plb__cut *cut, struct members *members)
{
    for (plb_task_id t = 0; t < cut->n_tasks; t++) {
        for (enum plb_axis axis = PLB_AXIS_A; axis <= PLB_AXIS_B; axis++) {
            uint32_t dimension, *slot;

            if (!plb__cut_along(plb_graph_task(cut->whole, t), axis, &dimension))
                continue;
            slot = &members->start[plb__root(cut, dimension) - cut->dimension];
            if (members->member == NULL) {
                slot[1]++;
                continue;
            }
            members->member[(*slot)++] = (struct plb__member){t, axis};
        }
    }
}

static enum plb_status members_find(const struct plb__cut *cut, struct members *members)
{
    size_t classes = 2 * (size_t)cut->n_values;

    members->member = NULL;
    members->start = calloc(classes + 1, sizeof *members->start);
    if (members->start == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to cut %" PRIu32 " tasks", cut->n_tasks);
    members_place(cut, members);
    for (size_t i = 0; i < classes; i++)
        members->start[i + 1] += members->start[i];
    members->member = calloc(members->start[classes] + 1, sizeof *members->member);
    if (members->member == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to cut %" PRIu32 " tasks", cut->n_tasks);
    members_place(cut, members);
    /* Placing moved each start to its end, which is the next one's start. */
    for (size_t i = classes; i > 0; i--)
        members->start[i] = members->start[i - 1];
    members->start[0] = 0;
    return PLB_OK;
}

static void members_free(struct members *members)
{
    free(members->start);
    free(members->member);
}

/* --- pieces --------------------------------------------------------------------------------- */

/* Cuts a class into ceil(extent / step) pieces. */
static enum plb_status set_step(struct plb__dimension *root, int64_t step)
{
    int64_t n = (root->extent + step - 1) / step;

    if (n < 2)
        return PLB_OK;
    root->at = malloc((size_t)(n + 1) * sizeof *root->at);
    if (root->at == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %" PRId64 " pieces", n);
    for (int64_t i = 0; i < n; i++)
        root->at[i] = i * step;
    root->at[n] = root->extent;
    root->n = (int)n;
    return PLB_OK;
}

/* The ways to slice rows, from coarse to fine: way k < sequences is k + 1 groups of whole
 * sequences, way sequences - 1 + j is j + 1 pieces of each sequence, in steps of `unit` rows. */
struct ways {
    int64_t rows, sequences, granule, unit;
    int n;
};

static struct ways ways_of(const struct plb__cut *cut, const struct plb__dimension *root)
{
    struct ways ways = {.rows = root->extent};
    int64_t rows_min = cut->options.rows_min, pieces;

    if (root->granule > 0 && root->extent % root->granule == 0)
        ways.granule = root->granule;
    else
        ways.granule = root->images ? 1 : root->extent;
    ways.sequences = ways.rows / ways.granule;
    ways.unit = rows_min < SLICE_ALIGNED ? 1 : SLICE_ALIGNED;
    pieces = ways.granule / rows_min;
    pieces = pieces < SLICES_MAX / ways.sequences ? pieces : SLICES_MAX / ways.sequences;
    ways.n = (int)(ways.sequences < SLICES_MAX ? ways.sequences : SLICES_MAX);
    ways.n += pieces > 1 ? (int)pieces - 1 : 0;
    return ways;
}

static int64_t way_slices(const struct ways *ways, int k)
{
    return k < ways->sequences ? k + 1 : (k - ways->sequences + 2) * ways->sequences;
}

/* Where slice i of way k begins. */
static int64_t way_begin(const struct ways *ways, int k, int64_t i)
{
    int64_t slices = way_slices(ways, k), pieces, units, rows;

    if (k < ways->sequences)
        return i * ways->sequences / slices * ways->granule;
    pieces = slices / ways->sequences;
    units = (ways->granule + ways->unit - 1) / ways->unit;
    rows = i % pieces * units / pieces * ways->unit;
    return i / pieces * ways->granule + rows;
}

static enum plb_status slice(struct plb__dimension *root, const struct ways *ways, int k)
{
    int64_t slices = way_slices(ways, k);

    if (slices < 2)
        return PLB_OK;
    root->at = malloc((size_t)(slices + 1) * sizeof *root->at);
    if (root->at == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %" PRId64 " slices", slices);
    for (int64_t i = 0; i <= slices; i++)
        root->at[i] = way_begin(ways, k, i);
    root->n = (int)slices;
    return PLB_OK;
}

/* --- rows ----------------------------------------------------------------------------------- */

/* Whether the task goes over columns that can be cut without anyone gathering them. */
static bool divides_columns(const struct plb__cut *cut, const struct plb_task *task)
{
    for (uint32_t i = 0; i < task->in_start[task->n_in] + task->out_start[task->n_out]; i++) {
        uint32_t n_in = task->in_start[task->n_in];
        plb_value value = i < n_in ? task->in[i] : task->out[i - n_in];
        const struct plb__dimension *cols = plb__root(cut, plb__cols_of(value));

        if (cols->listed && cols->step == 0)
            return true;
    }
    return false;
}

struct times {
    double mean;  /* of one slice of a task, weighted with its time */
    double total; /* of all slices of all tasks */
};

/* Times of the class's tasks in way k, told from its last slice, which is the longest. */
static struct times slice_times(const struct plb__cut *cut, const struct ways *ways, int k,
                                const struct plb__member *member, uint32_t n, bool all)
{
    int64_t from = way_begin(ways, k, way_slices(ways, k) - 1), to = ways->rows;
    struct times times = {0, 0};
    double squares = 0;

    for (uint32_t i = 0; i < n; i++) {
        const struct plb_task *task = plb_graph_task(cut->whole, member[i].task);
        int64_t low[PLB_AXES], high[PLB_AXES];
        double seconds;

        if (!all && divides_columns(cut, task))
            continue;
        for (int a = 0; a < PLB_AXES; a++) {
            low[a] = a == (int)member[i].axis - 1 ? from : task->low[a];
            high[a] = a == (int)member[i].axis - 1 ? to : task->high[a];
        }
        seconds = plb__cut_seconds(cut, task, low, high);
        times.total += seconds;
        squares += seconds * seconds;
    }
    times.mean = times.total > 0 ? squares / times.total : 0;
    times.total *= (double)ways->rows / (double)(to - from);
    return times;
}

/* The tasks of a class of rows, and what they take uncut. */
struct choice {
    const struct plb__cut *cut;
    const struct ways *ways;
    const struct plb__member *member;
    uint32_t n;
    bool all;
    double uncut;
};

static struct times choice_times(const struct choice *choice, int k)
{
    return slice_times(choice->cut, choice->ways, k, choice->member, choice->n, choice->all);
}

static bool costs_too_much(const struct choice *choice, const struct times *times)
{
    return times->total > SLICE_OVERHEAD * choice->uncut;
}

/* The coarsest way that reaches the target, or the finest that does not cost too much. */
static int choose_by_target(const struct choice *choice)
{
    double target = SLICE_TOLERANCE * choice->cut->options.target_seconds;
    int low = 0, high = choice->ways->n - 1;
    struct times times;

    while (low < high) {
        int middle = low + (high - low) / 2;

        times = choice_times(choice, middle);
        if (times.mean <= target || costs_too_much(choice, &times))
            high = middle;
        else
            low = middle + 1;
    }
    for (; low > 0; low--) {
        times = choice_times(choice, low);
        if (!costs_too_much(choice, &times))
            break;
    }
    return low;
}

/* Goes on to a few slices for several workers where that cuts no sequence, or the only one, and
 * leaves tasks worth their while. */
static int choose_for_workers(const struct choice *choice, int k)
{
    double shortest = SLICE_SHORTEST * choice->cut->options.target_seconds;
    int most = choice->ways->n;

    if (choice->ways->sequences > 1 && choice->ways->sequences < most)
        most = (int)choice->ways->sequences;
    most = most < SLICES_WANTED ? most : SLICES_WANTED;
    while (k + 1 < most) {
        struct times times = choice_times(choice, k + 1);

        if (times.mean < shortest || costs_too_much(choice, &times))
            break;
        k++;
    }
    return k;
}

static int choose_way(const struct plb__cut *cut, const struct ways *ways,
                      const struct plb__member *member, uint32_t n)
{
    struct choice choice = {.cut = cut, .ways = ways, .member = member, .n = n};

    choice.uncut = choice_times(&choice, 0).total;
    if (choice.uncut <= 0) {
        choice.all = true;
        choice.uncut = choice_times(&choice, 0).total;
    }
    return choose_for_workers(&choice, choose_by_target(&choice));
}

static enum plb_status cut_rows(struct plb__cut *cut, struct plb__dimension *root,
                                const struct plb__member *member, uint32_t n)
{
    struct ways ways;

    if (n == 0)
        return PLB_OK;
    ways = ways_of(cut, root);
    return slice(root, &ways, choose_way(cut, &ways, member, n));
}

/* --- the pass ------------------------------------------------------------------------------- */

static enum plb_status cut_decided(struct plb__cut *cut)
{
    for (uint32_t i = 0; i < 2 * cut->n_values; i++) {
        struct plb__dimension *root = &cut->dimension[i];

        if (root->parent == i && root->step > 0)
            PLB_TRY(set_step(root, root->step));
    }
    return PLB_OK;
}

/* Rows before columns: how long a slice takes decides whether its columns are cut. */
static enum plb_status cut_free(struct plb__cut *cut, const struct members *members)
{
    for (int columns = 0; columns < 2; columns++) {
        for (plb_value value = 0; value < cut->n_values; value++) {
            uint32_t i = columns ? plb__cols_of(value) : plb__rows_of(value);
            struct plb__dimension *root = &cut->dimension[i];
            const struct plb__member *member = &members->member[members->start[i]];
            uint32_t n = members->start[i + 1] - members->start[i];

            if (root->parent != i || root->step != 0 || root->extent == 0)
                continue;
            PLB_TRY(columns ? plb__cut_columns(cut, root, member, n)
                            : cut_rows(cut, root, member, n));
        }
    }
    return PLB_OK;
}

enum plb_status plb__cut_sizes(struct plb__cut *cut)
{
    struct members members;
    enum plb_status status;

    PLB_TRY(cut_decided(cut));
    status = members_find(cut, &members);
    if (status == PLB_OK)
        status = cut_free(cut, &members);
    members_free(&members);
    return status;
}
