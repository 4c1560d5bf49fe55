/* SPDX-License-Identifier: BSD-3-Clause */
/* Conversions of stored numbers, against slow definitions of the formats. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "frontends/formats/stored_dtype.h"
#include "tests/support/plb_test.h"

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16 by its definition. */
static double f16_by_definition(uint16_t half)
{
    double sign = (half & 0x8000) != 0 ? -1.0 : 1.0;
    int exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 31)
        return fraction != 0 ? (double)NAN : sign * (double)INFINITY;
    return exponent == 0 ? sign * ldexp(fraction, -24)
                         : sign * ldexp(1024 + fraction, exponent - 25);
}

static bool same(double a, double b)
{
    return a == b ? signbit(a) == signbit(b) : isnan(a) && isnan(b);
}

static void every_half_becomes_the_float_of_its_definition(void)
{
    int wrong = 0;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        uint16_t half = (uint16_t)bits;
        float single = 0.0f;
        double wide = 0.0;
        plb_stored_convert(PLB_STORED_F16, &half, PLB_STORED_F32, &single, 1);
        plb_stored_convert(PLB_STORED_F16, &half, PLB_STORED_F64, &wide, 1);
        wrong += !same((double)single, f16_by_definition(half)) || !same(wide, (double)single);
    }
    PLB_CHECK_EQ(wrong, 0);
}

static void every_bf16_is_the_upper_half_of_a_float(void)
{
    int wrong = 0;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        uint16_t half = (uint16_t)bits, back = 0;
        float single = 0.0f;
        plb_stored_convert(PLB_STORED_BF16, &half, PLB_STORED_F32, &single, 1);
        wrong += !same((double)single, (double)float_of(bits << 16));
        plb_stored_convert(PLB_STORED_F32, &single, PLB_STORED_BF16, &back, 1);
        wrong += isnan(single) ? (back & 0x7fff) <= 0x7f80 : back != half;
    }
    PLB_CHECK_EQ(wrong, 0);
}

static void floats_round_to_the_nearest_even_bf16(void)
{
    static const uint32_t cases[][2] = {
        {0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81}, {0x3f818000, 0x3f82},
        {0x3f817fff, 0x3f81}, {0x7f7fffff, 0x7f80}, {0xff7fffff, 0xff80}, {0x7f800000, 0x7f80},
        {0x00000001, 0x0000}, {0x00008001, 0x0001}, {0x80000000, 0x8000}, {0x7f800001, 0x7fc0},
        {0xffffffff, 0xffff},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint16_t half = 0;
        PLB_CHECK_EQ(plb_stored_convert(PLB_STORED_F32, &cases[i][0], PLB_STORED_BF16, &half, 1),
                     PLB_OK);
        PLB_CHECK_EQ(half, cases[i][1]);
    }
}

static void sources_need_no_alignment(void)
{
    char buffer[1 + 3 * sizeof(double)];
    const double values[3] = {1.5, -2.25, 1e-3};
    float target[3];
    memcpy(buffer + 1, values, sizeof values);
    PLB_CHECK_EQ(plb_stored_convert(PLB_STORED_F64, buffer + 1, PLB_STORED_F32, target, 3), PLB_OK);
    for (int i = 0; i < 3; i++)
        PLB_CHECK_NEAR((double)target[i], (double)(float)values[i], 0.0);
}

static void integers_convert_when_they_fit(void)
{
    static const int64_t wide[] = {INT32_MIN, -1, 0, INT32_MAX};
    static const uint64_t big = UINT64_MAX;
    static const int64_t too_large = (int64_t)INT32_MAX + 1;
    static const int8_t small[] = {-128, 127};
    int32_t narrow[4];
    int64_t long_one = 0;
    double real = 0.0;
    PLB_CHECK_EQ(plb_stored_convert(PLB_STORED_I64, wide, PLB_STORED_I32, narrow, 4), PLB_OK);
    PLB_CHECK(narrow[0] == INT32_MIN && narrow[1] == -1 && narrow[3] == INT32_MAX);
    PLB_CHECK_EQ(plb_stored_convert(PLB_STORED_I8, small, PLB_STORED_I32, narrow, 2), PLB_OK);
    PLB_CHECK(narrow[0] == -128 && narrow[1] == 127);
    PLB_CHECK_EQ(plb_stored_convert(PLB_STORED_I64, &too_large, PLB_STORED_I32, narrow, 1),
                 PLB_ERROR_FORMAT);
    PLB_CHECK_CONTAINS(plb_error_message(), "2147483648");
    PLB_CHECK_EQ(plb_stored_convert(PLB_STORED_U64, &big, PLB_STORED_I64, &long_one, 1),
                 PLB_ERROR_FORMAT);
    PLB_CHECK_EQ(plb_stored_convert(PLB_STORED_U64, &big, PLB_STORED_F64, &real, 1), PLB_OK);
    PLB_CHECK_NEAR(real, 18446744073709551616.0, 0.0);
}

/* The same 1 in every format becomes 1.0f, and what is not known is refused. */
static void every_pair_converts_or_is_refused(void)
{
    static const uint64_t ones[PLB_STORED_DTYPES] = {
        [PLB_STORED_BOOL] = 1,
        [PLB_STORED_U8] = 1,
        [PLB_STORED_I8] = 1,
        [PLB_STORED_U16] = 1,
        [PLB_STORED_I16] = 1,
        [PLB_STORED_F16] = 0x3c00,
        [PLB_STORED_U32] = 1,
        [PLB_STORED_BF16] = 0x3f80,
        [PLB_STORED_I32] = 1,
        [PLB_STORED_U64] = 1,
        [PLB_STORED_F32] = 0x3f800000,
        [PLB_STORED_I64] = 1,
        [PLB_STORED_F64] = 0x3ff0000000000000,
    };
    for (int from = 0; from < PLB_STORED_DTYPES; from++) {
        for (int to = 0; to < PLB_STORED_DTYPES; to++) {
            uint64_t target = 0;
            bool known =
                plb_stored_converts((enum plb_stored_dtype)from, (enum plb_stored_dtype)to);
            enum plb_status status = plb_stored_convert((enum plb_stored_dtype)from, &ones[from],
                                                        (enum plb_stored_dtype)to, &target, 1);
            PLB_CHECK_EQ(status, known ? PLB_OK : PLB_ERROR_INVALID);
            PLB_CHECK(target == (known ? ones[to] : 0));
        }
    }
    PLB_CHECK(!plb_stored_converts(PLB_STORED_F32, PLB_STORED_I32));
    PLB_CHECK(plb_stored_converts(PLB_STORED_U8, PLB_STORED_BF16));
}

static void names_are_found(void)
{
    enum plb_stored_dtype dtype = PLB_STORED_BOOL;
    for (int i = 0; i < PLB_STORED_DTYPES; i++) {
        PLB_CHECK(plb_stored_dtype_find(plb_stored_dtype_name((enum plb_stored_dtype)i), &dtype));
        PLB_CHECK_EQ(dtype, i);
    }
    PLB_CHECK(!plb_stored_dtype_find("F8_E4M3", &dtype));
    PLB_CHECK(!plb_stored_dtype_find("f32", &dtype));
    for (int i = 0; i < PLB_DTYPES; i++)
        PLB_CHECK_EQ(plb_stored_dtype_bytes(plb_stored_dtype_of((enum plb_dtype)i)),
                     plb_dtype_bytes((enum plb_dtype)i));
}

PLB_TEST_MAIN("frontends/formats/stored_dtype", NULL, NULL,
              PLB_TEST(every_half_becomes_the_float_of_its_definition),
              PLB_TEST(every_bf16_is_the_upper_half_of_a_float),
              PLB_TEST(floats_round_to_the_nearest_even_bf16), PLB_TEST(sources_need_no_alignment),
              PLB_TEST(integers_convert_when_they_fit), PLB_TEST(every_pair_converts_or_is_refused),
              PLB_TEST(names_are_found))
