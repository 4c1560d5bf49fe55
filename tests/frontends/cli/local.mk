# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: tests of the program.
check_PROGRAMS += %D%/test_memory %D%/test_program
TESTS += %D%/test_memory %D%/test_program
tests_frontends_cli_test_memory_SOURCES = %D%/test_memory.c %D%/run.c %D%/run.h
tests_frontends_cli_test_memory_LDADD = $(LDADD) $(JANSSON_LIBS)
tests_frontends_cli_test_program_SOURCES = %D%/test_program.c %D%/run.c %D%/run.h
tests_frontends_cli_test_program_LDADD = $(LDADD) $(JANSSON_LIBS)
check_PROGRAMS += %D%/test_simulate
TESTS += %D%/test_simulate
tests_frontends_cli_test_simulate_SOURCES = %D%/test_simulate.c %D%/run.c %D%/run.h
tests_frontends_cli_test_simulate_LDADD = $(LDADD) $(JANSSON_LIBS)
