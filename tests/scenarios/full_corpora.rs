//! Databases that others made, or that are large: PostgreSQL's own regression database, two thousand tables, one big
//! table among small ones.

use walferry_tests::{Cluster, Task, corpora, whole};

#[test]
fn the_regression_database_of_postgresql_arrives_whole() {
    let (source, destination) = (corpora::regression(), Cluster::start(""));
    let theirs = source.session("regression");
    theirs.execute("CREATE EXTENSION walferry");
    let mut task =
        Task::build("corpora-regress").source(&source).destination(&destination).full_only().create();
    task.set("source.url", source.url("regression"));
    task.set("objects.users", true);
    let log = task.run_full().stderr;
    let mut found =
        whole::definition_differences(&theirs, &task.destination, &|entry| corpora::is_named(entry, &log));
    found.extend(whole::data_differences(&theirs, &task.destination));
    // Three tables whose inherited columns change places, and a view filled anew: PostgreSQL's own tools leave these, too.
    let restored = corpora::restored(&theirs, &destination);
    let known = whole::differences(&theirs, &restored);
    assert!(known.len() < 10, "PostgreSQL's own tools leave {} differences", known.len());
    found.retain(|finding| !known.contains(finding));
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

#[test]
fn two_thousand_tables_arrive() {
    let task = Task::build("corpora-many").full().set("copy.jobs", 4).create();
    corpora::many_tables(&task.source, 2000);
    let mut daemon = task.start();
    task.wait_following(&mut daemon);
    let (peak, log) = (daemon.peak_memory(), daemon.log());
    assert!(peak < 150 << 20, "{peak} bytes at the peak");
    assert!(log.lines().count() < 500, "{} lines of log", log.lines().count());
    task.source.execute(
        "UPDATE s7.t_107 SET v = 'changed'; DELETE FROM s9.t_1999; INSERT INTO s0.t_0 (v) VALUES ('new')",
    );
    task.wait_level();
    task.assert_equal();
    assert_eq!(task.status()["tables"].as_array().map(Vec::len), Some(2000));
    daemon.terminate().expect_status(0);
}

/// 150 MB, or as many events as `WALFERRY_LAB_EVENTS` says (5,000,000 make 1.5 GB).
fn events() -> u32 {
    let asked = std::env::var("WALFERRY_LAB_EVENTS").ok();
    asked.map_or(500_000, |events| events.parse().expect("WALFERRY_LAB_EVENTS is a number"))
}

#[test]
fn one_big_table_among_small_ones_arrives() {
    let task = Task::build("corpora-large").full_only().set("copy.jobs", 2).create();
    task.source.execute(&corpora::large(events()));
    task.run_full();
    task.assert_whole();
}
