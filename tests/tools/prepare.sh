#!/usr/bin/env bash
# Installs what building and testing need on Debian 12 and is not there yet: the PostgreSQL 15 server, its
# headers, libclang and a C toolchain; and the packages that are named. Does nothing where all of it is present. Needs
# root only to install.
set -euo pipefail

major=15
say() { echo "prepare: $*" >&2; }
installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }
version() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null; }

# A machine that builds against a server of its own names its pg_config and is left alone.
if [ -n "${PG_CONFIG:-}" ] && [ -e "$("$PG_CONFIG" --includedir-server)/postgres.h" ]; then
    say "building against $("$PG_CONFIG" --version) as PG_CONFIG says"
    exit 0
fi
if ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: install PostgreSQL $major with its server headers and libclang, and set PG_CONFIG"
    exit 1
fi

wanted=()
for package in "postgresql-$major" "postgresql-server-dev-$major" gcc libc6-dev libclang-14-dev pkg-config unzip bzip2 "$@"; do
    installed "$package" || wanted+=("$package")
done
python3 -m pip --version >/dev/null 2>&1 || wanted+=(python3-pip)
# A pkg-config of another name (pkgconf) serves as well.
if command -v pkg-config >/dev/null; then wanted=("${wanted[@]/#%pkg-config/}"); fi
packages=()
for package in "${wanted[@]}"; do [ -z "$package" ] || packages+=("$package"); done
if [ "${#packages[@]}" -eq 0 ]; then exit 0; fi
if [ "$(id -u)" -ne 0 ]; then
    say "missing: ${packages[*]}; install them as root: apt-get install ${packages[*]}"
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)

# The package would start a cluster of its own; throwaway clusters are all that is needed. A cluster that
# exists stays as it is.
if ! installed "postgresql-$major"; then
    mkdir -p /etc/postgresql-common
    config=/etc/postgresql-common/createcluster.conf
    if [ ! -e "$config" ] || ! grep -q '^create_main_cluster' "$config"; then
        echo 'create_main_cluster = false' >>"$config"
    fi
fi

# Unpinned headers would drag a running server to their own minor: ask for those of the server that is here,
# and take what is offered only where that minor is gone.
server="$(version "postgresql-$major" || true)"
pin() {
    local package
    for package in "${packages[@]}"; do
        if [ "$package" = "postgresql-server-dev-$major" ] && [ -n "$server" ]; then
            echo "$package=$server"
        else
            echo "$package"
        fi
    done
}

install() { "${apt[@]}" install -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@" >/dev/null; }

say "installing ${packages[*]}"
"${apt[@]}" update || say "could not refresh the package lists; trying with those that are here"
mapfile -t pinned < <(pin)
if ! install "${pinned[@]}"; then
    say "version $server of the headers is not offered any more; taking the newest"
    install "${packages[@]}"
fi
say "done: $(/usr/lib/postgresql/$major/bin/pg_config --version)"
