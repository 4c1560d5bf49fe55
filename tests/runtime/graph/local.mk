# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: tests of values, graphs, and what is asked of them.
check_PROGRAMS += \
	%D%/test_cut \
	%D%/test_cut_rules \
	%D%/test_cut_run \
	%D%/test_differentiate \
	%D%/test_dot \
	%D%/test_fingerprint \
	%D%/test_gradients \
	%D%/test_graph \
	%D%/test_lineage \
	%D%/test_replay \
	%D%/test_value
TESTS += \
	%D%/test_cut \
	%D%/test_cut_rules \
	%D%/test_cut_run \
	%D%/test_differentiate \
	%D%/test_dot \
	%D%/test_fingerprint \
	%D%/test_gradients \
	%D%/test_graph \
	%D%/test_lineage \
	%D%/test_replay \
	%D%/test_value
tests_runtime_graph_test_cut_SOURCES = %D%/test_cut.c %D%/cut_check.c %D%/cut_check.h \
	%D%/models.c %D%/models.h
tests_runtime_graph_test_cut_rules_SOURCES = %D%/test_cut_rules.c %D%/cut_check.c %D%/cut_check.h
tests_runtime_graph_test_cut_run_SOURCES = %D%/test_cut_run.c %D%/cut_check.c %D%/cut_check.h \
	%D%/models.c %D%/models.h
tests_runtime_graph_test_differentiate_SOURCES = %D%/test_differentiate.c %D%/fake.c %D%/fake.h
tests_runtime_graph_test_dot_SOURCES = %D%/test_dot.c %D%/fake.c %D%/fake.h
tests_runtime_graph_test_fingerprint_SOURCES = %D%/test_fingerprint.c %D%/fake.c %D%/fake.h
tests_runtime_graph_test_gradients_SOURCES = %D%/test_gradients.c
tests_runtime_graph_test_graph_SOURCES = %D%/test_graph.c %D%/fake.c %D%/fake.h
tests_runtime_graph_test_lineage_SOURCES = %D%/test_lineage.c %D%/fake.c %D%/fake.h
tests_runtime_graph_test_replay_SOURCES = %D%/test_replay.c %D%/fake.c %D%/fake.h %D%/models.c \
	%D%/models.h
tests_runtime_graph_test_value_SOURCES = %D%/test_value.c
