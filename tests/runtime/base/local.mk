# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: tests of what everything stands on.
check_PROGRAMS += %D%/test_bytes %D%/test_file %D%/test_json %D%/test_options %D%/test_random
TESTS += %D%/test_bytes %D%/test_file %D%/test_json %D%/test_options %D%/test_random
tests_runtime_base_test_bytes_SOURCES = %D%/test_bytes.c
tests_runtime_base_test_file_SOURCES = %D%/test_file.c
tests_runtime_base_test_json_SOURCES = %D%/test_json.c
tests_runtime_base_test_json_LDADD = $(LDADD) $(JANSSON_LIBS)
tests_runtime_base_test_options_SOURCES = %D%/test_options.c
tests_runtime_base_test_random_SOURCES = %D%/test_random.c
