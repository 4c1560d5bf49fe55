# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: plans, their checker, their memory layout.
libpalombe_la_SOURCES += \
	runtime/plan/plan.c \
	runtime/plan/storage.c
nobase_pkginclude_HEADERS += \
	runtime/plan/plan.h
