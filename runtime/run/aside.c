/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans made aside, while steps go on.
 *
 * A plan that is better than the present one is no reason to hold up a step: the present one is
 * right. So a thread of the session's makes it, and when it is there the next step switches to it,
 * if it is faster by a stated part. The thread makes one plan at a time, from copies of all that
 * changes while steps go on: what the tasks cost, the platform, the limits. What does not keep the
 * limits that hold when it is there is thrown away.
 *
 * To register a token at StarPU takes as long as several tasks. The thread does that, too, so that
 * a program can be made while the former one still runs and keeps its own.
 *
 * All functions are for the session's one caller.
 */
#include "config.h"

#include "runtime/run/run_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- in the thread ---- */

/* Is the time of a step by the present plan still about what it was when that was made? */
static bool is_as_expected(const struct plb__aside *a)
{
    return a->present <= a->expected * (1.0 + a->drift) &&
           a->present >= a->expected * (1.0 - a->drift);
}

static enum plb_status make_draft(struct plb__aside *a)
{
    struct plb__draft *draft = &a->draft;

    PLB_TRY(plb__predict(&a->problem, &a->program->plan, &a->program->layout, &a->present));
    if (a->event == PLB_EVENT_DRIFT && is_as_expected(a))
        return PLB_OK;
    a->asked = true;
    PLB_TRY(plb_plan_make(a->policy, &a->problem, a->event, NULL, &draft->plan, &draft->layout));
    return plb__predict(&a->problem, &draft->plan, &draft->layout, &draft->predicted);
}

/* Tokens that the session would lack for a program of the draft, or of the present plan's size. */
static void make_tokens(struct plb__aside *a)
{
    uint32_t wanted = plb__program_tokens(a->program);

    if (plb__layout_tokens(&a->draft.layout) > wanted)
        wanted = plb__layout_tokens(&a->draft.layout);
    wanted = wanted > a->spare ? wanted - a->spare : 0;
    a->token = malloc(((size_t)wanted + 1) * sizeof *a->token);
    for (a->n_tokens = 0; a->token && a->n_tokens < wanted; a->n_tokens++)
        starpu_void_data_register(&a->token[a->n_tokens]);
}

static void *plan_aside(void *argument)
{
    struct plb__aside *a = argument;

    a->status = make_draft(a);
    if (a->status != PLB_OK)
        snprintf(a->message, sizeof a->message, "%s", plb_error_message());
    make_tokens(a);
    __atomic_store_n(&a->ended, true, __ATOMIC_RELEASE);
    return NULL;
}

/* ---- in the caller's ---- */

static void copy_problem(struct plb_session *s, struct plb__aside *a)
{
    const struct plb__planning *p = &s->planning;

    memcpy(a->seconds, p->seconds, plb_graph_tasks(s->cut) * sizeof *a->seconds);
    a->platform = *plb_costs_platform(p->costs);
    a->problem = p->problem;
    a->problem.seconds = a->seconds;
    a->problem.platform = &a->platform;
    a->problem.limits.bytes[PLB_DEVICE] = plb__planning_budget(s);
}

static enum plb_status start(struct plb_session *s, enum plb_event event)
{
    struct plb__planning *p = &s->planning;
    struct plb__aside *a = &s->aside;

    *a = (struct plb__aside){.policy = p->policy, .event = event, .seconds = a->seconds};
    if (!a->seconds)
        a->seconds = malloc(((size_t)s->n_jobs + 1) * sizeof *a->seconds);
    if (!a->seconds)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to plan %u tasks", s->n_jobs);
    PLB_TRY(plb_costs_of_graph(p->costs, s->cut, p->seconds, NULL));
    copy_problem(s, a);
    a->program = s->program;
    a->expected = p->predicted;
    a->drift = p->drift;
    a->spare = s->tokens.n;
    a->running = pthread_create(&a->thread, NULL, plan_aside, a) == 0;
    if (a->running)
        return PLB_OK;
    a->program = NULL;
    return plb_fail(PLB_ERROR_MEMORY, "no thread to plan with");
}

void plb__aside_begin(struct plb_session *s, enum plb_event event)
{
    struct plb__aside *a = &s->aside;

    if (a->again && event == PLB_EVENT_DRIFT)
        event = a->next; /* which asks whatever the costs are */
    if (a->running || s->planning.pending) {
        a->again = true;
        a->next = event;
    } else if (start(s, event) != PLB_OK) {
        plb_error_clear(); /* the present plan is right, if not the best */
    }
}

void plb__aside_wait(struct plb_session *s)
{
    struct plb__aside *a = &s->aside;

    if (a->running && !a->joined)
        pthread_join(a->thread, NULL);
    a->joined = a->running;
}

static void end(struct plb_session *s)
{
    struct plb__aside *a = &s->aside;

    plb__aside_wait(s);
    a->running = a->joined = false;
    for (uint32_t k = 0; k < a->n_tokens; k++)
        plb__token_add(&s->tokens, a->token[k]);
    free(a->token);
    a->token = NULL;
    s->info.asked_aside += a->asked;
}

/* That there is no better plan is nothing to speak of; what is wrong with a policy is. */
static void tell(struct plb_session *s)
{
    const struct plb__aside *a = &s->aside;

    if (a->status != PLB_OK && a->status != PLB_ERROR_MEMORY)
        plb__session_note(s, "%s; going on with the present plan", a->message);
}

/* What was compared with a plan that has been replaced meanwhile, or made for other limits, is of
 * no use. */
static bool is_better(const struct plb_session *s)
{
    const struct plb__aside *a = &s->aside;

    return a->status == PLB_OK && a->asked && a->program == s->program &&
           a->draft.predicted < a->present * (1.0 - PLB__WORTH_SWITCHING) &&
           plb__planning_fits(s, &a->draft.layout);
}

bool plb__aside_take(struct plb_session *s, struct plb__draft *draft_out)
{
    struct plb__aside *a = &s->aside;
    bool better;

    if (!a->running || !(a->joined || __atomic_load_n(&a->ended, __ATOMIC_ACQUIRE)))
        return false;
    end(s);
    tell(s);
    better = is_better(s);
    if (better) {
        *draft_out = a->draft;
        a->draft = (struct plb__draft){0};
    } else if (a->asked && a->program == s->program) {
        s->planning.predicted = s->info.predicted_seconds = a->present;
    }
    plb__draft_clear(&a->draft);
    a->program = NULL;
    return better;
}

void plb__aside_go_on(struct plb_session *s)
{
    struct plb__aside *a = &s->aside;

    if (a->running || s->planning.pending || !a->again)
        return;
    a->again = false;
    plb__aside_begin(s, a->next);
}

void plb__aside_stop(struct plb_session *s)
{
    if (s->aside.running)
        end(s);
    plb__draft_clear(&s->aside.draft);
    free(s->aside.seconds);
    s->aside.seconds = NULL;
}
