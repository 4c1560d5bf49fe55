/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans as documents: what was written reads back the same, and what is no such document is
 * refused with the reason. (tests/fuzz/fuzz_plan.c feeds the reader worse.)
 */
#include "config.h"

#include "runtime/plan/plan.h"
#include "tests/support/plb_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct plb_instruction samples[] = {
    {PLB_RUN, 0, 0, PLB_DEVICE},
    {PLB_RUN, UINT32_MAX, UINT32_MAX, PLB_DEVICE},
    {PLB_OFFLOAD, 7, 0, PLB_HOST},
    {PLB_OFFLOAD, UINT32_MAX, 0, PLB_DISK},
    {PLB_DROP, UINT32_MAX, 0, PLB_DEVICE},
    {PLB_FETCH, 7, 0, PLB_HOST},
    {PLB_DROP, 7, 0, PLB_DISK},
};

static struct plb_plan make_plan(uint32_t n)
{
    struct plb_plan plan = {.policy = "replay:\"a\\b\"", .fingerprint = 0xfedcba9876543210u};

    for (uint32_t i = 0; i < n; i++)
        PLB_CHECK_EQ(plb_plan_append(&plan, samples[i % (sizeof samples / sizeof samples[0])]),
                     PLB_OK);
    return plan;
}

static void check_same(const struct plb_plan *a, const struct plb_plan *b)
{
    PLB_CHECK_STRING(a->policy, b->policy);
    PLB_CHECK(a->fingerprint == b->fingerprint);
    PLB_REQUIRE(a->n == b->n);
    for (uint32_t i = 0; i < a->n; i++) {
        PLB_CHECK_EQ(a->instruction[i].code, b->instruction[i].code);
        PLB_CHECK_EQ(a->instruction[i].subject, b->instruction[i].subject);
        PLB_CHECK_EQ(a->instruction[i].takes, b->instruction[i].takes);
        PLB_CHECK_EQ(a->instruction[i].tier, b->instruction[i].tier);
    }
}

static void texts_read_back(void)
{
    const uint32_t sizes[] = {0, 1, 7, 1000};

    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        struct plb_plan plan = make_plan(sizes[k]), back = {.n = 0};
        char *text = NULL;

        PLB_REQUIRE(plb_plan_to_json(&plan, &text) == PLB_OK);
        PLB_REQUIRE(plb_plan_from_json(text, strlen(text), &back) == PLB_OK);
        check_same(&plan, &back);
        free(text);
        plb_plan_clear(&plan);
        plb_plan_clear(&back);
    }
}

static void the_longest_instructions_have_room(void)
{
    struct plb_plan plan = {.fingerprint = UINT64_MAX}, back = {.n = 0};
    char *text = NULL;

    memset(plan.policy, '"', sizeof plan.policy - 1);
    for (int i = 0; i < 50; i++)
        PLB_CHECK_EQ(plb_plan_append(
                         &plan, (struct plb_instruction){PLB_OFFLOAD, UINT32_MAX, 0, PLB_DEVICE}),
                     PLB_OK);
    PLB_REQUIRE(plb_plan_to_json(&plan, &text) == PLB_OK);
    PLB_REQUIRE(plb_plan_from_json(text, strlen(text), &back) == PLB_OK);
    check_same(&plan, &back);
    free(text);
    plb_plan_clear(&plan);
    plb_plan_clear(&back);
}

static void names_without_letters_are_written_too(void)
{
    struct plb_plan plan = {.policy = "replay:/tmp/\xe9t\xe9\n"}, back = {.n = 0};
    char *text = NULL;

    PLB_REQUIRE(plb_plan_to_json(&plan, &text) == PLB_OK);
    PLB_REQUIRE(plb_plan_from_json(text, strlen(text), &back) == PLB_OK);
    PLB_CHECK_STRING(back.policy, "replay:/tmp/?t??");
    free(text);
    plb_plan_clear(&back);
}

static void files_read_back(void)
{
    struct plb_plan plan = make_plan(20), back = {.n = 0};
    const char *path = plb_test_tmp("plan.json");

    PLB_CHECK_EQ(plb_plan_save(&plan, path), PLB_OK);
    PLB_REQUIRE(plb_plan_load(path, &back) == PLB_OK);
    check_same(&plan, &back);
    plb_plan_clear(&back);
    PLB_CHECK_EQ(plb_plan_save(&plan, plb_test_tmp("no/such/folder.json")), PLB_ERROR_IO);
    PLB_CHECK_EQ(plb_plan_load(plb_test_tmp("absent.json"), &back), PLB_ERROR_IO);
    plb_plan_clear(&plan);
}

/* ---- documents that are none ---- */

#define HEAD                                                                                       \
    "{\"format\": \"palombe plan 1\", \"policy\": \"none\", \"graph\": \"0123456789abcdef\", "
#define WITH(list) HEAD "\"instructions\": [" list "]}"

static const struct lie {
    const char *text, *expected;
} lies[] = {
    {"", "not valid JSON"},
    {"[]", "is not an object"},
    {"{}", "\"format\" is missing"},
    {"{\"format\": \"palombe plan 2\"}", "\"format\" is not \"palombe plan 1\""},
    {"{\"format\": 1}", "\"format\" must be a string"},
    {"{\"format\": \"palombe plan 1\"}", "\"policy\" is missing"},
    {"{\"format\": \"palombe plan 1\", \"policy\": \"ppppppppppppppppppppppppppppppppppppppppppppp"
     "ppppppppppppppppppp\"}",
     "more than 63 letters"},
    {"{\"format\": \"palombe plan 1\", \"policy\": \"p\"}", "\"graph\" is missing"},
    {"{\"format\": \"palombe plan 1\", \"policy\": \"p\", \"graph\": \"12\"}",
     "is not 16 hexadecimal digits"},
    {"{\"format\": \"palombe plan 1\", \"policy\": \"p\", \"graph\": \"0123456789ABCDEF\"}",
     "is not 16 hexadecimal digits"},
    {HEAD "\"more\": 1}", "\"instructions\" is missing"},
    {HEAD "\"instructions\": {}}", "\"instructions\" must be an array"},
    {HEAD "\"instructions\": [], \"instructions\": []}", "not valid JSON"},
    {WITH("7"), "instruction 0 is not [code, subject]"},
    {WITH("[\"run\", 1], [\"run\"]"), "instruction 1 is not [code, subject]"},
    {WITH("[\"run\", 1, 2, \"host\", 3]"), "instruction 0 is not [code, subject]"},
    {WITH("[\"drop\", 1, \"host\", 3]"), "instruction 0 is not [code, subject]"},
    {WITH("[\"run\", 1, 2, 3]"), "names no known tier"},
    {WITH("[\"jump\", 1]"), "instruction 0 has no known code"},
    {WITH("[1, 1]"), "instruction 0 has no known code"},
    {WITH("[\"run\", -1]"), "has a subject that is no number of 32 bits"},
    {WITH("[\"run\", 4294967296]"), "has a subject that is no number of 32 bits"},
    {WITH("[\"run\", 1.5]"), "has a subject that is no number of 32 bits"},
    {WITH("[\"run\", \"1\"]"), "has a subject that is no number of 32 bits"},
    {WITH("[\"run\", 1, \"device\"]"), "takes over what is no mask of 32 bits"},
    {WITH("[\"drop\", 1]"), "names no known tier"},
    {WITH("[\"drop\", 1, \"tape\"]"), "names no known tier"},
    {WITH("[\"fetch\", 1, 1]"), "names no known tier"},
    {WITH("[\"run\", 1],"), "not valid JSON"},
};

static void lies_are_refused(void)
{
    for (size_t k = 0; k < sizeof lies / sizeof lies[0]; k++) {
        struct plb_plan plan = {.n = 0};

        PLB_CHECK_EQ(plb_plan_from_json(lies[k].text, strlen(lies[k].text), &plan),
                     PLB_ERROR_FORMAT);
        PLB_CHECK_CONTAINS(plb_error_message(), lies[k].expected);
        PLB_CHECK(plan.instruction == NULL);
    }
}

static void a_text_that_breaks_off_is_refused(void)
{
    struct plb_plan plan = make_plan(7), back = {.n = 0};
    char *text = NULL;

    PLB_REQUIRE(plb_plan_to_json(&plan, &text) == PLB_OK);
    for (size_t n = 0; n + 2 < strlen(text); n++)
        PLB_CHECK_EQ(plb_plan_from_json(text, n, &back), PLB_ERROR_FORMAT);
    free(text);
    plb_plan_clear(&plan);
}

/* Writing alone: jansson does not survive that its own allocations fail. */
static void failures_of_memory_are_told(void)
{
    for (long n = 1; plb_test_alloc_available(); n++) {
        struct plb_plan plan = {.policy = "none"};
        enum plb_status status = PLB_OK;
        char *text = NULL;

        plb_test_alloc_fail_at(n);
        for (int i = 0; i < 600 && status == PLB_OK; i++)
            status = plb_plan_append(&plan, samples[0]);
        if (status == PLB_OK)
            status = plb_plan_to_json(&plan, &text);
        free(text);
        plb_plan_clear(&plan);
        if (!plb_test_alloc_stop())
            break;
        PLB_CHECK_EQ(status, PLB_ERROR_MEMORY);
    }
}

PLB_TEST_MAIN("runtime/plan/plan_file", NULL, NULL, PLB_TEST(texts_read_back),
              PLB_TEST(the_longest_instructions_have_room),
              PLB_TEST(names_without_letters_are_written_too), PLB_TEST(files_read_back),
              PLB_TEST(lies_are_refused), PLB_TEST(a_text_that_breaks_off_is_refused),
              PLB_TEST(failures_of_memory_are_told))
