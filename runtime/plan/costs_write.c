/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing files of costs: JSON, described in doc/costs.md. A line for each task and transfer, in a
 * fixed order, so that two files can be compared.
 */
#include "config.h"

#include "runtime/base/file.h"
#include "runtime/plan/costs_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* json_pack() with NULL for a member gives NULL, so one check at the end is enough. */
static json_t *pack_bytes(size_t bytes)
{
    return bytes <= INT64_MAX ? json_integer((json_int_t)bytes) : json_string(PLB__COSTS_UNLIMITED);
}

static json_t *pack_link(const struct plb_link *link)
{
    return json_pack("{s:f, s:f, s:f, s:b}", "out_bytes_per_second", link->out_bytes_per_second,
                     "in_bytes_per_second", link->in_bytes_per_second, "latency_seconds",
                     link->latency_seconds, "duplex", (int)link->duplex);
}

/* A link whose rates are not known is not written. */
static json_t *pack_links(const struct plb_platform *platform)
{
    json_t *links = json_object();

    for (int tier = PLB_HOST; links && tier < PLB_TIERS; tier++) {
        const struct plb_link *link = &platform->link[tier];
        const char *name = plb_tier_name((enum plb_tier)tier);

        if (!(link->out_bytes_per_second > 0 && link->in_bytes_per_second > 0))
            continue;
        if (json_object_set_new(links, name, pack_link(link)) != 0) {
            json_decref(links);
            return NULL;
        }
    }
    return links;
}

static json_t *pack_platform(const struct plb_platform *platform)
{
    const double *flops = platform->flops_per_second;
    json_t *rates = json_object();

    for (int dtype = 0; rates && dtype < PLB_DTYPES; dtype++)
        if (flops[dtype] > 0 && json_object_set_new(rates, plb_dtype_name((enum plb_dtype)dtype),
                                                    json_real(flops[dtype])) != 0) {
            json_decref(rates);
            rates = NULL;
        }
    return json_pack(
        "{s:s, s:i, s:{s:o, s:o, s:o}, s:o, s:f, s:f, s:f, s:o}", "name", platform->name, "workers",
        platform->workers, "memory", "device", pack_bytes(platform->bytes[PLB_DEVICE]), "host",
        pack_bytes(platform->bytes[PLB_HOST]), "disk", pack_bytes(platform->bytes[PLB_DISK]),
        "flops_per_second", rates, "bytes_per_second", platform->bytes_per_second,
        "host_bytes_per_second", platform->host_bytes_per_second, "task_seconds",
        platform->task_seconds, "links", pack_links(platform));
}

/* Oldest first, so that a reader has the same ring. */
static json_t *pack_samples(const struct plb__samples *samples)
{
    json_t *list = json_array();

    for (uint64_t k = plb__samples_first(samples); list && k < samples->recorded; k++)
        if (json_array_append_new(list, json_real(samples->sample[k % PLB__COST_SAMPLES])) != 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

static json_t *pack_task(const struct plb__cost *cost)
{
    return json_pack("{s:s, s:I, s:o}", "operator", cost->op, "footprint",
                     (json_int_t)cost->footprint, "seconds", pack_samples(&cost->samples));
}

static json_t *pack_transfer(enum plb_tier tier, bool out, const struct plb__transfer *transfer)
{
    return json_pack("{s:s, s:b, s:I, s:f}", "tier", plb_tier_name(tier), "out", (int)out, "bytes",
                     (json_int_t)transfer->bytes, "seconds", transfer->seconds);
}

/* Nothing is known of a time or a rate to more digits. */
#define STYLE (JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12))

/* One line, and the value given back. */
static bool write_line(FILE *file, const char *before, json_t *value)
{
    bool written =
        value && fputs(before, file) >= 0 && json_dumpf(value, file, JSON_COMPACT | STYLE) == 0;

    json_decref(value);
    return written;
}

/* Several lines, all but the first moved in by one level, and the value given back. */
static bool write_lines(FILE *file, const char *before, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_INDENT(2) | STYLE) : NULL;
    bool written = text && fputs(before, file) >= 0;

    for (const char *at = text; written && *at; at++)
        written = fputc(*at, file) != EOF && (*at != '\n' || fputs("  ", file) >= 0);
    free(text);
    json_decref(value);
    return written;
}

static int by_key(const void *left, const void *right)
{
    const struct plb__cost *a = *(const struct plb__cost *const *)left;
    const struct plb__cost *b = *(const struct plb__cost *const *)right;
    int order = strcmp(a->op, b->op);

    return order ? order : (a->footprint > b->footprint) - (a->footprint < b->footprint);
}

static bool write_tasks(FILE *file, const plb_costs_t *costs)
{
    const struct plb__cost **sorted = malloc((costs->n + 1) * sizeof *sorted);
    bool written = sorted && fputs(",\n  \"tasks\": [", file) >= 0;

    for (uint32_t k = 0; written && k < costs->n; k++)
        sorted[k] = &costs->cost[k];
    if (written)
        qsort(sorted, costs->n, sizeof *sorted, by_key);
    for (uint32_t k = 0; written && k < costs->n; k++)
        written = write_line(file, k ? ",\n    " : "\n    ", pack_task(sorted[k]));
    free(sorted);
    return written && fputs("]", file) >= 0;
}

static bool write_transfers(FILE *file, const plb_costs_t *costs)
{
    const char *before = "\n    ";
    bool written = fputs(",\n  \"transfers\": [", file) >= 0;

    for (int direction = 0; direction < 2 * PLB_TIERS; direction++) {
        enum plb_tier tier = (enum plb_tier)(direction / 2);
        const struct plb__transfers *all = &costs->transfers[tier][direction % 2];
        uint64_t k = all->recorded > PLB__LINK_SAMPLES ? all->recorded - PLB__LINK_SAMPLES : 0;

        for (; written && k < all->recorded; k++, before = ",\n    ")
            written = write_line(
                file, before,
                pack_transfer(tier, direction % 2 == 1, &all->sample[k % PLB__LINK_SAMPLES]));
    }
    return written && fputs("]\n}\n", file) >= 0;
}

static bool write_costs(FILE *file, const plb_costs_t *costs)
{
    return fprintf(file, "{\n  \"format\": \"" PLB__COSTS_FORMAT "\",\n  \"version\": %d,\n",
                   PLB__COSTS_VERSION) > 0 &&
           write_lines(file, "  \"platform\": ", pack_platform(&costs->platform)) &&
           write_line(file, ",\n  \"added_seconds\": ", pack_samples(&costs->added)) &&
           write_tasks(file, costs) && write_transfers(file, costs);
}

enum plb_status plb_costs_to_json(const plb_costs_t *constant, char **text_out)
{
    plb_costs_t *costs = (plb_costs_t *)constant; /* for its lock */
    char *text = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&text, &bytes);
    bool written;

    if (!file)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the text of costs");
    pthread_mutex_lock(&costs->lock);
    written = write_costs(file, costs);
    pthread_mutex_unlock(&costs->lock);
    if (fclose(file) != 0 || !written) {
        free(text);
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the text of costs of '%.63s'",
                        costs->platform.name);
    }
    *text_out = text;
    return PLB_OK;
}

enum plb_status plb_costs_save(const plb_costs_t *costs, const char *path)
{
    char *text = NULL;
    enum plb_status status;

    PLB_TRY(plb_costs_to_json(costs, &text));
    status = plb_file_write_atomic(path, text, strlen(text));
    free(text);
    return status;
}
