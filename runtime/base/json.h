/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON texts that come from outside, within bounds: size, depth, no member twice, UTF-8 only. The
 * parser is jansson; what this adds is the limits and typed access whose errors name the file, the
 * member and the value seen. Not installed: jansson's types show.
 *
 * Numbers that JSON does not have (NaN, Infinity), reals beyond a double and integers beyond 64
 * bits are refused by the parser.
 *
 * Getters leave `*value` alone when the member is missing or null, so that the caller sets the
 * default first; plb_json_require() makes a member obligatory.
 *
 * Thread-safety: a value belongs to one thread at a time.
 */
#ifndef PLB_BASE_JSON_H
#define PLB_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Texts nested deeper are refused before they are parsed. */
enum { PLB_JSON_DEPTH_MAX = 32 };

/* An object of a text, and the name of the file that errors give. Borrows both. */
struct plb_json_object {
    const json_t *json;
    const char *file;
};

/* Parses a text, whose root must be an object. `name` is what errors call it. The caller gives the
 * root back with json_decref(). PLB_ERROR_FORMAT, PLB_ERROR_MEMORY. */
enum plb_status plb_json_parse(const char *text, size_t bytes, const char *name, json_t **root_out);

/* Reads and parses a file of at most `limit` bytes. PLB_ERROR_IO, and as plb_json_parse(). */
enum plb_status plb_json_load(const char *path, size_t limit, json_t **root_out);

/* Writes `root`, indented, with plb_file_write_atomic(). PLB_ERROR_IO, PLB_ERROR_MEMORY. */
enum plb_status plb_json_save(const char *path, const json_t *root);

/* PLB_ERROR_FORMAT when the member is missing or null. */
enum plb_status plb_json_require(const struct plb_json_object *object, const char *key);

/* An integer from `min` to `max`; a real number without a fraction counts as one. */
enum plb_status plb_json_integer(const struct plb_json_object *object, const char *key, int64_t min,
                                 int64_t max, int64_t *value);

/* A number from `min` to `max`. */
enum plb_status plb_json_real(const struct plb_json_object *object, const char *key, double min,
                              double max, double *value);

enum plb_status plb_json_boolean(const struct plb_json_object *object, const char *key,
                                 bool *value);

/* A string, which lives as long as the root. */
enum plb_status plb_json_string(const struct plb_json_object *object, const char *key,
                                const char **value);

/* A member that is itself an object; `child->json` is NULL when it is missing or null. */
enum plb_status plb_json_child(const struct plb_json_object *object, const char *key,
                               struct plb_json_object *child);

/* A member that is an array; NULL when it is missing or null. */
enum plb_status plb_json_array(const struct plb_json_object *object, const char *key,
                               const json_t **value);

/* The array, of at most `most` entries. */
enum plb_status plb_json_array_within(const struct plb_json_object *object, const char *key,
                                      size_t most, const json_t **value);

/* Room for "FILE: tasks[12]"; a longer name is cut in messages. */
enum { PLB_JSON_PLACE = 512 };

/* Entry `index` of an array as an object, whose errors say "FILE: KEY[INDEX]"; `place` holds that
 * name. */
enum plb_status plb_json_entry(const struct plb_json_object *parent, const json_t *array,
                               const char *key, size_t index, char place[PLB_JSON_PLACE],
                               struct plb_json_object *entry);

/* Only members of `known`, which NULL ends: a misspelled one must not count as missing. */
enum plb_status plb_json_members(const struct plb_json_object *object, const char *const *known);

/* A number and an object that must be there. */
enum plb_status plb_json_require_real(const struct plb_json_object *object, const char *key,
                                      double min, double max, double *value);
enum plb_status plb_json_require_child(const struct plb_json_object *object, const char *key,
                                       struct plb_json_object *child);

/* "format" and "version" as they must be. */
enum plb_status plb_json_check_format(const struct plb_json_object *root, const char *format,
                                      int version);

#ifdef __cplusplus
}
#endif

#endif
