# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: status codes, hashes, random numbers.
libpalombe_la_SOURCES += \
	runtime/base/hash.c \
	runtime/base/options.c \
	runtime/base/options_text.c \
	runtime/base/random.c \
	runtime/base/status.c
nobase_pkginclude_HEADERS += \
	runtime/base/hash.h \
	runtime/base/options.h \
	runtime/base/random.h \
	runtime/base/status.h
