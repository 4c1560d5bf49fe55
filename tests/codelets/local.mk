# SPDX-License-Identifier: BSD-3-Clause
# Operators against references, see check.h.
check_LTLIBRARIES += %D%/liboperators.la
tests_codelets_liboperators_la_SOURCES = %D%/cases.c %D%/cases.h %D%/check.c %D%/check.h \
	%D%/differences.c %D%/indices.c %D%/pieces.c %D%/pieces.h %D%/rejections.c %D%/subject.c %D%/subject.h \
	%D%/reference.c %D%/reference.h %D%/reference_attention.c %D%/reference_dense.c \
	%D%/reference_image.c %D%/reference_loss.c %D%/reference_norm.c %D%/reference_pointwise.c \
	%D%/reference_update.c

check_PROGRAMS += %D%/test_indices %D%/test_operators %D%/test_random
TESTS += %D%/test_indices %D%/test_operators %D%/test_random
tests_codelets_test_indices_SOURCES = %D%/test_indices.c
tests_codelets_test_indices_LDADD = %D%/liboperators.la $(LDADD)
tests_codelets_test_operators_SOURCES = %D%/test_operators.c
tests_codelets_test_operators_LDADD = %D%/liboperators.la $(LDADD)
tests_codelets_test_random_SOURCES = %D%/test_random.c
tests_codelets_test_random_LDADD = %D%/liboperators.la $(LDADD)

# Operators on an emulated CUDA card; on a card by operators_on_card, which nothing runs by itself.
check_LTLIBRARIES += %D%/libcudarunner.la
tests_codelets_libcudarunner_la_SOURCES = %D%/cuda_runner.c %D%/cuda_runner.h
if CUDA_EMULATED
check_PROGRAMS += %D%/test_parts_cuda %D%/test_launches_cuda %D%/test_operators_cuda \
	%D%/test_adamw_many_cuda %D%/test_fused_cuda
TESTS += %D%/test_parts_cuda %D%/test_launches_cuda %D%/test_operators_cuda \
	%D%/test_adamw_many_cuda %D%/test_fused_cuda
endif
if CUDA
check_PROGRAMS += %D%/operators_on_card
endif
tests_codelets_test_parts_cuda_SOURCES = %D%/test_parts_cuda.c
tests_codelets_test_parts_cuda_LDFLAGS = $(EMULATED_CARD_FLAGS)
tests_codelets_test_parts_cuda_LDADD = %D%/libcudarunner.la %D%/liboperators.la \
	$(EMULATED_CARD) $(LDADD)
tests_codelets_test_operators_cuda_SOURCES = %D%/test_operators_cuda.c
tests_codelets_test_operators_cuda_LDFLAGS = $(EMULATED_CARD_FLAGS)
tests_codelets_test_operators_cuda_LDADD = %D%/libcudarunner.la %D%/liboperators.la \
	$(EMULATED_CARD) $(LDADD)
tests_codelets_test_launches_cuda_SOURCES = %D%/test_launches_cuda.c
tests_codelets_test_launches_cuda_LDFLAGS = $(EMULATED_CARD_FLAGS)
tests_codelets_test_launches_cuda_LDADD = $(tests_codelets_test_operators_cuda_LDADD)
tests_codelets_test_adamw_many_cuda_SOURCES = %D%/test_adamw_many_cuda.c
tests_codelets_test_adamw_many_cuda_LDFLAGS = $(EMULATED_CARD_FLAGS)
tests_codelets_test_adamw_many_cuda_LDADD = $(tests_codelets_test_operators_cuda_LDADD)
tests_codelets_test_fused_cuda_SOURCES = %D%/test_fused_cuda.c
tests_codelets_test_fused_cuda_LDFLAGS = $(EMULATED_CARD_FLAGS)
tests_codelets_test_fused_cuda_LDADD = $(tests_codelets_test_operators_cuda_LDADD)
tests_codelets_operators_on_card_SOURCES = %D%/test_operators_cuda.c
tests_codelets_operators_on_card_LDADD = %D%/libcudarunner.la %D%/liboperators.la $(LDADD)

# Products of matrices, by each library.
check_LTLIBRARIES += %D%/common/libproducts.la
tests_codelets_common_libproducts_la_SOURCES = %D%/common/product_check.c %D%/common/product_check.h
check_PROGRAMS += %D%/common/test_blas %D%/common/test_product %D%/common/test_product_native \
	%D%/common/test_product_openblas
TESTS += %D%/common/test_blas %D%/common/test_product %D%/common/test_product_native \
	%D%/common/test_product_openblas
tests_codelets_common_test_blas_SOURCES = %D%/common/test_blas.c
tests_codelets_common_test_product_SOURCES = %D%/common/test_product.c
tests_codelets_common_test_product_LDADD = %D%/common/libproducts.la $(LDADD)
tests_codelets_common_test_product_native_SOURCES = %D%/common/test_product_native.c
tests_codelets_common_test_product_native_LDADD = %D%/common/libproducts.la $(LDADD)
tests_codelets_common_test_product_openblas_SOURCES = %D%/common/test_product_openblas.c
tests_codelets_common_test_product_openblas_LDADD = %D%/common/libproducts.la $(LDADD)
