# SPDX-License-Identifier: BSD-3-Clause
# Fragment of Makefile.am: benchmarks. They report and are not run by `make check`.
EXTRA_DIST += %D%/README.md %D%/compare %D%/peers/pytorch_train.py
