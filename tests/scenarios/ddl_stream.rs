//! What the plugin sends of captured DDL (rules 25 and 26): the rows of the two carriers at their place among the rows of
//! data, and those that a statement writes while it runs.

use serde_json::Value;
use walferry_tests::Task;

use crate::ddl_capture::capturing;

/// Records of the stream; begins, commits and the mark of the capture's beginning left out.
fn stream(task: &Task) -> Vec<Value> {
    let rows = task.source.rows(&format!("SELECT change FROM walferry.peek('{}', 10000)", task.slot));
    let records = rows.into_iter().flatten().flatten();
    let records = records.map(|text| serde_json::from_str::<Value>(&text).expect("a record is JSON"));
    let is_told = |record: &Value| {
        record["kind"] != "begin" && record["kind"] != "commit" && record["tag"] != "ENABLE DDL CAPTURE"
    };
    records.filter(is_told).collect()
}

/// A short word per record: what kind it is, and the tag or table.
fn shapes(task: &Task) -> Vec<String> {
    let word = |record: &Value| match record["kind"].as_str() {
        Some(kind @ ("ddl" | "ddl_mark")) => format!("{kind} {}", record["tag"].as_str().unwrap_or_default()),
        kind => format!(
            "{}{} {}",
            kind.unwrap_or_default(),
            if record["rewrite"] == true { " rewrite" } else { "" },
            record["table"].as_str().unwrap_or_default()
        ),
    };
    stream(task).iter().map(word).collect()
}

#[test]
fn rule_26_marks_come_before_the_rows() {
    let (task, session) = capturing("ddlcap-marks");
    session.execute("CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1), (2)");
    session.execute(
        "BEGIN; CREATE TABLE made AS SELECT id, random() AS r FROM t; INSERT INTO made VALUES (3, 0); COMMIT",
    );
    session.execute("SELECT 1 AS one INTO chosen");
    session.execute("ALTER TABLE t ADD r float8 DEFAULT random()");
    session.execute("CREATE TABLE p (k integer) PARTITION BY LIST (k); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2); INSERT INTO p VALUES (1), (2)");
    session.execute("ALTER TABLE p ADD v uuid DEFAULT gen_random_uuid()");
    session.execute("CREATE MATERIALIZED VIEW m AS SELECT * FROM t; CREATE UNIQUE INDEX ON m (id); REFRESH MATERIALIZED VIEW m; REFRESH MATERIALIZED VIEW CONCURRENTLY m");
    session.execute("CREATE EXTENSION pg_trgm; EXPLAIN ANALYZE CREATE TABLE explained AS SELECT 5 AS five");
    let expected = "ddl CREATE TABLE,insert t,insert t,ddl_mark CREATE TABLE AS,insert made,insert made,ddl CREATE TABLE AS,insert made,\
        ddl_mark SELECT INTO,insert chosen,ddl SELECT INTO,ddl_mark ALTER TABLE,insert rewrite t,insert rewrite t,ddl ALTER TABLE,\
        ddl CREATE TABLE,ddl CREATE TABLE,ddl CREATE TABLE,insert p1,insert p2,\
        ddl_mark ALTER TABLE,insert rewrite p1,ddl_mark ALTER TABLE,insert rewrite p2,ddl ALTER TABLE,\
        ddl CREATE MATERIALIZED VIEW,ddl CREATE INDEX,ddl REFRESH MATERIALIZED VIEW,ddl REFRESH MATERIALIZED VIEW,\
        ddl_mark CREATE EXTENSION,ddl CREATE EXTENSION,ddl_mark CREATE TABLE AS,insert explained,ddl CREATE TABLE AS";
    assert_eq!(shapes(&task).join(","), expected);
    let dangling = "SELECT count(*) FROM walferry.ddl_mark m WHERE NOT EXISTS (SELECT FROM walferry.ddl_log l WHERE l.mark = m.first AND l.statement = m.statement)";
    assert_eq!(session.value(dangling), "0");
    assert_eq!(session.value("SELECT relation::regclass FROM walferry.ddl_mark WHERE reason = 2"), "t");
}

#[test]
fn rule_25_a_table_of_that_name_is_not_the_carrier() {
    let (task, session) = capturing("ddlcap-forged");
    session.execute("CREATE SCHEMA mine; CREATE TABLE mine.ddl_log (LIKE walferry.ddl_log); INSERT INTO mine.ddl_log SELECT * FROM walferry.ddl_log WHERE tag = 'CREATE SCHEMA'");
    let records = stream(&task);
    let tags: Vec<_> =
        records.iter().filter(|record| record["kind"] == "ddl").map(|record| &record["tag"]).collect();
    assert_eq!(tags, ["CREATE SCHEMA", "CREATE TABLE"]);
    assert_eq!(records.last().map(|record| record["kind"] == "insert"), Some(true));
    session.execute("DELETE FROM walferry.ddl_log; UPDATE walferry.ddl_mark SET tag = 'x'");
    assert_eq!(stream(&task).len(), records.len());
}

#[test]
fn a_statement_of_megabytes_comes_whole_and_streamed() {
    let (task, session) = capturing("ddlcap-large");
    let body = "x".repeat(3 << 20);
    session.execute("CREATE TABLE t (id integer, v text)");
    session.execute(&format!(
        "BEGIN; SET LOCAL logical_decoding_work_mem = '64kB'; CREATE FUNCTION big() RETURNS text LANGUAGE sql AS 'SELECT ''{body}''';
         INSERT INTO t SELECT g, repeat('y', 500) FROM generate_series(1, 5000) g; ALTER TABLE t ADD w integer DEFAULT 5; COMMIT"
    ));
    let records = stream(&task);
    let big = records.iter().find(|record| record["tag"] == "CREATE FUNCTION").expect("the function");
    assert!(big["statement"].as_str().is_some_and(|text| text.contains(&body)));
    let decoding = task.source.another();
    decoding.execute("SET logical_decoding_work_mem = '64kB'");
    let streamed = decoding.list(&format!(
        "SELECT kind FROM (SELECT data::json ->> 'kind' AS kind, count(*) FROM pg_logical_slot_peek_changes('{}', NULL, NULL, 'format', 'json', 'ddl', 'on',
         'streaming', 'on') GROUP BY 1) k ORDER BY 1",
        task.slot
    ));
    assert_eq!(streamed, "begin,commit,ddl,insert,stream_commit,stream_start,stream_stop");
}
