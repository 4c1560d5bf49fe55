/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A graph in Graphviz's language, all of it. (A picture of a step for the eye is dot_overview.c.)
 *
 * Tasks are boxes coloured by phase, with the types of what they make; those of a block and a phase
 * make a cluster. An edge is a value. Values that come from elsewhere are nodes of the cluster that
 * reads them, again in each: ellipses for what exists before the step, notes for what another phase
 * makes. Lines across the whole picture would hide the rest, and Graphviz takes minutes to lay out
 * a dozen blocks with them. Where a task makes the next version of what it reads, as updates do,
 * that is only written in its box.
 */
#include "config.h"

#include "runtime/graph/internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES     4096 /* room at first */
#define ROW_OF_UPDATES 6

/* A text that grows. After a failure `text` is NULL and all further printing does nothing. */
struct text {
    char *text;
    size_t used, bytes;
};

static const char *const phase_colours[PLB_PHASES] = {
    [PLB_PHASE_FORWARD] = "#cfe3f7",
    [PLB_PHASE_BACKWARD] = "#fbdcc4",
    [PLB_PHASE_UPDATE] = "#d3ecd0",
};

static const char *const role_colours[PLB_ROLES] = {
    [PLB_ROLE_INPUT] = "#ffffff",    [PLB_ROLE_PARAMETER] = "#fff2b8",
    [PLB_ROLE_STATE] = "#e6dcf5",    [PLB_ROLE_ACTIVATION] = "#ffffff",
    [PLB_ROLE_GRADIENT] = "#fbdcc4",
};

static void text_abandon(struct text *text)
{
    free(text->text);
    text->text = NULL;
}

/* Makes room for `more` bytes and a zero. */
static bool text_reserve(struct text *text, size_t more)
{
    size_t bytes = text->bytes;
    char *grown;

    if (text->text == NULL)
        return false;
    if (more < bytes - text->used)
        return true;
    while (bytes - text->used <= more)
        bytes *= 2;
    grown = realloc(text->text, bytes);
    if (grown == NULL) {
        text_abandon(text);
        return false;
    }
    text->text = grown;
    text->bytes = bytes;
    return true;
}

__attribute__((format(printf, 2, 3))) static void print(struct text *text, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        text_abandon(text);
    if (length < 0 || !text_reserve(text, (size_t)length))
        return;
    va_start(arguments, format);
    vsnprintf(text->text + text->used, text->bytes - text->used, format, arguments);
    va_end(arguments);
    text->used += (size_t)length;
}

/* A name inside a quoted label. Graphviz reads backslashes, entities and, of course, quotes;
 * control characters have no picture. */
static void print_name(struct text *text, const char *name)
{
    for (; *name != '\0'; name++) {
        unsigned char c = (unsigned char)*name;

        if (c == '"' || c == '\\')
            print(text, "\\%c", c);
        else if (c == '&')
            print(text, "&amp;");
        else
            print(text, "%c", c < 0x20 || c == 0x7f ? '?' : c);
    }
}

static void print_type(struct text *text, const struct plb_type *type)
{
    char type_text[PLB__TYPE_TEXT];

    print(text, "%s", plb_type_print(type, type_text, sizeof type_text));
}

/* --- nodes and edges -------------------------------------------------------------------------- */

struct drawing {
    const plb_graph_t *graph;
    struct text text;
    uint32_t *cluster_of; /* by value: the latest cluster that has a node for it, 0 for none */
};

/* Does the task make the next version of this value, which exists before the step? */
static bool is_updated_by(const struct drawing *d, plb_value v, plb_task_id t)
{
    plb_value next = plb_graph_value(d->graph, v)->next;

    return next != PLB_NONE && plb_graph_value(d->graph, next)->producer == t;
}

/* A node for a value that a cluster (0: outside all) reads from elsewhere: an ellipse for what
 * exists before the step, a note for what another phase makes. */
static void print_source(struct drawing *d, plb_value v, uint32_t cluster)
{
    const struct plb_value_info *info = plb_graph_value(d->graph, v);
    bool made = info->producer != PLB_NONE;

    d->cluster_of[v] = cluster;
    print(&d->text, "  v%" PRIu32 "_%" PRIu32 " [shape=%s, fillcolor=\"%s\", label=\"", v, cluster,
          made ? "note" : "ellipse",
          made ? phase_colours[plb__graph_task(d->graph, info->producer)->phase]
               : role_colours[info->role]);
    print_name(&d->text, info->name);
    print(&d->text, "\\n");
    print_type(&d->text, &info->type);
    print(&d->text, "\"];\n");
}

/* The value that the box of an update names: a parameter, if there is one. */
static plb_value updated_by(const struct drawing *d, plb_task_id t)
{
    const struct plb_task *task = plb__graph_task(d->graph, t);
    plb_value updated = PLB_NONE;

    for (uint32_t i = task->in_start[task->n_in]; i-- > 0;) {
        if (is_updated_by(d, task->in[i], t) &&
            (updated == PLB_NONE ||
             plb_graph_value(d->graph, task->in[i])->role == PLB_ROLE_PARAMETER))
            updated = task->in[i];
    }
    return updated;
}

static void print_task(struct drawing *d, plb_task_id t)
{
    const struct plb_task *task = plb__graph_task(d->graph, t);
    plb_value updated = updated_by(d, t);

    print(&d->text, "  t%" PRIu32 " [shape=box, fillcolor=\"%s\", label=\"", t,
          phase_colours[task->phase]);
    print_name(&d->text, task->op->name);
    if (updated != PLB_NONE) {
        print(&d->text, "\\nupdates ");
        print_name(&d->text, plb_graph_value(d->graph, updated)->name);
    } else if (strcmp(task->name, task->op->name) != 0) {
        print(&d->text, "\\n");
        print_name(&d->text, task->name);
    }
    for (uint32_t i = 0; i < task->out_start[task->n_out]; i++) {
        print(&d->text, i == 0 ? "\\n" : " + ");
        print_type(&d->text, &plb_graph_value(d->graph, task->out[i])->type);
    }
    print(&d->text, "\"];\n");
}

/* Does the task read this value by an edge from the task that makes it? */
static bool is_near(const struct drawing *d, plb_value v, const struct plb_task *task)
{
    plb_task_id producer = plb_graph_value(d->graph, v)->producer;

    return producer != PLB_NONE && plb__graph_task(d->graph, producer)->phase == task->phase;
}

/* Edges from values of elsewhere, to a task of this cluster. */
static void print_sources(struct drawing *d, plb_task_id t, uint32_t cluster)
{
    const struct plb_task *task = plb__graph_task(d->graph, t);

    for (uint32_t i = 0; i < task->in_start[task->n_in]; i++) {
        plb_value v = task->in[i];

        if (is_near(d, v, task) || is_updated_by(d, v, t))
            continue;
        if (d->cluster_of[v] != cluster)
            print_source(d, v, cluster);
        print(&d->text, "  v%" PRIu32 "_%" PRIu32 " -> t%" PRIu32 ";\n", v, cluster, t);
    }
}

static void print_edges(struct drawing *d, plb_task_id t)
{
    const struct plb_task *task = plb__graph_task(d->graph, t);

    for (uint32_t i = 0; i < task->in_start[task->n_in]; i++) {
        if (is_near(d, task->in[i], task))
            print(&d->text, "  t%" PRIu32 " -> t%" PRIu32 ";\n",
                  plb_graph_value(d->graph, task->in[i])->producer, t);
    }
}

/* A node for what leaves the step: an output, or a next version whose first one the task that makes
 * it does not read. */
static void print_end(struct drawing *d, plb_value v, const char *prefix, const char *name)
{
    const struct plb_value_info *info = plb_graph_value(d->graph, v);

    print(&d->text, "  %c%" PRIu32 " [shape=ellipse, peripheries=2, label=\"%s",
          prefix[0] == '\0' ? 'o' : 'n', v, prefix);
    print_name(&d->text, name);
    print(&d->text, "\"];\n  t%" PRIu32 " -> %c%" PRIu32 ";\n", info->producer,
          prefix[0] == '\0' ? 'o' : 'n', v);
}

static bool reads(const struct plb_task *task, plb_value v)
{
    for (uint32_t i = 0; i < task->in_start[task->n_in]; i++) {
        if (task->in[i] == v)
            return true;
    }
    return false;
}

static void print_ends(struct drawing *d, plb_value v)
{
    const struct plb_value_info *info = plb_graph_value(d->graph, v);
    plb_task_id maker;

    if (info->output && info->producer != PLB_NONE)
        print_end(d, v, "", info->name);
    if (info->next == PLB_NONE)
        return;
    maker = plb_graph_value(d->graph, info->next)->producer;
    if (maker != PLB_NONE && !reads(plb__graph_task(d->graph, maker), v))
        print_end(d, info->next, "next ", info->name);
}

/* --- the whole -------------------------------------------------------------------------------- */

/* A task and the cluster that it belongs to. */
struct place {
    enum plb_phase phase;
    int block;
    plb_task_id task;
};

static int place_compare(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->phase != y->phase)
        return x->phase < y->phase ? -1 : 1;
    if (x->block != y->block)
        return x->block < y->block ? -1 : 1;
    return x->task < y->task ? -1 : x->task > y->task;
}

/* Updates have nothing to do with each other and would stand in one endless row. */
static void print_rows(struct drawing *d, const struct place *places, uint32_t n)
{
    for (uint32_t i = 0; i + ROW_OF_UPDATES < n && places[0].phase == PLB_PHASE_UPDATE; i++)
        print(&d->text, "  t%" PRIu32 " -> t%" PRIu32 " [style=invis];\n", places[i].task,
              places[i + ROW_OF_UPDATES].task);
}

/* The n tasks of a cluster; those of no block stand free. */
static void print_cluster(struct drawing *d, const struct place *places, uint32_t n,
                          uint32_t cluster)
{
    static const char *const phases[PLB_PHASES] = {"forward", "backward", "update"};

    if (places[0].block >= 0)
        print(&d->text,
              "  subgraph cluster_%" PRIu32 " {\n  label=\"block %d, %s\"; style=rounded; "
              "color=\"#999999\";\n",
              cluster, places[0].block, phases[places[0].phase]);
    for (uint32_t i = 0; i < n; i++) {
        print_task(d, places[i].task);
        print_sources(d, places[i].task, cluster);
    }
    print_rows(d, places, n);
    if (places[0].block >= 0)
        print(&d->text, "  }\n");
}

static void print_clusters(struct drawing *d, struct place *places)
{
    uint32_t n = d->graph->tasks.n, first = 0, cluster = 0;

    for (plb_task_id t = 0; t < n; t++) {
        const struct plb_task *task = plb__graph_task(d->graph, t);

        places[t] = (struct place){task->phase, task->block, t};
    }
    qsort(places, n, sizeof *places, place_compare);
    for (uint32_t i = 1; i <= n; i++) {
        if (i < n && places[i].block == places[first].block &&
            places[i].phase == places[first].phase)
            continue;
        print_cluster(d, &places[first], i - first, ++cluster);
        first = i;
    }
}

static void print_graph(struct drawing *d, struct place *places)
{
    uint32_t values = d->graph->values.n;

    print(&d->text,
          "digraph palombe {\n  ranksep=0.3; nodesep=0.2;\n"
          "  node [style=filled, fillcolor=white, fontname=\"Helvetica\", fontsize=11, "
          "height=0.3, margin=\"0.08,0.04\"];\n"
          "  edge [fontname=\"Helvetica\", fontsize=9, color=\"#666666\", arrowsize=0.6];\n");
    if (d->graph->tasks.n > 0)
        print_clusters(d, places);
    for (plb_value v = 0; v < values; v++) {
        const struct plb_value_info *info = plb_graph_value(d->graph, v);

        if (info->producer == PLB_NONE && info->next == PLB_NONE && d->cluster_of[v] == 0)
            print_source(d, v, 0);
    }
    for (plb_task_id t = 0; t < d->graph->tasks.n; t++)
        print_edges(d, t);
    for (plb_value v = 0; v < values; v++)
        print_ends(d, v);
    print(&d->text, "}\n");
}

enum plb_status plb_graph_dot(const plb_graph_t *graph, char **text_out)
{
    struct drawing d = {graph, {malloc(TEXT_BYTES), 0, TEXT_BYTES}, NULL};
    struct place *places = malloc(((size_t)graph->tasks.n + 1) * sizeof *places);
    enum plb_status status = PLB_OK;

    d.cluster_of = calloc((size_t)graph->values.n + 1, sizeof *d.cluster_of);
    if (places != NULL && d.cluster_of != NULL)
        print_graph(&d, places);
    if (places == NULL || d.cluster_of == NULL || d.text.text == NULL) {
        text_abandon(&d.text);
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for the text of %" PRIu32 " tasks",
                          graph->tasks.n);
    }
    if (status == PLB_OK)
        *text_out = d.text.text;
    free(places);
    free(d.cluster_of);
    return status;
}
