# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: benchmarks. They report and are not run by `make check`.
EXTRA_DIST += %D%/README.md %D%/compare %D%/peers/pytorch_attention.py %D%/peers/pytorch_train.py

# Figures of single kernels and of matrix products: make tests/bench/bench_kernels
EXTRA_PROGRAMS = %D%/bench_kernels %D%/bench_kernels_cuda %D%/bench_products %D%/bench_parallel \
	%D%/bench_auto
tests_bench_bench_kernels_SOURCES = %D%/bench_kernels.c %D%/bench_cases.c %D%/bench_cases.h
tests_bench_bench_kernels_LDADD = libpalombe.la $(STARPU_LIBS)
tests_bench_bench_kernels_cuda_SOURCES = %D%/bench_kernels_cuda.c %D%/bench_cases.c %D%/bench_cases.h
tests_bench_bench_kernels_cuda_CFLAGS = $(AM_CFLAGS) $(CUDA_CFLAGS)
tests_bench_bench_kernels_cuda_LDADD = libpalombe.la $(STARPU_LIBS) $(CUDA_LIBS)
tests_bench_bench_products_SOURCES = %D%/bench_products.c
tests_bench_bench_products_LDADD = libpalombe.la
tests_bench_bench_parallel_SOURCES = %D%/bench_parallel.c
tests_bench_bench_parallel_LDADD = libpalombe.la $(STARPU_LIBS)
# How long the planner takes: make tests/bench/bench_auto
tests_bench_bench_auto_SOURCES = %D%/bench_auto.c
tests_bench_bench_auto_LDADD = libpalombe.la
CLEANFILES += $(EXTRA_PROGRAMS)
