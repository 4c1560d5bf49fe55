# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: the executor on StarPU.
libpalombe_la_SOURCES += \
	runtime/run/aside.c \
	runtime/run/batch.c \
	runtime/run/beside.c \
	runtime/run/bridge.c \
	runtime/run/calibrated.c \
	runtime/run/card_graphs.c runtime/run/card.c runtime/run/card.h \
	runtime/run/card_faults.c \
	runtime/run/card_pairs.c runtime/run/card_together.c \
	runtime/run/card_times.c \
	runtime/run/cells.c \
	runtime/run/cuda_module.c runtime/run/cuda_module.h \
	runtime/run/device.c runtime/run/device_internal.h \
	runtime/run/device_cpu.c \
	runtime/run/device_cuda.c \
	runtime/run/device_virtual.c \
	runtime/run/disk.c runtime/run/disk.h \
	runtime/run/environment.c \
	runtime/run/gather.c runtime/run/gather.h \
	runtime/run/gates.c \
	runtime/run/invoke.c runtime/run/invoke.h \
	runtime/run/jobs.c \
	runtime/run/ledger.c \
	runtime/run/link.c runtime/run/link.h \
	runtime/run/memory.c \
	runtime/run/opencl_buffers.c \
	runtime/run/opencl_layer.c runtime/run/opencl_layer.h \
	runtime/run/mover.c runtime/run/mover.h \
	runtime/run/parts.c \
	runtime/run/planning.c \
	runtime/run/platform.c \
	runtime/run/priority.c \
	runtime/run/program.c \
	runtime/run/replan.c \
	runtime/run/run_internal.h \
	runtime/run/runtime.c \
	runtime/run/samples.c \
	runtime/run/session.c \
	runtime/run/starpu_managed.c runtime/run/starpu_managed.h \
	runtime/run/store.c \
	runtime/run/submit.c \
	runtime/run/tiers.c \
	runtime/run/timeline.c \
	runtime/run/tokens.c \
	runtime/run/transfer.c runtime/run/transfer.h
nobase_pkginclude_HEADERS += \
	runtime/run/device.h \
	runtime/run/ledger.h \
	runtime/run/session.h \
	runtime/run/timeline.h
