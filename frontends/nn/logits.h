/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The logits of a model directory for given tokens: what one compares with another framework.
 *
 * Thread-safety: as session.h.
 */
#ifndef PLB_NN_LOGITS_H
#define PLB_NN_LOGITS_H

#include "runtime/run/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Runs the model of `directory` once, without a cache, over `count` tokens and gives
 * logits[count, vocab] in f32, to be freed by the caller. `session` may be NULL. PLB_ERROR_INVALID
 * for a token out of range or too many; PLB_ERROR_IO, PLB_ERROR_FORMAT, PLB_ERROR_MEMORY. */
enum plb_status plb_logits(const char *directory, enum plb_dtype dtype,
                           const struct plb_session_options *session, const int32_t *tokens,
                           int64_t count, float **logits_out, int64_t *vocab_out);

#ifdef __cplusplus
}
#endif

#endif
