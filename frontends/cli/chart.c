/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loss curve as SVG.
 */
#define _GNU_SOURCE
#include "config.h"

#include "frontends/cli/cli.h"

#include <math.h>
#include <stdlib.h>

enum { WIDTH = 900, HEIGHT = 480, LEFT = 70, RIGHT = 30, TOP = 60, BOTTOM = 56, TICKS = 6 };

/* The plotted range; low and high differ. */
struct frame {
    double step_high, low, high;
};

static void extend(struct frame *frame, double value)
{
    if (!isfinite(value))
        return;
    frame->low = fmin(frame->low, value);
    frame->high = fmax(frame->high, value);
}

static struct frame find_frame(const struct cli_point *point, size_t n)
{
    struct frame frame = {1.0, INFINITY, -INFINITY};

    for (size_t k = 0; k < n; k++) {
        frame.step_high = fmax(frame.step_high, point[k].step);
        extend(&frame, point[k].loss);
        extend(&frame, point[k].validation);
    }
    /* Also a range too narrow for ticks to differ, and one that is no number itself. */
    if (!(frame.high - frame.low > 1e-6 * fmax(fabs(frame.low), fabs(frame.high))) ||
        !isfinite(frame.high - frame.low)) {
        double middle = isfinite(frame.low) ? frame.low : 0.0;

        frame.low = middle - fmax(1.0, 0.01 * fabs(middle));
        frame.high = middle + fmax(1.0, 0.01 * fabs(middle));
    }
    return frame;
}

static double x_of(const struct frame *frame, double step)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * step / frame->step_high;
}

static double y_of(const struct frame *frame, double loss)
{
    return TOP + (HEIGHT - TOP - BOTTOM) * (frame->high - loss) / (frame->high - frame->low);
}

/* The smallest of 1, 2, 5 times a power of ten that gives at most TICKS ticks. */
static double tick_length(double span)
{
    double power = pow(10.0, floor(log10(span / TICKS)));

    for (;; power *= 10.0) {
        if (span / power <= TICKS)
            return power;
        if (span / (2.0 * power) <= TICKS)
            return 2.0 * power;
        if (span / (5.0 * power) <= TICKS)
            return 5.0 * power;
    }
}

static void draw_axes(FILE *out, const struct frame *frame)
{
    double tick = tick_length(frame->high - frame->low);

    for (double v = ceil(frame->low / tick) * tick; v <= frame->high; v += tick)
        fprintf(out,
                "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>\n"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" fill=\"#555\">%.4g</text>\n",
                LEFT, y_of(frame, v), WIDTH - RIGHT, y_of(frame, v), LEFT - 8,
                y_of(frame, v) + 4.0, fabs(v) < 1e-9 * tick ? 0.0 : v);
    tick = fmax(1.0, tick_length(frame->step_high));
    for (double s = 0.0; s <= frame->step_high; s += tick)
        fprintf(out,
                "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#999\"/>\n"
                "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#555\">%.0f</text>\n",
                x_of(frame, s), HEIGHT - BOTTOM, x_of(frame, s), HEIGHT - BOTTOM + 5,
                x_of(frame, s), HEIGHT - BOTTOM + 20, s);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"#555\">step</text>\n",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14);
}

static void draw_loss(FILE *out, const struct frame *frame, const struct cli_point *point, size_t n)
{
    fputs("<polyline fill=\"none\" stroke=\"#4e79a7\" stroke-width=\"1.2\" points=\"", out);
    for (size_t k = 0; k < n; k++)
        if (isfinite(point[k].loss))
            fprintf(out, "%.1f,%.1f ", x_of(frame, point[k].step), y_of(frame, point[k].loss));
    fputs("\"/>\n", out);
}

static void draw_validation(FILE *out, const struct frame *frame, const struct cli_point *point,
                            size_t n)
{
    fputs("<polyline fill=\"none\" stroke=\"#e15759\" stroke-width=\"2\" points=\"", out);
    for (size_t k = 0; k < n; k++)
        if (isfinite(point[k].validation))
            fprintf(out, "%.1f,%.1f ", x_of(frame, point[k].step),
                    y_of(frame, point[k].validation));
    fputs("\"/>\n", out);
    for (size_t k = 0; k < n; k++)
        if (isfinite(point[k].validation))
            fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"#e15759\"/>\n",
                    x_of(frame, point[k].step), y_of(frame, point[k].validation));
}

static void draw_legend(FILE *out)
{
    fprintf(out,
            "<line x1=\"%d\" y1=\"44\" x2=\"%d\" y2=\"44\" stroke=\"#4e79a7\" "
            "stroke-width=\"2\"/><text x=\"%d\" y=\"48\" fill=\"#222\">training</text>\n"
            "<line x1=\"%d\" y1=\"44\" x2=\"%d\" y2=\"44\" stroke=\"#e15759\" "
            "stroke-width=\"2\"/><text x=\"%d\" y=\"48\" fill=\"#222\">validation</text>\n",
            LEFT, LEFT + 24, LEFT + 30, LEFT + 120, LEFT + 144, LEFT + 150);
}

enum plb_status cli_chart_svg(const struct cli_point *point, size_t n, const char *title,
                              char **text_out)
{
    struct frame frame = find_frame(point, n);
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    bool failed;

    if (!out)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw the loss");
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
            "<text x=\"%d\" y=\"26\" font-size=\"18\" fill=\"#222\">%s</text>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT, title);
    draw_axes(out, &frame);
    draw_loss(out, &frame, point, n);
    draw_validation(out, &frame, point, n);
    draw_legend(out);
    fputs("</svg>\n", out);
    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed || !text) {
        free(text);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw the loss");
    }
    *text_out = text;
    return PLB_OK;
}
