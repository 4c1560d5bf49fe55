/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes tensors into one safetensors file or several: see safetensors.h. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/json.h"
#include "frontends/formats/safetensors.h"

enum {
    LENGTH_FIELD_BYTES = 8,
    HEADER_ALIGNMENT = 64, /* so that a mapped file has its first tensor on a cache line */
    CONVERT_BYTES = 64 * 1024,
};

struct declared {
    struct plb_stored_tensor tensor; /* owns its name; offset is from the start of the file */
    uint64_t done;                   /* elements written */
};

struct part {
    plb_file_writer_t *file;
    char *path;
};

struct plb_safetensors_writer {
    json_t *texts; /* "__metadata__" */
    json_t *names; /* declared names, to find one that is used twice */
    struct declared *declared;
    size_t count;
    struct part *parts;
    size_t part_count;
    char *directory; /* NULL for a single file of its own name */
};

static enum plb_status no_memory(void)
{
    return plb_fail(PLB_ERROR_MEMORY, "no memory to write tensors");
}

enum plb_status plb_safetensors_writer_create(plb_safetensors_writer_t **writer_out)
{
    plb_safetensors_writer_t *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return no_memory();
    writer->texts = json_object();
    writer->names = json_object();
    if (writer->texts == NULL || writer->names == NULL ||
        json_object_set_new(writer->texts, "format", json_string("pt")) != 0) {
        plb_safetensors_writer_abort(writer);
        return no_memory();
    }
    *writer_out = writer;
    return PLB_OK;
}

enum plb_status plb_safetensors_writer_metadata(plb_safetensors_writer_t *writer, const char *key,
                                                const char *value)
{
    json_t *text = json_string(value);
    if (text == NULL)
        return plb_fail(PLB_ERROR_INVALID, "the metadata \"%.100s\" is not UTF-8", key);
    if (json_object_set_new(writer->texts, key, text) != 0)
        return plb_fail(PLB_ERROR_INVALID, "the metadata key \"%.100s\" is not UTF-8", key);
    return PLB_OK;
}

static enum plb_status set_shape(struct plb_stored_tensor *tensor, const char *name, int rank,
                                 const int64_t *dim)
{
    if (rank < 0 || rank > PLB_STORED_RANK_MAX)
        return plb_fail(PLB_ERROR_INVALID, "tensor \"%.200s\" has rank %d, outside of 0 to %d",
                        name, rank, PLB_STORED_RANK_MAX);
    tensor->rank = rank;
    tensor->elements = 1;
    bool overflow = false;
    for (int i = 0; i < rank; i++) {
        tensor->dim[i] = (uint64_t)dim[i];
        overflow = overflow || dim[i] < 0 ||
                   __builtin_mul_overflow(tensor->elements, tensor->dim[i], &tensor->elements);
    }
    overflow =
        overflow || __builtin_mul_overflow(tensor->elements, plb_stored_dtype_bytes(tensor->dtype),
                                           &tensor->bytes);
    if (overflow || tensor->bytes > INT64_MAX)
        return plb_fail(PLB_ERROR_INVALID,
                        "the shape of tensor \"%.200s\" is negative or overflows", name);
    return PLB_OK;
}

enum plb_status plb_safetensors_writer_declare(plb_safetensors_writer_t *writer, const char *name,
                                               enum plb_stored_dtype dtype, int rank,
                                               const int64_t *dim)
{
    struct declared entry = {.tensor = {.dtype = dtype}};
    if (writer->parts != NULL)
        return plb_fail(PLB_ERROR_INVALID,
                        "tensor \"%.200s\" is declared after the file was opened", name);
    if (json_object_get(writer->names, name) != NULL || strcmp(name, "__metadata__") == 0)
        return plb_fail(PLB_ERROR_INVALID, "tensor name \"%.200s\" is taken", name);
    PLB_TRY(set_shape(&entry.tensor, name, rank, dim));
    if (json_object_set_new(writer->names, name, json_true()) != 0)
        return plb_fail(PLB_ERROR_INVALID, "tensor name \"%.200s\" is not UTF-8", name);
    struct declared *grown =
        realloc(writer->declared, (writer->count + 1) * sizeof *writer->declared);
    if (grown == NULL)
        return no_memory();
    writer->declared = grown;
    entry.tensor.name = strdup(name);
    if (entry.tensor.name == NULL)
        return no_memory();
    writer->declared[writer->count++] = entry;
    return PLB_OK;
}

/* {"dtype": ..., "shape": [...], "data_offsets": [...]}; NULL without memory. */
static json_t *describe(const struct plb_stored_tensor *tensor, uint64_t begin)
{
    json_t *shape = json_array();
    for (int i = 0; shape != NULL && i < tensor->rank; i++) {
        if (json_array_append_new(shape, json_integer((json_int_t)tensor->dim[i])) != 0) {
            json_decref(shape);
            return NULL;
        }
    }
    if (shape == NULL)
        return NULL;
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", plb_stored_dtype_name(tensor->dtype), "shape",
                     shape, "data_offsets", (json_int_t)begin, (json_int_t)(begin + tensor->bytes));
}

/* Lays out part `part`: larger elements first, else as declared. Offsets are from the start of the
 * data; `bytes_out` is what the data need. */
static enum plb_status lay_out(plb_safetensors_writer_t *writer, uint32_t part, json_t *header,
                               uint64_t *bytes_out)
{
    uint64_t end = 0;
    for (size_t width = 8; width > 0; width /= 2) {
        for (size_t i = 0; i < writer->count; i++) {
            struct plb_stored_tensor *tensor = &writer->declared[i].tensor;
            if (tensor->shard != part || plb_stored_dtype_bytes(tensor->dtype) != width)
                continue;
            if (json_object_set_new(header, tensor->name, describe(tensor, end)) != 0)
                return no_memory();
            tensor->offset = end;
            if (__builtin_add_overflow(end, tensor->bytes, &end) || end > INT64_MAX)
                return plb_fail(PLB_ERROR_INVALID, "the tensors together overflow a file");
        }
    }
    *bytes_out = end;
    return PLB_OK;
}

/* The header's text, padded with spaces, after its length. Sets `bytes_out` to the size of both. */
static enum plb_status render_header(const json_t *header, char **text_out, size_t *bytes_out)
{
    size_t length = json_dumpb(header, NULL, 0, JSON_COMPACT);
    size_t whole = LENGTH_FIELD_BYTES + length;
    whole = (whole + HEADER_ALIGNMENT - 1) / HEADER_ALIGNMENT * HEADER_ALIGNMENT;
    char *text = length > 0 ? malloc(whole) : NULL;
    if (text == NULL)
        return no_memory();
    if (whole - LENGTH_FIELD_BYTES > PLB_SAFETENSORS_HEADER_MAX) {
        free(text);
        return plb_fail(PLB_ERROR_INVALID, "%zu bytes are too many for a safetensors header",
                        whole);
    }
    memset(text, ' ', whole);
    if (json_dumpb(header, text + LENGTH_FIELD_BYTES, length, JSON_COMPACT) != length) {
        free(text);
        return no_memory();
    }
    for (int i = 0; i < LENGTH_FIELD_BYTES; i++)
        text[i] = (char)((whole - LENGTH_FIELD_BYTES) >> (8 * i) & 0xff);
    *text_out = text;
    *bytes_out = whole;
    return PLB_OK;
}

/* Opens the file of part `part`, writes its header and sets disk space aside. */
static enum plb_status start_part(plb_safetensors_writer_t *writer, uint32_t part, json_t *header)
{
    uint64_t data_bytes = 0;
    char *text = NULL;
    size_t header_bytes = 0;
    PLB_TRY(lay_out(writer, part, header, &data_bytes));
    PLB_TRY(render_header(header, &text, &header_bytes));
    for (size_t i = 0; i < writer->count; i++) {
        if (writer->declared[i].tensor.shard == part)
            writer->declared[i].tensor.offset += header_bytes;
    }
    struct part *target = &writer->parts[part];
    enum plb_status status = plb_file_writer_open(target->path, &target->file);
    if (status == PLB_OK)
        status = plb_file_writer_reserve(target->file, header_bytes + data_bytes);
    if (status == PLB_OK)
        status = plb_file_writer_append(target->file, text, header_bytes);
    free(text);
    return status;
}

static enum plb_status start_parts(plb_safetensors_writer_t *writer)
{
    for (uint32_t part = 0; part < writer->part_count; part++) {
        json_t *header = json_object();
        if (header == NULL || json_object_set(header, "__metadata__", writer->texts) != 0) {
            json_decref(header);
            return no_memory();
        }
        enum plb_status status = start_part(writer, part, header);
        json_decref(header);
        PLB_TRY(status);
    }
    return PLB_OK;
}

static enum plb_status allocate_parts(plb_safetensors_writer_t *writer, size_t count)
{
    if (writer->parts != NULL)
        return plb_fail(PLB_ERROR_INVALID, "the files of this writer are open already");
    writer->parts = calloc(count, sizeof *writer->parts);
    if (writer->parts == NULL)
        return no_memory();
    writer->part_count = count;
    return PLB_OK;
}

enum plb_status plb_safetensors_writer_open_file(plb_safetensors_writer_t *writer, const char *path)
{
    PLB_TRY(allocate_parts(writer, 1));
    writer->parts[0].path = strdup(path);
    if (writer->parts[0].path == NULL)
        return no_memory();
    return start_parts(writer);
}

/* Assigns a shard to each tensor and returns how many there are. */
static uint32_t assign_shards(plb_safetensors_writer_t *writer, uint64_t shard_bytes)
{
    uint64_t used = 0;
    uint32_t shard = 0;
    for (size_t i = 0; i < writer->count; i++) {
        struct plb_stored_tensor *tensor = &writer->declared[i].tensor;
        if (shard_bytes > 0 && used > 0 && used + tensor->bytes > shard_bytes) {
            shard++;
            used = 0;
        }
        tensor->shard = shard;
        used += tensor->bytes;
    }
    return shard + 1;
}

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";

static enum plb_status name_parts(plb_safetensors_writer_t *writer)
{
    size_t count = writer->part_count;
    for (size_t i = 0; i < count; i++) {
        char name[64];
        if (count == 1)
            snprintf(name, sizeof name, "%s", single_name);
        else
            snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i + 1, count);
        PLB_TRY(plb_file_join(writer->directory, name, &writer->parts[i].path));
    }
    return PLB_OK;
}

enum plb_status plb_safetensors_writer_open_directory(plb_safetensors_writer_t *writer,
                                                      const char *directory, uint64_t shard_bytes)
{
    uint32_t count = assign_shards(writer, shard_bytes);
    if (count > PLB_SAFETENSORS_SHARDS_MAX)
        return plb_fail(PLB_ERROR_INVALID,
                        "shards of %" PRIu64 " bytes would be %u files, more than the limit of %u",
                        shard_bytes, count, PLB_SAFETENSORS_SHARDS_MAX);
    PLB_TRY(allocate_parts(writer, count));
    writer->directory = strdup(directory);
    if (writer->directory == NULL)
        return no_memory();
    PLB_TRY(name_parts(writer));
    return start_parts(writer);
}

static enum plb_status write_converted(const struct declared *entry, plb_file_writer_t *file,
                                       uint64_t offset, enum plb_stored_dtype from,
                                       const char *data, uint64_t count)
{
    uint64_t piece[CONVERT_BYTES / sizeof(uint64_t)]; /* aligned for every format */
    size_t width = plb_stored_dtype_bytes(entry->tensor.dtype);
    size_t from_width = plb_stored_dtype_bytes(from);
    while (count > 0) {
        size_t part = count < sizeof piece / width ? (size_t)count : sizeof piece / width;
        PLB_TRY(plb_stored_convert(from, data, entry->tensor.dtype, piece, part));
        PLB_TRY(plb_file_writer_write_at(file, offset, piece, part * width));
        offset += part * width;
        data += part * from_width;
        count -= part;
    }
    return PLB_OK;
}

enum plb_status plb_safetensors_writer_append(plb_safetensors_writer_t *writer, size_t tensor,
                                              enum plb_stored_dtype from, const void *data,
                                              uint64_t count)
{
    if (tensor >= writer->count || writer->parts == NULL)
        return plb_fail(PLB_ERROR_INVALID, "tensor number %zu is not declared, or no file is open",
                        tensor);
    struct declared *entry = &writer->declared[tensor];
    if (count > entry->tensor.elements - entry->done)
        return plb_fail(PLB_ERROR_INVALID,
                        "tensor \"%.200s\" has %" PRIu64 " elements, and %" PRIu64
                        " more are given after the first %" PRIu64,
                        entry->tensor.name, entry->tensor.elements, count, entry->done);
    plb_file_writer_t *file = writer->parts[entry->tensor.shard].file;
    size_t width = plb_stored_dtype_bytes(entry->tensor.dtype);
    uint64_t offset = entry->tensor.offset + entry->done * width;
    if (from == entry->tensor.dtype)
        PLB_TRY(plb_file_writer_write_at(file, offset, data, (size_t)(count * width)));
    else
        PLB_TRY(write_converted(entry, file, offset, from, data, count));
    entry->done += count;
    return PLB_OK;
}

static enum plb_status check_complete(const plb_safetensors_writer_t *writer)
{
    if (writer->parts == NULL)
        return plb_fail(PLB_ERROR_INVALID, "no file of this writer is open");
    for (size_t i = 0; i < writer->count; i++) {
        const struct declared *entry = &writer->declared[i];
        if (entry->done != entry->tensor.elements)
            return plb_fail(PLB_ERROR_INVALID,
                            "tensor \"%.200s\" has %" PRIu64 " elements, but %" PRIu64
                            " were given",
                            entry->tensor.name, entry->tensor.elements, entry->done);
    }
    return PLB_OK;
}

/* Removes DIRECTORY/NAME if it is there. */
static enum plb_status remove_in(const char *directory, const char *name)
{
    char *path = NULL;
    PLB_TRY(plb_file_join(directory, name, &path));
    enum plb_status status = PLB_OK;
    if (unlink(path) != 0 && errno != ENOENT)
        status = plb_fail(PLB_ERROR_IO, "cannot remove %s: %s", path, strerror(errno));
    free(path);
    return status;
}

static enum plb_status build_index(const plb_safetensors_writer_t *writer, json_t *map,
                                   uint64_t *total_out)
{
    for (size_t i = 0; i < writer->count; i++) {
        const struct plb_stored_tensor *tensor = &writer->declared[i].tensor;
        const char *path = writer->parts[tensor->shard].path;
        const char *slash = strrchr(path, '/');
        json_t *name = json_string(slash != NULL ? slash + 1 : path);
        if (json_object_set_new(map, tensor->name, name) != 0)
            return no_memory();
        *total_out += tensor->bytes;
    }
    return PLB_OK;
}

static enum plb_status write_index(const plb_safetensors_writer_t *writer)
{
    uint64_t total = 0;
    json_t *map = json_object();
    if (map == NULL)
        return no_memory();
    enum plb_status status = build_index(writer, map, &total);
    if (status != PLB_OK) {
        json_decref(map);
        return status;
    }
    json_t *index =
        json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)total, "weight_map", map);
    char *path = NULL;
    status = index != NULL ? plb_file_join(writer->directory, index_name, &path) : no_memory();
    if (status == PLB_OK)
        status = plb_json_save(path, index);
    free(path);
    json_decref(index);
    return status;
}

/* Puts the files in their places. See safetensors.h for the order. */
static enum plb_status place_parts(plb_safetensors_writer_t *writer)
{
    for (size_t i = 0; i < writer->part_count; i++)
        PLB_TRY(plb_file_writer_sync(writer->parts[i].file));
    if (writer->part_count > 1)
        PLB_TRY(remove_in(writer->directory, index_name));
    for (size_t i = 0; i < writer->part_count; i++) {
        plb_file_writer_t *file = writer->parts[i].file;
        writer->parts[i].file = NULL;
        PLB_TRY(plb_file_writer_commit(file));
    }
    if (writer->part_count > 1) {
        PLB_TRY(write_index(writer));
        return remove_in(writer->directory, single_name);
    }
    return writer->directory != NULL ? remove_in(writer->directory, index_name) : PLB_OK;
}

enum plb_status plb_safetensors_writer_commit(plb_safetensors_writer_t *writer)
{
    enum plb_status status = check_complete(writer);
    if (status == PLB_OK)
        status = place_parts(writer);
    plb_safetensors_writer_abort(writer);
    return status;
}

void plb_safetensors_writer_abort(plb_safetensors_writer_t *writer)
{
    if (writer == NULL)
        return;
    for (size_t i = 0; i < writer->part_count; i++) {
        plb_file_writer_abort(writer->parts[i].file);
        free(writer->parts[i].path);
    }
    for (size_t i = 0; i < writer->count; i++)
        free((char *)writer->declared[i].tensor.name);
    free(writer->parts);
    free(writer->declared);
    free(writer->directory);
    json_decref(writer->names);
    json_decref(writer->texts);
    free(writer);
}
