#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs every command that the documentation shows. A fenced block that opens with
# ```sh is a list of commands; the blocks of a page run in order, in one shell, in
# an empty folder, with the program that was just built first in PATH, and stop at
# the first one that fails, or that does not and should (a line that begins with "! "). Output is shown in blocks of another kind (```text).
#
# A block that cannot run here (it installs, or it takes minutes) is preceded by
#   <!-- not run by the test: REASON -->
#   <!-- not run by the test of all pages, but by TEST: REASON -->
# and is then only checked for its syntax. So is one that is preceded by
#   <!-- needs a virtual device -->
# where there is none.
#
# usage: test_commands.sh [PAGE...]   (default: README.md and doc/*.md)
set -u

source_dir=${PLB_TEST_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
build_dir=${PLB_TEST_BUILDDIR:-$source_dir}
seconds=${PLB_TEST_TIMEOUT:-300}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

has_virtual=0
if "$build_dir/palombe" doctor --json 2>/dev/null | tr -d ' \n' |
    grep -q '"subject":"virtualdevice","state":"ok"'; then has_virtual=1; fi

# Writes the page's script to $2 and the blocks that are not run to $3.
extract() {
    awk -v run="$2" -v skip="$3" -v has_virtual="$has_virtual" '
        /^<!-- needs a virtual device -->$/ { skipping = !has_virtual; next }
        /^<!-- not run by the test[^>]*: .+ -->$/ { skipping = 1; next }
        !inside && /^```sh[ \t]*$/ { inside = 1; file = skipping ? skip : run; next }
        inside && /^```[ \t]*$/ { inside = 0; skipping = 0; next }
        inside && /^! / { print "if " substr($0, 3) "; then echo \047it should have failed\047; exit 1; fi" > file; next }
        inside { print > file; next }
        !inside && NF { skipping = 0 }
        END { if (inside) { print "a block is not closed" > "/dev/stderr"; exit 1 } }' "$1"
}

run_page() {
    local page=$1 name script skipped folder
    name=$(basename "$page" .md)
    script=$work/$name.sh
    skipped=$work/$name.skipped
    folder=$work/$name
    echo 'set -euo pipefail' >"$script"
    : >"$skipped"
    extract "$page" "$work/run" "$work/skip" || return 1
    if [ -e "$work/run" ]; then cat "$work/run" >>"$script"; rm "$work/run"; else return 2; fi
    if [ -e "$work/skip" ]; then
        bash -n "$work/skip" || return 1
        rm "$work/skip"
    fi
    mkdir -p "$folder"
    ln -s "$source_dir/examples" "$folder/examples"
    (cd "$folder" && PATH=$build_dir:$PATH timeout "$seconds" bash -x "$script" </dev/null) >"$work/log" 2>&1 ||
        { tail -n 30 "$work/log"; return 1; }
    echo "$(($(grep -c '^+ ' "$work/log") - 1))"
}

pages=("$@")
if [ ${#pages[@]} -eq 0 ]; then
    mapfile -t pages < <(find "$source_dir/README.md" "$source_dir/doc" -name '*.md' 2>/dev/null | sort)
fi
failed=0
run=0
for page in "${pages[@]}"; do
    output=$(run_page "$page")
    case $? in
    0) run=$((run + 1)); echo "${page#"$source_dir"/}: $output commands" ;;
    2) ;; # a page without commands
    *) failed=1; printf '%s: FAILED\n%s\n' "${page#"$source_dir"/}" "$output" ;;
    esac
done
if [ "$run" -eq 0 ] && [ "$failed" -eq 0 ]; then
    echo "no page had a command to run"
    failed=1
fi
exit "$failed"
