-- walferry.slots: the logical slots of this database that use the plugin, and how they are.
--
-- health:
--   lost      WAL that the slot needs is gone (wal_status lost, or invalidated): make a new slot and copy again
--   at_risk   WAL is kept beyond max_wal_size, or less than a tenth of max_slot_wal_keep_size is left
--   lagging   more than 256 MB are not confirmed, or the client is more than 60 s behind
--   ok        none of these
--
-- lag_seconds is null while no client is connected and for who may not read pg_stat_replication
-- (GRANT pg_read_all_stats). The statistics are PostgreSQL's, kept since 14.
DO $make$
DECLARE
    version CONSTANT integer := pg_catalog.current_setting('server_version_num')::integer;
    -- 17 tells why a slot was invalidated; 16 only that a standby's was.
    invalidated CONSTANT text := CASE
        WHEN version >= 170000 THEN 's.invalidation_reason IS NOT NULL'
        WHEN version >= 160000 THEN 'coalesce(s.conflicting, false)'
        ELSE 'false' END;
    statistics CONSTANT text := CASE
        WHEN version >= 140000 THEN
            't.spill_txns, t.spill_bytes, t.stream_txns, t.stream_bytes, t.total_txns, t.total_bytes'
        ELSE
            'NULL::bigint AS spill_txns, NULL::bigint AS spill_bytes, NULL::bigint AS stream_txns, '
            'NULL::bigint AS stream_bytes, NULL::bigint AS total_txns, NULL::bigint AS total_bytes' END;
    statistics_of CONSTANT text := CASE
        WHEN version >= 140000 THEN 'LEFT JOIN pg_catalog.pg_stat_replication_slots t USING (slot_name)'
        ELSE '' END;
BEGIN
    EXECUTE pg_catalog.format($view$
        CREATE VIEW walferry.slots AS
        WITH slot AS (
            SELECT s.*, %1$s AS invalidated,
                pg_catalog.pg_wal_lsn_diff(n.lsn, s.restart_lsn)::bigint AS retained_bytes,
                pg_catalog.pg_wal_lsn_diff(n.lsn, s.confirmed_flush_lsn)::bigint AS lag_bytes,
                extract(epoch FROM r.replay_lag)::double precision AS lag_seconds
            FROM pg_catalog.pg_replication_slots s
            CROSS JOIN (
                SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                    ELSE pg_catalog.pg_current_wal_lsn() END AS lsn
            ) n
            LEFT JOIN pg_catalog.pg_stat_replication r ON r.pid = s.active_pid
            WHERE s.plugin = 'walferry' AND s.database = pg_catalog.current_database()
        ), keep AS (
            SELECT pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_slot_wal_keep_size')) AS bytes
        )
        SELECT slot_name, s.active, s.active_pid, s.restart_lsn, s.confirmed_flush_lsn, s.retained_bytes,
            s.lag_bytes, s.lag_seconds, s.wal_status, s.safe_wal_size, %2$s,
            CASE
                WHEN s.wal_status = 'lost' OR s.invalidated THEN 'lost'
                WHEN s.wal_status IN ('unreserved', 'extended') THEN 'at_risk'
                WHEN k.bytes > 0 AND s.safe_wal_size < k.bytes / 10 THEN 'at_risk'
                WHEN s.lag_bytes > 256 * 1024 * 1024 OR s.lag_seconds > 60 THEN 'lagging'
                ELSE 'ok'
            END AS health
        FROM slot s CROSS JOIN keep k %3$s
    $view$, invalidated, statistics, statistics_of);
END
$make$;

COMMENT ON VIEW walferry.slots IS 'Logical slots of this database that use the walferry plugin, and how they are';
GRANT SELECT ON walferry.slots TO PUBLIC;
