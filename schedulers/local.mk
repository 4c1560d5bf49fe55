# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: scheduling policies.
libpalombe_la_SOURCES += \
	schedulers/modules.c schedulers/modules.h \
	schedulers/registry.c \
	schedulers/memory/online.c schedulers/memory/online_moves.c \
	schedulers/memory/online_costs.c schedulers/memory/online_internal.h \
	schedulers/memory/online_walk.c schedulers/memory/online_walk.h \
	schedulers/memory/away.c schedulers/memory/away.h \
	schedulers/memory/chain.c schedulers/memory/chain.h \
	schedulers/memory/chain_dp.c \
	schedulers/memory/chain_fit.c schedulers/memory/chain_fit.h \
	schedulers/memory/chain_order.c \
	schedulers/memory/chain_split.c \
	schedulers/memory/chain_table.c schedulers/memory/chain_table.h \
	schedulers/memory/chain_write.c schedulers/memory/chain_write.h \
	schedulers/memory/offload_dp.c \
	schedulers/memory/options.c schedulers/memory/options.h \
	schedulers/memory/log.c \
	schedulers/memory/block.c \
	schedulers/memory/cheap.c \
	schedulers/memory/fates.c schedulers/memory/fates.h schedulers/memory/fates_setup.c \
	schedulers/memory/fit.c schedulers/memory/fit.h \
	schedulers/memory/held.c schedulers/memory/held.h \
	schedulers/memory/knapsack.c \
	schedulers/memory/lru.c \
	schedulers/memory/pager.c schedulers/memory/pager.h \
	schedulers/memory/prefetch.c schedulers/memory/prefetch.h \
	schedulers/memory/sqrt.c \
	schedulers/memory/starpu.c \
	schedulers/memory/swap.c \
	schedulers/memory/none.c \
	schedulers/memory/replay.c
nobase_pkginclude_HEADERS += \
	schedulers/schedulers.h
# The oracle is for tests, and a module: GLPK's licence is not the library's.
check_LTLIBRARIES += schedulers/memory/oracle.la
schedulers_memory_oracle_la_SOURCES = \
	schedulers/memory/oracle.c schedulers/memory/oracle.h \
	schedulers/memory/oracle_model.c
schedulers_memory_oracle_la_LDFLAGS = $(PLB_LDFLAGS) -module -avoid-version -shared \
	-rpath /nonexistent -export-symbols-regex '^plb_policy_module$$'
schedulers_memory_oracle_la_LIBADD = libpalombe.la $(GLPK_LIBS)
