/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opens one safetensors file or several and reads their tensors: see safetensors.h. The header of a
 * file is parsed in safetensors_header.c.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/json.h"
#include "frontends/formats/safetensors_header.h"

enum {
    LENGTH_FIELD_BYTES = 8,
    CONVERT_BYTES = 64 * 1024, /* what is read at once when elements are converted */
    INDEX_BYTES_MAX = 64 * 1024 * 1024,
    SHARD_NAME_MAX = 255,
};

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";

struct shard {
    char *path;
    int fd;
    uint64_t bytes;
    void *map; /* of the whole file; NULL until it is asked for */
};

struct plb_safetensors {
    struct shard *shards;
    size_t shard_count;
    struct plb_stored_tensor *tensors; /* by name */
    size_t count;
    struct plb__stored_text *texts; /* of the first shard */
    size_t text_count;
};

/* Reads exactly `bytes` bytes. A file that ends before that has shrunk since it was opened. */
static enum plb_status read_exactly(const struct shard *shard, uint64_t offset, void *data,
                                    size_t bytes)
{
    char *next = data;
    while (bytes > 0) {
        ssize_t got = pread(shard->fd, next, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return plb_fail(PLB_ERROR_IO, "cannot read %s: %s", shard->path, strerror(errno));
        if (got == 0)
            return plb_fail(PLB_ERROR_FORMAT, "%s ends at byte %" PRIu64 ": it was cut meanwhile",
                            shard->path, offset);
        next += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return PLB_OK;
}

/* Opens the file and learns its size. */
static enum plb_status open_shard(struct shard *shard)
{
    /* Not blocking: a pipe is refused below, and must not be waited for. */
    shard->fd = open(shard->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (shard->fd < 0)
        return plb_fail(PLB_ERROR_IO, "cannot open %s: %s", shard->path, strerror(errno));
    struct stat info;
    if (fstat(shard->fd, &info) != 0)
        return plb_fail(PLB_ERROR_IO, "cannot inspect %s: %s", shard->path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return plb_fail(PLB_ERROR_IO, "%s is not a regular file", shard->path);
    shard->bytes = (uint64_t)info.st_size;
    return PLB_OK;
}

static enum plb_status read_header_length(const struct shard *shard, uint64_t *length_out)
{
    unsigned char field[LENGTH_FIELD_BYTES];
    if (shard->bytes < LENGTH_FIELD_BYTES)
        return plb_fail(PLB_ERROR_FORMAT, "%s has only %" PRIu64 " bytes: no safetensors file",
                        shard->path, shard->bytes);
    PLB_TRY(read_exactly(shard, 0, field, sizeof field));
    uint64_t length = 0;
    for (int i = LENGTH_FIELD_BYTES - 1; i >= 0; i--)
        length = length << 8 | field[i];
    if (length > PLB_SAFETENSORS_HEADER_MAX)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s claims a header of %" PRIu64
                        " bytes, more than the limit of %u: no safetensors file?",
                        shard->path, length, PLB_SAFETENSORS_HEADER_MAX);
    if (length > shard->bytes - LENGTH_FIELD_BYTES)
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s claims a header of %" PRIu64 " bytes but has only %" PRIu64
                        " in all: it is truncated or no safetensors file",
                        shard->path, length, shard->bytes);
    *length_out = length;
    return PLB_OK;
}

static enum plb_status read_header(const struct shard *shard,
                                   struct plb__safetensors_header *header_out)
{
    uint64_t length = 0;
    PLB_TRY(read_header_length(shard, &length));
    char *text = malloc((size_t)length + 1);
    if (text == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "%s: no memory for its header", shard->path);
    enum plb_status status = read_exactly(shard, LENGTH_FIELD_BYTES, text, (size_t)length);
    if (status == PLB_OK)
        status = plb__safetensors_header_parse(text, (size_t)length, shard->bytes, shard->path,
                                               header_out);
    free(text);
    return status;
}

/* Moves a header's tensors, and the first header's texts, into the set. */
static enum plb_status take_header(plb_safetensors_t *set, struct plb__safetensors_header *header,
                                   uint32_t shard)
{
    size_t count = set->count + header->count;
    struct plb_stored_tensor *tensors = realloc(set->tensors, (count + 1) * sizeof *tensors);
    if (tensors == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "%s: no memory for its tensors", set->shards[shard].path);
    for (size_t i = 0; i < header->count; i++) {
        tensors[set->count + i] = header->tensors[i];
        tensors[set->count + i].shard = shard;
    }
    set->tensors = tensors;
    set->count = count;
    header->count = 0;
    if (shard == 0) {
        set->texts = header->texts;
        set->text_count = header->text_count;
        header->texts = NULL;
        header->text_count = 0;
    }
    return PLB_OK;
}

/* Adds a file to the set, which has room for it; takes `path` over. */
static enum plb_status add_shard(plb_safetensors_t *set, char *path)
{
    struct shard *shard = &set->shards[set->shard_count];
    *shard = (struct shard){.path = path, .fd = -1};
    set->shard_count++;
    PLB_TRY(open_shard(shard));
    struct plb__safetensors_header header;
    PLB_TRY(read_header(shard, &header));
    enum plb_status status = take_header(set, &header, (uint32_t)(set->shard_count - 1));
    plb__safetensors_header_free(&header);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    const struct plb_stored_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static enum plb_status sort_by_name(plb_safetensors_t *set)
{
    qsort(set->tensors, set->count, sizeof *set->tensors, compare_names);
    for (size_t i = 1; i < set->count; i++) {
        const struct plb_stored_tensor *a = &set->tensors[i - 1], *b = &set->tensors[i];
        if (strcmp(a->name, b->name) == 0)
            return plb_fail(PLB_ERROR_FORMAT, "tensor \"%.200s\" stands both in %s and in %s",
                            a->name, set->shards[a->shard].path, set->shards[b->shard].path);
    }
    return PLB_OK;
}

static enum plb_status allocate_shards(plb_safetensors_t *set, size_t count)
{
    set->shards = calloc(count, sizeof *set->shards);
    if (set->shards == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for %zu files", count);
    return PLB_OK;
}

static enum plb_status open_single(plb_safetensors_t *set, const char *path)
{
    PLB_TRY(allocate_shards(set, 1));
    char *copy = strdup(path);
    if (copy == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the path %s", path);
    PLB_TRY(add_shard(set, copy));
    return sort_by_name(set);
}

/* A shard lies beside its index: a name with a slash, "." or ".." could lead anywhere. */
static enum plb_status check_shard_name(const char *name, const char *index_path)
{
    size_t length = strlen(name);
    if (length == 0 || length > SHARD_NAME_MAX || strchr(name, '/') != NULL || name[0] == '.')
        return plb_fail(PLB_ERROR_FORMAT,
                        "%s: \"%.200s\" is not the name of a file beside the index", index_path,
                        name);
    return PLB_OK;
}

/* DIRECTORY/NAME, in the directory of the index. */
static enum plb_status path_beside(const char *index_path, const char *name, char **path_out)
{
    const char *slash = strrchr(index_path, '/');
    int length = slash == NULL ? 0 : (int)(slash - index_path) + 1;
    if (asprintf(path_out, "%.*s%s", length, index_path, name) < 0) {
        *path_out = NULL;
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the path of %.200s", name);
    }
    return PLB_OK;
}

/* The distinct shard names of a weight map, each with its number as an integer. */
static enum plb_status number_shards(const json_t *map, const char *path, json_t *numbers)
{
    const char *tensor;
    json_t *name;
    json_object_foreach((json_t *)map, tensor, name)
    {
        if (!json_is_string(name))
            return plb_fail(PLB_ERROR_FORMAT, "%s: the file of \"%.200s\" is not a string", path,
                            tensor);
        const char *text = json_string_value(name);
        if (json_object_get(numbers, text) != NULL)
            continue;
        PLB_TRY(check_shard_name(text, path));
        json_int_t number = (json_int_t)json_object_size(numbers);
        if (number >= (json_int_t)PLB_SAFETENSORS_SHARDS_MAX)
            return plb_fail(PLB_ERROR_FORMAT, "%s names more than %u files", path,
                            PLB_SAFETENSORS_SHARDS_MAX);
        if (json_object_set_new(numbers, text, json_integer(number)) != 0)
            return plb_fail(PLB_ERROR_MEMORY, "%s: no memory for its index", path);
    }
    return PLB_OK;
}

/* Each tensor of the map must be in the file that the map says. */
static enum plb_status check_weight_map(const plb_safetensors_t *set, const json_t *map,
                                        const json_t *numbers, const char *path)
{
    const char *name;
    json_t *file;
    json_object_foreach((json_t *)map, name, file)
    {
        const struct plb_stored_tensor *tensor = plb_safetensors_find(set, name);
        json_int_t number = json_integer_value(json_object_get(numbers, json_string_value(file)));
        if (tensor == NULL || tensor->shard != (uint32_t)number)
            return plb_fail(PLB_ERROR_FORMAT, "%s: tensor \"%.200s\" is not in %s", path, name,
                            json_string_value(file));
    }
    return PLB_OK;
}

static enum plb_status open_mapped(plb_safetensors_t *set, const char *path, const json_t *map,
                                   json_t *numbers)
{
    PLB_TRY(number_shards(map, path, numbers));
    if (json_object_size(numbers) == 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: its \"weight_map\" is empty", path);
    PLB_TRY(allocate_shards(set, json_object_size(numbers)));
    const char *name;
    json_t *number;
    json_object_foreach(numbers, name, number)
    {
        char *shard_path = NULL;
        PLB_TRY(path_beside(path, name, &shard_path));
        json_int_t position = (json_int_t)set->shard_count;
        json_integer_set(number, position);
        PLB_TRY(add_shard(set, shard_path));
    }
    PLB_TRY(sort_by_name(set));
    return check_weight_map(set, map, numbers, path);
}

static enum plb_status open_index(plb_safetensors_t *set, const char *path)
{
    json_t *root = NULL;
    PLB_TRY(plb_json_load(path, INDEX_BYTES_MAX, &root));
    struct plb_json_object index = {root, path}, map = {NULL, path};
    json_t *numbers = json_object();
    enum plb_status status = numbers != NULL ? plb_json_require(&index, "weight_map")
                                             : plb_fail(PLB_ERROR_MEMORY, "no memory for %s", path);
    if (status == PLB_OK)
        status = plb_json_child(&index, "weight_map", &map);
    if (status == PLB_OK)
        status = open_mapped(set, path, map.json, numbers);
    json_decref(numbers);
    json_decref(root);
    return status;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static enum plb_status open_directory(plb_safetensors_t *set, const char *directory)
{
    char *path = NULL;
    bool single = plb_file_exists_in(directory, single_name);
    if (!single && !plb_file_exists_in(directory, index_name))
        return plb_fail(PLB_ERROR_IO, "%s holds neither %s nor %s", directory, single_name,
                        index_name);
    PLB_TRY(plb_file_join(directory, single ? single_name : index_name, &path));
    enum plb_status status = single ? open_single(set, path) : open_index(set, path);
    free(path);
    return status;
}

enum plb_status plb_safetensors_open(const char *path, plb_safetensors_t **set_out)
{
    plb_safetensors_t *set = calloc(1, sizeof *set);
    if (set == NULL)
        return plb_fail(PLB_ERROR_MEMORY, "no memory to open %s", path);
    enum plb_status status;
    if (plb_file_is_directory(path))
        status = open_directory(set, path);
    else if (ends_with(path, ".index.json"))
        status = open_index(set, path);
    else
        status = open_single(set, path);
    if (status != PLB_OK) {
        plb_safetensors_close(set);
        return status;
    }
    *set_out = set;
    return PLB_OK;
}

static void close_shard(struct shard *shard)
{
    if (shard->map != NULL)
        munmap(shard->map, (size_t)shard->bytes);
    if (shard->fd >= 0)
        close(shard->fd);
    free(shard->path);
}

void plb_safetensors_close(plb_safetensors_t *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->shard_count; i++)
        close_shard(&set->shards[i]);
    free(set->shards);
    struct plb__safetensors_header rest = {set->tensors, set->count, set->texts, set->text_count};
    plb__safetensors_header_free(&rest);
    free(set);
}

size_t plb_safetensors_count(const plb_safetensors_t *set)
{
    return set->count;
}

const struct plb_stored_tensor *plb_safetensors_at(const plb_safetensors_t *set, size_t i)
{
    return &set->tensors[i];
}

const struct plb_stored_tensor *plb_safetensors_find(const plb_safetensors_t *set, const char *name)
{
    struct plb_stored_tensor wanted = {.name = name};
    if (set->count == 0)
        return NULL;
    return bsearch(&wanted, set->tensors, set->count, sizeof wanted, compare_names);
}

enum plb_status plb_safetensors_require(const plb_safetensors_t *set, const char *name,
                                        const struct plb_stored_tensor **tensor_out)
{
    *tensor_out = plb_safetensors_find(set, name);
    if (*tensor_out == NULL)
        return plb_fail(PLB_ERROR_FORMAT, "%s%s: tensor \"%.200s\" is missing", set->shards[0].path,
                        set->shard_count > 1 ? " and its fellow shards" : "", name);
    return PLB_OK;
}

/* "[768, 50257]" */
static void print_shape(char *text, size_t bytes, int rank, const uint64_t *dim)
{
    size_t used = (size_t)snprintf(text, bytes, "[");
    for (int i = 0; i < rank && used < bytes; i++)
        used +=
            (size_t)snprintf(text + used, bytes - used, "%s%" PRIu64, i > 0 ? ", " : "", dim[i]);
    if (used < bytes)
        snprintf(text + used, bytes - used, "]");
}

enum plb_status plb_safetensors_check_shape(const plb_safetensors_t *set,
                                            const struct plb_stored_tensor *tensor, int rank,
                                            const int64_t *dim)
{
    uint64_t wanted[PLB_STORED_RANK_MAX] = {0};
    bool equal = rank == tensor->rank;
    for (int i = 0; i < rank && i < PLB_STORED_RANK_MAX; i++) {
        wanted[i] = (uint64_t)dim[i];
        equal = equal && wanted[i] == tensor->dim[i];
    }
    if (equal)
        return PLB_OK;
    char seen_text[200], wanted_text[200];
    print_shape(seen_text, sizeof seen_text, tensor->rank, tensor->dim);
    print_shape(wanted_text, sizeof wanted_text, rank, wanted);
    return plb_fail(PLB_ERROR_FORMAT, "%s: tensor \"%.200s\" has shape %s, but %s is needed",
                    set->shards[tensor->shard].path, tensor->name, seen_text, wanted_text);
}

const char *plb_safetensors_metadata(const plb_safetensors_t *set, const char *key)
{
    for (size_t i = 0; i < set->text_count; i++) {
        if (strcmp(set->texts[i].key, key) == 0)
            return set->texts[i].value;
    }
    return NULL;
}

/* Reads and converts piece by piece. */
static enum plb_status read_converted(const struct shard *shard,
                                      const struct plb_stored_tensor *tensor, uint64_t offset,
                                      uint64_t count, enum plb_stored_dtype to, char *target)
{
    unsigned char piece[CONVERT_BYTES];
    size_t width = plb_stored_dtype_bytes(tensor->dtype);
    size_t target_width = plb_stored_dtype_bytes(to);
    while (count > 0) {
        size_t part = count < sizeof piece / width ? (size_t)count : sizeof piece / width;
        PLB_TRY(read_exactly(shard, offset, piece, part * width));
        enum plb_status status = plb_stored_convert(tensor->dtype, piece, to, target, part);
        if (status != PLB_OK)
            return plb_fail_within(status, "%s: tensor \"%.200s\"", shard->path, tensor->name);
        offset += part * width;
        target += part * target_width;
        count -= part;
    }
    return PLB_OK;
}

enum plb_status plb_safetensors_read(const plb_safetensors_t *set,
                                     const struct plb_stored_tensor *tensor, uint64_t first,
                                     uint64_t count, enum plb_stored_dtype to, void *target)
{
    const struct shard *shard = &set->shards[tensor->shard];
    if (first > tensor->elements || count > tensor->elements - first)
        return plb_fail(PLB_ERROR_INVALID,
                        "%s: %" PRIu64 " elements from %" PRIu64
                        " on are asked of tensor \"%.200s\""
                        ", which has %" PRIu64,
                        shard->path, count, first, tensor->name, tensor->elements);
    if (!plb_stored_converts(tensor->dtype, to))
        return plb_fail(PLB_ERROR_INVALID,
                        "%s: tensor \"%.200s\" has dtype %s, which is not read as %s", shard->path,
                        tensor->name, plb_stored_dtype_name(tensor->dtype),
                        plb_stored_dtype_name(to));
    size_t width = plb_stored_dtype_bytes(tensor->dtype);
    uint64_t offset = tensor->offset + first * width;
    if (tensor->dtype == to)
        return read_exactly(shard, offset, target, (size_t)(count * width));
    return read_converted(shard, tensor, offset, count, to, target);
}

enum plb_status plb_safetensors_map(plb_safetensors_t *set, const struct plb_stored_tensor *tensor,
                                    const void **data_out)
{
    struct shard *shard = &set->shards[tensor->shard];
    if (shard->map == NULL) {
        void *map = mmap(NULL, (size_t)shard->bytes, PROT_READ, MAP_SHARED, shard->fd, 0);
        if (map == MAP_FAILED)
            return plb_fail(PLB_ERROR_IO, "cannot map %s: %s", shard->path, strerror(errno));
        shard->map = map;
    }
    *data_out = (const char *)shard->map + tensor->offset;
    return PLB_OK;
}
