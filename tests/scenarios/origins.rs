//! Rows are tagged with a replication origin (rule 18).

use walferry_tests::Task;

#[test]
fn rule_18_rows_at_the_destination_carry_the_task_s_origin() {
    let task = Task::new("origin-tag", "CREATE TABLE t (id integer PRIMARY KEY, v text)");
    task.source.execute("INSERT INTO t VALUES (1, 'x')");
    task.sync();
    let names = task
        .destination
        .list("SELECT roname FROM pg_replication_origin WHERE roname LIKE 'walferry\\_origin-tag\\_%'");
    assert!(!names.is_empty(), "no origin of the task");
    // A decoder of the destination can tell our rows from others.
    let slot = "walferry_origin_tag_probe";
    task.destination
        .execute(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'test_decoding')"));
    task.source.execute("INSERT INTO t VALUES (2, 'theirs')");
    task.sync();
    task.destination.execute("CREATE TABLE mine (id integer PRIMARY KEY); INSERT INTO mine VALUES (3)");
    let seen = |only_local: &str| {
        task.destination.list(&format!(
            "SELECT data FROM pg_logical_slot_peek_changes('{slot}', NULL, NULL, 'only-local', '{only_local}') WHERE data LIKE 'table public.%'"
        ))
    };
    let (all, local) = (seen("0"), seen("1"));
    task.destination.execute(&format!("SELECT pg_drop_replication_slot('{slot}')"));
    assert!(all.contains("theirs") && all.contains("public.mine"), "{all}");
    assert!(!local.contains("theirs") && local.contains("public.mine"), "{local}");
}

#[test]
fn rule_18_rows_of_another_origin_are_sent() {
    // A cascade: rows that reached our source by replication go on to our destination.
    let task = Task::new("origin-cascade", "CREATE TABLE t (id integer PRIMARY KEY, v text)");
    task.source.execute("SELECT pg_replication_origin_create('some_upstream_of_ours')");
    task.source.execute("SELECT pg_replication_origin_session_setup('some_upstream_of_ours')");
    task.source.execute("INSERT INTO t VALUES (1, 'from far')");
    task.source.execute("SELECT pg_replication_origin_session_reset()");
    task.source.execute("SELECT pg_replication_origin_drop('some_upstream_of_ours')");
    task.source.execute("INSERT INTO t VALUES (2, 'from here')");
    task.sync();
}
