# SPDX-License-Identifier: BSD-3-Clause
# Macros of Palombe's configure.ac: compiler flags, StarPU, oneDNN, OpenCL.

# PLB_TRY_CFLAGS(VARIABLE, FLAGS...)
# Appends to VARIABLE each of FLAGS that the compiler takes.
AC_DEFUN([PLB_TRY_CFLAGS], [
for plb_flag in $2; do
  plb_saved_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS -Werror $plb_flag"
  AC_MSG_CHECKING([whether $CC takes $plb_flag])
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
    [plb_ok=yes; AS_VAR_APPEND([$1], [" $plb_flag"])], [plb_ok=no])
  AC_MSG_RESULT([$plb_ok])
  CFLAGS=$plb_saved_CFLAGS
done
])

# PLB_STARPU(MINIMUM)
# Finds StarPU: --with-starpu=DIR, else pkg-config's path, else the user's cache
# that scripts/starpu fills. Sets STARPU_CFLAGS, STARPU_LIBS, STARPU_VERSION,
# STARPU_PKG_DIR (empty when pkg-config found it unaided).
AC_DEFUN([PLB_STARPU], [
AC_ARG_WITH([starpu], [AS_HELP_STRING([--with-starpu=DIR],
  [StarPU >= $1 installed under DIR [default: pkg-config, then the cache]])],
  [], [with_starpu=check])
STARPU_PKG_DIR=
AS_CASE([$with_starpu],
  [no], [AC_MSG_ERROR([Palombe runs on StarPU: --without-starpu is not possible])],
  [yes|check], [],
  [for plb_dir in "$with_starpu"/lib/pkgconfig "$with_starpu"/lib64/pkgconfig \
                  "$with_starpu"/lib/*/pkgconfig; do
     AS_IF([test -e "$plb_dir/starpu-1.4.pc"], [STARPU_PKG_DIR=$plb_dir])
   done
   AS_IF([test -z "$STARPU_PKG_DIR"],
     [AC_MSG_ERROR([no starpu-1.4.pc under $with_starpu/lib: --with-starpu=DIR needs the prefix of a StarPU >= $1])])])
AS_IF([test -z "$STARPU_PKG_DIR" && ! $PKG_CONFIG --exists "starpu-1.4 >= $1"],
  [STARPU_PKG_DIR=`"$srcdir/scripts/starpu" --find 2>/dev/null`])
plb_pkg_path=$PKG_CONFIG_PATH
AS_IF([test -n "$STARPU_PKG_DIR"],
  [plb_pkg_path=$STARPU_PKG_DIR${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}])
AC_MSG_CHECKING([for StarPU >= $1])
AS_IF([PKG_CONFIG_PATH=$plb_pkg_path $PKG_CONFIG --exists "starpu-1.4 >= $1"], [],
  [AC_MSG_RESULT([no])
   AC_MSG_ERROR([StarPU >= $1 was not found: run scripts/deps, which installs or builds it, or pass --with-starpu=DIR])])
STARPU_VERSION=`PKG_CONFIG_PATH=$plb_pkg_path $PKG_CONFIG --modversion starpu-1.4`
# Its headers, and the accelerator headers they bring, are not ours to warn about.
STARPU_CFLAGS=`PKG_CONFIG_PATH=$plb_pkg_path $PKG_CONFIG --cflags starpu-1.4 | sed 's/-I/-isystem /g'`
STARPU_LIBS=`PKG_CONFIG_PATH=$plb_pkg_path $PKG_CONFIG --libs starpu-1.4`
plb_libdir=`PKG_CONFIG_PATH=$plb_pkg_path $PKG_CONFIG --variable=libdir starpu-1.4`
# A StarPU outside the linker's own folders must be found again at run time.
AS_IF([test -n "$STARPU_PKG_DIR"], [STARPU_LIBS="$STARPU_LIBS -R$plb_libdir"])
AC_MSG_RESULT([$STARPU_VERSION in $plb_libdir])
AC_SUBST([STARPU_CFLAGS])
AC_SUBST([STARPU_LIBS])
AC_SUBST([STARPU_VERSION])
AC_SUBST([STARPU_PKG_DIR])
])

# PLB_ONEDNN
# --with-onednn=yes|no|check. Sets ONEDNN_LIBS and defines PLB_HAVE_ONEDNN.
AC_DEFUN([PLB_ONEDNN], [
AC_ARG_WITH([onednn], [AS_HELP_STRING([--with-onednn=yes|no|check],
  [matrix products with oneDNN where it is the faster library [default=check]])],
  [], [with_onednn=check])
ONEDNN_LIBS=
AS_CASE([$with_onednn], [yes|check|no], [],
  [AC_MSG_ERROR([--with-onednn takes yes, no or check, not '$with_onednn'])])
AS_IF([test "$with_onednn" != no],
  [AC_CHECK_HEADER([dnnl.h],
     [AC_CHECK_LIB([dnnl], [dnnl_primitive_create], [ONEDNN_LIBS=-ldnnl])])
   AS_IF([test -n "$ONEDNN_LIBS"],
     [AC_DEFINE([PLB_HAVE_ONEDNN], [1], [oneDNN's headers and library are there])
      with_onednn=yes],
     [test "$with_onednn" = yes],
     [AC_MSG_ERROR([--with-onednn=yes, but dnnl.h or libdnnl is missing: install libdnnl-dev])],
     [with_onednn=no])])
AC_SUBST([ONEDNN_LIBS])
])

# PLB_OPENCL
# OpenCL where StarPU was built with it and its headers describe layers. Sets OPENCL_LIBS,
# plb_have_opencl, and defines PLB_HAVE_OPENCL.
AC_DEFUN([PLB_OPENCL], [
OPENCL_LIBS=
plb_have_opencl=no
plb_saved_CFLAGS=$CFLAGS
plb_saved_LIBS=$LIBS
CFLAGS="$CFLAGS $STARPU_CFLAGS"
LIBS="$LIBS -lOpenCL"
AC_MSG_CHECKING([for OpenCL, in StarPU too])
AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <starpu_config.h>
  #ifndef STARPU_USE_OPENCL
  #error StarPU was built without OpenCL
  #endif
  #define CL_TARGET_OPENCL_VERSION 200
  #include <CL/cl_layer.h>]], [[return clGetPlatformIDs(0, 0, 0);]])],
  [plb_have_opencl=yes
   OPENCL_LIBS=-lOpenCL
   AC_DEFINE([PLB_HAVE_OPENCL], [1], [StarPU has OpenCL, and its headers and loader are there])])
AC_MSG_RESULT([$plb_have_opencl])
CFLAGS=$plb_saved_CFLAGS
LIBS=$plb_saved_LIBS
AC_SUBST([OPENCL_LIBS])
])

# PLB_GLPK
# GLPK for the tests' oracle. Sets GLPK_LIBS, plb_have_glpk, and defines PLB_HAVE_GLPK. The library
# is not linked with it.
AC_DEFUN([PLB_GLPK], [
GLPK_LIBS=
plb_have_glpk=no
AC_CHECK_HEADER([glpk.h],
  [AC_CHECK_LIB([glpk], [glp_intopt],
    [plb_have_glpk=yes
     GLPK_LIBS=-lglpk
     AC_DEFINE([PLB_HAVE_GLPK], [1], [GLPK is there, for tests])])])
AC_SUBST([GLPK_LIBS])
])
