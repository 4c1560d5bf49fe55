# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: tests of the readers and writers of files.
plb_formats_tests = \
	%D%/test_hf_config \
	%D%/test_safetensors_read \
	%D%/test_safetensors_write \
	%D%/test_stored_dtype \
	%D%/test_tokenizer \
	%D%/test_tokenizer_train
check_PROGRAMS += $(plb_formats_tests)
TESTS += $(plb_formats_tests)
tests_frontends_formats_test_hf_config_SOURCES = %D%/test_hf_config.c
tests_frontends_formats_test_safetensors_read_SOURCES = %D%/test_safetensors_read.c \
	%D%/stored_file.c %D%/stored_file.h
tests_frontends_formats_test_safetensors_write_SOURCES = %D%/test_safetensors_write.c
tests_frontends_formats_test_safetensors_write_LDADD = $(LDADD) $(JANSSON_LIBS)
tests_frontends_formats_test_stored_dtype_SOURCES = %D%/test_stored_dtype.c
tests_frontends_formats_test_stored_dtype_LDADD = $(LDADD) -lm
tests_frontends_formats_test_tokenizer_SOURCES = %D%/test_tokenizer.c
tests_frontends_formats_test_tokenizer_LDADD = $(LDADD) $(JANSSON_LIBS)
tests_frontends_formats_test_tokenizer_train_SOURCES = %D%/test_tokenizer_train.c
