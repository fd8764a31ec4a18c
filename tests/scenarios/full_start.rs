//! A task that copies: from an empty destination to level, and what it leaves behind.

use walferry_tests::{Daemon, Task};

const SCHEMA: &str = "CREATE SCHEMA shop; CREATE TABLE shop.orders (id bigserial PRIMARY KEY, v text, n numeric);
    CREATE INDEX orders_v ON shop.orders (v); CREATE TABLE shop.line (id integer PRIMARY KEY, o bigint REFERENCES shop.orders);
    CREATE VIEW shop.seen AS SELECT id FROM shop.orders; CREATE TABLE keyless (a integer, b text);
    ALTER TABLE keyless REPLICA IDENTITY FULL;
    INSERT INTO shop.orders (v, n) SELECT 'v' || i, i / 3.0 FROM generate_series(1, 3000) i;
    INSERT INTO shop.line SELECT i, i FROM generate_series(1, 1000) i; INSERT INTO keyless SELECT i % 5, 'b' FROM generate_series(1, 50) i;";
const CHANGES: &str = "INSERT INTO shop.orders (v) VALUES ('new'); UPDATE shop.orders SET n = 0 WHERE id < 100;
    DELETE FROM shop.line WHERE id > 900; DELETE FROM keyless WHERE a = 3; INSERT INTO keyless VALUES (3, 'c')";

fn slots(task: &Task) -> String {
    task.source.value(&format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{}'", task.slot))
}

#[test]
fn an_empty_destination_becomes_level_and_stays_so() {
    let task = Task::build("full-start").schema(SCHEMA).full().create();
    let daemon = task.copy_and_follow();
    task.source.execute(CHANGES);
    task.wait_level();
    // The values of sequences are not in the stream.
    task.assert_equal();
    let status = task.status();
    assert_eq!(status["phase"], "incremental");
    let orders = walferry_tests::full::table(&status, "shop.orders");
    assert_eq!((orders["rows"].as_u64(), orders["rows_total"].as_u64()), (Some(3000), Some(3000)));
    assert!(orders["bytes"].as_u64() > Some(20_000), "{orders}");
    assert_eq!(orders["bytes"], orders["bytes_total"]);
    daemon.terminate().expect_status(0);
    task.source.execute(CHANGES);
    task.sync();
    assert_eq!(slots(&task), "1");
}

#[test]
fn until_now_ends_when_the_copy_is_level() {
    let task = Task::build("full-until").schema(SCHEMA).full().create();
    task.run_until_now();
    task.assert_whole();
    task.source.execute(CHANGES);
    task.sync();
}

#[test]
fn mode_full_ends_with_0_and_leaves_no_slot() {
    let task = Task::build("full-only").schema(SCHEMA).full_only().create();
    task.run_full();
    task.assert_whole();
    assert_eq!(task.status()["phase"], "finished");
    assert_eq!(slots(&task), "0");
    task.walferry(&["drop", "--yes"]).expect_status(0);
    assert_eq!(
        task.destination.value("SELECT count(*) FROM walferry_state.tasks WHERE task = 'full-only'"),
        "0"
    );
}

#[test]
fn a_second_run_of_a_finished_copy_does_nothing() {
    let task = Task::build("full-twice").schema(SCHEMA).full_only().create();
    task.run_full();
    let before = task.written_by("shop.orders");
    task.source.execute("INSERT INTO shop.orders (v) VALUES ('after the end')");
    task.run_full();
    assert_eq!(task.written_by("shop.orders"), before);
    assert_eq!(task.status()["phase"], "finished");
    assert_eq!(slots(&task), "0");
}

#[test]
fn a_slot_that_is_not_ours_is_refused() {
    for mode in ["full", "full+incremental"] {
        let task = Task::build("full-slot").schema(SCHEMA).full().set("task.mode", mode).create();
        task.create_slot();
        task.full_fails(&[&task.slot, "slot"]);
        assert_eq!(slots(&task), "1", "it stays as it was");
        assert_eq!(task.destination.value("SELECT to_regnamespace('shop')"), "");
    }
}

#[test]
fn without_a_held_snapshot_the_end_is_the_same() {
    let task = Task::build("full-parts").schema(SCHEMA).full().set("copy.snapshot", false).create();
    task.copy_and_follow().terminate().expect_status(0);
    let task = Task::build("full-parts-only").schema(SCHEMA).full_only().set("copy.snapshot", false).create();
    task.run_full();
    task.assert_whole();
    assert_eq!(slots(&task), "0");
}

#[test]
fn an_empty_source_is_copied_too() {
    let task = Task::build("full-nothing").full_only().create();
    task.run_full();
    task.assert_whole();
}

#[test]
fn drop_before_the_copy_has_ended_removes_slot_and_state() {
    let task = Task::build("full-drop").schema(SCHEMA).full().set("copy.rate", "4kB/s").create();
    let mut daemon: Daemon = task.start();
    task.wait_copy("copying", &mut daemon, |status| status["phase"] == "full" && slots(&task) == "1");
    daemon.terminate().expect_status(0);
    task.walferry(&["drop", "--yes"]).expect_status(0);
    assert_eq!(slots(&task), "0");
    assert_eq!(task.status()["phase"], "created");
}
