# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: tests of models and training.
plb_nn_tests = \
	tests/frontends/nn/test_checkpoint \
	tests/frontends/nn/test_examples \
	tests/frontends/nn/test_generate \
	tests/frontends/nn/test_golden \
	tests/frontends/nn/test_model \
	tests/frontends/nn/test_optimizer \
	tests/frontends/nn/test_resume \
	tests/frontends/nn/test_sampler \
	tests/frontends/nn/test_split \
	tests/frontends/nn/test_tensor \
	tests/frontends/nn/test_trainer \
	tests/frontends/nn/test_unet
check_PROGRAMS += $(plb_nn_tests)
TESTS += $(plb_nn_tests)
plb_nn_fixtures = tests/frontends/nn/fixtures.c tests/frontends/nn/fixtures.h
tests_frontends_nn_test_checkpoint_SOURCES = tests/frontends/nn/test_checkpoint.c
tests_frontends_nn_test_examples_SOURCES = tests/frontends/nn/test_examples.c
tests_frontends_nn_test_generate_SOURCES = tests/frontends/nn/test_generate.c $(plb_nn_fixtures)
tests_frontends_nn_test_golden_SOURCES = tests/frontends/nn/test_golden.c $(plb_nn_fixtures)
tests_frontends_nn_test_model_SOURCES = tests/frontends/nn/test_model.c
tests_frontends_nn_test_optimizer_SOURCES = tests/frontends/nn/test_optimizer.c
tests_frontends_nn_test_resume_SOURCES = tests/frontends/nn/test_resume.c $(plb_nn_fixtures)
tests_frontends_nn_test_sampler_SOURCES = tests/frontends/nn/test_sampler.c
tests_frontends_nn_test_split_SOURCES = tests/frontends/nn/test_split.c
tests_frontends_nn_test_tensor_SOURCES = tests/frontends/nn/test_tensor.c $(plb_nn_fixtures)
tests_frontends_nn_test_trainer_SOURCES = tests/frontends/nn/test_trainer.c $(plb_nn_fixtures)
tests_frontends_nn_test_unet_SOURCES = tests/frontends/nn/test_unet.c $(plb_nn_fixtures)
