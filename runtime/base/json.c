/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON texts within bounds: see json.h. */
#include "config.h"

#include "runtime/base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"

/* How deep brackets nest, outside of strings; counts on a malformed text too, which the parser
 * refuses afterwards. */
static size_t nesting_depth(const char *text, size_t bytes)
{
    size_t depth = 0, deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            deepest = ++depth > deepest ? depth : deepest;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return deepest;
}

enum plb_status plb_json_parse(const char *text, size_t bytes, const char *name, json_t **root_out)
{
    size_t depth = nesting_depth(text, bytes);
    if (depth > PLB_JSON_DEPTH_MAX)
        return plb_fail(PLB_ERROR_FORMAT, "%s: nested %zu deep, more than the limit of %d", name,
                        depth, PLB_JSON_DEPTH_MAX);
    json_error_t error;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL && json_error_code(&error) == json_error_out_of_memory)
        return plb_fail(PLB_ERROR_MEMORY, "%s: no memory for its JSON text", name);
    if (root == NULL)
        return plb_fail(PLB_ERROR_FORMAT, "%s: not valid JSON: %s (line %d, column %d)", name,
                        error.text, error.line, error.column);
    if (!json_is_object(root)) {
        json_decref(root);
        return plb_fail(PLB_ERROR_FORMAT, "%s: the JSON text is not an object", name);
    }
    *root_out = root;
    return PLB_OK;
}

enum plb_status plb_json_load(const char *path, size_t limit, json_t **root_out)
{
    char *text = NULL;
    size_t bytes = 0;
    PLB_TRY(plb_file_read(path, limit, &text, &bytes));
    enum plb_status status = plb_json_parse(text, bytes, path, root_out);
    free(text);
    return status;
}

enum plb_status plb_json_save(const char *path, const json_t *root)
{
    char *text = json_dumps(root, JSON_INDENT(2));
    if (text == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the JSON text of %s", path);
    size_t bytes = strlen(text);
    text[bytes] = '\n'; /* in the place of the terminating zero, which is no longer needed */
    enum plb_status status = plb_file_write_atomic(path, text, bytes + 1);
    free(text);
    return status;
}

/* The member, or NULL when it is missing or null. */
static const json_t *member(const struct plb_json_object *object, const char *key)
{
    const json_t *value = json_object_get(object->json, key);
    return json_is_null(value) ? NULL : value;
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a real number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

static enum plb_status wrong_type(const struct plb_json_object *object, const char *key,
                                  const char *wanted, const json_t *seen)
{
    return plb_fail(PLB_ERROR_FORMAT, "%s: \"%s\" must be %s, not %s", object->file, key, wanted,
                    type_name(seen));
}

enum plb_status plb_json_require(const struct plb_json_object *object, const char *key)
{
    if (member(object, key) == NULL)
        return plb_fail(PLB_ERROR_FORMAT, "%s: \"%s\" is missing", object->file, key);
    return PLB_OK;
}

/* Beyond this a double no longer holds every integer. */
static const double exact_integers = 9007199254740992.0;

enum plb_status plb_json_integer(const struct plb_json_object *object, const char *key, int64_t min,
                                 int64_t max, int64_t *value)
{
    const json_t *seen = member(object, key);
    if (seen == NULL)
        return PLB_OK;
    int64_t number = 0;
    if (json_is_integer(seen)) {
        number = json_integer_value(seen);
    } else if (json_is_real(seen) && fabs(json_real_value(seen)) < exact_integers &&
               json_real_value(seen) == floor(json_real_value(seen))) {
        number = (int64_t)json_real_value(seen);
    } else {
        return wrong_type(object, key, "an integer", seen);
    }
    if (number < min || number > max)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: \"%s\" is %" PRId64 ", outside of %" PRId64 " to %" PRId64,
                        object->file, key, number, min, max);
    *value = number;
    return PLB_OK;
}

enum plb_status plb_json_real(const struct plb_json_object *object, const char *key, double min,
                              double max, double *value)
{
    const json_t *seen = member(object, key);
    if (seen == NULL)
        return PLB_OK;
    if (!json_is_number(seen))
        return wrong_type(object, key, "a number", seen);
    double number = json_number_value(seen);
    if (!(number >= min && number <= max))
        return plb_fail(PLB_ERROR_FORMAT, "%s: \"%s\" is %g, outside of %g to %g", object->file,
                        key, number, min, max);
    *value = number;
    return PLB_OK;
}

enum plb_status plb_json_boolean(const struct plb_json_object *object, const char *key, bool *value)
{
    const json_t *seen = member(object, key);
    if (seen == NULL)
        return PLB_OK;
    if (!json_is_boolean(seen))
        return wrong_type(object, key, "true or false", seen);
    *value = json_is_true(seen);
    return PLB_OK;
}

enum plb_status plb_json_string(const struct plb_json_object *object, const char *key,
                                const char **value)
{
    const json_t *seen = member(object, key);
    if (seen == NULL)
        return PLB_OK;
    if (!json_is_string(seen))
        return wrong_type(object, key, "a string", seen);
    *value = json_string_value(seen);
    return PLB_OK;
}

enum plb_status plb_json_child(const struct plb_json_object *object, const char *key,
                               struct plb_json_object *child)
{
    const json_t *seen = member(object, key);
    if (seen != NULL && !json_is_object(seen))
        return wrong_type(object, key, "an object", seen);
    child->json = seen;
    child->file = object->file;
    return PLB_OK;
}

enum plb_status plb_json_array(const struct plb_json_object *object, const char *key,
                               const json_t **value)
{
    const json_t *seen = member(object, key);
    if (seen != NULL && !json_is_array(seen))
        return wrong_type(object, key, "an array", seen);
    *value = seen;
    return PLB_OK;
}

enum plb_status plb_json_array_within(const struct plb_json_object *object, const char *key,
                                      size_t most, const json_t **value)
{
    PLB_TRY(plb_json_array(object, key, value));
    if (json_array_size(*value) > most)
        return plb_fail(PLB_ERROR_FORMAT, "%s: \"%s\" has %zu entries, more than %zu", object->file,
                        key, json_array_size(*value), most);
    return PLB_OK;
}

enum plb_status plb_json_entry(const struct plb_json_object *parent, const json_t *array,
                               const char *key, size_t index, char place[PLB_JSON_PLACE],
                               struct plb_json_object *entry)
{
    snprintf(place, PLB_JSON_PLACE, "%s: %s[%zu]", parent->file, key, index);
    *entry = (struct plb_json_object){json_array_get(array, index), place};
    if (!json_is_object(entry->json))
        return plb_fail(PLB_ERROR_FORMAT, "%s is not an object", place);
    return PLB_OK;
}

enum plb_status plb_json_members(const struct plb_json_object *object, const char *const *known)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object->json, key, value)
    {
        int k = 0;

        while (known[k] && strcmp(known[k], key) != 0)
            k++;
        if (!known[k])
            return plb_fail(PLB_ERROR_FORMAT, "%s: unknown member \"%.64s\"", object->file, key);
    }
    return PLB_OK;
}

enum plb_status plb_json_require_real(const struct plb_json_object *object, const char *key,
                                      double min, double max, double *value)
{
    PLB_TRY(plb_json_require(object, key));
    return plb_json_real(object, key, min, max, value);
}

enum plb_status plb_json_require_child(const struct plb_json_object *object, const char *key,
                                       struct plb_json_object *child)
{
    PLB_TRY(plb_json_require(object, key));
    return plb_json_child(object, key, child);
}

enum plb_status plb_json_check_format(const struct plb_json_object *root, const char *format,
                                      int version)
{
    const char *seen = NULL;
    int64_t number = 0;

    PLB_TRY(plb_json_require(root, "format"));
    PLB_TRY(plb_json_string(root, "format", &seen));
    if (strcmp(seen, format) != 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: its format is \"%.64s\", not \"%s\"", root->file,
                        seen, format);
    PLB_TRY(plb_json_require(root, "version"));
    PLB_TRY(plb_json_integer(root, "version", 1, INT64_MAX, &number));
    if (number != version)
        return plb_fail(PLB_ERROR_FORMAT, "%s: version %" PRId64 " of %s, this program reads %d",
                        root->file, number, format, version);
    return PLB_OK;
}
