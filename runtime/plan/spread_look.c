/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looks through the list of tasks of each place: what is there when, what must come from another
 * place, and whether the order within the place can be.
 */
#include "config.h"

#include "runtime/plan/spread_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One place. Entries that hold the place's stamp are set. */
struct look {
    struct plb__spreader *s;
    uint32_t place, stamp;
    uint32_t i;         /* the entry of the list that is looked at */
    uint32_t *runs;     /* per task: it stands in the list */
    uint32_t *ran;      /* per task: it has run by now */
    uint32_t *there;    /* per value: made, received or held by now */
    uint32_t *last_use; /* per value: of held ones the entry that reads it last, or PLB_NONE */
    plb_value *value;   /* all that is there at some time */
    uint32_t n;
};

static const char *name_of(const struct look *l, plb_value value)
{
    return plb_graph_value(l->s->graph, value)->name;
}

static void add_value(struct look *l, plb_value value)
{
    if (l->there[value] == l->stamp)
        return;
    l->there[value] = l->stamp;
    l->value[l->n++] = value;
}

/* An initial value is at this place from the start. */
static void hold(struct look *l, plb_value value)
{
    if (l->there[value] == l->stamp)
        return;
    add_value(l, value);
    l->last_use[value] = PLB_NONE;
    if (l->s->holder[value] == PLB_NONE)
        l->s->holder[value] = l->place;
}

/* ---- what comes from another place ---- */

/* Of the places that make a value the one from which it comes here the soonest. */
static enum plb_status find_source(const struct look *l, plb_value value,
                                   struct plb__arrival *arrival)
{
    const struct plb__spreader *s = l->s;
    const struct plb_value_info *info = plb_graph_value(s->graph, value);
    size_t bytes = plb_type_bytes(&info->type);
    uint32_t first = s->place[s->in_task[info->producer]];
    double least = HUGE_VAL;

    for (uint32_t k = s->in_task[info->producer]; k < s->in_task[info->producer + 1]; k++) {
        double seconds = plb_places_seconds(s->places, s->place[k], l->place, bytes);

        if (!(seconds < least))
            continue;
        least = seconds;
        arrival->from = s->place[k];
        arrival->maker = s->entry[k];
    }
    if (!(least < HUGE_VAL))
        return plb_fail(PLB_ERROR_INVALID, "%s needs '%s', and there is no way to it from %s%s",
                        plb__place_name(s, l->place), info->name, plb__place_name(s, first),
                        s->in_task[info->producer] + 1 < s->in_task[info->producer + 1]
                            ? " or any other place that makes it"
                            : "");
    return PLB_OK;
}

static enum plb_status push_arrival(struct plb__spreader *s, struct plb__arrival arrival)
{
    if (s->n_arrivals == s->capacity) {
        uint32_t capacity = s->capacity ? 2 * s->capacity : 256;
        struct plb__arrival *grown = realloc(s->arrival, capacity * sizeof *grown);

        if (!grown)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for %u transfers", capacity);
        s->arrival = grown;
        s->capacity = capacity;
    }
    s->arrival[s->n_arrivals++] = arrival;
    return PLB_OK;
}

/* What is the next version of something makes this place hold the first one. */
static enum plb_status receive(struct look *l, plb_value value, uint32_t reader)
{
    struct plb__arrival arrival = {.value = value,
                                   .to = l->place,
                                   .replaces = l->s->carried[value],
                                   .reader = reader,
                                   .after = PLB_NONE};

    PLB_TRY(find_source(l, value, &arrival));
    if (arrival.replaces != PLB_NONE) {
        hold(l, arrival.replaces);
        arrival.after = l->last_use[arrival.replaces];
    }
    add_value(l, value);
    return push_arrival(l->s, arrival);
}

/* ---- one RUN ---- */

static enum plb_status read_initial(struct look *l, const struct plb_task *task, plb_value value)
{
    plb_value next = plb_graph_value(l->s->graph, value)->next;

    if (next != PLB_NONE && l->there[next] == l->stamp)
        return plb_fail(PLB_ERROR_INVALID,
                        "%s runs %s when '%s', which it reads, has been replaced there by '%s'",
                        plb__place_name(l->s, l->place), task->name, name_of(l, value),
                        name_of(l, next));
    hold(l, value);
    l->last_use[value] = l->i;
    return PLB_OK;
}

static enum plb_status read_value(struct look *l, const struct plb_task *task, plb_value value)
{
    plb_task_id producer = plb_graph_value(l->s->graph, value)->producer;

    if (producer == PLB_NONE)
        return read_initial(l, task, value);
    if (l->there[value] == l->stamp)
        return PLB_OK;
    if (l->runs[producer] == l->stamp)
        return plb_fail(PLB_ERROR_INVALID, "%s runs %s before %s, which makes '%s' for it",
                        plb__place_name(l->s, l->place), task->name,
                        plb_graph_task(l->s->graph, producer)->name, name_of(l, value));
    return receive(l, value, l->i);
}

static enum plb_status make_value(struct look *l, const struct plb_task *task, plb_value value,
                                  bool again)
{
    plb_value replaced = l->s->carried[value];

    if (replaced != PLB_NONE && again)
        return plb_fail(PLB_ERROR_INVALID,
                        "%s runs %s twice, which makes the next version of '%s' and can run once",
                        plb__place_name(l->s, l->place), task->name, name_of(l, replaced));
    if (replaced != PLB_NONE)
        hold(l, replaced);
    add_value(l, value);
    return PLB_OK;
}

static enum plb_status look_at_run(struct look *l)
{
    plb_task_id id = l->s->hybrid->run[l->i];
    const struct plb_task *task = plb_graph_task(l->s->graph, id);
    bool again = l->ran[id] == l->stamp;

    /* A task that is not to run twice says so before its inputs are missed. */
    for (uint32_t j = 0; again && j < task->out_start[task->n_out]; j++)
        PLB_TRY(make_value(l, task, task->out[j], again));
    for (uint32_t j = 0; j < task->in_start[task->n_in]; j++)
        PLB_TRY(read_value(l, task, task->in[j]));
    for (uint32_t j = 0; j < task->out_start[task->n_out]; j++)
        PLB_TRY(make_value(l, task, task->out[j], again));
    l->ran[id] = l->stamp;
    return PLB_OK;
}

/* ---- one place ---- */

/* What this place holds and nobody here made the next version of. */
static enum plb_status receive_versions(struct look *l)
{
    for (uint32_t k = 0; k < l->n; k++) {
        plb_value value = l->value[k];
        const struct plb_value_info *info = plb_graph_value(l->s->graph, value);

        if (info->next != PLB_NONE && l->there[info->next] != l->stamp)
            PLB_TRY(receive(l, info->next, PLB_NONE));
    }
    return PLB_OK;
}

static int compare_values(const void *a, const void *b)
{
    plb_value x = *(const plb_value *)a, y = *(const plb_value *)b;

    return (x > y) - (x < y);
}

static enum plb_status keep_values(struct look *l)
{
    plb_value *copy = malloc(((size_t)l->n + 1) * sizeof *copy);

    if (!copy)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a part of %u values", l->n);
    memcpy(copy, l->value, l->n * sizeof *copy);
    qsort(copy, l->n, sizeof *copy, compare_values);
    l->s->spread->part[l->place].value = copy;
    l->s->n_there[l->place] = l->n;
    return PLB_OK;
}

/* Initial values that the caller reads and no task does are at the first place. */
static void hold_outputs(struct look *l)
{
    for (plb_value v = 0; v < l->s->n_values; v++) {
        const struct plb_value_info *info = plb_graph_value(l->s->graph, v);

        if (info->output && info->producer == PLB_NONE && info->next == PLB_NONE &&
            !l->s->is_read[v])
            hold(l, v);
    }
}

static enum plb_status look_at_place(struct look *l)
{
    struct plb__spreader *s = l->s;
    const uint32_t *in_place = s->hybrid->in_place;

    l->n = 0;
    l->stamp = l->place + 1;
    for (uint32_t i = in_place[l->place]; i < in_place[l->place + 1]; i++)
        l->runs[s->hybrid->run[i]] = l->stamp;
    if (l->place == s->lowest)
        hold_outputs(l);
    for (l->i = in_place[l->place]; l->i < in_place[l->place + 1]; l->i++)
        PLB_TRY(look_at_run(l));
    PLB_TRY(receive_versions(l));
    s->in_to[l->place + 1] = s->n_arrivals;
    return keep_values(l);
}

static enum plb_status prepare(struct look *l)
{
    size_t values = (size_t)l->s->n_values + 1, tasks = (size_t)l->s->n_tasks + 1;

    l->runs = calloc(tasks, sizeof *l->runs);
    l->ran = calloc(tasks, sizeof *l->ran);
    l->there = calloc(values, sizeof *l->there);
    l->last_use = calloc(values, sizeof *l->last_use);
    l->value = malloc(values * sizeof *l->value);
    if (!l->runs || !l->ran || !l->there || !l->last_use || !l->value)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to look at %u tasks", l->s->n_tasks);
    return PLB_OK;
}

enum plb_status plb__spread_look(struct plb__spreader *s)
{
    struct look l = {.s = s};
    enum plb_status status = prepare(&l);

    for (; status == PLB_OK && l.place < s->hybrid->n_places; l.place++)
        status = look_at_place(&l);
    free(l.runs);
    free(l.ran);
    free(l.there);
    free(l.last_use);
    free(l.value);
    return status;
}
