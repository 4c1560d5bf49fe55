# SPDX-License-Identifier: BSD-3-Clause
# The scripts travel in the release; configure asks scripts/starpu for the cache.
EXTRA_DIST += %D%/common.sh %D%/deps %D%/starpu %D%/check %D%/quickstart .ci/run \
	%D%/gpu-bundle %D%/gpu-check %D%/gpu-report \
	build-aux/patches/starpu-cuda13-compute-mode.patch
