# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: parallel policies.
libpalombe_la_SOURCES += \
	schedulers/parallel/1f1b.c \
	schedulers/parallel/auto.c \
	schedulers/parallel/dp.c \
	schedulers/parallel/gpipe.c \
	schedulers/parallel/interleaved.c \
	schedulers/parallel/none.c \
	schedulers/parallel/registry.c \
	schedulers/parallel/tp.c \
	schedulers/parallel/zb_greedy.c \
	schedulers/parallel/zb_h1.c \
	schedulers/parallel/zb_v.c \
	schedulers/parallel/common/greedy.c \
	schedulers/parallel/common/jobs.c schedulers/parallel/common/jobs.h \
	schedulers/parallel/common/members.c \
	schedulers/parallel/common/pipeline.c schedulers/parallel/common/pipeline.h \
	schedulers/parallel/common/placement.c schedulers/parallel/common/placement.h \
	schedulers/parallel/common/plan.c \
	schedulers/parallel/common/rest.c \
	schedulers/parallel/common/rule.c schedulers/parallel/common/rule.h \
	schedulers/parallel/common/teams.c \
	schedulers/parallel/common/write.c

# Planning before the graph.
libpalombe_la_SOURCES += \
	schedulers/parallel/auto/again.c \
	schedulers/parallel/auto/draft.c schedulers/parallel/auto/draft.h \
	schedulers/parallel/auto/fleet.c schedulers/parallel/auto/fleet.h \
	schedulers/parallel/auto/granularity.c schedulers/parallel/auto/granularity_noise.c \
	schedulers/parallel/auto/judge.c schedulers/parallel/auto/judge.h \
	schedulers/parallel/auto/levels.c \
	schedulers/parallel/auto/make.c \
	schedulers/parallel/auto/orders.c \
	schedulers/parallel/auto/plan.c \
	schedulers/parallel/auto/planning.c schedulers/parallel/auto/planning.h \
	schedulers/parallel/auto/profile.c \
	schedulers/parallel/auto/profile_options.c \
	schedulers/parallel/auto/profile_graph.c schedulers/parallel/auto/graph.h \
	schedulers/parallel/auto/recompute.c \
	schedulers/parallel/auto/rows.c schedulers/parallel/auto/rows.h \
	schedulers/parallel/auto/search.c schedulers/parallel/auto/search.h \
	schedulers/parallel/auto/tables.c schedulers/parallel/auto/tables.h
nobase_pkginclude_HEADERS += \
	schedulers/parallel/auto.h \
	schedulers/parallel/auto/granularity.h
