/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A training step for the eye: forward tasks go down, the tasks of the gradient go up beside them,
 * each block in its frame. Parameters stand as words in the task that reads them, updates as a word
 * in the task that makes the gradient, so that a model of some layers fits on a screen. The whole
 * truth is in dot.c.
 */
#define _GNU_SOURCE
#include "config.h"

#include "runtime/graph/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, LEFT_OUT };

static const char *const colours[] = {
    [FORWARD] = "#cfe3f7",
    [INPUT_GRADIENT] = "#fbdcc4",
    [WEIGHT_GRADIENT] = "#d3ecd0",
};

/* What is known of every task and value before drawing. */
struct overview {
    const plb_graph_t *graph;
    enum kind *kind;              /* per task */
    const char **update;          /* per task: the operator that updates by its output, or NULL */
    FILE *out;
};

static void put_name(FILE *out, const char *name)
{
    for (; *name != '\0'; name++) {
        unsigned char c = (unsigned char)*name;

        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c == '&')
            fputs("&amp;", out);
        else
            fputc(c < 0x20 || c == 0x7f ? '?' : c, out);
    }
}

static bool is_weight_gradient(const char *operator_name)
{
    size_t n = strlen(operator_name);

    return n > 3 && (strcmp(operator_name + n - 3, "_dw") == 0 ||
                     strcmp(operator_name + n - 3, "_db") == 0);
}

static enum kind kind_of(const struct plb_task *task)
{
    if (task->phase == PLB_PHASE_UPDATE)
        return LEFT_OUT;
    if (task->phase == PLB_PHASE_FORWARD)
        return FORWARD;
    return is_weight_gradient(task->op->name) ? WEIGHT_GRADIENT : INPUT_GRADIENT;
}

/* An update that reads a parameter marks the tasks that made the gradients it reads. */
static void mark_updates(struct overview *o, const struct plb_task *task)
{
    bool reads_parameter = false;

    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        const struct plb_value_info *info = plb_graph_value(o->graph, task->in[j]);

        reads_parameter |= info->role == PLB_ROLE_PARAMETER;
    }
    for (uint32_t j = 0; reads_parameter && j < task->in_start[task->n_in]; j++) {
        plb_task_id producer = plb_graph_value(o->graph, task->in[j])->producer;

        if (producer != PLB_NONE && o->kind[producer] != LEFT_OUT)
            o->update[producer] = task->op->name;
    }
}

static void classify(struct overview *o)
{
    for (plb_task_id t = 0; t < o->graph->tasks.n; t++)
        o->kind[t] = kind_of(plb__graph_task(o->graph, t));
    for (plb_task_id t = 0; t < o->graph->tasks.n; t++)
        if (o->kind[t] == LEFT_OUT)
            mark_updates(o, plb__graph_task(o->graph, t));
}

static void put_parameters(const struct overview *o, const struct plb_task *task)
{
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        const struct plb_value_info *info = plb_graph_value(o->graph, task->in[j]);
        char type[PLB__TYPE_TEXT];

        if (info->role != PLB_ROLE_PARAMETER || info->producer != PLB_NONE)
            continue;
        fputs("\\n", o->out);
        put_name(o->out, info->name);
        fprintf(o->out, " %s", plb_type_print(&info->type, type, sizeof type));
    }
}

static void put_task(const struct overview *o, plb_task_id t)
{
    const struct plb_task *task = plb__graph_task(o->graph, t);

    fprintf(o->out, "    t%" PRIu32 " [fillcolor=\"%s\", label=\"", t, colours[o->kind[t]]);
    put_name(o->out, task->op->name);
    if (o->kind[t] == FORWARD)
        put_parameters(o, task);
    if (o->update[t] != NULL)
        fprintf(o->out, "\\n%s", o->update[t]);
    fputs("\"];\n", o->out);
}

/* Tasks of a block stand in one frame, in the order of the graph. */
static void put_blocks(const struct overview *o)
{
    int last = -1;

    for (plb_task_id t = 0; t < o->graph->tasks.n; t++)
        if (plb__graph_task(o->graph, t)->block > last)
            last = plb__graph_task(o->graph, t)->block;
    for (int block = -1; block <= last; block++) {
        if (block >= 0)
            fprintf(o->out, "  subgraph cluster_%d {\n    label=\"block %d\";\n", block, block);
        for (plb_task_id t = 0; t < o->graph->tasks.n; t++)
            if (o->kind[t] != LEFT_OUT && plb__graph_task(o->graph, t)->block == block)
                put_task(o, t);
        if (block >= 0)
            fputs("  }\n", o->out);
    }
}

/* Between gradients edges are laid out upwards; what the forward pass saves for the gradient goes
 * sideways and shapes nothing. */
static void put_edge(const struct overview *o, plb_task_id from, plb_task_id to, plb_value value)
{
    const struct plb_value_info *info = plb_graph_value(o->graph, value);
    char type[PLB__TYPE_TEXT];

    if (o->kind[from] == FORWARD && o->kind[to] == FORWARD)
        fprintf(o->out, "  t%" PRIu32 " -> t%" PRIu32 " [label=\"%s\", weight=4];\n", from, to,
                plb_type_print(&info->type, type, sizeof type));
    else if (o->kind[from] == FORWARD)
        fprintf(o->out,
                "  t%" PRIu32 " -> t%" PRIu32
                " [style=dotted, color=\"#bbbbbb\", arrowsize=0.5, constraint=false];\n",
                from, to);
    else
        fprintf(o->out, "  t%" PRIu32 " -> t%" PRIu32 " [dir=back, color=\"#c77730\"];\n", to,
                from);
}

static void put_inputs(const struct overview *o, plb_task_id t, const struct plb_task *task)
{
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
        plb_value v = task->in[j];
        plb_task_id producer = plb_graph_value(o->graph, v)->producer;

        if (producer == PLB_NONE) {
            if (plb_graph_value(o->graph, v)->role == PLB_ROLE_INPUT && o->kind[t] == FORWARD)
                fprintf(o->out, "  v%" PRIu32 " -> t%" PRIu32 ";\n", v, t);
        } else if (o->kind[producer] != LEFT_OUT) {
            put_edge(o, producer, t, v);
        }
    }
}

/* Inputs of the update alone (the learning rate) would stand apart. */
static bool is_read_forward(const struct overview *o, plb_value v)
{
    for (plb_task_id t = 0; t < o->graph->tasks.n; t++) {
        const struct plb_task *task = plb__graph_task(o->graph, t);

        for (uint32_t j = 0; o->kind[t] == FORWARD && j < task->in_start[task->n_in]; j++)
            if (task->in[j] == v)
                return true;
    }
    return false;
}

static void put_values(const struct overview *o)
{
    for (plb_value v = 0; v < o->graph->values.n; v++) {
        const struct plb_value_info *info = plb_graph_value(o->graph, v);
        bool input = info->producer == PLB_NONE && info->role == PLB_ROLE_INPUT &&
                     is_read_forward(o, v);
        bool output = info->output && info->producer != PLB_NONE &&
                      o->kind[info->producer] == FORWARD;

        if (!input && !output)
            continue;
        fprintf(o->out, "  v%" PRIu32 " [shape=ellipse, fillcolor=\"%s\", label=\"", v,
                input ? "#ffffff" : "#fff2b8");
        put_name(o->out, info->name);
        fputs("\"];\n", o->out);
        if (output)
            fprintf(o->out, "  t%" PRIu32 " -> v%" PRIu32 ";\n", info->producer, v);
    }
}

static void put_graph(const struct overview *o)
{
    fputs("digraph palombe {\n  rankdir=TB; nodesep=0.15; ranksep=0.25; labelloc=t;\n"
          "  label=\"blue: forward, down; orange: gradient of inputs, up; green: gradient of "
          "weights, with the update that it goes into; dotted: kept for the gradient\";\n"
          "  fontname=\"Helvetica\"; fontsize=13; style=rounded; color=\"#999999\";\n"
          "  node [shape=box, style=filled, fontname=\"Helvetica\", fontsize=11, height=0.3, "
          "margin=\"0.08,0.04\"];\n"
          "  edge [fontname=\"Helvetica\", fontsize=9, color=\"#4e79a7\", arrowsize=0.7];\n",
          o->out);
    put_values(o);
    put_blocks(o);
    for (plb_task_id t = 0; t < o->graph->tasks.n; t++)
        if (o->kind[t] != LEFT_OUT)
            put_inputs(o, t, plb__graph_task(o->graph, t));
    fputs("}\n", o->out);
}

enum plb_status plb_graph_dot_overview(const plb_graph_t *graph, char **text_out)
{
    size_t n = (size_t)graph->tasks.n + 1, bytes = 0;
    char *text = NULL;
    struct overview o = {.graph = graph,
                         .kind = calloc(n, sizeof *o.kind),
                         .update = calloc(n, sizeof *o.update),
                         .out = open_memstream(&text, &bytes)};
    bool complete = o.kind != NULL && o.update != NULL && o.out != NULL;

    if (complete) {
        classify(&o);
        put_graph(&o);
    }
    if (o.out != NULL) {
        complete = !ferror(o.out) && complete;
        complete = fclose(o.out) == 0 && text != NULL && complete;
    }
    free(o.kind);
    free(o.update);
    if (!complete) {
        free(text);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a picture of %" PRIu32 " tasks",
                        graph->tasks.n);
    }
    *text_out = text;
    return PLB_OK;
}
