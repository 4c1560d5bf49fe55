# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: tests/runtime/run
check_PROGRAMS += %D%/test_gather
TESTS += %D%/test_gather
tests_runtime_run_test_gather_SOURCES = %D%/test_gather.c
