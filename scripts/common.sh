# SPDX-License-Identifier: BSD-3-Clause
# Shell functions that the scripts of this folder share; sourced, never run.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/palombe

say() { printf 'palombe: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Makes `configure`, when it is missing or older than what it is made from.
bootstrap() {
    local newer
    newer=yes
    if [ -e "$top/configure" ] && [ -e "$top/Makefile.in" ]; then
        newer=$(find "$top/configure.ac" "$top"/m4/plb*.m4 -newer "$top/configure" | head -n 1)
    fi
    [ -n "$newer" ] || return 0
    say "making configure"
    (cd "$top" && autoreconf -fi) >"$top/autoreconf.log" 2>&1 || {
        tail -n 20 "$top/autoreconf.log" >&2
        die "autoreconf failed; its log is autoreconf.log"
    }
    rm -f "$top/autoreconf.log"
}

# configure_in FOLDER OPTIONS...: configures there, unless it was done with the same options.
configure_in() {
    local folder=$1 line
    shift
    line="$*"
    mkdir -p "$folder"
    if [ -e "$folder/config.status" ] && [ "$(cat "$folder/palombe-options" 2>/dev/null)" = "$line" ] &&
        [ "$folder/config.status" -nt "$top/configure" ]; then
        return 0
    fi
    say "configure $line"
    (cd "$folder" && "$top/configure" -q "$@") || die "configure failed; its log is $folder/config.log"
    printf '%s\n' "$line" >"$folder/palombe-options"
}
