//! Rows are tagged with a replication origin (rule 18).

use std::fs;
use std::time::Duration;

use walferry_tests::{Daemon, Task};

#[test]
fn rule_18_rows_at_the_destination_carry_the_task_s_origin() {
    let task = Task::new("origin-tag", "CREATE TABLE t (id integer PRIMARY KEY, v text)");
    task.source.execute("INSERT INTO t VALUES (1, 'x')");
    task.sync();
    let names = task
        .destination
        .list("SELECT roname FROM pg_replication_origin WHERE roname LIKE 'walferry\\_origin-tag\\_%'");
    assert!(!names.is_empty(), "no origin of the task");
    // A decoder of the destination can tell our rows from others.
    let slot = "walferry_origin_tag_probe";
    task.destination
        .execute(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'test_decoding')"));
    task.source.execute("INSERT INTO t VALUES (2, 'theirs')");
    task.sync();
    task.destination.execute("CREATE TABLE mine (id integer PRIMARY KEY); INSERT INTO mine VALUES (3)");
    let seen = |only_local: &str| {
        task.destination.list(&format!(
            "SELECT data FROM pg_logical_slot_peek_changes('{slot}', NULL, NULL, 'only-local', '{only_local}') WHERE data LIKE 'table public.%'"
        ))
    };
    let (all, local) = (seen("0"), seen("1"));
    task.destination.execute(&format!("SELECT pg_drop_replication_slot('{slot}')"));
    assert!(all.contains("theirs") && all.contains("public.mine"), "{all}");
    assert!(!local.contains("theirs") && local.contains("public.mine"), "{local}");
}

#[test]
fn rule_18_rows_of_another_origin_are_sent() {
    // A cascade: rows that reached our source by replication go on to our destination.
    let task = Task::new("origin-cascade", "CREATE TABLE t (id integer PRIMARY KEY, v text)");
    task.source.execute("SELECT pg_replication_origin_create('some_upstream_of_ours')");
    task.source.execute("SELECT pg_replication_origin_session_setup('some_upstream_of_ours')");
    task.source.execute("INSERT INTO t VALUES (1, 'from far')");
    task.source.execute("SELECT pg_replication_origin_session_reset()");
    task.source.execute("SELECT pg_replication_origin_drop('some_upstream_of_ours')");
    task.source.execute("INSERT INTO t VALUES (2, 'from here')");
    task.sync();
}

#[test]
fn rule_18_what_a_task_of_the_other_direction_wrote_does_not_come_back() {
    let there = Task::new("origin-there", "CREATE TABLE t (id integer PRIMARY KEY, v text)");
    there.source.execute("SELECT walferry.enable_ddl_capture()");
    there.destination.execute("CREATE EXTENSION walferry; SELECT walferry.enable_ddl_capture()");
    there
        .destination
        .execute("SELECT pg_create_logical_replication_slot('walferry_origin_back', 'walferry')");
    let config = fs::read_to_string(there.config()).unwrap();
    let mut back: toml::Table = config.parse().unwrap();
    let (source, destination) = (back["source"]["url"].clone(), back["destination"]["url"].clone());
    back["source"] = toml::toml! { slot = "walferry_origin_back" }.into();
    back["source"].as_table_mut().unwrap().insert("url".into(), destination);
    back["destination"].as_table_mut().unwrap().insert("url".into(), source);
    back["task"].as_table_mut().unwrap().insert("name".into(), "origin-back".into());
    let file = there.folder().join("back.toml");
    fs::write(&file, back.to_string()).unwrap();
    let run_back = || {
        let daemon = Daemon::spawn(&file, &["run", "--until", "now"], &there.folder().join("back.log"));
        daemon.wait(Duration::from_secs(60)).expect_status(0);
    };
    // Each begins once, so that they know of one another.
    there.run_until_now().expect_status(0);
    run_back();
    there.source.execute("INSERT INTO t VALUES (1, 'there'); ALTER TABLE t ADD COLUMN w integer");
    there.run_until_now().expect_status(0);
    there.destination.execute("INSERT INTO t VALUES (2, 'back', 2); CREATE TABLE n (id integer PRIMARY KEY)");
    run_back();
    there.run_until_now().expect_status(0);
    run_back();
    for side in [&there.source, &there.destination] {
        assert_eq!(side.list("SELECT t::text FROM t ORDER BY id"), "(1,there,),(2,back,2)");
        assert_eq!(side.list("SELECT to_regclass('n')::text"), "n");
    }
    there.destination.execute("SELECT pg_drop_replication_slot('walferry_origin_back')");
}
