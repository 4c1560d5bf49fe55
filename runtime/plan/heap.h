/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A heap of events: the one with the earliest time is at the top, of several the one with the lowest
 * number. Who makes one says how many events it will hold. Not installed.
 */
#ifndef PLB_PLAN_HEAP_H
#define PLB_PLAN_HEAP_H

#include "runtime/base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Something at a time; ordered by time, then by its number. */
struct plb__event {
    double time;
    uint32_t number;
};

struct plb__heap {
    struct plb__event *event;
    uint32_t n;
};

static inline bool plb__event_before(struct plb__event a, struct plb__event b)
{
    return a.time < b.time || (!(a.time > b.time) && a.number < b.number);
}

static inline void plb__heap_push(struct plb__heap *heap, double time, uint32_t number)
{
    struct plb__event event = {time, number};
    uint32_t at = heap->n++;

    for (; at > 0 && plb__event_before(event, heap->event[(at - 1) / 2]); at = (at - 1) / 2)
        heap->event[at] = heap->event[(at - 1) / 2];
    heap->event[at] = event;
}

static inline struct plb__event plb__heap_pop(struct plb__heap *heap)
{
    struct plb__event top = heap->event[0], last = heap->event[--heap->n];
    uint32_t at = 0;

    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < heap->n && plb__event_before(heap->event[child + 1], heap->event[child]))
            child++;
        if (child >= heap->n || !plb__event_before(heap->event[child], last))
            break;
        heap->event[at] = heap->event[child];
        at = child;
    }
    heap->event[at] = last;
    return top;
}

static inline enum plb_status plb__heap_create(struct plb__heap *heap, size_t n)
{
    heap->event = malloc((n + 1) * sizeof *heap->event);
    if (!heap->event)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to simulate %zu instructions", n);
    return PLB_OK;
}

#endif
