//! What the source captures of DDL (rules 25, 27, 28): one row per completed statement with its own text, and nothing else.

use serde_json::Value;
use walferry_tests::{Session, Task};

/// A source that captures, and a session of it that began afterwards.
pub fn capturing(name: &str) -> (Task, Session) {
    let task = Task::build(name).create();
    task.source.execute("SELECT walferry.enable_ddl_capture()");
    let session = task.source.another();
    (task, session)
}

/// The statements that were captured, those withheld by the reason.
fn statements(session: &Session) -> Vec<String> {
    let rows = session.rows("SELECT coalesce(statement, withheld) FROM walferry.ddl_log WHERE tag NOT LIKE '% DDL CAPTURE' ORDER BY id");
    rows.into_iter().flatten().flatten().collect()
}

/// A value of the row of the statement whose text is like this.
fn of(session: &Session, like: &str, expression: &str) -> String {
    session.value(&format!(
        "SELECT {expression} FROM walferry.ddl_log WHERE statement LIKE '{like}' ORDER BY id DESC"
    ))
}

#[test]
fn rule_28_preloading_is_appended_and_undone() {
    let task = Task::build("ddlcap-preload").without_slot().create();
    let database = task.source.value("SELECT current_database()");
    let preloaded = || task.source.another().value("SHOW session_preload_libraries");
    task.source.execute(&format!(
        "ALTER DATABASE \"{database}\" SET session_preload_libraries = 'auto_explain', 'pg_trgm'"
    ));
    let enabled = || task.source.value("SELECT walferry.ddl_capture_enabled()");
    assert_eq!(enabled(), "f");
    for _ in 0..2 {
        task.source.execute("SELECT walferry.enable_ddl_capture()");
        assert_eq!((preloaded().as_str(), enabled().as_str()), ("auto_explain, pg_trgm, walferry", "t"));
    }
    for _ in 0..2 {
        task.source.execute("SELECT walferry.disable_ddl_capture()");
        assert_eq!((preloaded().as_str(), enabled().as_str()), ("auto_explain, pg_trgm", "f"));
    }
    task.source
        .execute("CREATE TABLE quiet (a integer); SELECT walferry.enable_ddl_capture(preload => false)");
    assert_eq!(preloaded(), "auto_explain, pg_trgm");
    task.source.execute("SELECT walferry.enable_ddl_capture(); DROP EXTENSION walferry");
    assert_eq!(preloaded(), "auto_explain, pg_trgm");
    task.source.execute("CREATE TABLE later (a integer); CREATE EXTENSION walferry");
    task.source.execute(&format!(
        "ALTER DATABASE \"{database}\" RESET session_preload_libraries; SELECT walferry.enable_ddl_capture()"
    ));
    assert_eq!(preloaded(), "walferry");
    task.source.execute("SELECT walferry.disable_ddl_capture()");
    let left = task.source.value(&format!("SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = '{database}'"));
    assert_eq!(left, "0");
    assert_eq!(statements(&task.source), Vec::<String>::new());
}

#[test]
fn rule_25_only_the_extension_writes_and_only_superusers_switch() {
    let (task, session) = capturing("ddlcap-rights");
    task.source.execute("CREATE ROLE ddlcap_joe; GRANT CREATE, USAGE ON SCHEMA public TO ddlcap_joe");
    session.execute("SET ROLE ddlcap_joe");
    for sql in [
        "INSERT INTO walferry.ddl_log (lsn, captured_at, tag, objects, search_path, statement, settings, facts)
            VALUES ('0/1', now(), 'x', '[]', '', 'DROP TABLE x', '{}', '{}')",
        "SELECT * FROM walferry.ddl_log",
        "SELECT walferry.ddl_command_end()",
        "SELECT walferry.remove_preload()",
        "SELECT walferry.switch_ddl_capture('DISABLE')",
    ] {
        assert!(session.try_execute(sql).is_err_and(|error| error.starts_with("42501")), "{sql}");
    }
    for sql in ["SELECT walferry.enable_ddl_capture()", "SELECT walferry.disable_ddl_capture()"] {
        let error = session.try_execute(sql).expect_err("only a superuser may");
        assert!(error.contains("superuser"), "{error}");
    }
    assert_eq!(session.value("SELECT walferry.ddl_capture_enabled()"), "t");
    // Operators and functions of the user's are never used by our SQL.
    session.execute(
        "CREATE FUNCTION public.trap(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
         CREATE OPERATOR public.= (leftarg = oid, rightarg = oid, function = public.trap);
         CREATE FUNCTION public.count(anyelement) RETURNS bigint LANGUAGE sql AS 'SELECT 1/0';
         SET search_path = public, pg_catalog; CREATE TABLE trapping (a integer PRIMARY KEY); ALTER TABLE trapping ADD b text DEFAULT 'x'",
    );
    task.source.execute("SET ROLE postgres");
    assert!(
        task.source
            .try_execute("SELECT walferry.ddl_command_end()")
            .is_err_and(|e| e.contains("event triggers only"))
    );
    session.execute("RESET ROLE; RESET search_path; DROP OWNED BY ddlcap_joe; DROP ROLE ddlcap_joe");
}

#[test]
fn each_statement_comes_once_with_its_own_text() {
    let (_task, session) = capturing("ddlcap-texts");
    session.execute("CREATE TABLE a (x integer); -- one\n  CREATE VIEW v AS SELECT ';' AS s FROM a; SELECT 1; COMMENT ON VIEW v IS 'c'");
    session
        .execute("DO $$ BEGIN CREATE TABLE b (y integer); EXECUTE 'ALTER TABLE b ADD ' || 'z text'; END $$");
    session.execute("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN CREATE TABLE c (i integer); END'; SELECT f()");
    session.execute("CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN CREATE TABLE d (i int); COMMIT; CREATE TABLE e (i int); ROLLBACK; CREATE TABLE g (i int); END'");
    session.execute("CALL p()");
    session.execute("PREPARE q AS SELECT 7 AS seven; CREATE TABLE h AS EXECUTE q");
    session.execute("CREATE SCHEMA s CREATE TABLE t (i serial PRIMARY KEY) CREATE VIEW w AS SELECT * FROM t");
    session.execute("CREATE INDEX CONCURRENTLY a_x ON a (x)");
    session.execute("DROP INDEX CONCURRENTLY a_x");
    session.execute("REINDEX TABLE a");
    let expected = [
        "CREATE TABLE a (x integer)",
        "-- one\n  CREATE VIEW v AS SELECT ';' AS s FROM a",
        "COMMENT ON VIEW v IS 'c'",
        "CREATE TABLE b (y integer)",
        "ALTER TABLE b ADD z text",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN CREATE TABLE c (i integer); END'",
        "CREATE TABLE c (i integer)",
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN CREATE TABLE d (i int); COMMIT; CREATE TABLE e (i int); ROLLBACK; CREATE TABLE g (i int); END'",
        "CREATE TABLE d (i int)",
        "CREATE TABLE g (i int)",
        "CREATE TABLE h AS EXECUTE q",
        "CREATE SCHEMA s CREATE TABLE t (i serial PRIMARY KEY) CREATE VIEW w AS SELECT * FROM t",
        "CREATE INDEX CONCURRENTLY a_x ON a (x)",
        "DROP INDEX CONCURRENTLY a_x",
    ];
    assert_eq!(statements(&session), expected);
    let table = session.value("SELECT 'a'::regclass::oid");
    assert_eq!(of(&session, "DROP INDEX%", "objects -> 0 ->> 'table'"), table);
    assert_eq!(of(&session, "CREATE INDEX%", "objects -> 0 ->> 'table'"), table);
}

#[test]
fn what_fails_or_does_nothing_leaves_nothing() {
    let (_task, session) = capturing("ddlcap-nothing");
    assert!(session.try_execute("CREATE TABLE x (i integer, i integer)").is_err());
    session.execute("BEGIN; SAVEPOINT a; CREATE TABLE gone (i integer); ROLLBACK TO a; CREATE TABLE stays (i integer); COMMIT");
    session.execute(
        "DO $$ DECLARE named text; BEGIN
            INSERT INTO stays VALUES (1), (1);
            BEGIN CREATE TABLE gone (i integer); CREATE UNIQUE INDEX twice ON stays (i);
            EXCEPTION WHEN unique_violation THEN GET STACKED DIAGNOSTICS named = CONSTRAINT_NAME; END;
            ASSERT named = 'twice', 'the error has lost its fields'; CREATE TABLE after (i integer);
        END $$",
    );
    assert!(session.try_execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON stays (i)").is_err());
    session.execute("DROP TABLE IF EXISTS no_such; CREATE TABLE IF NOT EXISTS stays (i integer); ALTER TABLE IF EXISTS no_such ADD i integer");
    session.execute(
        "CREATE TEMP TABLE t (id serial PRIMARY KEY, v text); ALTER TABLE t ADD w float8 DEFAULT random(); CREATE INDEX ON t (v);
         COMMENT ON COLUMN t.v IS 'x'; GRANT SELECT ON t TO PUBLIC; CREATE TEMP VIEW tv AS SELECT * FROM t; CREATE TABLE pg_temp.u AS SELECT 1 AS a;
         CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger(); DROP TABLE t CASCADE",
    );
    session.execute(
        "EXPLAIN CREATE TABLE no_such AS SELECT 1; EXPLAIN (ANALYZE) CREATE TEMP TABLE ft AS SELECT 1 AS a",
    );
    assert_eq!(statements(&session), ["CREATE TABLE stays (i integer)", "CREATE TABLE after (i integer)"]);
    assert_eq!(session.value("SELECT count(*) FROM walferry.ddl_mark"), "0");
}

#[test]
fn role_path_and_settings_are_those_of_the_beginning() {
    let (task, session) = capturing("ddlcap-roles");
    task.source.execute("CREATE ROLE ddlcap_ann; GRANT CREATE ON SCHEMA public TO ddlcap_ann; CREATE SCHEMA \"Od\"\"d\" AUTHORIZATION ddlcap_ann");
    session.execute("CREATE FUNCTION definer() RETURNS void SECURITY DEFINER SET search_path = pg_catalog LANGUAGE plpgsql AS 'BEGIN CREATE TABLE public.by_definer (i int); END'");
    session
        .execute("SET ROLE ddlcap_ann; SET search_path = \"Od\"\"d\", public; SET \"DateStyle\" = 'German'");
    session.execute("CREATE TABLE by_ann (d date DEFAULT '01.02.2024'); SELECT definer()");
    let shown =
        "concat_ws('|', username, search_path, settings ->> 'DateStyle', settings ->> 'is_superuser')";
    assert_eq!(of(&session.another(), "%by_ann%", shown), "ddlcap_ann|\"Od\"\"d\", public|German, DMY|off");
    assert_eq!(
        of(&session.another(), "CREATE TABLE public.by_definer%", shown),
        "postgres|pg_catalog|German, DMY|on"
    );
    session.execute("RESET ROLE; SET session_replication_role = replica; CREATE TABLE in_replica (i integer); RESET session_replication_role");
    assert_eq!(of(&session, "%in_replica%", "username"), "postgres");
    session.execute("DROP OWNED BY ddlcap_ann CASCADE; DROP ROLE ddlcap_ann");
}

#[test]
fn rule_27_what_event_triggers_do_not_tell_and_what_is_secret() {
    let (_task, session) = capturing("ddlcap-beyond");
    let database = session.value("SELECT current_database()");
    session.execute(&format!(
        "COMMENT ON DATABASE \"{database}\" IS 'x'; GRANT CONNECT ON DATABASE \"{database}\" TO PUBLIC"
    ));
    session.execute("CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER ev ON ddl_command_end EXECUTE FUNCTION e()");
    session.execute("ALTER EVENT TRIGGER ev DISABLE; DROP EVENT TRIGGER ev; CREATE ROLE ddlcap_beyond PASSWORD 'hidden'; REASSIGN OWNED BY ddlcap_beyond TO postgres");
    session.execute("CREATE SUBSCRIPTION s CONNECTION 'host=nowhere password=hidden' PUBLICATION p WITH (connect = false); ALTER SUBSCRIPTION s SET (slot_name = NONE)");
    session.execute("DROP SUBSCRIPTION s; DROP OWNED BY ddlcap_beyond; DROP ROLE ddlcap_beyond");
    let tags = session.list(
        "SELECT concat(tag, CASE withheld WHEN 'secret' THEN '!' END) FROM walferry.ddl_log WHERE tag NOT LIKE '% DDL CAPTURE' ORDER BY id",
    );
    assert_eq!(
        tags,
        "COMMENT,GRANT,CREATE FUNCTION,CREATE EVENT TRIGGER,ALTER EVENT TRIGGER,DROP EVENT TRIGGER,CREATE ROLE!,REASSIGN OWNED,\
         CREATE SUBSCRIPTION!,ALTER SUBSCRIPTION!,DROP SUBSCRIPTION!,DROP OWNED,DROP ROLE!"
    );
    assert_eq!(session.value("SELECT count(*) FROM walferry.ddl_log l WHERE l::text LIKE '%hidden%'"), "0");
}

#[test]
fn without_preloading_the_first_text_is_found_or_said_to_be_unknown() {
    let task = Task::build("ddlcap-late").without_slot().create();
    task.source.execute("SELECT walferry.enable_ddl_capture(preload => false)");
    let late = || task.source.another();
    late().execute("CREATE TABLE direct (i integer)");
    late().execute("CREATE TABLE two (i integer); CREATE TABLE three (i integer)");
    late()
        .execute("DO $$ BEGIN CREATE TABLE inside (i integer); CREATE TABLE then_known (i integer); END $$");
    let session = late();
    assert!(session.try_execute("CREATE TABLE direct (i integer)").is_err());
    session.execute("DROP TABLE direct");
    let found = statements(&session).join("|");
    assert_eq!(
        found,
        "CREATE TABLE direct (i integer)|CREATE TABLE two (i integer)|CREATE TABLE three (i integer)|unknown|\
         CREATE TABLE then_known (i integer)|DROP TABLE direct"
    );
}

#[test]
fn what_the_source_evaluated_is_in_the_facts() {
    let (_task, session) = capturing("ddlcap-facts");
    session.execute("SET \"DateStyle\" = 'German'; SET \"IntervalStyle\" = 'sql_standard'; SET \"TimeZone\" = 'Asia/Tokyo'; SET extra_float_digits = -10; SET bytea_output = escape");
    session.execute("CREATE TABLE t (id integer PRIMARY KEY); CREATE TABLE heir () INHERITS (t); INSERT INTO t VALUES (1)");
    session.execute(
        "ALTER TABLE t ADD at timestamptz DEFAULT '2024-02-01 09:00+09', ADD d interval DEFAULT '1 day 2:00', ADD f float8 DEFAULT 0.1::float8 + 0.2,
         ADD b bytea DEFAULT 'a\\\\b', ADD a date[] DEFAULT '{2024-02-01}', ADD \"Q\"\"uoted\" text DEFAULT 'it''s', ADD none text",
    );
    let missing = "facts -> 'missing_values' -> 't'::regclass::oid::text";
    let values: Value = serde_json::from_str(&of(&session, "ALTER TABLE t ADD at%", missing)).expect("JSON");
    let expected = serde_json::json!({"at": "2024-02-01 00:00:00+00", "d": "P1DT2H", "f": "0.30000000000000004", "b": "\\x615c62",
        "a": "{2024-02-01}", "Q\"uoted": "it's"});
    assert_eq!(values, expected);
    let of_heir = missing.replace("'t'", "'heir'");
    assert_eq!(of(&session, "ALTER TABLE t ADD at%", &format!("{missing} = {of_heir}")), "t");
    session.execute("CREATE TABLE p (k date) PARTITION BY RANGE (k); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('1.2.2024') TO ('2.2.2024')");
    session.execute("CREATE TABLE p2 (k date); ALTER TABLE p ATTACH PARTITION p2 DEFAULT");
    let bound = |table: &str| format!("facts -> 'bounds' ->> '{table}'::regclass::oid::text");
    assert_eq!(
        of(&session, "%p1 PARTITION%", &bound("p1")),
        "FOR VALUES FROM ('2024-02-01') TO ('2024-02-02')"
    );
    assert_eq!(of(&session, "%ATTACH%", &bound("p2")), "DEFAULT");
    session.execute(
        "CREATE TABLE c AS SELECT 1 AS one, 'x' COLLATE \"C\" AS \"Two\", 5::numeric(6,2) AS n WHERE false",
    );
    let columns: Value =
        serde_json::from_str(&of(&session, "CREATE TABLE c AS%", "facts -> 'columns'")).expect("JSON");
    let column = |index: usize, key: &str| columns[index][key].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (column(0, "type_name"), column(1, "name"), column(1, "collation_name")),
        ("int4".into(), "Two".into(), "C".into())
    );
    assert_eq!(columns[2]["modifier"], 393_222);
}

#[test]
fn old_rows_are_removed_by_the_way() {
    let (_task, session) = capturing("ddlcap-prune");
    session.execute("CREATE TABLE a (i integer); CREATE TABLE b AS SELECT 1 AS i");
    session.execute(
        "UPDATE walferry.ddl_log SET captured_at = now() - interval '31 days' WHERE tag = 'CREATE TABLE'",
    );
    session.execute("UPDATE walferry.ddl_mark SET captured_at = now() - interval '31 days'");
    let serializable = session.another();
    serializable.execute("BEGIN ISOLATION LEVEL SERIALIZABLE; CREATE TABLE c (i integer); COMMIT");
    assert_eq!(
        session.value("SELECT count(*) FROM walferry.ddl_log WHERE tag NOT LIKE '% DDL CAPTURE'"),
        "3"
    );
    session.another().execute("CREATE TABLE d (i integer)");
    assert_eq!(
        session.list("SELECT statement FROM walferry.ddl_log WHERE tag NOT LIKE '% DDL CAPTURE' ORDER BY id"),
        "CREATE TABLE b AS SELECT 1 AS i,CREATE TABLE c (i integer),CREATE TABLE d (i integer)"
    );
    assert_eq!(session.value("SELECT count(*) FROM walferry.ddl_mark"), "0");
}
