# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: scheduling policies.
libpalombe_la_SOURCES += \
	schedulers/modules.c schedulers/modules.h \
	schedulers/registry.c \
	schedulers/memory/online_costs.c schedulers/memory/online_internal.h \
	schedulers/memory/online_walk.c schedulers/memory/online_walk.h \
	schedulers/memory/none.c
nobase_pkginclude_HEADERS += \
	schedulers/schedulers.h
