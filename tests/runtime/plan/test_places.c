/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Places: ways and the ports on them, what is left when some are gone, files of platforms: those
 * that come along, what is refused and with which words.
 */
#include "config.h"

#include "runtime/plan/places.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static plb_costs_t *new_costs(void)
{
    struct plb_platform platform = plb_platform_nominal(1);
    plb_costs_t *costs = NULL;

    PLB_CHECK_EQ(plb_costs_create(&platform, &costs), PLB_OK);
    return costs;
}

static plb_places_t *uniform(uint32_t n, double rate)
{
    plb_costs_t *costs = new_costs();
    plb_places_t *places = NULL;

    PLB_CHECK_EQ(plb_places_uniform(n, costs, rate, 1e-3, &places), PLB_OK);
    plb_costs_destroy(costs);
    return places;
}

/* ---- ways ---- */

static bool shares_port(struct plb_way a, struct plb_way b)
{
    for (uint32_t i = 0; i < a.n_ports; i++)
        for (uint32_t j = 0; j < b.n_ports; j++)
            if (a.port[i] == b.port[j])
                return true;
    return false;
}

static bool ports_are_in_range(const plb_places_t *places, struct plb_way way)
{
    for (uint32_t i = 0; i < way.n_ports; i++)
        if (way.port[i] >= plb_places_ports(places))
            return false;
    return way.n_ports > 0;
}

static void places_alike_are_joined_two_by_two(void)
{
    plb_places_t *places = uniform(4, 1e9);

    PLB_CHECK_EQ(plb_places_count(places), 4);
    PLB_CHECK_EQ(plb_places_kinds(places), 1);
    PLB_CHECK_STRING(plb_places_kind_name(places, 0), "nominal");
    PLB_CHECK_STRING(plb_places_at(places, 3)->name, "node/nominal.3");
    PLB_CHECK_EQ(plb_places_at(places, 3)->device, 3);
    PLB_CHECK_NEAR(plb_places_seconds(places, 0, 3, 1000000000), 1.001, 1e-12);
    PLB_CHECK_NEAR(plb_places_seconds(places, 2, 2, 1000000000), 0, 0);
    PLB_CHECK(isinf(plb_places_way(places, 2, 2).bytes_per_second));
    PLB_CHECK_EQ(plb_places_way(places, 2, 2).n_ports, 0);
    PLB_CHECK(ports_are_in_range(places, plb_places_way(places, 0, 3)));
    PLB_CHECK(!shares_port(plb_places_way(places, 0, 1), plb_places_way(places, 1, 0)));
    PLB_CHECK(!shares_port(plb_places_way(places, 0, 1), plb_places_way(places, 2, 3)));
    PLB_CHECK(shares_port(plb_places_way(places, 0, 1), plb_places_way(places, 0, 2)));
    PLB_CHECK(shares_port(plb_places_way(places, 0, 2), plb_places_way(places, 1, 2)));
    plb_places_destroy(places);
}

static void links_may_be_infinitely_fast(void)
{
    plb_costs_t *costs = new_costs();
    plb_places_t *places = NULL;

    PLB_REQUIRE(plb_places_uniform(2, costs, HUGE_VAL, 0, &places) == PLB_OK);
    PLB_CHECK_NEAR(plb_places_seconds(places, 0, 1, SIZE_MAX), 0, 0);
    plb_places_destroy(places);
    PLB_CHECK_EQ(plb_places_uniform(0, costs, 1, 0, &places), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_places_uniform(PLB_PLACES_MAX + 1, costs, 1, 0, &places), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_places_uniform(2, costs, -1, 0, &places), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_places_uniform(2, costs, 1, -1, &places), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_places_uniform(2, costs, NAN, 0, &places), PLB_ERROR_INVALID);
    PLB_REQUIRE(plb_places_uniform(2, costs, 0, 0, &places) == PLB_OK);
    PLB_CHECK(isinf(plb_places_seconds(places, 0, 1, 1))); /* there is no way */
    plb_places_destroy(places);
    plb_costs_destroy(costs);
}

static void costs_are_copied(void)
{
    plb_costs_t *costs = new_costs();
    plb_places_t *places = NULL, *left = NULL;
    const bool gone[2] = {true, false};

    plb_costs_record(costs, "linear", 7, 2e-3);
    plb_costs_record_added(costs, 5e-6);
    PLB_REQUIRE(plb_places_uniform(2, costs, 1e9, 0, &places) == PLB_OK);
    plb_costs_record(costs, "linear", 7, 9e-3); /* afterwards */
    plb_costs_destroy(costs);
    PLB_REQUIRE(plb_places_without(places, gone, NULL, &left) == PLB_OK);
    plb_places_destroy(places);
    PLB_CHECK_NEAR(plb_costs_measured(plb_places_costs(left, 0), "linear", 7), 2e-3, 0);
    PLB_CHECK_NEAR(plb_costs_platform(plb_places_costs(left, 0))->task_seconds, 5e-6, 0);
    plb_places_destroy(left);
}

static void places_that_are_gone_leave_the_others(void)
{
    plb_places_t *places = uniform(4, 1e9), *left = NULL;
    bool gone[4] = {true, false, true, false};
    uint32_t old[4] = {9, 9, 9, 9};

    PLB_REQUIRE(plb_places_without(places, gone, old, &left) == PLB_OK);
    PLB_CHECK_EQ(plb_places_count(left), 2);
    PLB_CHECK_STRING(plb_places_at(left, 1)->name, "node/nominal.3");
    PLB_CHECK_EQ(old[0], 1);
    PLB_CHECK_EQ(old[1], 3);
    PLB_CHECK_EQ(plb_places_way(left, 0, 1).port[1], plb_places_way(places, 1, 3).port[1]);
    plb_places_destroy(left);
    left = NULL;
    gone[1] = gone[3] = true;
    PLB_CHECK_EQ(plb_places_without(places, gone, NULL, &left), PLB_ERROR_INVALID);
    PLB_CHECK(left == NULL);
    plb_places_destroy(places);
}

/* ---- files ---- */

static plb_places_t *find(const char *name)
{
    plb_places_t *places = NULL;

    setenv("PALOMBE_DATA_DIR", plb_test_source("data"), 1);
    PLB_CHECK_EQ(plb_places_find(name, &places), PLB_OK);
    unsetenv("PALOMBE_DATA_DIR");
    return places;
}

static void files_that_come_along_load_by_name(void)
{
    static const struct {
        const char *name;
        uint32_t places, kinds;
    } files[] = {{"8-cards", 8, 1},  {"2-nodes", 16, 1},     {"1024-cards", 1024, 1},
                 {"4-sites", 16, 3}, {"accelerator", 16, 1}, {"laptop-2", 2, 1}};

    for (size_t k = 0; k < sizeof files / sizeof files[0]; k++) {
        plb_places_t *places = find(files[k].name);

        PLB_REQUIRE(places != NULL);
        PLB_CHECK_EQ(plb_places_count(places), files[k].places);
        PLB_CHECK_EQ(plb_places_kinds(places), files[k].kinds);
        plb_places_destroy(places);
    }
}

static void a_name_that_is_not_known_is_told_the_known_ones(void)
{
    plb_places_t *places = NULL;

    setenv("PALOMBE_DATA_DIR", plb_test_source("data"), 1);
    PLB_CHECK_EQ(plb_places_find("abacus", &places), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "platforms: 'abacus' is not known");
    PLB_CHECK_CONTAINS(plb_error_message(), "has 1024-cards, 2-nodes, 4-sites, 8-cards");
    PLB_CHECK_EQ(plb_places_find("./8-cards", &places), PLB_ERROR_IO);
    unsetenv("PALOMBE_DATA_DIR");
    PLB_CHECK(places == NULL);
}

static void every_card_has_its_own_way_out_of_a_node_or_shares_it(void)
{
    plb_places_t *own = find("2-nodes"), *common = find("accelerator");

    PLB_REQUIRE(own && common);
    PLB_CHECK_STRING(plb_places_at(own, 9)->name, "node.1/h200.1");
    PLB_CHECK_NEAR(plb_places_way(own, 0, 1).bytes_per_second, 450e9, 0);
    PLB_CHECK_NEAR(plb_places_way(own, 0, 8).bytes_per_second, 50e9, 0);
    PLB_CHECK(ports_are_in_range(own, plb_places_way(own, 15, 0)));
    PLB_CHECK(!shares_port(plb_places_way(own, 0, 8), plb_places_way(own, 1, 9)));
    PLB_CHECK(shares_port(plb_places_way(own, 0, 8), plb_places_way(own, 1, 8)));
    PLB_CHECK(!shares_port(plb_places_way(own, 0, 8), plb_places_way(own, 0, 1)));
    PLB_CHECK(shares_port(plb_places_way(common, 0, 8), plb_places_way(common, 1, 9)));
    PLB_CHECK(!shares_port(plb_places_way(common, 0, 8), plb_places_way(common, 9, 1)));
    plb_places_destroy(own);
    plb_places_destroy(common);
}

static void between_sites_the_slowest_stretch_counts(void)
{
    plb_places_t *places = find("4-sites");
    struct plb_way way;

    PLB_REQUIRE(places != NULL);
    PLB_CHECK_STRING(plb_places_at(places, 14)->name, "w/l40s.2");
    way = plb_places_way(places, 0, 4); /* north to south */
    PLB_CHECK_NEAR(way.bytes_per_second, 1.25e9, 0);
    PLB_CHECK_NEAR(way.latency_seconds, 5e-3, 0);
    PLB_CHECK_EQ(way.n_ports, 3);
    PLB_CHECK(ports_are_in_range(places, way));
    PLB_CHECK_NEAR(plb_places_way(places, 15, 8).bytes_per_second, 125e6, 0);
    PLB_CHECK_NEAR(plb_places_way(places, 0, 8).latency_seconds, 3.5e-3, 0); /* the others */
    PLB_CHECK(shares_port(plb_places_way(places, 0, 4), plb_places_way(places, 1, 5)));
    PLB_CHECK(!shares_port(plb_places_way(places, 0, 4), plb_places_way(places, 5, 1)));
    plb_places_destroy(places);
}

static void costs_lie_beside_the_file(void)
{
    static const char platform[] =
        "{\"format\": \"palombe platform\", \"version\": 1, \"kinds\": [{\"name\": \"mine\", "
        "\"costs\": \"mine.json\"}], \"nodes\": [{\"name\": \"n\", \"devices\": [{\"kind\": "
        "\"mine\"}]}]}";
    plb_costs_t *costs = new_costs();
    plb_places_t *places = NULL;

    plb_costs_record(costs, "linear", 7, 2e-3);
    PLB_CHECK_EQ(plb_costs_save(costs, plb_test_tmp("mine.json")), PLB_OK);
    plb_costs_destroy(costs);
    plb_test_write_file(plb_test_tmp("platform.json"), platform, strlen(platform));
    PLB_REQUIRE(plb_places_load(plb_test_tmp("platform.json"), &places) == PLB_OK);
    PLB_CHECK_EQ(plb_places_count(places), 1);
    PLB_CHECK_NEAR(plb_costs_measured(plb_places_costs(places, 0), "linear", 7), 2e-3, 0);
    plb_places_destroy(places);
}

/* ---- what is refused ---- */

#define HEAD "{'format': 'palombe platform', 'version': 1, "
#define KIND(rate)                                                                                 \
    "{'name': 'core', 'workers': 1, 'memory': {'device': 'unlimited'}, "                           \
    "'flops_per_second': {'f32': " rate "}, 'bytes_per_second': 1e9, 'task_seconds': 0}"
#define KINDS        "'kinds': [" KIND("1e9") "], "
#define DEVICES      "'devices': [{'kind': 'core', 'count': 2}], 'link': {'bytes_per_second': 1e9}"
#define NETWORK      "'network': {'bytes_per_second': 1e9}"
#define NODE(more)   "{'name': 'n', " more DEVICES "}"
#define NODES(nodes) HEAD KINDS "'nodes': [" nodes "]}"
#define SITES(links)                                                                               \
    HEAD KINDS "'nodes': [" NODE("'site': 'a', ") ", {'name': 'm', 'site': 'b', " DEVICES "}], "   \
                                                  "'links': [" links "]}"

static const struct {
    const char *text, *message;
} refusals[] = {
    {"{}", "\"format\" is missing"},
    {"{'format': 'palombe costs', 'version': 1}", "its format is \"palombe costs\", not"},
    {"{'format': 'palombe platform', 'version': 7}", "version 7 of palombe platform"},
    {HEAD "'nodes': []}", "\"kinds\" is missing"},
    {HEAD KINDS "'nodes': []}", "no node has a device"},
    {HEAD KINDS "'nodes': [], 'node': 1}", "unknown member \"node\""},
    {HEAD "'kinds': [], 'nodes': [" NODE("") "]}", "there is no kind of device"},
    {HEAD "'kinds': [" KIND("-1e9") "], 'nodes': [" NODE("") "]}", "\"f32\" is -1e+09, outside"},
    {HEAD "'kinds': [{'name': 'core', 'workers': 1}], 'nodes': [" NODE("") "]}",
     "kinds[0]: \"memory\" is missing"},
    {HEAD "'kinds': [{'name': 'core', 'costs': 'abacus'}], 'nodes': [" NODE("") "]}",
     "kinds[0]: costs: 'abacus' is not known"},
    {HEAD "'kinds': [{'name': 'core', 'costs': 'h200', 'workers': 2}], 'nodes': [" NODE("") "]}",
     "kinds[0]: unknown member \"workers\""},
    {HEAD "'kinds': [" KIND("1e9") ", " KIND("2e9") "], 'nodes': [" NODE("") "]}",
     "kinds[1]: there is a kind 'core' already"},
    {NODES("{'name': 'n', 'devices': [{'kind': 'card'}]}"),
     "nodes[0]: devices[0]: the device 'card' is unknown"},
    {NODES("{'name': 'n', 'devices': []}"), "nodes[0]: a node without devices"},
    {NODES("{'name': 'n/o', 'devices': [{'kind': 'core'}]}"), "character 1 of \"name\""},
    {NODES("{'devices': [{'kind': 'core'}]}"), "nodes[0]: \"name\" is missing"},
    {NODES("{'name': 'n', 'devices': [{'kind': 'core', 'count': 2}]}"),
     "no link joins 'n/core.0' and 'n/core.1'"},
    {NODES("{'name': 'n', 'devices': [{'kind': 'core', 'count': 2}], 'link': {}}"),
     "its link: \"bytes_per_second\" is missing"},
    {NODES("{'name': 'n', 'devices': [{'kind': 'core', 'count': 2}], 'link': "
           "{'bytes_per_second': 0}}"),
     "its link: \"bytes_per_second\" is 0, outside"},
    {NODES("{'name': 'n', 'devices': [{'kind': 'core', 'count': 2}], 'link': "
           "{'bytes_per_second': 1, 'latency_seconds': -1}}"),
     "\"latency_seconds\" is -1, outside"},
    {NODES(NODE("'count': 0, ")), "\"count\" is 0, outside"},
    {NODES(NODE("'count': 40000, ")), "2 devices on each of 40000 nodes, with all before more"},
    {NODES(NODE("'count': 2, ")), "no link joins 'n.0/core.0' and 'n.1/core.0'"},
    {NODES(NODE("'count': 2, " NETWORK ", ") ", {'name': 'n.1', " NETWORK ", " DEVICES "}"),
     "there are two nodes 'n.1'"},
    {NODES(NODE("") ", " NODE("")), "there are two nodes 'n'"},
    {SITES(""), "no link joins 'n/core.0' and 'm/core.0'"},
    {SITES("{'sites': ['a', 'c'], 'bytes_per_second': 1}"), "links[0]: no node is at a site 'c'"},
    {SITES("{'sites': ['a'], 'bytes_per_second': 1}"), "must be the names of two sites"},
    {SITES("{'sites': ['a', 'a'], 'bytes_per_second': 1}"), "joins the site 'a' with itself"},
    {SITES("{'sites': ['a', 'b'], 'bytes_per_second': 1}, {'sites': ['b', 'a'], "
           "'bytes_per_second': 1}"),
     "links[1]: 'b' and 'a' are joined already"},
};

/* JSON with other quotation marks, which need no backslash here. */
static enum plb_status read_quoted(const char *text, plb_places_t **places)
{
    char quoted[2048];
    size_t n = strlen(text);

    if (n >= sizeof quoted)
        return PLB_ERROR_INTERNAL;
    for (size_t k = 0; k < n; k++)
        quoted[k] = text[k] == '\'' ? '"' : text[k];
    return plb_places_from_json(quoted, n, "file", places);
}

static void what_is_wrong_is_said(void)
{
    plb_places_t *places = NULL;

    setenv("PALOMBE_DATA_DIR", plb_test_source("data"), 1);
    for (size_t k = 0; k < sizeof refusals / sizeof refusals[0]; k++) {
        enum plb_status status = read_quoted(refusals[k].text, &places);

        PLB_CHECK(status == PLB_ERROR_FORMAT || status == PLB_ERROR_INVALID);
        PLB_CHECK_CONTAINS(plb_error_message(), "file");
        PLB_CHECK_CONTAINS(plb_error_message(), refusals[k].message);
    }
    unsetenv("PALOMBE_DATA_DIR");
    PLB_CHECK(places == NULL);
}

static void links_between_sites_join_all_others(void)
{
    plb_places_t *places = NULL;

    PLB_REQUIRE(read_quoted(SITES("{'bytes_per_second': 5}"), &places) == PLB_OK);
    PLB_CHECK_NEAR(plb_places_way(places, 3, 0).bytes_per_second, 5, 0);
    PLB_CHECK_EQ(plb_places_way(places, 3, 0).n_ports, 1); /* nodes without a network: the link */
    plb_places_destroy(places);
}

/* Makes places and takes one away. */
static enum plb_status make_and_lose(const plb_costs_t *costs)
{
    const bool gone[3] = {false, true, false};
    plb_places_t *places = NULL, *left = NULL;
    enum plb_status status = plb_places_uniform(3, costs, 1e9, 0, &places);

    if (status == PLB_OK)
        status = plb_places_without(places, gone, NULL, &left);
    PLB_CHECK((status == PLB_OK) == (left != NULL));
    plb_places_destroy(left);
    plb_places_destroy(places);
    return status;
}

static void short_memory_is_told(void)
{
    plb_costs_t *costs = new_costs();

    plb_costs_record(costs, "linear", 7, 2e-3);
    for (long n = 1; plb_test_alloc_available(); n++) {
        enum plb_status status;

        plb_test_alloc_fail_at(n);
        status = make_and_lose(costs);
        if (!plb_test_alloc_stop())
            break;
        PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
    }
    PLB_CHECK_EQ(make_and_lose(costs), PLB_OK);
    plb_costs_destroy(costs);
}

/* Where the parser is short of memory it may call the text wrong. */
static void reading_with_short_memory_leaves_nothing(void)
{
    for (long n = 1; plb_test_alloc_available(); n++) {
        plb_places_t *places = NULL;
        enum plb_status status;
        bool failed;

        plb_test_alloc_fail_at(n);
        status = read_quoted(NODES(NODE("'count': 2, " NETWORK ", ")), &places);
        failed = plb_test_alloc_stop();
        PLB_CHECK((status == PLB_OK) == (places != NULL));
        plb_places_destroy(places);
        if (!failed)
            break;
    }
}

PLB_TEST_MAIN("runtime/plan/places", NULL, NULL, PLB_TEST(places_alike_are_joined_two_by_two),
              PLB_TEST(links_may_be_infinitely_fast), PLB_TEST(costs_are_copied),
              PLB_TEST(places_that_are_gone_leave_the_others),
              PLB_TEST(files_that_come_along_load_by_name),
              PLB_TEST(a_name_that_is_not_known_is_told_the_known_ones),
              PLB_TEST(every_card_has_its_own_way_out_of_a_node_or_shares_it),
              PLB_TEST(between_sites_the_slowest_stretch_counts),
              PLB_TEST(costs_lie_beside_the_file), PLB_TEST(what_is_wrong_is_said),
              PLB_TEST(links_between_sites_join_all_others), PLB_TEST(short_memory_is_told),
              PLB_TEST(reading_with_short_memory_leaves_nothing))
