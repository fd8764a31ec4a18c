-- The tables that carry DDL (docs/protocol.md, record L), and the event triggers that fill them. Only the extension writes
-- them; a role that may read everything may read them. Their ids come from no sequence: a user's lastval() stays. The triggers are members of the extension and are made disabled.

CREATE TABLE walferry.ddl_log (
    id bigint PRIMARY KEY,
    lsn pg_catalog.pg_lsn NOT NULL,
    captured_at pg_catalog.timestamptz NOT NULL,
    username pg_catalog.name,
    tag pg_catalog.text NOT NULL,
    objects pg_catalog.jsonb NOT NULL,
    search_path pg_catalog.text NOT NULL,
    statement pg_catalog.text,
    withheld pg_catalog.text CHECK (withheld IN ('unknown', 'secret')),
    settings pg_catalog.jsonb NOT NULL,
    facts pg_catalog.jsonb NOT NULL,
    mark bigint,
    xid pg_catalog.xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    CHECK ((statement IS NULL) = (withheld IS NOT NULL))
);

COMMENT ON TABLE walferry.ddl_log IS 'Every captured statement that changed definitions, in the transaction that it ran in';

CREATE TABLE walferry.ddl_mark (
    id bigint PRIMARY KEY,
    step pg_catalog.text NOT NULL CHECK (step IN ('begin', 'rewrite')),
    first bigint NOT NULL,
    lsn pg_catalog.pg_lsn NOT NULL,
    captured_at pg_catalog.timestamptz NOT NULL,
    username pg_catalog.name,
    tag pg_catalog.text NOT NULL,
    search_path pg_catalog.text NOT NULL,
    statement pg_catalog.text,
    withheld pg_catalog.text CHECK (withheld IN ('unknown', 'secret')),
    settings pg_catalog.jsonb NOT NULL,
    relation pg_catalog.oid,
    reason integer,
    CHECK ((statement IS NULL) = (withheld IS NOT NULL)),
    CHECK ((step = 'rewrite') = (relation IS NOT NULL)),
    CHECK ((step = 'rewrite') = (reason IS NOT NULL))
);

COMMENT ON TABLE walferry.ddl_mark IS
    'Steps of statements that write rows while they run: made before those rows, completed by a row of walferry.ddl_log';

REVOKE ALL ON walferry.ddl_log, walferry.ddl_mark FROM PUBLIC;
GRANT SELECT ON walferry.ddl_log, walferry.ddl_mark TO pg_monitor;

CREATE FUNCTION walferry.ddl_command_start() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'walferry_ddl_command_start';
CREATE FUNCTION walferry.ddl_command_end() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'walferry_ddl_command_end';
CREATE FUNCTION walferry.ddl_sql_drop() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'walferry_ddl_sql_drop';
CREATE FUNCTION walferry.ddl_table_rewrite() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'walferry_ddl_table_rewrite';

-- Libraries in a value of session_preload_libraries, as the server reads it.
CREATE FUNCTION walferry.preload_list(value text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = ''
AS $$
    SELECT coalesce(pg_catalog.array_agg(CASE WHEN pg_catalog.left(m[1], 1) = '"'
            THEN pg_catalog.replace(pg_catalog.substr(m[1], 2, pg_catalog.length(m[1]) - 2), '""', '"')
            ELSE pg_catalog.rtrim(m[1]) END ORDER BY n), '{}')
    FROM pg_catalog.regexp_matches(value, '\s*("(?:[^"]|"")*"|[^",]+)\s*(?:,|$)', 'g') WITH ORDINALITY AS r (m, n)
    WHERE pg_catalog.btrim(m[1]) <> ''
$$;

-- session_preload_libraries of this database, null where it has none of its own, and of the server without it.
CREATE FUNCTION walferry.preload_settings(OUT own text, OUT server text, OUT shared text)
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    SELECT (SELECT pg_catalog.substr(c, pg_catalog.length('session_preload_libraries=') + 1)
            FROM pg_catalog.pg_db_role_setting s
            JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase AND d.datname = pg_catalog.current_database(),
            pg_catalog.unnest(s.setconfig) c
            WHERE s.setrole = 0 AND c LIKE 'session\_preload\_libraries=%'),
        coalesce((SELECT f.setting FROM pg_catalog.pg_file_settings f
            WHERE f.name = 'session_preload_libraries' AND f.error IS NULL ORDER BY f.seqno DESC LIMIT 1), ''),
        pg_catalog.current_setting('shared_preload_libraries')
$$;

-- Gives this database the list as its own; each library is a literal of its own, since one literal would be one library.
CREATE FUNCTION walferry.set_preload(libraries text[], server text) RETURNS void
LANGUAGE plpgsql
SET search_path = ''
AS $$
DECLARE
    target CONSTANT text := pg_catalog.format('ALTER DATABASE %I ', pg_catalog.current_database());
BEGIN
    IF libraries = '{}' OR libraries = walferry.preload_list(server) THEN
        EXECUTE target || 'RESET session_preload_libraries';
    ELSE
        EXECUTE target || 'SET session_preload_libraries = ' || (
            SELECT pg_catalog.string_agg(pg_catalog.quote_literal(l), ', ' ORDER BY n)
            FROM pg_catalog.unnest(libraries) WITH ORDINALITY AS u (l, n));
    END IF;
END
$$;

CREATE FUNCTION walferry.add_preload() RETURNS void
LANGUAGE plpgsql
SET search_path = ''
AS $$
DECLARE
    found record;
    libraries text[];
BEGIN
    SELECT * INTO found FROM walferry.preload_settings();
    libraries := walferry.preload_list(coalesce(found.own, found.server));
    IF walferry.preload_list(found.shared) || libraries && ARRAY['walferry', '$libdir/walferry'] THEN
        RETURN;
    END IF;
    PERFORM walferry.set_preload(libraries || 'walferry'::text, found.server);
END
$$;

CREATE FUNCTION walferry.remove_preload() RETURNS void
LANGUAGE plpgsql
SET search_path = ''
AS $$
DECLARE
    found record;
    libraries text[];
BEGIN
    SELECT * INTO found FROM walferry.preload_settings();
    libraries := walferry.preload_list(found.own);
    IF 'walferry' = ANY (libraries) THEN
        PERFORM walferry.set_preload(pg_catalog.array_remove(libraries, 'walferry'), found.server);
    END IF;
END
$$;

CREATE FUNCTION walferry.require_superuser() RETURNS void
LANGUAGE plpgsql
SET search_path = ''
AS $$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        RAISE EXCEPTION 'only a superuser can switch the capture of DDL on and off'
            USING ERRCODE = 'insufficient_privilege',
                HINT = 'Event triggers and session_preload_libraries are a superuser''s: run this once as one. Nothing else of walferry needs it.';
    END IF;
END
$$;

-- Puts the event triggers into a state: ENABLE ALWAYS, so that statements of replication sessions are captured too, or
-- DISABLE.
CREATE FUNCTION walferry.switch_ddl_capture(state text) RETURNS void
LANGUAGE plpgsql
SET search_path = ''
AS $$
DECLARE
    trigger name;
BEGIN
    FOREACH trigger IN ARRAY ARRAY['walferry_ddl_command_start', '!walferry_ddl_command_end', 'walferry_sql_drop',
        'walferry_table_rewrite'] LOOP
        EXECUTE pg_catalog.format('ALTER EVENT TRIGGER %I ', trigger) || state;
    END LOOP;
END
$$;

-- Leaves a mark in the log, and so in the stream of every slot: from there on, or up to there, nothing is captured.
CREATE FUNCTION walferry.log_switch(what text, asked text) RETURNS void
LANGUAGE sql
SET search_path = ''
AS $$
    INSERT INTO walferry.ddl_log (id, lsn, captured_at, username, tag, objects, search_path, statement, settings, facts)
    -- Above the ids that statements of the same transaction get.
    SELECT (pg_catalog.pg_current_xact_id()::text::bigint OPERATOR(pg_catalog.<<) 22) OPERATOR(pg_catalog.+) 4000000
            OPERATOR(pg_catalog.+) (pg_catalog.random() OPERATOR(pg_catalog.*) 190000)::integer,
        pg_catalog.pg_current_wal_insert_lsn(),
        pg_catalog.clock_timestamp(), current_user, what, '[]', '', asked, '{}', '{}'
$$;

CREATE FUNCTION walferry.enable_ddl_capture(preload boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql STRICT
SET search_path = ''
AS $$
BEGIN
    PERFORM walferry.require_superuser();
    IF preload THEN
        PERFORM walferry.add_preload();
    END IF;
    IF NOT walferry.ddl_capture_enabled() THEN
        PERFORM walferry.log_switch('ENABLE DDL CAPTURE', 'SELECT walferry.enable_ddl_capture()');
    END IF;
    PERFORM walferry.switch_ddl_capture('ENABLE ALWAYS');
END
$$;

COMMENT ON FUNCTION walferry.enable_ddl_capture(boolean) IS
    'Captures DDL of this database from now on; new sessions load the library, unless preload is false. Needs a superuser';

CREATE FUNCTION walferry.disable_ddl_capture() RETURNS void
LANGUAGE plpgsql
SET search_path = ''
AS $$
BEGIN
    PERFORM walferry.require_superuser();
    IF walferry.ddl_capture_enabled() THEN
        PERFORM walferry.log_switch('DISABLE DDL CAPTURE', 'SELECT walferry.disable_ddl_capture()');
    END IF;
    PERFORM walferry.switch_ddl_capture('DISABLE');
    PERFORM walferry.remove_preload();
END
$$;

COMMENT ON FUNCTION walferry.disable_ddl_capture() IS
    'Ends the capture of DDL in this database, and the loading of the library in new sessions. Needs a superuser';

CREATE FUNCTION walferry.ddl_capture_enabled() RETURNS boolean
LANGUAGE sql STABLE
SET search_path = ''
AS $$
    SELECT pg_catalog.count(*) = 4 FROM pg_catalog.pg_event_trigger
    WHERE evtname IN ('walferry_ddl_command_start', '!walferry_ddl_command_end', 'walferry_sql_drop',
        'walferry_table_rewrite') AND evtenabled = 'A'
$$;

COMMENT ON FUNCTION walferry.ddl_capture_enabled() IS 'Whether DDL of this database is captured';

REVOKE ALL ON FUNCTION walferry.ddl_command_start(), walferry.ddl_command_end(), walferry.ddl_sql_drop(),
    walferry.ddl_table_rewrite(), walferry.preload_list(text), walferry.preload_settings(),
    walferry.set_preload(text[], text), walferry.add_preload(), walferry.remove_preload(),
    walferry.switch_ddl_capture(text), walferry.log_switch(text, text) FROM PUBLIC;

-- Last: until they are disabled they are in force.
CREATE EVENT TRIGGER walferry_ddl_command_start ON ddl_command_start EXECUTE FUNCTION walferry.ddl_command_start();
ALTER EVENT TRIGGER walferry_ddl_command_start DISABLE;
-- Triggers fire by their names: a statement is written before what a user's trigger makes of it.
CREATE EVENT TRIGGER "!walferry_ddl_command_end" ON ddl_command_end EXECUTE FUNCTION walferry.ddl_command_end();
ALTER EVENT TRIGGER "!walferry_ddl_command_end" DISABLE;
CREATE EVENT TRIGGER walferry_sql_drop ON sql_drop EXECUTE FUNCTION walferry.ddl_sql_drop();
ALTER EVENT TRIGGER walferry_sql_drop DISABLE;
CREATE EVENT TRIGGER walferry_table_rewrite ON table_rewrite EXECUTE FUNCTION walferry.ddl_table_rewrite();
ALTER EVENT TRIGGER walferry_table_rewrite DISABLE;
