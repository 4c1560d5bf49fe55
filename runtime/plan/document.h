/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the documents of plans and of hybrid plans have in common: both are written by hand, since a
 * library would take ten times the memory, and both begin with the same three members. Not
 * installed.
 */
#ifndef PLB_PLAN_DOCUMENT_H
#define PLB_PLAN_DOCUMENT_H

#include "runtime/base/json.h"

#include <stddef.h>
#include <stdint.h>

#define PLB__DOCUMENT_BYTES_MAX ((size_t)256 << 20)
#define PLB__POLICY_NAME        64  /* bytes of the name of a policy, with the final zero */
#define PLB__DOCUMENT_HEAD      320 /* bytes of what plb__text_begin() adds, at most */

/* A text in room that suffices. */
struct plb__text {
    char *text;
    size_t used, bytes;
};

enum plb_status plb__text_create(size_t bytes, struct plb__text *text_out);
void plb__text_add(struct plb__text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* '{', the format, the policy's name and the graph's fingerprint, each with a comma behind. */
void plb__text_begin(struct plb__text *text, const char *format, const char *policy,
                     uint64_t fingerprint);

/* Reads these back. PLB_ERROR_FORMAT. */
enum plb_status plb__document_begin(const struct plb_json_object *root, const char *format,
                                    char policy_out[PLB__POLICY_NAME], uint64_t *fingerprint_out);

/* A number of 32 bits. */
bool plb__document_number(const json_t *json, uint32_t *number_out);

#endif
