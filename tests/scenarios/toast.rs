//! Values kept out of line: PostgreSQL does not log them again in an update that leaves them alone.

use walferry_tests::Task;

/// A text that compression does not help with, so that it goes out of line.
const LARGE: &str = "(SELECT string_agg(md5(i::text || random()::text), '') FROM generate_series(1, 400) i)";

#[test]
fn unchanged_values_stay() {
    let task = Task::new("toast", "CREATE TABLE t (id integer PRIMARY KEY, big text, n integer, other text)");
    task.source
        .execute(&format!("INSERT INTO t SELECT g, {LARGE} || g, 0, {LARGE} FROM generate_series(1, 20) g"));
    task.sync();
    task.source.execute("UPDATE t SET n = n + 1");
    task.sync();
    task.source.execute(&format!(
        "UPDATE t SET other = {LARGE} WHERE id % 2 = 0; UPDATE t SET big = 'small' WHERE id % 3 = 0"
    ));
    task.sync();
}

#[test]
fn rule_09_folding_keeps_unchanged_values() {
    let task =
        Task::new("toast-fold", "CREATE TABLE t (id integer PRIMARY KEY, big text, n integer, other text)");
    // One batch: insert, then updates that do not send the value; a new value, then again without.
    task.source
        .execute(&format!("INSERT INTO t SELECT g, {LARGE} || g, 0, 'o' FROM generate_series(1, 20) g"));
    task.source.execute("UPDATE t SET n = 1");
    task.source.execute(&format!("UPDATE t SET big = {LARGE} WHERE id % 2 = 0"));
    task.source.execute("UPDATE t SET n = n + 1; UPDATE t SET n = n + 1");
    task.source.execute(&format!("UPDATE t SET other = {LARGE}"));
    task.source.execute("UPDATE t SET n = n + 1 WHERE id < 10; DELETE FROM t WHERE id = 7");
    task.source.execute("UPDATE t SET big = NULL WHERE id = 8; UPDATE t SET n = 0 WHERE id = 8");
    task.sync();
}

#[test]
fn rule_09_a_key_update_takes_its_unchanged_values_along() {
    let task = Task::new("toast-key", "CREATE TABLE t (id integer PRIMARY KEY, big text, n integer)");
    task.source.execute(&format!("INSERT INTO t SELECT g, {LARGE} || g, 0 FROM generate_series(1, 10) g"));
    task.sync();
    task.source.execute("UPDATE t SET id = id + 100");
    task.source.execute("UPDATE t SET n = 5 WHERE id = 101; UPDATE t SET id = 1 WHERE id = 101");
    task.sync();
}

#[test]
fn the_key_itself_is_out_of_line() {
    let task = Task::new(
        "toast-in-key",
        "CREATE TABLE t (k text PRIMARY KEY, n integer); ALTER TABLE t ALTER k SET STORAGE EXTERNAL",
    );
    task.source.execute("INSERT INTO t SELECT repeat('k', 2400) || g, 0 FROM generate_series(1, 10) g");
    task.sync();
    task.source.execute("UPDATE t SET n = 1");
    task.source.execute("UPDATE t SET k = k || 'x' WHERE k LIKE '%5'; DELETE FROM t WHERE k LIKE '%7'");
    task.sync();
}

#[test]
fn full_identity_with_values_out_of_line() {
    let task = Task::new(
        "toast-full",
        "CREATE TABLE t (id integer, big text, n integer); ALTER TABLE t REPLICA IDENTITY FULL",
    );
    task.source.execute(&format!("INSERT INTO t SELECT g, {LARGE} || g, 0 FROM generate_series(1, 10) g"));
    task.sync();
    task.source.execute("UPDATE t SET n = 1 WHERE id < 6");
    task.source.execute("UPDATE t SET n = 2 WHERE id < 3; DELETE FROM t WHERE id = 9");
    task.sync();
}

#[test]
fn a_value_of_sixty_megabytes() {
    let task = Task::new("toast-huge", "CREATE TABLE t (id integer PRIMARY KEY, b bytea, n integer)");
    task.source.execute("INSERT INTO t SELECT 1, decode(repeat('00ff5c27', 15000000), 'hex'), 0");
    task.source.execute("UPDATE t SET n = 1");
    task.sync();
}
