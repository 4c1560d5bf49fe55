# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: plans, their checker, their memory layout.
libpalombe_la_SOURCES += \
	runtime/plan/finish.c \
	runtime/plan/plan.c \
	runtime/plan/policy.c \
	runtime/plan/storage.c \
	runtime/plan/writer.c
nobase_pkginclude_HEADERS += \
	runtime/plan/costs.h \
	runtime/plan/layout.h \
	runtime/plan/plan.h \
	runtime/plan/policy.h \
	runtime/plan/simulate.h \
	runtime/plan/storage.h \
	runtime/plan/writer.h
