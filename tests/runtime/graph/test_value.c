/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Types of values: sizes with their limits, names, text.
 */
#include "config.h"

#include "runtime/graph/value.h"
#include "tests/support/plb_test.h"

#include <stdint.h>
#include <string.h>

static void dtypes_have_names_and_sizes(void)
{
    PLB_CHECK_EQ(plb_dtype_bytes(PLB_F32), 4);
    PLB_CHECK_EQ(plb_dtype_bytes(PLB_BF16), 2);
    PLB_CHECK_EQ(plb_dtype_bytes(PLB_F64), 8);
    PLB_CHECK_EQ(plb_dtype_bytes(PLB_I32), 4);
    PLB_CHECK_EQ(plb_dtype_bytes((enum plb_dtype)99), 0);
    PLB_CHECK_STRING(plb_dtype_name(PLB_BF16), "bf16");
    PLB_CHECK_STRING(plb_dtype_name((enum plb_dtype)99), "unknown");
    PLB_CHECK_STRING(plb_role_name(PLB_ROLE_STATE), "state");
    PLB_CHECK_STRING(plb_role_name(PLB_ROLES), "unknown");
}

static void shapes_compare_by_their_dimensions(void)
{
    struct plb_shape a = plb_shape2(3, 4), b = plb_shape2(3, 4), c = plb_shape4(3, 4, 1, 1);

    b.dim[2] = 7; /* unused */
    PLB_CHECK(plb_shape_equal(&a, &b));
    PLB_CHECK(!plb_shape_equal(&a, &c));
    b.dim[1] = 5;
    PLB_CHECK(!plb_shape_equal(&a, &b));
}

static void elements_are_counted_up_to_the_limit(void)
{
    struct plb_shape shape = plb_shape4(2, 3, 4, 5);

    PLB_CHECK_EQ(plb_shape_elements(&shape), 120);
    PLB_CHECK_EQ(plb_shape_row_elements(&shape), 60);
    shape = plb_shape1(9);
    PLB_CHECK_EQ(plb_shape_row_elements(&shape), 1);
    shape = plb_shape2(INT64_C(1) << 31, INT64_C(1) << 31);
    PLB_CHECK_EQ(plb_shape_elements(&shape), INT64_C(1) << 62);
    shape.dim[1]++;
    PLB_CHECK_EQ(plb_shape_elements(&shape), -1);
    shape = plb_shape4(INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX);
    PLB_CHECK_EQ(plb_shape_elements(&shape), -1);
    shape = plb_shape2(4, 0);
    PLB_CHECK_EQ(plb_shape_elements(&shape), -1);
    shape = plb_shape2(-4, -2);
    PLB_CHECK_EQ(plb_shape_elements(&shape), -1);
    shape.rank = 0;
    PLB_CHECK_EQ(plb_shape_elements(&shape), -1);
    shape.rank = PLB_RANK_MAX + 1;
    PLB_CHECK_EQ(plb_shape_elements(&shape), -1);
}

static void bytes_never_wrap(void)
{
    struct plb_type type = {PLB_BF16, plb_shape2(3, 5)};

    PLB_CHECK_EQ(plb_type_bytes(&type), 30);
    type.shape = plb_shape2(INT64_C(1) << 31, INT64_C(1) << 31);
    type.dtype = PLB_F64;
    PLB_CHECK(plb_type_bytes(&type) == SIZE_MAX);
    type.shape.rank = 0;
    PLB_CHECK_EQ(plb_type_bytes(&type), 0);
}

static void text_is_whole_or_cut_but_terminated(void)
{
    struct plb_type type = {PLB_F32, plb_shape2(4, 768)};
    char text[64];

    PLB_CHECK_STRING(plb_type_print(&type, text, sizeof text), "f32[4,768]");
    for (size_t bytes = 2; bytes < sizeof "f32[4,768]"; bytes++) {
        memset(text, '#', sizeof text);
        plb_type_print(&type, text, bytes);
        PLB_CHECK_EQ(strlen(text), bytes - 1);
        PLB_CHECK_MEMORY(text, "f32[4,768]", bytes - 1);
        PLB_CHECK_EQ(text[bytes], '#');
    }
    text[0] = '#';
    plb_type_print(&type, text, 0);
    PLB_CHECK_EQ(text[0], '#');
    type.shape.rank = 0;
    PLB_CHECK_STRING(plb_type_print(&type, text, sizeof text), "absent");
}

PLB_TEST_MAIN("runtime/graph/value", NULL, NULL, PLB_TEST(dtypes_have_names_and_sizes),
              PLB_TEST(shapes_compare_by_their_dimensions),
              PLB_TEST(elements_are_counted_up_to_the_limit), PLB_TEST(bytes_never_wrap),
              PLB_TEST(text_is_whole_or_cut_but_terminated))
