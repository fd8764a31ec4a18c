//! What the destination already has, or lacks: every kind of conflict under every policy.

use walferry_tests::Task;

const SCHEMA: &str = "CREATE TABLE t (id integer PRIMARY KEY, code text UNIQUE, v text)";

/// A task whose destination was changed behind its back, so that each kind of conflict comes once.
fn spoiled(name: &str, policy: &str) -> Task {
    let task = Task::build(name).schema(SCHEMA).set("apply.conflict", policy).create();
    task.source.execute("INSERT INTO t SELECT i, 'c' || i, 'v' FROM generate_series(1, 20) i");
    task.sync();
    task.destination.execute("DELETE FROM t WHERE id IN (2, 3); INSERT INTO t VALUES (101, 'x101', 'mine'), (102, 'c103', 'mine'), (201, 'x201', 'mine'), (202, 'x202', 'mine'), (205, 'c203', 'mine')");
    task
}

/// The changes that meet the spoiled rows, each a transaction of its own, among others that are fine.
const CHANGES: &[(&str, &str)] = &[
    ("insert_exists", "INSERT INTO t VALUES (101, 'c101', 'theirs')"),
    ("update_missing", "UPDATE t SET v = 'u' WHERE id = 2"),
    ("delete_missing", "DELETE FROM t WHERE id = 3"),
    ("update_exists", "UPDATE t SET id = 201 WHERE id = 4"),
    ("multiple_unique_conflicts", "INSERT INTO t VALUES (202, 'c203', 'theirs'), (203, 'c204', 'theirs')"),
];

fn kinds(task: &Task) -> Vec<String> {
    let conflicts = task.conflicts();
    conflicts.iter().map(|conflict| conflict["kind"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn rule_06_policy_error_stops_at_each_and_names_it() {
    for (kind, change) in &CHANGES[..4] {
        let task = spoiled(&format!("conflict-error-{}", kind.replace('_', "-")), "error");
        task.source.execute("INSERT INTO t VALUES (1000, 'c1000', 'before')");
        task.source.execute(change);
        task.source.execute("INSERT INTO t VALUES (1001, 'c1001', 'after')");
        task.run_fails(&[kind, "public.t"]);
        assert_eq!(
            task.destination.list("SELECT id FROM t WHERE id >= 1000"),
            "1000",
            "{kind}: up to the transaction that fails"
        );
        assert!(kinds(&task).contains(&(*kind).to_owned()), "{kind} is not among {:?}", kinds(&task));
    }
}

#[test]
fn rule_06_after_the_cause_is_removed_the_run_goes_on() {
    let task = spoiled("conflict-resumed", "error");
    task.source.execute(CHANGES[0].1);
    task.source.execute("INSERT INTO t VALUES (1001, 'c1001', 'after')");
    let before = task.source_lsn();
    task.run_fails(&["insert_exists"]);
    task.run_fails(&["insert_exists"]);
    task.assert_slot_at_most(before);
    task.destination
        .execute("DELETE FROM t WHERE id > 100; INSERT INTO t VALUES (2, 'c2', 'v'), (3, 'c3', 'v')");
    task.sync();
}

#[test]
fn rule_06_policy_ignore_keeps_the_destination_row() {
    let task = spoiled("conflict-ignore", "ignore");
    for (_, change) in CHANGES {
        task.source.execute(change);
    }
    task.source
        .execute("INSERT INTO t VALUES (1001, 'c1001', 'after'); UPDATE t SET v = 'fine' WHERE id = 10");
    task.run_until_now();
    let value = |sql: &str| task.destination.value(sql);
    assert_eq!(value("SELECT v FROM t WHERE id = 101"), "mine");
    assert_eq!(value("SELECT count(*) FROM t WHERE id IN (2, 3)"), "0");
    assert_eq!(value("SELECT v FROM t WHERE id = 4"), "v", "an update that is ignored changes nothing");
    assert_eq!(value("SELECT v FROM t WHERE id = 202"), "mine");
    assert_eq!(
        value("SELECT v FROM t WHERE id = 203"),
        "theirs",
        "its neighbour in the transaction is applied"
    );
    assert_eq!(value("SELECT v FROM t WHERE id = 1001"), "after");
    assert_eq!(value("SELECT v FROM t WHERE id = 10"), "fine");
    let found = kinds(&task);
    for (kind, _) in CHANGES {
        assert!(found.contains(&(*kind).to_owned()), "{kind} is not among {found:?}");
    }
    assert_eq!(found.len(), CHANGES.len(), "{found:?}");
}

#[test]
fn rule_06_policy_overwrite_ends_equal() {
    let task = spoiled("conflict-overwrite", "overwrite");
    for (_, change) in CHANGES {
        task.source.execute(change);
    }
    task.source.execute("INSERT INTO t VALUES (102, 'c103', 'theirs'), (1001, 'c1001', 'after')");
    task.sync();
    assert!(kinds(&task).len() >= CHANGES.len());
}

#[test]
fn rule_06_one_conflict_in_a_large_batch_disturbs_nobody() {
    let task = Task::build("conflict-large-batch").schema(SCHEMA).set("apply.conflict", "ignore").create();
    task.destination
        .execute("INSERT INTO t SELECT i, 'm' || i, 'mine' FROM generate_series(100, 1900, 450) i");
    for start in (0..2000).step_by(2) {
        task.source.execute(&format!(
            "INSERT INTO t VALUES ({start}, 'c{start}', 'v'), ({start} + 1, 'c' || {start} + 1, 'v')"
        ));
    }
    task.run_until_now();
    assert_eq!(task.destination.value("SELECT count(*) FROM t"), "2000");
    assert_eq!(task.destination.value("SELECT count(*) FROM t WHERE v = 'v'"), "1995");
    assert_eq!(kinds(&task).len(), 5);
}

#[test]
fn rule_09_folded_changes_meet_conflicts_as_single_ones_do() {
    // insert + update of a row that is there already; update + delete of one that is not.
    let task = Task::build("conflict-folded").schema(SCHEMA).set("apply.conflict", "ignore").create();
    task.source.execute("INSERT INTO t VALUES (2, 'c2', 'v')");
    task.sync();
    task.destination.execute("INSERT INTO t VALUES (1, 'mine', 'mine'); DELETE FROM t WHERE id = 2");
    task.source
        .execute("BEGIN; INSERT INTO t VALUES (1, 'c1', 'a'); UPDATE t SET v = 'b' WHERE id = 1; COMMIT");
    task.source.execute("BEGIN; UPDATE t SET v = 'x' WHERE id = 2; DELETE FROM t WHERE id = 2; COMMIT");
    task.run_until_now();
    let mut found = kinds(&task);
    found.sort();
    assert_eq!(found, ["delete_missing", "insert_exists", "update_missing"]);
    // The update finds a row of that key: as one by one, it is applied.
    assert_eq!(task.destination.list("SELECT v FROM t"), "b");
}

#[test]
fn a_policy_for_one_table() {
    let task = Task::build("conflict-tables")
        .schema("CREATE TABLE a (id integer PRIMARY KEY, v text); CREATE TABLE b (id integer PRIMARY KEY, v text)")
        .set("apply.conflict", "error")
        .set("apply.conflict_tables", toml::Value::Table([("public.a".to_owned(), "overwrite".into())].into_iter().collect()))
        .create();
    task.destination.execute("INSERT INTO a VALUES (1, 'mine'); INSERT INTO b VALUES (1, 'mine')");
    task.source.execute("INSERT INTO a VALUES (1, 'theirs')");
    task.run_until_now();
    assert_eq!(task.destination.value("SELECT v FROM a"), "theirs");
    task.source.execute("INSERT INTO b VALUES (1, 'theirs')");
    task.run_fails(&["insert_exists", "public.b"]);
}

#[test]
fn records_hold_both_rows_and_logs_hold_none() {
    let task = spoiled("conflict-records", "overwrite");
    task.source.execute("INSERT INTO t VALUES (101, 'c101', 'secret-theirs')");
    task.destination.execute("UPDATE t SET v = 'secret-mine' WHERE id = 101");
    let ended = task.run_until_now();
    assert!(!ended.stderr.contains("secret"), "a row's value is in the log: {}", ended.stderr);
    let record = task.conflicts().first().map(ToString::to_string).unwrap_or_default();
    assert!(record.contains("secret-theirs") && record.contains("secret-mine"), "{record}");
    assert_eq!(task.status()["conflicts"], 1);
}
