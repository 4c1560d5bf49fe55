# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: tests of corpora.
check_PROGRAMS += tests/frontends/data/test_corpus
TESTS += tests/frontends/data/test_corpus
tests_frontends_data_test_corpus_SOURCES = tests/frontends/data/test_corpus.c
