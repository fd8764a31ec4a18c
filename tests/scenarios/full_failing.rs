//! What cannot be made is reported with its statement; the rest goes on, and `run` again picks up.

use walferry_tests::{Task, full};

/// A function that works only where `lab.side` says so.
const PICKY: &str = "CREATE FUNCTION picky(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
    'BEGIN IF current_setting(''lab.side'', true) IS DISTINCT FROM ''source'' THEN RAISE ''not on this side''; END IF; RETURN n; END';";

fn is_source(session: &walferry_tests::Session, database: &str) {
    session
        .execute(&format!("ALTER DATABASE \"{database}\" SET lab.side = 'source'; SET lab.side = 'source'"));
}

#[test]
fn an_index_that_cannot_be_built_does_not_stop_the_rest() {
    let task = Task::build("failing-index").full_only().create();
    is_source(&task.source, &task.database);
    task.source.execute(&format!(
        "{PICKY} CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i;
         CREATE INDEX t_picky ON t (picky(id)); CREATE INDEX t_v ON t (v); CREATE TABLE u (a integer UNIQUE)"
    ));
    task.full_fails(&["t_picky", "CREATE INDEX", "P0001"]);
    let made =
        "SELECT string_agg(indexname, ',' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'public'";
    assert_eq!(task.destination.value(made), "t_pkey,t_v,u_a_key");
    assert_eq!(task.destination.value("SELECT count(*) FROM t"), "100");
    let before = task.written_by("t");
    is_source(&task.destination, &task.database);
    task.run_full();
    assert_eq!(task.written_by("t"), before, "rows were copied again");
    task.assert_whole();
}

#[test]
fn an_extension_that_may_not_be_made_is_reported() {
    let role = "wf_role_plain";
    let mut task = Task::build("failing-extension").full_only().create();
    task.source.execute(
        "CREATE EXTENSION pageinspect; CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'v')",
    );
    task.destination.execute(&format!(
        "DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN; GRANT SET ON PARAMETER session_replication_role TO {role};
         GRANT CREATE ON DATABASE \"{}\" TO {role}; GRANT CREATE ON SCHEMA public TO {role}",
        task.database
    ));
    let url = task.destination.url().replace("postgres@", &format!("{role}@"));
    task.set("destination.url", url);
    task.full_fails(&["pageinspect"]);
    assert_eq!(task.destination.value("SELECT v FROM t"), "v");
    task.destination.execute("CREATE EXTENSION pageinspect");
    task.run_full();
    task.walferry(&["drop", "--yes"]).expect_status(0);
    task.destination.execute(&format!(
        "REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; REVOKE SET ON PARAMETER session_replication_role FROM {role}; DROP ROLE {role}"
    ));
}

#[test]
fn a_table_whose_rows_are_refused_is_failed_and_the_others_are_copied() {
    let task = Task::build("failing-rows")
        .schema(
            "CREATE TABLE t (id integer PRIMARY KEY, v integer); CREATE TABLE fine (id integer PRIMARY KEY);",
        )
        .full_only()
        .set("objects.definitions", "use")
        .create();
    task.source
        .execute("INSERT INTO t VALUES (1, 1), (2, -1); INSERT INTO fine SELECT generate_series(1, 50)");
    task.destination.execute("CREATE TABLE t (id integer PRIMARY KEY, v integer CHECK (v > 0)); CREATE TABLE fine (id integer PRIMARY KEY)");
    let ended = task.full_fails(&["public.t", "t_v_check"]);
    assert!(!ended.stderr.contains("(2, -1)"), "values stay out of the log:\n{}", ended.stderr);
    let status = task.status();
    assert_eq!(
        (full::state(&status, "public.t"), full::state(&status, "public.fine")),
        ("failed".into(), "copied".into())
    );
    assert_eq!(task.destination.value("SELECT count(*) FROM fine"), "50");
    task.destination.execute("ALTER TABLE t DROP CONSTRAINT t_v_check");
    task.run_full();
    task.assert_equal();
}

#[test]
fn a_daemon_whose_copy_failed_goes_on_when_it_is_run_again() {
    let task = Task::build("failing-daemon")
        .schema(
            "CREATE TABLE t (id integer PRIMARY KEY, v integer); CREATE TABLE fine (id integer PRIMARY KEY);",
        )
        .full()
        .set("objects.definitions", "use")
        .create();
    task.source
        .execute("INSERT INTO t VALUES (1, 1), (2, -1); INSERT INTO fine SELECT generate_series(1, 50)");
    task.destination.execute("CREATE TABLE t (id integer PRIMARY KEY, v integer CHECK (v > 0)); CREATE TABLE fine (id integer PRIMARY KEY)");
    task.run_fails(&["public.t", "t_v_check"]);
    task.destination.execute("ALTER TABLE t DROP CONSTRAINT t_v_check");
    task.source.execute("INSERT INTO t VALUES (3, -3); DELETE FROM fine WHERE id < 10");
    task.run_until_now();
    task.assert_equal();
}

#[test]
fn a_pg_dump_that_is_missing_is_said() {
    let task = Task::build("failing-dump")
        .schema("CREATE TABLE t (id integer PRIMARY KEY);")
        .full_only()
        .set("copy.pg_dump", "/no/such/pg_dump")
        .create();
    task.spawn(&["run"])
        .wait(std::time::Duration::from_secs(60))
        .expect_status(2)
        .expect_words(&["/no/such/pg_dump"]);
}
