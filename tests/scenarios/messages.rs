//! Logical messages of others are ignored, and nothing in one is ever executed (rule 25).

use walferry_tests::Task;

#[test]
fn messages_of_others_are_ignored() {
    let task = Task::new("messages", "CREATE TABLE t (id integer PRIMARY KEY)");
    task.source.execute("SELECT pg_logical_emit_message(false, 'other', 'not transactional')");
    task.source.execute("BEGIN; INSERT INTO t VALUES (1); SELECT pg_logical_emit_message(true, 'walferry', 'DROP TABLE t'); INSERT INTO t VALUES (2); COMMIT");
    task.source.execute("SELECT pg_logical_emit_message(true, 'walferry.ddl', 'DROP TABLE public.t'), pg_logical_emit_message(true, '', repeat('x', 200000))");
    task.source.execute("SELECT pg_logical_emit_message(false, 'walferry', '\\x00ff'::bytea), pg_logical_emit_message(true, 'walferry_heartbeat', '')");
    task.sync();
    assert_eq!(task.destination.value("SELECT count(*) FROM t"), "2");
}
