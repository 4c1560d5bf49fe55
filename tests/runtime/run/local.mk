# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: tests of the executor.
check_PROGRAMS += %D%/test_gather %D%/test_session
TESTS += %D%/test_gather %D%/test_session
tests_runtime_run_test_gather_SOURCES = %D%/test_gather.c
tests_runtime_run_test_session_SOURCES = %D%/test_session.c
tests_runtime_run_test_session_LDADD = $(LDADD) $(JANSSON_LIBS)

# How a step is run does not change its bits.
check_PROGRAMS += %D%/test_same_bits %D%/test_hybrid %D%/test_transfer
TESTS += %D%/test_same_bits %D%/test_hybrid %D%/test_transfer
tests_runtime_run_test_same_bits_SOURCES = %D%/test_same_bits.c
tests_runtime_run_test_hybrid_SOURCES = %D%/test_hybrid.c
tests_runtime_run_test_transfer_SOURCES = %D%/test_transfer.c

# Values that leave the device.
check_PROGRAMS += %D%/test_offload
TESTS += %D%/test_offload
tests_runtime_run_test_offload_SOURCES = %D%/test_offload.c %D%/steps.c %D%/steps.h

# Plans that are replaced while steps run; a disk that cannot be had.
check_PROGRAMS += %D%/test_replan %D%/test_disk
TESTS += %D%/test_replan %D%/test_disk
tests_runtime_run_test_replan_SOURCES = %D%/test_replan.c %D%/steps.c %D%/steps.h
tests_runtime_run_test_replan_LDADD = $(LDADD) $(STARPU_LIBS)
tests_runtime_run_test_disk_SOURCES = %D%/test_disk.c %D%/steps.c %D%/steps.h

# Devices: their names, their links; the virtual accelerator and the peer mode.
check_PROGRAMS += %D%/test_device %D%/test_virtual
TESTS += %D%/test_device %D%/test_virtual
tests_runtime_run_test_device_SOURCES = %D%/test_device.c
tests_runtime_run_test_virtual_SOURCES = %D%/test_virtual.c %D%/steps.c %D%/steps.h
tests_runtime_run_test_virtual_LDADD = $(LDADD) $(STARPU_LIBS) $(OPENCL_LIBS)

# Times from StarPU's performance models.
check_PROGRAMS += %D%/test_calibrated
TESTS += %D%/test_calibrated
tests_runtime_run_test_calibrated_SOURCES = %D%/test_calibrated.c %D%/steps.c %D%/steps.h

# The grain of tasks.
check_PROGRAMS += %D%/test_batch
TESTS += %D%/test_batch
tests_runtime_run_test_batch_SOURCES = %D%/test_batch.c %D%/steps.c %D%/steps.h
tests_runtime_run_test_batch_LDADD = $(LDADD) $(STARPU_LIBS)

# Parameters and state kept elsewhere.
check_PROGRAMS += %D%/test_state
TESTS += %D%/test_state
tests_runtime_run_test_state_SOURCES = %D%/test_state.c %D%/steps.c %D%/steps.h

# The device "cuda", on the emulated card.
if CUDA_SESSIONS
check_PROGRAMS += %D%/test_cuda
TESTS += %D%/test_cuda
endif
tests_runtime_run_test_cuda_SOURCES = %D%/test_cuda.c %D%/steps.c %D%/steps.h
tests_runtime_run_test_cuda_LDFLAGS = $(EMULATED_CARD_FLAGS)
tests_runtime_run_test_cuda_LDADD = $(EMULATED_CARD) $(LDADD) $(STARPU_LIBS)
if CUDA_SESSIONS
check_PROGRAMS += %D%/test_cuda_cells
TESTS += %D%/test_cuda_cells
endif
tests_runtime_run_test_cuda_cells_SOURCES = %D%/test_cuda_cells.c
tests_runtime_run_test_cuda_cells_LDFLAGS = $(EMULATED_CARD_FLAGS)
tests_runtime_run_test_cuda_cells_LDADD = $(EMULATED_CARD) $(LDADD)
if CUDA_SESSIONS
check_PROGRAMS += %D%/test_cuda_graphs
TESTS += %D%/test_cuda_graphs
endif
tests_runtime_run_test_cuda_graphs_SOURCES = %D%/test_cuda_graphs.c %D%/steps.c %D%/steps.h
tests_runtime_run_test_cuda_graphs_LDFLAGS = $(EMULATED_CARD_FLAGS)
tests_runtime_run_test_cuda_graphs_LDADD = $(EMULATED_CARD) $(LDADD) $(STARPU_LIBS)
if CUDA_SESSIONS
check_PROGRAMS += %D%/test_cuda_pairs
TESTS += %D%/test_cuda_pairs
endif
tests_runtime_run_test_cuda_pairs_SOURCES = %D%/test_cuda_pairs.c
tests_runtime_run_test_cuda_pairs_LDFLAGS = $(EMULATED_CARD_FLAGS)
tests_runtime_run_test_cuda_pairs_LDADD = $(EMULATED_CARD) $(LDADD) $(STARPU_LIBS)
