/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading files of platforms: JSON, described in doc/platforms.md. A file is written by hand, so
 * everything in it is bounded, a member that is not known is an error, and two places that nothing
 * joins are one, too: a plan for them would fail much later, and with other words.
 *
 * Entries stand for many alike: 128 nodes of 8 cards are one entry of nodes with one of devices. So
 * the file is read twice: once to count, once to fill in.
 */
#include "config.h"

#include "runtime/base/data.h"
#include "runtime/base/file.h"
#include "runtime/plan/costs_json.h"
#include "runtime/plan/places_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT     ((size_t)16 << 20)
#define FORMAT_NAME    "palombe platform"
#define FORMAT_VERSION 1

/* Entries of lists; nodes and devices are bounded by PLB_PLACES_MAX beside. */
#define NODES_MAX   4096u
#define DEVICES_MAX 64u
#define LINKS_MAX   (PLB__SITES_MAX * PLB__SITES_MAX)

/* The site of nodes that name none. */
#define NO_SITE ""

struct reader {
    struct plb_json_object root;
    const char *folder; /* of the file, for names of files of costs; NULL: none */
    const json_t *kinds, *nodes, *links;
    uint32_t n_places, n_nodes, n_sites;
    const char *site[PLB__SITES_MAX];
    plb_places_t *places;
    bool *common; /* per node: its devices share the way to other nodes */
};

/* A name goes into tables, messages and names of places. */
static enum plb_status read_name(const struct plb_json_object *object, const char *key,
                                 const char **name_out)
{
    const char *name = NULL;
    size_t length;

    PLB_TRY(plb_json_require(object, key));
    PLB_TRY(plb_json_string(object, key, &name));
    length = strlen(name);
    if (length == 0 || length >= PLB__PLACES_NAME)
        return plb_fail(PLB_ERROR_FORMAT, "%s: \"%s\" has %zu bytes, not 1 to %d", object->file,
                        key, length, PLB__PLACES_NAME - 1);
    for (size_t k = 0; k < length; k++)
        if (name[k] <= ' ' || name[k] > '~' || name[k] == '/')
            return plb_fail(PLB_ERROR_FORMAT,
                            "%s: character %zu of \"%s\" is a space, a '/', or not ASCII",
                            object->file, k, key);
    *name_out = name;
    return PLB_OK;
}

static enum plb_status read_wire(const struct plb_json_object *object, struct plb__wire *wire)
{
    PLB_TRY(plb_json_require_real(object, "bytes_per_second", PLB__COST_RATE_MIN,
                                  PLB__COST_RATE_MAX, &wire->bytes_per_second));
    return plb_json_real(object, "latency_seconds", 0, PLB__COST_SECONDS_MAX,
                         &wire->latency_seconds);
}

/* ---- kinds of devices ---- */

/* A file of costs lies where the file of the platform says, seen from where that lies itself. */
static enum plb_status find_costs(const struct reader *r, const struct plb_json_object *kind,
                                  plb_costs_t **costs_out)
{
    const char *name = NULL;
    char *path = NULL;
    enum plb_status status;

    PLB_TRY(plb_json_string(kind, "costs", &name));
    if (strchr(name, '/') != name && plb_data_is_path(name) && r->folder)
        PLB_TRY(plb_file_join(r->folder, name, &path));
    status = plb_costs_find(path ? path : name, costs_out);
    free(path);
    return status == PLB_OK ? PLB_OK : plb_fail_within(status, "%s", kind->file);
}

static enum plb_status make_costs(const struct plb_json_object *kind, plb_costs_t **costs_out)
{
    struct plb_platform platform = {.name = ""};
    enum plb_status status;

    PLB_TRY(plb__platform_read(kind, &platform));
    status = plb_costs_create(&platform, costs_out);
    if (status == PLB_OK || status == PLB_ERROR_MEMORY)
        return status;
    return plb_fail_within(PLB_ERROR_FORMAT, "%s", kind->file);
}

static enum plb_status read_kind(struct reader *r, const struct plb_json_object *entry, uint32_t k)
{
    static const char *const known[] = {"name", "costs", NULL};
    struct plb__kind *kind = &r->places->kind[k];
    const char *name = NULL;

    PLB_TRY(read_name(entry, "name", &name));
    for (uint32_t other = 0; other < k; other++)
        if (strcmp(r->places->kind[other].name, name) == 0)
            return plb_fail(PLB_ERROR_FORMAT, "%s: there is a kind '%s' already", entry->file,
                            name);
    strcpy(kind->name, name);
    if (!json_object_get(entry->json, "costs"))
        return make_costs(entry, &kind->costs);
    PLB_TRY(plb_json_members(entry, known));
    return find_costs(r, entry, &kind->costs);
}

static enum plb_status read_kinds(struct reader *r)
{
    struct plb_json_object entry;
    char place[PLB_JSON_PLACE];

    for (uint32_t k = 0; k < r->places->n_kinds; k++) {
        PLB_TRY(plb_json_entry(&r->root, r->kinds, "kinds", k, place, &entry));
        PLB_TRY(read_kind(r, &entry, k));
    }
    return PLB_OK;
}

static enum plb_status find_kind(const struct reader *r, const struct plb_json_object *device,
                                 uint32_t *kind_out)
{
    const char *name = NULL;

    PLB_TRY(read_name(device, "kind", &name));
    for (uint32_t k = 0; k < r->places->n_kinds; k++)
        if (strcmp(r->places->kind[k].name, name) == 0) {
            *kind_out = k;
            return PLB_OK;
        }
    return plb_fail(PLB_ERROR_FORMAT, "%s: the device '%s' is unknown: no kind has that name",
                    device->file, name);
}

/* ---- counting ---- */

static enum plb_status find_site(const struct reader *r, const struct plb_json_object *object,
                                 const char *name, uint32_t *site_out)
{
    for (uint32_t s = 0; s < r->n_sites; s++)
        if (strcmp(r->site[s], name) == 0) {
            *site_out = s;
            return PLB_OK;
        }
    return plb_fail(PLB_ERROR_FORMAT, "%s: no node is at a site '%.64s'", object->file, name);
}

static enum plb_status read_site(const struct plb_json_object *node, const char **name_out)
{
    *name_out = NO_SITE;
    return json_object_get(node->json, "site") ? read_name(node, "site", name_out) : PLB_OK;
}

static enum plb_status count_site(struct reader *r, const struct plb_json_object *node)
{
    const char *name;
    uint32_t site;

    PLB_TRY(read_site(node, &name));
    for (site = 0; site < r->n_sites; site++)
        if (strcmp(r->site[site], name) == 0)
            return PLB_OK;
    if (r->n_sites == PLB__SITES_MAX)
        return plb_fail(PLB_ERROR_FORMAT, "%s: more than %u sites", node->file, PLB__SITES_MAX);
    r->site[r->n_sites++] = name;
    return PLB_OK;
}

static enum plb_status read_count(const struct plb_json_object *object, uint32_t *count_out)
{
    int64_t count = 1;

    PLB_TRY(plb_json_integer(object, "count", 1, PLB_PLACES_MAX, &count));
    *count_out = (uint32_t)count;
    return PLB_OK;
}

/* Devices of a node. */
static enum plb_status count_devices(const struct plb_json_object *node, uint32_t *n_out)
{
    static const char *const known[] = {"kind", "count", NULL};
    struct plb_json_object device;
    const json_t *devices = NULL;
    char place[PLB_JSON_PLACE];
    uint32_t n = 0, count;

    PLB_TRY(plb_json_require(node, "devices"));
    PLB_TRY(plb_json_array_within(node, "devices", DEVICES_MAX, &devices));
    for (size_t k = 0; k < json_array_size(devices); k++) {
        PLB_TRY(plb_json_entry(node, devices, "devices", k, place, &device));
        PLB_TRY(plb_json_members(&device, known));
        PLB_TRY(read_count(&device, &count));
        n += count;
    }
    if (n == 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: a node without devices", node->file);
    *n_out = n;
    return PLB_OK;
}

static enum plb_status count_node(struct reader *r, const struct plb_json_object *node)
{
    static const char *const known[] = {"name", "site",    "count", "devices",
                                        "link", "network", NULL};
    uint32_t nodes = 0, devices = 0;

    PLB_TRY(plb_json_members(node, known));
    PLB_TRY(read_count(node, &nodes));
    PLB_TRY(count_devices(node, &devices));
    PLB_TRY(count_site(r, node));
    if ((uint64_t)nodes * devices + r->n_places > PLB_PLACES_MAX)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: %u devices on each of %u nodes, with all before "
                        "more than %u places",
                        node->file, devices, nodes, PLB_PLACES_MAX);
    r->n_nodes += nodes;
    r->n_places += nodes * devices;
    return PLB_OK;
}

static enum plb_status count_nodes(struct reader *r)
{
    struct plb_json_object entry;
    char place[PLB_JSON_PLACE];

    for (size_t k = 0; k < json_array_size(r->nodes); k++) {
        PLB_TRY(plb_json_entry(&r->root, r->nodes, "nodes", k, place, &entry));
        PLB_TRY(count_node(r, &entry));
    }
    if (r->n_places == 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: no node has a device", r->root.file);
    return PLB_OK;
}

/* ---- nodes and devices ---- */

/* Opens an object of a node that describes a wire, whose name errors then know by `place`. */
static enum plb_status open_wire(const struct plb_json_object *node, const char *key,
                                 const char *const *known, char place[PLB_JSON_PLACE],
                                 struct plb_json_object *wire_out)
{
    PLB_TRY(plb_json_child(node, key, wire_out));
    if (!wire_out->json)
        return PLB_OK;
    snprintf(place, PLB_JSON_PLACE, "%s: its %s", node->file, key);
    wire_out->file = place;
    return plb_json_members(wire_out, known);
}

static enum plb_status read_link(const struct plb_json_object *node, struct plb__wire *wire)
{
    static const char *const known[] = {"bytes_per_second", "latency_seconds", NULL};
    struct plb_json_object link;
    char place[PLB_JSON_PLACE];

    PLB_TRY(open_wire(node, "link", known, place, &link));
    return link.json ? read_wire(&link, wire) : PLB_OK;
}

/* `common_out` stays true unless the file says that each device has a way of its own. */
static enum plb_status read_network(const struct plb_json_object *node, struct plb__wire *wire,
                                    bool *common_out)
{
    static const char *const known[] = {"bytes_per_second", "latency_seconds", "shared", NULL};
    struct plb_json_object network;
    char place[PLB_JSON_PLACE];

    PLB_TRY(open_wire(node, "network", known, place, &network));
    if (!network.json)
        return PLB_OK;
    PLB_TRY(plb_json_boolean(&network, "shared", common_out));
    return read_wire(&network, wire);
}

/* The devices of one node, from place `place` on. */
static enum plb_status fill_devices(struct reader *r, const struct plb_json_object *node,
                                    uint32_t n, uint32_t *place)
{
    const json_t *devices = json_object_get(node->json, "devices");
    struct plb_json_object device;
    char where[PLB_JSON_PLACE];
    uint32_t count, kind = 0, number = 0;

    for (size_t k = 0; k < json_array_size(devices); k++) {
        PLB_TRY(plb_json_entry(node, devices, "devices", k, where, &device));
        PLB_TRY(read_count(&device, &count));
        PLB_TRY(find_kind(r, &device, &kind));
        for (uint32_t c = 0; c < count; c++, number++) {
            struct plb_place *to = &r->places->place[(*place)++];

            *to = (struct plb_place){.node = n, .device = number, .kind = kind};
            snprintf(to->name, sizeof to->name, "%.48s/%.36s.%u", r->places->node[n].name,
                     r->places->kind[kind].name, number);
        }
    }
    return PLB_OK;
}

/* All nodes that an entry stands for, from node `n` on. */
static enum plb_status fill_nodes(struct reader *r, const struct plb_json_object *entry,
                                  uint32_t *n, uint32_t *place)
{
    struct plb__node node = {.site = 0};
    const char *name = NULL, *site = NULL;
    bool common = true;
    uint32_t count;

    PLB_TRY(read_name(entry, "name", &name));
    PLB_TRY(read_count(entry, &count));
    PLB_TRY(read_site(entry, &site));
    PLB_TRY(find_site(r, entry, site, &node.site));
    PLB_TRY(read_link(entry, &node.link));
    PLB_TRY(read_network(entry, &node.network, &common));
    for (uint32_t k = 0; k < count; k++, (*n)++) {
        r->common[*n] = common;
        r->places->node[*n] = node;
        snprintf(r->places->node[*n].name, PLB_PLACE_NAME, count > 1 ? "%s.%u" : "%s", name, k);
        PLB_TRY(fill_devices(r, entry, *n, place));
    }
    return PLB_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct plb__node *)a)->name, ((const struct plb__node *)b)->name);
}

/* "rack.1" may be the second of the nodes "rack", or have that name of its own. */
static enum plb_status check_names(const struct reader *r)
{
    uint32_t n = r->n_nodes;
    struct plb__node *sorted = malloc(n * sizeof *sorted);
    enum plb_status status = PLB_OK;

    if (!sorted)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u nodes", n);
    memcpy(sorted, r->places->node, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_names);
    for (uint32_t k = 1; k < n && status == PLB_OK; k++)
        if (compare_names(&sorted[k - 1], &sorted[k]) == 0)
            status = plb_fail(PLB_ERROR_FORMAT, "%s: there are two nodes '%s'", r->root.file,
                              sorted[k].name);
    free(sorted);
    return status;
}

static enum plb_status read_nodes(struct reader *r)
{
    struct plb_json_object entry;
    char place[PLB_JSON_PLACE];
    uint32_t n = 0, at = 0;

    for (size_t k = 0; k < json_array_size(r->nodes); k++) {
        PLB_TRY(plb_json_entry(&r->root, r->nodes, "nodes", k, place, &entry));
        PLB_TRY(fill_nodes(r, &entry, &n, &at));
    }
    return check_names(r);
}

/* ---- links between sites ---- */

static enum plb_status join(struct reader *r, const struct plb_json_object *link, uint32_t a,
                            uint32_t b, const struct plb__wire *wire)
{
    struct plb__bridge *there = &r->places->bridge[a * r->n_sites + b];

    if (a == b)
        return plb_fail(PLB_ERROR_FORMAT, "%s joins the site '%s' with itself", link->file,
                        r->site[a]);
    if (there->wire.bytes_per_second > 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: '%s' and '%s' are joined already", link->file,
                        r->site[a], r->site[b]);
    there->wire = r->places->bridge[b * r->n_sites + a].wire = *wire;
    return PLB_OK;
}

/* The pairs of sites that no entry before has named. */
static void join_others(struct reader *r, const struct plb__wire *wire)
{
    for (uint32_t a = 0; a < r->n_sites; a++)
        for (uint32_t b = 0; b < r->n_sites; b++) {
            struct plb__wire *there = &r->places->bridge[a * r->n_sites + b].wire;

            if (a != b && !(there->bytes_per_second > 0))
                *there = *wire;
        }
}

static enum plb_status read_bridge(struct reader *r, const struct plb_json_object *link)
{
    static const char *const known[] = {"sites", "bytes_per_second", "latency_seconds", NULL};
    const json_t *sites = json_object_get(link->json, "sites");
    struct plb__wire wire = {0};
    uint32_t end[2];

    PLB_TRY(plb_json_members(link, known));
    PLB_TRY(read_wire(link, &wire));
    if (!sites) {
        join_others(r, &wire);
        return PLB_OK;
    }
    if (json_array_size(sites) != 2 || !json_is_string(json_array_get(sites, 0)) ||
        !json_is_string(json_array_get(sites, 1)))
        return plb_fail(PLB_ERROR_FORMAT, "%s: \"sites\" must be the names of two sites",
                        link->file);
    for (size_t k = 0; k < 2; k++)
        PLB_TRY(find_site(r, link, json_string_value(json_array_get(sites, k)), &end[k]));
    return join(r, link, end[0], end[1], &wire);
}

static enum plb_status read_links(struct reader *r)
{
    struct plb_json_object entry;
    char place[PLB_JSON_PLACE];

    for (size_t k = 0; k < json_array_size(r->links); k++) {
        PLB_TRY(plb_json_entry(&r->root, r->links, "links", k, place, &entry));
        PLB_TRY(read_bridge(r, &entry));
    }
    return PLB_OK;
}

/* ---- are all places joined? ---- */

static enum plb_status apart(const struct reader *r, uint32_t a, uint32_t b)
{
    return plb_fail(PLB_ERROR_FORMAT, "%s: no link joins '%s' and '%s'", r->root.file,
                    r->places->place[a].name, r->places->place[b].name);
}

/* Each place is compared with the first one of its node, of its site, and of every site, which is
 * enough: what joins two of them joins all. */
static enum plb_status check_joined(const struct reader *r)
{
    uint32_t first_of_site[PLB__SITES_MAX], node = 0;

    memset(first_of_site, 0xff, sizeof first_of_site);
    for (uint32_t p = 0; p < r->n_places; p++) {
        uint32_t site = r->places->node[r->places->place[p].node].site;

        if (r->places->place[node].node != r->places->place[p].node)
            node = p;
        if (!(plb_places_way(r->places, node, p).bytes_per_second > 0))
            return apart(r, node, p);
        if (first_of_site[site] == PLB_NONE)
            first_of_site[site] = p;
        if (!(plb_places_way(r->places, first_of_site[site], p).bytes_per_second > 0))
            return apart(r, first_of_site[site], p);
        for (uint32_t s = 0; s < r->n_sites && first_of_site[site] == p; s++)
            if (first_of_site[s] != PLB_NONE &&
                !(plb_places_way(r->places, first_of_site[s], p).bytes_per_second > 0))
                return apart(r, first_of_site[s], p);
    }
    return PLB_OK;
}

/* ---- the whole ---- */

static enum plb_status find_lists(struct reader *r)
{
    static const char *const known[] = {"format", "version", "note", "kinds",
                                        "nodes",  "links",   NULL};

    PLB_TRY(plb_json_check_format(&r->root, FORMAT_NAME, FORMAT_VERSION));
    PLB_TRY(plb_json_members(&r->root, known));
    PLB_TRY(plb_json_require(&r->root, "kinds"));
    PLB_TRY(plb_json_array_within(&r->root, "kinds", PLB__KINDS_MAX, &r->kinds));
    PLB_TRY(plb_json_require(&r->root, "nodes"));
    PLB_TRY(plb_json_array_within(&r->root, "nodes", NODES_MAX, &r->nodes));
    return plb_json_array_within(&r->root, "links", LINKS_MAX, &r->links);
}

static enum plb_status fill(struct reader *r)
{
    PLB_TRY(read_kinds(r));
    PLB_TRY(read_nodes(r));
    PLB_TRY(read_links(r));
    plb__places_number_ports(r->places, r->common);
    return check_joined(r);
}

static enum plb_status read_places(struct reader *r)
{
    uint32_t n_kinds;

    PLB_TRY(find_lists(r));
    PLB_TRY(count_nodes(r));
    n_kinds = (uint32_t)json_array_size(r->kinds);
    if (n_kinds == 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: there is no kind of device", r->root.file);
    r->common = calloc(r->n_nodes, sizeof *r->common);
    if (!r->common)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %u nodes", r->n_nodes);
    PLB_TRY(plb__places_create(r->n_places, n_kinds, r->n_nodes, r->n_sites, &r->places));
    return fill(r);
}

static enum plb_status read_text(const char *text, size_t bytes, const char *name,
                                 const char *folder, plb_places_t **places_out)
{
    struct reader r = {.folder = folder};
    enum plb_status status;
    json_t *json = NULL;

    PLB_TRY(plb_json_parse(text, bytes, name, &json));
    r.root = (struct plb_json_object){json, name};
    status = read_places(&r);
    if (status == PLB_OK)
        *places_out = r.places;
    else
        plb_places_destroy(r.places);
    free(r.common);
    json_decref(json);
    return status;
}

enum plb_status plb_places_from_json(const char *text, size_t bytes, const char *name,
                                     plb_places_t **places_out)
{
    return read_text(text, bytes, name, NULL, places_out);
}

enum plb_status plb_places_load(const char *path, plb_places_t **places_out)
{
    const char *slash = strrchr(path, '/');
    char *text = NULL, *folder = NULL;
    size_t bytes = 0;
    enum plb_status status;

    PLB_TRY(plb_file_read(path, FILE_LIMIT, &text, &bytes));
    folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (folder)
        status = read_text(text, bytes, path, folder, places_out);
    else
        status = plb_fail(PLB_ERROR_MEMORY, "no memory for a path");
    free(folder);
    free(text);
    return status;
}

enum plb_status plb_places_find(const char *name_or_path, plb_places_t **places_out)
{
    char *path = NULL;
    enum plb_status status;

    PLB_TRY(plb_data_path("platforms", name_or_path, &path));
    status = plb_places_load(path, places_out);
    free(path);
    return status;
}
