//! Rows that are at the destination before the copy: kept, overwritten, or an error.

use walferry_tests::{Task, full};

const TABLE: &str =
    "CREATE TABLE t (id integer PRIMARY KEY, u integer UNIQUE, v text); CREATE TABLE k (a integer, b text);
    CREATE TABLE other (id integer PRIMARY KEY, v text);";

fn task(name: &str, existing: &str) -> Task {
    let task = Task::build(name)
        .schema(TABLE)
        .full_only()
        .set("objects.definitions", "use")
        .set("copy.existing", existing)
        .create();
    task.source.execute(
        "INSERT INTO t SELECT i, i, 'source' FROM generate_series(1, 100) i; INSERT INTO other VALUES (1, 'source');
         INSERT INTO k VALUES (1, 'one'), (1, 'one'), (2, 'two')",
    );
    task.destination.execute(TABLE);
    task
}

fn kept(task: &Task, table: &str) -> String {
    let sql = format!(
        "SELECT kept FROM walferry_state.tables WHERE task = '{}' AND source_name = '{table}'",
        task.name
    );
    task.destination.value(&sql)
}

#[test]
fn existing_rows_win_by_default_and_are_counted() {
    let task = task("existing-keep", "keep");
    task.destination.execute("INSERT INTO t VALUES (5, 5, 'mine'), (6, 6, 'mine'), (500, 500, 'mine')");
    task.run_full();
    assert_eq!(task.destination.list("SELECT id FROM t WHERE v = 'mine' ORDER BY id"), "5,6,500");
    assert_eq!(task.destination.value("SELECT count(*) FROM t"), "101");
    assert_eq!(kept(&task, "t"), "2");
    assert_eq!(kept(&task, "other"), "0");
    assert_eq!(task.destination.value("SELECT count(*) FROM k"), "3");
}

#[test]
fn rows_that_differ_in_the_key_but_collide_elsewhere_are_kept_too() {
    let task = task("existing-unique", "keep");
    task.destination.execute("INSERT INTO t VALUES (1000, 7, 'mine')");
    task.run_full();
    assert_eq!(task.destination.value("SELECT id FROM t WHERE u = 7"), "1000");
    assert_eq!(task.destination.value("SELECT count(*) FROM t"), "100");
}

#[test]
fn existing_rows_are_overwritten_if_asked() {
    let task = task("existing-over", "overwrite");
    task.destination.execute("INSERT INTO t VALUES (5, 55555, 'mine'), (500, 500, 'mine')");
    task.run_full();
    assert_eq!(task.destination.value("SELECT v || u FROM t WHERE id = 5"), "source5");
    assert_eq!(task.destination.list("SELECT id FROM t WHERE v = 'mine'"), "500");
}

#[test]
fn an_existing_row_fails_the_table_if_asked_and_the_rest_goes_on() {
    let task = task("existing-error", "error");
    task.destination.execute("INSERT INTO t VALUES (5, 5, 'mine')");
    task.full_fails(&["public.t", "existing"]);
    let status = task.status();
    assert_eq!(full::state(&status, "public.t"), "failed");
    assert_eq!(full::state(&status, "public.other"), "copied");
    assert_eq!(task.destination.value("SELECT count(*) FROM t"), "1");
    task.destination.execute("DELETE FROM t");
    task.run_full();
    task.assert_equal();
}

#[test]
fn equal_rows_of_a_table_without_a_key_are_there_already() {
    let task = task("existing-keyless", "keep");
    task.destination.execute("INSERT INTO k VALUES (1, 'one'), (3, 'mine')");
    task.run_full();
    assert_eq!(task.destination.list("SELECT b FROM k ORDER BY 1"), "mine,one,one,two");
    assert_eq!(kept(&task, "k"), "1");
}

#[test]
fn rows_without_an_error_are_copied_into_empty_tables_under_every_policy() {
    for existing in ["keep", "overwrite", "error"] {
        let task = task("existing-none", existing);
        task.run_full();
        task.assert_equal();
    }
}
