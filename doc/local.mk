# SPDX-License-Identifier: BSD-3-Clause
# The pages, which a release carries and tests/doc reads.
EXTRA_DIST += %D%/Doxyfile %D%/architecture.md %D%/chain-dp.md %D%/command-line.md %D%/costs.md %D%/dependencies.md %D%/devices.md %D%/formats.md %D%/install.md %D%/memory.md %D%/model.md %D%/operator.md %D%/parallel.md %D%/platforms.md %D%/policies.md
EXTRA_DIST += %D%/results/blas.md %D%/results/cards.md %D%/results/cpu.md %D%/results/memory.md %D%/results/parallel.md %D%/parallel.svg %D%/plan.svg %D%/timeline.svg
