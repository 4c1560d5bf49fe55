/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hybrid plans as JSON documents:
 *
 *   {
 *     "format": "palombe hybrid plan 1",
 *     "policy": "1f1b",
 *     "graph": "0f1e2d3c4b5a6978",
 *     "in_order": true,
 *     "places": [
 *       [0, 1, 4],
 *       [2, 3]
 *     ]
 *   }
 *
 * A place is the list of its tasks, by their numbers in the cut graph. What is read is a document of
 * this kind, within bounds; whether the plan is right is plb_hybrid_spread()'s to say.
 */
#include "config.h"

#include "runtime/base/file.h"
#include "runtime/plan/document.h"
#include "runtime/plan/hybrid.h"

#include <inttypes.h>
#include <stdlib.h>

#define HYBRID_FORMAT "palombe hybrid plan 1"
#define RUNS_MAX      (1u << 24) /* of all places together */

/* ---- writing ---- */

/* What a task, a place, and the rest but for the head, take at most. */
#define TASK_BYTES  12
#define PLACE_BYTES 16
#define FRAME_BYTES 96

static void write_place(struct plb__text *text, const struct plb_hybrid *hybrid, uint32_t place)
{
    plb__text_add(text, place > 0 ? ",\n    [" : "\n    [");
    for (uint32_t i = hybrid->in_place[place]; i < hybrid->in_place[place + 1]; i++)
        plb__text_add(text, i > hybrid->in_place[place] ? ", %" PRIu32 : "%" PRIu32,
                      hybrid->run[i]);
    plb__text_add(text, "]");
}

static enum plb_status print_hybrid(const struct plb_hybrid *hybrid, struct plb__text *text_out)
{
    size_t runs = hybrid->n_places > 0 ? hybrid->in_place[hybrid->n_places] : 0;

    PLB_TRY(plb__text_create(PLB__DOCUMENT_HEAD + FRAME_BYTES +
                                 (size_t)hybrid->n_places * PLACE_BYTES + runs * TASK_BYTES,
                             text_out));
    plb__text_begin(text_out, HYBRID_FORMAT, hybrid->policy, hybrid->fingerprint);
    plb__text_add(text_out, "\n  \"in_order\": %s,\n  \"places\": [",
                  hybrid->in_order ? "true" : "false");
    for (uint32_t p = 0; p < hybrid->n_places; p++)
        write_place(text_out, hybrid, p);
    plb__text_add(text_out, "\n  ]\n}\n");
    return PLB_OK;
}

enum plb_status plb_hybrid_to_json(const struct plb_hybrid *hybrid, char **text_out)
{
    struct plb__text text;

    PLB_TRY(print_hybrid(hybrid, &text));
    *text_out = text.text;
    return PLB_OK;
}

enum plb_status plb_hybrid_save(const struct plb_hybrid *hybrid, const char *path)
{
    enum plb_status status;
    struct plb__text text;

    PLB_TRY(print_hybrid(hybrid, &text));
    status = plb_file_write_atomic(path, text.text, text.used);
    free(text.text);
    return status;
}

/* ---- reading ---- */

/* Room for all lists. */
static enum plb_status make_room(const struct plb_json_object *root, const json_t *places,
                                 struct plb_hybrid *hybrid)
{
    size_t runs = 0, n = json_array_size(places);

    for (size_t p = 0; p < n; p++) {
        if (!json_is_array(json_array_get(places, p)))
            return plb_fail(PLB_ERROR_FORMAT, "%s: place %zu is no list of tasks", root->file, p);
        runs += json_array_size(json_array_get(places, p));
    }
    if (runs > RUNS_MAX)
        return plb_fail(PLB_ERROR_FORMAT, "%s: %zu tasks in all lists, more than the limit of %u",
                        root->file, runs, RUNS_MAX);
    hybrid->in_place = calloc(n + 1, sizeof *hybrid->in_place);
    hybrid->run = malloc((runs + 1) * sizeof *hybrid->run);
    if (!hybrid->in_place || !hybrid->run)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for a hybrid plan of %zu tasks", runs);
    return PLB_OK;
}

static enum plb_status read_places(const struct plb_json_object *root, struct plb_hybrid *hybrid)
{
    const json_t *places = NULL;
    uint32_t n = 0;

    PLB_TRY(plb_json_require(root, "places"));
    PLB_TRY(plb_json_array_within(root, "places", PLB_PLACES_MAX, &places));
    if (json_array_size(places) == 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: no places", root->file);
    PLB_TRY(make_room(root, places, hybrid));
    for (; hybrid->n_places < json_array_size(places); hybrid->n_places++) {
        const json_t *list = json_array_get(places, hybrid->n_places);

        for (size_t k = 0; k < json_array_size(list); k++)
            if (!plb__document_number(json_array_get(list, k), &hybrid->run[n++]))
                return plb_fail(PLB_ERROR_FORMAT, "%s: entry %zu of place %u is no number of a task",
                                root->file, k, hybrid->n_places);
        hybrid->in_place[hybrid->n_places + 1] = n;
    }
    return PLB_OK;
}

static enum plb_status read_members(const struct plb_json_object *root, struct plb_hybrid *hybrid)
{
    PLB_TRY(
        plb__document_begin(root, HYBRID_FORMAT, hybrid->policy, &hybrid->fingerprint));
    PLB_TRY(plb_json_require(root, "in_order"));
    PLB_TRY(plb_json_boolean(root, "in_order", &hybrid->in_order));
    return read_places(root, hybrid);
}

static enum plb_status read_hybrid(const json_t *json, const char *file,
                                   struct plb_hybrid *hybrid_out)
{
    const struct plb_json_object root = {json, file};
    struct plb_hybrid hybrid = {.policy = ""};
    enum plb_status status = read_members(&root, &hybrid);

    if (status == PLB_OK)
        *hybrid_out = hybrid;
    else
        plb_hybrid_clear(&hybrid);
    return status;
}

enum plb_status plb_hybrid_from_json(const char *text, size_t bytes,
                                     struct plb_hybrid *hybrid_out)
{
    enum plb_status status;
    json_t *root;

    if (bytes > PLB__DOCUMENT_BYTES_MAX)
        return plb_fail(PLB_ERROR_FORMAT, "a hybrid plan of %zu bytes, more than the limit of %zu",
                        bytes, PLB__DOCUMENT_BYTES_MAX);
    PLB_TRY(plb_json_parse(text, bytes, "hybrid plan", &root));
    status = read_hybrid(root, "hybrid plan", hybrid_out);
    json_decref(root);
    return status;
}

enum plb_status plb_hybrid_load(const char *path, struct plb_hybrid *hybrid_out)
{
    enum plb_status status;
    json_t *root;

    PLB_TRY(plb_json_load(path, PLB__DOCUMENT_BYTES_MAX, &root));
    status = read_hybrid(root, path, hybrid_out);
    json_decref(root);
    return status;
}
