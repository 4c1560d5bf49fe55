/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dynamic program of search.h.
 */
#include "config.h"

#include "schedulers/parallel/auto/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FRONT 8u          /* pairs of a state */
#define GAPS_MAX 12u      /* places of a slice in which any may be left out */
#define WAITS       0.3  /* share of a stage's seconds that no micro-batch in flight costs */
#define ENTRIES_MAX 128u  /* first entries of stages that are told apart */

struct point {
    double slowest, sum; /* seconds */
    uint32_t next;       /* point of the layer before; UINT32_MAX: the last stage */
    uint16_t from, to;   /* units */
    uint16_t entry, d;
};

struct front {
    uint32_t n;
    struct point point[FRONT];
};

struct stage {
    struct plb__group group;
    struct plb__cost cost;
    double seconds; /* of a micro-batch, recomputation with it */
    uint32_t entry, end;
};

struct layer { /* lines of s stages */
    uint32_t *first; /* per state: its points in the arena; one more at the end */
};

struct search {
    const struct plb__slice *slice;
    const struct plb__tables *t;
    uint32_t quantum;   /* stages begin at multiples of it */
    uint32_t entries;   /* n / quantum */
    uint32_t least_d;
    bool gaps;
    double best;        /* seconds of the best line, or the limit */
    struct point *arena;
    uint32_t n_points, room;
    struct layer before, now;
    struct plb__lines *lines;
};

static size_t state(const struct search *x, uint32_t u, uint32_t k)
{
    return (size_t)u * (x->entries + 1) + k;
}

double plb__slice_tail(const struct plb__slice *slice, const struct plb__cost *cost)
{
    double r = slice->replicas, sum = 0;

    if (slice->replicas > 1 && cost->gradients > 0)
        sum = 2 * (r - 1) * (slice->beside.latency + cost->gradients / r / slice->beside.rate);
    return cost->update + sum;
}

/* What the slowest stage is at least, of those for units [u, n) on places [entry, n). */
static double least_behind(const struct search *x, uint32_t u, uint32_t entry)
{
    double work = x->t->least_work[x->t->n] - x->t->least_work[u];

    return u < x->t->n ? work / (x->slice->n - entry) : 0; /* HUGE_VAL without places */
}

/* Seconds beyond which a partial plan is dropped. */
static double reach(const struct search *x)
{
    return fmin(x->slice->limit, x->best * (1 + x->slice->slack));
}

/* ---- the list of the best ---- */

static void note_bytes(struct search *x, const struct stage *stage, uint32_t stages)
{
    const struct plb__group *group = &stage->group;
    const struct plb__cost *cost = &stage->cost;
    uint32_t m = x->slice->micro_batches, in_flight = m < stages ? m : stages;
    const struct plb__step *step = x->t->step[group->kind][group->d];
    uint32_t n = x->t->n_steps[group->kind][group->d];
    double held = cost->held;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t *count = &x->t->count[(size_t)step[i].record * (x->t->n + 1)];

        held -= step[i].freed * (count[group->to] - count[group->from]);
    }
    x->lines->least_bytes = fmin(x->lines->least_bytes,
                                 cost->fixed + fmin(in_flight * cost->held + cost->transient,
                                                    in_flight * held + cost->transient_again));
}

static enum plb_status keep_line(struct search *x, const struct point *p, uint32_t stages,
                                 uint32_t list, double seconds)
{
    struct plb__best *lines = &x->lines->best[list];
    uint32_t at = lines->n;
    struct plb__line line = {.n = stages, .seconds = seconds, .slowest = p->slowest};

    if (lines->n == PLB__LINES && seconds >= lines->line[PLB__LINES - 1].seconds)
        return PLB_OK;
    line.stage = malloc(stages * sizeof *line.stage);
    if (!line.stage)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a line of %u stages", stages);
    for (uint32_t s = 0; s < stages; s++) {
        line.stage[s] = (struct plb__line_stage){p->from, p->to, x->slice->first + p->entry, p->d};
        p = s + 1 < stages ? &x->arena[p->next] : p;
    }
    if (lines->n == PLB__LINES)
        free(lines->line[--at].stage);
    else
        lines->n++;
    for (; at > 0 && lines->line[at - 1].seconds > seconds; at--)
        lines->line[at] = lines->line[at - 1];
    lines->line[at] = line;
    if (list == 0)
        x->best = fmin(x->best, seconds);
    return PLB_OK;
}

/* ---- fronts ---- */

/* Of points that count as the same the first stays. */
static void add_point(struct front *front, const struct point *p, double same)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < front->n; i++)
        if (front->point[i].slowest * same <= p->slowest && front->point[i].sum * same <= p->sum)
            return;
    for (uint32_t i = 0; i < front->n; i++)
        if (front->point[i].slowest < p->slowest || front->point[i].sum < p->sum)
            front->point[kept++] = front->point[i];
    front->n = kept;
    if (kept < FRONT) {
        front->point[front->n++] = *p;
        return;
    }
    for (uint32_t i = 0; i < FRONT; i++) /* the one with the slowest stage goes */
        if (front->point[i].slowest > p->slowest) {
            front->point[i] = *p;
            return;
        }
}

static enum plb_status store_front(struct search *x, const struct front *front)
{
    if (x->n_points + front->n > x->room) {
        uint32_t room = x->room ? 2 * x->room : 4096;
        struct point *arena = realloc(x->arena, room * sizeof *arena);

        if (!arena)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %u partial plans", room);
        x->arena = arena;
        x->room = room;
    }
    if (front->n)
        memcpy(&x->arena[x->n_points], front->point, front->n * sizeof *front->point);
    x->n_points += front->n;
    return PLB_OK;
}

/* What of the way through the stages but the slowest a step takes beside m times the slowest: all
 * of it where backward jobs are fused. Where they are split it is about a third: Qi et al. 2023,
 * "Zero Bubble Pipeline Parallelism", table 1, with F = B = W. */
static const double share_of_way[PLB__LISTS] = {1.0 / 3, 1};

static double formula(const struct plb__slice *slice, double slowest, double sum, uint32_t list)
{
    double share = slice->tables->forward_only ? 1 : share_of_way[list];

    return slice->micro_batches * slowest + share * fmax(0, sum - slowest);
}

/* Seconds between two stages, of what crosses there before unit `u`. */
static double travel(const struct plb__slice *slice, uint32_t u, uint32_t from, uint32_t to)
{
    const struct plb_auto_profile *profile = slice->tables->profile;
    double bytes = profile->record[profile->unit[u - 1]].boundary * slice->tables->samples;

    return plb__fleet_seconds(slice->fleet, from, to, bytes) *
           (slice->tables->forward_only ? 1 : 2);
}

/* What `p` in front of which units [0, u) and entries [0, k) are left can at best become. */
static double at_best(const struct search *x, double slowest, double sum, uint32_t u, uint32_t k)
{
    double rest = u ? x->t->least_work[u] / (k * x->quantum) : 0; /* HUGE_VAL for k == 0 */

    return formula(x->slice, fmax(slowest, rest), sum + x->t->least[u], 0);
}

/* ---- one stage ---- */

static enum plb_status finish(struct search *x, const struct stage *stage, const struct point *p,
                              uint32_t stages)
{
    double tail = plb__slice_tail(x->slice, &stage->cost);

    for (uint32_t list = 0; list < PLB__LISTS; list++) {
        double seconds = formula(x->slice, p->slowest, p->sum, list) + tail;

        if (list > 0 || seconds < x->slice->limit)
            PLB_TRY(keep_line(x, p, stages, list, seconds));
    }
    return PLB_OK;
}

static enum plb_status add(struct search *x, const struct stage *stage, struct front *front,
                           struct point p, uint32_t stages)
{
    x->lines->visited++;
    if (!(at_best(x, p.slowest, p.sum, stage->group.from, stage->entry / x->quantum) <= reach(x)))
        return PLB_OK;
    if (stage->group.from == 0)
        return finish(x, stage, &p, stages);
    add_point(front, &p, 1 - x->slice->coarse);
    return PLB_OK;
}

/* The stage in front of every line that begins at entry `next`. */
static enum plb_status put_before(struct search *x, const struct stage *stage, struct front *front,
                                  uint32_t next, uint32_t stages)
{
    const struct plb__slice *slice = x->slice;
    size_t at = state(x, stage->group.to, next / x->quantum);
    double between;

    if (x->before.first[at] == x->before.first[at + 1])
        return PLB_OK;
    between = travel(slice, stage->group.to, slice->first + stage->end - 1, slice->first + next);
    for (uint32_t i = x->before.first[at]; i < x->before.first[at + 1]; i++) {
        struct point p = {.slowest = fmax(stage->seconds, x->arena[i].slowest),
                          .sum = stage->seconds + x->arena[i].sum + between,
                          .next = i, .from = (uint16_t)stage->group.from,
                          .to = (uint16_t)stage->group.to, .entry = (uint16_t)stage->entry,
                          .d = (uint16_t)stage->group.d};

        PLB_TRY(add(x, stage, front, p, stages));
    }
    return PLB_OK;
}

static enum plb_status place_stage(struct search *x, const struct stage *stage,
                                   struct front *front, uint32_t stages)
{
    struct point p = {.slowest = stage->seconds, .sum = stage->seconds, .next = UINT32_MAX,
                      .from = (uint16_t)stage->group.from, .to = (uint16_t)stage->group.to,
                      .entry = (uint16_t)stage->entry, .d = (uint16_t)stage->group.d};

    if (stages == 1)
        return add(x, stage, front, p, 1);
    for (uint32_t next = stage->end; next < x->slice->n; next += x->quantum) {
        PLB_TRY(put_before(x, stage, front, next, stages));
        if (!x->gaps)
            break;
    }
    return PLB_OK;
}

/* Seconds of a micro-batch at a stage with `stages` - 1 behind it; HUGE_VAL when memory does not
 * hold it. 1F1B has min(m, stages) micro-batches in flight; a schedule that keeps a capacity may
 * have fewer, where that is better than to recompute, and waits for them now and then. */
static double price(const struct plb__slice *slice, const struct plb__group *group,
                    uint32_t stages, struct plb__cost *cost)
{
    uint32_t m = slice->micro_batches, all = m < stages ? m : stages;
    double work, again = HUGE_VAL, best = HUGE_VAL;

    *cost = plb__group_cost(slice->tables, group);
    work = cost->forward + cost->inputs + cost->weights;
    for (uint32_t f = all; f > 0 && again > 0; f = f > 4 ? 3 * f / 4 : f - 1) {
        again = plb__group_again(slice->tables, group, cost, f);
        best = fmin(best, (work + again) * (1 + WAITS * (all - f) / all));
    }
    return best;
}

double plb__line_seconds(const struct plb__slice *slice, const struct plb__line *line,
                         uint32_t list)
{
    double slowest = 0, sum = 0, tail = 0;

    for (uint32_t s = line->n; s-- > 0;) {
        const struct plb__line_stage *stage = &line->stage[s];
        struct plb__group group = {stage->from, stage->to, slice->fleet->kind[stage->entry],
                                   stage->d, slice->fleet->ring[stage->d][stage->entry]};
        struct plb__cost cost;
        double seconds = price(slice, &group, line->n - s, &cost);

        if (seconds == HUGE_VAL)
            return HUGE_VAL;
        slowest = fmax(slowest, seconds);
        sum += seconds;
        tail = plb__slice_tail(slice, &cost);
        if (s + 1 < line->n)
            sum += travel(slice, stage->to, stage->entry + (1u << stage->d) - 1, stage[1].entry);
    }
    return formula(slice, slowest, sum, list) + tail;
}

/* Even without exchanges and recomputation? Most stages are, and this is quick to see. */
static bool is_too_slow(const struct search *x, const struct stage *stage, uint32_t k)
{
    const struct plb__group *group = &stage->group;
    struct plb__sum s =
        plb__tables_between(x->t, group->kind, group->d, group->from, group->to);
    double seconds = s.forward + s.inputs + s.weights;

    return !(at_best(x, seconds, seconds, group->from, k) <= reach(x));
}

/* All stages from unit u and entry k on that have 2^d places. */
static enum plb_status try_degree(struct search *x, uint32_t u, uint32_t k, uint32_t d,
                                  uint32_t stages, struct front *front)
{
    const struct plb__slice *slice = x->slice;
    uint32_t entry = k * x->quantum, place = slice->first + entry;
    struct stage stage = {.entry = entry, .end = entry + (1u << d)};
    uint32_t to = stages == 1 ? x->t->n : u + 1, last = x->t->n - (stages - 1);

    stage.group = (struct plb__group){.from = u, .kind = slice->fleet->kind[place], .d = d};
    if (stage.end > slice->n || (stages == 1 && !x->gaps && slice->fleet->alike &&
                                 stage.end + x->quantum <= slice->n))
        return PLB_OK;
    stage.group.ring = slice->fleet->ring[d][place];
    if (!(stage.group.ring.rate > 0))
        return PLB_OK;
    for (; to <= last; to++) {
        double behind = least_behind(x, to, stage.end), sum = x->t->least[x->t->n] - x->t->least[u];

        stage.group.to = to;
        if (!(at_best(x, behind, sum, u, k) <= reach(x)))
            continue; /* too much is left for the places behind */
        if (is_too_slow(x, &stage, k) || !plb__tables_divides(x->t, d, u, to))
            break;
        stage.seconds = price(slice, &stage.group, stages, &stage.cost);
        if (stage.seconds == HUGE_VAL)
            note_bytes(x, &stage, stages);
        sum = stage.seconds + (x->t->least[x->t->n] - x->t->least[to]);
        if (stage.seconds == HUGE_VAL || !(at_best(x, stage.seconds, sum, u, k) <= reach(x)))
            break;
        PLB_TRY(place_stage(x, &stage, front, stages));
    }
    return PLB_OK;
}

/* ---- layers ---- */

static bool may_have(const struct search *x, uint32_t d)
{
    uint32_t wanted = x->t->problem->degree;

    return d >= x->least_d && (wanted == 0 || wanted == 1u << d);
}

static enum plb_status fill_layer(struct search *x, uint32_t stages)
{
    uint32_t units = x->t->n, wanted = x->t->problem->stages;

    for (uint32_t u = 0; u <= units; u++) {
        for (uint32_t k = 0; k <= x->entries; k++) {
            struct front front = {.n = 0};

            x->now.first[state(x, u, k)] = x->n_points;
            if (k == x->entries || u + stages > units ||
                (wanted && (stages == wanted) != (u == 0)) ||
                !(at_best(x, least_behind(x, u, k * x->quantum), 0, u, k) <= reach(x)))
                continue;
            for (uint32_t d = 0; d < PLB_AUTO_DEGREES; d++)
                if (may_have(x, d))
                    PLB_TRY(try_degree(x, u, k, d, stages, &front));
            PLB_TRY(store_front(x, &front));
        }
    }
    x->now.first[state(x, units, x->entries) + 1] = x->n_points;
    return PLB_OK;
}

static enum plb_status run(struct search *x)
{
    uint32_t most = x->t->n < x->slice->n ? x->t->n : x->slice->n, wanted = x->t->problem->stages;

    for (uint32_t s = 1; s <= most && (wanted == 0 || s <= wanted); s++) {
        uint32_t before = x->n_points;
        struct layer swap = x->before;

        PLB_TRY(fill_layer(x, s));
        x->before = x->now;
        x->now = swap;
        if (x->n_points == before)
            break;
    }
    return PLB_OK;
}

/* Where there are too many places to tell each from each, stages are of so many that there are not;
 * places beyond the most that the model can use are left idle. */
static void choose_quantum(struct search *x)
{
    const struct plb__slice *slice = x->slice;

    x->quantum = 1;
    while (slice->n / x->quantum > ENTRIES_MAX &&
           x->least_d + 1 < PLB_AUTO_DEGREES &&
           plb__tables_divides(x->t, x->least_d + 1, 0, x->t->n)) {
        x->quantum *= 2;
        x->least_d++;
    }
    x->entries = slice->n / x->quantum;
    x->gaps = slice->n <= GAPS_MAX && !slice->fleet->alike;
}

enum plb_status plb__search(const struct plb__slice *slice, struct plb__lines *lines_out)
{
    struct plb__lines lines = {.least_bytes = HUGE_VAL};
    struct search x = {.slice = slice, .t = slice->tables, .best = slice->limit, .lines = &lines};
    enum plb_status status;
    size_t states;

    choose_quantum(&x);
    states = state(&x, x.t->n, x.entries) + 2;
    x.before.first = calloc(states, sizeof *x.before.first);
    x.now.first = calloc(states, sizeof *x.now.first);
    if (!x.before.first || !x.now.first)
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for %zu states of a search", states);
    else
        status = run(&x);
    free(x.before.first);
    free(x.now.first);
    free(x.arena);
    if (status == PLB_OK)
        *lines_out = lines;
    else
        plb__lines_clear(&lines);
    return status;
}

void plb__lines_clear(struct plb__lines *lines)
{
    for (uint32_t list = 0; list < PLB__LISTS; list++) {
        for (uint32_t i = 0; i < lines->best[list].n; i++)
            free(lines->best[list].line[i].stage);
        lines->best[list].n = 0;
    }
}
