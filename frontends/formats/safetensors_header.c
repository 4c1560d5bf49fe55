/* SPDX-License-Identifier: BSD-3-Clause */
/* Parses and checks the header of one safetensors file: see safetensors_header.h. */
#include "config.h"

#include "frontends/formats/safetensors_header.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"

/* Where the data of a file begins: the length field, then the header. */
enum { LENGTH_FIELD_BYTES = 8 };

/* Names go into messages and onto terminals: control characters have no place in them. */
static bool is_printable(const char *name)
{
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
        if (*c < 0x20 || *c == 0x7f)
            return false;
    }
    return true;
}

static enum plb_status parse_dtype(const struct plb_json_object *entry, const char *name,
                                   enum plb_stored_dtype *dtype_out)
{
    const char *dtype = NULL;
    PLB_TRY(plb_json_require(entry, "dtype"));
    PLB_TRY(plb_json_string(entry, "dtype", &dtype));
    if (!plb_stored_dtype_find(dtype, dtype_out))
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: tensor \"%.200s\" has dtype \"%.20s\", which is not read", entry->file,
                        name, dtype);
    return PLB_OK;
}

/* Whether `value` is an integer of at least zero. */
static bool natural(const json_t *value, uint64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static enum plb_status parse_shape(const struct plb_json_object *entry,
                                   struct plb_stored_tensor *tensor)
{
    const json_t *shape = NULL;
    PLB_TRY(plb_json_require(entry, "shape"));
    PLB_TRY(plb_json_array(entry, "shape", &shape));
    if (json_array_size(shape) > PLB_STORED_RANK_MAX)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: tensor \"%.200s\" has rank %zu, more than the limit of %d",
                        entry->file, tensor->name, json_array_size(shape), PLB_STORED_RANK_MAX);
    tensor->rank = (int)json_array_size(shape);
    tensor->elements = 1;
    for (int i = 0; i < tensor->rank; i++) {
        if (!natural(json_array_get(shape, (size_t)i), &tensor->dim[i]))
            return plb_fail(PLB_ERROR_FORMAT,
                            "%s: dimension %d of tensor \"%.200s\" is not an integer of at least 0",
                            entry->file, i, tensor->name);
        if (__builtin_mul_overflow(tensor->elements, tensor->dim[i], &tensor->elements))
            return plb_fail(PLB_ERROR_FORMAT, "%s: the shape of tensor \"%.200s\" overflows",
                            entry->file, tensor->name);
    }
    if (__builtin_mul_overflow(tensor->elements, plb_stored_dtype_bytes(tensor->dtype),
                               &tensor->bytes))
        return plb_fail(PLB_ERROR_FORMAT, "%s: the shape of tensor \"%.200s\" overflows",
                        entry->file, tensor->name);
    return PLB_OK;
}

/* Sets `offset` from the start of the data, and checks the size. */
static enum plb_status parse_offsets(const struct plb_json_object *entry, uint64_t data_bytes,
                                     struct plb_stored_tensor *tensor)
{
    const json_t *offsets = NULL;
    uint64_t begin = 0, end = 0;
    PLB_TRY(plb_json_require(entry, "data_offsets"));
    PLB_TRY(plb_json_array(entry, "data_offsets", &offsets));
    if (json_array_size(offsets) != 2 || !natural(json_array_get(offsets, 0), &begin) ||
        !natural(json_array_get(offsets, 1), &end))
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: data_offsets of tensor \"%.200s\" are not two integers of at least 0",
                        entry->file, tensor->name);
    if (begin > end || end > data_bytes)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: tensor \"%.200s\" lies at bytes %" PRIu64 " to %" PRIu64 " of %" PRIu64
                        " (truncated file?)",
                        entry->file, tensor->name, begin, end, data_bytes);
    if (end - begin != tensor->bytes)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: tensor \"%.200s\" has %" PRIu64 " bytes, but its shape needs %" PRIu64,
                        entry->file, tensor->name, end - begin, tensor->bytes);
    tensor->offset = begin;
    return PLB_OK;
}

static enum plb_status parse_tensor(const char *name, const json_t *json, const char *path,
                                    uint64_t data_bytes, struct plb_stored_tensor *tensor)
{
    if (!is_printable(name))
        return plb_fail(PLB_ERROR_FORMAT, "%s: a tensor's name has a control character", path);
    if (!json_is_object(json))
        return plb_fail(PLB_ERROR_FORMAT, "%s: the entry of tensor \"%.200s\" is not an object",
                        path, name);
    struct plb_json_object entry = {json, path};
    tensor->name = name;
    PLB_TRY(parse_dtype(&entry, name, &tensor->dtype));
    PLB_TRY(parse_shape(&entry, tensor));
    PLB_TRY(parse_offsets(&entry, data_bytes, tensor));
    tensor->name = strdup(name);
    if (tensor->name == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "%s: no memory for its tensors", path);
    return PLB_OK;
}

static enum plb_status parse_texts(const json_t *metadata, const char *path,
                                   struct plb__safetensors_header *header)
{
    if (!json_is_object(metadata))
        return plb_fail(PLB_ERROR_FORMAT, "%s: \"__metadata__\" is not an object", path);
    header->texts = calloc(json_object_size(metadata) + 1, sizeof *header->texts);
    if (header->texts == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "%s: no memory for its metadata", path);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)metadata, key, value)
    {
        if (!json_is_string(value))
            return plb_fail(PLB_ERROR_FORMAT, "%s: \"%.200s\" in \"__metadata__\" is not a string",
                            path, key);
        struct plb__stored_text *text = &header->texts[header->text_count++];
        text->key = strdup(key);
        text->value = strdup(json_string_value(value));
        if (text->key == NULL || text->value == NULL)
            return plb_fail(PLB_ERROR_MEMORY, "%s: no memory for its metadata", path);
    }
    return PLB_OK;
}

/* By place; of those at one place, which all but one must be empty, the empty ones first. */
static int compare_places(const void *a, const void *b)
{
    const struct plb_stored_tensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Each tensor begins where the one before ends, and the last ends the file. */
static enum plb_status check_places(const struct plb__safetensors_header *header,
                                    uint64_t data_bytes, const char *path)
{
    uint64_t end = 0;
    for (size_t i = 0; i < header->count; i++) {
        const struct plb_stored_tensor *tensor = &header->tensors[i];
        if (tensor->offset != end)
            return plb_fail(PLB_ERROR_FORMAT,
                            "%s: tensor \"%.200s\" begins at byte %" PRIu64
                            ", but the one before ends at %" PRIu64,
                            path, tensor->name, tensor->offset, end);
        end += tensor->bytes;
    }
    if (end != data_bytes)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: its tensors end at byte %" PRIu64 " of %" PRIu64
                        ": the rest belongs to none",
                        path, end, data_bytes);
    return PLB_OK;
}

static enum plb_status parse_members(const json_t *root, const char *path, uint64_t data_bytes,
                                     struct plb__safetensors_header *header)
{
    header->tensors = calloc(json_object_size(root) + 1, sizeof *header->tensors);
    if (header->tensors == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "%s: no memory for its tensors", path);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)root, key, value)
    {
        if (strcmp(key, "__metadata__") == 0) {
            PLB_TRY(parse_texts(value, path, header));
            continue;
        }
        PLB_TRY(parse_tensor(key, value, path, data_bytes, &header->tensors[header->count]));
        header->count++;
    }
    qsort(header->tensors, header->count, sizeof *header->tensors, compare_places);
    return check_places(header, data_bytes, path);
}

enum plb_status plb__safetensors_header_parse(const char *text, size_t bytes, uint64_t file_bytes,
                                              const char *path,
                                              struct plb__safetensors_header *header_out)
{
    if (bytes == 0 || text[0] != '{')
        return plb_fail(PLB_ERROR_FORMAT, "%s: its header does not begin with '{'", path);
    json_t *root = NULL;
    PLB_TRY(plb_json_parse(text, bytes, path, &root));
    struct plb__safetensors_header header = {0};
    uint64_t data_begin = LENGTH_FIELD_BYTES + (uint64_t)bytes;
    enum plb_status status = parse_members(root, path, file_bytes - data_begin, &header);
    json_decref(root);
    if (status != PLB_OK) {
        plb__safetensors_header_free(&header);
        return status;
    }
    for (size_t i = 0; i < header.count; i++)
        header.tensors[i].offset += data_begin;
    *header_out = header;
    return PLB_OK;
}

void plb__safetensors_header_free(struct plb__safetensors_header *header)
{
    for (size_t i = 0; i < header->count; i++)
        free((char *)header->tensors[i].name);
    for (size_t i = 0; i < header->text_count; i++) {
        free(header->texts[i].key);
        free(header->texts[i].value);
    }
    free(header->tensors);
    free(header->texts);
}
