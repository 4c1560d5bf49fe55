/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plan as a picture: what lies in the device's memory over the time of a simulated step, under the
 * line of the budget, and below it what workers and links do.
 *
 * Memory is drawn pixel by pixel: of each column of pixels the moment with the most, so that no peak
 * is lost. Where what is there all the time (parameters, state, and gradients where they are held) is
 * most of it, that part is cut short and says so.
 */
#include "config.h"

#include "frontends/cli/planner.h"

#include "frontends/cli/svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* In pixels. */
enum {
    WIDTH = 1280,
    LEFT = 92,
    RIGHT = 150,
    COLUMNS = WIDTH - LEFT - RIGHT,
    TOP = 116,
    MEMORY = 360,
    STUB = 44, /* height of a part that is cut short */
    LANE = 20,
    LANE_GAP = 6,
    LANES_MAX = 12,
    TICKS = 8
};

/* The part of everything from which on parameters and state are cut short. */
#define CUT_SHORT 0.4
/* The part of the scale below which a kind is not in the legend. */
#define VISIBLE 0.002

/* What lies in memory, from below. */
enum kind { HELD, PASSING, KEPT, REMADE, FETCHED, OTHER, KINDS };

static const struct {
    const char *label, *colour;
} kinds[KINDS] = {
    [HELD] = {"gradients for the update", "#b5a394"},
    [PASSING] = {"gradients passing through", "#f2b36f"},
    [KEPT] = {"activations kept", "#4e79a7"},
    [REMADE] = {"activations made again", "#e15759"},
    [FETCHED] = {"activations fetched back", "#59a89c"},
    [OTHER] = {"other", "#b07aa1"},
};

#define BASE_COLOUR "#dcdfe4"

/* What workers and links do. */
enum work { FORWARD, BACKWARD, UPDATE, AGAIN, OUT, IN, WORKS };

static const struct {
    const char *label, *colour;
} works[WORKS] = {
    [FORWARD] = {"forward", "#4e79a7"},   [BACKWARD] = {"backward", "#f28e2b"},
    [UPDATE] = {"update", "#9c755f"},     [AGAIN] = {"run again", "#e15759"},
    [OUT] = {"offload", "#8cb369"},       [IN] = {"fetch", "#59a89c"},
};

/* A bar of a lane. */
struct bar {
    int lane;
    double start, end;
    enum work work;
};

struct lane {
    int number; /* of the simulation */
    double busy;
};

struct level {
    double bytes[KINDS];
};

struct event {
    double time, bytes; /* bytes: negative where a copy ends */
    enum kind kind;
};

struct picture {
    const struct cli_planner *planner;
    const struct cli_decision *decision;
    const plb_graph_t *graph;
    struct cli_svg svg;
    double span;   /* seconds */
    double held;   /* bytes of gradients that are held from the first instruction on */
    double base;   /* ... and of the initial values */
    double floor;  /* bytes at the foot of the scale */
    double high;   /* ... at its top */
    double budget; /* bytes; 0: none */
    struct level *level; /* per column */
    struct bar *bar;
    uint32_t n_bars;
    struct lane lane[LANES_MAX];
    int n_lanes, lanes_hidden;
};

/* ---- what is drawn ---- */

/* Which RUNs have run before: one flag per instruction. */
static enum plb_status mark_again(const struct picture *p, bool **again_out)
{
    const struct plb_plan *plan = &p->decision->plan;
    bool *again = calloc((size_t)plan->n + 1, sizeof *again);
    bool *ran = calloc((size_t)plb_graph_tasks(p->graph) + 1, sizeof *ran);

    if (!again || !ran) {
        free(again);
        free(ran);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw %u instructions", plan->n);
    }
    for (uint32_t i = 0; i < plan->n; i++) {
        if (plan->instruction[i].code != PLB_RUN)
            continue;
        again[i] = ran[plan->instruction[i].subject];
        ran[plan->instruction[i].subject] = true;
    }
    free(ran);
    *again_out = again;
    return PLB_OK;
}

static enum kind kind_of(const struct picture *p, const struct plb_slot *slot, bool for_update,
                         const bool *again)
{
    enum plb_opcode code = p->decision->plan.instruction[slot->begin].code;

    if (slot->role == PLB_ROLE_GRADIENT)
        return for_update ? HELD : PASSING;
    if (slot->role != PLB_ROLE_ACTIVATION)
        return OTHER;
    if (code == PLB_FETCH)
        return FETCHED;
    return again[slot->begin] ? REMADE : KEPT;
}

/* When the last user of each slot ends, and whether an update reads it. */
static void find_ends(const struct picture *p, double *end, bool *for_update)
{
    const struct cli_decision *d = p->decision;
    const struct plb_layout *layout = &d->layout;

    for (uint32_t i = 0; i < d->plan.n; i++) {
        const struct plb_instruction *in = &d->plan.instruction[i];
        bool update = in->code == PLB_RUN &&
                      plb_graph_task(p->graph, in->subject)->phase == PLB_PHASE_UPDATE;

        for (uint32_t k = layout->in_operand[i]; k < layout->in_operand[i + 1]; k++) {
            uint32_t slot = layout->operand[k];

            end[slot] = fmax(end[slot], d->simulation.timeline[i].end);
            for_update[slot] |= update;
        }
    }
}

static int compare_offsets(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return (x > y) - (x < y);
}

/* Where gradients are held for the update from the first instruction on, in order; to be freed. */
static enum plb_status find_held(const struct picture *p, const bool *for_update,
                                 size_t **offset_out, uint32_t *n_out)
{
    const struct plb_layout *layout = &p->decision->layout;
    size_t *offset = malloc(((size_t)layout->n_slots + 1) * sizeof *offset);
    uint32_t n = 0;

    if (!offset)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw %u slots", layout->n_slots);
    for (uint32_t k = 0; k < layout->n_slots; k++)
        if (p->decision->problem.limits.hold_gradients && for_update[k] &&
            layout->slot[k].role == PLB_ROLE_GRADIENT)
            offset[n++] = layout->slot[k].offset;
    qsort(offset, n, sizeof *offset, compare_offsets);
    *offset_out = offset;
    *n_out = n;
    return PLB_OK;
}

static int compare_events(const void *a, const void *b)
{
    const struct event *x = a, *y = b;

    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return (x->bytes > 0) - (y->bytes > 0); /* what ends makes room first */
}

/* Gradients that are held from the first instruction on are of the base; what lies where they do is a
 * part of them on its way there. */
static uint32_t list_events(struct picture *p, const bool *again, const double *end,
                            const bool *for_update, const size_t *held, uint32_t n_held,
                            struct event *event)
{
    const struct cli_decision *d = p->decision;
    uint32_t n = 0;

    for (uint32_t k = 0; k < d->layout.n_slots; k++) {
        const struct plb_slot *slot = &d->layout.slot[k];
        double from, to, bytes = (double)slot->bytes;
        enum kind kind;

        if (slot->tier != PLB_DEVICE || slot->initial != PLB_NONE || slot->begin >= d->plan.n)
            continue;
        kind = kind_of(p, slot, for_update[k], again);
        from = d->simulation.timeline[slot->begin].start;
        to = slot->end >= d->plan.n ? p->span : end[k];
        if (n_held > 0 && bsearch(&slot->offset, held, n_held, sizeof *held, compare_offsets)) {
            p->held += kind == HELD ? bytes : 0.0;
            continue;
        }
        event[n++] = (struct event){from, bytes, kind};
        event[n++] = (struct event){to, -bytes, kind};
    }
    return n;
}

static double total_of(const struct level *level)
{
    double sum = 0.0;

    for (int k = 0; k < KINDS; k++)
        sum += level->bytes[k];
    return sum;
}

/* From one event to the next the level is the same: each column keeps the highest of its own. */
static void fill_levels(struct picture *p, const struct event *event, uint32_t n)
{
    struct level now = {{0}};

    for (uint32_t k = 0; k < n; k++) {
        double next = k + 1 < n ? event[k + 1].time : p->span;
        double first = COLUMNS * event[k].time / p->span, last = COLUMNS * next / p->span;

        now.bytes[event[k].kind] += event[k].bytes;
        if (next <= event[k].time)
            continue;
        for (int c = (int)first; c < COLUMNS && c <= (int)last; c++)
            if (total_of(&now) > total_of(&p->level[c]))
                p->level[c] = now;
    }
}

static enum plb_status find_levels(struct picture *p, const bool *again)
{
    uint32_t slots = p->decision->layout.n_slots;
    double *end = calloc((size_t)slots + 1, sizeof *end);
    bool *for_update = calloc((size_t)slots + 1, sizeof *for_update);
    struct event *event = calloc(2 * (size_t)slots + 1, sizeof *event);
    enum plb_status status = PLB_OK;

    p->level = calloc(COLUMNS, sizeof *p->level);
    if (end && for_update && event && p->level) {
        size_t *held = NULL;
        uint32_t n = 0, n_held = 0;

        find_ends(p, end, for_update);
        status = find_held(p, for_update, &held, &n_held);
        if (status == PLB_OK)
            n = list_events(p, again, end, for_update, held, n_held, event);
        qsort(event, n, sizeof *event, compare_events);
        fill_levels(p, event, n);
        free(held);
    } else {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to draw %u slots", slots);
    }
    free(event);
    free(for_update);
    free(end);
    return status;
}

static enum work work_of(const struct picture *p, uint32_t i, bool again)
{
    const struct plb_instruction *in = &p->decision->plan.instruction[i];

    if (in->code != PLB_RUN)
        return in->code == PLB_OFFLOAD ? OUT : IN;
    if (again)
        return AGAIN;
    switch (plb_graph_task(p->graph, in->subject)->phase) {
    case PLB_PHASE_UPDATE: return UPDATE;
    case PLB_PHASE_BACKWARD: return BACKWARD;
    default: return FORWARD;
    }
}

static int compare_bars(const void *a, const void *b)
{
    const struct bar *x = a, *y = b;

    if (x->lane != y->lane)
        return x->lane < y->lane ? -1 : 1;
    return (x->start > y->start) - (x->start < y->start);
}

/* Lanes are those that something happens in, as many as there is room for. */
static void find_lanes(struct picture *p)
{
    int last = -1;

    for (uint32_t k = 0; k < p->n_bars; k++) {
        if (p->bar[k].lane != last) {
            last = p->bar[k].lane;
            if (p->n_lanes == LANES_MAX)
                p->lanes_hidden++;
            else
                p->lane[p->n_lanes++] = (struct lane){last, 0.0};
        }
        if (p->n_lanes > 0 && p->lane[p->n_lanes - 1].number == last)
            p->lane[p->n_lanes - 1].busy += p->bar[k].end - p->bar[k].start;
    }
}

static enum plb_status find_bars(struct picture *p, const bool *again)
{
    const struct cli_decision *d = p->decision;

    p->bar = calloc((size_t)d->plan.n + 1, sizeof *p->bar);
    if (!p->bar)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw %u instructions", d->plan.n);
    for (uint32_t i = 0; i < d->plan.n; i++) {
        const struct plb_simulated *time = &d->simulation.timeline[i];

        if (d->plan.instruction[i].code != PLB_DROP)
            p->bar[p->n_bars++] =
                (struct bar){time->lane, time->start, time->end, work_of(p, i, again[i])};
    }
    qsort(p->bar, p->n_bars, sizeof *p->bar, compare_bars);
    find_lanes(p);
    return PLB_OK;
}

static void find_scale(struct picture *p)
{
    const struct plb_limits *limits = &p->decision->problem.limits;
    double most = 0.0;

    p->base = (double)p->decision->layout.initial_bytes + p->held;
    p->high = (double)p->decision->device_bytes;
    if (limits->bytes[PLB_DEVICE] != SIZE_MAX)
        p->budget = (double)limits->bytes[PLB_DEVICE];
    for (int c = 0; c < COLUMNS; c++)
        most = fmax(most, total_of(&p->level[c]));
    p->high = fmax(fmax(p->high, p->budget), p->base + most);
    p->floor = p->base > CUT_SHORT * p->high ? p->base : 0.0;
    p->high += 0.06 * (p->high - p->floor);
}

/* ---- drawing ---- */

static double x_of(const struct picture *p, double seconds)
{
    return LEFT + COLUMNS * seconds / p->span;
}

/* The foot of the scale. */
static double foot(const struct picture *p)
{
    return TOP + MEMORY - (p->floor > 0.0 ? STUB : 0);
}

static double y_of(const struct picture *p, double bytes)
{
    return foot(p) - (foot(p) - TOP) * (bytes - p->floor) / (p->high - p->floor);
}

static double lane_y(int lane)
{
    return TOP + MEMORY + 44 + lane * (LANE + LANE_GAP);
}

/* "a budget of half the activations' memory", as it stands in the title. */
static void print_title_budget(const struct picture *p, char *text, size_t size)
{
    const struct plb_budget *budget = &p->decision->budget;
    char bytes[32];

    if (budget->share > 0.0)
        snprintf(text, size, "Budget: %g of the activations' memory", budget->share);
    else if (p->budget > 0.0)
        snprintf(text, size, "Budget: %s",
                 cli_print_bytes(p->budget, bytes, sizeof bytes));
    else
        snprintf(text, size, "No limit");
}

static void draw_title(struct picture *p)
{
    const struct cli_decision *d = p->decision;
    char budget[64], longer[64] = "as long as one that keeps everything", out[32], in[32];
    char flops[32];
    double moved_out = 0.0, moved_in = 0.0;

    for (int t = PLB_HOST; t < PLB_TIERS; t++) {
        moved_out += (double)d->simulation.moved_out[t];
        moved_in += (double)d->simulation.moved_in[t];
    }
    print_title_budget(p, budget, sizeof budget);
    if (d->overhead >= 0.0005)
        snprintf(longer, sizeof longer, "%.1f %% longer than one that keeps everything",
                 100.0 * d->overhead);
    cli_svg_text(&p->svg, LEFT, 34, 20, CLI_INK, "start", "%s: %s", d->policy,
                 p->planner->workload.title);
    cli_svg_text(&p->svg, LEFT, 58, 14, CLI_INK, "start", "%s. A step takes %.4g s, %s.", budget,
                 d->simulation.seconds, longer);
    cli_svg_text(&p->svg, LEFT, 78, 13, CLI_FAINT, "start",
                 "%u tasks run again (%s), %s moved out, %s back; simulated on %s",
                 d->simulation.again_tasks,
                 cli_print_flops(d->simulation.again_flops, flops, sizeof flops),
                 cli_print_bytes(moved_out, out, sizeof out),
                 cli_print_bytes(moved_in, in, sizeof in), d->problem.platform->name);
}

/* A round number of bytes without its zeros behind the point. */
static char *print_tick(double bytes, char *text, size_t size)
{
    char *zeros = strstr(cli_print_bytes(bytes, text, size), ".0 ");

    if (zeros)
        memmove(zeros, zeros + 2, strlen(zeros + 2) + 1);
    return text;
}

static void draw_scale(struct picture *p)
{
    double tick = cli_tick_bytes(p->high - p->floor, TICKS);
    char text[32];

    for (double v = ceil(p->floor / tick) * tick; v <= p->high; v += tick) {
        if (v <= 0.0 || (p->floor > 0.0 && y_of(p, v) > foot(p) - 8))
            continue; /* too near to the foot, or to the part that is cut short */
        cli_svg_line(&p->svg, LEFT, y_of(p, v), LEFT + COLUMNS, y_of(p, v), CLI_GRID, 1);
        cli_svg_text(&p->svg, LEFT - 8, y_of(p, v) + 4, 12, CLI_FAINT, "end", "%s",
                     print_tick(v, text, sizeof text));
    }
    cli_svg_text(&p->svg, LEFT - 8, TOP + MEMORY + 4, 12, CLI_FAINT, "end", "0");
}

static const char *base_label(const struct picture *p)
{
    return p->held > 0.0 ? "parameters, state, and gradients for the update"
                         : "parameters and state";
}

static void draw_base(struct picture *p)
{
    bool cut = p->floor > 0.0;
    double top = cut ? foot(p) : y_of(p, p->base), height = TOP + MEMORY - top;
    char text[32];

    cli_svg_box(&p->svg, LEFT, top, COLUMNS, height, BASE_COLOUR);
    if (height >= 16)
        cli_svg_text(&p->svg, LEFT + 10, top + height / 2 + 4, 12, CLI_FAINT, "start",
                     "%s: %s%s", base_label(p), cli_print_bytes(p->base, text, sizeof text),
                     cut ? " (cut short)" : "");
    if (!cut)
        return;
    /* The scale is torn here. */
    fprintf(p->svg.out, "<path fill=\"none\" stroke=\"#ffffff\" stroke-width=\"3\" d=\"M%d %.1f",
            LEFT, top + height / 2 + 14);
    for (int x = LEFT; x < LEFT + COLUMNS; x += 20)
        fprintf(p->svg.out, " l10 -6 l10 6");
    fputs("\"/>\n", p->svg.out);
}

static double edge_of(const struct picture *p, int column, int kind)
{
    double bytes = p->base;

    for (int k = 0; k < kind; k++)
        bytes += p->level[column].bytes[k];
    return y_of(p, bytes);
}

/* The area of a kind: its upper edge from left to right, its lower edge back. */
static void draw_area(struct picture *p, int kind)
{
    double y = NAN;

    fprintf(p->svg.out, "<path fill=\"%s\" d=\"M%d %.1f", kinds[kind].colour, LEFT,
            edge_of(p, 0, kind + 1));
    for (int c = 0; c < COLUMNS; c++) {
        if (edge_of(p, c, kind + 1) != y)
            fprintf(p->svg.out, "H%dV%.1f", LEFT + c, y = edge_of(p, c, kind + 1));
    }
    y = edge_of(p, COLUMNS - 1, kind);
    fprintf(p->svg.out, "H%dV%.1f", LEFT + COLUMNS, y);
    for (int c = COLUMNS - 1; c >= 0; c--) {
        if (edge_of(p, c, kind) != y)
            fprintf(p->svg.out, "H%dV%.1f", LEFT + c + 1, y = edge_of(p, c, kind));
    }
    fprintf(p->svg.out, "H%dZ\"/>\n", LEFT);
}

static void draw_budget(struct picture *p)
{
    double planned = y_of(p, (double)p->decision->device_bytes);
    double limit = y_of(p, p->budget), shift = 0.0;
    char text[32];

    if (p->budget > 0.0 && fabs(planned - limit) < 34.0)
        shift = 34.0 - fabs(planned - limit); /* so that the words do not overlap */
    if (p->budget <= 0.0 || fabs(planned - limit) > 4.0) {
        fprintf(p->svg.out,
                "<path d=\"M%d %.1fH%d\" stroke=\"%s\" stroke-width=\"1\" "
                "stroke-dasharray=\"2 3\"/>\n",
                LEFT, planned, LEFT + COLUMNS, CLI_FAINT);
        cli_svg_text(&p->svg, LEFT + COLUMNS + 8, planned + shift + 4, 12, CLI_FAINT, "start",
                     "laid out");
        cli_svg_text(&p->svg, LEFT + COLUMNS + 8, planned + shift + 18, 12, CLI_FAINT, "start",
                     "%s", cli_print_bytes((double)p->decision->device_bytes, text, sizeof text));
    }
    if (p->budget <= 0.0)
        return;
    fprintf(p->svg.out,
            "<path d=\"M%d %.1fH%d\" stroke=\"#c1272d\" stroke-width=\"1.6\" "
            "stroke-dasharray=\"8 4\"/>\n",
            LEFT, limit, LEFT + COLUMNS);
    cli_svg_text(&p->svg, LEFT + COLUMNS + 8, limit - 8, 12, "#c1272d", "start", "budget");
    cli_svg_text(&p->svg, LEFT + COLUMNS + 8, limit + 6, 12, "#c1272d", "start", "%s",
                 cli_print_bytes(p->budget, text, sizeof text));
}

static void draw_memory(struct picture *p)
{
    draw_scale(p);
    draw_base(p);
    for (int k = 0; k < KINDS; k++)
        draw_area(p, k);
    draw_budget(p);
    cli_svg_line(&p->svg, LEFT, TOP, LEFT, TOP + MEMORY, CLI_FAINT, 1);
    cli_svg_line(&p->svg, LEFT, TOP + MEMORY, LEFT + COLUMNS, TOP + MEMORY, CLI_FAINT, 1);
}

static const char *lane_name(int lane, char *text, size_t size)
{
    if (lane >= PLB_LANE_IN)
        snprintf(text, size, "from %s", plb_tier_name((enum plb_tier)(lane - PLB_LANE_IN)));
    else if (lane >= PLB_LANE_OUT)
        snprintf(text, size, "to %s", plb_tier_name((enum plb_tier)(lane - PLB_LANE_OUT)));
    else
        snprintf(text, size, "worker %d", lane);
    return text;
}

/* Bars that touch and do the same are one. */
static void draw_lane(struct picture *p, int lane)
{
    const double touching = 0.25;
    struct bar run = {.lane = -1};
    char name[32];

    cli_svg_text(&p->svg, LEFT - 8, lane_y(lane) + 15, 12, CLI_INK, "end", "%s",
                 lane_name(p->lane[lane].number, name, sizeof name));
    cli_svg_box(&p->svg, LEFT, lane_y(lane), COLUMNS, LANE, "#f3f3f3");
    for (uint32_t k = 0; k <= p->n_bars; k++) {
        const struct bar *bar = &p->bar[k];
        bool mine = k < p->n_bars && bar->lane == p->lane[lane].number;

        if (mine && run.lane >= 0 && bar->work == run.work &&
            x_of(p, bar->start) - x_of(p, run.end) < touching) {
            run.end = bar->end;
            continue;
        }
        if (run.lane >= 0 && (mine || k == p->n_bars)) {
            cli_svg_box(&p->svg, x_of(p, run.start), lane_y(lane),
                        fmax(0.2, x_of(p, run.end) - x_of(p, run.start)), LANE,
                        works[run.work].colour);
            run.lane = -1;
        }
        if (mine)
            run = *bar;
    }
    cli_svg_text(&p->svg, LEFT + COLUMNS + 8, lane_y(lane) + 15, 12, CLI_FAINT, "start",
                 "%.0f %% busy", 100.0 * p->lane[lane].busy / p->span);
}

static void draw_time(struct picture *p)
{
    double tick = cli_tick(p->span, 2 * TICKS), y = TOP + MEMORY;
    bool seconds = p->span >= 2.0;

    for (int k = 0; k * tick <= p->span; k++) {
        double x = x_of(p, k * tick);

        cli_svg_line(&p->svg, x, y, x, y + 5, CLI_FAINT, 1);
        cli_svg_text(&p->svg, x, y + 20, 12, CLI_FAINT, "middle", "%g",
                     (seconds ? 1.0 : 1e3) * k * tick);
    }
    cli_svg_text(&p->svg, LEFT + COLUMNS + 8, y + 20, 12, CLI_FAINT, "start", "%s",
                 seconds ? "seconds" : "milliseconds");
}

static double draw_key(struct picture *p, double x, double y, const char *colour, const char *label)
{
    cli_svg_box(&p->svg, x, y, 12, 12, colour);
    cli_svg_text(&p->svg, x + 18, y + 11, 12, CLI_INK, "start", "%s", label);
    return x + 30 + 6.2 * (double)strlen(label);
}

/* Only what there is: kinds above the memory, works below the lanes. */
static void draw_legend(struct picture *p)
{
    double x = LEFT, y = lane_y(p->n_lanes) + 10;
    bool seen[WORKS] = {false};

    for (int k = 0; k < KINDS; k++) {
        bool there = false;

        for (int c = 0; c < COLUMNS; c++)
            there |= p->level[c].bytes[k] > VISIBLE * (p->high - p->floor);
        if (there)
            x = draw_key(p, x, TOP - 24, kinds[k].colour, kinds[k].label);
    }
    draw_key(p, x, TOP - 24, BASE_COLOUR, base_label(p));
    for (uint32_t k = 0; k < p->n_bars; k++)
        seen[p->bar[k].work] = true;
    x = LEFT;
    for (int k = 0; k < WORKS; k++)
        if (seen[k])
            x = draw_key(p, x, y, works[k].colour, works[k].label);
    if (p->lanes_hidden)
        cli_svg_text(&p->svg, x + 10, y + 11, 12, CLI_FAINT, "start", "and %d lanes more",
                     p->lanes_hidden);
}

static enum plb_status prepare(struct picture *p)
{
    bool *again = NULL;
    enum plb_status status;

    PLB_TRY(mark_again(p, &again));
    status = find_levels(p, again);
    if (status == PLB_OK)
        status = find_bars(p, again);
    free(again);
    if (status == PLB_OK)
        find_scale(p);
    return status;
}

static enum plb_status draw(struct picture *p, char **text_out)
{
    PLB_TRY(prepare(p));
    PLB_TRY(cli_svg_open(&p->svg, WIDTH, lane_y(p->n_lanes) + 40));
    draw_title(p);
    draw_memory(p);
    draw_time(p);
    for (int lane = 0; lane < p->n_lanes; lane++)
        draw_lane(p, lane);
    draw_legend(p);
    return cli_svg_close(&p->svg, text_out);
}

enum plb_status cli_plan_svg(const struct cli_planner *planner,
                             const struct cli_decision *decision, char **text_out)
{
    struct picture picture = {.planner = planner,
                              .decision = decision,
                              .graph = decision->problem.graph,
                              .span = fmax(1e-9, decision->simulation.seconds)};
    enum plb_status status = draw(&picture, text_out);

    free(picture.bar);
    free(picture.level);
    return status;
}
