# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: status codes, files, hashes, random numbers.
libpalombe_la_SOURCES += \
	runtime/base/bytes.c \
	runtime/base/data.c \
	runtime/base/data.h \
	runtime/base/file.c \
	runtime/base/hash.c \
	runtime/base/json.c \
	runtime/base/json.h \
	runtime/base/options.c \
	runtime/base/options_text.c \
	runtime/base/random.c \
	runtime/base/report.c \
	runtime/base/status.c \
	runtime/base/xml.c \
	runtime/base/xml.h
nobase_pkginclude_HEADERS += \
	runtime/base/bytes.h \
	runtime/base/file.h \
	runtime/base/hash.h \
	runtime/base/options.h \
	runtime/base/random.h \
	runtime/base/report.h \
	runtime/base/status.h
