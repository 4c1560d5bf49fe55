# SPDX-License-Identifier: BSD-3-Clause
#
# An operator is a line in operators.def and its files here, one group per folder.

nobase_pkginclude_HEADERS += %D%/codelets.h

libpalombe_la_SOURCES += %D%/table.c %D%/operators.def %D%/common/operators.h

# What kernels and shape rules share.
libpalombe_la_SOURCES += %D%/common/check.c %D%/common/check.h \
	%D%/common/elements.c %D%/common/elements.h \
	%D%/common/mask.c %D%/common/mask.h %D%/common/simd.h

# Element-wise operators.
libpalombe_la_SOURCES += %D%/add/add.c %D%/cast/cast.c %D%/dropout/dropout.c %D%/fill/fill.c \
	%D%/gelu/gelu.c %D%/reshape/reshape.c %D%/rope/rope.c %D%/rope/rope.h %D%/silu/silu.c %D%/silu/swiglu.c \
	%D%/take_rows/take_rows.c

# Updates of parameters, and sums.
libpalombe_la_SOURCES += %D%/adamw/adamw.c %D%/adamw/step.h %D%/adamw/update.c %D%/adamw/update.h %D%/sgd/sgd.c \
	%D%/sum_squares/sum_squares.c %D%/clip_scale/clip_scale.c %D%/sum/sum.c

# Norms and losses.
libpalombe_la_SOURCES += %D%/norm/norm.c %D%/norm/norm.h \
	%D%/norm/layer_norm.c %D%/norm/layer_norm_gradient.c %D%/norm/rms_norm.c \
	%D%/cross_entropy/cross_entropy.c %D%/cross_entropy/cross_entropy.h \
	%D%/cross_entropy/cross_entropy_gradient.c %D%/cross_entropy/cross_entropy_merge.c \
	%D%/mean_loss/mean_loss.c

# Matrix products.
libpalombe_la_SOURCES += %D%/common/blas.c %D%/common/blas.h %D%/common/cpu.c %D%/common/cpu.h \
	%D%/common/onednn.c %D%/common/onednn.h %D%/common/openblas.c %D%/common/openblas.h \
	%D%/common/product.c %D%/common/product.h \
	%D%/common/product_kernels.c %D%/common/product_kernels.h
libpalombe_la_SOURCES += %D%/common/cells.h %D%/linear/linear.c %D%/linear/linear.h \
	%D%/linear/linear_dx.c %D%/linear/linear_dw.c

libpalombe_la_SOURCES += %D%/embedding/embedding.c %D%/relu/relu.c

libpalombe_la_SOURCES += %D%/conv2d/image.c %D%/conv2d/image.h %D%/conv2d/conv2d.c \
	%D%/conv2d/conv2d.h %D%/conv2d/conv2d_dx.c %D%/conv2d/conv2d_dw.c \
	%D%/pool/pool.c %D%/pool/pool.h %D%/pool/max_pool2d.c %D%/pool/avg_pool2d.c \
	%D%/pool/upsample2d.c

# Attention.
libpalombe_la_SOURCES += %D%/attention/attention.c %D%/attention/attention_gradient.c \
	%D%/attention/attention.h %D%/attention/flash.c %D%/attention/flash.h \
	%D%/attention/geometry.c %D%/attention/pairs.c %D%/attention/pairs.h \
	%D%/attention/tiles.c %D%/attention/tiles.h
libpalombe_la_SOURCES += %D%/cache/attention_cached.c %D%/cache/cache.h %D%/cache/cache_write.c

# The same operators on CUDA cards.
noinst_HEADERS += %D%/common/cuda.h %D%/common/kernel.cuh
cuda_sources += %D%/add/add.cu
noinst_HEADERS += %D%/common/cublas.cuh %D%/linear/padded.cuh
cuda_sources += %D%/common/cublas.cu %D%/conv2d/conv2d.cu %D%/linear/linear.cu \
	%D%/linear/linear_dw.cu %D%/linear/linear_dx.cu %D%/linear/padded.cu %D%/pool/pool.cu \
	%D%/relu/relu.cu

# Kernels that are bound by memory.
noinst_HEADERS += %D%/common/columns.cuh %D%/common/map.cuh %D%/common/mask.cuh \
	%D%/norm/fused.h %D%/norm/input.cuh %D%/norm/row.cuh %D%/norm/weights.cuh %D%/silu/silu.cuh
noinst_HEADERS += %D%/adamw/many.h %D%/adamw/update.cuh %D%/common/take.cuh \
	%D%/cross_entropy/row.cuh
cuda_sources += %D%/cast/cast.cu %D%/dropout/dropout.cu %D%/fill/fill.cu %D%/gelu/gelu.cu \
	%D%/reshape/reshape.cu %D%/silu/silu.cu %D%/silu/swiglu.cu
noinst_HEADERS += %D%/attention/attention.cuh %D%/attention/tile.cuh %D%/common/mma.cuh
cuda_sources += %D%/attention/attention.cu %D%/attention/attention_gradient.cu \
	%D%/cache/attention_cached.cu %D%/cache/cache_write.cu
cuda_sources += %D%/norm/layer_norm.cu %D%/norm/layer_norm_gradient.cu %D%/norm/rms_norm.cu
cuda_sources += %D%/conv2d/conv2d_db.cu %D%/linear/linear_db.cu
cuda_sources += %D%/adamw/adamw.cu %D%/clip_scale/clip_scale.cu %D%/sgd/sgd.cu %D%/sum/sum.cu \
	%D%/sum_squares/sum_squares.cu
cuda_sources += %D%/cross_entropy/cross_entropy.cu %D%/cross_entropy/cross_entropy_gradient.cu \
	%D%/cross_entropy/cross_entropy_merge.cu %D%/mean_loss/mean_loss.cu
cuda_sources += %D%/embedding/embedding.cu %D%/embedding/embedding_dw.cu %D%/rope/rope.cu \
	%D%/take_rows/take_rows.cu
