//! Definitions of every kind (C3) arrive as `pg_dump` would write them.

use walferry_tests::session::literal;
use walferry_tests::{Task, TaskBuilder};

pub const EVERYTHING: &str = include_str!("full_definitions.sql");

/// Roles of [`EVERYTHING`], on both clusters; several tests may make them at once.
pub fn roles(task: &Task) {
    for side in [&task.source, &task.destination] {
        side.execute(
            "SELECT pg_advisory_lock(70); DO $$ BEGIN
                IF to_regrole('wf_def_owner') IS NULL THEN CREATE ROLE wf_def_owner; CREATE ROLE wf_def_reader; END IF;
            END $$; SELECT pg_advisory_unlock(70)",
        );
    }
}

fn everything(builder: TaskBuilder) -> Task {
    let task = builder.create();
    roles(&task);
    task.source.execute(EVERYTHING);
    task
}

#[test]
fn every_kind_of_object_arrives() {
    let task = everything(Task::build("full-kinds").full_only());
    task.run_full();
    task.assert_whole();
    for (table, rows) in [("a.person", "500"), ("a.log", "300"), ("ONLY a.parent", "10"), ("a.unlogged", "2")]
    {
        assert_eq!(task.destination.value(&format!("SELECT count(*) FROM {table}")), rows, "{table}");
    }
    // Another session: the one that made the sequence has values in its cache.
    let next = |session: &walferry_tests::Session| session.another().value("SELECT nextval('a.ids')");
    assert_eq!(next(&task.destination), next(&task.source));
    let stats = "SELECT count(*) FROM pg_stats WHERE schemaname = 'a' AND tablename = 'person'";
    assert_ne!(task.destination.value(stats), "0", "ANALYZE at the end");
}

#[test]
fn every_kind_of_object_arrives_without_a_held_snapshot() {
    let task = everything(Task::build("full-kinds-parts").full().set("copy.snapshot", false));
    task.copy_and_follow().terminate().expect_status(0);
}

#[test]
fn indexes_and_filling_can_be_left_out() {
    let task = everything(
        Task::build("full-bare")
            .full_only()
            .set("objects.indexes", false)
            .set("objects.materialized_views", false),
    );
    let said = task.run_full().stderr;
    let index = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'a' AND indexname = ";
    assert_eq!(task.destination.value(&format!("{index} 'person_lower'")), "0");
    assert_eq!(task.destination.value(&format!("{index} 'email_once'")), "1", "constraints stay");
    assert_eq!(task.destination.value("SELECT relispopulated FROM pg_class WHERE relname = 'counted'"), "f");
    assert!(said.contains("person_lower"), "what was left out is listed:\n{said}");
}

#[test]
fn what_is_not_carried_over_is_listed() {
    let task = Task::build("full-left").full_only().create();
    task.source.execute(
        "CREATE EXTENSION file_fdw; CREATE SERVER elsewhere FOREIGN DATA WRAPPER file_fdw;
         CREATE FOREIGN TABLE far_away (a integer) SERVER elsewhere OPTIONS (filename '/dev/null');
         CREATE USER MAPPING FOR postgres SERVER elsewhere; CREATE TABLE near (a integer PRIMARY KEY);
         CREATE PUBLICATION news FOR TABLE near;
         CREATE SUBSCRIPTION listening CONNECTION 'dbname=none' PUBLICATION none WITH (connect = false)",
    );
    let ended = task.run_full();
    task.source.execute("ALTER SUBSCRIPTION listening SET (slot_name = NONE); DROP SUBSCRIPTION listening");
    ended.expect_words(&["elsewhere", "far_away", "news", "listening"]);
    assert_eq!(task.destination.value("SELECT count(*) FROM pg_class WHERE relname = 'near'"), "1");
    assert_eq!(task.destination.value("SELECT count(*) FROM pg_foreign_server"), "0");
    assert_eq!(task.destination.value("SELECT count(*) FROM pg_publication"), "0");
}

#[test]
fn objects_that_are_there_already_are_refused_by_name() {
    let there = [
        ("CREATE SCHEMA s; CREATE TABLE s.t (a integer PRIMARY KEY)", "s.t"),
        ("CREATE VIEW v AS SELECT 1 AS a", "v"),
        ("CREATE SEQUENCE q", "q"),
        ("CREATE TYPE e AS ENUM ('a')", "e"),
        ("CREATE FUNCTION f(integer) RETURNS integer LANGUAGE sql RETURN 1", "f"),
    ];
    for (sql, name) in there {
        let task = Task::build("full-there").schema(sql).full_only().create();
        task.destination.execute(sql);
        task.source.execute("CREATE TABLE new_one (a integer)");
        task.full_fails(&[name, "already"]);
        assert_eq!(task.destination.value("SELECT to_regclass('new_one')"), "", "nothing was written");
    }
}

#[test]
fn other_objects_of_the_destination_are_left_alone() {
    let task = Task::build("full-partly")
        .schema("CREATE TABLE new_one (a integer PRIMARY KEY)")
        .full_only()
        .create();
    task.destination
        .execute("CREATE TABLE old_one (a integer); INSERT INTO old_one VALUES (5); CREATE SCHEMA mine");
    task.source.execute("INSERT INTO new_one VALUES (1)");
    task.run_full();
    assert_eq!(task.destination.value("SELECT a FROM old_one"), "5");
    assert_eq!(task.destination.value("SELECT a FROM new_one"), "1");
}

#[test]
fn definitions_that_are_there_can_be_used() {
    let schema =
        "CREATE TABLE t (id integer PRIMARY KEY, v text); CREATE SEQUENCE q; CREATE INDEX t_v ON t (v);";
    for how in ["use", "none"] {
        let task = Task::build("full-use").schema(schema).full().set("objects.definitions", how).create();
        task.source.execute(
            "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 2000) i; SELECT setval('q', 77)",
        );
        task.destination.execute(
            "CREATE TABLE t (id integer PRIMARY KEY, v text, mine text DEFAULT 'mine'); CREATE SEQUENCE q",
        );
        let mut daemon = task.start();
        task.wait_following(&mut daemon);
        task.source.execute("UPDATE t SET v = 'new' WHERE id = 5; DELETE FROM t WHERE id = 6");
        task.wait_level();
        task.assert_equal();
        assert_eq!(task.destination.value("SELECT count(*) FROM t WHERE mine = 'mine'"), "1999");
        assert_eq!(task.destination.value("SELECT count(*) FROM pg_indexes WHERE indexname = 't_v'"), "0");
        daemon.terminate().expect_status(0);
    }
}

#[test]
fn a_table_that_is_to_be_used_and_is_missing_is_named() {
    let task = Task::build("full-missing")
        .schema("CREATE TABLE t (id integer PRIMARY KEY); CREATE TABLE not_there (a integer PRIMARY KEY)")
        .full_only()
        .set("objects.definitions", "use")
        .create();
    task.destination.execute("CREATE TABLE t (id integer PRIMARY KEY)");
    task.full_fails(&["not_there"]);
}

#[test]
fn names_of_every_kind_survive() {
    let long = "ü".repeat(31);
    let names =
        ["a b", "A.B", "100%", "it's", "say \"x\"", "select", "\\n", "tab\there", long.as_str(), "$1"];
    let task = Task::build("full-names").full().create();
    for (i, name) in names.iter().enumerate() {
        let quoted = walferry_tests::session::identifier(name);
        task.source.execute(&format!(
            "CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.{quoted} ({quoted} integer PRIMARY KEY, v text CONSTRAINT {quoted} CHECK (v > ''));
             CREATE INDEX ON {quoted}.{quoted} (v); COMMENT ON TABLE {quoted}.{quoted} IS {};
             INSERT INTO {quoted}.{quoted} SELECT i, {} FROM generate_series(1, {}) i",
            literal(name),
            literal(name),
            i + 1
        ));
    }
    task.copy_and_follow().terminate().expect_status(0);
}
