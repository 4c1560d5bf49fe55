/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks of plb_product() that hold whatever library makes the products; the programs
 * test_product*.c choose it and run them.
 */
#ifndef PLB_TESTS_CODELETS_COMMON_PRODUCT_CHECK_H
#define PLB_TESTS_CODELETS_COMMON_PRODUCT_CHECK_H

/* All combinations of transposes, dtypes, bias and accumulation at random sizes, against sums in
 * double precision; what lies beside C and behind the scratch memory stays as it was. */
void products_match_references(void);

/* Sizes around the edges of blocks and tiles. */
void products_at_edges(void);

/* A large product made by four threads at once and once more: the same bits five times. */
void products_have_the_same_bits_on_any_thread(void);

/* Operands moved in memory by less than a cache line: the same bits. */
void products_have_the_same_bits_in_any_place(void);

/* A NaN or an infinity in A reaches its row of C and no other. */
void products_keep_nan_in_its_row(void);

/* The scratch of a product serves each smaller one. */
void scratch_grows_with_sizes(void);

#define PRODUCT_TESTS                                                                              \
    PLB_TEST(products_match_references), PLB_TEST(products_at_edges),                              \
        PLB_TEST(products_have_the_same_bits_on_any_thread),                                       \
        PLB_TEST(products_have_the_same_bits_in_any_place),                                        \
        PLB_TEST(products_keep_nan_in_its_row), PLB_TEST(scratch_grows_with_sizes)

#endif
