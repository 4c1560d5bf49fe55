/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which values go away when, and when they come back: see away.h.
 */
#include "config.h"

#include "schedulers/memory/chain/away.h"

#include "runtime/plan/writer.h"
#include "schedulers/memory/chain/levels.h"

#include <stdlib.h>
#include <string.h>

/* A FETCH is begun this much earlier than it would take on an idle link. */
#define SLACK 1.1
/* A transfer must take this many times the link's latency to be worth the while. */
#define LATENCIES_LEAST 4.0

/* A copy that nobody reads between two RUNs. */
struct idle {
    plb_value value;
    uint32_t from, to;     /* RUNs: the last that uses it before, the first that reads it after */
    double out, in;        /* seconds of the transfers */
    uint32_t leave, enter; /* the moves stand before these RUNs; leave == to: it stays */
};

struct sender {
    const struct plb_problem *problem;
    const struct plb__away *away;
    uint32_t n;            /* RUNs */
    plb_task_id *run;
    double *start;         /* per RUN, and the end after the last: virtual time */
    uint32_t *last;        /* per value: the last RUN that used this copy, PLB_NONE: no copy */
    size_t *level;         /* per RUN: bytes on the device while it runs */
    uint32_t *over;        /* per RUN, and at the end: RUNs before it that find too little room */
    uint32_t n_idle, capacity;
    struct idle *idle;     /* by `to` */
    uint32_t *order;       /* places in `idle`, by `from` */
};

static size_t bytes_of(const struct sender *s, plb_value v)
{
    return s->away->sizes->bytes[v];
}

static const struct plb_task *task_of(const struct sender *s, uint32_t i)
{
    return plb_graph_task(s->problem->graph, s->run[i]);
}

/* ---- what is idle ---- */

static void play(struct sender *s, const struct plb_plan *plan)
{
    double now = 0.0;

    for (uint32_t i = 0; i < plan->n; i++) {
        if (plan->instruction[i].code != PLB_RUN)
            continue;
        s->run[s->n] = plan->instruction[i].subject;
        s->start[s->n++] = now;
        now += s->problem->seconds[plan->instruction[i].subject] / s->problem->platform->workers;
    }
    s->start[s->n] = now;
}

static enum plb_status add_idle(struct sender *s, plb_value v, uint32_t from, uint32_t to)
{
    const struct plb_link *link = &s->problem->platform->link[s->away->tier];
    struct idle idle = {.value = v, .from = from, .to = to, .leave = to, .enter = to};

    idle.out = plb_transfer_seconds(s->problem->platform, s->away->tier, true, bytes_of(s, v)) /
               s->away->haste;
    idle.in = SLACK * plb_transfer_seconds(s->problem->platform, s->away->tier, false,
                                           bytes_of(s, v)) / s->away->haste;
    if (idle.out < LATENCIES_LEAST * link->latency_seconds ||
        s->start[to] - s->start[from + 1] < idle.out + idle.in)
        return PLB_OK;
    if (s->n_idle == s->capacity) {
        uint32_t capacity = s->capacity ? 2 * s->capacity : 256;
        struct idle *grown = realloc(s->idle, capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %u idle values", capacity);
        s->idle = grown;
        s->capacity = capacity;
    }
    s->idle[s->n_idle++] = idle;
    return PLB_OK;
}

static enum plb_status find_idle(struct sender *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct plb_task *task = task_of(s, i);

        for (uint32_t j = 0; j < task->in_start[task->n_in]; j++) {
            plb_value v = task->in[j];

            if (s->away->sizes->free[v] || s->last[v] == PLB_NONE)
                continue;
            if (s->last[v] + 1 < i)
                PLB_TRY(add_idle(s, v, s->last[v], i));
            s->last[v] = i;
        }
        for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
            s->last[task->out[j]] = i;
    }
    return PLB_OK;
}

/* ---- when they go and come ---- */

static void count_tight_runs(struct sender *s)
{
    s->over[0] = 0;
    for (uint32_t i = 0; i < s->n; i++)
        s->over[i + 1] = s->over[i] + (s->level[i] > s->away->room);
}

/* Does it help a RUN that finds too little room that this copy is away? */
static bool helps(const struct sender *s, const struct idle *idle)
{
    return s->over[idle->to] > s->over[idle->from + 1];
}

/* Fills `order` with the places of the idle copies by `from`; `count` has n + 1 entries. */
static void sort_by_from(struct sender *s, uint32_t *count)
{
    uint32_t sum = 0;

    memset(count, 0, ((size_t)s->n + 1) * sizeof *count);
    for (uint32_t k = 0; k < s->n_idle; k++)
        count[s->idle[k].from]++;
    for (uint32_t i = 0; i <= s->n; i++) {
        uint32_t here = count[i];

        count[i] = sum;
        sum += here;
    }
    for (uint32_t k = 0; k < s->n_idle; k++)
        s->order[count[s->idle[k].from]++] = k;
}

/* The link takes the copies in the order in which they become idle, as long as fewer bytes than
 * wanted are away. */
static void send(struct sender *s)
{
    double link = 0.0;
    size_t away = 0;
    uint32_t back = 0, at = 0;

    for (uint32_t k = 0; k < s->n_idle; k++) {
        struct idle *idle = &s->idle[s->order[k]];
        double begin = s->start[idle->from + 1] > link ? s->start[idle->from + 1] : link;

        for (; back < s->n_idle && s->start[s->idle[back].to] <= begin; back++)
            if (s->idle[back].leave < s->idle[back].to)
                away -= bytes_of(s, s->idle[back].value);
        if (!helps(s, idle) || away + bytes_of(s, idle->value) > s->away->bytes ||
            begin + idle->out + idle->in > s->start[idle->to])
            continue;
        link = begin + idle->out;
        away += bytes_of(s, idle->value);
        while (s->start[at] < link)
            at++;
        idle->leave = at > idle->from ? at : idle->from + 1;
    }
}

static void lower_levels(struct sender *s, const struct idle *idle)
{
    for (uint32_t i = idle->leave; i < idle->to; i++)
        s->level[i] -= bytes_of(s, idle->value);
}

/* From last to first, each transfer ends before the next begins; one that would have to begin before
 * its value has left does not leave. */
static void set_latest_returns(struct sender *s)
{
    double link = s->start[s->n];
    uint32_t at = s->n;

    for (uint32_t k = s->n_idle; k-- > 0;) {
        struct idle *idle = &s->idle[k];
        double begin;

        if (idle->leave >= idle->to)
            continue;
        begin = (s->start[idle->to] < link ? s->start[idle->to] : link) - idle->in;
        while (at > 0 && s->start[at] > begin)
            at--;
        if (at <= idle->leave) {
            idle->leave = idle->to;
            continue;
        }
        link = begin;
        idle->enter = at < idle->to ? at : idle->to;
        lower_levels(s, idle);
    }
}

/* From first to last, as early as wanted and as there is room for. */
static void make_room_for_returns(struct sender *s)
{
    uint32_t before = 0;

    for (uint32_t k = 0; k < s->n_idle; k++) {
        struct idle *idle = &s->idle[k];
        size_t bytes = bytes_of(s, idle->value);
        uint32_t earliest = idle->enter > before ? idle->enter : before;

        if (idle->leave >= idle->to)
            continue;
        for (idle->enter = idle->to; idle->enter > earliest; idle->enter--) {
            if (s->level[idle->enter - 1] + bytes > s->away->room)
                break;
            s->level[idle->enter - 1] += bytes;
        }
        before = idle->enter;
    }
}

/* ---- all of it ---- */

static enum plb_status append(struct plb_plan *draft, enum plb_opcode code, uint32_t subject,
                              enum plb_tier tier)
{
    return plb_plan_append(draft, (struct plb_instruction){code, subject, 0, tier});
}

static bool goes(const struct idle *idle)
{
    return idle->leave < idle->to;
}

static enum plb_status write_draft(const struct sender *s, struct plb_plan *draft)
{
    uint32_t out = 0, in = 0;

    for (uint32_t i = 0; i < s->n; i++) {
        for (; out < s->n_idle; out++) {
            const struct idle *idle = &s->idle[s->order[out]];

            if (goes(idle) && idle->leave > i)
                break;
            if (goes(idle))
                PLB_TRY(append(draft, PLB_OFFLOAD, idle->value, s->away->tier));
        }
        for (; in < s->n_idle && (!goes(&s->idle[in]) || s->idle[in].enter <= i); in++)
            if (goes(&s->idle[in]))
                PLB_TRY(append(draft, PLB_FETCH, s->idle[in].value, s->away->tier));
        PLB_TRY(append(draft, PLB_RUN, s->run[i], PLB_DEVICE));
    }
    return PLB_OK;
}

static enum plb_status send_and_write(struct sender *s, const struct plb_plan *plan,
                                      uint32_t *scratch, struct plb_plan *plan_out)
{
    struct plb_plan draft = {.n = 0};
    enum plb_status status;

    play(s, plan);
    PLB_TRY(find_idle(s));
    s->order = malloc(((size_t)s->n_idle + 1) * sizeof *s->order);
    if (!s->order)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u idle values", s->n_idle);
    plb__levels_measure(s->problem->graph, s->away->sizes, s->run, s->n, scratch, s->level);
    count_tight_runs(s);
    sort_by_from(s, scratch);
    send(s);
    set_latest_returns(s);
    make_room_for_returns(s);
    status = write_draft(s, &draft);
    if (status == PLB_OK)
        status = plb_plan_finish(s->problem->graph, &draft, plan_out);
    if (status == PLB_OK)
        plan_out->fingerprint = plan->fingerprint;
    plb_plan_clear(&draft);
    return status;
}

enum plb_status plb__away_write(const struct plb_problem *problem, const struct plb_plan *plan,
                                const struct plb__away *away, struct plb_plan *plan_out)
{
    size_t values = (size_t)plb_graph_values(problem->graph) + 1, runs = (size_t)plan->n + 1;
    uint32_t *scratch = malloc((values > runs ? values : runs) * sizeof *scratch);
    struct sender s = {.problem = problem,
                       .away = away,
                       .run = malloc(runs * sizeof *s.run),
                       .start = malloc(runs * sizeof *s.start),
                       .last = malloc(values * sizeof *s.last),
                       .level = malloc(runs * sizeof *s.level),
                       .over = malloc(runs * sizeof *s.over)};
    enum plb_status status;

    if (!scratch || !s.run || !s.start || !s.last || !s.level || !s.over) {
        status = plb_fail(PLB_ERROR_MEMORY, "no memory to send values of %u instructions away",
                          plan->n);
    } else {
        memset(s.last, 0xff, values * sizeof *s.last);
        status = send_and_write(&s, plan, scratch, plan_out);
    }
    free(scratch);
    free(s.run);
    free(s.start);
    free(s.last);
    free(s.level);
    free(s.over);
    free(s.idle);
    free(s.order);
    return status;
}
