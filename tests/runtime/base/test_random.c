/* SPDX-License-Identifier: BSD-3-Clause */
/* Random numbers, hashes and messages: known answers and moments. */
#include "config.h"

#include "runtime/base/hash.h"
#include "runtime/base/random.h"
#include "runtime/base/status.h"
#include "tests/support/plb_test.h"

#include <math.h>
#include <string.h>

/* Philox4x32-10: the known answers for counters and keys of zeros, of ones, and of digits of pi
 * (Salmon et al. 2011, the authors' table of test vectors). */
static void philox_known_answers(void)
{
    static const struct {
        uint64_t seed, stream, counter;
        uint32_t expected[4];
    } cases[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {UINT64_C(0x299f31d0a4093822), UINT64_C(0x0370734413198a2e), UINT64_C(0x85a308d3243f6a88),
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        uint32_t word[4];

        plb_random_words(cases[k].seed, cases[k].stream, cases[k].counter, word);
        PLB_CHECK_MEMORY(word, cases[k].expected, sizeof word);
    }
}

static void unit_range(void)
{
    PLB_CHECK(plb_random_unit(0) == 0.0f);
    PLB_CHECK(plb_random_unit(UINT32_MAX) < 1.0f);
}

/* Mean, variance and fourth moment of 200,000 draws: within five standard errors. */
static void normal_moments(void)
{
    const int n = 200000;
    double m1 = 0.0, m2 = 0.0, m4 = 0.0;

    for (int k = 0; k < n; k++) {
        double x = (double)plb_random_normal(42, 7, (uint64_t)k);

        m1 += x / n;
        m2 += x * x / n;
        m4 += x * x * x * x / n;
    }
    PLB_CHECK_NEAR(m1, 0.0, 5.0 / sqrt(n));
    PLB_CHECK_NEAR(m2, 1.0, 5.0 * sqrt(2.0 / n));
    PLB_CHECK_NEAR(m4, 3.0, 5.0 * sqrt(96.0 / n));
}

static void streams_differ(void)
{
    PLB_CHECK(plb_random_normal(1, 1, 1) == plb_random_normal(1, 1, 1));
    PLB_CHECK(plb_random_normal(1, 1, 1) != plb_random_normal(2, 1, 1));
    PLB_CHECK(plb_random_normal(1, 1, 1) != plb_random_normal(1, 2, 1));
    PLB_CHECK(plb_random_normal(1, 1, 1) != plb_random_normal(1, 1, 2));
}

static void hash_depends_on_all(void)
{
    const char text[] = "palombe";

    PLB_CHECK(plb_hash_bytes(text, 7) == plb_hash_bytes("palombe", 7));
    PLB_CHECK(plb_hash_bytes(text, 7) != plb_hash_bytes(text, 6));
    PLB_CHECK(plb_hash_mix(0, text, 7) != plb_hash_mix(1, text, 7));
    PLB_CHECK(plb_hash_mix(plb_hash_mix(0, "a", 1), "b", 1) !=
              plb_hash_mix(plb_hash_mix(0, "b", 1), "a", 1));
}

static void messages(void)
{
    PLB_CHECK_EQ(plb_fail(PLB_ERROR_IO, "file %d", 3), PLB_ERROR_IO);
    PLB_CHECK_STRING(plb_error_message(), "file 3");
    PLB_CHECK_EQ(plb_fail_within(PLB_ERROR_FORMAT, "model"), PLB_ERROR_FORMAT);
    PLB_CHECK_STRING(plb_error_message(), "model: file 3");
    plb_error_clear();
    PLB_CHECK_STRING(plb_error_message(), "");
    for (int k = PLB_ERROR_INTERNAL; k <= PLB_OK; k++)
        PLB_CHECK(strcmp(plb_status_name((enum plb_status)k), "unknown status") != 0);
}

PLB_TEST_MAIN("runtime/base", NULL, NULL, PLB_TEST(philox_known_answers), PLB_TEST(unit_range),
              PLB_TEST(normal_moments), PLB_TEST(streams_differ), PLB_TEST(hash_depends_on_all),
              PLB_TEST(messages))
