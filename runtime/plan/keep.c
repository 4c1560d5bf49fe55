/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Homes of parameters and state.
 */
#include "config.h"

#include "runtime/plan/keep.h"

#include "runtime/base/bytes.h"

#include <stdlib.h>
#include <string.h>

static enum plb_status read_update(const char *text, enum plb_keep_update *update_out)
{
    if (strcmp(text, "") == 0)
        *update_out = PLB_UPDATE_WHERE_IT_HIDES;
    else if (strcmp(text, ",update=device") == 0)
        *update_out = PLB_UPDATE_DEVICE;
    else if (strcmp(text, ",update=host") == 0)
        *update_out = PLB_UPDATE_HOST;
    else
        return plb_fail(PLB_ERROR_INVALID,
                        "behind where state is kept there can be ',update=device' or "
                        "',update=host', not '%s'",
                        text);
    return PLB_OK;
}

enum plb_status plb_keep_read(const char *text, struct plb_keep *keep_out)
{
    static const struct {
        const char *word;
        struct plb_keep keep;
    } words[] = {
        {"", {.bytes = 0}},
        {"device", {.bytes = 0}},
        {"optimizer", {.bytes = SIZE_MAX}},
        {"host", {.bytes = SIZE_MAX, .parameters = true}},
    };
    struct plb_keep keep = {.parameters = true};
    size_t length;

    text = text ? text : "";
    length = strcspn(text, ",");
    PLB_TRY(read_update(text + length, &keep.update));
    for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
        if (strlen(words[k].word) == length && strncmp(text, words[k].word, length) == 0) {
            *keep_out = words[k].keep;
            keep_out->update = keep.update;
            return PLB_OK;
        }
    if (plb_bytes_read(text, length, &keep.bytes) != PLB_OK)
        return plb_fail(PLB_ERROR_INVALID,
                        "state is kept on the 'device', on the 'host', that of the 'optimizer' "
                        "there, or a number of bytes ('8GiB') there; not '%s'",
                        text);
    *keep_out = keep;
    return PLB_OK;
}

/* Sends away what has this role, as far as it fits. */
static void send_away(const plb_graph_t *graph, enum plb_role role, size_t *room,
                      enum plb_tier *home)
{
    for (plb_value v = 0; v < plb_graph_values(graph); v++) {
        const struct plb_value_info *info = plb_graph_value(graph, v);
        size_t bytes = plb_type_bytes(&info->type);

        if (info->producer != PLB_NONE || info->role != role || bytes > *room)
            continue;
        home[v] = PLB_HOST;
        if (*room != SIZE_MAX)
            *room -= bytes;
    }
}

void plb_keep_find(const struct plb_keep *keep, const plb_graph_t *whole, enum plb_tier *home_out)
{
    size_t room = keep->bytes;

    for (plb_value v = 0; v < plb_graph_values(whole); v++)
        home_out[v] = PLB_DEVICE;
    send_away(whole, PLB_ROLE_STATE, &room, home_out);
    if (keep->parameters)
        send_away(whole, PLB_ROLE_PARAMETER, &room, home_out);
}

static void apply(const plb_graph_t *whole, plb_graph_t *graph, const enum plb_tier *home)
{
    for (plb_value v = 0; v < plb_graph_values(whole); v++) {
        struct plb_cells cells = {1, 1, &v};

        if (home[v] == PLB_DEVICE)
            continue;
        if (graph != whole)
            cells = plb_graph_cells(graph, v);
        for (int j = 0; j < cells.rows * cells.cols; j++)
            plb_graph_set_home(graph, cells.cells[j], (int)home[v]);
    }
}

enum plb_status plb_keep_apply(const struct plb_keep *keep, const plb_graph_t *whole,
                               plb_graph_t *graph)
{
    enum plb_tier *home = malloc(((size_t)plb_graph_values(whole) + 1) * sizeof *home);

    if (!home)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the homes of %u values",
                        plb_graph_values(whole));
    plb_keep_find(keep, whole, home);
    apply(whole, graph, home);
    free(home);
    return plb_graph_status(graph);
}
