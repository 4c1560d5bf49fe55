# SPDX-License-Identifier: BSD-3-Clause
# Operators against references, see check.h.
check_LTLIBRARIES += %D%/liboperators.la
tests_codelets_liboperators_la_SOURCES = %D%/cases.c %D%/cases.h %D%/check.c %D%/check.h \
	%D%/differences.c %D%/pieces.c %D%/pieces.h %D%/rejections.c %D%/subject.c %D%/subject.h \
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
