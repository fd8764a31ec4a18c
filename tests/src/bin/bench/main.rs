//! How fast a backlog is drained: walferry next to native logical replication, on the same machine, the same
//! clusters, the same rows. Runs under `lab run --`. Words as arguments choose among the workloads.

mod native;
mod workload;

use std::time::{Duration, Instant};

use native::Subscription;
use walferry_tests::{Session, Task, wait_until};
use workload::{WORKLOADS, Workload};

/// How often each is measured; the median counts.
const ROUNDS: usize = 3;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    println!("changes per second while draining a backlog, median of {ROUNDS}\n");
    println!("{:<24} {:>9} {:>10} {:>10} {:>7}", "workload", "changes", "native", "walferry", "ratio");
    for workload in WORKLOADS {
        if chosen.is_empty() || chosen.iter().any(|word| workload.name.contains(word.as_str())) {
            line(workload);
        }
    }
}

fn line(workload: &Workload) {
    let native = median(|| native_time(workload));
    let walferry = median(|| walferry_time(workload));
    let rate = |time: Duration| workload.changes as f64 / time.as_secs_f64();
    println!(
        "{:<24} {:>9} {:>10.0} {:>10.0} {:>7.2}",
        workload.name,
        workload.changes,
        rate(native),
        rate(walferry),
        rate(walferry) / rate(native),
    );
}

fn median(measure: impl Fn() -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| measure()).collect();
    times.sort();
    times[ROUNDS / 2]
}

/// Databases with the workload's rows on both sides, and no slot yet.
fn databases(workload: &Workload) -> Task {
    let schema = format!("CREATE TABLE bench_done (id integer PRIMARY KEY); {}", workload.schema);
    let task = Task::build("bench").schema(&schema).without_slot().create();
    for side in [&task.source, &task.destination] {
        side.execute(workload.rows);
        side.execute("VACUUM ANALYZE");
        side.execute("CHECKPOINT");
    }
    task
}

/// The workload, and behind it the row whose arrival ends the measurement.
fn fill(task: &Task, workload: &Workload) {
    for statement in workload.work {
        task.source.execute(statement);
    }
    task.source.execute("INSERT INTO bench_done VALUES (1)");
}

/// From `start` until the last row is visible at the destination.
fn arrival(destination: &Session, start: Instant) -> Duration {
    wait_until("the backlog is drained", Duration::from_secs(600), || {
        (0..10).any(|_| {
            std::thread::sleep(Duration::from_millis(4));
            destination.value("SELECT count(*) FROM bench_done") == "1"
        })
    });
    start.elapsed()
}

fn walferry_time(workload: &Workload) -> Duration {
    let task = databases(workload);
    task.create_slot();
    fill(&task, workload);
    let start = Instant::now();
    let daemon = task.start();
    let time = arrival(&task.destination, start);
    daemon.terminate();
    task.assert_equal();
    time
}

fn native_time(workload: &Workload) -> Duration {
    let task = databases(workload);
    let subscription = Subscription::create(&task);
    fill(&task, workload);
    let start = Instant::now();
    subscription.enable();
    let time = arrival(&task.destination, start);
    subscription.drop();
    task.assert_equal();
    time
}
