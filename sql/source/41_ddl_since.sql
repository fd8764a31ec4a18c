-- Whether definitions have changed since a snapshot was taken: the applier asks before it takes up an interrupted copy. It
-- may not read the statements themselves.
CREATE FUNCTION walferry.ddl_since(seen pg_snapshot) RETURNS bigint
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = ''
AS $$
    SELECT pg_catalog.count(*) FROM walferry.ddl_log l WHERE NOT pg_catalog.pg_visible_in_snapshot(l.xid, seen)
$$;

COMMENT ON FUNCTION walferry.ddl_since(pg_snapshot) IS 'How many captured statements a snapshot does not see';
