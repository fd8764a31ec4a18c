//! Partitioned tables on either side (rule 15).

use walferry_tests::Task;

const PLAIN: &str = "CREATE TABLE m (id integer, day date, v text, PRIMARY KEY (id, day));";
const PARTED: &str = "CREATE TABLE m (id integer, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE m_2024 PARTITION OF m FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (id);
    CREATE TABLE m_2024_low PARTITION OF m_2024 FOR VALUES IN (1, 2, 3);
    CREATE TABLE m_2024_rest PARTITION OF m_2024 DEFAULT;
    CREATE TABLE m_2025 PARTITION OF m FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    CREATE TABLE m_rest PARTITION OF m DEFAULT;";
const BY_HASH: &str =
    "CREATE TABLE m (id integer, day date, v text, PRIMARY KEY (id, day)) PARTITION BY HASH (id);
    CREATE TABLE m_0 PARTITION OF m FOR VALUES WITH (modulus 2, remainder 0);
    CREATE TABLE m_1 PARTITION OF m FOR VALUES WITH (modulus 2, remainder 1);";

/// Inserts, updates, moves between partitions and deletes, with an end in one batch and one in several.
fn work(name: &str, source: &str, destination: &str) -> Task {
    let task = Task::build(name).schema(source).destination_schema(destination).create();
    task.source.execute(
        "INSERT INTO m SELECT i, date '2023-12-01' + i * 20, 'v' || i FROM generate_series(1, 60) i",
    );
    task.sync();
    task.source.execute("UPDATE m SET v = 'w' WHERE id % 3 = 0; DELETE FROM m WHERE id % 7 = 0");
    task.source.execute("UPDATE m SET day = day + 365 WHERE id % 5 = 0");
    task.source.execute("UPDATE m SET id = id + 100 WHERE id % 11 = 0");
    task.sync();
    task
}

#[test]
fn rule_15_leaf_to_leaf() {
    let task = work("parts-leaf", PARTED, PARTED);
    let spread = "SELECT tableoid::regclass || ':' || count(*) FROM m GROUP BY tableoid ORDER BY 1";
    assert_eq!(task.source.list(spread), task.destination.list(spread));
}

#[test]
fn rule_15_partitioned_to_plain() {
    work("parts-to-plain", PARTED, PLAIN);
}

#[test]
fn rule_15_plain_to_partitioned() {
    work("parts-from-plain", PLAIN, PARTED);
}

#[test]
fn rule_15_to_other_partitions() {
    work("parts-other", PARTED, BY_HASH);
}

#[test]
fn rule_15_keyless_partitions_with_duplicates() {
    let parted = "CREATE TABLE k (a integer, b text) PARTITION BY LIST (a);
        CREATE TABLE k_1 PARTITION OF k FOR VALUES IN (1); CREATE TABLE k_2 PARTITION OF k FOR VALUES IN (2, 3);";
    let full = "ALTER TABLE k_1 REPLICA IDENTITY FULL; ALTER TABLE k_2 REPLICA IDENTITY FULL;";
    for (name, destination) in
        [("parts-keyless", parted), ("parts-keyless-plain", "CREATE TABLE k (a integer, b text)")]
    {
        let task =
            Task::build(name).schema(&format!("{parted}{full}")).destination_schema(destination).create();
        task.source.execute("INSERT INTO k SELECT 1 + i % 3, 'same' FROM generate_series(1, 60) i");
        task.source.execute(
            "DELETE FROM k WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM k WHERE a = 1 LIMIT 5)",
        );
        task.source.execute("UPDATE k SET b = 'other' WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM k WHERE a = 2 LIMIT 5)");
        task.source.execute(
            "UPDATE k SET a = 1 WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM k WHERE a = 3 LIMIT 5)",
        );
        task.sync();
    }
}

#[test]
fn rule_15_truncate_of_the_root_and_of_a_leaf() {
    let task = work("parts-truncate", PARTED, PARTED);
    task.source.execute("TRUNCATE m_2025");
    task.sync();
    task.source.execute("TRUNCATE m");
    task.source.execute("INSERT INTO m VALUES (1, '2024-05-05', 'after')");
    task.sync();
}

#[test]
fn rule_15_truncate_of_a_leaf_that_the_destination_lacks_stops() {
    let task = work("parts-truncate-leaf", PARTED, PLAIN);
    let before = task.source_lsn();
    let rows = task.destination.value("SELECT count(*) FROM m");
    task.source.execute("TRUNCATE m_2025");
    task.run_fails(&["truncate", "m_2025"]);
    assert_eq!(task.destination.value("SELECT count(*) FROM m"), rows, "no row may go");
    task.assert_slot_at_most(before);
}

#[test]
fn a_partition_that_is_attached_later() {
    let late = "CREATE TABLE m_2026 PARTITION OF m FOR VALUES FROM ('2030-01-01') TO ('2031-01-01');";
    let task = work("parts-attach", PARTED, PARTED);
    task.destination.execute(late);
    task.source.execute(late);
    task.source.execute(
        "INSERT INTO m VALUES (5000, '2030-06-06', 'late'); UPDATE m SET v = 'later' WHERE id = 5000",
    );
    task.sync();
}

#[test]
fn inheritance_is_not_partitioning() {
    let task = Task::new(
        "parts-inherit",
        "CREATE TABLE parent (id integer PRIMARY KEY, v text);
         CREATE TABLE child (extra text, PRIMARY KEY (id)) INHERITS (parent)",
    );
    task.source
        .execute("INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (1, 'c', 'x'), (2, 'c', 'y')");
    task.source.execute("UPDATE parent SET v = 'both' WHERE id = 1; DELETE FROM ONLY parent WHERE id = 1; INSERT INTO parent VALUES (2, 'p')");
    task.source.execute("TRUNCATE ONLY parent");
    task.sync();
}
