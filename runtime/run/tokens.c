/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tokens of programs, kept for the next program.
 *
 * To register a handle at StarPU and to unregister it takes tens of microseconds, and a program has
 * a handle for every range of bytes: thousands, each time that a plan is replaced. So a session
 * keeps the handles of programs that have ended. A token has no data and nothing to forget: StarPU
 * orders its next users after its former ones, which have ended.
 */
#include "config.h"

#include "runtime/run/run_internal.h"

#include <stdlib.h>

#define ROOM_FIRST 64u

static enum plb_status make_room(struct plb__tokens *t)
{
    uint32_t room = t->room ? 2 * t->room : ROOM_FIRST;
    starpu_data_handle_t *grown;

    if (t->made < t->room)
        return PLB_OK;
    grown = realloc(t->spare, room * sizeof *grown);
    if (!grown)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u tokens", room);
    t->spare = grown;
    t->room = room;
    return PLB_OK;
}

enum plb_status plb__token_take(struct plb__tokens *t, starpu_data_handle_t *token_out)
{
    if (t->n > 0) {
        *token_out = t->spare[--t->n];
        return PLB_OK;
    }
    PLB_TRY(make_room(t));
    starpu_void_data_register(token_out);
    t->made++;
    return PLB_OK;
}

void plb__token_add(struct plb__tokens *t, starpu_data_handle_t token)
{
    if (make_room(t) != PLB_OK) {
        starpu_data_unregister(token);
        plb_error_clear();
        return;
    }
    t->made++;
    plb__token_give(t, token);
}

void plb__token_give(struct plb__tokens *t, starpu_data_handle_t token)
{
    t->spare[t->n++] = token;
}

void plb__tokens_clear(struct plb__tokens *t)
{
    for (uint32_t k = 0; k < t->n; k++)
        starpu_data_unregister(t->spare[k]);
    free(t->spare);
    *t = (struct plb__tokens){0};
}
