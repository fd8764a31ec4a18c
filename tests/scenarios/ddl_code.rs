//! Views, functions, triggers, rules, policies and event triggers; and that none of them acts at the destination.

use walferry_tests::Task;
use walferry_tests::ddl::{ALWAYS, APART, Pace, carried, follow};

const T: &str = "CREATE TABLE t (id integer PRIMARY KEY, v text, n integer DEFAULT 0);
    INSERT INTO t SELECT i, 'v' || i, i % 5 FROM generate_series(1, 50) i; CREATE TABLE seen (id serial PRIMARY KEY, what text);";

#[test]
fn views_and_materialized_views() {
    carried(
        "ddl-views",
        T,
        "CREATE VIEW small AS SELECT id, v FROM t WHERE id < 10 WITH CASCADED CHECK OPTION;
         INSERT INTO small VALUES (0, 'through the view');
         CREATE OR REPLACE VIEW small AS SELECT id, v, n FROM t WHERE id < 20;
         ALTER VIEW small SET (security_barrier = true, check_option = local);
         ALTER VIEW small RESET (security_barrier);
         ALTER VIEW small ALTER COLUMN n SET DEFAULT 9;
         ALTER VIEW small RENAME COLUMN v TO w;
         INSERT INTO small (id, w) VALUES (-1, 'default of the view');
         CREATE RECURSIVE VIEW up (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM up WHERE n < 5;
         CREATE MATERIALIZED VIEW counted AS SELECT n, count(*) AS c FROM t GROUP BY n;
         CREATE UNIQUE INDEX ON counted (n);
         INSERT INTO t VALUES (99, 'more', 99);
         REFRESH MATERIALIZED VIEW counted;
         CREATE MATERIALIZED VIEW empty AS SELECT 1 AS one WITH NO DATA;
         REFRESH MATERIALIZED VIEW empty;
         CREATE MATERIALIZED VIEW stays_empty WITH (fillfactor = 50) AS TABLE t WITH NO DATA;
         REFRESH MATERIALIZED VIEW empty WITH NO DATA;
         ALTER MATERIALIZED VIEW counted RENAME TO numbers;
         ALTER MATERIALIZED VIEW numbers RENAME COLUMN c TO how_many;
         ALTER MATERIALIZED VIEW numbers SET (autovacuum_enabled = off), ALTER COLUMN n SET STATISTICS 7;
         CREATE SCHEMA s;
         ALTER MATERIALIZED VIEW numbers SET SCHEMA s;
         ALTER VIEW small SET SCHEMA s;
         UPDATE t SET n = n + 1;
         REFRESH MATERIALIZED VIEW s.numbers;
         DROP VIEW s.small, up;
         DROP MATERIALIZED VIEW IF EXISTS empty;
",
        ALWAYS,
    );
}

#[test]
fn functions_procedures_and_aggregates() {
    carried(
        "ddl-functions",
        T,
        "CREATE FUNCTION one(a integer DEFAULT 1, OUT b integer) LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 5 AS 'SELECT a + 1';
         CREATE OR REPLACE FUNCTION one(a integer DEFAULT 1, OUT b integer) LANGUAGE sql IMMUTABLE AS $body$ SELECT a + 2; $body$;
         CREATE FUNCTION many(VARIADIC a integer[]) RETURNS TABLE (x integer, y text) LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT u, u::text FROM unnest(a) u; END $$;
         CREATE FUNCTION missing() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM not_yet_there); END $$;
         CREATE FUNCTION modern(a integer) RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT a * 2; SELECT id FROM t WHERE id = a; END;
         CREATE PROCEDURE work(n integer) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (n, 'worked'); COMMIT; INSERT INTO t VALUES (n + 1, 'again'); END $$;
         ALTER FUNCTION one(integer) SET search_path = public, pg_temp;
         ALTER FUNCTION one(integer) STABLE LEAKPROOF;
         ALTER FUNCTION many(VARIADIC integer[]) ROWS 10 SECURITY DEFINER;
         ALTER FUNCTION modern RENAME TO classic;
         CREATE SCHEMA lib;
         ALTER FUNCTION classic(integer) SET SCHEMA lib;
         ALTER PROCEDURE work(integer) SET work_mem = '8MB';
         CREATE AGGREGATE longest(text) (SFUNC = textcat, STYPE = text, PARALLEL = safe);
         ALTER AGGREGATE longest(text) SET SCHEMA lib;
         CREATE FUNCTION wide(a integer, b text) RETURNS boolean LANGUAGE internal IMMUTABLE AS 'booleq';
         ALTER TABLE t ADD CONSTRAINT sane CHECK (one(n) >= 0);
         INSERT INTO t VALUES (100, 'checked', 5);
         ALTER TABLE t ALTER n SET DEFAULT one();
         INSERT INTO t (id) VALUES (101);
         DROP FUNCTION wide, missing();
         DROP PROCEDURE work(integer);
         DROP ROUTINE lib.classic(integer);
         DROP FUNCTION one(integer) CASCADE;
         INSERT INTO t (id) VALUES (102);
",
        APART,
    );
}

#[test]
fn triggers_and_rules_do_not_act_twice() {
    carried(
        "ddl-triggers",
        T,
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen (what) VALUES (TG_OP || ' by ' || TG_NAME); RETURN NEW; END $$;
         CREATE TRIGGER noting BEFORE INSERT OR UPDATE OF v ON t FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION note();
         INSERT INTO t VALUES (60, 'noted'); UPDATE t SET v = 'noted too' WHERE id = 3;
         CREATE OR REPLACE TRIGGER noting AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note();
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
         INSERT INTO t VALUES (61, 'twice noted');
         CREATE TRIGGER whole AFTER DELETE ON t REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note();
         DELETE FROM t WHERE id = 61;
         ALTER TRIGGER whole ON t RENAME TO statement;
         ALTER TABLE t DISABLE TRIGGER noting;
         INSERT INTO t VALUES (62, 'once');
         ALTER TABLE t DISABLE TRIGGER ALL;
         ALTER TABLE t ENABLE TRIGGER USER;
         ALTER TABLE t ENABLE REPLICA TRIGGER late;
         ALTER TABLE t ENABLE TRIGGER late;
         DROP TRIGGER noting ON t;
         DROP TRIGGER IF EXISTS late ON t;
         INSERT INTO t VALUES (63, 'not noted');
         CREATE RULE log_it AS ON UPDATE TO t WHERE NEW.n > 50 DO ALSO INSERT INTO seen (what) VALUES ('rule ' || NEW.id);
         UPDATE t SET n = 60 WHERE id < 4;
         ALTER RULE log_it ON t RENAME TO \"Log it\";
         ALTER TABLE t DISABLE RULE \"Log it\";
         UPDATE t SET n = 70 WHERE id < 4;
         ALTER TABLE t ENABLE RULE \"Log it\";
         CREATE OR REPLACE RULE \"Log it\" AS ON UPDATE TO t DO INSTEAD NOTHING;
         UPDATE t SET n = 1;
         DROP RULE \"Log it\" ON t;
         UPDATE t SET n = 1 WHERE id < 9;
         CREATE VIEW v AS SELECT * FROM t;
         CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (NEW.id, 'instead'); RETURN NEW; END $$;
         CREATE TRIGGER i INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION instead();
         INSERT INTO v VALUES (70);
",
        APART,
    );
}

#[test]
fn policies() {
    carried(
        "ddl-policies",
        T,
        "CREATE POLICY odd ON t USING (id % 2 = 1) WITH CHECK (n > 0);
         ALTER TABLE t ENABLE ROW LEVEL SECURITY;
         CREATE POLICY even ON t AS RESTRICTIVE FOR SELECT TO PUBLIC USING (id % 2 = 0);
         ALTER POLICY odd ON t USING (id % 2 = 1 OR v = current_user) WITH CHECK (true);
         ALTER POLICY even ON t RENAME TO \"Even\";
         INSERT INTO t VALUES (80, 'past the policy', 1);
         ALTER TABLE t FORCE ROW LEVEL SECURITY;
         UPDATE t SET v = 'forced' WHERE id = 80;
         DROP POLICY odd ON t;
         ALTER TABLE t DISABLE ROW LEVEL SECURITY;
         UPDATE t SET v = 'free' WHERE id = 80;
",
        ALWAYS,
    );
}

#[test]
fn event_triggers_of_users() {
    carried(
        "ddl-event-triggers",
        T,
        "CREATE FUNCTION tell() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen (what) VALUES (TG_EVENT || ' ' || TG_TAG); END $$;
         CREATE EVENT TRIGGER telling ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE') EXECUTE FUNCTION tell();
         CREATE TABLE u (id integer PRIMARY KEY);
         INSERT INTO u VALUES (1);
         ALTER TABLE u ADD COLUMN v text;
         ALTER EVENT TRIGGER telling DISABLE;
         ALTER TABLE u ADD COLUMN w text;
         ALTER EVENT TRIGGER telling ENABLE REPLICA;
         ALTER EVENT TRIGGER telling ENABLE;
         ALTER EVENT TRIGGER telling RENAME TO \"Telling\";
         ALTER TABLE u DROP COLUMN w;
         COMMENT ON EVENT TRIGGER \"Telling\" IS 'tells';
         DROP EVENT TRIGGER \"Telling\";
         CREATE EVENT TRIGGER dropping ON sql_drop EXECUTE FUNCTION tell();
         DROP TABLE u;
",
        ALWAYS,
    );
}

#[test]
fn ddl_that_an_event_trigger_runs_comes_after_what_fired_it() {
    // Event triggers fire by name: this one before walferry's own, and its statement ends first.
    let task = Task::build("ddl-event-nested").schema(T).ddl().create();
    let make = "CREATE FUNCTION identity() RETURNS event_trigger LANGUAGE plpgsql AS $$ DECLARE o record; BEGIN
            FOR o IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table' LOOP
                EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', o.object_identity); END LOOP; END $$;\n";
    for (name, pace) in [("a_first", Pace::Live), ("zz_last", Pace::Backlog)] {
        let script = format!(
            "{make}CREATE EVENT TRIGGER {name} ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION identity();
             CREATE TABLE bare (a integer, b text);
             INSERT INTO bare SELECT i % 3, 'b' FROM generate_series(1, 30) i;
             UPDATE bare SET b = 'c' WHERE a = 1;
             DROP EVENT TRIGGER {name};
             DROP FUNCTION identity();
             DROP TABLE bare;
             CREATE TABLE kept (a integer PRIMARY KEY);
             DROP TABLE kept;\n"
        );
        follow(&task, &script, pace);
    }
}
