/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Timelines of a traced step as SVG and as Perfetto's JSON.
 */
#define _GNU_SOURCE
#include "runtime/run/timeline.h"

#include "runtime/base/xml.h"
#include "runtime/run/device.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Layout of the picture, in pixels. */
enum {
    WIDTH = 1400,
    LEFT = 96,
    RIGHT = 86,
    TOP = 64,
    LANE = 34,
    LANE_GAP = 8,
    AXIS = 34,
    LEGEND_ROW = 22,
    TICKS = 10
};

/* What a task does, as far as its colour goes. */
enum kind { FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, ATTENTION, LOSS, UPDATE, MOVE, KINDS };

static const struct {
    const char *label, *colour;
} kinds[KINDS] = {
    [FORWARD] = {"forward", "#4e79a7"},
    [INPUT_GRADIENT] = {"gradient of inputs", "#f28e2b"},
    [WEIGHT_GRADIENT] = {"gradient of weights", "#59a14f"},
    [ATTENTION] = {"attention, both ways", "#b07aa1"},
    [LOSS] = {"loss", "#e15759"},
    [UPDATE] = {"update", "#9c755f"},
    [MOVE] = {"moves, transfers", "#76b7b2"},
};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static enum kind kind_of_task(const struct plb_task *task)
{
    if (task->phase == PLB_PHASE_UPDATE)
        return UPDATE;
    if (strncmp(task->op->name, "attention", strlen("attention")) == 0)
        return ATTENTION;
    if (strstr(task->op->name, "loss") || strstr(task->op->name, "cross_entropy"))
        return LOSS;
    if (task->phase == PLB_PHASE_FORWARD)
        return FORWARD;
    if (ends_with(task->op->name, "_dw") || ends_with(task->op->name, "_db"))
        return WEIGHT_GRADIENT;
    return INPUT_GRADIENT;
}

/* After the workers among the lanes: what computes in main memory beside the device, in the place
 * of the device's link to itself, and directions of links. */
enum { BESIDE = 2 * PLB_DEVICE, LINKS = 2 * PLB_TIERS };
/* From one device to another. */
enum { WAYS = PLB_DEVICES_MAX * PLB_DEVICES_MAX };

/* A traced step with what all drawing needs of it. */
struct step {
    const plb_graph_t *graph;
    const struct plb_trace_record *record;
    uint32_t n;
    int workers, lanes;
    int link[LINKS];       /* the lane of each, -1: nothing moved there */
    int way[WAYS];         /* likewise, from one device to another */
    double span;           /* seconds, at least a microsecond */
    double busy;           /* of all workers */
    double by_kind[KINDS]; /* likewise; of the links for moves */
};

static int link_of(const struct plb_trace_record *r)
{
    if (r->code == PLB_RUN)
        return BESIDE;
    return 2 * (int)r->tier + (r->code == PLB_FETCH);
}

static bool is_transfer(const struct plb_trace_record *r)
{
    return r->code == PLB_RUN && r->from != PLB_NONE;
}

static bool is_task(const struct plb_trace_record *r)
{
    return r->code == PLB_RUN && r->from == PLB_NONE;
}

static bool is_on_worker(const struct plb_trace_record *r)
{
    return is_task(r) && r->tier == PLB_DEVICE;
}

static uint32_t way_of(const struct plb_trace_record *r)
{
    return r->from * PLB_DEVICES_MAX + r->place;
}

static int lane_of(const struct step *step, const struct plb_trace_record *r)
{
    if (is_transfer(r))
        return step->way[way_of(r)];
    return is_on_worker(r) ? r->worker : step->link[link_of(r)];
}

static enum kind kind_of(const struct step *step, const struct plb_trace_record *r)
{
    return is_task(r) ? kind_of_task(plb_graph_task(step->graph, r->task)) : MOVE;
}

static const char *name_of(const struct step *step, const struct plb_trace_record *r)
{
    return is_task(r) ? plb_graph_task(step->graph, r->task)->name
                      : plb_graph_value(step->graph, r->value)->name;
}

struct what {
    char text[48];
};

/* "linear", "to disk", "device 0 to 1". */
static struct what what_of(const struct step *step, const struct plb_trace_record *r)
{
    static const char *const directions[LINKS] = {[2 * PLB_HOST] = "to host",
                                                  [2 * PLB_HOST + 1] = "from host",
                                                  [2 * PLB_DISK] = "to disk",
                                                  [2 * PLB_DISK + 1] = "from disk"};
    struct what what;

    if (is_transfer(r))
        snprintf(what.text, sizeof what.text, "device %u to %u", r->from, r->place);
    else
        snprintf(what.text, sizeof what.text, "%s",
                 is_task(r) ? plb_graph_task(step->graph, r->task)->op->name
                            : directions[link_of(r)]);
    return what;
}

static enum plb_status load(plb_session_t *session, struct step *step)
{
    *step = (struct step){.graph = plb_session_graph(session), .span = 1e-6, .workers = 1};
    memset(step->link, 0xff, sizeof step->link);
    memset(step->way, 0xff, sizeof step->way);
    PLB_TRY(plb_session_get_trace(session, &step->record, &step->n));
    for (uint32_t k = 0; k < step->n; k++) {
        const struct plb_trace_record *r = &step->record[k];
        double length = r->end - r->start;

        if (r->end > step->span)
            step->span = r->end;
        if (r->worker >= step->workers)
            step->workers = r->worker + 1;
        if (is_on_worker(r))
            step->busy += length;
        else if (is_transfer(r))
            step->way[way_of(r)] = 0;
        else
            step->link[link_of(r)] = 0;
        step->by_kind[kind_of(step, r)] += length;
    }
    step->lanes = step->workers;
    for (int k = 0; k < LINKS; k++)
        if (step->link[k] >= 0)
            step->link[k] = step->lanes++;
    for (int k = 0; k < WAYS; k++)
        if (step->way[k] >= 0)
            step->way[k] = step->lanes++;
    return PLB_OK;
}

static double x_of(const struct step *step, double seconds)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * seconds / step->span;
}

static int lane_y(int lane)
{
    return TOP + lane * (LANE + LANE_GAP);
}

static void draw_head(FILE *out, const struct step *step, const char *title)
{
    int height = lane_y(step->lanes) + AXIS + LEGEND_ROW * 2 + 12;

    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
            "<text x=\"%d\" y=\"28\" font-size=\"18\" fill=\"#222\">",
            WIDTH, height, WIDTH, height, LEFT);
    plb__xml_put(out, title);
    fprintf(out,
            "</text>\n<text x=\"%d\" y=\"48\" fill=\"#666\">%u tasks on %d workers in %.1f ms, "
            "workers busy %.0f %% of the time</text>\n",
            LEFT, step->n, step->workers, 1e3 * step->span,
            100.0 * step->busy / (step->span * step->workers));
}

static void draw_lane(FILE *out, const struct step *step, int lane)
{
    char name[48];
    double busy = 0.0;

    snprintf(name, sizeof name, "worker %d", lane);
    for (uint32_t k = 0; k < step->n; k++) {
        const struct plb_trace_record *r = &step->record[k];

        if (lane_of(step, r) != lane)
            continue;
        busy += r->end - r->start;
        if (is_on_worker(r) && plb_runtime_devices() > 1)
            snprintf(name, sizeof name, "%u: worker %d", r->place, lane);
        else if (!is_on_worker(r))
            snprintf(name, sizeof name, "%s",
                     is_task(r) ? "main memory" : what_of(step, r).text);
    }
    fprintf(out,
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#f0f0f0\"/>\n"
            "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" fill=\"#222\">%s</text>\n"
            "<text x=\"%d\" y=\"%d\" fill=\"#666\">%.0f %% busy</text>\n",
            LEFT, lane_y(lane), WIDTH - LEFT - RIGHT, LANE, LEFT - 8, lane_y(lane) + 22, name,
            WIDTH - RIGHT + 8, lane_y(lane) + 22, 100.0 * busy / step->span);
}

static void draw_lanes(FILE *out, const struct step *step)
{
    for (int lane = 0; lane < step->lanes; lane++)
        draw_lane(out, step, lane);
}

static void draw_bars(FILE *out, const struct step *step)
{
    const double thinnest = 0.3;

    for (uint32_t k = 0; k < step->n; k++) {
        const struct plb_trace_record *r = &step->record[k];
        double x = x_of(step, r->start), width = x_of(step, r->end) - x;

        fprintf(out,
                "<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" fill=\"%s\" "
                "stroke=\"#ffffff\" stroke-width=\"0.2\"><title>",
                x, lane_y(lane_of(step, r)), width < thinnest ? thinnest : width, LANE,
                kinds[kind_of(step, r)].colour);
        plb__xml_put(out, name_of(step, r));
        fprintf(out, " (%s): %.3f ms</title></rect>\n", what_of(step, r).text,
                1e3 * (r->end - r->start));
    }
}

/* The largest of 1, 2, 5 times a power of ten that gives at least TICKS / 2 ticks. */
static double tick_length(double span)
{
    static const double mantissa[] = {5.0, 2.0, 1.0};
    double power = 1e-7;

    while (power * 10.0 <= span)
        power *= 10.0;
    for (;; power /= 10.0)
        for (size_t k = 0; k < sizeof mantissa / sizeof mantissa[0]; k++)
            if (span / (mantissa[k] * power) >= TICKS / 2.0)
                return mantissa[k] * power;
}

static void draw_axis(FILE *out, const struct step *step)
{
    double tick = tick_length(step->span);
    int y = lane_y(step->lanes);

    for (int k = 0; k * tick <= step->span; k++) {
        double x = x_of(step, k * tick);

        fprintf(out,
                "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#999\" "
                "stroke-width=\"0.5\"/>\n"
                "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#666\">%g ms</text>\n",
                x, TOP, x, y + 4, x, y + 20, 1e3 * k * tick);
    }
}

static void draw_legend(FILE *out, const struct step *step)
{
    int y = lane_y(step->lanes) + AXIS + LEGEND_ROW - 8, x = LEFT;
    const int column = (WIDTH - LEFT - RIGHT) / KINDS;

    for (int k = 0; k < KINDS; k++, x += column)
        fprintf(out,
                "<rect x=\"%d\" y=\"%d\" width=\"14\" height=\"14\" fill=\"%s\"/>\n"
                "<text x=\"%d\" y=\"%d\" fill=\"#222\">%s</text>\n"
                "<text x=\"%d\" y=\"%d\" fill=\"#666\">%.1f %%</text>\n",
                x, y, kinds[k].colour, x + 20, y + 12, kinds[k].label, x + 20, y + 30,
                step->busy > 0.0 ? 100.0 * step->by_kind[k] / step->busy : 0.0);
}

enum plb_status plb_timeline_svg(plb_session_t *session, const char *title, char **text_out)
{
    struct step step;
    char *text = NULL;
    size_t bytes = 0;
    bool failed;
    FILE *out;

    PLB_TRY(load(session, &step));
    out = open_memstream(&text, &bytes);
    if (!out)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw a timeline");
    draw_head(out, &step, title);
    draw_lanes(out, &step);
    draw_axis(out, &step);
    draw_bars(out, &step);
    draw_legend(out, &step);
    fputs("</svg>\n", out);
    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed || !text) {
        free(text);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw a timeline");
    }
    *text_out = text;
    return PLB_OK;
}

/* One complete event; NULL when memory is short. Times in microseconds, as the format wants. */
static json_t *event(const struct step *step, const struct plb_trace_record *r)
{
    const struct plb_task *task = is_task(r) ? plb_graph_task(step->graph, r->task) : NULL;

    return json_pack("{s:s, s:s, s:s, s:f, s:f, s:i, s:i, s:{s:s, s:i}}", "name", name_of(step, r),
                     "cat", kinds[kind_of(step, r)].label, "ph", "X", "ts", 1e6 * r->start, "dur",
                     1e6 * (r->end - r->start), "pid", 0, "tid", lane_of(step, r), "args", "what",
                     what_of(step, r).text, "block", task ? task->block : -1);
}

enum plb_status plb_timeline_perfetto(plb_session_t *session, char **text_out)
{
    struct step step;
    json_t *events, *root;
    bool complete = true;

    PLB_TRY(load(session, &step));
    events = json_array();
    for (uint32_t k = 0; k < step.n && complete; k++)
        complete = json_array_append_new(events, event(&step, &step.record[k])) == 0;
    root = json_pack("{s:o, s:s}", "traceEvents", events, "displayTimeUnit", "ms");
    *text_out = complete && root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!*text_out)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to write a timeline of %u tasks", step.n);
    return PLB_OK;
}
