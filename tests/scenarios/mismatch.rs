//! Tables that look alike on both sides and are not: nothing may be altered in silence.

use walferry_tests::{Task, wait_until};

use std::time::Duration;

#[test]
fn rule_15_an_identity_that_fits_rows_of_another_partition_is_refused() {
    let task = Task::build("mismatch-shared")
        .schema(
            "CREATE TABLE p (k integer, id integer, x text) PARTITION BY LIST (k);
             CREATE TABLE p1 PARTITION OF p (PRIMARY KEY (id)) FOR VALUES IN (1);
             CREATE TABLE p2 PARTITION OF p (PRIMARY KEY (id)) FOR VALUES IN (2)",
        )
        .destination_schema("CREATE TABLE p (k integer, id integer, x text)")
        .create();
    task.source.execute("INSERT INTO p VALUES (1, 7, 'a'), (2, 7, 'b')");
    task.run_until_now();
    task.source.execute("UPDATE p SET x = 'B' WHERE k = 2");
    task.run_fails(&["public.p2", "not unique", "REPLICA IDENTITY FULL"]);
    assert_eq!(task.destination.list("SELECT k || ' ' || id || ' ' || x FROM p ORDER BY k"), "1 7 a,2 7 b");
}

#[test]
fn rule_15_rows_of_one_identity_without_an_index_are_not_picked_at_random() {
    let task = Task::build("mismatch-twice")
        .schema("CREATE TABLE t (id integer PRIMARY KEY, v text)")
        .destination_schema("CREATE TABLE t (id integer, v text)")
        .create();
    task.source.execute("INSERT INTO t VALUES (1, 'theirs'), (2, 'other')");
    task.run_until_now();
    task.destination.execute("INSERT INTO t VALUES (1, 'mine')");
    task.source.execute("UPDATE t SET v = 'new' WHERE id = 2");
    task.run_until_now();
    task.source.execute("DELETE FROM t WHERE id = 1");
    task.run_fails(&["public.t", "not unique"]);
    assert_eq!(task.destination.value("SELECT count(*) FROM t WHERE id = 1"), "2");
    task.destination.execute("DELETE FROM t WHERE v = 'mine'");
    task.sync();
}

#[test]
fn rule_10_a_type_that_changes_at_the_destination_while_running_is_noticed() {
    let task = Task::new("mismatch-type", "CREATE TABLE t (id integer PRIMARY KEY, v bigint)");
    let daemon = task.start();
    task.source.execute("INSERT INTO t SELECT i, i FROM generate_series(1, 100) i");
    task.wait_level();
    task.destination.execute("ALTER TABLE t ALTER v TYPE double precision");
    task.source.execute("INSERT INTO t SELECT i, i FROM generate_series(101, 200) i");
    task.wait_phase("failed");
    let status = task.status();
    let error = status["error"].as_str().unwrap_or_default();
    assert!(error.contains("public.t") && error.contains("float8"), "{status}");
    assert_eq!(task.destination.value("SELECT count(*) FROM t"), "100");
    task.destination.execute("ALTER TABLE t ALTER v TYPE bigint");
    task.wait_level();
    task.assert_equal();
    daemon.terminate().expect_status(0);
}

#[test]
fn a_column_that_only_the_source_computes_is_refused() {
    let task = Task::build("mismatch-generated")
        .schema("CREATE TABLE t (id integer PRIMARY KEY, c integer GENERATED ALWAYS AS (id * 2) STORED)")
        .destination_schema("CREATE TABLE t (id integer PRIMARY KEY, c integer)")
        .create();
    task.source.execute("INSERT INTO t VALUES (1)");
    task.run_fails(&["public.t", "c", "generated at the source"]);
    assert_eq!(task.destination.value("SELECT count(*) FROM t"), "0");
    task.destination.execute("ALTER TABLE t DROP COLUMN c");
    task.run_until_now();
    assert_eq!(task.destination.list("SELECT id FROM t"), "1");
}

#[test]
fn conflicts_with_values_that_json_cannot_hold_are_recorded() {
    let task = Task::build("mismatch-json")
        .schema("CREATE TABLE t (id integer PRIMARY KEY, j json)")
        .set("apply.conflict", "overwrite")
        .create();
    task.destination.execute(r#"INSERT INTO t VALUES (1, '"\u0000 mine"')"#);
    task.source.execute(r#"INSERT INTO t VALUES (1, '"\u0000 theirs"')"#);
    task.sync();
    assert_eq!(task.conflicts().len(), 1);
}

#[test]
fn rule_19_conflicts_of_a_latin1_source_name_the_table() {
    let latin1 = "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'";
    let task = Task::build("mismatch-latin1")
        .source_options(latin1)
        .schema(r#"CREATE TABLE "tabé" (id integer PRIMARY KEY, "wért" text)"#)
        .set("apply.conflict", "overwrite")
        .create();
    task.destination.execute(r#"INSERT INTO "tabé" VALUES (1, 'größer')"#);
    task.source.execute(r#"INSERT INTO "tabé" VALUES (1, 'straße')"#);
    task.sync();
    let conflict = &task.conflicts()[0];
    assert_eq!(conflict["table"], r#"public."tabé""#);
    assert_eq!(conflict["source_row"]["wért"], "straße");
    assert_eq!(conflict["destination_rows"][0]["wért"], "größer");
}

#[test]
fn a_cancelled_statement_is_tried_again_and_not_recorded() {
    let task = Task::build("mismatch-cancel")
        .schema("CREATE TABLE t (id integer PRIMARY KEY, v text)")
        .set("apply.conflict", "ignore")
        .create();
    let daemon = task.start();
    task.wait_level();
    let local = task.destination.another();
    local.execute("BEGIN; INSERT INTO t VALUES (1, 'mine')");
    task.source.execute("INSERT INTO t VALUES (1, 'theirs')");
    let waiting = "SELECT pid FROM pg_stat_activity WHERE application_name = 'walferry/mismatch-cancel' AND wait_event_type = 'Lock'";
    for _ in 0..3 {
        wait_until("the writer waits", Duration::from_secs(30), || {
            !task.destination.list(waiting).is_empty()
        });
        task.destination.execute(&format!("SELECT pg_cancel_backend(pid) FROM ({waiting}) w"));
        std::thread::sleep(Duration::from_millis(300));
    }
    local.execute("COMMIT");
    task.wait_level();
    let conflicts = task.conflicts();
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    assert_eq!(conflicts[0]["kind"], "insert_exists");
    daemon.terminate().expect_status(0);
}
