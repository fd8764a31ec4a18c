-- walferry.tables: every user table, whether its changes can be synchronised, and what to do where they cannot.
-- Rows of a table without replica identity can be inserted, but an UPDATE or DELETE does not say which row it means.
CREATE VIEW walferry.tables AS
WITH found AS (
    SELECT c.oid, n.nspname, c.relname, c.relpersistence, c.relreplident,
        pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
        EXISTS (
            SELECT FROM pg_catalog.pg_index i
            WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid AND i.indimmediate
        ) AS has_key,
        EXISTS (
            SELECT FROM pg_catalog.pg_index i
            WHERE i.indrelid = c.oid AND i.indisprimary AND NOT i.indimmediate
        ) AS has_deferrable_key,
        EXISTS (
            SELECT FROM pg_catalog.pg_index i
            WHERE i.indrelid = c.oid AND i.indisreplident AND i.indisvalid AND i.indimmediate
        ) AS has_identity_index,
        EXISTS (
            SELECT FROM pg_catalog.pg_index i
            JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
            WHERE i.indrelid = c.oid AND a.attgenerated <> ''
                AND CASE c.relreplident WHEN 'i' THEN i.indisreplident WHEN 'd' THEN i.indisprimary ELSE false END
        ) AS has_generated_identity
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
        AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'walferry', 'walferry_state')
), judged AS (
    SELECT *, CASE
        WHEN relpersistence = 'u' THEN
            'unlogged: its changes are not in the write-ahead log; run ALTER TABLE ' || name || ' SET LOGGED'
        WHEN relreplident = 'n' THEN
            'replica identity NOTHING: UPDATE and DELETE do not say which row they mean; run ALTER TABLE '
            || name || ' REPLICA IDENTITY ' || CASE WHEN has_key THEN 'DEFAULT' ELSE 'FULL' END
        WHEN relreplident = 'i' AND NOT has_identity_index THEN
            'the index of its replica identity is gone: UPDATE and DELETE do not say which row they mean; run ALTER TABLE '
            || name || ' REPLICA IDENTITY ' || CASE WHEN has_key THEN 'DEFAULT' ELSE 'FULL' END
        WHEN relreplident = 'd' AND NOT has_key AND has_deferrable_key THEN
            'its primary key is deferrable and so no replica identity: UPDATE and DELETE do not say which row they mean; '
            'run ALTER TABLE ' || name || ' REPLICA IDENTITY FULL'
        WHEN relreplident = 'd' AND NOT has_key THEN
            'no primary key: UPDATE and DELETE do not say which row they mean; add one, or run ALTER TABLE '
            || name || ' REPLICA IDENTITY FULL'
        WHEN has_generated_identity THEN
            'its replica identity has a generated column, which is not sent: UPDATE and DELETE do not say which row they '
            'mean; run ALTER TABLE ' || name || ' REPLICA IDENTITY FULL'
    END AS reason
    FROM found
)
SELECT name AS "table",
    CASE relreplident WHEN 'd' THEN 'default' WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full' WHEN 'i' THEN 'index' END
        AS replica_identity,
    reason IS NULL AS synchronisable,
    reason
FROM judged
ORDER BY nspname, relname;

COMMENT ON VIEW walferry.tables IS 'User tables, whether their changes can be synchronised, and why not';
GRANT SELECT ON walferry.tables TO PUBLIC;
