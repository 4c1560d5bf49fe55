# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: plans, their checker, their memory layout.
libpalombe_la_SOURCES += \
	runtime/plan/arena.c \
	runtime/plan/arena.h \
	runtime/plan/costs.c \
	runtime/plan/costs_internal.h \
	runtime/plan/costs_json.h \
	runtime/plan/costs_links.c \
	runtime/plan/costs_model.c \
	runtime/plan/costs_read.c \
	runtime/plan/costs_write.c \
	runtime/plan/document.c \
	runtime/plan/document.h \
	runtime/plan/finish.c \
	runtime/plan/heap.h \
	runtime/plan/hybrid.c \
	runtime/plan/hybrid_file.c \
	runtime/plan/keep.c runtime/plan/keep_update.c \
	runtime/plan/layout.c \
	runtime/plan/needs.c \
	runtime/plan/order.c \
	runtime/plan/order.h \
	runtime/plan/page.c \
	runtime/plan/page.h \
	runtime/plan/place.c \
	runtime/plan/place.h \
	runtime/plan/places.c \
	runtime/plan/places_internal.h \
	runtime/plan/places_read.c \
	runtime/plan/plan.c \
	runtime/plan/plan_file.c \
	runtime/plan/plan_print.c \
	runtime/plan/play.c \
	runtime/plan/play.h \
	runtime/plan/policy.c \
	runtime/plan/problem.c \
	runtime/plan/simulate.c \
	runtime/plan/spread.c \
	runtime/plan/spread_internal.h \
	runtime/plan/spread_look.c \
	runtime/plan/spread_order.c \
	runtime/plan/spread_parts.c \
	runtime/plan/spread_simulate.c \
	runtime/plan/stuck.c \
	runtime/plan/stuck.h \
	runtime/plan/transfer.c \
	runtime/plan/waits.c \
	runtime/plan/waits.h \
	runtime/plan/walk.c \
	runtime/plan/walk.h \
	runtime/plan/walk_count.c \
	runtime/plan/writer.c
nobase_pkginclude_HEADERS += \
	runtime/plan/costs.h \
	runtime/plan/hybrid.h \
	runtime/plan/keep.h \
	runtime/plan/layout.h \
	runtime/plan/parallel.h \
	runtime/plan/places.h \
	runtime/plan/plan.h \
	runtime/plan/policy.h \
	runtime/plan/simulate.h \
	runtime/plan/writer.h
