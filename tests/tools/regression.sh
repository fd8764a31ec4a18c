#!/usr/bin/env bash
# PostgreSQL's own regression database, as `make installcheck` leaves it: the tests of the Debian source package of the
# server that is installed, run by its pg_regress in a throwaway cluster. What stays is that cluster's data directory,
# regress.so, which its functions are in, and the scripts with their data, for scenarios that run them once more; those
# of test_ddl_deparse, too. Usage: regression.sh FOLDER; does nothing where FOLDER is complete.
set -euo pipefail

folder="$1"
pg_config="${PG_CONFIG:-/usr/lib/postgresql/15/bin/pg_config}"
bin="$("$pg_config" --bindir)"
minor="$("$pg_config" --version | sed -E 's/^PostgreSQL ([0-9.]+).*/\1/')"
major="${minor%%.*}"
pg_regress="$("$pg_config" --pkglibdir)/pgxs/src/test/regress/pg_regress"
say() { echo "regression: $*" >&2; }

# Its functions name the library by this path; a server's user must be able to read it, and the data of the scripts.
library="${TMPDIR:-/tmp}/walferry-regress-$minor"
provide() {
    install -d -m 755 "$library"
    install -m 755 "$folder/regress.so" "$library/regress.so"
    cp -R "$folder/scripts/data" "$library/"
    chmod -R a+rX "$library"
}

if [ "$(cat "$folder/version" 2>/dev/null)" = "$minor" ] && [ -d "$folder/scripts" ]; then
    [ -e "$library/regress.so" ] && [ -d "$library/data" ] || provide
    exit 0
fi
[ -x "$pg_regress" ] || { say "$pg_regress is missing: install postgresql-server-dev-$major (make prepare)"; exit 1; }
work="$(mktemp -d)"
server=""
finish() {
    if [ -n "$server" ]; then kill -INT "$server" 2>/dev/null && wait "$server" || true; fi
    rm -rf "$work"
}
trap finish EXIT

# The source package, over package lists of our own: the machine's stay as they are.
mirrors() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u
}
own_apt=(-qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::Lists="$work/lists"
    -o Dir::Cache="$work/cache" -o APT::Get::List-Cleanup=0 -o APT::Sandbox::User=root -o Acquire::Retries=3)
fetch() {
    local wanted
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/package"
    mirrors | sed 's/^/deb-src /' >"$work/sources.list"
    apt-get "${own_apt[@]}" update
    cd "$work/package"
    wanted="$(dpkg-query -W -f '${source:Version}' "postgresql-$major" 2>/dev/null || true)"
    if ! apt-get "${own_apt[@]}" source --download-only "postgresql-$major=$wanted" 2>"$work/apt.log"; then
        say "the source of $wanted is not offered any more; taking the nearest"
        nearest
    fi
    tar -xf ./postgresql-"$major"_*.orig.tar.* --strip-components=1 --wildcards '*/src/test/regress' '*/src/include' \
        '*/src/test/modules/test_ddl_deparse'
}
# Of the versions that are offered, the first whose files are there.
nearest() {
    local version
    for version in $(apt-cache "${own_apt[@]}" showsrc "postgresql-$major" | sed -n 's/^Version: //p' | sort -rV); do
        apt-get "${own_apt[@]}" source --download-only "postgresql-$major=$version" 2>"$work/apt.log" && return
    done
    cat "$work/apt.log" >&2
    say "no source of postgresql-$major can be fetched"
    exit 1
}

# Servers refuse to run as root.
as_server=(env LC_ALL=C.UTF-8)
[ "$(id -u)" -ne 0 ] || as_server=(setpriv --reuid postgres --regid postgres --init-groups env LC_ALL=C.UTF-8)

build() {
    local tests="$work/package/src/test/regress"
    cc -shared -fPIC -O2 -w -I"$("$pg_config" --includedir-server)" -I"$tests" -o "$work/regress.so" "$tests/regress.c"
    install -d "$folder"
    install -m 755 "$work/regress.so" "$folder/regress.so"
    rm -rf "$folder/scripts"
    mkdir "$folder/scripts"
    cp -R "$tests/sql" "$tests/data" "$work/package/src/test/modules/test_ddl_deparse" "$folder/scripts/"
    provide
}

run() {
    local tests="$work/package/src/test/regress" port
    port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
    mkdir "$work/out"
    if [ "$(id -u)" -eq 0 ]; then chown -R postgres: "$work"; fi
    cd "$work/out"
    "${as_server[@]}" "$bin/initdb" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync -D "$work/data" >/dev/null
    printf '%s\n' "listen_addresses = '127.0.0.1'" "port = $port" "unix_socket_directories = '$work'" 'fsync = off' \
        'max_prepared_transactions = 10' 'max_connections = 60' "lc_messages = 'C'" 'wal_level = minimal' \
        'max_wal_senders = 0' 'min_wal_size = 32MB' 'max_wal_size = 128MB' >>"$work/data/postgresql.conf"
    "${as_server[@]}" "$bin/postgres" -D "$work/data" >"$work/log" 2>&1 &
    server=$!
    until "${as_server[@]}" "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; do
        kill -0 "$server" || { cat "$work/log" >&2; exit 1; }
        sleep 0.1
    done
    "${as_server[@]}" "$pg_regress" --host=127.0.0.1 --port="$port" --user=postgres --bindir="$bin" --dlpath="$library" \
        --inputdir="$tests" --outputdir="$work/out" --encoding=UTF8 --max-concurrent-tests=20 \
        --schedule="$tests/parallel_schedule" >"$work/regress.log" 2>&1 ||
        grep -E 'FAILED| tests failed' "$work/regress.log" >&2
    kill -INT "$server"
    wait "$server" || true
    server=""
}

fetch
build
run
rm -rf "$folder/data"
cp -a "$work/data" "$folder/data"
sed -i '/^listen_addresses/,$d' "$folder/data/postgresql.conf"
cp "$work/regress.log" "$folder/regress.log"
echo "$minor" >"$folder/version"
say "done: $(du -sh "$folder/data" | cut -f1) in $folder"
