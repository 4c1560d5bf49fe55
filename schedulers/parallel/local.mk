# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: parallel policies.
libpalombe_la_SOURCES += \
	schedulers/parallel/common/pipeline.h
