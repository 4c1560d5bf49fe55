/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long tasks take on a card.
 *
 * Kernels end long after the worker has enqueued them, so their times come from marks on the
 * stream, one before and one after each task. Marks cost a few microseconds: they are set in the
 * first steps of a plan, in every some steps after that, and where a trace is wanted. One step at a
 * time has them: a step that is traced waits for the one before.
 */
#include "config.h"

#include "runtime/run/card.h"

/* Steps of a plan that are measured: the first ones, then one of so many. */
#define FIRST_STEPS 3u
#define EVERY_STEPS 16u

/* Mark 0 is the time at which a step was submitted. */
static uint32_t mark_of(const struct plb__instance *instance, bool end)
{
    return 1 + 2 * instance->launch->index + end;
}

bool plb__card_begin_times(struct plb_session *s)
{
    struct plb__card *card = s->device->card;
    uint64_t steps = s->program->submitted++;

    if (s->trace && card->measuring) {
        starpu_task_wait_for_all();
        plb__steps_collect(s);
    }
    if (card->measuring || (steps >= FIRST_STEPS && steps % EVERY_STEPS != 0 && !s->trace))
        return false;
    card->measuring = card->module->work->mark_now(card->context) == PLB_OK;
    return card->measuring;
}

enum plb_status plb__card_mark(const struct plb__card *card, const struct plb__instance *instance,
                               bool end)
{
    return card->module->work->mark(card->context, plb__card_stream(), mark_of(instance, end));
}

/* In nanoseconds of the clock by which the step has its origin. */
static bool read_mark(const struct plb__instance *instance, bool end, uint64_t *time_out)
{
    const struct plb__card *card = instance->step->session->device->card;
    double seconds;

    if (card->module->work->elapsed(card->context, 0, mark_of(instance, end), &seconds) != PLB_OK)
        return false;
    *time_out = instance->step->origin + (uint64_t)(1e9 * (seconds > 0.0 ? seconds : 0.0));
    return true;
}

void plb__card_read_times(struct plb__step *step)
{
    bool failed = plb__session_failed(step->session) != PLB_OK;

    if (!step->measured)
        return;
    for (uint32_t k = 0; k < step->program->n_launches && !failed; k++) {
        struct plb__instance *instance = &step->instance[k];
        uint64_t start, end;

        if (instance->ran && read_mark(instance, false, &start) &&
            read_mark(instance, true, &end)) {
            instance->start = start;
            instance->end = end;
        }
    }
    step->session->device->card->measuring = false;
}
