//! Transactions that are streamed while still in progress at the source (rule 7).

use walferry_tests::{Cluster, Task};

/// A source that streams early: every transaction above 64 kB.
fn source() -> Cluster {
    Cluster::start("logical_decoding_work_mem = 64kB")
}

const SCHEMA: &str = "CREATE TABLE t (id integer PRIMARY KEY, v text); CREATE TABLE k (a integer, b text);
    ALTER TABLE k REPLICA IDENTITY FULL; CREATE TABLE small (id integer PRIMARY KEY)";

fn rows(from: u32, to: u32) -> String {
    format!("INSERT INTO t SELECT i, repeat('v', 50) || i FROM generate_series({from}, {to}) i")
}

/// The walsender streamed something: else the test would prove nothing.
fn assert_streamed(task: &Task) {
    let streamed = task
        .source
        .value(&format!("SELECT stream_txns FROM walferry.slots WHERE slot_name = '{}'", task.slot));
    assert_ne!(streamed, "0", "nothing was streamed");
}

#[test]
fn rule_07_a_streamed_transaction_arrives_whole() {
    let source = source();
    let task = Task::build("stream-one").source(&source).schema(SCHEMA).create();
    let daemon = task.start();
    task.wait_level();
    let writer = task.source.another();
    writer.execute(&format!("BEGIN; {}", rows(1, 20000)));
    writer.execute("INSERT INTO k SELECT i % 5, 'dup' FROM generate_series(1, 5000) i; UPDATE t SET v = 'new' WHERE id % 3 = 0");
    // Others go past it meanwhile.
    for i in 0..20 {
        task.source.execute(&format!("INSERT INTO small VALUES ({i})"));
    }
    task.wait_level();
    assert_eq!(task.destination.value("SELECT count(*) FROM small"), "20");
    assert_eq!(
        task.destination.value("SELECT count(*) FROM t"),
        "0",
        "nothing of it shows before its commit"
    );
    writer.execute("DELETE FROM t WHERE id % 7 = 0; COMMIT");
    task.wait_level();
    task.assert_equal();
    daemon.terminate().expect_status(0);
    assert_streamed(&task);
}

#[test]
fn rule_07_subtransactions_that_roll_back() {
    let source = source();
    let task = Task::build("stream-savepoints").source(&source).schema(SCHEMA).create();
    let daemon = task.start();
    task.wait_level();
    let writer = task.source.another();
    writer.execute(&format!("BEGIN; {}", rows(1, 5000)));
    writer.execute(&format!("SAVEPOINT a; {}; UPDATE t SET v = 'a' WHERE id < 100", rows(5001, 9000)));
    writer
        .execute(&format!("SAVEPOINT b; {}; DELETE FROM t WHERE id BETWEEN 200 AND 300", rows(9001, 12000)));
    writer.execute("ROLLBACK TO b");
    writer.execute(&format!("{}; SAVEPOINT c; {}", rows(20001, 24000), rows(30001, 33000)));
    writer.execute("RELEASE c; SAVEPOINT d; TRUNCATE k; UPDATE t SET v = 'd'; ROLLBACK TO d; UPDATE t SET v = 'e' WHERE id % 2 = 0");
    writer.execute("ROLLBACK TO a");
    writer.execute(&format!("{}; COMMIT", rows(40001, 44000)));
    task.wait_level();
    task.assert_equal();
    assert_eq!(task.destination.value("SELECT count(*) FROM t"), "9000");
    daemon.terminate().expect_status(0);
    assert_streamed(&task);
}

#[test]
fn rule_07_two_at_once_one_aborts() {
    let source = source();
    let task = Task::build("stream-two").source(&source).schema(SCHEMA).create();
    let daemon = task.start();
    task.wait_level();
    let (one, two, three) = (task.source.another(), task.source.another(), task.source.another());
    for session in [&one, &two, &three] {
        session.execute("BEGIN");
    }
    for part in 0..5 {
        let from = part * 3000;
        one.execute(&rows(from + 1, from + 3000));
        two.execute(&rows(100_000 + from + 1, 100_000 + from + 3000));
        three.execute(&rows(200_000 + from + 1, 200_000 + from + 3000));
    }
    two.execute("COMMIT");
    three.execute("ROLLBACK");
    task.wait_level();
    assert_eq!(task.destination.value("SELECT count(*), min(id) FROM t WHERE id > 100000"), "15000");
    one.execute("UPDATE t SET v = 'late' WHERE id > 100000; COMMIT");
    task.wait_level();
    task.assert_equal();
    daemon.terminate().expect_status(0);
    assert_streamed(&task);
}

#[test]
fn rule_07_the_daemon_is_killed_while_one_is_in_progress() {
    let source = source();
    let task = Task::build("stream-killed").source(&source).schema(SCHEMA).create();
    let writer = task.source.another();
    let daemon = task.start();
    task.wait_level();
    writer.execute(&format!("BEGIN; {}", rows(1, 20000)));
    task.source.execute("INSERT INTO small VALUES (1)");
    task.wait_level();
    daemon.kill9();
    let daemon = task.start();
    writer.execute(&rows(20001, 40000));
    task.source.execute("INSERT INTO small VALUES (2)");
    task.wait_level();
    daemon.terminate().expect_status(0);
    writer.execute("COMMIT");
    task.sync();
    assert_eq!(task.destination.value("SELECT count(*) FROM t"), "40000");
}

#[test]
fn rule_07_a_part_that_conflicts_is_written_row_by_row() {
    let source = source();
    let task = Task::build("stream-conflict")
        .source(&source)
        .schema(SCHEMA)
        .set("apply.conflict", "ignore")
        .create();
    task.destination.execute("INSERT INTO t VALUES (777, 'mine'), (15000, 'mine')");
    task.source.execute(&rows(1, 20000));
    task.run_until_now();
    assert_eq!(task.destination.list("SELECT id FROM t WHERE v = 'mine' ORDER BY 1"), "777,15000");
    assert_eq!(task.destination.value("SELECT count(*) FROM t"), "20000");
    assert_eq!(task.conflicts().len(), 2);
}

#[test]
fn rule_07_a_streamed_transaction_that_changes_a_table_made_in_it() {
    let source = source();
    let task = Task::build("stream-alter").source(&source).schema(SCHEMA).create();
    task.destination.execute("ALTER TABLE t ADD COLUMN n integer");
    let writer = task.source.another();
    writer.execute(&format!("BEGIN; {}; ALTER TABLE t ADD COLUMN n integer", rows(1, 5000)));
    writer.execute("INSERT INTO t SELECT i, 'with n', i FROM generate_series(10001, 15000) i");
    // Another transaction sees the table as it was.
    task.source.execute("INSERT INTO small VALUES (1)");
    writer.execute("COMMIT");
    task.source.execute("UPDATE t SET n = 5 WHERE id = 1");
    task.sync();
}
