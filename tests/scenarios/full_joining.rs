//! Tables that join or leave a running task (B5), by rule 23: copied and joined while the others go on.

use std::time::Duration;

use walferry_tests::{Daemon, Task, TaskBuilder, Traffic, full, traffic, wait_until};

const SCHEMA: &str = "CREATE TABLE one (id integer PRIMARY KEY, v text); CREATE TABLE two (id integer PRIMARY KEY, v text);
    CREATE TABLE three (id integer PRIMARY KEY, v text); CREATE INDEX two_v ON two (v);
    INSERT INTO one SELECT i, 'one' FROM generate_series(1, 2000) i; INSERT INTO two SELECT i, 'two' FROM generate_series(1, 2000) i;
    INSERT INTO three SELECT i, 'three' FROM generate_series(1, 2000) i;";

fn build(name: &str, include: &[&str]) -> TaskBuilder {
    Task::build(name)
        .schema(SCHEMA)
        .full()
        .set("objects.scope", "tables")
        .set("objects.include", include.to_vec())
}

fn following(task: &Task) -> Daemon {
    let mut daemon = task.start();
    task.wait_following(&mut daemon);
    task.wait_level();
    daemon
}

fn include(task: &mut Task, tables: &[&str]) {
    task.set("objects.include", tables.to_vec());
}

fn wait_state(task: &Task, table: &str, state: &str) {
    let what = format!("{table} is {state}");
    wait_until(&what, Duration::from_secs(90), || full::state(&task.status(), table) == state);
}

fn same(task: &Task, table: &str) {
    let rows = format!("SELECT count(*) || ':' || coalesce(sum(hashtext(t::text)), 0) FROM {table} t");
    assert_eq!(task.destination.value(&rows), task.source.value(&rows), "{table}");
}

#[test]
fn rule_23_a_table_joins_by_sighup() {
    let mut task = build("join-hup", &["public.one"]).create();
    let daemon = following(&task);
    task.source.execute("UPDATE two SET v = 'before it joins' WHERE id < 10");
    include(&mut task, &["public.one", "public.two"]);
    task.reload(&daemon);
    wait_state(&task, "public.two", "level");
    task.source.execute("UPDATE two SET v = 'after' WHERE id > 1990; DELETE FROM two WHERE id = 5; INSERT INTO one VALUES (9999, 'x')");
    task.wait_level();
    same(&task, "one");
    same(&task, "two");
    assert_eq!(task.destination.value("SELECT count(*) FROM pg_indexes WHERE tablename = 'two'"), "2");
    assert_eq!(task.destination.value("SELECT to_regclass('three')"), "");
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_23_a_table_joins_by_a_restart() {
    let mut task = build("join-restart", &["public.one"]).create();
    let before = {
        following(&task).terminate().expect_status(0);
        task.written_by("one")
    };
    include(&mut task, &["public.*"]);
    task.source.execute("DELETE FROM three WHERE id < 100");
    task.run_until_now();
    task.source.execute("UPDATE two SET v = 'new'; UPDATE three SET v = 'new'");
    task.run_until_now();
    same(&task, "two");
    same(&task, "three");
    assert_eq!(task.written_by("one"), before, "a table that was there was copied again");
}

#[test]
fn a_table_leaves_by_sighup_and_by_a_restart() {
    let mut task = build("join-leave", &["public.*"]).create();
    let daemon = following(&task);
    include(&mut task, &["public.one", "public.two"]);
    task.reload(&daemon);
    wait_until("three is gone", Duration::from_secs(30), || {
        full::state(&task.status(), "public.three").is_empty()
    });
    task.source.execute("DELETE FROM three; DELETE FROM two WHERE id < 50");
    task.wait_level();
    assert_eq!(task.destination.value("SELECT count(*) FROM three"), "2000", "its rows stay as they were");
    same(&task, "two");
    daemon.terminate().expect_status(0);
    include(&mut task, &["public.one"]);
    task.source.execute("DELETE FROM two; DELETE FROM one WHERE id < 10");
    task.run_until_now();
    assert_eq!(task.destination.value("SELECT count(*) FROM two"), "1951");
    same(&task, "one");
    let names = task.status()["tables"].as_array().map(Vec::len);
    assert_eq!(names, Some(1));
}

#[test]
fn a_table_that_left_can_join_again() {
    let mut task = build("join-again", &["public.one", "public.two"]).create();
    let daemon = following(&task);
    include(&mut task, &["public.one"]);
    task.reload(&daemon);
    wait_until("two is gone", Duration::from_secs(30), || {
        full::state(&task.status(), "public.two").is_empty()
    });
    task.source
        .execute("DELETE FROM two WHERE id < 1000; INSERT INTO two VALUES (5000, 'while it was away')");
    task.wait_level();
    task.destination.execute("DROP TABLE two");
    include(&mut task, &["public.one", "public.two"]);
    task.reload(&daemon);
    wait_state(&task, "public.two", "level");
    task.wait_level();
    same(&task, "two");
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_23_tables_join_under_traffic_while_the_others_go_on() {
    let mut task = Task::build("join-traffic")
        .schema(traffic::SCHEMA)
        .full()
        .set("objects.scope", "tables")
        .set("objects.include", vec!["traffic.item", "traffic.child"])
        .create();
    // The first copy makes the schema; item's rows are the parents of child's.
    let daemon = following(&task);
    let traffic = Traffic::start(&task.source, 800);
    task.set("copy.rate", "2MB/s");
    include(&mut task, &["traffic.*"]);
    task.reload(&daemon);
    for table in ["moved", "document", "note", "part_1", "part_2"] {
        wait_state(&task, &format!("traffic.{table}"), "level");
    }
    traffic.stop();
    task.wait_level();
    task.assert_equal();
    assert_eq!(task.conflicts().len(), 0);
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_23_killed_while_a_table_joins() {
    let mut task = build("join-killed", &["public.one"]).create();
    let daemon = following(&task);
    task.source.execute("INSERT INTO two SELECT i, repeat('v', 1000) FROM generate_series(10001, 14000) i");
    task.set("copy.rate", "500kB/s");
    include(&mut task, &["public.one", "public.two"]);
    task.reload(&daemon);
    wait_state(&task, "public.two", "copying");
    daemon.kill9();
    task.source.execute("UPDATE two SET v = 'changed' WHERE id % 7 = 0; DELETE FROM two WHERE id % 11 = 0");
    task.set("copy.rate", "1GB/s");
    task.run_until_now();
    task.source.execute("UPDATE two SET v = 'again' WHERE id % 5 = 0");
    task.run_until_now();
    same(&task, "one");
    same(&task, "two");
}

#[test]
fn a_task_without_tables_copies_those_that_come() {
    let mut task = Task::build("join-empty")
        .schema("CREATE TABLE b (i integer PRIMARY KEY); INSERT INTO b SELECT generate_series(1, 5);")
        .full()
        .set("objects.exclude", vec!["public.b"])
        .create();
    task.run_until_now();
    task.set("objects.exclude", Vec::<String>::new());
    task.run_until_now();
    assert_eq!(task.destination.value("SELECT count(*) FROM b"), "5");
    task.set("objects.exclude", vec!["public.b"]);
    task.run_until_now();
    task.source.execute("INSERT INTO b VALUES (6)");
    task.destination.execute("TRUNCATE b");
    task.run_until_now();
    task.set("objects.exclude", Vec::<String>::new());
    task.run_until_now();
    task.assert_equal();
}
