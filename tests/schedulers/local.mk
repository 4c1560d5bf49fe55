# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: tests of the policies.
check_PROGRAMS += %D%/test_memory
TESTS += %D%/test_memory
tests_schedulers_test_memory_SOURCES = %D%/test_memory.c
check_PROGRAMS += %D%/test_policies
TESTS += %D%/test_policies
tests_schedulers_test_policies_SOURCES = %D%/test_policies.c

# One library of policies from outside the tree, right and in several ways wrong.
check_LTLIBRARIES += %D%/modules/outside.la %D%/modules/abi.la %D%/modules/record.la \
	%D%/modules/taken.la %D%/modules/empty.la %D%/modules/symbol.la
PLB_TEST_MODULE_LDFLAGS = $(PLB_LDFLAGS) -module -avoid-version -shared -rpath /nonexistent
tests_schedulers_modules_outside_la_SOURCES = %D%/modules/module.c
tests_schedulers_modules_outside_la_LDFLAGS = $(PLB_TEST_MODULE_LDFLAGS)
tests_schedulers_modules_outside_la_LIBADD = libpalombe.la
tests_schedulers_modules_abi_la_SOURCES = %D%/modules/module.c
tests_schedulers_modules_abi_la_CPPFLAGS = -DMODULE_ABI=99u
tests_schedulers_modules_abi_la_LDFLAGS = $(PLB_TEST_MODULE_LDFLAGS)
tests_schedulers_modules_abi_la_LIBADD = libpalombe.la
tests_schedulers_modules_record_la_SOURCES = %D%/modules/module.c
tests_schedulers_modules_record_la_CPPFLAGS = -DMODULE_RECORD=8u
tests_schedulers_modules_record_la_LDFLAGS = $(PLB_TEST_MODULE_LDFLAGS)
tests_schedulers_modules_record_la_LIBADD = libpalombe.la
tests_schedulers_modules_taken_la_SOURCES = %D%/modules/module.c
tests_schedulers_modules_taken_la_CPPFLAGS = -DMODULE_NAME='"none"'
tests_schedulers_modules_taken_la_LDFLAGS = $(PLB_TEST_MODULE_LDFLAGS)
tests_schedulers_modules_taken_la_LIBADD = libpalombe.la
tests_schedulers_modules_empty_la_SOURCES = %D%/modules/module.c
tests_schedulers_modules_empty_la_CPPFLAGS = -DMODULE_NO_PLAN
tests_schedulers_modules_empty_la_LDFLAGS = $(PLB_TEST_MODULE_LDFLAGS)
tests_schedulers_modules_empty_la_LIBADD = libpalombe.la
tests_schedulers_modules_symbol_la_SOURCES = %D%/modules/module.c
tests_schedulers_modules_symbol_la_CPPFLAGS = -DMODULE_SYMBOL=another_module
tests_schedulers_modules_symbol_la_LDFLAGS = $(PLB_TEST_MODULE_LDFLAGS)
tests_schedulers_modules_symbol_la_LIBADD = libpalombe.la
check_PROGRAMS += %D%/test_modules
TESTS += %D%/test_modules
tests_schedulers_test_modules_SOURCES = %D%/test_modules.c
check_PROGRAMS += %D%/test_online
TESTS += %D%/test_online
tests_schedulers_test_online_SOURCES = %D%/test_online.c
check_PROGRAMS += %D%/test_policies_run
TESTS += %D%/test_policies_run
tests_schedulers_test_policies_run_SOURCES = %D%/test_policies_run.c \
	tests/runtime/run/steps.c tests/runtime/run/steps.h
check_PROGRAMS += %D%/test_fates
TESTS += %D%/test_fates
tests_schedulers_test_fates_SOURCES = %D%/test_fates.c
check_PROGRAMS += %D%/test_chain
TESTS += %D%/test_chain
tests_schedulers_test_chain_SOURCES = %D%/test_chain.c
check_PROGRAMS += %D%/test_oracle
TESTS += %D%/test_oracle
tests_schedulers_test_oracle_SOURCES = %D%/test_oracle.c
check_PROGRAMS += %D%/test_skips
TESTS += %D%/test_skips
tests_schedulers_test_skips_SOURCES = %D%/test_skips.c
check_PROGRAMS += %D%/parallel/test_pipeline
TESTS += %D%/parallel/test_pipeline
tests_schedulers_parallel_test_pipeline_SOURCES = %D%/parallel/test_pipeline.c
check_PROGRAMS += %D%/parallel/test_parallel
TESTS += %D%/parallel/test_parallel
tests_schedulers_parallel_test_parallel_SOURCES = %D%/parallel/test_parallel.c
check_PROGRAMS += %D%/parallel/test_auto
TESTS += %D%/parallel/test_auto
tests_schedulers_parallel_test_auto_SOURCES = %D%/parallel/test_auto.c \
	%D%/parallel/exhaustive.c %D%/parallel/exhaustive.h
check_PROGRAMS += %D%/parallel/test_auto_graph
TESTS += %D%/parallel/test_auto_graph
tests_schedulers_parallel_test_auto_graph_SOURCES = %D%/parallel/test_auto_graph.c
