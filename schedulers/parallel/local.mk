# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: parallel policies.
libpalombe_la_SOURCES += \
	schedulers/parallel/1f1b.c \
	schedulers/parallel/gpipe.c \
	schedulers/parallel/interleaved.c \
	schedulers/parallel/zb_greedy.c \
	schedulers/parallel/zb_h1.c \
	schedulers/parallel/zb_v.c \
	schedulers/parallel/common/greedy.c \
	schedulers/parallel/common/pipeline.c schedulers/parallel/common/pipeline.h \
	schedulers/parallel/common/rule.c schedulers/parallel/common/rule.h
