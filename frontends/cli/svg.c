/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The elements of pictures.
 */
#define _GNU_SOURCE
#include "config.h"

#include "frontends/cli/svg.h"

#include "runtime/base/xml.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

enum plb_status cli_svg_open(struct cli_svg *svg, double width, double height)
{
    *svg = (struct cli_svg){0};
    svg->out = open_memstream(&svg->text, &svg->bytes);
    if (!svg->out)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw a picture");
    fprintf(svg->out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\" font-family=\"Helvetica, Arial, sans-serif\" "
            "font-size=\"13\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
            width, height, width, height);
    return PLB_OK;
}

enum plb_status cli_svg_close(struct cli_svg *svg, char **text_out)
{
    bool failed;

    fputs("</svg>\n", svg->out);
    failed = ferror(svg->out) != 0;
    if (fclose(svg->out) != 0 || failed || !svg->text) {
        free(svg->text);
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw a picture");
    }
    *text_out = svg->text;
    return PLB_OK;
}

void cli_svg_text(struct cli_svg *svg, double x, double y, double size, const char *colour,
                  const char *anchor, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(svg->out,
            "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%g\" fill=\"%s\" text-anchor=\"%s\">", x, y,
            size, colour, anchor);
    plb__xml_put(svg->out, text);
    fputs("</text>\n", svg->out);
}

void cli_svg_line(struct cli_svg *svg, double x1, double y1, double x2, double y2,
                  const char *colour, double width)
{
    fprintf(svg->out,
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
            "stroke-width=\"%g\"/>\n",
            x1, y1, x2, y2, colour, width);
}

void cli_svg_box(struct cli_svg *svg, double x, double y, double width, double height,
                 const char *colour)
{
    fprintf(svg->out, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\"/>\n",
            x, y, width, height, colour);
}

double cli_tick(double span, int most)
{
    double power = pow(10.0, floor(log10(span / most)));

    for (;; power *= 10.0) {
        if (span / power <= most)
            return power;
        if (span / (2.0 * power) <= most)
            return 2.0 * power;
        if (span / (5.0 * power) <= most)
            return 5.0 * power;
    }
}

double cli_tick_bytes(double span, int most)
{
    double tick = 1.0;

    while (span / tick > most)
        tick *= 2.0;
    return tick;
}
