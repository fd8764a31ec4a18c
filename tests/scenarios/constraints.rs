//! Constraints of the destination: deferrable ones, swaps of unique values, foreign keys, and a COMMIT that
//! the server turns into a ROLLBACK.

use walferry_tests::Task;

#[test]
fn rule_12_deferrable_keys_are_probed_before_commit() {
    let task = Task::build("constraint-deferrable")
        .schema("CREATE TABLE t (id integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text, u integer UNIQUE DEFERRABLE)")
        .create();
    task.source.execute("ALTER TABLE t REPLICA IDENTITY FULL");
    task.source.execute("INSERT INTO t SELECT i, 'v', i FROM generate_series(1, 20) i");
    task.source.execute("UPDATE t SET id = 21 - id; UPDATE t SET u = 21 - u");
    task.sync();
    // A row of the same key is there already: without a probe two rows of one key would stay.
    task.destination.execute("INSERT INTO t VALUES (100, 'mine', 100)");
    task.source.execute("INSERT INTO t VALUES (100, 'theirs', 100)");
    task.run_fails(&["public.t"]);
    assert_eq!(task.destination.value("SELECT count(*) FROM t WHERE id = 100"), "1");
    task.destination.execute("DELETE FROM t WHERE id = 100");
    task.sync();
}

#[test]
fn rule_09_unique_values_that_are_swapped() {
    let task = Task::new(
        "constraint-swap",
        "CREATE TABLE t (id integer PRIMARY KEY, email text UNIQUE, n integer); CREATE UNIQUE INDEX t_n ON t (abs(n)) WHERE n IS NOT NULL",
    );
    task.source.execute("INSERT INTO t SELECT i, 'e' || i, i FROM generate_series(1, 10) i");
    task.sync();
    for (round, (a, b)) in [(1, 2), (2, 3), (9, 1)].into_iter().enumerate() {
        let (n, m) = (100 + 2 * round, 101 + 2 * round);
        task.source.execute(&format!(
            "BEGIN; UPDATE t SET email = 'first', n = NULL WHERE id = {a};
             UPDATE t SET email = 'e{n}', n = {n} WHERE id = {b};
             UPDATE t SET email = 'e{m}', n = -{m} WHERE id = {a}; COMMIT"
        ));
        task.source.execute(&format!("UPDATE t SET email = 'hold', n = NULL WHERE id = {a}"));
        task.source.execute(&format!("UPDATE t SET email = 'e{m}', n = {m} WHERE id = {b}"));
        task.source.execute(&format!("UPDATE t SET email = 'e{n}', n = -{n} WHERE id = {a}"));
    }
    // Freed by a delete or an update, taken by an insert, in one batch.
    task.source.execute("DELETE FROM t WHERE id = 5");
    task.source.execute("INSERT INTO t VALUES (50, 'e5', 5)");
    task.source.execute("UPDATE t SET email = 'moved', n = 600 WHERE id = 6");
    task.source.execute("INSERT INTO t VALUES (60, 'e6', 6)");
    task.source.execute("DELETE FROM t WHERE id = 60; UPDATE t SET email = 'e6', n = 6 WHERE id = 6");
    task.sync();
}

#[test]
fn rule_09_insert_delete_insert_of_one_key() {
    let task = Task::new("constraint-fold", "CREATE TABLE t (id integer PRIMARY KEY, v text, w text)");
    for _ in 0..3 {
        task.source.execute("INSERT INTO t VALUES (1, 'a', 'b')");
        task.source.execute("UPDATE t SET v = 'c' WHERE id = 1");
        task.source.execute("DELETE FROM t WHERE id = 1");
    }
    task.source.execute("INSERT INTO t VALUES (1, 'd', NULL); UPDATE t SET w = 'e'");
    task.source.execute("BEGIN; DELETE FROM t; INSERT INTO t VALUES (1, 'f', 'g'); COMMIT");
    task.source.execute("INSERT INTO t VALUES (2, 'h', 'i'); DELETE FROM t WHERE id = 2");
    task.sync();
    assert_eq!(task.conflicts().len(), 0);
}

#[test]
fn rule_09_keys_that_are_equal_in_different_bytes() {
    let task = Task::new(
        "constraint-equal",
        "CREATE EXTENSION citext; CREATE TABLE c (k citext PRIMARY KEY, n integer); CREATE TABLE u (k numeric PRIMARY KEY, n integer);
         CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE x (k text COLLATE nocase PRIMARY KEY, n integer); CREATE TABLE f (k double precision PRIMARY KEY, n integer)",
    );
    task.source.execute("INSERT INTO c VALUES ('Key', 1); INSERT INTO u VALUES (1.0, 1); INSERT INTO x VALUES ('Key', 1); INSERT INTO f VALUES ('-0', 1)");
    for (table, other) in [("c", "'KEY'"), ("u", "1.00"), ("x", "'KEY'"), ("f", "'0'")] {
        task.source.execute(&format!("UPDATE {table} SET k = {other}, n = n + 1"));
        task.source.execute(&format!("UPDATE {table} SET n = n + 1"));
        task.source.execute(&format!("DELETE FROM {table}"));
        task.source.execute(&format!("INSERT INTO {table} VALUES ({other}, 5)"));
    }
    task.sync();
}

#[test]
fn rule_13_foreign_keys_of_the_destination_do_not_fire() {
    let task = Task::build("constraint-foreign")
        .schema("CREATE TABLE p (id integer PRIMARY KEY); CREATE TABLE c (id integer PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE ON UPDATE SET NULL)")
        .create();
    task.source.execute("INSERT INTO p SELECT generate_series(1, 10); INSERT INTO c SELECT i, i FROM generate_series(1, 10) i");
    task.sync();
    task.destination.execute("INSERT INTO c VALUES (1000, 3)");
    task.source.execute("DELETE FROM p WHERE id = 3; UPDATE p SET id = 50 WHERE id = 5");
    task.run_until_now();
    assert_eq!(
        task.destination.value("SELECT p FROM c WHERE id = 1000"),
        "3",
        "no cascade of the destination's own"
    );
    task.destination.execute("DELETE FROM c WHERE id = 1000");
    task.assert_equal();
}

#[test]
fn rule_01_a_commit_that_is_rolled_back_counts_for_nothing() {
    // A deferred constraint trigger of the destination raises at COMMIT.
    let task = Task::new("constraint-commit", "CREATE TABLE t (id integer PRIMARY KEY, v text)");
    task.source.execute("INSERT INTO t VALUES (1, 'fine')");
    task.sync();
    task.destination.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.v = 'bad' THEN RAISE EXCEPTION 'refused at commit'; END IF; RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
         ALTER TABLE t ENABLE ALWAYS TRIGGER refuse",
    );
    let before = task.source_lsn();
    task.source.execute("INSERT INTO t VALUES (2, 'bad')");
    task.source.execute("INSERT INTO t VALUES (3, 'fine')");
    task.run_fails(&["refused at commit"]);
    assert_eq!(task.destination.list("SELECT id FROM t"), "1");
    task.assert_slot_at_most(before);
    task.destination.execute("DROP TRIGGER refuse ON t");
    task.sync();
}

#[test]
fn rule_01_a_violated_check_stops_and_drops_nothing() {
    let task = Task::new("constraint-check", "CREATE TABLE t (id integer PRIMARY KEY, n integer)");
    task.destination.execute("ALTER TABLE t ADD CONSTRAINT positive CHECK (n > 0)");
    for i in 1..30 {
        task.source.execute(&format!("INSERT INTO t VALUES ({i}, {})", if i == 20 { -1 } else { 1 }));
    }
    task.run_fails(&["positive"]);
    assert_eq!(
        task.destination.value("SELECT count(*) FROM t"),
        "19",
        "everything before it, nothing behind it"
    );
    task.destination.execute("ALTER TABLE t DROP CONSTRAINT positive");
    task.sync();
}

#[test]
fn rule_12_keys_of_a_deferrable_constraint_are_swapped() {
    let task = Task::new(
        "swap-deferrable",
        "CREATE TABLE t (id integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text); ALTER TABLE t REPLICA IDENTITY FULL;",
    );
    task.source.execute("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 10) i");
    task.source.execute(
        "BEGIN; UPDATE t SET id = 2 WHERE v = 'v1'; UPDATE t SET id = 1 WHERE v = 'v2'; COMMIT;
         BEGIN; UPDATE t SET id = id % 10 + 1; COMMIT; BEGIN; UPDATE t SET id = 11 - id; DELETE FROM t WHERE v = 'v5'; COMMIT",
    );
    task.sync();
    task.assert_equal();
    assert_eq!(task.conflicts().len(), 0);
}
