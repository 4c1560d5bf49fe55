# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: tests of plans and of the policy that keeps everything.
check_PROGRAMS += %D%/test_plan
TESTS += %D%/test_plan
tests_runtime_plan_test_plan_SOURCES = %D%/test_plan.c %D%/random_plan.c %D%/random_plan.h
check_PROGRAMS += %D%/test_writer
TESTS += %D%/test_writer
tests_runtime_plan_test_writer_SOURCES = %D%/test_writer.c
check_PROGRAMS += %D%/test_costs
TESTS += %D%/test_costs
tests_runtime_plan_test_costs_SOURCES = %D%/test_costs.c
check_PROGRAMS += %D%/test_simulate
TESTS += %D%/test_simulate
tests_runtime_plan_test_simulate_SOURCES = %D%/test_simulate.c
check_PROGRAMS += %D%/test_gpt
TESTS += %D%/test_gpt
tests_runtime_plan_test_gpt_SOURCES = %D%/test_gpt.c
check_PROGRAMS += %D%/test_layout
TESTS += %D%/test_layout
tests_runtime_plan_test_layout_SOURCES = %D%/test_layout.c %D%/random_plan.c %D%/random_plan.h
check_PROGRAMS += %D%/test_plan_file
TESTS += %D%/test_plan_file
tests_runtime_plan_test_plan_file_SOURCES = %D%/test_plan_file.c
check_PROGRAMS += %D%/test_problem
TESTS += %D%/test_problem
tests_runtime_plan_test_problem_SOURCES = %D%/test_problem.c %D%/random_plan.c %D%/random_plan.h
check_PROGRAMS += %D%/test_places
TESTS += %D%/test_places
tests_runtime_plan_test_places_SOURCES = %D%/test_places.c
check_PROGRAMS += %D%/test_hybrid
TESTS += %D%/test_hybrid
tests_runtime_plan_test_hybrid_SOURCES = %D%/test_hybrid.c %D%/random_hybrid.c %D%/random_hybrid.h \
	%D%/random_plan.h %D%/stages.c %D%/stages.h
check_PROGRAMS += %D%/test_hybrid_memory
TESTS += %D%/test_hybrid_memory
tests_runtime_plan_test_hybrid_memory_SOURCES = %D%/test_hybrid_memory.c %D%/stages.c %D%/stages.h
check_PROGRAMS += %D%/test_spread_simulate
TESTS += %D%/test_spread_simulate
tests_runtime_plan_test_spread_simulate_SOURCES = %D%/test_spread_simulate.c %D%/random_hybrid.c \
	%D%/random_hybrid.h %D%/random_plan.h %D%/stages.c %D%/stages.h
check_PROGRAMS += %D%/test_keep
TESTS += %D%/test_keep
tests_runtime_plan_test_keep_SOURCES = %D%/test_keep.c
