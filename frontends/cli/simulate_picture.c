/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Policies as a picture: one below the other with the same scale of time, each a row per place with
 * its jobs and the number of the micro-batch in them, the level of its memory below, and transfers
 * as lines from row to row.
 */
#include "config.h"

#include "frontends/cli/simulate_film.h"
#include "frontends/cli/svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* In pixels. */
enum {
    WIDTH = 1400,
    LEFT = 124,
    RIGHT = 150,
    COLUMNS = WIDTH - LEFT - RIGHT,
    TOP = 88,
    PANEL_HEAD = 40, /* above the rows of a policy */
    NODE_GAP = 8,
    TICKS = 12
};

/* More places than this are too many to see: some stand for all. */
#define ROWS_MAX 64
/* More lines than this hide what they join. */
#define LINES_MANY 600
#define LINES_MOST 20000
#define INK_LIGHT  "#ffffff"

static const struct {
    const char *label, *colour;
} works[JOB_WORKS] = {
    [JOB_FORWARD] = {"forward", "#4e79a7"},
    [JOB_INPUTS] = {"backward: gradient of inputs, or both", "#f28e2b"},
    [JOB_WEIGHTS] = {"backward: gradient of weights", "#8cb369"},
    [JOB_REST] = {"sums of gradients", "#b07aa1"},
    [JOB_UPDATE] = {"update", "#9c755f"},
    [JOB_AGAIN] = {"run again", "#e15759"},
};

#define MEMORY_COLOUR "#7d8b99"
#define BASE_COLOUR   "#dcdfe4"

/* How high rows are, by how many there are. */
static const struct size {
    uint32_t most; /* rows */
    int row, memory, gap, font, number;
} sizes[] = {{8, 26, 14, 8, 12, 12},
             {16, 20, 9, 5, 11, 11},
             {32, 14, 6, 3, 10, 9},
             {UINT32_MAX, 9, 4, 2, 8, 7}};

struct picture {
    const struct cli_simulation *simulation;
    struct cli_svg svg;
    struct job_kinds kinds; /* of the graph of the panel that is drawn, */
    int64_t micro_batches;  /* and how many it has */
    struct size size;
    double span;               /* seconds */
    double most;               /* bytes: the top of each memory */
    uint32_t *row;             /* place of each row */
    uint32_t n_rows, n_places; /* of rows; of places that have tasks in any plan */
    bool seen[JOB_WORKS];
};

static double x_of(const struct picture *p, double seconds)
{
    return LEFT + COLUMNS * seconds / p->span;
}

static int row_height(const struct picture *p)
{
    return p->size.row + p->size.memory + p->size.gap;
}

static uint32_t node_of(const struct picture *p, uint32_t row)
{
    return plb_places_at(p->simulation->machine.places, p->row[row])->node;
}

/* Top of a row, from that of its panel. */
static double row_y(const struct picture *p, uint32_t row)
{
    double y = PANEL_HEAD + (double)row * row_height(p);

    for (uint32_t r = 1; r <= row; r++)
        y += node_of(p, r) != node_of(p, r - 1) ? NODE_GAP : 0;
    return y;
}

static double panel_height(const struct picture *p)
{
    return row_y(p, p->n_rows - 1) + row_height(p) + 10;
}

/* ---- what is shown ---- */

static bool is_used(const struct cli_simulation *s, uint32_t place)
{
    for (int k = 0; k < s->n_trials; k++)
        if (!s->trial[k].reason[0] && s->trial[k].spread.part[place].graph)
            return true;
    return false;
}

static enum plb_status find_rows(struct picture *p)
{
    uint32_t places = plb_places_count(p->simulation->machine.places), stride, seen = 0;

    p->row = malloc(ROWS_MAX * sizeof *p->row);
    if (!p->row)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to draw %d rows", ROWS_MAX);
    for (uint32_t k = 0; k < places; k++)
        p->n_places += is_used(p->simulation, k);
    stride = (p->n_places + ROWS_MAX - 1) / ROWS_MAX;
    for (uint32_t k = 0; k < places; k++)
        if (is_used(p->simulation, k) && seen++ % stride == 0)
            p->row[p->n_rows++] = k;
    for (size_t k = 0; p->size.row == 0; k++)
        if (p->n_rows <= sizes[k].most)
            p->size = sizes[k];
    return PLB_OK;
}

static void find_scales(struct picture *p)
{
    const struct cli_simulation *s = p->simulation;

    for (int k = 0; k < s->n_trials; k++)
        if (!s->trial[k].reason[0]) {
            const struct cli_trial *t = &s->trial[k];

            p->span = fmax(p->span, t->simulation.seconds);
            p->most = fmax(p->most, (double)t->simulation.place[t->fullest].peak);
        }
    p->span = fmax(p->span, 1e-9);
    p->most = fmax(p->most, 1.0);
}

/* ---- rows ---- */

static void draw_number(struct picture *p, const struct job_bar *bar, double x, double width,
                        double y, double height)
{
    char text[16];

    if (!bar->first || bar->micro_batch < 0 || height < p->size.number || p->micro_batches < 2)
        return;
    snprintf(text, sizeof text, "%d", bar->micro_batch);
    if (width >= 2.0 + 0.62 * p->size.number * (double)strlen(text))
        cli_svg_text(&p->svg, x + width / 2, y + height / 2 + 0.36 * p->size.number, p->size.number,
                     INK_LIGHT, "middle", "%s", text);
}

static void draw_bars(struct picture *p, const struct job_film *film, double y, int workers)
{
    double height = (double)p->size.row / workers;

    cli_svg_box(&p->svg, LEFT, y, COLUMNS, p->size.row, "#f3f3f3");
    for (uint32_t k = 0; k < film->n_bars; k++) {
        const struct job_bar *bar = &film->bar[k];
        double x = x_of(p, bar->start), width = fmax(0.2, x_of(p, bar->end) - x);
        double top = y + height * bar->lane;
        bool parted = bar->first && width > 4.0; /* from what stands before it */

        cli_svg_box(&p->svg, x + (parted ? 0.6 : 0.0), top, width - (parted ? 0.6 : 0.0), height,
                    works[bar->work].colour);
        draw_number(p, bar, x, width, top, height);
        p->seen[bar->work] = true;
    }
}

/* Parameters and state are there all the time. A step is drawn where the level changes by what can
 * be seen. */
static void draw_memory(struct picture *p, const struct job_film *film, double y)
{
    double foot = y + p->size.memory, high = p->size.memory - 1, last = -1.0;
    double base = foot - high * film->base / p->most;

    cli_svg_box(&p->svg, LEFT, base, COLUMNS, foot - base, BASE_COLOUR);
    fprintf(p->svg.out, "<path fill=\"" MEMORY_COLOUR "\" d=\"M%d %.1f", LEFT, base);
    for (int c = 0; c < COLUMNS; c++) {
        double top = foot - high * film->level[c] / p->most;

        if (fabs(top - last) < 0.1)
            continue;
        fprintf(p->svg.out, "H%d V%.1f", LEFT + c, top);
        last = top;
    }
    fprintf(p->svg.out, "H%d V%.1fZ\"/>\n", LEFT + COLUMNS, base);
}

/* "h200.3": the name without that of the node, which stands at its first row. */
static const char *device_name(const struct picture *p, uint32_t row)
{
    const char *name = plb_places_at(p->simulation->machine.places, p->row[row])->name;
    const char *slash = strchr(name, '/');

    return slash ? slash + 1 : name;
}

static int workers_of(const struct picture *p, uint32_t place)
{
    const plb_places_t *places = p->simulation->machine.places;

    return plb_costs_platform(plb_places_costs(places, plb_places_at(places, place)->kind))
        ->workers;
}

static void draw_labels(struct picture *p, const struct cli_trial *t, uint32_t row, double y)
{
    const struct plb_place_use *use = &t->simulation.place[p->row[row]];
    const char *name = plb_places_at(p->simulation->machine.places, p->row[row])->name;
    double middle = y + p->size.row / 2.0 + 0.36 * p->size.font;
    double time = workers_of(p, p->row[row]) * t->simulation.seconds;
    char peak[32];

    cli_svg_text(&p->svg, LEFT - 8, middle, p->size.font, CLI_INK, "end", "%s",
                 device_name(p, row));
    cli_svg_text(&p->svg, LEFT + COLUMNS + 8, middle, p->size.font, CLI_FAINT, "start",
                 "%.0f %% busy, %s", 100.0 * use->busy_seconds / time,
                 cli_print_bytes((double)use->peak, peak, sizeof peak));
    if (row == 0 || node_of(p, row) != node_of(p, row - 1))
        cli_svg_text(&p->svg, 10, middle, p->size.font, CLI_FAINT, "start", "%.*s",
                     (int)strcspn(name, "/"), name);
}

static enum plb_status draw_row(struct picture *p, const struct cli_trial *t, uint32_t row,
                                double panel)
{
    double y = panel + row_y(p, row);
    struct job_film film = {0};
    enum plb_status status = PLB_OK;

    if (!t->spread.part[p->row[row]].graph) {
        cli_svg_box(&p->svg, LEFT, y, COLUMNS, p->size.row, "#f3f3f3");
        cli_svg_text(&p->svg, LEFT - 8, y + p->size.row / 2.0 + 0.36 * p->size.font, p->size.font,
                     CLI_FAINT, "end", "%s", device_name(p, row));
        return PLB_OK;
    }
    status = job_film_make(p->simulation, t, &p->kinds, p->row[row], p->span, COLUMNS, &film);
    if (status == PLB_OK) {
        draw_bars(p, &film, y, workers_of(p, p->row[row]));
        draw_memory(p, &film, y + p->size.row);
        draw_labels(p, t, row, y);
    }
    job_film_clear(&film);
    return status;
}

/* ---- transfers ---- */

static int find_row(const struct picture *p, uint32_t place)
{
    for (uint32_t r = 0; r < p->n_rows; r++)
        if (p->row[r] == place)
            return (int)r;
    return -1;
}

/* From the lower edge of the sender to the upper edge of the receiver, or the other way round;
 * those that go with the one before are left out. */
static void draw_transfers(struct picture *p, const struct cli_trial *t, double panel)
{
    const char *opacity = t->spread.n_transfers > LINES_MANY ? "0.15" : "0.45";
    double last = -1.0;
    int ends = -1;

    fprintf(p->svg.out,
            "<path fill=\"none\" stroke=\"#333333\" stroke-width=\"0.7\" stroke-opacity=\"%s\" "
            "d=\"",
            opacity);
    for (uint32_t k = 0; k < t->spread.n_transfers && k < LINES_MOST; k++) {
        int from = find_row(p, t->spread.transfer[k].from);
        int to = find_row(p, t->spread.transfer[k].to);
        double x1 = x_of(p, t->simulation.transfer[k].start);
        double x2 = x_of(p, t->simulation.transfer[k].end);
        double down = from < to ? p->size.row : 0;

        if (from < 0 || to < 0 || (from * ROWS_MAX + to == ends && fabs(x1 - last) < 1.0))
            continue;
        ends = from * ROWS_MAX + to;
        last = x1;
        fprintf(p->svg.out, "M%.1f %.1fL%.1f %.1f", x1, panel + row_y(p, (uint32_t)from) + down, x2,
                panel + row_y(p, (uint32_t)to) + p->size.row - down);
    }
    fputs("\"/>\n", p->svg.out);
}

/* ---- the whole ---- */

static void draw_ticks(struct picture *p, double top, double bottom)
{
    double tick = cli_tick(p->span, TICKS);
    double unit = p->span >= 2.0 ? 1.0 : p->span >= 2e-3 ? 1e3 : 1e6;

    for (int k = 0; k * tick <= p->span; k++) {
        double x = x_of(p, k * tick);

        cli_svg_line(&p->svg, x, top, x, bottom, CLI_GRID, 1);
        cli_svg_text(&p->svg, x, bottom + 16, 12, CLI_FAINT, "middle", "%g", unit * k * tick);
    }
    cli_svg_text(&p->svg, LEFT + COLUMNS + 8, bottom + 16, 12, CLI_FAINT, "start", "%s",
                 unit == 1.0   ? "seconds"
                 : unit == 1e3 ? "milliseconds"
                               : "microseconds");
}

static enum plb_status draw_panel(struct picture *p, const struct cli_trial *t, double y)
{
    const struct cli_machine *m = cli_trial_machine(p->simulation, t);
    char peak[32], sent[32];

    job_kinds_clear(&p->kinds);
    PLB_TRY(job_kinds_find(m->graph, &p->kinds));
    p->micro_batches = m->workload.micro_batches;
    cli_svg_text(&p->svg, LEFT, y + 26, 15, CLI_INK, "start",
                 "%s: a step takes %.4g s, bubble %.1f %%, at most %s on a device, %s sent",
                 t->policy->name, t->simulation.seconds, 100.0 * t->simulation.bubble,
                 cli_print_bytes((double)t->simulation.place[t->fullest].peak, peak, sizeof peak),
                 cli_print_bytes((double)t->sent, sent, sizeof sent));
    for (uint32_t r = 0; r < p->n_rows; r++)
        PLB_TRY(draw_row(p, t, r, y));
    draw_transfers(p, t, y);
    return PLB_OK;
}

static void draw_title(struct picture *p)
{
    const struct cli_machine *m = &p->simulation->machine;
    const char *path = plb_settings_text(m->settings, OPTION_PLATFORM), *slash = strrchr(path, '/');
    const char *platform = slash ? slash + 1 : path;

    cli_svg_text(&p->svg, LEFT, 34, 20, CLI_INK, "start", "%s", m->workload.title);
    if (p->n_rows < p->n_places)
        cli_svg_text(&p->svg, LEFT, 58, 14, CLI_FAINT, "start",
                     "simulated on %s; %u of the %u places that work are shown", platform,
                     p->n_rows, p->n_places);
    else
        cli_svg_text(&p->svg, LEFT, 58, 14, CLI_FAINT, "start", "simulated on %s", platform);
}

static double draw_key(struct picture *p, double x, double y, const char *colour, const char *label)
{
    cli_svg_box(&p->svg, x, y, 12, 12, colour);
    cli_svg_text(&p->svg, x + 18, y + 11, 12, CLI_INK, "start", "%s", label);
    return x + 34 + 5.7 * (double)strlen(label);
}

static void draw_legend(struct picture *p, double y)
{
    double x = LEFT;
    char label[64], most[32];

    for (int k = 0; k < JOB_WORKS; k++)
        if (p->seen[k])
            x = draw_key(p, x, y, works[k].colour, works[k].label);
    snprintf(label, sizeof label, "memory, at most %s, and in it",
             cli_print_bytes(p->most, most, sizeof most));
    x = draw_key(p, x, y, MEMORY_COLOUR, label);
    x = draw_key(p, x - 10, y, BASE_COLOUR, "parameters and state");
    cli_svg_line(&p->svg, x, y + 12, x + 12, y, CLI_INK, 0.7);
    cli_svg_text(&p->svg, x + 18, y + 11, 12, CLI_INK, "start", "transfer");
}

static int panels(const struct cli_simulation *s)
{
    int n = 0;

    for (int k = 0; k < s->n_trials; k++)
        n += !s->trial[k].reason[0];
    return n;
}

static enum plb_status draw_panels(struct picture *p)
{
    const struct cli_simulation *s = p->simulation;
    double bottom = TOP + panels(s) * panel_height(p), y = TOP;
    enum plb_status status = PLB_OK;

    draw_title(p);
    draw_ticks(p, TOP, bottom);
    for (int k = 0; k < s->n_trials && status == PLB_OK; k++)
        if (!s->trial[k].reason[0]) {
            status = draw_panel(p, &s->trial[k], y);
            y += panel_height(p);
        }
    draw_legend(p, bottom + 34);
    return status;
}

static enum plb_status draw(struct picture *p, char **text_out)
{
    enum plb_status status, closed;

    PLB_TRY(find_rows(p));
    find_scales(p);
    PLB_TRY(cli_svg_open(&p->svg, WIDTH, TOP + panels(p->simulation) * panel_height(p) + 64));
    status = draw_panels(p);
    closed = cli_svg_close(&p->svg, text_out);
    if (status != PLB_OK && closed == PLB_OK)
        free(*text_out);
    return status != PLB_OK ? status : closed;
}

enum plb_status cli_simulate_svg(const struct cli_simulation *simulation, char **text_out)
{
    struct picture picture = {.simulation = simulation};
    enum plb_status status = draw(&picture, text_out);

    job_kinds_clear(&picture.kinds);
    free(picture.row);
    return status;
}
