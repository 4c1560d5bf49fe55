# SPDX-License-Identifier: BSD-3-Clause

# PLB_CUDA_EMULATED
# After PLB_CUDA: can the tests run kernels on an emulated card (tests/support/cuda)? That takes the
# toolkit's headers and a C++17 compiler, no nvcc, and works under sanitizers too. Sets the
# conditionals CUDA_EMULATED and CUDA_SESSIONS, CUDA_EMULATED_CFLAGS and CUDA_EMULATED_CXXFLAGS.
AC_DEFUN([PLB_CUDA_EMULATED], [
AS_IF([test -z "$plb_cuda_dir"], [PLB_CUDA_FIND])
AS_IF([test "$enable_sanitizer" = no], [CUDA_EMULATED_CXXFLAGS="-O2"],
  [CUDA_EMULATED_CXXFLAGS="-O1 -fno-omit-frame-pointer -fsanitize=$enable_sanitizer -fno-sanitize-recover=all"])
CUDA_EMULATED_CXXFLAGS="-std=c++17 $CUDA_EMULATED_CXXFLAGS -Wall -Wno-unknown-pragmas"
AS_IF([test "$enable_werror" = yes], [CUDA_EMULATED_CXXFLAGS="$CUDA_EMULATED_CXXFLAGS -Werror"])
CUDA_EMULATED_CXXFLAGS="$CUDA_EMULATED_CXXFLAGS -DPLB_CUDA_EMULATED -isystem $plb_cuda_dir/include"
plb_cuda_emulated=no
AS_IF([test -n "$plb_cuda_dir"], [
  AC_MSG_CHECKING([whether $CXX compiles with the CUDA toolkit's headers])
  AC_LANG_PUSH([C++])
  plb_saved_CXXFLAGS=$CXXFLAGS
  CXXFLAGS="$CXXFLAGS $CUDA_EMULATED_CXXFLAGS"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>]], [[return __bfloat162float(__float2bfloat16_rn(1.0f)) != 1.0f;]])],
    [plb_cuda_emulated=yes])
  CXXFLAGS=$plb_saved_CXXFLAGS
  AC_LANG_POP([C++])
  AC_MSG_RESULT([$plb_cuda_emulated])])
CUDA_EMULATED_CFLAGS="-isystem $plb_cuda_dir/include"
AC_SUBST([CUDA_EMULATED_CFLAGS])
AC_SUBST([CUDA_EMULATED_CXXFLAGS])
AM_CONDITIONAL([CUDA_EMULATED], [test $plb_cuda_emulated = yes])
# Sessions on it want a StarPU with CUDA; the one for the sanitizer of threads has none.
AC_MSG_CHECKING([whether StarPU drives CUDA cards])
plb_saved_CPPFLAGS=$CPPFLAGS
CPPFLAGS="$CPPFLAGS $STARPU_CFLAGS"
AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <starpu_config.h>
#ifndef STARPU_USE_CUDA
#error StarPU has no CUDA
#endif]], [[]])], [plb_starpu_cuda=yes], [plb_starpu_cuda=no])
CPPFLAGS=$plb_saved_CPPFLAGS
AC_MSG_RESULT([$plb_starpu_cuda])
AM_CONDITIONAL([CUDA_SESSIONS], [test $plb_cuda_emulated = yes && test $plb_starpu_cuda = yes])
])
