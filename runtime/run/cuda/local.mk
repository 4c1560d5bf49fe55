# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: the module libpalombe_cuda.so, and how kernels are compiled.
#
# A kernel is listed once, in cuda_sources, by the fragment of its folder. It is compiled by nvcc
# for the module, and by the C++ compiler for the emulated card of the tests (tests/support/cuda).

EXTRA_DIST += $(cuda_sources)
cuda_objects = $(cuda_sources:.cu=.cuda.lo)

if CUDA
pkglib_LTLIBRARIES += libpalombe_cuda.la
endif
cuda_core = %D%/cards.c %D%/memory.c %D%/module_internal.h %D%/table.c %D%/work.c
libpalombe_cuda_la_SOURCES = $(cuda_core)
libpalombe_cuda_la_CFLAGS = $(AM_CFLAGS) $(CUDA_CFLAGS)
libpalombe_cuda_la_LDFLAGS = $(PLB_LDFLAGS) $(PLB_LIBRARY_LDFLAGS) -module -avoid-version \
	-export-symbols-regex '^plb_cuda_module$$'
# (nvcc guards variables of functions by functions of the C++ library.)
libpalombe_cuda_la_LIBADD = $(cuda_objects) libpalombe.la $(CUDA_LIBS) -lstdc++
libpalombe_cuda_la_DEPENDENCIES = $(cuda_objects) libpalombe.la

# nvcc knows -fPIC only as an option of the compiler behind it, so libtool adds none.
AM_V_NVCC = $(am__v_NVCC_@AM_V@)
am__v_NVCC_ = $(am__v_NVCC_@AM_DEFAULT_V@)
am__v_NVCC_0 = @echo "  NVCC    " $@;
am__v_NVCC_1 =
$(cuda_objects): %.cuda.lo: %.cu
	$(AM_V_at)$(MKDIR_P) $(@D)
	$(AM_V_NVCC)$(LIBTOOL) $(AM_V_lt) --tag=CC --mode=compile $(NVCC) -prefer-non-pic \
		$(PLB_NVCCFLAGS) $(NVCCFLAGS) -I. -I$(srcdir) --compiler-options -fPIC \
		-MMD -MF $*.cuda.d -MT $@ -c -o $@ $<
-include $(cuda_objects:.lo=.d)

mostlyclean-local:
	-rm -f $(cuda_objects) $(cuda_objects:.lo=.o) $(cuda_objects:.lo=.d)
	-rm -f $(cuda_emulated_objects) $(cuda_emulated_objects:.lo=.o) $(cuda_emulated_objects:.lo=.d)
