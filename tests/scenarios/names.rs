//! Any legal name (C5): quotes, spaces, dots, percent signs, capitals, non-ASCII, 63 bytes.

use walferry_tests::Task;
use walferry_tests::session::identifier;

const NAMES: &[&str] = &[
    "Table",
    "select",
    "with space",
    "with.dot",
    "100%",
    "%s%n",
    "quo\"te",
    "apo'strophe",
    "back\\slash",
    "$1",
    "a,b(c)[d]{e}",
    "line\nbreak\ttab",
    "Größe",
    "таблица",
    "😀",
    "--comment",
    "/*x*/",
    " leading",
    "123",
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk",
];

/// A table of each name in a schema of the next name, with columns of names further on, and an enum.
fn schema() -> String {
    let name = |i: usize| identifier(NAMES[i % NAMES.len()]);
    let mut sql = String::new();
    for i in 0..NAMES.len() {
        sql.push_str(&format!("CREATE SCHEMA {};", name(i)));
    }
    for i in 0..NAMES.len() {
        let (schema, table, kind) = (name(i + 1), name(i), name(i + 5));
        sql.push_str(&format!(
            "CREATE TYPE {schema}.{kind} AS ENUM ('a', 'it''s', '%s');
             CREATE TABLE {schema}.{table} ({} integer, {} text, {} {schema}.{kind}, {} {schema}.{kind}[], PRIMARY KEY ({}));",
            name(i + 2), name(i + 3), name(i + 4), name(i + 6), name(i + 2),
        ));
    }
    sql
}

#[test]
fn any_legal_name_of_schema_table_column_and_type() {
    let task = Task::new("names", &schema());
    for i in 0..NAMES.len() {
        let name = |i: usize| identifier(NAMES[i % NAMES.len()]);
        let table = format!("{}.{}", name(i + 1), name(i));
        task.source.execute(&format!(
            "INSERT INTO {table} SELECT i, 'x' || i, 'it''s', '{{a,%s}}' FROM generate_series(1, 9) i"
        ));
        task.source.execute(&format!(
            "UPDATE {table} SET {} = 'new', {} = '%s' WHERE {} < 4",
            name(i + 3),
            name(i + 4),
            name(i + 2)
        ));
        task.source.execute(&format!(
            "UPDATE {table} SET {} = {} + 100 WHERE {} = 5",
            name(i + 2),
            name(i + 2),
            name(i + 2)
        ));
        task.source.execute(&format!("DELETE FROM {table} WHERE {} = 9", name(i + 2)));
    }
    task.sync();
    let last = identifier(NAMES[0]);
    task.source.execute(&format!("TRUNCATE {}.{last}", identifier(NAMES[1])));
    task.sync();
}

#[test]
fn a_table_of_1600_columns_and_one_of_none() {
    let columns: Vec<String> = (0..1599).map(|i| format!("c{i} smallint")).collect();
    let task = Task::new(
        "names-wide",
        &format!("CREATE TABLE wide (id integer PRIMARY KEY, {}); CREATE TABLE none ()", columns.join(", ")),
    );
    task.source.execute(
        "INSERT INTO wide (id, c0, c1598) VALUES (1, 1, 2), (2, 3, 4); INSERT INTO none DEFAULT VALUES",
    );
    task.source.execute("UPDATE wide SET c700 = 7 WHERE id = 1; INSERT INTO none DEFAULT VALUES");
    task.sync();
    assert_eq!(task.destination.value("SELECT count(*) FROM none"), "2");
}

#[test]
fn a_slot_and_a_task_of_odd_legal_names() {
    let task = Task::new("Names-Odd_Task-1", "CREATE TABLE t (a integer PRIMARY KEY)");
    assert_eq!(task.slot, "walferry_names_odd_task_1");
    task.source.execute("INSERT INTO t VALUES (1)");
    task.sync();
}
