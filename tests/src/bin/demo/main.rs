//! The demonstration: a shop and pgbench write to one throwaway cluster for twenty seconds; meanwhile walferry copies it
//! into an empty database of another and keeps that level, before your eyes. Then definitions and rows of both are
//! compared. Runs under `lab run --`. Its exit status is 0 only if nothing differs.

mod screen;
mod shop;
mod watch;

use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use screen::{Screen, thousands};
use shop::Traffic;
use walferry_tests::cluster::program;
use walferry_tests::{Daemon, Task, compare, whole};
use watch::Watch;

const SECONDS: u64 = 20;
const CLIENTS: &str = "4";

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("something went wrong").to_owned();
        Screen::new().bad(&format!("The demo cannot go on: {message}"));
    }));
    let mut screen = Screen::new();
    let task = set_up(&screen);
    screen.title("pgbench and the shop write to the source; the daemon starts, copies and follows");
    let (daemon, watch, committed) = twenty_seconds(&task, &mut screen);
    screen.title("Definitions and rows of both sides are compared");
    let mut found = compare::differences(&task.source, &task.destination, &[]);
    found.extend(whole::definition_differences(&task.source, &task.destination, &|_| false));
    let stopped = stop(&task, daemon, &screen);
    report(&task, &found, &screen);
    if found.is_empty() && stopped {
        screen.paragraph(&closing(&task, &watch, committed));
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The shop and pgbench's tables in a source database with the extension; an empty destination database.
fn set_up(screen: &Screen) -> Task {
    let task = Task::build("demo").without_extension().full().create();
    let version = task.source.value("SHOW server_version");
    screen.title(&format!("walferry: two throwaway clusters of PostgreSQL {version}"));
    task.source.execute(shop::SCHEMA);
    run(Command::new(program("pgbench")).args(["-i", "-q", "-s", "5", task.source.url()]));
    screen.step("source: a shop with every interesting column type, and pgbench's 500,000 accounts");
    task.source.execute("CREATE EXTENSION walferry; SELECT walferry.enable_ddl_capture()");
    screen.step("source: CREATE EXTENSION walferry, and DDL is captured");
    screen.step("destination: an empty database; nothing is installed there");
    task
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("{:?} does not start: {e}", command.get_program()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?} failed: {said}", command.get_program());
}

fn pgbench(url: &str) -> Child {
    Command::new(program("pgbench"))
        .args(["-n", "-c", CLIENTS, "-j", "2", "-T", &SECONDS.to_string(), url])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("pgbench does not start: {e}"))
}

/// Run under the load, once the destination is followed: a table is rewritten with values that only the source can choose,
/// and others come with their rows.
const DDL: [&str; 4] = [
    "ALTER TABLE pgbench_history ADD COLUMN noted timestamptz DEFAULT clock_timestamp()",
    "CREATE TABLE lottery AS SELECT aid, random() AS drawn FROM pgbench_accounts LIMIT 1000",
    "ALTER TABLE lottery ADD COLUMN ticket uuid PRIMARY KEY DEFAULT gen_random_uuid()",
    "CREATE INDEX CONCURRENTLY ON pgbench_accounts (abalance)",
];

/// The load and the daemon with the status beside them, and the rest until the destination is level. Returns the daemon,
/// what was seen, and the number of transactions that the source committed.
fn twenty_seconds(task: &Task, screen: &mut Screen) -> (Daemon, Watch, u64) {
    let traffic = Traffic::start(task.source.url());
    let mut bench = pgbench(task.source.url());
    std::thread::sleep(Duration::from_secs(1));
    let daemon = task.start();
    let mut watch = Watch::new();
    let mut altered = false;
    while matches!(bench.try_wait(), Ok(None)) {
        watch.look(task, screen);
        if !altered && task.status()["phase"] == "incremental" {
            altered = true;
            // Each by itself: together they would hold locks that pgbench takes in another order.
            DDL.iter().for_each(|statement| task.source.another().execute(statement));
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    let output = bench.wait_with_output().unwrap_or_else(|e| panic!("pgbench: {e}"));
    assert!(output.status.success(), "pgbench failed");
    let committed = traffic.stop() + processed(&String::from_utf8_lossy(&output.stdout));
    watch.until_level(task, screen);
    (daemon, watch, committed)
}

/// The count in pgbench's `number of transactions actually processed: N`.
fn processed(report: &str) -> u64 {
    let line = report.lines().find(|line| line.contains("actually processed"));
    let count = line.and_then(|line| line.rsplit(' ').next()?.split('/').next()?.parse().ok());
    count.unwrap_or_default()
}

/// SIGTERM, and the slot and the task's state are removed.
fn stop(task: &Task, daemon: Daemon, screen: &Screen) -> bool {
    let stopped = daemon.terminate();
    let dropped = task.walferry(&["drop", "--yes"]);
    let good = stopped.status == 0 && dropped.status == 0;
    if !good {
        screen.bad(&format!("The daemon ended with {}, drop with {}:", stopped.status, dropped.status));
        screen.bad(walferry_tests::daemon::tail(&format!("{}{}", stopped.stderr, dropped.stderr)).as_str());
    }
    good
}

fn report(task: &Task, found: &[String], screen: &Screen) {
    let (tables, rows) = compare::size(&task.source);
    if found.is_empty() {
        screen.good(&format!("all definitions, {tables} tables, {} rows: no difference", thousands(rows)));
        return;
    }
    for line in found {
        screen.bad(line);
    }
}

fn closing(task: &Task, watch: &Watch, committed: u64) -> String {
    let (tables, rows) = compare::size(&task.source);
    format!(
        "What happened: for {SECONDS} seconds pgbench and a small shop committed {} transactions on the source. \
         Meanwhile the walferry daemon made a replication slot, carried the definitions into an empty database, copied {} of \
         rows within {:.0} seconds, built the indexes, and went on with the {} changes that its extension had decoded from the \
         write-ahead log since, at up to {} changes a second; among them columns with random defaults, new tables and an index, \
         each at its place. The lag was {} at most and ended at 0 bytes. \
         Then all definitions and {tables} tables with their {} rows were compared and were the same on both sides. The daemon \
         was stopped, its slot and state were removed, and both clusters are being stopped and deleted: nothing stays behind.",
        thousands(committed),
        screen::bytes(watch.copied()),
        watch.seconds_of_copy(),
        thousands(watch.changes()),
        thousands(watch.best_rate()),
        screen::bytes(watch.most_lag()),
        thousands(rows),
    )
}
