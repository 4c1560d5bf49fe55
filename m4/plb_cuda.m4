# SPDX-License-Identifier: BSD-3-Clause

# PLB_CUDA(MINIMUM)
# --with-cuda=yes|no|check. Finds the CUDA toolkit as scripts/starpu does: CUDA_HOME, CUDA_PATH,
# /usr/local/cuda, nvcc in PATH. Sets with_cuda to yes or no, the conditional CUDA, and NVCC,
# NVCCFLAGS (the user's), PLB_NVCCFLAGS, CUDA_CFLAGS, CUDA_LIBS, CUDA_VERSION, plb_cuda_dir.
AC_DEFUN([PLB_CUDA], [
AC_ARG_WITH([cuda], [AS_HELP_STRING([--with-cuda=yes|no|check],
  [kernels for CUDA cards, toolkit >= $1 [default=check, no with a sanitizer]])],
  [], [AS_IF([test "$enable_sanitizer" = no], [with_cuda=check], [with_cuda=no])])
AS_CASE([$with_cuda], [yes|check|no], [],
  [AC_MSG_ERROR([--with-cuda takes yes, no or check, not '$with_cuda' (a toolkit in a folder of its own: CUDA_HOME=DIR)])])
plb_cuda_dir=
plb_cuda_why=
AS_IF([test "$with_cuda" != no], [
  AC_MSG_CHECKING([for the CUDA toolkit >= $1])
  PLB_CUDA_FIND
  AS_IF([test -z "$plb_cuda_dir"],
    [plb_cuda_why="no folder with bin/nvcc and include/cuda_runtime.h (looked in CUDA_HOME, CUDA_PATH, /usr/local/cuda, PATH)"],
    [PLB_CUDA_TRY([$1])])
  AS_IF([test -z "$plb_cuda_why"],
    [AC_MSG_RESULT([$CUDA_VERSION in $plb_cuda_dir])
     with_cuda=yes],
    [AC_MSG_RESULT([no: $plb_cuda_why])
     AS_IF([test "$with_cuda" = yes],
       [AC_MSG_ERROR([--with-cuda=yes, but the CUDA toolkit cannot be used: $plb_cuda_why])])
     with_cuda=no])])
AC_ARG_VAR([NVCCFLAGS], [flags for nvcc, after Palombe's own])
AC_SUBST([NVCC])
AC_SUBST([PLB_NVCCFLAGS])
AC_SUBST([CUDA_CFLAGS])
AC_SUBST([CUDA_LIBS])
AC_SUBST([CUDA_VERSION])
AM_CONDITIONAL([CUDA], [test "$with_cuda" = yes])
])

# Sets plb_cuda_dir and the folder of its libraries, plb_cuda_lib.
AC_DEFUN([PLB_CUDA_FIND], [
plb_nvcc=`command -v nvcc 2>/dev/null`
AS_IF([test -n "$plb_nvcc"], [plb_nvcc=`dirname "$plb_nvcc"`; plb_nvcc=`dirname "$plb_nvcc"`])
for plb_dir in "$CUDA_HOME" "$CUDA_PATH" /usr/local/cuda "$plb_nvcc"; do
  AS_IF([test -n "$plb_dir" && test -x "$plb_dir/bin/nvcc" && \
         test -e "$plb_dir/include/cuda_runtime.h"],
    [plb_cuda_dir=$plb_dir
     break])
done
for plb_cuda_lib in "$plb_cuda_dir/lib64" "$plb_cuda_dir/lib"; do
  AS_IF([test -e "$plb_cuda_lib/libcudart.so"], [break])
done
])

# Finds out whether what was found can be used; plb_cuda_why says why not. The same code runs on
# cards of both kinds, and newer ones translate the last one's.
AC_DEFUN([PLB_CUDA_TRY], [
NVCC=$plb_cuda_dir/bin/nvcc
CUDA_CFLAGS="-isystem $plb_cuda_dir/include"
CUDA_LIBS="-L$plb_cuda_lib -lcublasLt -lcudart -R$plb_cuda_lib"
PLB_NVCCFLAGS="-std=c++17 -O3 -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=@<:@sm_90,compute_90@:>@"
CUDA_VERSION=`"$NVCC" --version 2>/dev/null | sed -n 's/.*release \(@<:@0-9.@:>@*\).*/\1/p'`
AS_VERSION_COMPARE([${CUDA_VERSION:-0}], [$1],
  [plb_cuda_why="$NVCC is of release ${CUDA_VERSION:-unknown}"])
AS_IF([test -z "$plb_cuda_why" && test ! -e "$plb_cuda_lib/libcublasLt.so"],
  [plb_cuda_why="$plb_cuda_lib has no libcublasLt.so"])
AS_IF([test -z "$plb_cuda_why"],
  [echo 'static __global__ void k(int *x) { *x = 1; }
int f(int *x) { k<<<1, 1>>>(x); return 0; }' >conftest.cu
   AS_IF(["$NVCC" $PLB_NVCCFLAGS $NVCCFLAGS --compiler-options -fPIC -c conftest.cu \
          -o conftest_cu.o >&AS_MESSAGE_LOG_FD 2>&1], [],
     [plb_cuda_why="$NVCC does not compile for sm_80 and sm_90 (see config.log)"])
   rm -f conftest.cu conftest_cu.o])
])
