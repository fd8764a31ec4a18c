-- Functions on slots. They run with the caller's rights: reading and dropping slots needs REPLICATION (or superuser),
-- ending another role's walsender needs pg_signal_backend.

CREATE FUNCTION walferry.heartbeat() RETURNS pg_catalog.pg_lsn
LANGUAGE sql VOLATILE STRICT
SET search_path = ''
AS $$ SELECT pg_catalog.pg_logical_emit_message(true, 'walferry.heartbeat', '') $$;

COMMENT ON FUNCTION walferry.heartbeat() IS
    'Writes a transactional marker that comes through every slot of the plugin; gives its position';

-- The slot's state, or an error that says what is wrong with the name.
CREATE FUNCTION walferry.slot_of_plugin(slot name, OUT active boolean, OUT active_pid integer)
LANGUAGE plpgsql VOLATILE
SET search_path = ''
AS $$
DECLARE
    found_plugin name;
    found_database name;
BEGIN
    SELECT s.plugin, s.database, s.active, s.active_pid
    INTO found_plugin, found_database, slot_of_plugin.active, slot_of_plugin.active_pid
    FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = slot;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'replication slot "%" does not exist', slot
            USING ERRCODE = 'undefined_object', HINT = 'SELECT slot_name FROM walferry.slots lists those of this database.';
    ELSIF found_plugin IS DISTINCT FROM 'walferry' THEN
        RAISE EXCEPTION 'replication slot "%" does not use the plugin walferry but %', slot,
            coalesce(found_plugin::text, 'none (it is a physical slot)')
            USING ERRCODE = 'object_not_in_prerequisite_state';
    ELSIF found_database IS DISTINCT FROM pg_catalog.current_database() THEN
        RAISE EXCEPTION 'replication slot "%" belongs to the database "%"', slot, found_database
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Connect to that database.';
    END IF;
END
$$;

COMMENT ON FUNCTION walferry.slot_of_plugin(name) IS 'Whether and by whom a slot of the plugin in this database is used';

-- Of an active slot a temporary copy is read. An error in the middle ends the statement, and PostgreSQL itself drops
-- temporary slots then.
CREATE FUNCTION walferry.peek(slot name, changes integer DEFAULT 20)
RETURNS TABLE (lsn pg_lsn, xid xid, change json)
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = ''
AS $$
DECLARE
    read_from name := slot;
    copied boolean;
BEGIN
    IF changes < 1 THEN
        RAISE EXCEPTION 'changes must be at least 1, not %', changes USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT s.active INTO copied FROM walferry.slot_of_plugin(slot) s;
    IF copied THEN
        read_from := pg_catalog.format('walferry_peek_%s', pg_catalog.pg_backend_pid());
        PERFORM pg_catalog.pg_copy_logical_replication_slot(slot, read_from, true);
    END IF;
    RETURN QUERY
        SELECT p.lsn, p.xid, p.data::json
        FROM pg_catalog.pg_logical_slot_peek_changes(
            read_from, NULL, changes, 'format', 'json', 'ddl', 'on', 'limit', changes::text) p;
    IF copied THEN
        PERFORM pg_catalog.pg_drop_replication_slot(read_from);
    END IF;
END
$$;

COMMENT ON FUNCTION walferry.peek(name, integer) IS
    'The next changes of a slot as readable JSON; moves nothing. Header and relation records are left out';

CREATE FUNCTION walferry.drop_slot(slot name, force boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = ''
AS $$
DECLARE
    is_active boolean;
    pid integer;
    deadline timestamptz := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) interval '10 seconds';
BEGIN
    SELECT s.active, s.active_pid INTO is_active, pid FROM walferry.slot_of_plugin(slot) s;
    IF is_active AND NOT force THEN
        RAISE EXCEPTION 'replication slot "%" is in use by the process %', slot, pid
            USING ERRCODE = 'object_in_use',
                HINT = 'Stop its walferry daemon first, or drop it with force => true.';
    END IF;
    WHILE is_active LOOP
        IF pg_catalog.clock_timestamp() > deadline THEN
            RAISE EXCEPTION 'replication slot "%" is still in use by the process %', slot, pid
                USING ERRCODE = 'object_in_use', HINT = 'Its client connects again and again: stop the daemon.';
        END IF;
        PERFORM pg_catalog.pg_terminate_backend(pid);
        PERFORM pg_catalog.pg_sleep(0.05);
        SELECT s.active, s.active_pid INTO is_active, pid FROM walferry.slot_of_plugin(slot) s;
    END LOOP;
    PERFORM pg_catalog.pg_drop_replication_slot(slot);
END
$$;

COMMENT ON FUNCTION walferry.drop_slot(name, boolean) IS
    'Drops a slot of the plugin; of an active one, ends the process that uses it first if forced';
