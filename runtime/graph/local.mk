# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: values, tasks, graphs, and what is asked of them.
libpalombe_la_SOURCES += \
	runtime/graph/cut.c \
	runtime/graph/cut_cells.c \
	runtime/graph/cut_classes.c \
	runtime/graph/cut_columns.c \
	runtime/graph/cut_cost.c \
	runtime/graph/cut_internal.h \
	runtime/graph/cut_sizes.c \
	runtime/graph/cut_sums.c \
	runtime/graph/cut_tasks.c \
	runtime/graph/differentiate.c \
	runtime/graph/dot.c \
	runtime/graph/dot_overview.c \
	runtime/graph/fingerprint.c \
	runtime/graph/graph.c \
	runtime/graph/internal.h \
	runtime/graph/lineage.c \
	runtime/graph/task.c \
	runtime/graph/value.c
nobase_pkginclude_HEADERS += \
	runtime/graph/cut.h \
	runtime/graph/differentiate.h \
	runtime/graph/graph.h \
	runtime/graph/lineage.h \
	runtime/graph/operator.h \
	runtime/graph/value.h
