# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: what is trained on.
libpalombe_la_SOURCES += \
	frontends/data/corpus.c \
	frontends/data/corpus_text.c \
	frontends/data/corpus_text.h \
	frontends/data/shapes.c \
	frontends/data/shuffle.c
nobase_pkginclude_HEADERS += \
	frontends/data/corpus.h \
	frontends/data/shapes.h \
	frontends/data/shuffle.h
