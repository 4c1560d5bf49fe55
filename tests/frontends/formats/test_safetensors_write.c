/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing safetensors: what is written is read back, and nothing is ever half-written. */
#include "config.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/json.h"
#include "frontends/formats/safetensors.h"
#include "tests/support/plb_test.h"

static plb_safetensors_writer_t *new_writer(void)
{
    plb_safetensors_writer_t *writer = NULL;
    PLB_CHECK_EQ(plb_safetensors_writer_create(&writer), PLB_OK);
    return writer;
}

static void declare(plb_safetensors_writer_t *writer, const char *name, enum plb_stored_dtype dtype,
                    int64_t rows, int64_t columns)
{
    PLB_CHECK_EQ(plb_safetensors_writer_declare(writer, name, dtype, 2, (int64_t[]){rows, columns}),
                 PLB_OK);
}

/* `count` floats: first, first + 1, ... */
static float *ramp(size_t count, float first)
{
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = first + (float)i;
    return values;
}

static void append(plb_safetensors_writer_t *writer, size_t tensor, const float *data, size_t count)
{
    PLB_CHECK_EQ(plb_safetensors_writer_append(writer, tensor, PLB_STORED_F32, data, count),
                 PLB_OK);
}

static void check_tensor(plb_safetensors_t *set, const char *name, const float *expected,
                         size_t count)
{
    const struct plb_stored_tensor *tensor = NULL;
    float *values = calloc(count + 1, sizeof *values);
    PLB_REQUIRE(plb_safetensors_require(set, name, &tensor) == PLB_OK);
    PLB_CHECK_EQ(tensor->elements, count);
    PLB_CHECK_EQ(tensor->offset % plb_stored_dtype_bytes(tensor->dtype), 0);
    PLB_CHECK_EQ(plb_safetensors_read(set, tensor, 0, count, PLB_STORED_F32, values), PLB_OK);
    if (count > 0)
        PLB_CHECK_MEMORY(values, expected, count * sizeof *values);
    free(values);
}

/* The names of a folder, sorted and joined by spaces. */
static const char *listing(const char *path)
{
    static char text[4096];
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);
    text[0] = '\0';
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.')
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s",
                     text[0] != '\0' ? " " : "", entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return text;
}

/* Pieces in any order, several dtypes, larger elements first in the file. */
static void what_is_written_is_read_back(void)
{
    const char *path = plb_test_tmp("mixed.safetensors");
    plb_safetensors_writer_t *writer = new_writer();
    float *values = ramp(40000, -100.0f);
    static const int8_t bytes[3] = {-1, 0, 1};
    PLB_CHECK_EQ(plb_safetensors_writer_declare(writer, "bytes", PLB_STORED_I8, 1, (int64_t[]){3}),
                 PLB_OK);
    declare(writer, "f32", PLB_STORED_F32, 200, 200);
    declare(writer, "bf16", PLB_STORED_BF16, 1, 200);
    PLB_CHECK_EQ(plb_safetensors_writer_declare(writer, "scalar", PLB_STORED_F64, 0, NULL), PLB_OK);
    declare(writer, "empty", PLB_STORED_F32, 0, 7);
    PLB_CHECK_EQ(plb_safetensors_writer_metadata(writer, "step", "12 \xc3\xa9"), PLB_OK);
    PLB_REQUIRE(plb_safetensors_writer_open_file(writer, path) == PLB_OK);
    append(writer, 3, values, 1);
    append(writer, 1, values, 1);
    append(writer, 2, values, 200);
    append(writer, 1, values + 1, 29999);
    PLB_CHECK_EQ(plb_safetensors_writer_append(writer, 0, PLB_STORED_I8, bytes, 3), PLB_OK);
    append(writer, 1, values + 30000, 10000);
    PLB_CHECK_EQ(plb_safetensors_writer_commit(writer), PLB_OK);

    plb_safetensors_t *set = NULL;
    PLB_REQUIRE(plb_safetensors_open(path, &set) == PLB_OK);
    PLB_CHECK_EQ(plb_safetensors_count(set), 5);
    check_tensor(set, "f32", values, 40000);
    check_tensor(set, "bf16", values, 200);
    check_tensor(set, "scalar", values, 1);
    check_tensor(set, "bytes", (float[]){-1.0f, 0.0f, 1.0f}, 3);
    check_tensor(set, "empty", values, 0);
    PLB_CHECK_STRING(plb_safetensors_metadata(set, "format"), "pt");
    PLB_CHECK_STRING(plb_safetensors_metadata(set, "step"), "12 \xc3\xa9");
    plb_safetensors_close(set);
    free(values);
}

/* Writes three tensors of 4 x 10 floats into a folder. */
static enum plb_status write_model(const char *directory, uint64_t shard_bytes, float first)
{
    plb_safetensors_writer_t *writer = new_writer();
    static const char *const names[] = {"a", "b", "c"};
    float *values = ramp(40, first);
    for (int i = 0; i < 3; i++)
        declare(writer, names[i], PLB_STORED_F32, 4, 10);
    enum plb_status status = plb_safetensors_writer_open_directory(writer, directory, shard_bytes);
    for (size_t i = 0; i < 3 && status == PLB_OK; i++)
        status = plb_safetensors_writer_append(writer, i, PLB_STORED_F32, values, 40);
    free(values);
    if (status == PLB_OK)
        return plb_safetensors_writer_commit(writer);
    plb_safetensors_writer_abort(writer);
    return status;
}

static void check_model(const char *directory, float first)
{
    plb_safetensors_t *set = NULL;
    float *values = ramp(40, first);
    PLB_REQUIRE(plb_safetensors_open(directory, &set) == PLB_OK);
    PLB_CHECK_EQ(plb_safetensors_count(set), 3);
    check_tensor(set, "a", values, 40);
    check_tensor(set, "b", values, 40);
    check_tensor(set, "c", values, 40);
    plb_safetensors_close(set);
    free(values);
}

static void shards_tie_together(void)
{
    char path[4096];
    snprintf(path, sizeof path, "%s", plb_test_tmp("model"));
    PLB_REQUIRE(mkdir(path, 0777) == 0);
    PLB_CHECK_EQ(write_model(path, 0, 1.0f), PLB_OK);
    PLB_CHECK_STRING(listing(path), "model.safetensors");
    check_model(path, 1.0f);
    PLB_CHECK_EQ(write_model(path, 320, 2.0f), PLB_OK);
    PLB_CHECK_STRING(listing(path), "model-00001-of-00002.safetensors "
                                    "model-00002-of-00002.safetensors "
                                    "model.safetensors.index.json");
    check_model(path, 2.0f);
    /* One byte less than two tensors: each has a file of its own. */
    PLB_CHECK_EQ(write_model(path, 319, 3.0f), PLB_OK);
    check_model(path, 3.0f);
    /* And back: no index may stay that says otherwise. */
    PLB_CHECK_EQ(write_model(path, 0, 4.0f), PLB_OK);
    PLB_CHECK(!plb_file_exists_in(path, "model.safetensors.index.json"));
    check_model(path, 4.0f);
}

static void the_index_says_what_transformers_expects(void)
{
    char path[4096], index[4200];
    snprintf(path, sizeof path, "%s", plb_test_tmp("indexed"));
    snprintf(index, sizeof index, "%s/model.safetensors.index.json", path);
    PLB_REQUIRE(mkdir(path, 0777) == 0);
    PLB_REQUIRE(write_model(path, 1, 0.0f) == PLB_OK);
    json_t *root = NULL;
    PLB_REQUIRE(plb_json_load(index, 10000, &root) == PLB_OK);
    json_t *expected =
        json_pack("{s:{s:i}, s:{s:s, s:s, s:s}}", "metadata", "total_size", 480, "weight_map", "a",
                  "model-00001-of-00003.safetensors", "b", "model-00002-of-00003.safetensors", "c",
                  "model-00003-of-00003.safetensors");
    PLB_CHECK(json_equal(root, expected));
    json_decref(root);
    json_decref(expected);
}

static void refuses_wrong_declarations(void)
{
    plb_safetensors_writer_t *writer = new_writer();
    declare(writer, "a", PLB_STORED_F32, 2, 2);
    PLB_CHECK_EQ(plb_safetensors_writer_declare(writer, "a", PLB_STORED_F32, 1, (int64_t[]){1}),
                 PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_safetensors_writer_declare(writer, "__metadata__", PLB_STORED_F32, 0, NULL),
                 PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_safetensors_writer_declare(writer, "\xff", PLB_STORED_F32, 0, NULL),
                 PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_safetensors_writer_declare(writer, "n", PLB_STORED_F32, 1, (int64_t[]){-1}),
                 PLB_ERROR_INVALID);
    PLB_CHECK_EQ(
        plb_safetensors_writer_declare(writer, "o", PLB_STORED_F32, 2, (int64_t[]){INT64_MAX, 2}),
        PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_safetensors_writer_declare(writer, "r", PLB_STORED_F32, 9, (int64_t[9]){1}),
                 PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_safetensors_writer_metadata(writer, "k", "\xff"), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_safetensors_writer_append(writer, 0, PLB_STORED_F32, "", 0),
                 PLB_ERROR_INVALID); /* no file is open */
    plb_safetensors_writer_abort(writer);
}

static void refuses_too_much_and_too_little_data(void)
{
    const char *path = plb_test_tmp("counts.safetensors");
    plb_safetensors_writer_t *writer = new_writer();
    static const float values[5] = {0};
    declare(writer, "a", PLB_STORED_F32, 2, 2);
    PLB_REQUIRE(plb_safetensors_writer_open_file(writer, path) == PLB_OK);
    append(writer, 0, values, 3);
    PLB_CHECK_EQ(plb_safetensors_writer_append(writer, 0, PLB_STORED_F32, values, 2),
                 PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(),
                       "has 4 elements, and 2 more are given after the first 3");
    PLB_CHECK_EQ(plb_safetensors_writer_append(writer, 1, PLB_STORED_F32, values, 1),
                 PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_safetensors_writer_declare(writer, "late", PLB_STORED_F32, 0, NULL),
                 PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_safetensors_writer_open_file(writer, path), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(plb_safetensors_writer_commit(writer), PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "has 4 elements, but 3 were given");
    PLB_CHECK(access(path, F_OK) != 0);
}

static void a_failure_leaves_the_old_model(void)
{
    char path[4096];
    snprintf(path, sizeof path, "%s", plb_test_tmp("old"));
    PLB_REQUIRE(mkdir(path, 0777) == 0);
    PLB_REQUIRE(write_model(path, 0, 7.0f) == PLB_OK);
    plb_safetensors_writer_t *writer = new_writer();
    declare(writer, "a", PLB_STORED_F32, 1, 1);
    PLB_REQUIRE(plb_safetensors_writer_open_directory(writer, path, 0) == PLB_OK);
    plb_safetensors_writer_abort(writer);
    check_model(path, 7.0f);
    PLB_CHECK_STRING(listing(path), "model.safetensors");
    /* Larger than any disk. */
    writer = new_writer();
    declare(writer, "a", PLB_STORED_F32, INT64_C(1) << 30, INT64_C(1) << 28);
    enum plb_status status = plb_safetensors_writer_open_directory(writer, path, 0);
    PLB_CHECK(status == PLB_ERROR_IO || status == PLB_OK); /* OK: space cannot be set aside here */
    plb_safetensors_writer_abort(writer);
    PLB_CHECK_STRING(listing(path), "model.safetensors");
    PLB_CHECK_EQ(write_model(plb_test_tmp("absent"), 0, 0.0f), PLB_ERROR_IO);
    PLB_CHECK_CONTAINS(plb_error_message(), "No such file or directory");
}

static void refuses_too_many_shards(void)
{
    plb_safetensors_writer_t *writer = new_writer();
    char name[16];
    for (int i = 0; i < 513; i++) {
        snprintf(name, sizeof name, "t%d", i);
        declare(writer, name, PLB_STORED_F32, 1, 1);
    }
    PLB_CHECK_EQ(plb_safetensors_writer_open_directory(writer, plb_test_tmpdir(), 1),
                 PLB_ERROR_INVALID);
    PLB_CHECK_CONTAINS(plb_error_message(), "513 files, more than the limit of 512");
    plb_safetensors_writer_abort(writer);
}

static void survives_without_memory(void)
{
    char path[4096];
    snprintf(path, sizeof path, "%s", plb_test_tmp("memory"));
    PLB_REQUIRE(mkdir(path, 0777) == 0);
    for (long n = 1; plb_test_alloc_available(); n++) {
        plb_safetensors_writer_t *writer = NULL;
        static const float value = 1.0f;
        plb_test_alloc_fail_at(n);
        enum plb_status status = plb_safetensors_writer_create(&writer);
        if (status == PLB_OK)
            status = plb_safetensors_writer_declare(writer, "a", PLB_STORED_F32, 0, NULL);
        if (status == PLB_OK)
            status = plb_safetensors_writer_declare(writer, "b", PLB_STORED_F32, 0, NULL);
        if (status == PLB_OK)
            status = plb_safetensors_writer_open_directory(writer, path, 4);
        for (size_t i = 0; i < 2 && status == PLB_OK; i++)
            status = plb_safetensors_writer_append(writer, i, PLB_STORED_F32, &value, 1);
        if (status == PLB_OK) {
            status = plb_safetensors_writer_commit(writer);
            writer = NULL;
        }
        bool failed = plb_test_alloc_stop();
        plb_safetensors_writer_abort(writer);
        if (!failed) {
            PLB_CHECK_EQ(status, PLB_OK);
            break;
        }
    }
    PLB_CHECK(strstr(listing(path), "tmp") == NULL);
}

PLB_TEST_MAIN("frontends/formats/safetensors_write", NULL, NULL,
              PLB_TEST(what_is_written_is_read_back), PLB_TEST(shards_tie_together),
              PLB_TEST(the_index_says_what_transformers_expects),
              PLB_TEST(refuses_wrong_declarations), PLB_TEST(refuses_too_much_and_too_little_data),
              PLB_TEST(a_failure_leaves_the_old_model), PLB_TEST(refuses_too_many_shards),
              PLB_TEST(survives_without_memory))
