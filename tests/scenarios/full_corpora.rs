//! Databases that others made, or that are large: PostgreSQL's own regression database, two thousand tables, one big
//! table among small ones.

use walferry_tests::{Cluster, Task, corpora, whole};

#[test]
fn the_regression_database_of_postgresql_arrives_whole() {
    let source = corpora::regression();
    let destination = Cluster::start("");
    let source_session = source.session("regression");
    corpora::prepare_regression(&source_session, &destination);
    let mut task =
        Task::build("corpora-regress").source(&source).destination(&destination).full_only().create();
    task.set("source.url", source.url("regression"));
    task.set("objects.users", true);
    let ended = task.run_full();
    let log = ended.stderr;
    let mut unsaid: Vec<String> =
        whole::definition_differences(&source_session, &task.destination, &corpora::is_left_out);
    // What is not carried over has been named.
    unsaid.retain(|entry| !corpora::is_named(entry, &log));
    unsaid.extend(whole::data_differences(&source_session, &task.destination));
    assert!(unsaid.is_empty(), "{} differences:\n{}", unsaid.len(), unsaid.join("\n"));
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
    task.source.execute("UPDATE s7.t_107 SET v = 'changed'; INSERT INTO s3.t_1003 (v) VALUES ('new')");
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
