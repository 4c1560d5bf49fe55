/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plan as a picture: what lies in the device's memory over the time of a simulated step, under
 * the line of the budget, and below it what workers and links do.
 *
 * Memory is drawn pixel by pixel: of each column of pixels the moment with the most, so that no
 * peak is lost. Where what is there all the time (parameters, state, and gradients where they are
 * held) is most of it, that part is cut short and says so.
 */
#include "config.h"

#include "frontends/cli/plan_film.h"
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
    TICKS = 8
};

/* The part of everything from which on parameters and state are cut short. */
#define CUT_SHORT 0.4
/* The part of the scale below which a kind is not in the legend. */
#define VISIBLE 0.002

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

static const struct {
    const char *label, *colour;
} works[WORKS] = {
    [FORWARD] = {"forward", "#4e79a7"}, [BACKWARD] = {"backward", "#f28e2b"},
    [UPDATE] = {"update", "#9c755f"},   [AGAIN] = {"run again", "#e15759"},
    [OUT] = {"offload", "#8cb369"},     [IN] = {"fetch", "#59a89c"},
};

struct picture {
    const struct cli_planner *planner;
    const struct cli_decision *decision;
    struct film film;
    struct cli_svg svg;
    double base;   /* bytes that are there all the time */
    double floor;  /* bytes at the foot of the scale */
    double high;   /* ... at its top */
    double budget; /* bytes; 0: none */
};

static void find_scale(struct picture *p)
{
    const struct plb_limits *limits = &p->decision->problem.limits;
    double most = 0.0;

    p->base = (double)p->decision->layout.initial_bytes + p->film.held;
    p->high = (double)p->decision->device_bytes;
    if (limits->bytes[PLB_DEVICE] != SIZE_MAX)
        p->budget = (double)limits->bytes[PLB_DEVICE];
    for (int c = 0; c < COLUMNS; c++)
        most = fmax(most, film_total(&p->film.level[c]));
    p->high = fmax(fmax(p->high, p->budget), p->base + most);
    p->floor = p->base > CUT_SHORT * p->high ? p->base : 0.0;
    p->high += 0.06 * (p->high - p->floor);
}

/* ---- drawing ---- */

static double x_of(const struct picture *p, double seconds)
{
    return LEFT + COLUMNS * seconds / p->film.span;
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
        snprintf(text, size, "Budget: %s", cli_print_bytes(p->budget, bytes, sizeof bytes));
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
    return p->film.held > 0.0 ? "parameters, state, and gradients for the update"
                              : "parameters and state";
}

static void draw_base(struct picture *p)
{
    bool cut = p->floor > 0.0;
    double top = cut ? foot(p) : y_of(p, p->base), height = TOP + MEMORY - top;
    char text[32];

    cli_svg_box(&p->svg, LEFT, top, COLUMNS, height, BASE_COLOUR);
    if (height >= 16)
        cli_svg_text(&p->svg, LEFT + 10, top + height / 2 + 4, 12, CLI_FAINT, "start", "%s: %s%s",
                     base_label(p), cli_print_bytes(p->base, text, sizeof text),
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
        bytes += p->film.level[column].bytes[k];
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
    else if (lane == PLB_LANE_BESIDE)
        snprintf(text, size, "main memory");
    else
        snprintf(text, size, "worker %d", lane);
    return text;
}

/* Bars that touch and do the same are one. */
static void draw_lane(struct picture *p, int lane)
{
    const double touching = 0.25;
    struct film_bar run = {.lane = -1};
    char name[32];

    cli_svg_text(&p->svg, LEFT - 8, lane_y(lane) + 15, 12, CLI_INK, "end", "%s",
                 lane_name(p->film.lane[lane].number, name, sizeof name));
    cli_svg_box(&p->svg, LEFT, lane_y(lane), COLUMNS, LANE, "#f3f3f3");
    for (uint32_t k = 0; k <= p->film.n_bars; k++) {
        const struct film_bar *bar = &p->film.bar[k];
        bool mine = k < p->film.n_bars && bar->lane == p->film.lane[lane].number;

        if (mine && run.lane >= 0 && bar->work == run.work &&
            x_of(p, bar->start) - x_of(p, run.end) < touching) {
            run.end = bar->end;
            continue;
        }
        if (run.lane >= 0 && (mine || k == p->film.n_bars)) {
            cli_svg_box(&p->svg, x_of(p, run.start), lane_y(lane),
                        fmax(0.2, x_of(p, run.end) - x_of(p, run.start)), LANE,
                        works[run.work].colour);
            run.lane = -1;
        }
        if (mine)
            run = *bar;
    }
    cli_svg_text(&p->svg, LEFT + COLUMNS + 8, lane_y(lane) + 15, 12, CLI_FAINT, "start",
                 "%.0f %% busy", 100.0 * p->film.lane[lane].busy / p->film.span);
}

static void draw_time(struct picture *p)
{
    double tick = cli_tick(p->film.span, 2 * TICKS), y = TOP + MEMORY;
    bool seconds = p->film.span >= 2.0;

    for (int k = 0; k * tick <= p->film.span; k++) {
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
    double x = LEFT, y = lane_y(p->film.n_lanes) + 10;
    bool seen[WORKS] = {false};

    for (int k = 0; k < KINDS; k++) {
        bool there = false;

        for (int c = 0; c < COLUMNS; c++)
            there |= p->film.level[c].bytes[k] > VISIBLE * (p->high - p->floor);
        if (there)
            x = draw_key(p, x, TOP - 24, kinds[k].colour, kinds[k].label);
    }
    draw_key(p, x, TOP - 24, BASE_COLOUR, base_label(p));
    for (uint32_t k = 0; k < p->film.n_bars; k++)
        seen[p->film.bar[k].work] = true;
    x = LEFT;
    for (int k = 0; k < WORKS; k++)
        if (seen[k])
            x = draw_key(p, x, y, works[k].colour, works[k].label);
    if (p->film.lanes_hidden)
        cli_svg_text(&p->svg, x + 10, y + 11, 12, CLI_FAINT, "start", "and %d lanes more",
                     p->film.lanes_hidden);
}

static enum plb_status draw(struct picture *p, char **text_out)
{
    PLB_TRY(film_make(p->decision, COLUMNS, &p->film));
    find_scale(p);
    PLB_TRY(cli_svg_open(&p->svg, WIDTH, lane_y(p->film.n_lanes) + 40));
    draw_title(p);
    draw_memory(p);
    draw_time(p);
    for (int lane = 0; lane < p->film.n_lanes; lane++)
        draw_lane(p, lane);
    draw_legend(p);
    return cli_svg_close(&p->svg, text_out);
}

enum plb_status cli_plan_svg(const struct cli_planner *planner, const struct cli_decision *decision,
                             char **text_out)
{
    struct picture picture = {.planner = planner, .decision = decision};
    enum plb_status status = draw(&picture, text_out);

    film_clear(&picture.film);
    return status;
}
