# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: tests of the policies.
check_PROGRAMS += %D%/test_memory
TESTS += %D%/test_memory
tests_schedulers_test_memory_SOURCES = %D%/test_memory.c
check_PROGRAMS += %D%/test_policies
TESTS += %D%/test_policies
tests_schedulers_test_policies_SOURCES = %D%/test_policies.c
