/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One fuzz target a program. Linked with replay.c it runs over a stored corpus, as `make check`
 * does; linked with clang's -fsanitize=fuzzer it looks for new inputs (see README.md).
 */
#ifndef PLB_TESTS_FUZZ_H
#define PLB_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* The name of the target's folder in corpus/. */
extern const char plb_fuzz_name[];

/* Feeds one input; what must not happen aborts. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
