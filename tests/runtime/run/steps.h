/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small training steps on sessions, for tests of the executor: a random graph, its data, and what
 * is left after some steps.
 */
#ifndef PLB_TEST_STEPS_H
#define PLB_TEST_STEPS_H

#include "runtime/run/session.h"
#include "tests/support/random_graph.h"

struct steps {
    struct random_graph random;
    plb_store_t *store;
    plb_session_t *session;
    uint64_t next; /* number of the next step */
};

/* Makes a session and fills parameters, state and inputs. On failure nothing is left. */
enum plb_status steps_make(const struct random_options *random,
                           const struct plb_session_options *options, struct steps *steps_out);
void steps_clear(struct steps *steps);
/* Submits n steps without waiting. */
enum plb_status steps_submit(struct steps *steps, int n);
/* Waits; a hash of the bits of the loss and of all tensors of the store. */
uint64_t steps_hash(struct steps *steps);
/* The same of the store alone, which outlives a session that failed. */
uint64_t steps_hash_store(struct steps *steps);

/* Waits; the loss of the last step. */
float steps_loss(struct steps *steps);
/* What the hash is after n steps under `none`, whatever the budget; found once for each graph of a
 * program that has one. */
uint64_t steps_expected(const struct random_options *random, int n);
struct plb_session_info steps_info(const struct steps *steps);

/* Writes a plan for the session's graph into a file: a third of what the forward pass leaves goes
 * to `tier` and is fetched when it is needed, `ahead` tasks early; a third is forgotten and made
 * again; a third stays. */
enum plb_status steps_write_plan(const struct steps *steps, enum plb_tier tier, uint32_t ahead,
                                 const char *path);

#endif
