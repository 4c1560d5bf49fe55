/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON texts from outside: what is refused, and how errors name it. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"
#include "tests/support/plb_test.h"

static enum plb_status parse(const char *text, json_t **root)
{
    return plb_json_parse(text, strlen(text), "x.json", root);
}

static void check_refused(const char *text, const char *why)
{
    json_t *root = NULL;
    PLB_CHECK_EQ(parse(text, &root), PLB_ERROR_FORMAT);
    PLB_CHECK_CONTAINS(plb_error_message(), "x.json: ");
    PLB_CHECK_CONTAINS(plb_error_message(), why);
    PLB_CHECK(root == NULL);
}

static void refuses_malformed_texts(void)
{
    static const char *const texts[] = {
        "",
        "{",
        "}",
        "{]",
        "{\"a\":}",
        "{\"a\":1,}",
        "{'a':1}",
        "{\"a\":NaN}",
        "{\"a\":01}",
        "{\"a\":.5}",
        "{\"a\":+1}",
        "{\"a\":Infinity}",
        "{\"a\":1}x",
        "{\"a\":\"\n\"}",
        "{a:1}",
        "{\"a\":tru}",
        "{\"a\":\"\\ud800\"}",
        "{\"\xff\":1}",
        "{\"a\":\"\xc0\x80\"}",
        "\xef\xbb\xbf{}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        check_refused(texts[i], "not valid JSON");
}

static void refuses_what_is_no_object(void)
{
    check_refused("[]", "is not an object");
    check_refused("3", "not valid JSON");
    check_refused("null", "not valid JSON");
}

static void refuses_duplicates(void)
{
    check_refused("{\"a\":1,\"a\":1}", "duplicate");
    check_refused("{\"b\":{\"a\":1,\"\\u0061\":2}}", "duplicate");
}

static void refuses_numbers_that_do_not_fit(void)
{
    check_refused("{\"a\":9223372036854775808}", "too big");
    check_refused("{\"a\":1e999}", "overflow");
}

static void refuses_zero_bytes(void)
{
    json_t *root = NULL;
    PLB_CHECK_EQ(plb_json_parse("{\"a\":1}\0", 8, "x.json", &root), PLB_ERROR_FORMAT);
    PLB_CHECK_EQ(plb_json_parse("{\"a\0b\":1}", 9, "x.json", &root), PLB_ERROR_FORMAT);
    check_refused("{\"a\":\"\\u0000\"}", "not valid JSON");
}

/* `depth` brackets around nothing, in an object. */
static char *nested(size_t depth)
{
    char *text = malloc(2 * depth + 6);
    size_t at = 0;
    memcpy(text, "{\"a\":", 5);
    at = 5;
    for (size_t i = 1; i < depth; i++)
        text[at++] = '[';
    for (size_t i = 1; i < depth; i++)
        text[at++] = ']';
    memcpy(text + at, "}", 2);
    return text;
}

static void bounds_the_depth(void)
{
    json_t *root = NULL;
    char *text = nested(PLB_JSON_DEPTH_MAX);
    PLB_CHECK_EQ(parse(text, &root), PLB_OK);
    json_decref(root);
    free(text);
    text = nested(PLB_JSON_DEPTH_MAX + 1);
    check_refused(text, "nested 33 deep, more than the limit of 32");
    free(text);
    text = nested(1000000);
    check_refused(text, "nested 1000000 deep");
    free(text);
    /* Brackets in strings do not count. */
    PLB_CHECK_EQ(
        parse("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[[\"}", &root),
        PLB_OK);
    json_decref(root);
}

static void reads_typed_members(void)
{
    json_t *root = NULL;
    PLB_REQUIRE(parse("{\"i\":7,\"r\":2.5,\"w\":3.0,\"b\":true,\"s\":\"t\",\"n\":null,\"o\":{},"
                      "\"a\":[1]}",
                      &root) == PLB_OK);
    struct plb_json_object object = {root, "x.json"}, child = {NULL, NULL};
    int64_t integer = -1;
    double real = -1.0;
    bool boolean = false;
    const char *string = NULL;
    const json_t *array = NULL;
    PLB_CHECK_EQ(plb_json_integer(&object, "i", 0, 9, &integer), PLB_OK);
    PLB_CHECK_EQ(integer, 7);
    PLB_CHECK_EQ(plb_json_integer(&object, "w", 0, 9, &integer), PLB_OK);
    PLB_CHECK_EQ(integer, 3);
    PLB_CHECK_EQ(plb_json_real(&object, "i", 0, 9, &real), PLB_OK);
    PLB_CHECK_NEAR(real, 7.0, 0.0);
    PLB_CHECK_EQ(plb_json_real(&object, "r", 0, 9, &real), PLB_OK);
    PLB_CHECK_NEAR(real, 2.5, 0.0);
    PLB_CHECK_EQ(plb_json_boolean(&object, "b", &boolean), PLB_OK);
    PLB_CHECK(boolean);
    PLB_CHECK_EQ(plb_json_string(&object, "s", &string), PLB_OK);
    PLB_CHECK_STRING(string, "t");
    PLB_CHECK_EQ(plb_json_child(&object, "o", &child), PLB_OK);
    PLB_CHECK(child.json != NULL);
    PLB_CHECK_EQ(plb_json_array(&object, "a", &array), PLB_OK);
    PLB_CHECK_EQ(json_array_size(array), 1);
    json_decref(root);
}

static void missing_and_null_leave_the_default(void)
{
    json_t *root = NULL;
    PLB_REQUIRE(parse("{\"n\":null}", &root) == PLB_OK);
    struct plb_json_object object = {root, "x.json"};
    int64_t integer = 42;
    PLB_CHECK_EQ(plb_json_integer(&object, "n", 0, 1, &integer), PLB_OK);
    PLB_CHECK_EQ(plb_json_integer(&object, "m", 0, 1, &integer), PLB_OK);
    PLB_CHECK_EQ(integer, 42);
    PLB_CHECK_EQ(plb_json_require(&object, "n"), PLB_ERROR_FORMAT);
    PLB_CHECK_STRING(plb_error_message(), "x.json: \"n\" is missing");
    json_decref(root);
}

static void errors_name_file_member_and_value(void)
{
    json_t *root = NULL;
    PLB_REQUIRE(parse("{\"i\":-7,\"r\":2.5,\"s\":\"t\",\"huge\":1e300}", &root) == PLB_OK);
    struct plb_json_object object = {root, "x.json"}, child = {NULL, NULL};
    int64_t integer = 5;
    double real = 5.0;
    bool boolean = false;
    const char *string = NULL;
    PLB_CHECK_EQ(plb_json_integer(&object, "i", 0, 9, &integer), PLB_ERROR_FORMAT);
    PLB_CHECK_STRING(plb_error_message(), "x.json: \"i\" is -7, outside of 0 to 9");
    PLB_CHECK_EQ(plb_json_integer(&object, "r", 0, 9, &integer), PLB_ERROR_FORMAT);
    PLB_CHECK_STRING(plb_error_message(), "x.json: \"r\" must be an integer, not a real number");
    PLB_CHECK_EQ(plb_json_integer(&object, "huge", INT64_MIN, INT64_MAX, &integer),
                 PLB_ERROR_FORMAT);
    PLB_CHECK_EQ(integer, 5);
    PLB_CHECK_EQ(plb_json_real(&object, "huge", 0, 1e30, &real), PLB_ERROR_FORMAT);
    PLB_CHECK_STRING(plb_error_message(), "x.json: \"huge\" is 1e+300, outside of 0 to 1e+30");
    PLB_CHECK_EQ(plb_json_boolean(&object, "i", &boolean), PLB_ERROR_FORMAT);
    PLB_CHECK_EQ(plb_json_string(&object, "i", &string), PLB_ERROR_FORMAT);
    PLB_CHECK_STRING(plb_error_message(), "x.json: \"i\" must be a string, not an integer");
    PLB_CHECK_EQ(plb_json_child(&object, "s", &child), PLB_ERROR_FORMAT);
    PLB_CHECK_STRING(plb_error_message(), "x.json: \"s\" must be an object, not a string");
    json_decref(root);
}

static void saves_and_loads(void)
{
    const char *path = plb_test_tmp("saved.json");
    json_t *root = json_pack("{s:i, s:s}", "a", 1, "b", "\xc3\xa9"), *again = NULL;
    PLB_CHECK_EQ(plb_json_save(path, root), PLB_OK);
    PLB_CHECK_EQ(plb_json_load(path, 100, &again), PLB_OK);
    PLB_CHECK(json_equal(root, again));
    json_decref(again);
    PLB_CHECK_EQ(plb_json_load(path, 10, &again), PLB_ERROR_FORMAT);
    PLB_CHECK_CONTAINS(plb_error_message(), "more than the limit of 10");
    json_decref(root);
}

PLB_TEST_MAIN("runtime/base/json", NULL, NULL, PLB_TEST(refuses_malformed_texts),
              PLB_TEST(refuses_what_is_no_object), PLB_TEST(refuses_duplicates),
              PLB_TEST(refuses_numbers_that_do_not_fit), PLB_TEST(refuses_zero_bytes),
              PLB_TEST(bounds_the_depth), PLB_TEST(reads_typed_members),
              PLB_TEST(missing_and_null_leave_the_default),
              PLB_TEST(errors_name_file_member_and_value), PLB_TEST(saves_and_loads))
