/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that copy values between tiers.
 */
#include "config.h"

#include "runtime/run/mover.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct plb__mover {
    void (*perform)(struct plb__request *request, void *argument);
    void *argument;
    pthread_t thread;
    pthread_mutex_t lock; /* of the fields below */
    pthread_cond_t pushed;
    struct plb__request *first; /* in order */
    bool stopped;
};

static struct plb__request *wait_for_request(struct plb__mover *mover)
{
    struct plb__request *request;

    pthread_mutex_lock(&mover->lock);
    while (!mover->first && !mover->stopped)
        pthread_cond_wait(&mover->pushed, &mover->lock);
    request = mover->first;
    if (request)
        mover->first = request->next;
    pthread_mutex_unlock(&mover->lock);
    return request;
}

static void *serve(void *argument)
{
    struct plb__mover *mover = argument;
    struct plb__request *request;

    while ((request = wait_for_request(mover)))
        mover->perform(request, mover->argument);
    return NULL;
}

/* Signals are the program's business; and one that a write raises (a limit on the size of files)
 * comes back as its error. */
static int start_thread(struct plb__mover *mover)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&mover->thread, NULL, serve, mover);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

enum plb_status plb__mover_start(void (*perform)(struct plb__request *request, void *argument),
                                 void *argument, plb__mover_t **mover_out)
{
    struct plb__mover *mover = calloc(1, sizeof *mover);
    int error;

    if (!mover)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a thread that moves values");
    mover->perform = perform;
    mover->argument = argument;
    pthread_mutex_init(&mover->lock, NULL);
    pthread_cond_init(&mover->pushed, NULL);
    error = start_thread(mover);
    if (error) {
        pthread_cond_destroy(&mover->pushed);
        pthread_mutex_destroy(&mover->lock);
        free(mover);
        return plb_fail(PLB_ERROR_MEMORY, "no thread that moves values: %s", strerror(error));
    }
    *mover_out = mover;
    return PLB_OK;
}

void plb__mover_push(plb__mover_t *mover, struct plb__request *request)
{
    struct plb__request **place = &mover->first;

    pthread_mutex_lock(&mover->lock);
    while (*place && (*place)->order <= request->order)
        place = &(*place)->next;
    request->next = *place;
    *place = request;
    pthread_cond_signal(&mover->pushed);
    pthread_mutex_unlock(&mover->lock);
}

void plb__mover_stop(plb__mover_t *mover)
{
    if (!mover)
        return;
    pthread_mutex_lock(&mover->lock);
    mover->stopped = true;
    pthread_cond_signal(&mover->pushed);
    pthread_mutex_unlock(&mover->lock);
    pthread_join(mover->thread, NULL);
    pthread_cond_destroy(&mover->pushed);
    pthread_mutex_destroy(&mover->lock);
    free(mover);
}
