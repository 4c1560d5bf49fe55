# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: scheduling policies.
libpalombe_la_SOURCES += \
	schedulers/registry.c \
	schedulers/memory/none.c
nobase_pkginclude_HEADERS += \
	schedulers/schedulers.h
