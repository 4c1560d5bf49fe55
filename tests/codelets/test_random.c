/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The checks of test_operators on dimensions drawn at random, cut at random places.
 *
 * PLB_TEST_SEED: the first seed (1); a failure prints the seed of its subject, which alone makes it
 * again. PLB_TEST_ROUNDS: seeds tried for each case (20). PLB_TEST_CASE: as in test_operators.
 */
#include "config.h"

#include "tests/codelets/cases.h"
#include "tests/codelets/check.h"
#include "tests/support/plb_test.h"

#include "runtime/base/random.h"

#include <stdlib.h>
#include <string.h>

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

/* Dimensions in the bounds of the case; small ones are as likely as large ones. */
static void draw_dims(const struct subject_case *c, uint64_t seed, int64_t *d)
{
    uint32_t word[4];

    for (int k = 0; k < SUBJECT_DIMS; k++) {
        uint64_t span = (uint64_t)(c->high[k] - c->low[k] + 1), limit;

        plb_random_words(seed, 1000 + (uint64_t)k, 0, word);
        limit = word[1] % 2 == 0 ? span : 1 + span / 8;
        d[k] = c->low[k] + (int64_t)(word[0] % (limit < span ? limit : span));
    }
}

static void each(void (*check)(struct subject *s))
{
    static const enum plb_dtype dtypes[] = {PLB_F32, PLB_BF16};
    const char *only = getenv("PLB_TEST_CASE");
    uint64_t first = setting("PLB_TEST_SEED", 1), rounds = setting("PLB_TEST_ROUNDS", 20);
    int n;
    const struct subject_case *cases = cases_table(&n);
    int64_t d[SUBJECT_DIMS];
    struct subject s;

    for (uint64_t i = 0; i < rounds * (uint64_t)n; i++) {
        const struct subject_case *c = &cases[i % (uint64_t)n];
        uint64_t seed = first + i / (uint64_t)n;

        if (only != NULL && strstr(c->name, only) == NULL)
            continue;
        draw_dims(c, seed, d);
        if (!subject_create(&s, c, d, dtypes[seed % 2], seed))
            continue;
        check(&s);
        subject_destroy(&s);
    }
}

static void values_of_random_shapes(void)
{
    each(check_values);
}

static void gradients_of_random_shapes(void)
{
    each(check_gradients);
}

static void types_of_random_shapes(void)
{
    each(check_rejections);
}

PLB_TEST_MAIN("codelets/random", NULL, NULL, PLB_TEST(values_of_random_shapes),
              PLB_TEST(gradients_of_random_shapes), PLB_TEST(types_of_random_shapes))
