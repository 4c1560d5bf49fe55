/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing, reading and comparing the record of a run. 64-bit hashes and seeds stand as text, since
 * JSON's integers end at 63 bits; reals are written with 17 digits, which give the same bits back.
 */
#include "config.h"

#include "frontends/nn/trainer_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/json.h"
#include "frontends/nn/checkpoint.h"

#define FORMAT         "palombe checkpoint"
#define FORMAT_VERSION 1
#define RECORD_BYTES   (1u << 20)

static const char *const sealed[] = {PLB__MODEL_FILE, PLB__STATE_FILE};
#define SEALED (sizeof sealed / sizeof sealed[0])

static const char *const schedule_names[] = {
    [PLB_SCHEDULE_CONSTANT] = "constant",
    [PLB_SCHEDULE_COSINE] = "cosine",
};

/* A 64-bit number as text, in a buffer of the caller. */
struct hex {
    char text[19];
};

static struct hex hex(uint64_t number)
{
    struct hex out;

    snprintf(out.text, sizeof out.text, "0x%016" PRIx64, number);
    return out;
}

static json_t *optimizer_json(const struct plb_optimizer *o)
{
    return json_pack("{s:s, s:f, s:f, s:f, s:f, s:b, s:f, s:f}", "kind",
                     plb_optimizer_name(o->kind), "beta1", o->beta1, "beta2", o->beta2, "epsilon",
                     o->epsilon, "momentum", o->momentum, "nesterov", o->nesterov, "weight_decay",
                     o->weight_decay, "clip", o->clip);
}

static json_t *schedule_json(const struct plb_schedule *s)
{
    return json_pack("{s:s, s:f, s:f, s:I, s:I}", "kind", schedule_names[s->kind], "rate", s->rate,
                     "floor", s->floor, "warmup", (json_int_t)s->warmup, "steps",
                     (json_int_t)s->steps);
}

static enum plb_status seal_files(const char *folder, json_t *files)
{
    for (size_t i = 0; i < SEALED; i++) {
        char *path;
        uint64_t bytes = 0, hash = 0;
        PLB_TRY(plb_file_join(folder, sealed[i], &path));
        enum plb_status status = plb_checkpoint_checksum(path, &bytes, &hash);
        free(path);
        PLB_TRY(status);
        json_t *entry = json_pack("{s:I, s:s}", "bytes", (json_int_t)bytes, "xxh3", hex(hash).text);
        if (json_object_set_new(files, sealed[i], entry) != 0)
            return plb_fail(PLB_ERROR_MEMORY, "no memory for the record of the run");
    }
    return PLB_OK;
}

static json_t *record_json(const struct plb_trainer_record *r)
{
    return json_pack("{s:s, s:i, s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:f, s:o, s:o, s:{}}",
                     "format", FORMAT, "version", FORMAT_VERSION, "step", (json_int_t)r->step,
                     "seed", hex(r->seed).text, "model", hex(r->model).text, "dtype",
                     plb_dtype_name(r->dtype), "batch", (json_int_t)r->batch, "sequence",
                     (json_int_t)r->sequence, "micro_batches", (json_int_t)r->micro_batches, "data",
                     hex(r->data).text, "validation", r->validation, "optimizer",
                     optimizer_json(&r->optimizer), "schedule", schedule_json(&r->schedule), "files");
}

enum plb_status plb__record_save(const struct plb_trainer_record *record, const char *folder)
{
    json_t *root = record_json(record);
    char *path = NULL;

    if (!root)
        return plb_fail(PLB_ERROR_MEMORY, "no memory for the record of the run");
    enum plb_status status = seal_files(folder, json_object_get(root, "files"));
    if (status == PLB_OK)
        status = plb_file_join(folder, PLB__RECORD_FILE, &path);
    if (status == PLB_OK)
        status = plb_json_save(path, root);
    free(path);
    json_decref(root);
    return status;
}

static enum plb_status read_hex(const struct plb_json_object *object, const char *key,
                                uint64_t *number_out)
{
    const char *text = NULL;
    char *end;

    PLB_TRY(plb_json_require(object, key));
    PLB_TRY(plb_json_string(object, key, &text));
    if (strncmp(text, "0x", 2) != 0 || strlen(text) != 18)
        return plb_fail(PLB_ERROR_FORMAT, "%s: \"%s\" is \"%.40s\", not a number like 0x%016x",
                        object->file, key, text, 1);
    *number_out = strtoull(text + 2, &end, 16);
    if (*end)
        return plb_fail(PLB_ERROR_FORMAT, "%s: \"%s\" is \"%s\", not a hexadecimal number",
                        object->file, key, text);
    return PLB_OK;
}

static enum plb_status read_count(const struct plb_json_object *object, const char *key,
                                  uint64_t *count_out)
{
    int64_t count = 0;

    PLB_TRY(plb_json_require(object, key));
    PLB_TRY(plb_json_integer(object, key, 0, INT64_MAX, &count));
    *count_out = (uint64_t)count;
    return PLB_OK;
}

static enum plb_status read_real(const struct plb_json_object *object, const char *key, double max,
                                 double *value_out)
{
    PLB_TRY(plb_json_require(object, key));
    return plb_json_real(object, key, 0.0, max, value_out);
}

static enum plb_status read_optimizer(const struct plb_json_object *root,
                                      struct plb_optimizer *optimizer)
{
    struct plb_json_object object = {NULL, root->file};
    const char *kind = NULL;
    bool nesterov = false;

    PLB_TRY(plb_json_require(root, "optimizer"));
    PLB_TRY(plb_json_child(root, "optimizer", &object));
    PLB_TRY(plb_json_require(&object, "kind"));
    PLB_TRY(plb_json_string(&object, "kind", &kind));
    if (plb_optimizer_find(kind, &optimizer->kind) != PLB_OK)
        return plb_fail_within(PLB_ERROR_FORMAT, "%s", root->file);
    PLB_TRY(read_real(&object, "beta1", 1.0, &optimizer->beta1));
    PLB_TRY(read_real(&object, "beta2", 1.0, &optimizer->beta2));
    PLB_TRY(read_real(&object, "epsilon", 1.0, &optimizer->epsilon));
    PLB_TRY(read_real(&object, "momentum", 1.0, &optimizer->momentum));
    PLB_TRY(plb_json_boolean(&object, "nesterov", &nesterov));
    optimizer->nesterov = nesterov;
    PLB_TRY(read_real(&object, "weight_decay", 1e9, &optimizer->weight_decay));
    return read_real(&object, "clip", 1e30, &optimizer->clip);
}

static enum plb_status read_schedule(const struct plb_json_object *root,
                                     struct plb_schedule *schedule)
{
    struct plb_json_object object = {NULL, root->file};
    const char *kind = NULL;

    PLB_TRY(plb_json_require(root, "schedule"));
    PLB_TRY(plb_json_child(root, "schedule", &object));
    PLB_TRY(plb_json_require(&object, "kind"));
    PLB_TRY(plb_json_string(&object, "kind", &kind));
    if (strcmp(kind, schedule_names[PLB_SCHEDULE_CONSTANT]) == 0)
        schedule->kind = PLB_SCHEDULE_CONSTANT;
    else if (strcmp(kind, schedule_names[PLB_SCHEDULE_COSINE]) == 0)
        schedule->kind = PLB_SCHEDULE_COSINE;
    else
        return plb_fail(PLB_ERROR_FORMAT, "%s: unknown schedule \"%.40s\"", root->file, kind);
    PLB_TRY(read_real(&object, "rate", 1e9, &schedule->rate));
    PLB_TRY(read_real(&object, "floor", 1.0, &schedule->floor));
    PLB_TRY(read_count(&object, "warmup", &schedule->warmup));
    return read_count(&object, "steps", &schedule->steps);
}

static enum plb_status read_dtype(const struct plb_json_object *root, enum plb_dtype *dtype_out)
{
    const char *name = NULL;

    PLB_TRY(plb_json_require(root, "dtype"));
    PLB_TRY(plb_json_string(root, "dtype", &name));
    if (strcmp(name, plb_dtype_name(PLB_F32)) == 0)
        *dtype_out = PLB_F32;
    else if (strcmp(name, plb_dtype_name(PLB_BF16)) == 0)
        *dtype_out = PLB_BF16;
    else
        return plb_fail(PLB_ERROR_FORMAT, "%s: a run cannot have dtype \"%.40s\"", root->file,
                        name);
    return PLB_OK;
}

static enum plb_status check_format(const struct plb_json_object *root)
{
    const char *format = "";
    int64_t version = 0;

    PLB_TRY(plb_json_string(root, "format", &format));
    PLB_TRY(plb_json_integer(root, "version", INT64_MIN, INT64_MAX, &version));
    if (strcmp(format, FORMAT) != 0)
        return plb_fail(PLB_ERROR_FORMAT, "%s: is no record of a run of Palombe", root->file);
    if (version != FORMAT_VERSION)
        return plb_fail(PLB_ERROR_FORMAT, "%s: has version %lld, this program reads version %d",
                        root->file, (long long)version, FORMAT_VERSION);
    return PLB_OK;
}

static enum plb_status read_record(const struct plb_json_object *root,
                                   struct plb_trainer_record *record)
{
    PLB_TRY(check_format(root));
    PLB_TRY(read_count(root, "step", &record->step));
    PLB_TRY(read_hex(root, "seed", &record->seed));
    PLB_TRY(read_hex(root, "model", &record->model));
    PLB_TRY(read_hex(root, "data", &record->data));
    PLB_TRY(read_real(root, "validation", 0.5, &record->validation));
    PLB_TRY(read_dtype(root, &record->dtype));
    PLB_TRY(plb_json_require(root, "batch"));
    PLB_TRY(plb_json_integer(root, "batch", 0, INT32_MAX, &record->batch));
    PLB_TRY(plb_json_require(root, "sequence"));
    PLB_TRY(plb_json_integer(root, "sequence", 0, INT32_MAX, &record->sequence));
    PLB_TRY(plb_json_require(root, "micro_batches"));
    PLB_TRY(plb_json_integer(root, "micro_batches", 1, INT32_MAX, &record->micro_batches));
    PLB_TRY(read_optimizer(root, &record->optimizer));
    return read_schedule(root, &record->schedule);
}

/* Checks one file against its entry in "files". */
static enum plb_status verify_file(const struct plb_json_object *files, const char *name,
                                   const char *directory)
{
    struct plb_json_object entry = {NULL, files->file};
    uint64_t bytes = 0, hash = 0, bytes_found, hash_found;
    char *path;

    PLB_TRY(plb_json_require(files, name));
    PLB_TRY(plb_json_child(files, name, &entry));
    PLB_TRY(read_count(&entry, "bytes", &bytes));
    PLB_TRY(read_hex(&entry, "xxh3", &hash));
    PLB_TRY(plb_checkpoint_find(directory, name, &path));
    enum plb_status status = plb_checkpoint_checksum(path, &bytes_found, &hash_found);
    if (status == PLB_ERROR_IO)
        status = plb_fail_within(PLB_ERROR_FORMAT, "the checkpoint is torn");
    else if (status == PLB_OK && bytes_found != bytes)
        status = plb_fail(PLB_ERROR_FORMAT,
                          "the checkpoint is torn: %s has %" PRIu64 " bytes where %" PRIu64
                          " were saved",
                          path, bytes_found, bytes);
    else if (status == PLB_OK && hash_found != hash)
        status = plb_fail(PLB_ERROR_FORMAT,
                          "the checkpoint is torn: %s has another checksum than was saved", path);
    free(path);
    return status;
}

static enum plb_status verify_files(const struct plb_json_object *root, const char *directory)
{
    struct plb_json_object files = {NULL, root->file};

    PLB_TRY(plb_json_require(root, "files"));
    PLB_TRY(plb_json_child(root, "files", &files));
    for (size_t i = 0; i < SEALED; i++)
        PLB_TRY(verify_file(&files, sealed[i], directory));
    return PLB_OK;
}

enum plb_status plb__record_load(const char *directory, bool verify,
                                 struct plb_trainer_record *record_out)
{
    struct plb_trainer_record record = {0};
    json_t *root = NULL;
    char *path;

    PLB_TRY(plb_checkpoint_find(directory, PLB__RECORD_FILE, &path));
    enum plb_status status = plb_json_load(path, RECORD_BYTES, &root);
    if (status == PLB_OK) {
        struct plb_json_object object = {root, path};
        status = read_record(&object, &record);
        if (status == PLB_OK && verify)
            status = verify_files(&object, directory);
        json_decref(root);
    }
    free(path);
    if (status == PLB_OK)
        *record_out = record;
    return status;
}

enum plb_status plb_trainer_record_load(const char *directory,
                                        struct plb_trainer_record *record_out)
{
    return plb__record_load(directory, false, record_out);
}

static enum plb_status differs(const char *directory, const char *what, const char *saved,
                               const char *run)
{
    return plb_fail(PLB_ERROR_FORMAT,
                    "%s: the run saved there cannot be resumed, its %s is %s and not %s", directory,
                    what, saved, run);
}

static enum plb_status compare_number(const char *directory, const char *what, uint64_t saved,
                                      uint64_t run)
{
    char texts[2][32];

    if (saved == run)
        return PLB_OK;
    snprintf(texts[0], sizeof texts[0], "%" PRIu64, saved);
    snprintf(texts[1], sizeof texts[1], "%" PRIu64, run);
    return differs(directory, what, texts[0], texts[1]);
}

enum plb_status plb__record_compare(const struct plb_trainer_record *saved,
                                    const struct plb_trainer_record *run, const char *directory)
{
    if (saved->model != run->model)
        return differs(directory, "model (names and shapes of parameters)", "another one", "this");
    if (saved->dtype != run->dtype)
        return differs(directory, "dtype", plb_dtype_name(saved->dtype),
                       plb_dtype_name(run->dtype));
    if (saved->optimizer.kind != run->optimizer.kind)
        return differs(directory, "optimizer", plb_optimizer_name(saved->optimizer.kind),
                       plb_optimizer_name(run->optimizer.kind));
    if (saved->data != run->data)
        return differs(directory, "corpus (its tokens)", "another one", "this");
    PLB_TRY(compare_number(directory, "seed", saved->seed, run->seed));
    PLB_TRY(compare_number(directory, "batch", (uint64_t)saved->batch, (uint64_t)run->batch));
    PLB_TRY(compare_number(directory, "number of micro-batches", (uint64_t)saved->micro_batches,
                           (uint64_t)run->micro_batches));
    return compare_number(directory, "sequence", (uint64_t)saved->sequence,
                          (uint64_t)run->sequence);
}
