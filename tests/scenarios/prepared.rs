//! Two-phase commit at the source: applied at COMMIT PREPARED (rule 17).

use walferry_tests::{Cluster, Task};

#[test]
fn rule_17_prepared_transactions_arrive_at_commit_prepared() {
    // On a source of its own: slots of other tests would wait for the prepared transactions.
    let source = Cluster::start("");
    let task = Task::build("prepared")
        .source(&source)
        .schema("CREATE TABLE t (id integer PRIMARY KEY, v text)")
        .create();
    task.source.execute("BEGIN; INSERT INTO t SELECT i, 'p' FROM generate_series(1, 100) i; PREPARE TRANSACTION 'prepared-one'");
    task.source.execute("BEGIN; INSERT INTO t VALUES (500, 'never'); PREPARE TRANSACTION 'prepared-two'");
    task.source.execute("INSERT INTO t VALUES (1000, 'between')");
    task.run_until_now();
    assert_eq!(task.destination.list("SELECT id FROM t"), "1000");
    task.source.execute("COMMIT PREPARED 'prepared-one'");
    task.source.execute("ROLLBACK PREPARED 'prepared-two'");
    task.source.execute("UPDATE t SET v = 'after' WHERE id = 7");
    task.sync();
}

#[test]
fn rule_17_a_large_prepared_transaction() {
    let source = Cluster::start("");
    let task = Task::build("prepared-large")
        .source(&source)
        .schema("CREATE TABLE t (id integer PRIMARY KEY, v text)")
        .create();
    task.source.execute("BEGIN; INSERT INTO t SELECT i, repeat('p', 300) FROM generate_series(1, 300000) i; PREPARE TRANSACTION 'prepared-large'");
    task.source.execute("COMMIT PREPARED 'prepared-large'");
    task.sync();
}
