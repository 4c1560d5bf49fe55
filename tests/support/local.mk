# SPDX-License-Identifier: BSD-3-Clause
# What every test program is linked with, and the test of it.
check_LTLIBRARIES += %D%/libplbtest.la
tests_support_libplbtest_la_SOURCES = \
	%D%/gpt.c %D%/gpt.h \
	%D%/interpreter.c %D%/interpreter.h \
	%D%/parts.c %D%/parts.h \
	%D%/player.c %D%/player.h \
	%D%/plb_test.c %D%/plb_test.h %D%/plb_test_alloc.c \
	%D%/random_graph.c %D%/random_graph.h

check_PROGRAMS += %D%/test_support
TESTS += %D%/test_support
tests_support_test_support_SOURCES = %D%/test_support.c

EXTRA_DIST += %D%/tsan.supp %D%/lsan.supp
