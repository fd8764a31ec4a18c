//! What the extension offers on the source: views, peek, heartbeat, drop_slot, and a plugin that takes no
//! harm from bad options (rule 17).

use walferry_tests::Task;

const SCHEMA: &str = "CREATE TABLE t (id integer PRIMARY KEY, v text); CREATE TABLE bare (a integer);
    CREATE TABLE whole (a integer); ALTER TABLE whole REPLICA IDENTITY FULL; CREATE UNLOGGED TABLE fleeting (a integer PRIMARY KEY)";

#[test]
fn slots_are_shown_with_their_health() {
    let task = Task::new("ext-slots", SCHEMA);
    task.source.execute("INSERT INTO t VALUES (1, 'x')");
    let query = format!("SELECT health FROM walferry.slots WHERE slot_name = '{}'", task.slot);
    assert_eq!(task.source.value(&query), "ok");
    let daemon = task.start();
    task.wait_level();
    assert_eq!(
        task.source.value(&format!("SELECT active FROM walferry.slots WHERE slot_name = '{}'", task.slot)),
        "t"
    );
    let columns = "slot_name, active, active_pid, restart_lsn, confirmed_flush_lsn, retained_bytes, lag_bytes, lag_seconds, wal_status,
        safe_wal_size, spill_txns, spill_bytes, stream_txns, stream_bytes, total_txns, total_bytes, health";
    assert_eq!(task.source.rows(&format!("SELECT {columns} FROM walferry.slots")).len(), 1);
    daemon.terminate().expect_status(0);
}

#[test]
fn tables_that_cannot_be_synchronised_say_why() {
    let task = Task::new("ext-tables", SCHEMA);
    let of = |name: &str, column: &str| {
        task.source.value(&format!("SELECT {column} FROM walferry.tables WHERE \"table\" = 'public.{name}'"))
    };
    assert_eq!(of("t", "synchronisable"), "t");
    assert_eq!(of("whole", "synchronisable"), "t");
    assert!(of("bare", "reason").contains("REPLICA IDENTITY FULL"), "{}", of("bare", "reason"));
    assert_eq!(of("fleeting", "synchronisable"), "f");
}

#[test]
fn peek_shows_and_moves_nothing() {
    let task = Task::new("ext-peek", SCHEMA);
    task.source.execute("INSERT INTO t VALUES (1, 'look'); UPDATE t SET v = 'again'; TRUNCATE whole");
    let before = task.slot_lsn();
    let peek = format!("SELECT * FROM walferry.peek('{}', 100)", task.slot);
    let seen: Vec<_> = task.source.rows(&peek).into_iter().flatten().flatten().collect();
    let seen = seen.join("\n");
    assert!(seen.contains("look") && seen.contains("again"), "{seen}");
    assert_eq!(task.slot_lsn(), before);
    task.sync();
}

#[test]
fn drop_slot_refuses_an_active_slot_unless_forced() {
    let task = Task::new("ext-drop", SCHEMA);
    let daemon = task.start();
    task.wait_level();
    let refused = task.source.try_execute(&format!("SELECT walferry.drop_slot('{}')", task.slot));
    assert!(refused.is_err_and(|error| error.contains("in use")), "an active slot was dropped");
    daemon.kill9();
    task.source.execute(&format!("SELECT walferry.drop_slot('{}', true)", task.slot));
    assert_eq!(
        task.source.value(&format!("SELECT count(*) FROM walferry.slots WHERE slot_name = '{}'", task.slot)),
        "0"
    );
}

#[test]
fn rule_17_bad_options_are_refused_by_name_and_the_server_lives() {
    let task = Task::new("ext-options", SCHEMA);
    task.source.execute("INSERT INTO t VALUES (1, 'x')");
    let with = |options: &str| {
        let session = task.source.another();
        session.try_execute(&format!(
            "SELECT pg_logical_slot_peek_binary_changes('{}', NULL, NULL {options})",
            task.slot
        ))
    };
    let unknown = with(", 'no_such_option', '1'").expect_err("an unknown option is an error");
    assert!(unknown.contains("no_such_option"), "{unknown}");
    for value in ["99-100", "", "x", "-1", "2-1", "99999999999999999999-1", "0-0"] {
        assert!(with(&format!(", 'versions', '{value}'")).is_err(), "versions {value:?} was taken");
    }
    assert_eq!(task.source.value("SELECT 1"), "1");
    task.sync();
}

#[test]
fn rule_20_relations_that_change_and_go() {
    let task = Task::new("ext-relations", SCHEMA);
    let both = |sql: &str| {
        task.destination.execute(sql);
        task.source.execute(sql);
    };
    let daemon = task.start();
    task.wait_level();
    for round in 0..5 {
        task.source.execute(&format!("INSERT INTO t (id, v) VALUES ({round}, 'a')"));
        task.wait_level();
        both(&format!("ALTER TABLE t ADD COLUMN c{round} integer DEFAULT {round}"));
        task.source.execute(&format!(
            "INSERT INTO t (id, v) VALUES (100 + {round}, 'b'); UPDATE t SET c{round} = 7 WHERE id = {round}"
        ));
        task.wait_level();
        both(&format!("ALTER TABLE t RENAME COLUMN c{round} TO d{round}"));
        task.source.execute(&format!("UPDATE t SET d{round} = 8 WHERE id = {round}"));
        task.wait_level();
    }
    both("CREATE TABLE late (a integer PRIMARY KEY)");
    task.source.execute("INSERT INTO late VALUES (1)");
    both("CREATE TYPE mood AS ENUM ('a'); ALTER TABLE late ADD COLUMN m mood");
    both("ALTER TYPE mood ADD VALUE 'b'");
    task.source.execute("INSERT INTO late VALUES (2, 'b')");
    task.wait_level();
    task.assert_equal();
    // Dropped before it was decoded.
    task.source.execute("BEGIN; CREATE TABLE brief (a integer PRIMARY KEY); DROP TABLE brief; COMMIT");
    task.source.execute("INSERT INTO late VALUES (3, 'a')");
    task.wait_level();
    daemon.terminate().expect_status(0);
    task.assert_equal();
}

#[test]
fn rule_08_definitions_that_change_within_a_backlog() {
    let task = Task::new(
        "ext-backlog",
        "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (id integer PRIMARY KEY, v text, m mood)",
    );
    // The destination has what is to come; the source changes while nobody follows.
    task.destination.execute("ALTER TYPE mood ADD VALUE 'happy'");
    task.destination.execute("ALTER TABLE t ADD COLUMN n integer DEFAULT 5, ADD COLUMN w text");
    task.source.execute("INSERT INTO t VALUES (1, 'old', 'sad')");
    task.source.execute("ALTER TABLE t ADD COLUMN n integer DEFAULT 5");
    task.source.execute("INSERT INTO t VALUES (2, 'with n', 'sad', 6); UPDATE t SET n = 7 WHERE id = 1");
    task.source.execute("ALTER TYPE mood ADD VALUE 'happy'");
    task.source.execute("INSERT INTO t VALUES (3, 'new label', 'happy', 8)");
    task.source.execute("BEGIN; ALTER TABLE t ADD COLUMN w text; UPDATE t SET w = 'x' WHERE id = 3; INSERT INTO t VALUES (4, 'v', NULL, 1, 'w'); COMMIT");
    task.source.execute("BEGIN; ALTER TABLE t DROP COLUMN v; UPDATE t SET n = 0 WHERE id = 2; ROLLBACK");
    task.sync();
}
