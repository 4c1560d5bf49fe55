# SPDX-License-Identifier: BSD-3-Clause
# An emulated CUDA card: a runtime (libplbcudashim.so) in which kernels run on the processor, and the
# module with the kernels of codelets/ compiled for it.
if CUDA_EMULATED
check_LTLIBRARIES += %D%/libplbcudashim.la %D%/libpalombe_cuda_emulated.la
endif

# For programs that see the emulated card: its runtime comes before the toolkit's, which StarPU is
# linked with. They need the module built, too.
EMULATED_CARD_FLAGS = $(AM_LDFLAGS) -Wl,--no-as-needed
EMULATED_CARD = %D%/libplbcudashim.la

# In the order in which they lean on one another.
tests_support_cuda_libplbcudashim_la_SOURCES = \
	%D%/fibers.cc %D%/fibers.h \
	%D%/emulator.cc %D%/emulator.h %D%/emulator_control.h %D%/emulator_math.h \
	%D%/shim_devices.cc %D%/shim_memory.cc %D%/shim_streams.cc %D%/shim.h \
	%D%/shim_control.h %D%/emulated_card.h \
	%D%/cublas_shim.cc %D%/starpu_shim.cc
tests_support_cuda_libplbcudashim_la_CXXFLAGS = $(CUDA_EMULATED_CXXFLAGS)
# A path makes libtool build a shared library, which is not installed.
tests_support_cuda_libplbcudashim_la_LDFLAGS = $(PLB_LDFLAGS) -avoid-version -rpath /nowhere

cuda_emulated_objects = $(cuda_sources:.cu=.emulated.lo)
tests_support_cuda_libpalombe_cuda_emulated_la_SOURCES = $(cuda_core)
tests_support_cuda_libpalombe_cuda_emulated_la_CFLAGS = $(AM_CFLAGS) $(CUDA_EMULATED_CFLAGS)
tests_support_cuda_libpalombe_cuda_emulated_la_LDFLAGS = $(PLB_LDFLAGS) -module -avoid-version \
	-rpath /nowhere -export-symbols-regex '^plb_cuda_module$$'
tests_support_cuda_libpalombe_cuda_emulated_la_LIBADD = $(cuda_emulated_objects) \
	%D%/libplbcudashim.la libpalombe.la -lstdc++
tests_support_cuda_libpalombe_cuda_emulated_la_DEPENDENCIES = $(cuda_emulated_objects) \
	%D%/libplbcudashim.la libpalombe.la

if CUDA_EMULATED
check_PROGRAMS += %D%/test_emulator
TESTS += %D%/test_emulator
endif
tests_support_cuda_test_emulator_SOURCES = %D%/test_emulator.cc
tests_support_cuda_test_emulator_CXXFLAGS = $(CUDA_EMULATED_CXXFLAGS) $(CUNIT_CFLAGS)
tests_support_cuda_test_emulator_LDADD = $(EMULATED_CARD) $(LDADD)

AM_V_EMULATED = $(am__v_EMULATED_@AM_V@)
am__v_EMULATED_ = $(am__v_EMULATED_@AM_DEFAULT_V@)
am__v_EMULATED_0 = @echo "  EMULATED" $@;
am__v_EMULATED_1 =
$(cuda_emulated_objects): %.emulated.lo: %.cu
	$(AM_V_at)$(MKDIR_P) $(@D)
	$(AM_V_EMULATED)$(LIBTOOL) $(AM_V_lt) --tag=CXX --mode=compile $(CXX) $(CPPFLAGS) \
		$(CUDA_EMULATED_CXXFLAGS) $(CXXFLAGS) -I. -I$(srcdir) \
		-MMD -MF $*.emulated.d -MT $@ -x c++ -c -o $@ $<
-include $(cuda_emulated_objects:.lo=.d)
