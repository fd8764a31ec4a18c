-- Whether definitions have changed since a snapshot was taken: the applier asks before it takes up an interrupted copy. It
-- may not read the statements themselves. What is never carried, and what changes rows only, does not count.
CREATE FUNCTION walferry.ddl_since(seen pg_snapshot) RETURNS bigint
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = ''
AS $$
    SELECT pg_catalog.count(*) FROM walferry.ddl_log l
    WHERE NOT pg_catalog.pg_visible_in_snapshot(l.xid, seen)
        AND l.tag OPERATOR(pg_catalog.<>) 'REFRESH MATERIALIZED VIEW' AND l.withheld IS DISTINCT FROM 'secret'
$$;

COMMENT ON FUNCTION walferry.ddl_since(pg_snapshot) IS 'How many captured statements a snapshot does not see';

-- The tables that were made or altered since a position: the applier of a task that takes over an older slot knows them as
-- they are now, and not as they were at the slot's position.
CREATE FUNCTION walferry.ddl_tables_since(since pg_lsn) RETURNS SETOF oid
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = ''
AS $$
    SELECT DISTINCT (o.object OPERATOR(pg_catalog.->>) 'oid')::oid
    FROM walferry.ddl_log l, pg_catalog.jsonb_array_elements(l.objects) AS o(object)
    WHERE l.lsn OPERATOR(pg_catalog.>=) since AND o.object OPERATOR(pg_catalog.->>) 'type' OPERATOR(pg_catalog.=) 'table'
        AND o.object OPERATOR(pg_catalog.->>) 'oid' IS NOT NULL
$$;

COMMENT ON FUNCTION walferry.ddl_tables_since(pg_lsn) IS 'The tables that captured statements made or altered since a position';
