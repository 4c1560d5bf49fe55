# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: tests/golden
