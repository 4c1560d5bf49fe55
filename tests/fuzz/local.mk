# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: the fuzz targets, each over its stored corpus. README.md says how to fuzz.
plb_fuzz_targets = \
	%D%/fuzz_costs \
	%D%/fuzz_json_config \
	%D%/fuzz_plan \
	%D%/fuzz_platform \
	%D%/fuzz_safetensors \
	%D%/fuzz_safetensors_index \
	%D%/fuzz_tokenizer
check_PROGRAMS += $(plb_fuzz_targets)
TESTS += $(plb_fuzz_targets)
plb_fuzz_replay = %D%/replay.c %D%/fuzz.h
tests_fuzz_fuzz_costs_SOURCES = %D%/fuzz_costs.c $(plb_fuzz_replay)
tests_fuzz_fuzz_costs_LDADD = libpalombe.la
tests_fuzz_fuzz_json_config_SOURCES = %D%/fuzz_json_config.c $(plb_fuzz_replay)
tests_fuzz_fuzz_json_config_LDADD = libpalombe.la
tests_fuzz_fuzz_plan_SOURCES = %D%/fuzz_plan.c $(plb_fuzz_replay)
tests_fuzz_fuzz_plan_LDADD = libpalombe.la
tests_fuzz_fuzz_platform_SOURCES = %D%/fuzz_platform.c $(plb_fuzz_replay)
tests_fuzz_fuzz_platform_LDADD = libpalombe.la
tests_fuzz_fuzz_safetensors_SOURCES = %D%/fuzz_safetensors.c $(plb_fuzz_replay)
tests_fuzz_fuzz_safetensors_LDADD = libpalombe.la
tests_fuzz_fuzz_safetensors_index_SOURCES = %D%/fuzz_safetensors_index.c $(plb_fuzz_replay)
tests_fuzz_fuzz_safetensors_index_LDADD = libpalombe.la
tests_fuzz_fuzz_tokenizer_SOURCES = %D%/fuzz_tokenizer.c $(plb_fuzz_replay)
tests_fuzz_fuzz_tokenizer_LDADD = libpalombe.la
EXTRA_DIST += %D%/README.md %D%/make_seeds.py %D%/corpus
