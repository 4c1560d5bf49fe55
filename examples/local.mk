# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: examples, each one file that uses the installed headers only.
noinst_PROGRAMS += examples/cnn examples/gpt2 examples/mlp
examples_cnn_SOURCES = examples/cnn.c
examples_cnn_LDADD = libpalombe.la
examples_gpt2_SOURCES = examples/gpt2.c
examples_gpt2_LDADD = libpalombe.la
examples_mlp_SOURCES = examples/mlp.c
examples_mlp_LDADD = libpalombe.la
EXTRA_DIST += examples/policy/Makefile examples/policy/keep_every.c examples/policy/by_halves.c
