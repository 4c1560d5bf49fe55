# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: files of others: safetensors, configurations, tokenizers.
libpalombe_la_SOURCES += \
	frontends/formats/hf_config.c \
	frontends/formats/hf_config_names.h \
	frontends/formats/hf_config_read.c \
	frontends/formats/hf_config_write.c \
	frontends/formats/safetensors_header.c \
	frontends/formats/safetensors_header.h \
	frontends/formats/safetensors_read.c \
	frontends/formats/safetensors_write.c \
	frontends/formats/stored_dtype.c \
	frontends/formats/tokenizer_added.c \
	frontends/formats/tokenizer_alphabet.c \
	frontends/formats/tokenizer_bpe.c \
	frontends/formats/tokenizer_internal.h \
	frontends/formats/tokenizer_load.c \
	frontends/formats/tokenizer_make.c \
	frontends/formats/tokenizer_split.c \
	frontends/formats/tokenizer_text.c \
	frontends/formats/tokenizer_train.c \
	frontends/formats/utf8.c \
	frontends/formats/utf8.h
nobase_pkginclude_HEADERS += \
	frontends/formats/hf_config.h \
	frontends/formats/safetensors.h \
	frontends/formats/stored_dtype.h \
	frontends/formats/tokenizer.h
