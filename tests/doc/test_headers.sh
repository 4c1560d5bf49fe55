#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Every public header compiles alone, in C and in C++, without a warning; so does palombe.h, which
# includes those that users need.
set -u
source_dir=${PLB_TEST_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
cc=${CC:-cc} cxx=${CXX:-c++}
cd "$source_dir" || exit 1
failed=0 checked=0
compile() { # compiler, language, header
    printf '#include "%s"\nint header_compiles_alone;\n' "$3" |
        $1 -Wall -Wextra -Werror -fsyntax-only -I. -x "$2" - || failed=$((failed + 1))
    checked=$((checked + 1))
}
have_cxx=no
command -v "${cxx%% *}" >/dev/null && have_cxx=yes
for header in $(grep -l 'extern "C"' palombe.h codelets/codelets.h runtime/*/*.h schedulers/*.h \
    frontends/nn/*.h frontends/formats/*.h frontends/data/*.h) palombe.h; do
    compile "$cc -std=c11" c "$header"
    [ $have_cxx = no ] || compile "$cxx" c++ "$header"
done
echo "$checked compilations, $failed failed (C++: $have_cxx)"
[ $failed -eq 0 ] && [ $checked -gt 20 ]
