/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers of bytes and budgets as people write them.
 */
#include "config.h"

#include "runtime/base/bytes.h"
#include "tests/support/plb_test.h"

#include <stdint.h>

static void check_bytes(const char *text, size_t expected)
{
    size_t bytes = 0;

    PLB_CHECK_EQ(plb_bytes_read(text, SIZE_MAX, &bytes), PLB_OK);
    PLB_CHECK_EQ(bytes, expected);
}

static void check_refused(const char *text)
{
    size_t bytes = 77;

    PLB_CHECK_EQ(plb_bytes_read(text, SIZE_MAX, &bytes), PLB_ERROR_INVALID);
    PLB_CHECK_EQ(bytes, 77);
    PLB_CHECK_CONTAINS(plb_error_message(), text);
}

static void sizes(void)
{
    check_bytes("1", 1);
    check_bytes("4096", 4096);
    check_bytes("4096B", 4096);
    check_bytes("1.5GiB", (size_t)3 << 29);
    check_bytes("600MB", 600000000);
    check_bytes("600 mb", 600000000);
    check_bytes("2kib", 2048);
    check_bytes(".5KB", 500);
    check_bytes("1TiB", (size_t)1 << 40);
    check_bytes("2tb", 2000000000000);
}

static void part_of_a_text(void)
{
    const char *text = "2GiB,link=150MB/s";
    size_t bytes = 0;

    PLB_CHECK_EQ(plb_bytes_read(text, 4, &bytes), PLB_OK);
    PLB_CHECK_EQ(bytes, (size_t)2 << 30);
    PLB_CHECK_EQ(plb_bytes_read(text + 10, 5, &bytes), PLB_OK);
    PLB_CHECK_EQ(bytes, 150000000);
    PLB_CHECK_EQ(plb_bytes_read(text, 0, &bytes), PLB_ERROR_INVALID);
}

static void no_sizes(void)
{
    static const char *const texts[] = {"",
                                        "0",
                                        "0GiB",
                                        "0.2B",
                                        "-1",
                                        "+1GiB",
                                        "GiB",
                                        "nan",
                                        "inf",
                                        "0x10",
                                        "1e3",
                                        "1 G",
                                        "1.5.2",
                                        "1MiBB",
                                        "1e99",
                                        "999999999999999999999999999999999999999999999",
                                        "9000000000TiB",
                                        "1,5GiB",
                                        ".",
                                        " 1"};

    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
        size_t bytes = 77;

        PLB_CHECK_EQ(plb_bytes_read(texts[k], SIZE_MAX, &bytes), PLB_ERROR_INVALID);
        PLB_CHECK_EQ(bytes, 77);
    }
    check_refused("12 parsecs");
}

static void budgets(void)
{
    struct plb_budget budget = {1, 1.0};

    PLB_CHECK_EQ(plb_budget_read(NULL, &budget), PLB_OK);
    PLB_CHECK(budget.bytes == 0 && budget.share == 0.0);
    PLB_CHECK_EQ(plb_budget_read("", &budget), PLB_OK);
    PLB_CHECK(budget.bytes == 0 && budget.share == 0.0);
    PLB_CHECK_EQ(plb_budget_read("0.25", &budget), PLB_OK);
    PLB_CHECK(budget.bytes == 0 && budget.share == 0.25);
    PLB_CHECK_EQ(plb_budget_read("1", &budget), PLB_OK);
    PLB_CHECK(budget.bytes == 0 && budget.share == 1.0);
    PLB_CHECK_EQ(plb_budget_read("1B", &budget), PLB_OK);
    PLB_CHECK(budget.bytes == 1 && budget.share == 0.0);
    PLB_CHECK_EQ(plb_budget_read("4096", &budget), PLB_OK);
    PLB_CHECK(budget.bytes == 4096 && budget.share == 0.0);
    PLB_CHECK_EQ(plb_budget_read("1.5 MiB", &budget), PLB_OK);
    PLB_CHECK(budget.bytes == (size_t)3 << 19 && budget.share == 0.0);
}

static void no_budgets(void)
{
    static const char *const texts[] = {"0", "0.0", "-0.5", "1.5", "half", "nan", "50%", "0MiB"};
    struct plb_budget budget = {77, 0.0};

    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
        PLB_CHECK_EQ(plb_budget_read(texts[k], &budget), PLB_ERROR_INVALID);
        PLB_CHECK_EQ(budget.bytes, 77);
        PLB_CHECK_CONTAINS(plb_error_message(), texts[k]);
    }
}

static void texts(void)
{
    PLB_CHECK_STRING(plb_bytes_text(0).text, "0 bytes");
    PLB_CHECK_STRING(plb_bytes_text(1).text, "1 byte");
    PLB_CHECK_STRING(plb_bytes_text(1023).text, "1023 bytes");
    PLB_CHECK_STRING(plb_bytes_text(1536).text, "1.5 KiB");
    PLB_CHECK_STRING(plb_bytes_text(0x1p20 - 1).text, "1.0 MiB");
    PLB_CHECK_STRING(plb_bytes_text(128870686736.0).text, "120.0 GiB");
    PLB_CHECK_STRING(plb_bytes_text(0x1p54).text, "16384.0 TiB");
    PLB_CHECK_STRING(plb_bytes_text((double)SIZE_MAX).text, "16777216.0 TiB");
}

PLB_TEST_MAIN("runtime/base/bytes", NULL, NULL, PLB_TEST(sizes), PLB_TEST(part_of_a_text),
              PLB_TEST(no_sizes), PLB_TEST(budgets), PLB_TEST(no_budgets), PLB_TEST(texts))
