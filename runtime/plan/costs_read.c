/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading files of costs: JSON, described in doc/costs.md. A file is written by hand or by a run on
 * another machine, so everything in it is bounded and a member that is not known is an error: a
 * misspelled rate must not count as missing.
 */
#include "config.h"

#include "runtime/base/data.h"
#include "runtime/base/file.h"
#include "runtime/plan/costs_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT ((size_t)64 << 20)

static enum plb_status read_bytes(const struct plb_json_object *object, const char *key,
                                  size_t *bytes)
{
    const json_t *seen = json_object_get(object->json, key);
    int64_t number = 0;

    if (json_is_string(seen)) {
        if (strcmp(json_string_value(seen), PLB__COSTS_UNLIMITED) != 0)
            return plb_fail(
                PLB_ERROR_FORMAT,
                "%s: \"%s\" is \"%.64s\", neither a number of bytes nor \"" PLB__COSTS_UNLIMITED
                "\"",
                object->file, key, json_string_value(seen));
        *bytes = SIZE_MAX;
        return PLB_OK;
    }
    PLB_TRY(plb_json_integer(object, key, 0, INT64_MAX, &number));
    *bytes = (size_t)number;
    return PLB_OK;
}

static enum plb_status read_memory(const struct plb_json_object *platform, size_t *bytes)
{
    static const char *const known[] = {"device", "host", "disk", NULL};
    struct plb_json_object memory;

    PLB_TRY(plb_json_require_child(platform, "memory", &memory));
    PLB_TRY(plb_json_members(&memory, known));
    PLB_TRY(plb_json_require(&memory, "device"));
    for (int tier = PLB_DEVICE; tier < PLB_TIERS; tier++)
        PLB_TRY(read_bytes(&memory, plb_tier_name((enum plb_tier)tier), &bytes[tier]));
    if (bytes[PLB_DEVICE] == 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: the device has no memory", platform->file);
    return PLB_OK;
}

static enum plb_status read_flops(const struct plb_json_object *platform, double *rate)
{
    static const char *const known[] = {"f32", "bf16", "f64", "i32", NULL};
    struct plb_json_object flops;

    PLB_TRY(plb_json_require_child(platform, "flops_per_second", &flops));
    PLB_TRY(plb_json_members(&flops, known));
    PLB_TRY(plb_json_require(&flops, "f32"));
    for (int dtype = 0; dtype < PLB_DTYPES; dtype++)
        PLB_TRY(plb_json_real(&flops, plb_dtype_name((enum plb_dtype)dtype), PLB__COST_RATE_MIN,
                              PLB__COST_RATE_MAX, &rate[dtype]));
    return PLB_OK;
}

static enum plb_status read_link(const struct plb_json_object *links, const char *name,
                                 struct plb_link *link)
{
    static const char *const known[] = {"out_bytes_per_second", "in_bytes_per_second",
                                        "latency_seconds", "duplex", NULL};
    struct plb_json_object object;
    char place[PLB_JSON_PLACE];

    PLB_TRY(plb_json_child(links, name, &object));
    if (!object.json)
        return PLB_OK;
    snprintf(place, sizeof place, "%s: the link to %s", links->file, name);
    object.file = place;
    PLB_TRY(plb_json_members(&object, known));
    PLB_TRY(plb_json_require_real(&object, known[0], PLB__COST_RATE_MIN, PLB__COST_RATE_MAX,
                      &link->out_bytes_per_second));
    PLB_TRY(plb_json_require_real(&object, known[1], PLB__COST_RATE_MIN, PLB__COST_RATE_MAX,
                      &link->in_bytes_per_second));
    PLB_TRY(plb_json_real(&object, known[2], 0, PLB__COST_SECONDS_MAX, &link->latency_seconds));
    return plb_json_boolean(&object, known[3], &link->duplex);
}

static enum plb_status read_links(const struct plb_json_object *object,
                                  struct plb_platform *platform)
{
    static const char *const known[] = {"host", "disk", NULL};
    struct plb_json_object links;

    PLB_TRY(plb_json_child(object, "links", &links));
    if (links.json)
        PLB_TRY(plb_json_members(&links, known));
    for (int tier = PLB_HOST; tier < PLB_TIERS; tier++) {
        const char *name = plb_tier_name((enum plb_tier)tier);

        if (links.json)
            PLB_TRY(read_link(&links, name, &platform->link[tier]));
        if (platform->bytes[tier] > 0 && !(platform->link[tier].out_bytes_per_second > 0))
            return plb_fail(PLB_ERROR_FORMAT, "%s: there is %s memory, but no link to it",
                            object->file, name);
    }
    return PLB_OK;
}

enum plb_status plb__platform_read(const struct plb_json_object *object,
                                   struct plb_platform *platform)
{
    static const char *const known[] = {
        "name",         "workers", "memory", "flops_per_second", "bytes_per_second",
        "host_bytes_per_second", "task_seconds", "links", NULL};
    const char *name = NULL;
    int64_t workers = 0;

    PLB_TRY(plb_json_members(object, known));
    PLB_TRY(plb_json_require(object, "name"));
    PLB_TRY(plb_json_string(object, "name", &name));
    if (strlen(name) >= sizeof platform->name)
        return plb_fail(PLB_ERROR_FORMAT, "%s: the platform's name has %zu bytes, more than %zu",
                        object->file, strlen(name), sizeof platform->name - 1);
    strcpy(platform->name, name);
    PLB_TRY(plb_json_require(object, "workers"));
    PLB_TRY(plb_json_integer(object, "workers", 1, PLB_WORKERS_MAX, &workers));
    platform->workers = (int)workers;
    PLB_TRY(read_memory(object, platform->bytes));
    PLB_TRY(read_flops(object, platform->flops_per_second));
    PLB_TRY(plb_json_require_real(object, "bytes_per_second", PLB__COST_RATE_MIN, PLB__COST_RATE_MAX,
                      &platform->bytes_per_second));
    PLB_TRY(plb_json_real(object, "host_bytes_per_second", 0, PLB__COST_RATE_MAX,
                          &platform->host_bytes_per_second));
    PLB_TRY(plb_json_require_real(object, "task_seconds", 0, PLB__COST_SECONDS_MAX, &platform->task_seconds));
    return read_links(object, platform);
}

static enum plb_status check_sample(const struct plb_json_object *of, const json_t *samples,
                                    size_t k)
{
    const json_t *number = json_array_get(samples, k);
    double seconds = json_number_value(number);

    if (json_is_number(number) && seconds > 0 && seconds <= PLB__COST_SECONDS_MAX)
        return PLB_OK;
    return plb_fail(PLB_ERROR_FORMAT, "%s: sample %zu is not a number of seconds above 0", of->file,
                    k);
}

static enum plb_status read_added(const struct plb_json_object *root, plb_costs_t *costs)
{
    const json_t *samples = NULL;

    PLB_TRY(plb_json_array_within(root, "added_seconds", PLB__COST_SAMPLES, &samples));
    for (size_t k = 0; k < json_array_size(samples); k++) {
        PLB_TRY(check_sample(root, samples, k));
        plb_costs_record_added(costs, json_number_value(json_array_get(samples, k)));
    }
    return PLB_OK;
}

static enum plb_status read_task(const struct plb_json_object *task, plb_costs_t *costs)
{
    static const char *const known[] = {"operator", "footprint", "seconds", NULL};
    const json_t *samples = NULL;
    const char *op = NULL;
    int64_t footprint = 0;

    PLB_TRY(plb_json_members(task, known));
    for (int k = 0; known[k]; k++)
        PLB_TRY(plb_json_require(task, known[k]));
    PLB_TRY(plb_json_string(task, "operator", &op));
    PLB_TRY(plb_json_integer(task, "footprint", 0, UINT32_MAX, &footprint));
    PLB_TRY(plb_json_array_within(task, "seconds", PLB__COST_SAMPLES, &samples));
    if (strlen(op) == 0 || strlen(op) >= PLB__COST_NAME)
        return plb_fail(PLB_ERROR_FORMAT, "%s: an operator's name has %zu bytes, not 1 to %u",
                        task->file, strlen(op), PLB__COST_NAME - 1);
    for (size_t k = 0; k < json_array_size(samples); k++) {
        PLB_TRY(check_sample(task, samples, k));
        plb_costs_record(costs, op, (uint32_t)footprint,
                         json_number_value(json_array_get(samples, k)));
    }
    return PLB_OK;
}

static enum plb_status read_tasks(const struct plb_json_object *root, plb_costs_t *costs)
{
    struct plb_json_object task;
    const json_t *tasks = NULL;
    char place[PLB_JSON_PLACE];

    PLB_TRY(plb_json_array_within(root, "tasks", PLB__COST_KEYS_MAX, &tasks));
    for (size_t k = 0; k < json_array_size(tasks); k++) {
        PLB_TRY(plb_json_entry(root, tasks, "tasks", k, place, &task));
        PLB_TRY(read_task(&task, costs));
    }
    return PLB_OK;
}

static enum plb_status read_transfer(const struct plb_json_object *transfer, plb_costs_t *costs)
{
    static const char *const known[] = {"tier", "out", "bytes", "seconds", NULL};
    enum plb_tier tier = PLB_HOST;
    const char *name = NULL;
    int64_t bytes = 0;
    double seconds = 0;
    bool out = false;

    PLB_TRY(plb_json_members(transfer, known));
    for (int k = 0; known[k]; k++)
        PLB_TRY(plb_json_require(transfer, known[k]));
    PLB_TRY(plb_json_string(transfer, "tier", &name));
    PLB_TRY(plb_json_boolean(transfer, "out", &out));
    PLB_TRY(plb_json_integer(transfer, "bytes", 1, INT64_MAX, &bytes));
    PLB_TRY(plb_json_real(transfer, "seconds", 0, PLB__COST_SECONDS_MAX, &seconds));
    while (tier < PLB_TIERS && strcmp(plb_tier_name(tier), name) != 0)
        tier++;
    if (tier == PLB_TIERS)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: the tier is \"%.64s\", neither \"host\" nor "
                        "\"disk\"",
                        transfer->file, name);
    if (!(seconds > 0))
        return plb_fail(PLB_ERROR_FORMAT, "%s: a transfer of %" PRId64 " bytes took no time",
                        transfer->file, bytes);
    plb_costs_record_transfer(costs, tier, out, (size_t)bytes, seconds);
    return PLB_OK;
}

static enum plb_status read_transfers(const struct plb_json_object *root, plb_costs_t *costs)
{
    struct plb_json_object transfer;
    const json_t *transfers = NULL;
    char place[PLB_JSON_PLACE];

    PLB_TRY(plb_json_array_within(root, "transfers", 4 * PLB__LINK_SAMPLES, &transfers));
    for (size_t k = 0; k < json_array_size(transfers); k++) {
        PLB_TRY(plb_json_entry(root, transfers, "transfers", k, place, &transfer));
        PLB_TRY(read_transfer(&transfer, costs));
    }
    return PLB_OK;
}

static enum plb_status check_head(const struct plb_json_object *root)
{
    static const char *const known[] = {"format", "version",       "note",      "platform",
                                        "tasks",  "added_seconds", "transfers", NULL};

    PLB_TRY(plb_json_check_format(root, PLB__COSTS_FORMAT, PLB__COSTS_VERSION));
    return plb_json_members(root, known);
}

static enum plb_status read_costs(const struct plb_json_object *root, plb_costs_t **costs_out)
{
    struct plb_platform platform = {.name = ""};
    struct plb_json_object of;
    plb_costs_t *costs = NULL;
    enum plb_status status;

    PLB_TRY(check_head(root));
    PLB_TRY(plb_json_require_child(root, "platform", &of));
    PLB_TRY(plb__platform_read(&of, &platform));
    status = plb_costs_create(&platform, &costs);
    if (status != PLB_OK)
        return plb_fail_within(status == PLB_ERROR_MEMORY ? status : PLB_ERROR_FORMAT, "%s",
                               root->file);
    status = read_added(root, costs);
    if (status == PLB_OK)
        status = read_tasks(root, costs);
    if (status == PLB_OK)
        status = read_transfers(root, costs);
    if (status == PLB_OK)
        *costs_out = costs;
    else
        plb_costs_destroy(costs);
    return status;
}

enum plb_status plb_costs_from_json(const char *text, size_t bytes, const char *name,
                                    plb_costs_t **costs_out)
{
    json_t *json = NULL;
    enum plb_status status;

    PLB_TRY(plb_json_parse(text, bytes, name, &json));
    status = read_costs(&(struct plb_json_object){json, name}, costs_out);
    json_decref(json);
    return status;
}

enum plb_status plb_costs_load(const char *path, plb_costs_t **costs_out)
{
    char *text = NULL;
    size_t bytes = 0;
    enum plb_status status;

    PLB_TRY(plb_file_read(path, FILE_LIMIT, &text, &bytes));
    status = plb_costs_from_json(text, bytes, path, costs_out);
    free(text);
    return status;
}

enum plb_status plb_costs_find(const char *name_or_path, plb_costs_t **costs_out)
{
    char *path = NULL;
    enum plb_status status;

    PLB_TRY(plb_data_path("costs", name_or_path, &path));
    status = plb_costs_load(path, costs_out);
    free(path);
    return status;
}
