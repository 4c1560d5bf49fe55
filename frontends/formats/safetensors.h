/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tensors in files, in the safetensors format: an 8-byte little-endian length, a JSON header of
 * that length that gives each tensor's dtype, shape and place, then the tensors' bytes.
 *
 * Format: https://github.com/huggingface/safetensors ("Format" in its README). A model is one file
 * or several, the "shards", that an index (model.safetensors.index.json) ties together.
 *
 * Everything in a header is checked before it is used: the header fits into the file and is at most
 * 100 MB; each tensor's bytes lie within the file, equal its shape times its dtype, overlap no
 * other's and leave no hole; names are unique; the shards that an index names lie in its own
 * directory.
 *
 * Two ways to the data. plb_safetensors_read() copies and converts with read calls, so that a file
 * that someone truncates meanwhile gives an error. plb_safetensors_map() gives a pointer into the
 * mapped file, without a copy, but touching it after such a truncation kills the process (SIGBUS):
 * use it for files that nobody writes.
 *
 * Thread-safety: an open set may be read by several threads at once, except plb_safetensors_map()
 * and plb_safetensors_close(). A writer belongs to one thread at a time.
 */
#ifndef PLB_FORMATS_SAFETENSORS_H
#define PLB_FORMATS_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "frontends/formats/stored_dtype.h"
#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PLB_STORED_RANK_MAX 8

/* Limits on what is read. */
#define PLB_SAFETENSORS_HEADER_MAX 100000000u /* bytes, as in the reference implementation */
#define PLB_SAFETENSORS_SHARDS_MAX 512u       /* each is an open file */

/* One tensor of an open set. Rank 0 is a scalar; a dimension may be zero. */
struct plb_stored_tensor {
    const char *name;
    enum plb_stored_dtype dtype;
    int rank;
    uint64_t dim[PLB_STORED_RANK_MAX];
    uint64_t elements;
    uint64_t bytes;
    uint64_t offset; /* of the data, from the start of its file */
    uint32_t shard;  /* the number of its file */
};

/* The tensors of one model: an open file, or several. */
typedef struct plb_safetensors plb_safetensors_t;

/* Opens `path`: a .safetensors file, an index (a name that ends in .index.json), or a directory
 * that holds model.safetensors or model.safetensors.index.json (the first one is taken when both
 * are there). PLB_ERROR_IO, PLB_ERROR_FORMAT, PLB_ERROR_MEMORY. */
enum plb_status plb_safetensors_open(const char *path, plb_safetensors_t **set_out);

/* Closes the set; its tensors and mapped pointers end with it. NULL does nothing. */
void plb_safetensors_close(plb_safetensors_t *set);

/* The number of tensors, and tensor `i` of them in the order of their names. */
size_t plb_safetensors_count(const plb_safetensors_t *set);
const struct plb_stored_tensor *plb_safetensors_at(const plb_safetensors_t *set, size_t i);

/* The tensor of that name, or NULL. */
const struct plb_stored_tensor *plb_safetensors_find(const plb_safetensors_t *set,
                                                     const char *name);

/* The tensor of that name. PLB_ERROR_FORMAT, naming the file, when there is none. */
enum plb_status plb_safetensors_require(const plb_safetensors_t *set, const char *name,
                                        const struct plb_stored_tensor **tensor_out);

/* Fails (PLB_ERROR_FORMAT, with both shapes) unless the tensor has this shape. */
enum plb_status plb_safetensors_check_shape(const plb_safetensors_t *set,
                                            const struct plb_stored_tensor *tensor, int rank,
                                            const int64_t *dim);

/* The text under `key` in the header's "__metadata__" (of the first shard), or NULL. */
const char *plb_safetensors_metadata(const plb_safetensors_t *set, const char *key);

/* Copies elements `first` to `first + count` (in row-major order), converted to the format `to`,
 * into `target`. PLB_ERROR_INVALID when they are not all in the tensor or the formats are not
 * convertible (plb_stored_converts()); PLB_ERROR_IO; PLB_ERROR_FORMAT when the file has shrunk. */
enum plb_status plb_safetensors_read(const plb_safetensors_t *set,
                                     const struct plb_stored_tensor *tensor, uint64_t first,
                                     uint64_t count, enum plb_stored_dtype to, void *target);

/* A pointer to the tensor's bytes, in its own format, valid until the set is closed. It may be
 * unaligned. See the head of this file for what happens when the file is truncated. PLB_ERROR_IO.
 */
enum plb_status plb_safetensors_map(plb_safetensors_t *set, const struct plb_stored_tensor *tensor,
                                    const void **data_out);

/*
 * Writing. First all tensors are declared, then the files are opened, then each tensor's elements
 * are appended, in pieces of any size and the tensors in any order, then everything is committed.
 * Files are written aside and renamed (see file.h), an index last. Within a file larger elements
 * come first, so that each tensor is aligned for its format.
 *
 * One file is replaced atomically. Several are not: an index that would become false is removed
 * before the first shard is put in its place, so that a process killed in between leaves a
 * directory that is refused and not a mixture. Write to a new directory where that matters.
 */
typedef struct plb_safetensors_writer plb_safetensors_writer_t;

/* PLB_ERROR_MEMORY. */
enum plb_status plb_safetensors_writer_create(plb_safetensors_writer_t **writer_out);

/* Adds a text to the header's "__metadata__" ("format": "pt" is always there). PLB_ERROR_INVALID
 * for text that is not UTF-8, PLB_ERROR_MEMORY. */
enum plb_status plb_safetensors_writer_metadata(plb_safetensors_writer_t *writer, const char *key,
                                                const char *value);

/* Declares the next tensor; the first declared one is number 0. PLB_ERROR_INVALID for a name that
 * was declared before or is not UTF-8, or a shape that is no shape; PLB_ERROR_MEMORY. */
enum plb_status plb_safetensors_writer_declare(plb_safetensors_writer_t *writer, const char *name,
                                               enum plb_stored_dtype dtype, int rank,
                                               const int64_t *dim);

/* Opens one file. PLB_ERROR_IO (also when the disk has no room for all), PLB_ERROR_MEMORY. */
enum plb_status plb_safetensors_writer_open_file(plb_safetensors_writer_t *writer,
                                                 const char *path);

/* Opens DIRECTORY/model.safetensors, or shards when the tensors together have more than
 * `shard_bytes` bytes (0: never). Tensors fill shards in the order in which they were declared; a
 * tensor larger than that has a shard of its own. The directory must exist. As
 * plb_safetensors_writer_open_file(). */
enum plb_status plb_safetensors_writer_open_directory(plb_safetensors_writer_t *writer,
                                                      const char *directory, uint64_t shard_bytes);

/* Appends `count` elements, given in the format `from`, to tensor number `tensor`.
 * PLB_ERROR_INVALID when they are more than the shape holds or not convertible; PLB_ERROR_IO. */
enum plb_status plb_safetensors_writer_append(plb_safetensors_writer_t *writer, size_t tensor,
                                              enum plb_stored_dtype from, const void *data,
                                              uint64_t count);

/* Puts all files in their places and frees the writer, also on failure. PLB_ERROR_INVALID when a
 * tensor is not complete; PLB_ERROR_IO; PLB_ERROR_MEMORY. */
enum plb_status plb_safetensors_writer_commit(plb_safetensors_writer_t *writer);

/* Removes what was written and frees the writer. NULL does nothing. */
void plb_safetensors_writer_abort(plb_safetensors_writer_t *writer);

#ifdef __cplusplus
}
#endif

#endif
