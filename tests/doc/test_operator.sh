#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Follows doc/operator.md to the letter: all commands of the page, in a copy of the tree that was
# configured as this build was. The page adds an operator, so it cannot run in the tree itself.
# Nothing is optimised (-O0), so that the copy builds in seconds.
set -euo pipefail

source_dir=${PLB_TEST_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
build_dir=${PLB_TEST_BUILDDIR:-$source_dir}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The tree without its history and without what was built, in place or in folders below.
copy_tree() {
    local excluded=(--exclude=./.git --exclude=.libs --exclude=.deps --exclude='*.o' --exclude='*.lo')
    local folder

    while read -r folder; do
        [ "$folder" = . ] || excluded+=(--exclude="$folder")
    done < <(cd "$source_dir" && find . -name config.status -printf '%h\n')
    mkdir "$work/tree"
    (cd "$source_dir" && tar cf - "${excluded[@]}" .) | (cd "$work/tree" && tar xf -)
    chmod -R u+w "$work/tree"
    rm -f "$work/tree"/config.status "$work/tree"/Makefile "$work/tree"/config.h "$work/tree"/stamp-h1
}

configure_tree() {
    local arguments

    eval "arguments=($("$build_dir/config.status" --config))"
    mkdir "$work/tree/build"
    cd "$work/tree/build"
    ../configure -q "${arguments[@]}" --srcdir=.. # the last --srcdir counts
}

follow_page() {
    awk '/^```sh[ \t]*$/ { inside = 1; next } /^```/ { inside = 0 } inside' \
        "$source_dir/doc/operator.md" >"$work/page.sh"
    grep -q . "$work/page.sh"
    cd "$work/tree"
    # What make hands down to the makes of the tests is not for the page's makes.
    unset MAKELEVEL MFLAGS MAKEOVERRIDES
    MAKEFLAGS='PLB_CFLAGS=-O0 CFLAGS=' PLB_TEST_SRCDIR=$work/tree PLB_TEST_BUILDDIR=$work/tree/build \
        bash -euxo pipefail "$work/page.sh" </dev/null
}

{ copy_tree && configure_tree && follow_page; } >"$work/log" 2>&1 || {
    tail -n 40 "$work/log"
    exit 1
}
grep -c '^+ ' "$work/log" | sed 's/$/ commands of doc\/operator.md/'
