//! A source that is written to while it is copied, in both snapshot modes; and how much memory a copy takes.

use std::time::Duration;

use walferry_tests::{Cluster, Daemon, Task, Traffic, traffic};

#[test]
fn rule_23_a_copy_under_traffic_ends_equal() {
    for snapshot in [true, false] {
        let task = Task::build("traffic-copy")
            .full()
            .set("copy.snapshot", snapshot)
            .set("copy.rate", "6MB/s")
            .create();
        task.source.execute(traffic::SCHEMA);
        let traffic = Traffic::start(&task.source, 1500);
        std::thread::sleep(Duration::from_secs(1));
        let before = traffic.committed();
        let mut daemon = task.start();
        task.wait_following(&mut daemon);
        let during = traffic.committed() - before;
        assert!(during > 500, "the traffic did only {during} transactions");
        std::thread::sleep(Duration::from_secs(2));
        traffic.stop();
        task.wait_level();
        task.assert_equal();
        assert_eq!(task.conflicts().len(), 0);
        daemon.terminate().expect_status(0);
    }
}

#[test]
fn rule_23_small_parts_under_traffic_end_equal() {
    let task = Task::build("traffic-parts").full().set("copy.snapshot", false).set("copy.jobs", 3).create();
    task.source.execute(traffic::SCHEMA);
    // Enough for several parts, whose keys the traffic changes.
    task.source.execute(
        "INSERT INTO traffic.item SELECT 100000 + i, i % 100, repeat('b', 500) FROM generate_series(1, 150000) i;
         INSERT INTO traffic.moved SELECT 100000 + i, i % 4, repeat('m', 500) FROM generate_series(1, 100000) i; ANALYZE",
    );
    let traffic = Traffic::start(&task.source, 1500);
    let mut daemon = task.start();
    task.wait_following(&mut daemon);
    traffic.stop();
    task.wait_level();
    task.assert_equal();
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_23_transactions_that_are_open_across_the_copy_arrive() {
    // A slot waits for transactions that are older than it; later ones may span the whole copy.
    let source = Cluster::start("");
    let task = Task::build("traffic-open")
        .source(&source)
        .full()
        .set("copy.snapshot", false)
        .set("copy.rate", "500kB/s")
        .create();
    task.source.execute(traffic::SCHEMA);
    let mut daemon = task.start();
    task.wait_copy("the slot is there", &mut daemon, |status| status["phase"] == "full");
    let slot = format!(
        "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{}' AND confirmed_flush_lsn IS NOT NULL",
        task.slot
    );
    walferry_tests::wait_until("the slot is made", Duration::from_secs(60), || {
        task.source.value(&slot) == "1"
    });
    let open: Vec<_> = (0..3).map(|_| task.source.another()).collect();
    for (i, session) in open.iter().enumerate() {
        session.execute(&format!("BEGIN; UPDATE traffic.item SET body = 'open' WHERE id % 3 = {i} AND id < 3000; SAVEPOINT s; \
            INSERT INTO traffic.item SELECT 500000 + {i} * 1000 + j, 0, 'open' FROM generate_series(1, 100) j; \
            INSERT INTO traffic.note (who, what) SELECT {i}, 'open' FROM generate_series(1, 100)"));
        std::thread::sleep(Duration::from_millis(700));
    }
    open[0].execute("COMMIT");
    std::thread::sleep(Duration::from_secs(2));
    open[1].execute("ROLLBACK TO s; COMMIT");
    task.wait_copy("all rows are read", &mut daemon, |status| {
        walferry_tests::full::state(status, "traffic.item") == "copied" || status["phase"] == "incremental"
    });
    open[2].execute("COMMIT");
    task.wait_following(&mut daemon);
    task.wait_level();
    task.assert_equal();
    daemon.terminate().expect_status(0);
}

/// About 150 MB.
const EVENTS: u32 = 500_000;

#[test]
fn a_copy_stays_below_150_mib() {
    for snapshot in [true, false] {
        let task =
            Task::build("traffic-memory").full().set("copy.snapshot", snapshot).set("copy.jobs", 4).create();
        task.source.execute(&walferry_tests::corpora::large(EVENTS));
        let mut daemon = task.start();
        task.wait_following(&mut daemon);
        let peak = daemon.peak_memory();
        assert!(peak < 150 << 20, "{peak} bytes at the peak");
        task.wait_level();
        task.assert_equal();
        daemon.terminate().expect_status(0);
    }
}

/// A table that is cut by its key without a held snapshot; its rows are large, so few of them will do.
fn in_parts(name: &str) -> Task {
    Task::build(name)
        .schema(
            "CREATE TABLE big (id bigint PRIMARY KEY, v integer, d bytea); ALTER TABLE big ALTER d SET STORAGE EXTERNAL;
             INSERT INTO big SELECT i, 0, decode(repeat(md5(i::text), 32768), 'hex') FROM generate_series(1, 210) i;
             ANALYZE big;",
        )
        .full()
        .set("copy.snapshot", false)
        .set("copy.jobs", 1)
        .set("copy.rate", "15MB/s")
        .create()
}

fn wait_first_part(task: &Task, daemon: &mut Daemon) {
    let parts =
        "SELECT count(*) FILTER (WHERE snapshot IS NOT NULL) || ' of ' || count(*) FROM walferry_state.parts";
    task.wait_copy("the first part is there", daemon, |_| {
        let installed =
            task.destination.value("SELECT to_regclass('walferry_state.parts') IS NOT NULL") == "t";
        installed && task.destination.value(parts).starts_with("1 of 3")
    });
}

#[test]
fn rule_23_rows_change_and_move_between_the_parts_of_a_table() {
    let task = in_parts("traffic-moving");
    let mut daemon = task.start();
    wait_first_part(&task, &mut daemon);
    task.source.execute(
        "UPDATE big SET v = 1 WHERE id IN (3, 205); DELETE FROM big WHERE id IN (5, 200);
         UPDATE big SET id = id + 1000, d = 'moved' WHERE id IN (7, 8); UPDATE big SET id = -id, d = 'moved' WHERE id IN (198, 199);
         INSERT INTO big VALUES (-1000, 2, 'new'), (2000, 2, 'new')",
    );
    task.wait_following(&mut daemon);
    task.wait_level();
    task.assert_whole();
    assert_eq!(task.conflicts().len(), 0);
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_23_a_row_that_moves_without_its_toasted_value_has_its_table_copied_again() {
    let task = in_parts("traffic-toasted");
    let mut daemon = task.start();
    wait_first_part(&task, &mut daemon);
    // From a part that will be read later into the one that is there.
    task.source.execute("UPDATE big SET id = -id WHERE id IN (208, 209)");
    task.wait_following(&mut daemon);
    task.wait_level();
    task.assert_whole();
    assert!(
        daemon.log().contains("big is copied again") || daemon.log().contains("the table is copied again")
    );
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_23_a_table_that_is_emptied_between_its_parts() {
    let task = in_parts("traffic-emptied");
    let mut daemon = task.start();
    wait_first_part(&task, &mut daemon);
    task.source.execute("TRUNCATE big; INSERT INTO big VALUES (1, 1, 'after'), (1000, 1, 'after')");
    task.wait_following(&mut daemon);
    task.wait_level();
    task.assert_whole();
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_23_a_table_is_cut_by_its_replica_identity_or_not_at_all() {
    let task = Task::build("traffic-identity")
        .schema(
            "CREATE TABLE big (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, d bytea);
             ALTER TABLE big ALTER d SET STORAGE EXTERNAL; ALTER TABLE big REPLICA IDENTITY USING INDEX big_email_key;
             INSERT INTO big SELECT i, 'm' || i, decode(repeat(md5(i::text), 32768), 'hex') FROM generate_series(1, 160) i;",
        )
        .full()
        .set("copy.snapshot", false)
        .set("copy.rate", "20MB/s")
        .create();
    let mut daemon = task.start();
    task.wait_copy("rows come", &mut daemon, |status| {
        status["tables"]
            .as_array()
            .is_some_and(|tables| tables.iter().any(|table| table["rows"].as_i64() > Some(0)))
    });
    task.source.execute(
        "UPDATE big SET id = id + 1000, d = 'moved' WHERE id = 1; DELETE FROM big WHERE id IN (2, 159)",
    );
    task.wait_following(&mut daemon);
    task.wait_level();
    task.assert_whole();
    daemon.terminate().expect_status(0);
}
