/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two small charts: what a step takes by the size of tasks, a line for each number of
 * micro-batches; and orders of jobs fixed before the run and found during it when times are off.
 */
#include "config.h"

#include "frontends/cli/granularity.h"
#include "frontends/cli/svg.h"

#include <math.h>

enum {
    WIDTH = 1120,
    HEIGHT = 460,
    TOP = 96,
    BOTTOM = 64,
    SIZES = 80,
    SPAN = 520,
    NOISE = 740,
    NOISE_SPAN = 340,
    TICKS = 6
};

static const char *const colours[] = {"#4e79a7", "#f28e2b", "#59a14f", "#e15759",
                                      "#b07aa1", "#76b7b2", "#9c755f", "#d4a20b"};
#define N_COLOURS (sizeof colours / sizeof colours[0])

struct chart {
    const struct cli_granularity *granularity;
    struct cli_svg svg;
    double low, high; /* of the axis that is drawn */
};

static double y_of(const struct chart *c, double value)
{
    return TOP + (HEIGHT - TOP - BOTTOM) * (c->high - value) / (c->high - c->low);
}

static void set_range(struct chart *c, double low, double high)
{
    double margin = fmax(0.08 * (high - low), 1e-3 * high);

    c->low = low - margin;
    c->high = high + margin;
}

/* `unit`: what a label shows of 1. */
static void draw_scale(struct chart *c, double left, double span, double unit)
{
    double tick = cli_tick(c->high - c->low, TICKS);

    for (double v = ceil(c->low / tick) * tick; v <= c->high; v += tick) {
        cli_svg_line(&c->svg, left, y_of(c, v), left + span, y_of(c, v), CLI_GRID, 1);
        cli_svg_text(&c->svg, left - 8, y_of(c, v) + 4, 12, CLI_FAINT, "end", "%.4g", unit * v);
    }
}

/* ---- sizes of tasks ---- */

/* Targets fall from row to row; the size of a whole job, 0, comes last and stands at the right. */
static double size_x(uint32_t of_target)
{
    return SIZES + SPAN * (of_target + 0.5) / PLB_GRANULARITY_TARGETS;
}

/* Where a target stands: the smallest at the left. */
static uint32_t column_of(double target)
{
    uint32_t column = 0;

    for (uint32_t k = 0; k < PLB_GRANULARITY_TARGETS; k++) {
        double other = plb_granularity_targets[k];

        column += other > 0.0 && (target <= 0.0 || other < target);
    }
    return column;
}

static void draw_sizes(struct chart *c)
{
    const struct plb_granularity *table = &c->granularity->table;
    uint32_t line = 0;

    for (uint32_t k = 0; k < PLB_GRANULARITY_TARGETS; k++) {
        double target = plb_granularity_targets[k], x = size_x(column_of(target));

        if (target > 0.0)
            cli_svg_text(&c->svg, x, HEIGHT - BOTTOM + 20, 12, CLI_FAINT, "middle", "%g ms",
                         1e3 * target);
        else
            cli_svg_text(&c->svg, x, HEIGHT - BOTTOM + 20, 12, CLI_FAINT, "middle", "a job");
    }
    for (uint32_t k = 0; k < table->n; k++) {
        const struct plb_granularity_row *row = &table->row[k], *before = k ? row - 1 : row;
        bool same = k > 0 && before->micro_batches == row->micro_batches;
        double x = size_x(column_of(row->target)), y = y_of(c, row->seconds);

        line += k > 0 && !same;
        if (!(row->seconds < HUGE_VAL))
            continue;
        if (same && before->seconds < HUGE_VAL)
            cli_svg_line(&c->svg, size_x(column_of(before->target)), y_of(c, before->seconds), x, y,
                         colours[line % N_COLOURS], 1.5);
        fprintf(c->svg.out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%d\" fill=\"%s\"/>\n", x, y,
                k == table->best ? 7 : 3, colours[line % N_COLOURS]);
        if (!same)
            cli_svg_text(&c->svg, SIZES + SPAN + 8, TOP + 18 * line + 4, 12,
                         colours[line % N_COLOURS], "start", "%u micro-batch%s", row->micro_batches,
                         row->micro_batches == 1 ? "" : "es");
    }
}

static void find_sizes(struct chart *c)
{
    const struct plb_granularity *table = &c->granularity->table;
    double low = HUGE_VAL, high = 0.0;

    for (uint32_t k = 0; k < table->n; k++)
        if (table->row[k].seconds < HUGE_VAL) {
            low = fmin(low, table->row[k].seconds);
            high = fmax(high, table->row[k].seconds);
        }
    set_range(c, low, high);
}

/* ---- orders under noise ---- */

static void draw_order(struct chart *c, bool online, const char *colour, const char *label)
{
    const struct plb_granularity_noise *noise = c->granularity->noise;
    double last_x = 0.0, last_y = 0.0;

    for (int k = 0; k < PLB_GRANULARITY_NOISES; k++) {
        double x = NOISE + NOISE_SPAN * (k + 0.5) / PLB_GRANULARITY_NOISES;
        double y = y_of(c, online ? noise[k].online : noise[k].fixed);

        if (k > 0)
            cli_svg_line(&c->svg, last_x, last_y, x, y, colour, 1.5);
        fprintf(c->svg.out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x, y,
                colour);
        if (!online)
            cli_svg_text(&c->svg, x, HEIGHT - BOTTOM + 20, 12, CLI_FAINT, "middle", "%.0f %%",
                         100.0 * noise[k].noise);
        last_x = x;
        last_y = y;
    }
    cli_svg_text(&c->svg, NOISE + 12, TOP + (online ? 36 : 18), 12, colour, "start", "%s", label);
}

static void find_orders(struct chart *c)
{
    const struct plb_granularity_noise *noise = c->granularity->noise;
    double high = 1.0;

    for (int k = 0; k < PLB_GRANULARITY_NOISES; k++)
        high = fmax(high, fmax(noise[k].fixed, noise[k].online));
    set_range(c, 1.0, fmax(high, 1.01));
}

enum plb_status cli_granularity_svg(const struct cli_granularity *granularity, char **text_out)
{
    struct chart c = {.granularity = granularity};
    const char *title = granularity->machine.workload.title;

    PLB_TRY(cli_svg_open(&c.svg, WIDTH, HEIGHT));
    cli_svg_text(&c.svg, SIZES, 34, 18, CLI_INK, "start", "%s", title);
    find_sizes(&c);
    cli_svg_text(&c.svg, SIZES, 64, 13, CLI_INK, "start",
                 "milliseconds of a step, by size of task");
    draw_scale(&c, SIZES, SPAN, 1e3);
    draw_sizes(&c);
    find_orders(&c);
    cli_svg_text(&c.svg, NOISE, 64, 13, CLI_INK, "start",
                 "a step when times are off, over one without noise");
    draw_scale(&c, NOISE, NOISE_SPAN, 1.0);
    draw_order(&c, false, colours[0], "order fixed before the run");
    draw_order(&c, true, colours[1], "order found during it");
    return cli_svg_close(&c.svg, text_out);
}
