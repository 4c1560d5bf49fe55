/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading safetensors: good files, and every way in which a file can lie. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "frontends/formats/safetensors.h"
#include "tests/frontends/formats/stored_file.h"
#include "tests/support/plb_test.h"

static void check_refused(const char *path, const char *why)
{
    plb_safetensors_t *set = NULL;
    enum plb_status status = plb_safetensors_open(path, &set);
    PLB_CHECK_EQ(status, PLB_ERROR_FORMAT);
    PLB_CHECK_CONTAINS(plb_error_message(), why);
    PLB_CHECK(set == NULL);
    if (status == PLB_OK)
        plb_safetensors_close(set);
}

static void check_header_refused(const char *header, size_t data_bytes, const char *why)
{
    check_refused(stored_file("bad.safetensors", header, data_bytes), why);
}

static void reads_what_the_reference_wrote(void)
{
    plb_safetensors_t *set = NULL;
    const struct plb_stored_tensor *tensor = NULL;
    int64_t tokens[24];
    float loss = 0.0f;
    PLB_REQUIRE(plb_safetensors_open(plb_test_source("tests/golden/gpt2/expected.safetensors"),
                                     &set) == PLB_OK);
    PLB_CHECK_EQ(plb_safetensors_count(set), 3);
    PLB_CHECK_STRING(plb_safetensors_at(set, 0)->name, "logits");
    PLB_CHECK_STRING(plb_safetensors_at(set, 2)->name, "tokens");
    PLB_REQUIRE(plb_safetensors_require(set, "tokens", &tensor) == PLB_OK);
    PLB_CHECK_EQ(tensor->dtype, PLB_STORED_I64);
    PLB_CHECK_EQ(plb_safetensors_check_shape(set, tensor, 2, (int64_t[]){2, 12}), PLB_OK);
    PLB_CHECK_EQ(plb_safetensors_read(set, tensor, 0, 24, PLB_STORED_I64, tokens), PLB_OK);
    for (int i = 0; i < 24; i++)
        PLB_CHECK(tokens[i] >= 0 && tokens[i] < 384);
    PLB_REQUIRE(plb_safetensors_require(set, "loss", &tensor) == PLB_OK);
    PLB_CHECK_EQ(plb_safetensors_read(set, tensor, 0, 1, PLB_STORED_F32, &loss), PLB_OK);
    PLB_CHECK(loss > 1.0f && loss < 100.0f);
    plb_safetensors_close(set);
}

static void reads_directories_single_and_sharded(void)
{
    static const struct {
        const char *path;
        size_t count;
        enum plb_stored_dtype dtype;
    } cases[] = {
        {"tests/golden/gpt2", 28, PLB_STORED_F32},
        {"tests/golden/gpt2_sharded", 28, PLB_STORED_F32},
        {"tests/golden/gpt2_sharded/model.safetensors.index.json", 28, PLB_STORED_F32},
        {"tests/golden/llama_tied", 20, PLB_STORED_F32},
        {"tests/golden/llama_bf16", 21, PLB_STORED_BF16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        plb_safetensors_t *set = NULL;
        PLB_REQUIRE(plb_safetensors_open(plb_test_source(cases[i].path), &set) == PLB_OK);
        PLB_CHECK_EQ(plb_safetensors_count(set), cases[i].count);
        for (size_t j = 0; j < plb_safetensors_count(set); j++) {
            const struct plb_stored_tensor *tensor = plb_safetensors_at(set, j);
            PLB_CHECK_EQ(tensor->dtype, cases[i].dtype);
            PLB_CHECK(plb_safetensors_find(set, tensor->name) == tensor);
            PLB_CHECK(j == 0 || strcmp(plb_safetensors_at(set, j - 1)->name, tensor->name) < 0);
        }
        PLB_CHECK_STRING(plb_safetensors_metadata(set, "format"), "pt");
        PLB_CHECK(plb_safetensors_metadata(set, "absent") == NULL);
        plb_safetensors_close(set);
    }
}

/* Reading in pieces, mapping and converting give the same numbers. */
static void all_ways_to_the_data_agree(void)
{
    plb_safetensors_t *set = NULL;
    const struct plb_stored_tensor *tensor = NULL;
    PLB_REQUIRE(plb_safetensors_open(plb_test_source("tests/golden/llama_bf16"), &set) == PLB_OK);
    PLB_REQUIRE(plb_safetensors_require(set, "model.embed_tokens.weight", &tensor) == PLB_OK);
    size_t count = (size_t)tensor->elements;
    float *whole = malloc(count * sizeof *whole), *pieces = malloc(count * sizeof *pieces);
    const void *mapped = NULL;
    PLB_CHECK_EQ(plb_safetensors_read(set, tensor, 0, count, PLB_STORED_F32, whole), PLB_OK);
    for (size_t at = 0; at < count; at += 1000) {
        size_t part = count - at < 1000 ? count - at : 1000;
        PLB_CHECK_EQ(plb_safetensors_read(set, tensor, at, part, PLB_STORED_F32, pieces + at),
                     PLB_OK);
    }
    PLB_CHECK_MEMORY(pieces, whole, count * sizeof *whole);
    PLB_CHECK_EQ(plb_safetensors_map(set, tensor, &mapped), PLB_OK);
    PLB_CHECK_EQ(plb_stored_convert(tensor->dtype, mapped, PLB_STORED_F32, pieces, count), PLB_OK);
    PLB_CHECK_MEMORY(pieces, whole, count * sizeof *whole);
    PLB_CHECK_EQ(plb_safetensors_read(set, tensor, count, 1, PLB_STORED_F32, pieces),
                 PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_safetensors_read(set, tensor, UINT64_MAX, 2, PLB_STORED_F32, pieces),
                 PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_safetensors_read(set, tensor, 0, 1, PLB_STORED_I32, pieces),
                 PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "dtype BF16, which is not read as I32");
    PLB_CHECK_EQ(plb_safetensors_require(set, "no.such", &tensor), PLB_ERROR_FORMAT);
    PLB_CHECK_CONTAINS(plb_error_message(), "tensor \"no.such\" is missing");
    free(whole);
    free(pieces);
    plb_safetensors_close(set);
}

static void accepts_the_corners_of_the_format(void)
{
    static const struct {
        const char *header;
        size_t data_bytes;
        size_t count;
    } cases[] = {
        {"{}", 0, 0},
        {"{}      ", 0, 0},
        {"{\"__metadata__\":{}}", 0, 0},
        {"{\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, 1},
        {"{\"z\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, 1},
        {"{\"z\":{\"dtype\":\"F32\",\"shape\":[5,0,7],\"data_offsets\":[4,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]},"
         "\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
         8, 3},
        {"{\"u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"v\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[1,9]}}",
         9, 2},
        {"{\"\":{\"dtype\":\"BOOL\",\"shape\":[1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, 1},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"more\":[{}]}}", 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        plb_safetensors_t *set = NULL;
        const char *path = stored_file("good", cases[i].header, cases[i].data_bytes);
        PLB_REQUIRE(plb_safetensors_open(path, &set) == PLB_OK);
        PLB_CHECK_EQ(plb_safetensors_count(set), cases[i].count);
        for (size_t j = 0; j < plb_safetensors_count(set); j++) {
            const struct plb_stored_tensor *tensor = plb_safetensors_at(set, j);
            double values[8] = {0};
            PLB_CHECK_EQ(
                plb_safetensors_read(set, tensor, 0, tensor->elements, PLB_STORED_F64, values),
                PLB_OK);
        }
        plb_safetensors_close(set);
    }
}

static void refuses_wrong_lengths(void)
{
    check_refused(stored_file_claiming("bad", 3, "{}", 0), "is truncated or no safetensors file");
    check_refused(stored_file_claiming("bad", 100000001, "{}", 0), "more than the limit");
    check_refused(stored_file_claiming("bad", UINT64_MAX, "{}", 0), "more than the limit");
    check_refused(stored_file_claiming("bad", UINT64_MAX - 7, "{}", 0), "more than the limit");
    check_refused(stored_file_claiming("bad", 0, "{}", 0), "does not begin with '{'");
    check_refused(stored_file_claiming("bad", 1, "{}", 0), "not valid JSON");
    PLB_REQUIRE(plb_test_write_file(plb_test_tmp("bad"), "1234567", 7));
    check_refused(plb_test_tmp("bad"), "only 7 bytes");
    PLB_REQUIRE(plb_test_write_file(plb_test_tmp("bad"), "", 0));
    check_refused(plb_test_tmp("bad"), "only 0 bytes");
}

static void refuses_headers_that_are_no_headers(void)
{
    check_header_refused("[]", 0, "does not begin with '{'");
    check_header_refused(" {}", 0, "does not begin with '{'");
    check_header_refused("{}x", 0, "not valid JSON");
    check_header_refused("{\"a\":3}", 0, "is not an object");
    check_header_refused("{\"a\":null}", 0, "is not an object");
    check_header_refused("{\"a\":{}}", 0, "\"dtype\" is missing");
    check_header_refused("{\"a\":{\"dtype\":\"F32\"}}", 0, "\"shape\" is missing");
    check_header_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 4,
                         "\"data_offsets\" is missing");
    check_header_refused("{\"__metadata__\":[]}", 0, "is not an object");
    check_header_refused("{\"__metadata__\":{\"k\":3}}", 0, "is not a string");
    check_header_refused("{\"\xff\":{}}", 0, "not valid JSON");
    check_header_refused("{\"a\\u001b[2J\":{}}", 0, "control character");
}

#define TENSOR(dtype, shape, offsets)                                                              \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void refuses_lying_tensors(void)
{
    static const struct {
        const char *header, *why;
    } cases[] = {
        {TENSOR("\"F8_E4M3\"", "[4]", "[0,4]"), "dtype \"F8_E4M3\", which is not read"},
        {TENSOR("\"f32\"", "[1]", "[0,4]"), "dtype \"f32\", which is not read"},
        {TENSOR("32", "[1]", "[0,4]"), "\"dtype\" must be a string"},
        {TENSOR("\"F32\"", "[-1]", "[0,4]"), "dimension 0"},
        {TENSOR("\"F32\"", "[1.0]", "[0,4]"), "dimension 0"},
        {TENSOR("\"F32\"", "[1,\"1\"]", "[0,4]"), "dimension 1"},
        {TENSOR("\"F32\"", "1", "[0,4]"), "\"shape\" must be an array"},
        {TENSOR("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "rank 9"},
        {TENSOR("\"F32\"", "[4294967296,4294967296]", "[0,4]"), "overflows"},
        {TENSOR("\"F32\"", "[4611686018427387905]", "[0,4]"), "overflows"},
        {TENSOR("\"F32\"", "[4294967296,4294967296,0]", "[0,0]"), "overflows"},
        {TENSOR("\"F32\"", "[9223372036854775808]", "[0,4]"), "not valid JSON"},
        {TENSOR("\"F32\"", "[1]", "[0,8]"), "bytes 0 to 8 of 4"},
        {TENSOR("\"F32\"", "[1]", "[4,8]"), "bytes 4 to 8 of 4"},
        {TENSOR("\"F32\"", "[1]", "[4,0]"), "bytes 4 to 0 of 4"},
        {TENSOR("\"F32\"", "[1]", "[-4,0]"), "not two integers of at least 0"},
        {TENSOR("\"F32\"", "[1]", "[0]"), "not two integers"},
        {TENSOR("\"F32\"", "[1]", "[0,4,4]"), "not two integers"},
        {TENSOR("\"F32\"", "[1]", "[0,4.0]"), "not two integers"},
        {TENSOR("\"F32\"", "[2]", "[0,4]"), "has 4 bytes, but its shape needs 8"},
        {TENSOR("\"F32\"", "[0]", "[0,4]"), "has 4 bytes, but its shape needs 0"},
        {TENSOR("\"F32\"", "[1]", "[0,9223372036854775807]"), "of 4"},
        {TENSOR("\"I8\"", "[3]", "[1,4]"), "begins at byte 1, but the one before ends at 0"},
        {TENSOR("\"I8\"", "[3]", "[0,3]"), "end at byte 3 of 4"},
        {"{}", "end at byte 0 of 4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_header_refused(cases[i].header, 4, cases[i].why);
}

static void refuses_overlaps_holes_and_duplicates(void)
{
    check_header_refused("{\"a\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[0,3]},"
                         "\"b\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
                         4, "begins at byte 2, but the one before ends at 3");
    check_header_refused("{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                         "\"b\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
                         4, "begins at byte 0, but the one before ends at 4");
    check_header_refused("{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                         "\"b\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
                         4, "begins at byte 2, but the one before ends at 1");
    check_header_refused("{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                         "\"z\":{\"dtype\":\"I8\",\"shape\":[0],\"data_offsets\":[2,2]}}",
                         4, "begins at byte 2, but the one before ends at 4");
    check_header_refused("{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                         "\"a\":{\"dtype\":\"I8\",\"shape\":[0],\"data_offsets\":[4,4]}}",
                         4, "duplicate");
}

static void refuses_deep_nesting(void)
{
    enum { DEPTH = 100000 };
    char *header = malloc(2 * DEPTH + 8);
    memcpy(header, "{\"a\":", 5);
    memset(header + 5, '[', DEPTH);
    memset(header + 5 + DEPTH, ']', DEPTH);
    memcpy(header + 5 + 2 * DEPTH, "}", 2);
    check_header_refused(header, 0, "deep, more than the limit");
    free(header);
}

/* A good file cut at any byte, or longer by one, is refused. */
static void refuses_every_truncation(void)
{
    size_t bytes = 0;
    char *content = NULL;
    const char *path = stored_file(
        "whole", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 16);
    content = plb_test_read_file(path, &bytes);
    PLB_REQUIRE(content != NULL);
    for (size_t cut = 0; cut < bytes; cut++) {
        plb_safetensors_t *set = NULL;
        PLB_REQUIRE(plb_test_write_file(plb_test_tmp("cut"), content, cut));
        PLB_CHECK_EQ(plb_safetensors_open(plb_test_tmp("cut"), &set), PLB_ERROR_FORMAT);
    }
    PLB_REQUIRE(plb_test_write_file(plb_test_tmp("cut"), content, bytes + 1));
    check_refused(plb_test_tmp("cut"), "the rest belongs to none");
    free(content);
}

static void a_file_that_shrinks_is_an_error(void)
{
    plb_safetensors_t *set = NULL;
    float values[1024];
    const char *path = stored_file(
        "shrinks", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1024],\"data_offsets\":[0,4096]}}", 4096);
    PLB_REQUIRE(plb_safetensors_open(path, &set) == PLB_OK);
    PLB_REQUIRE(truncate(path, 1000) == 0);
    PLB_CHECK_EQ(
        plb_safetensors_read(set, plb_safetensors_at(set, 0), 0, 1024, PLB_STORED_F32, values),
        PLB_ERROR_FORMAT);
    PLB_CHECK_CONTAINS(plb_error_message(), "ends at byte 1000");
    PLB_CHECK_EQ(
        plb_safetensors_read(set, plb_safetensors_at(set, 0), 0, 1024, PLB_STORED_BF16, values),
        PLB_ERROR_FORMAT);
    plb_safetensors_close(set);
}

static void refuses_what_cannot_be_opened(void)
{
    plb_safetensors_t *set = NULL;
    PLB_CHECK_EQ(plb_safetensors_open(plb_test_tmp("absent"), &set), PLB_ERROR_IO);
    PLB_CHECK_CONTAINS(plb_error_message(), "No such file");
    PLB_CHECK_EQ(plb_safetensors_open("/dev/null", &set), PLB_ERROR_IO);
    PLB_REQUIRE(mkdir(plb_test_tmp("empty"), 0777) == 0);
    PLB_CHECK_EQ(plb_safetensors_open(plb_test_tmp("empty"), &set), PLB_ERROR_IO);
    PLB_CHECK_CONTAINS(plb_error_message(), "holds neither model.safetensors nor");
}

/* --- indices ------------------------------------------------------------------------------------
 */

static const char index_path[] = "x.safetensors.index.json";

static void check_index_refused(const char *text, const char *why)
{
    PLB_REQUIRE(plb_test_write_file(plb_test_tmp(index_path), text, strlen(text)));
    check_refused(plb_test_tmp(index_path), why);
}

static void refuses_lying_indices(void)
{
    stored_file("one", "{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1);
    stored_file("two", "{\"b\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1);
    stored_file("dup", "{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1);
    check_index_refused("{}", "\"weight_map\" is missing");
    check_index_refused("{\"weight_map\":{}}", "is empty");
    check_index_refused("{\"weight_map\":{\"a\":1}}", "is not a string");
    check_index_refused("{\"weight_map\":{\"a\":\"one\",\"b\":\"one\"}}",
                        "tensor \"b\" is not in one");
    check_index_refused("{\"weight_map\":{\"a\":\"two\",\"b\":\"one\"}}", "is not in");
    check_index_refused("{\"weight_map\":{\"a\":\"one\",\"b\":\"two\",\"c\":\"dup\"}}",
                        "stands both in");
    check_index_refused("{\"weight_map\":{\"a\":\"one\",\"a\":\"two\"}}", "duplicate");
}

static void refuses_paths_out_of_the_directory(void)
{
    static const char *const names[] = {"../one", "/etc/passwd", "a/b",  "..", ".",
                                        "",       ".hidden",     "./one"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"weight_map\":{\"a\":\"%s\"}}", names[i]);
        check_index_refused(text, "is not the name of a file beside the index");
    }
}

static void refuses_too_many_shards(void)
{
    char *text = malloc(64 * 1024);
    size_t used = (size_t)sprintf(text, "{\"weight_map\":{\"t\":\"f\"");
    for (int i = 0; i < 512; i++)
        used += (size_t)sprintf(text + used, ",\"t%d\":\"f%d\"", i, i);
    sprintf(text + used, "}}");
    check_index_refused(text, "names more than 512 files");
    free(text);
}

static void a_good_index_opens(void)
{
    plb_safetensors_t *set = NULL;
    static const char text[] = "{\"weight_map\":{\"a\":\"one\",\"b\":\"two\"}}";
    stored_file("one", "{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1);
    stored_file("two", "{\"b\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1);
    PLB_REQUIRE(plb_test_write_file(plb_test_tmp(index_path), text, strlen(text)));
    PLB_CHECK_EQ(plb_safetensors_open(plb_test_tmp(index_path), &set), PLB_OK);
    PLB_CHECK_EQ(plb_safetensors_count(set), 2);
    plb_safetensors_close(set);
    PLB_REQUIRE(unlink(plb_test_tmp("two")) == 0);
    PLB_CHECK_EQ(plb_safetensors_open(plb_test_tmp(index_path), &set), PLB_ERROR_IO);
    PLB_CHECK_CONTAINS(plb_error_message(), "two: No such file");
}

static void survives_without_memory(void)
{
    char path[4096];
    snprintf(path, sizeof path, "%s", plb_test_source("tests/golden/gpt2_sharded"));
    for (long n = 1; plb_test_alloc_available(); n++) {
        plb_safetensors_t *set = NULL;
        plb_test_alloc_fail_at(n);
        enum plb_status status = plb_safetensors_open(path, &set);
        bool failed = plb_test_alloc_stop();
        PLB_CHECK((status == PLB_OK) == (set != NULL));
        plb_safetensors_close(set);
        if (!failed)
            break;
    }
}

PLB_TEST_MAIN("frontends/formats/safetensors_read", NULL, NULL,
              PLB_TEST(reads_what_the_reference_wrote),
              PLB_TEST(reads_directories_single_and_sharded), PLB_TEST(all_ways_to_the_data_agree),
              PLB_TEST(accepts_the_corners_of_the_format), PLB_TEST(refuses_wrong_lengths),
              PLB_TEST(refuses_headers_that_are_no_headers), PLB_TEST(refuses_lying_tensors),
              PLB_TEST(refuses_overlaps_holes_and_duplicates), PLB_TEST(refuses_deep_nesting),
              PLB_TEST(refuses_every_truncation), PLB_TEST(a_file_that_shrinks_is_an_error),
              PLB_TEST(refuses_what_cannot_be_opened), PLB_TEST(refuses_lying_indices),
              PLB_TEST(refuses_paths_out_of_the_directory), PLB_TEST(refuses_too_many_shards),
              PLB_TEST(a_good_index_opens), PLB_TEST(survives_without_memory))
