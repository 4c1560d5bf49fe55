# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: models, training, checkpoints, generation.
libpalombe_la_SOURCES += \
	frontends/nn/checkpoint.c \
	frontends/nn/cnn.c \
	frontends/nn/family.h \
	frontends/nn/generate.c \
	frontends/nn/gpt2.c \
	frontends/nn/initial.c \
	frontends/nn/language.c \
	frontends/nn/layers.c \
	frontends/nn/layers_internal.h \
	frontends/nn/layers_shards.c \
	frontends/nn/llama.c \
	frontends/nn/logits.c \
	frontends/nn/mlp.c \
	frontends/nn/model.c \
	frontends/nn/model_internal.h \
	frontends/nn/optimizer.c \
	frontends/nn/pretrain.c \
	frontends/nn/sampler.c \
	frontends/nn/shards.c \
	frontends/nn/shards.h \
	frontends/nn/split.c \
	frontends/nn/trainer.c \
	frontends/nn/trainer_file.c \
	frontends/nn/trainer_file.h \
	frontends/nn/unet.c \
	frontends/nn/weights.c
nobase_pkginclude_HEADERS += \
	frontends/nn/checkpoint.h \
	frontends/nn/classifiers.h \
	frontends/nn/generate.h \
	frontends/nn/language.h \
	frontends/nn/layers.h \
	frontends/nn/logits.h \
	frontends/nn/model.h \
	frontends/nn/optimizer.h \
	frontends/nn/pretrain.h \
	frontends/nn/sampler.h \
	frontends/nn/split.h \
	frontends/nn/trainer.h \
	frontends/nn/unet.h \
	frontends/nn/weights.h
