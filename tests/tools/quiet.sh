#!/usr/bin/env bash
# quiet.sh TITLE CMD...: runs CMD, shows only the title and the time; the whole output where CMD fails.
set -euo pipefail
title="$1"
shift
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
printf '%s ...' "$title"
start=$SECONDS
if "$@" >"$log" 2>&1; then
    printf ' done in %d s\n' $((SECONDS - start))
else
    status=$?
    printf ' failed\n'
    cat "$log"
    exit "$status"
fi
