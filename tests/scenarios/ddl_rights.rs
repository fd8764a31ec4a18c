//! Comments, owners and rights; statements by and about roles.

use walferry_tests::Task;
use walferry_tests::ddl::{ALWAYS, APART, Pace, carried, follow};

/// Roles of the scenarios about DDL, on whichever cluster this runs; several tests may make them at once.
pub const ROLES: &str = "DO $$ DECLARE r text; BEGIN FOREACH r IN ARRAY ARRAY['wf_ddl_owner', 'wf_ddl_reader', 'wf_ddl \"Odd\"'] LOOP
        BEGIN EXECUTE format('CREATE ROLE %I', r); EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
    END LOOP; END $$; GRANT CREATE ON SCHEMA public TO wf_ddl_owner;";

fn schema() -> String {
    format!(
        "{ROLES} CREATE TABLE t (id integer PRIMARY KEY, v text, n integer); INSERT INTO t VALUES (1, 'v', 1);
         CREATE FUNCTION f(integer) RETURNS integer LANGUAGE sql RETURN 1; CREATE SCHEMA s; CREATE SEQUENCE q; CREATE TYPE e AS ENUM ('a');
         CREATE VIEW v AS SELECT 1 AS a; CREATE DOMAIN d AS integer CONSTRAINT c CHECK (VALUE > 0); CREATE INDEX t_v ON t (v);"
    )
}

#[test]
fn comments() {
    carried(
        "ddl-comments",
        &schema(),
        "COMMENT ON TABLE t IS 'it''s a table';
         COMMENT ON COLUMN t.v IS E'two\\nlines';
         COMMENT ON CONSTRAINT t_pkey ON t IS 'key';
         COMMENT ON CONSTRAINT c ON DOMAIN d IS 'of a domain';
         COMMENT ON INDEX t_v IS 'index';
         COMMENT ON FUNCTION f(integer) IS 'function';
         COMMENT ON SCHEMA s IS 'schema';
         COMMENT ON SEQUENCE q IS 'sequence';
         COMMENT ON TYPE e IS 'type';
         COMMENT ON VIEW v IS 'view';
         INSERT INTO t VALUES (2, 'commented', 2);
         COMMENT ON TABLE t IS NULL;
",
        ALWAYS,
    );
}

#[test]
fn grants_and_default_privileges() {
    carried(
        "ddl-grants",
        &schema(),
        "GRANT SELECT, INSERT (id, v) ON t TO wf_ddl_reader WITH GRANT OPTION;
         GRANT ALL ON ALL TABLES IN SCHEMA public TO wf_ddl_owner;
         REVOKE DELETE, TRUNCATE ON t FROM wf_ddl_owner;
         GRANT USAGE ON SCHEMA s TO \"wf_ddl \"\"Odd\"\"\", wf_ddl_reader;
         GRANT EXECUTE ON FUNCTION f(integer) TO wf_ddl_reader;
         REVOKE EXECUTE ON FUNCTION f FROM PUBLIC;
         GRANT USAGE, SELECT ON SEQUENCE q TO wf_ddl_reader;
         GRANT USAGE ON TYPE e TO wf_ddl_reader;
         REVOKE USAGE ON TYPE e FROM PUBLIC;
         GRANT USAGE ON LANGUAGE sql TO wf_ddl_reader;
         ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO wf_ddl_reader;
         ALTER DEFAULT PRIVILEGES FOR ROLE wf_ddl_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
         CREATE TABLE s.later (id integer PRIMARY KEY);
         INSERT INTO s.later VALUES (1);
         ALTER DEFAULT PRIVILEGES IN SCHEMA s REVOKE SELECT ON TABLES FROM wf_ddl_reader;
         REVOKE GRANT OPTION FOR SELECT ON t FROM wf_ddl_reader;
         REVOKE ALL ON t FROM wf_ddl_reader CASCADE;
         INSERT INTO t VALUES (3, 'granted', 3);
",
        ALWAYS,
    );
}

#[test]
fn owners() {
    carried(
        "ddl-owners",
        &schema(),
        "GRANT CREATE, USAGE ON SCHEMA s TO wf_ddl_owner;
         ALTER TABLE t OWNER TO wf_ddl_owner;
         ALTER FUNCTION f(integer) OWNER TO wf_ddl_owner;
         ALTER SCHEMA s OWNER TO wf_ddl_owner;
         ALTER SEQUENCE q OWNER TO wf_ddl_owner;
         ALTER TYPE e OWNER TO wf_ddl_owner;
         ALTER DOMAIN d OWNER TO wf_ddl_owner;
         ALTER VIEW v OWNER TO wf_ddl_owner;
         INSERT INTO t VALUES (4, 'owned', 4);
         CREATE SCHEMA AUTHORIZATION wf_ddl_owner;
         ALTER TABLE t OWNER TO CURRENT_USER;
         REASSIGN OWNED BY wf_ddl_owner TO wf_ddl_reader;
         ALTER SCHEMA wf_ddl_owner OWNER TO \"wf_ddl \"\"Odd\"\"\";
",
        APART,
    );
}

#[test]
fn what_a_role_makes_belongs_to_it() {
    carried(
        "ddl-role-made",
        &schema(),
        "SET ROLE wf_ddl_owner;
         CREATE TABLE mine (id serial PRIMARY KEY, v text DEFAULT current_user);
         INSERT INTO mine (v) VALUES (DEFAULT), ('x');
         CREATE INDEX ON mine (v);
         CREATE VIEW mine_too AS SELECT * FROM mine;
         GRANT SELECT ON mine TO wf_ddl_reader;
         CREATE TABLE copied AS SELECT * FROM mine;
         ALTER TABLE copied ADD PRIMARY KEY (id);
         RESET ROLE;
         UPDATE copied SET v = 'by the superuser';
         SET SESSION AUTHORIZATION wf_ddl_owner;
         ALTER TABLE mine ADD COLUMN who name DEFAULT session_user;
         INSERT INTO mine (v) VALUES ('y');
         RESET SESSION AUTHORIZATION;
         GRANT ALL ON TABLE copied TO \"wf_ddl \"\"Odd\"\"\";
",
        APART,
    );
}

#[test]
fn what_a_role_owned_is_dropped() {
    let task = Task::build("ddl-drop-owned").schema(&schema()).ddl().create();
    let script = "GRANT CREATE ON SCHEMA s TO wf_ddl_owner;
         SET ROLE wf_ddl_owner;
         CREATE TABLE a (id integer PRIMARY KEY);
         CREATE TABLE b (id integer PRIMARY KEY REFERENCES a);
         CREATE VIEW ab AS SELECT a.id FROM a JOIN b USING (id);
         CREATE FUNCTION g() RETURNS integer LANGUAGE sql RETURN 1;
         RESET ROLE;
         INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (2);
         CREATE TABLE others (id integer PRIMARY KEY DEFAULT g(), a integer REFERENCES a);
         GRANT SELECT ON others TO wf_ddl_owner;
         INSERT INTO others VALUES (5, 1);
         DROP OWNED BY wf_ddl_owner CASCADE;
         INSERT INTO others VALUES (6, 99);
";
    follow(&task, script, Pace::Live);
    assert_eq!(
        task.destination.value("SELECT count(*) FROM pg_class WHERE relname IN ('a', 'b', 'ab')"),
        "0"
    );
}

#[test]
fn everything_is_dropped() {
    carried(
        "ddl-drops",
        &schema(),
        "CREATE TABLE u (id integer PRIMARY KEY, t integer REFERENCES t, e e);
         CREATE VIEW uv AS SELECT u.id, t.v FROM u JOIN t ON t.id = u.t;
         CREATE MATERIALIZED VIEW um AS SELECT * FROM uv;
         INSERT INTO u VALUES (1, 1, 'a');
         ALTER TABLE t DROP COLUMN v CASCADE;
         INSERT INTO t VALUES (50, 5);
         DROP TYPE e CASCADE;
         UPDATE u SET t = 50;
         DROP TABLE t CASCADE;
         INSERT INTO u VALUES (2, 12345);
         DROP DOMAIN d RESTRICT;
         DROP SEQUENCE q;
         DROP FUNCTION f(integer);
         DROP VIEW IF EXISTS v, nothing CASCADE;
         DROP SCHEMA s;
         DROP TABLE u;
         DROP TABLE IF EXISTS u;
",
        ALWAYS,
    );
}
