#!/usr/bin/env bash
# What decoding costs: one million inserted rows of nine columns in 100 transactions, sent through a walsender by each
# plugin, ROUNDS times (default 5) in turn, so that a machine that is busy is busy for all of them. Prints medians.
# Needs a source with wal_level = logical and the extension's library; connects as libpq's environment says
# (PGHOST, PGPORT, PGUSER: a superuser), in a database of its own.
set -euo pipefail
rounds="${ROUNDS:-5}"
db="walferry_decoding_$$"
results="$(mktemp -d)"
export PGDATABASE="$db"

sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
finish() {
    rm -rf "$results"
    PGDATABASE=postgres sql -c "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
        WHERE database = '$db' AND NOT active" >/dev/null || true
    PGDATABASE=postgres sql -c "DROP DATABASE IF EXISTS $db" || true
}
trap finish EXIT

PGDATABASE=postgres sql -c "CREATE DATABASE $db"
sql -c "CREATE TABLE rows (id bigint PRIMARY KEY, a int, n numeric(12,2), s text, v varchar(40), t timestamptz,
        u uuid, f float8, ok bool)" -c "CREATE PUBLICATION everything FOR ALL TABLES"
for plugin in test_decoding pgoutput walferry; do
    sql -c "SELECT pg_create_logical_replication_slot('${db}_$plugin', '$plugin')" >/dev/null
done
for part in $(seq 0 99); do
    echo "INSERT INTO rows SELECT g, g % 1000, g * 1.25, 'some text of moderate length ' || g, 'v' || g,
        '2026-01-01'::timestamptz + g * interval '1 second', md5(g::text)::uuid, g / 3.0, g % 2 = 0
        FROM generate_series($part * 10000 + 1, ($part + 1) * 10000) g;"
done | sql
end="$(sql -c "SELECT pg_current_wal_flush_lsn()")"
sql -c "SELECT pg_logical_emit_message(true, 'end', '')" >/dev/null

# measure NAME PLUGIN [pg_recvlogical options]: of a copy of the slot, so that every round decodes the same.
measure() {
    local name="$1" slot="${db}_$2" start
    shift 2
    sql -c "SELECT pg_copy_logical_replication_slot('$slot', '${slot}_copy')" >/dev/null
    start="$(date +%s%N)"
    pg_recvlogical -d "$db" -S "${slot}_copy" --start -f /dev/null --endpos="$end" --no-loop "$@"
    echo $((($(date +%s%N) - start) / 1000000)) >>"$results/$name"
    sql -c "SELECT pg_drop_replication_slot('${slot}_copy')" >/dev/null
}
for _ in $(seq "$rounds"); do
    measure test_decoding test_decoding
    measure pgoutput_text pgoutput -o proto_version=1 -o publication_names=everything
    measure pgoutput_binary pgoutput -o proto_version=1 -o publication_names=everything -o binary=true
    measure walferry walferry
    measure walferry_nothing_chosen walferry -o include=no.such
done
for name in test_decoding pgoutput_text pgoutput_binary walferry walferry_nothing_chosen; do
    printf '%-24s %6d ms\n' "$name" "$(sort -n "$results/$name" | sed -n "$(((rounds + 1) / 2))p")"
done
