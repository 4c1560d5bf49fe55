/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front of memory and time: for each policy the memory of the device against the time that a
 * step takes longer, simulated as a line, measured as dots. Down and to the left is better.
 *
 * Where all budgets are shares of the activations' memory the axis is that share, in fact used;
 * else it is bytes of the device.
 */
#include "config.h"

#include "frontends/cli/compare.h"

#include "frontends/cli/svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* In pixels. */
enum { WIDTH = 1060, HEIGHT = 640, LEFT = 84, RIGHT = 210, TOP = 104, BOTTOM = 76, TICKS = 8 };

/* The scale of time is linear up to about this share and logarithmic beyond, for policies that cost
 * little and policies that cost much are looked at together. */
#define BEND 0.05

/* Letters for the budgets that a policy cannot keep. */
#define MISSING_MAX 28

/* Most words beside points, and how near two may come. */
enum { WORDS_MAX = 256, WORD_WIDTH = 44, WORD_HEIGHT = 12 };

static const char *const colours[] = {"#4e79a7", "#e15759", "#59a14f", "#f28e2b",
                                      "#b07aa1", "#76b7b2", "#9c755f", "#d4a20b",
                                      "#ff9da7", "#222222", "#1b9e77", "#7570b3"};
#define N_COLOURS (int)(sizeof colours / sizeof colours[0])

struct front {
    const struct cli_comparison *comparison;
    struct cli_svg svg;
    bool shares;               /* memory is counted in shares of the activations' */
    double left, right;        /* bytes, or shares */
    double low, high;          /* overhead, as a share */
    double word[WORDS_MAX][2]; /* where words stand */
    int n_words;
};

/* Memory that a pair takes; 0: it is not in the picture. The difference of a budget to what is used
 * of it is one of activations. */
static double memory_of(const struct front *f, const struct cli_pair *pair)
{
    size_t bytes = pair->planned_bytes ? pair->planned_bytes : pair->peak_bytes;
    size_t activations = f->comparison->planner.problem.needs.activations;

    if (pair->reason[0] || bytes == 0)
        return 0.0;
    if (!f->shares)
        return (double)bytes;
    if (pair->budget.share <= 0.0 || activations == 0)
        return 0.0;
    return pair->budget.share - ((double)pair->budget_bytes - (double)bytes) / (double)activations;
}

static bool all_shares(const struct cli_comparison *c)
{
    for (int k = 1; k < c->n_pairs; k++)
        if (c->pair[k].budget.share <= 0.0)
            return false;
    return true;
}

static void extend(struct front *f, const struct cli_pair *pair)
{
    double memory = memory_of(f, pair);

    if (memory <= 0.0)
        return;
    f->left = fmin(f->left, memory);
    f->right = fmax(f->right, memory);
    if (pair->simulated > 0.0) {
        f->low = fmin(f->low, pair->simulated_overhead);
        f->high = fmax(f->high, pair->simulated_overhead);
    }
    if (pair->measured > 0.0) {
        f->low = fmin(f->low, pair->measured_overhead);
        f->high = fmax(f->high, pair->measured_overhead);
    }
}

static void find_frame(struct front *f)
{
    double margin;

    f->shares = all_shares(f->comparison);
    f->left = f->shares ? 0.0 : INFINITY;
    f->right = f->shares ? 1.0 : -INFINITY;
    f->high = 0.01;
    for (int k = 0; k < f->comparison->n_pairs; k++)
        extend(f, &f->comparison->pair[k]);
    if (!(f->left <= f->right))
        f->left = f->right = 1.0;
    margin = fmax(0.05 * (f->right - f->left), 0.002 * f->right);
    f->left -= f->shares ? 0.0 : margin;
    f->right += margin;
    f->high += 0.06 * (f->high - f->low);
    f->low -= f->low < 0.0 ? 0.04 * (f->high - f->low) : 0.0;
}

static double x_of(const struct front *f, double bytes)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * (bytes - f->left) / (f->right - f->left);
}

static double y_of(const struct front *f, double overhead)
{
    double high = asinh(f->high / BEND), low = asinh(f->low / BEND);

    return TOP + (HEIGHT - TOP - BOTTOM) * (high - asinh(overhead / BEND)) / (high - low);
}

/* The times that are labelled: those of this list, in per cent, that do not come too near. */
static void draw_times(struct front *f)
{
    static const double times[] = {0,   1,    2,  5,  10, 20,  50,  100, 200,
                                   500, 1000, -1, -2, -5, -10, -20, -50};
    double last = 0.0;

    for (size_t k = 0; k < sizeof times / sizeof times[0]; k++) {
        double v = times[k] / 100.0, y = y_of(f, v);

        if (times[k] == -1)
            last = y_of(f, 0.0);
        if (v < f->low || v > f->high || (k > 0 && fabs(y - last) < 18.0))
            continue;
        last = y;
        cli_svg_line(&f->svg, LEFT, y, WIDTH - RIGHT, y, v == 0.0 ? CLI_FAINT : CLI_GRID, 1);
        cli_svg_text(&f->svg, LEFT - 8, y + 4, 12, CLI_FAINT, "end", v == 0.0 ? "%g %%" : "%+g %%",
                     times[k]);
    }
}

/* Each share that is a budget is a line from top to bottom. */
static void draw_budgets(struct front *f)
{
    const struct cli_comparison *c = f->comparison;

    for (int k = 1; k < c->n_pairs && f->shares; k++) {
        double x = x_of(f, c->pair[k].budget.share);

        if (strcmp(c->pair[k].policy, c->pair[1].policy) != 0)
            continue;
        fprintf(f->svg.out,
                "<path d=\"M%.1f %dV%d\" stroke=\"#c1272d\" stroke-width=\"0.8\" "
                "stroke-dasharray=\"2 4\"/>\n",
                x, TOP, HEIGHT - BOTTOM);
        cli_svg_text(&f->svg, x, TOP - 8, 11, "#c1272d", "middle", "%g", c->pair[k].budget.share);
    }
}

static void draw_axes(struct front *f)
{
    double tick = f->shares ? 0.1 : cli_tick_bytes(f->right - f->left, TICKS);
    double foot = HEIGHT - BOTTOM;
    char text[32];

    for (double v = ceil(f->left / tick) * tick; v <= f->right; v += tick) {
        if (f->shares)
            snprintf(text, sizeof text, "%.1f", v);
        else
            cli_print_bytes(v, text, sizeof text);
        cli_svg_line(&f->svg, x_of(f, v), foot, x_of(f, v), foot + 5, CLI_FAINT, 1);
        cli_svg_text(&f->svg, x_of(f, v), foot + 20, 12, CLI_FAINT, "middle", "%s", text);
    }
    draw_times(f);
    draw_budgets(f);
    cli_svg_line(&f->svg, LEFT, TOP, LEFT, foot, CLI_FAINT, 1);
    cli_svg_line(&f->svg, LEFT, foot, WIDTH - RIGHT, foot, CLI_FAINT, 1);
    cli_svg_text(&f->svg, (LEFT + WIDTH - RIGHT) / 2.0, foot + 48, 13, CLI_INK, "middle",
                 f->shares ? "share of the activations' memory that is used"
                           : "memory of the device, parameters and state included");
    fprintf(f->svg.out,
            "<text transform=\"translate(24 %.1f) rotate(-90)\" font-size=\"13\" fill=\"%s\" "
            "text-anchor=\"middle\">time of a step beyond that of keeping everything</text>\n",
            (TOP + foot) / 2.0, CLI_INK);
}

static void draw_title(struct front *f)
{
    const struct cli_comparison *c = f->comparison;
    const char *budgets = f->shares ? "the red lines" : "beside the points";

    cli_svg_text(&f->svg, LEFT, 36, 20, CLI_INK, "start", "Memory and time: %s",
                 c->planner.workload.title);
    if (c->runs)
        cli_svg_text(&f->svg, LEFT, 60, 13, CLI_FAINT, "start",
                     "%s; rings are simulated, dots measured (median of %d x %d steps); "
                     "budgets are %s",
                     c->device, c->rounds, c->steps, budgets);
    else
        cli_svg_text(&f->svg, LEFT, 60, 13, CLI_FAINT, "start", "simulated on %s; budgets are %s",
                     c->planner.problem.platform->name, budgets);
}

static int compare_bytes(const void *a, const void *b)
{
    const struct cli_pair *x = *(const struct cli_pair *const *)a;
    const struct cli_pair *y = *(const struct cli_pair *const *)b;

    return (x->planned_bytes > y->planned_bytes) - (x->planned_bytes < y->planned_bytes);
}

/* The pairs of one policy that are in the picture, from little memory to much. */
static int select_pairs(const struct front *f, const char *policy,
                        const struct cli_pair *list[CLI_PAIRS_MAX])
{
    const struct cli_comparison *c = f->comparison;
    int n = 0;

    for (int k = 0; k < c->n_pairs; k++)
        if (strcmp(c->pair[k].policy, policy) == 0 && memory_of(f, &c->pair[k]) > 0.0)
            list[n++] = &c->pair[k];
    qsort(list, (size_t)n, sizeof *list, compare_bytes);
    return n;
}

/* "no plan at 0.33, 0.25" below a policy's name. */
static void draw_missing(struct front *f, const char *policy, double y)
{
    const struct cli_comparison *c = f->comparison;
    char text[64] = "", budget[32];
    int missing = 0;

    for (int k = 0; k < c->n_pairs; k++) {
        size_t used = strlen(text);

        if (strcmp(c->pair[k].policy, policy) != 0 || !c->pair[k].reason[0])
            continue;
        snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "no plan at ",
                 cli_print_budget(&c->pair[k].budget, budget, sizeof budget));
        missing++;
    }
    if (missing > 3 || strlen(text) > MISSING_MAX)
        snprintf(text, sizeof text, "no plan at %d budgets", missing);
    if (missing)
        cli_svg_text(&f->svg, WIDTH - RIGHT + 42, y, 11, CLI_FAINT, "start", "%s", text);
}

static void draw_line(struct front *f, const struct cli_pair *const *list, int n,
                      const char *colour)
{
    fprintf(f->svg.out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"",
            colour);
    for (int k = 0; k < n; k++)
        if (list[k]->simulated > 0.0)
            fprintf(f->svg.out, "%.1f,%.1f ", x_of(f, memory_of(f, list[k])),
                    y_of(f, list[k]->simulated_overhead));
    fputs("\"/>\n", f->svg.out);
}

/* A word beside a point, where no other one stands; there may be no such place. */
static void draw_word(struct front *f, double x, double y, const char *colour, const char *word)
{
    static const double places[4][2] = {{8, -6}, {8, 16}, {-40, -6}, {-40, 16}};

    for (int k = 0; k < 4 && f->n_words < WORDS_MAX; k++) {
        double at_x = x + places[k][0], at_y = y + places[k][1];
        bool is_free = true;

        for (int j = 0; j < f->n_words; j++)
            is_free &=
                fabs(f->word[j][0] - at_x) > WORD_WIDTH || fabs(f->word[j][1] - at_y) > WORD_HEIGHT;
        if (!is_free)
            continue;
        f->word[f->n_words][0] = at_x;
        f->word[f->n_words++][1] = at_y;
        cli_svg_text(&f->svg, at_x, at_y, 11, colour, "start", "%s", word);
        return;
    }
}

static void draw_point(struct front *f, const struct cli_pair *pair, const char *colour)
{
    double x = x_of(f, memory_of(f, pair));
    bool measured = pair->measured > 0.0;
    double y = y_of(f, measured ? pair->measured_overhead : pair->simulated_overhead);
    char budget[32];

    if (pair->simulated > 0.0)
        fprintf(f->svg.out,
                "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"#ffffff\" stroke=\"%s\" "
                "stroke-width=\"1.6\"/>\n",
                x, y_of(f, pair->simulated_overhead), colour);
    if (measured)
        fprintf(f->svg.out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\"/>\n", x, y,
                colour);
    if (!f->shares)
        draw_word(f, x, y, colour, cli_print_budget(&pair->budget, budget, sizeof budget));
}

static bool seen_before(const struct cli_comparison *c, int k)
{
    for (int j = 0; j < k; j++)
        if (strcmp(c->pair[j].policy, c->pair[k].policy) == 0)
            return true;
    return false;
}

/* Whether "none" is among the policies that are compared, and not only their reference. */
static bool is_listed(const struct cli_comparison *c)
{
    for (int k = 1; k < c->n_pairs; k++)
        if (strcmp(c->pair[k].policy, c->pair[0].policy) == 0)
            return true;
    return false;
}

/* Points over lines, and the legend beside. */
static void draw_policies(struct front *f)
{
    const struct cli_comparison *c = f->comparison;
    const struct cli_pair *list[CLI_PAIRS_MAX];

    for (int points = 0; points < 2; points++) {
        int policy = 0;

        for (int k = 0; k < c->n_pairs; k++) {
            const char *colour = colours[policy % N_COLOURS];
            double y = TOP + 14 + 36 * policy;
            int n;

            if (seen_before(c, k) || (f->shares && k == 0 && !is_listed(c)))
                continue;
            policy++;
            n = select_pairs(f, c->pair[k].policy, list);
            for (int j = 0; j < n && points; j++)
                draw_point(f, list[j], colour);
            if (points)
                continue;
            draw_line(f, list, n, colour);
            cli_svg_box(&f->svg, WIDTH - RIGHT + 22, y - 10, 12, 12, colour);
            cli_svg_text(&f->svg, WIDTH - RIGHT + 42, y, 13, CLI_INK, "start", "%s",
                         c->pair[k].policy);
            draw_missing(f, c->pair[k].policy, y + 15);
        }
    }
}

enum plb_status cli_compare_svg(const struct cli_comparison *comparison, char **text_out)
{
    struct front front = {.comparison = comparison};

    PLB_TRY(cli_svg_open(&front.svg, WIDTH, HEIGHT));
    find_frame(&front);
    draw_title(&front);
    draw_axes(&front);
    draw_policies(&front);
    return cli_svg_close(&front.svg, text_out);
}
