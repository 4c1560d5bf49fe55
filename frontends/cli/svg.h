/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the pictures share: opening and closing an SVG, text, axes.
 */
#ifndef PLB_CLI_SVG_H
#define PLB_CLI_SVG_H

#include "runtime/base/status.h"

#include <stddef.h>
#include <stdio.h>

#define CLI_INK   "#222222"
#define CLI_FAINT "#666666"
#define CLI_GRID  "#e4e4e4"

/* A picture being drawn; shapes are written to `out` as they are. */
struct cli_svg {
    FILE *out;
    char *text;
    size_t bytes;
};

/* Begins a picture on white paper. PLB_ERROR_MEMORY. */
enum plb_status cli_svg_open(struct cli_svg *svg, double width, double height);
/* Ends it; `text_out` is to be freed by the caller. Due also after a failure to draw. */
enum plb_status cli_svg_close(struct cli_svg *svg, char **text_out);

/* Text at a point; `anchor` is "start", "middle" or "end". */
void cli_svg_text(struct cli_svg *svg, double x, double y, double size, const char *colour,
                  const char *anchor, const char *format, ...)
    __attribute__((format(printf, 7, 8)));
void cli_svg_line(struct cli_svg *svg, double x1, double y1, double x2, double y2,
                  const char *colour, double width);
void cli_svg_box(struct cli_svg *svg, double x, double y, double width, double height,
                 const char *colour);

/* The least of 1, 2, 5 times a power of ten that divides `span` (above 0) into at most `most`. */
double cli_tick(double span, int most);
/* The same for bytes: 1, 2, 4, 8 ... bytes. */
double cli_tick_bytes(double span, int most);

#endif
