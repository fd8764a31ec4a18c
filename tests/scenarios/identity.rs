//! What addresses a row: a key, an index, the whole row, or nothing.

use walferry_tests::Task;

#[test]
fn rows_with_a_key() {
    let task = Task::new("identity-key", "CREATE TABLE t (a integer, b text, c integer, PRIMARY KEY (c, a))");
    task.source.execute("INSERT INTO t SELECT i, 'row ' || i, i % 7 FROM generate_series(1, 500) i");
    task.source.execute("UPDATE t SET b = b || '!' WHERE a % 3 = 0");
    task.source.execute("DELETE FROM t WHERE a % 5 = 0");
    task.source.execute("UPDATE t SET b = NULL WHERE a % 11 = 0; INSERT INTO t VALUES (5, 'again', 5)");
    task.sync();
}

#[test]
fn rule_09_updates_of_the_key() {
    let task = Task::new("identity-key-update", "CREATE TABLE t (id integer PRIMARY KEY, v text)");
    task.source.execute("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 100) i");
    task.sync();
    // Every key moves to where another one was, in one statement and in many.
    task.source.execute("UPDATE t SET id = id + 1000");
    task.source.execute("UPDATE t SET id = id - 999");
    for i in (2..=101).rev() {
        task.source.execute(&format!("UPDATE t SET id = id + 1, v = v || '+' WHERE id = {i}"));
    }
    task.source.execute("BEGIN; UPDATE t SET id = 0 WHERE id = 50; UPDATE t SET id = 50 WHERE id = 51; UPDATE t SET id = 51 WHERE id = 0; COMMIT");
    task.source.execute("BEGIN; DELETE FROM t WHERE id = 60; UPDATE t SET id = 60 WHERE id = 61; INSERT INTO t VALUES (61, 'new'); COMMIT");
    task.sync();
}

#[test]
fn rows_addressed_by_a_unique_index() {
    let task = Task::new(
        "identity-index",
        "CREATE TABLE t (id integer PRIMARY KEY, code text NOT NULL, part integer NOT NULL, v text);
         CREATE UNIQUE INDEX t_code ON t (code, part); ALTER TABLE t REPLICA IDENTITY USING INDEX t_code",
    );
    task.source.execute("INSERT INTO t SELECT i, 'c' || i / 2, i % 2, 'v' FROM generate_series(1, 100) i");
    task.sync();
    task.source.execute("UPDATE t SET v = 'w' WHERE id % 2 = 0; UPDATE t SET id = id + 500 WHERE id % 3 = 0");
    task.source.execute("UPDATE t SET code = code || 'x' WHERE id % 5 = 0; DELETE FROM t WHERE id % 7 = 0");
    task.sync();
}

#[test]
fn rule_15_full_identity_with_duplicates_and_nulls() {
    let task = Task::new(
        "identity-full",
        "CREATE TABLE t (a integer, b text, c double precision, d jsonb); ALTER TABLE t REPLICA IDENTITY FULL",
    );
    task.source
        .execute("INSERT INTO t SELECT i % 3, 'x', NULL, '{\"a\": 1.0}' FROM generate_series(1, 30) i");
    task.source.execute(
        "INSERT INTO t VALUES (NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL), (9, NULL, 'NaN', 'null')",
    );
    task.sync();
    // One of many equal rows, each time.
    task.source.execute("DELETE FROM t WHERE ctid = (SELECT ctid FROM t WHERE a = 1 LIMIT 1)");
    task.source.execute("UPDATE t SET b = 'one' WHERE ctid = (SELECT ctid FROM t WHERE a = 2 LIMIT 1)");
    task.source.execute("DELETE FROM t WHERE ctid = (SELECT ctid FROM t WHERE a IS NULL LIMIT 1)");
    task.sync();
    // All of them, which come as one change for each.
    task.source.execute("UPDATE t SET c = 1.5 WHERE a = 0");
    task.source.execute("UPDATE t SET b = NULL, d = '{\"a\": 1}' WHERE a IS NULL OR a = 9");
    task.source.execute(
        "DELETE FROM t WHERE a = 1; INSERT INTO t SELECT 0, 'x', 1.5, NULL FROM generate_series(1, 5)",
    );
    task.sync();
}

#[test]
fn full_identity_with_values_equal_to_the_eye_of_the_type_only() {
    // 1.0 and 1.00, 0 and -0 are equal, and are different rows.
    let task = Task::new(
        "identity-full-bytes",
        "CREATE TABLE t (n numeric, f double precision); ALTER TABLE t REPLICA IDENTITY FULL",
    );
    task.source.execute("INSERT INTO t VALUES (1.0, 0), (1.00, '-0'), (1, 0)");
    task.sync();
    task.source.execute("DELETE FROM t WHERE n::text = '1.00'");
    task.sync();
    task.source.execute("UPDATE t SET f = 5 WHERE n::text = '1'");
    task.sync();
}

#[test]
fn full_identity_at_the_source_and_a_key_at_the_destination() {
    let task = Task::build("identity-full-key")
        .schema("CREATE TABLE t (id integer, v text); ALTER TABLE t REPLICA IDENTITY FULL")
        .destination_schema("CREATE TABLE t (id integer PRIMARY KEY, v text)")
        .create();
    task.source.execute("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 50) i");
    task.source.execute("UPDATE t SET v = 'w' WHERE id < 20; DELETE FROM t WHERE id > 40; UPDATE t SET id = id + 100 WHERE id < 5");
    task.sync();
}

#[test]
fn rule_16_inserts_need_no_identity() {
    let task = Task::new("identity-none", "CREATE TABLE t (a integer, b text)");
    task.source.execute("INSERT INTO t SELECT i % 3, 'same' FROM generate_series(1, 100) i");
    task.sync();
    task.source.execute(
        "INSERT INTO t VALUES (1, 'same'); TRUNCATE t; INSERT INTO t VALUES (1, 'same'), (1, 'same')",
    );
    task.sync();
}

#[test]
fn rule_16_an_update_without_identity_stops_the_task() {
    let task = Task::new(
        "identity-none-update",
        "CREATE TABLE hits (a integer); CREATE TABLE other (id integer PRIMARY KEY)",
    );
    task.source.execute("INSERT INTO hits VALUES (1), (2); INSERT INTO other VALUES (1)");
    task.sync();
    let before = task.source_lsn();
    task.source.execute("UPDATE hits SET a = 3 WHERE a = 1");
    task.source.execute("INSERT INTO other VALUES (2)");
    let ended = task.run_fails(&["unidentifiable", "hits", "REPLICA IDENTITY FULL"]);
    let has_lsn = ended.stderr.split_whitespace().any(|word| {
        word.split_once('/').is_some_and(|(high, low)| {
            let hex = |text: &str| {
                !text.is_empty()
                    && text.trim_end_matches([',', '.', ':', ';']).chars().all(|c| c.is_ascii_hexdigit())
            };
            hex(high) && hex(low)
        })
    });
    assert!(has_lsn, "no LSN in: {}", ended.stderr);
    assert_eq!(task.destination.list("SELECT a FROM hits ORDER BY 1"), "1,2");
    assert_eq!(task.destination.list("SELECT id FROM other"), "1", "nothing behind the failed transaction");
    task.assert_slot_at_most(before);
}

#[test]
fn rule_16_a_delete_without_identity_stops_the_task() {
    let task = Task::new("identity-none-delete", "CREATE TABLE hits (a integer)");
    task.source.execute("INSERT INTO hits VALUES (1), (2)");
    task.sync();
    task.source.execute("DELETE FROM hits WHERE a = 1");
    task.run_fails(&["unidentifiable", "hits", "REPLICA IDENTITY FULL"]);
    assert_eq!(task.destination.list("SELECT a FROM hits ORDER BY 1"), "1,2");
}

#[test]
fn rule_16_replica_identity_nothing_with_a_key() {
    let task = Task::new(
        "identity-nothing",
        "CREATE TABLE hits (a integer PRIMARY KEY, b text); ALTER TABLE hits REPLICA IDENTITY NOTHING",
    );
    task.source.execute("INSERT INTO hits VALUES (1, 'x')");
    task.sync();
    task.source.execute("UPDATE hits SET b = 'y'");
    task.run_fails(&["unidentifiable", "hits"]);
}
