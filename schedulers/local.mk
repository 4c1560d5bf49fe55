# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: scheduling policies.
libpalombe_la_SOURCES += \
	schedulers/modules.c schedulers/modules.h \
	schedulers/registry.c schedulers/registry.h \
	schedulers/memory/block.c \
	schedulers/memory/cheap.c \
	schedulers/memory/chain_dp.c \
	schedulers/memory/knapsack.c \
	schedulers/memory/log.c \
	schedulers/memory/lru.c \
	schedulers/memory/none.c \
	schedulers/memory/offload_dp.c \
	schedulers/memory/online.c \
	schedulers/memory/registry.c \
	schedulers/memory/replay.c \
	schedulers/memory/sqrt.c \
	schedulers/memory/starpu.c \
	schedulers/memory/swap.c \
	schedulers/memory/common/fates.c schedulers/memory/common/fates.h schedulers/memory/common/fates_setup.c \
	schedulers/memory/common/fit.c schedulers/memory/common/fit.h \
	schedulers/memory/common/held.c schedulers/memory/common/held.h \
	schedulers/memory/common/pager.c schedulers/memory/common/pager.h \
	schedulers/memory/common/prefetch.c schedulers/memory/common/prefetch.h \
	schedulers/memory/chain/away.c schedulers/memory/chain/away.h \
	schedulers/memory/chain/chain.c schedulers/memory/chain/chain.h \
	schedulers/memory/chain/chain_fit.c schedulers/memory/chain/chain_fit.h \
	schedulers/memory/chain/chain_order.c schedulers/memory/chain/chain_split.c \
	schedulers/memory/chain/chain_skips.c schedulers/memory/chain/chain_skips.h \
	schedulers/memory/chain/chain_solve.c \
	schedulers/memory/chain/chain_table.c schedulers/memory/chain/chain_table.h \
	schedulers/memory/chain/chain_write.c schedulers/memory/chain/chain_write.h \
	schedulers/memory/chain/block_groups.c \
	schedulers/memory/chain/block_walk.c schedulers/memory/chain/block_walk.h \
	schedulers/memory/chain/levels.c schedulers/memory/chain/levels.h \
	schedulers/memory/chain/options.c schedulers/memory/chain/options.h \
	schedulers/memory/chain/squeeze.c schedulers/memory/chain/squeeze.h \
	schedulers/memory/online/online_costs.c schedulers/memory/online/online_internal.h \
	schedulers/memory/online/online_moves.c schedulers/memory/online/online_order.c \
	schedulers/memory/online/online_setup.c \
	schedulers/memory/online/online_walk.c schedulers/memory/online/online_walk.h
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
