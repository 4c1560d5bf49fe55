# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: tests of models and training.
plb_nn_tests = \
	tests/frontends/nn/test_checkpoint \
	tests/frontends/nn/test_model \
	tests/frontends/nn/test_optimizer \
	tests/frontends/nn/test_sampler
check_PROGRAMS += $(plb_nn_tests)
TESTS += $(plb_nn_tests)
tests_frontends_nn_test_checkpoint_SOURCES = tests/frontends/nn/test_checkpoint.c
tests_frontends_nn_test_model_SOURCES = tests/frontends/nn/test_model.c
tests_frontends_nn_test_optimizer_SOURCES = tests/frontends/nn/test_optimizer.c
tests_frontends_nn_test_sampler_SOURCES = tests/frontends/nn/test_sampler.c
