//! Whatever crashes while a copy runs: the next run goes on, and finished tables are not copied again.

use std::time::Duration;

use walferry_tests::{Cluster, Daemon, Random, Stop, Task, TaskBuilder, Traffic, full, traffic, wait_until};

use crate::load::{self, Load};

/// Small tables and one of eight megabytes; an index that takes its time.
const SCHEMA: &str = "
CREATE TABLE a1 (id integer PRIMARY KEY, v text); CREATE TABLE a2 (id integer PRIMARY KEY, v text);
CREATE TABLE big (id integer PRIMARY KEY, v text);
CREATE FUNCTION slowly(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_sleep(0.002); RETURN n; END';
CREATE INDEX a1_slow ON a1 (slowly(id)) WHERE id <= 2000; CREATE INDEX big_v ON big (md5(v));
ALTER TABLE big ADD FOREIGN KEY (id) REFERENCES a2 NOT VALID;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM a1;
INSERT INTO a1 SELECT i, 'a' || i FROM generate_series(1, 2000) i; INSERT INTO a2 SELECT i, 'b' FROM generate_series(1, 8000) i;
INSERT INTO big SELECT i, repeat('v', 1000) || i FROM generate_series(1, 8000) i; REFRESH MATERIALIZED VIEW counted;";

fn build(name: &str, snapshot: bool) -> TaskBuilder {
    Task::build(name).schema(SCHEMA).full().set("copy.snapshot", snapshot).set("copy.jobs", 2)
}

/// The next run, at full speed, to the end.
fn go_on(task: &mut Task) -> Daemon {
    task.set("copy.rate", "1GB/s");
    let mut daemon = task.start();
    task.wait_following(&mut daemon);
    task.wait_level();
    task.assert_whole();
    daemon
}

fn wait_for_query(task: &Task, like: &str) {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '{like}' AND state = 'active' AND pid <> pg_backend_pid() AND datname = current_database()"
    );
    wait_until(like, Duration::from_secs(60), || task.destination.value(&sql) != "0");
}

#[test]
fn killed_while_definitions_are_read() {
    // A lock like this has a transaction id, which the slots of other tests would wait for.
    let source = Cluster::start("");
    let mut task = build("crash-definitions", true).source(&source).create();
    let lock = task.source.another();
    lock.execute("BEGIN; LOCK TABLE big IN ACCESS EXCLUSIVE MODE");
    let daemon = task.start();
    std::thread::sleep(Duration::from_secs(2));
    daemon.kill9();
    lock.execute("COMMIT");
    go_on(&mut task).terminate().expect_status(0);
}

#[test]
fn rule_23_killed_while_rows_are_copied() {
    for snapshot in [true, false] {
        let mut task = build("crash-rows", snapshot).set("copy.rate", "700kB/s").create();
        let mut daemon = task.start();
        task.wait_copy("small tables are done, the big one is not", &mut daemon, |status| {
            full::state(status, "public.big") == "copying" && full::state(status, "public.a1") == "copied"
        });
        // What a finished table is now must survive, unless the snapshot's loss forbids it; that is then said.
        let before = task.written_by("a1");
        daemon.kill9();
        task.source.execute("UPDATE a1 SET v = 'changed' WHERE id = 1; DELETE FROM big WHERE id > 7990");
        let daemon = go_on(&mut task);
        let log = daemon.log();
        let filenode = |text: &str| text.rsplit(',').next().map(str::to_owned);
        if filenode(&before) != filenode(&task.written_by("a1")) {
            assert!(log.contains("a1"), "copied again without a word:\n{log}");
        }
        daemon.terminate().expect_status(0);
    }
}

#[test]
fn killed_while_indexes_are_built() {
    let mut task = build("crash-indexes", true).create();
    let daemon = task.start();
    wait_for_query(&task, "%CREATE INDEX a1_slow%");
    wait_until("all rows are there", Duration::from_secs(60), || {
        full::state(&task.status(), "public.big") == "copied"
    });
    let before = (task.written_by("a2"), task.written_by("big"));
    daemon.kill9();
    let daemon = go_on(&mut task);
    assert_eq!((task.written_by("a2"), task.written_by("big")), before, "rows were copied again");
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_23_killed_ten_times_under_traffic() {
    for snapshot in [true, false] {
        let mut task = Task::build("crash-often")
            .full()
            .set("copy.snapshot", snapshot)
            .set("copy.rate", "3MB/s")
            .create();
        task.source.execute(traffic::SCHEMA);
        let load = Traffic::start(&task.source, 400);
        let mut random = Random::new(if snapshot { 1 } else { 2 });
        for _ in 0..10 {
            let daemon = task.start();
            std::thread::sleep(Duration::from_millis(300 + random.below(2500)));
            daemon.kill9();
        }
        task.set("copy.rate", "1GB/s");
        let mut daemon = task.start();
        task.wait_following(&mut daemon);
        load.stop();
        task.wait_level();
        task.assert_equal();
        daemon.terminate().expect_status(0);
    }
}

#[test]
fn sigterm_stops_a_copy_and_the_next_run_goes_on() {
    let mut task = build("crash-term", false).set("copy.rate", "700kB/s").create();
    let mut daemon = task.start();
    task.wait_copy("copying", &mut daemon, |status| full::state(status, "public.big") == "copying");
    daemon.terminate().expect_status(0);
    let early = task.spawn(&["run", "--until", "now"]);
    std::thread::sleep(Duration::from_secs(1));
    early.terminate().expect_status(143);
    go_on(&mut task).terminate().expect_status(0);
}

#[test]
fn a_source_that_restarts_during_the_copy_is_waited_for() {
    for (how, snapshot) in [(Stop::Fast, true), (Stop::Crash, false)] {
        let mut source = Cluster::start("");
        let mut task = build("crash-source", snapshot).source(&source).set("copy.rate", "1MB/s").create();
        task.source.execute(load::SCHEMA);
        task.source.execute(load::ROWS);
        let load = Load::start(&task.source, 2);
        let mut daemon = task.start();
        task.wait_copy("copying", &mut daemon, |status| full::state(status, "public.big") == "copying");
        source.restart(how);
        task.set("copy.rate", "1GB/s");
        task.reload(&daemon);
        finish(&mut task, load, daemon, Some(&source));
    }
}

#[test]
fn a_destination_that_restarts_during_the_copy_is_waited_for() {
    for (how, snapshot) in [(Stop::Crash, true), (Stop::Fast, false)] {
        let mut destination = Cluster::start("");
        let mut task =
            build("crash-dest", snapshot).destination(&destination).set("copy.rate", "1MB/s").create();
        task.source.execute(load::SCHEMA);
        task.source.execute(load::ROWS);
        let load = Load::start(&task.source, 2);
        let mut daemon = task.start();
        task.wait_copy("copying", &mut daemon, |status| full::state(status, "public.big") == "copying");
        destination.restart(how);
        task.set("copy.rate", "1GB/s");
        task.reload(&daemon);
        finish(&mut task, load, daemon, None);
    }
}

/// Sessions of a server that was restarted are gone: the sides are looked at over new ones.
fn finish(task: &mut Task, load: Load, mut daemon: Daemon, restarted: Option<&Cluster>) {
    let phase = || {
        if task.walferry(&["--output", "json", "status"]).status == 0 {
            task.status()["phase"].clone()
        } else {
            "".into()
        }
    };
    wait_until("following", Duration::from_secs(120), || {
        assert!(daemon.runs(), "the daemon outlives a server");
        phase() == "incremental"
    });
    assert!(load.stop() > 10, "the load did something");
    task.reconnect();
    if let Some(source) = restarted {
        drop(source.session("postgres"));
    }
    task.wait_level();
    task.assert_equal();
    daemon.terminate().expect_status(0);
}

#[test]
fn the_slot_lost_during_the_copy_is_said() {
    let mut task = build("crash-slot", true).set("copy.rate", "700kB/s").create();
    let mut daemon = task.start();
    task.wait_copy("copying", &mut daemon, |status| full::state(status, "public.big") == "copying");
    daemon.kill9();
    let gone = format!("SELECT pg_drop_replication_slot('{}')", task.slot);
    wait_until("the slot is free", Duration::from_secs(30), || task.source.try_execute(&gone).is_ok());
    task.set("copy.rate", "1GB/s");
    task.run_fails(&[&task.slot]);
}
