/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A graph in Graphviz's language.
 *
 * Tasks are boxes coloured by phase and gathered by block; values are edges labelled with their
 * type. What exists before the step is an ellipse; what the caller reads, or what lives on, has a
 * shape of its own or an edge back to its first version. For people: a cut graph of a large model
 * makes a text that no one can look at.
 */
#include "config.h"

#include "runtime/graph/internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 4096 /* room at first */

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

/* An ellipse for a value that exists before the step. */
static void print_source(struct text *text, plb_value v, const struct plb_value_info *info)
{
    print(text, "  v%" PRIu32 " [shape=ellipse, fillcolor=\"%s\", label=\"", v,
          role_colours[info->role]);
    print_name(text, info->name);
    print(text, "\\n");
    print_type(text, &info->type);
    print(text, "\"];\n");
}

/* What the caller reads, and the way back of what lives on. */
static void print_ends(struct text *text, const plb_graph_t *graph, plb_value v)
{
    const struct plb_value_info *info = plb_graph_value(graph, v);

    if (info->output && info->producer != PLB_NONE) {
        print(text, "  o%" PRIu32 " [shape=ellipse, peripheries=2, label=\"", v);
        print_name(text, info->name);
        print(text, "\"];\n  t%" PRIu32 " -> o%" PRIu32 " [label=\"", info->producer, v);
        print_type(text, &info->type);
        print(text, "\"];\n");
    }
    if (info->next != PLB_NONE && plb_graph_value(graph, info->next)->producer != PLB_NONE)
        print(text,
              "  t%" PRIu32 " -> v%" PRIu32 " [style=dashed, constraint=false, label=\"next\"];\n",
              plb_graph_value(graph, info->next)->producer, v);
}

static void print_task(struct text *text, plb_task_id t, const struct plb_task *task)
{
    print(text, "  t%" PRIu32 " [shape=box, fillcolor=\"%s\", label=\"", t,
          phase_colours[task->phase]);
    print_name(text, task->op->name);
    if (strcmp(task->name, task->op->name) != 0) {
        print(text, "\\n");
        print_name(text, task->name);
    }
    print(text, "\"];\n");
}

static void print_edges(struct text *text, const plb_graph_t *graph, plb_task_id t)
{
    const struct plb_task *task = plb__graph_task(graph, t);

    for (uint32_t i = 0; i < task->in_start[task->n_in]; i++) {
        const struct plb_value_info *info = plb_graph_value(graph, task->in[i]);

        if (info->producer == PLB_NONE) {
            print(text, "  v%" PRIu32 " -> t%" PRIu32 ";\n", task->in[i], t);
            continue;
        }
        print(text, "  t%" PRIu32 " -> t%" PRIu32 " [label=\"", info->producer, t);
        print_type(text, &info->type);
        print(text, "\"];\n");
    }
}

/* A task and its block, to write the boxes of a block together. */
struct place {
    int block;
    plb_task_id task;
};

static int place_compare(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->block != y->block)
        return x->block < y->block ? -1 : 1;
    return x->task < y->task ? -1 : x->task > y->task;
}

static void print_tasks(struct text *text, const plb_graph_t *graph, struct place *places)
{
    int block = -1;

    for (plb_task_id t = 0; t < graph->tasks.n; t++)
        places[t] = (struct place){plb__graph_task(graph, t)->block, t};
    qsort(places, graph->tasks.n, sizeof *places, place_compare);
    for (uint32_t i = 0; i < graph->tasks.n; i++) {
        if (places[i].block != block) {
            if (block >= 0)
                print(text, "  }\n");
            block = places[i].block;
            print(text,
                  "  subgraph cluster_%d {\n  label=\"block %d\"; style=rounded; "
                  "color=\"#999999\";\n",
                  block, block);
        }
        print_task(text, places[i].task, plb__graph_task(graph, places[i].task));
    }
    if (block >= 0)
        print(text, "  }\n");
}

static void print_graph(struct text *text, const plb_graph_t *graph, struct place *places)
{
    print(text, "digraph palombe {\n  rankdir=TB;\n"
                "  node [style=filled, fillcolor=white, fontname=\"Helvetica\", fontsize=11];\n"
                "  edge [fontname=\"Helvetica\", fontsize=9, color=\"#666666\"];\n");
    for (plb_value v = 0; v < graph->values.n; v++) {
        if (plb_graph_value(graph, v)->producer == PLB_NONE)
            print_source(text, v, plb_graph_value(graph, v));
    }
    print_tasks(text, graph, places);
    for (plb_task_id t = 0; t < graph->tasks.n; t++)
        print_edges(text, graph, t);
    for (plb_value v = 0; v < graph->values.n; v++)
        print_ends(text, graph, v);
    print(text, "}\n");
}

enum plb_status plb_graph_dot(const plb_graph_t *graph, char **text_out)
{
    struct text text = {malloc(TEXT_BYTES), 0, TEXT_BYTES};
    struct place *places = malloc(((size_t)graph->tasks.n + 1) * sizeof *places);

    if (places != NULL)
        print_graph(&text, graph, places);
    if (places == NULL || text.text == NULL) {
        free(places);
        free(text.text);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the text of %" PRIu32 " tasks",
                        graph->tasks.n);
    }
    free(places);
    *text_out = text.text;
    return PLB_OK;
}
