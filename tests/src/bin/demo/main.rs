//! The demonstration: a shop and pgbench write to one throwaway cluster for twenty seconds, walferry keeps
//! another level with it before your eyes, and both are compared row by row. Runs under `lab run --`.
//! Its exit status is 0 only if nothing differs.

mod screen;
mod shop;
mod watch;

use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use screen::{Screen, thousands};
use shop::Traffic;
use walferry_tests::cluster::program;
use walferry_tests::{Daemon, Task, compare};
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
    screen.title("The daemon starts, pgbench and the shop write to the source");
    let daemon = task.start();
    let (watch, committed) = twenty_seconds(&task, &mut screen);
    screen.title("Both sides are compared row by row");
    let found = compare::differences(&task.source, &task.destination, &[]);
    let stopped = stop(&task, daemon, &screen);
    report(&task, &found, &screen);
    if found.is_empty() && stopped {
        screen.paragraph(&closing(&task, &watch, committed));
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Databases with the shop and pgbench's tables on both sides; the extension and a slot at the source.
fn set_up(screen: &Screen) -> Task {
    let task = Task::build("demo").without_extension().create();
    let version = task.source.value("SHOW server_version");
    screen.title(&format!("walferry: two throwaway clusters of PostgreSQL {version}"));
    task.source.execute(shop::SCHEMA);
    run(Command::new(program("pgbench")).args(["-i", "-q", "-s", "5", task.source.url()]));
    screen.step("source: a shop with every interesting column type, and pgbench's 500,000 accounts");
    copy(&task);
    screen
        .step("destination: the same definitions and rows, by pg_dump and psql; nothing is installed there");
    task.source.execute("CREATE EXTENSION walferry");
    task.create_slot();
    screen.step(&format!("source: CREATE EXTENSION walferry, and the slot {}", screen.strong(&task.slot)));
    task
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("{:?} does not start: {e}", command.get_program()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?} failed: {said}", command.get_program());
}

/// The source's definitions and rows, while nobody writes.
fn copy(task: &Task) {
    let mut dump = Command::new(program("pg_dump"))
        .args(["--no-owner", task.source.url()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("pg_dump does not start: {e}"));
    let pipe = dump.stdout.take().unwrap_or_else(|| panic!("pg_dump has no output"));
    let load = Command::new(program("psql"))
        .args(["-q", "-X", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", task.destination.url()])
        .stdin(pipe)
        .output()
        .unwrap_or_else(|e| panic!("psql does not start: {e}"));
    assert!(load.status.success(), "psql failed: {}", String::from_utf8_lossy(&load.stderr));
    let dumped = dump.wait().unwrap_or_else(|e| panic!("pg_dump: {e}"));
    assert!(dumped.success(), "pg_dump failed");
}

fn pgbench(url: &str) -> Child {
    Command::new(program("pgbench"))
        .args(["-n", "-c", CLIENTS, "-j", "2", "-T", &SECONDS.to_string(), url])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("pgbench does not start: {e}"))
}

/// The load with the status beside it, and the rest until the destination is level. Returns the number of
/// transactions that the source committed.
fn twenty_seconds(task: &Task, screen: &mut Screen) -> (Watch, u64) {
    let mut watch = Watch::new(task);
    let traffic = Traffic::start(task.source.url());
    let mut bench = pgbench(task.source.url());
    while matches!(bench.try_wait(), Ok(None)) {
        watch.look(task, screen);
        std::thread::sleep(Duration::from_millis(400));
    }
    let output = bench.wait_with_output().unwrap_or_else(|e| panic!("pgbench: {e}"));
    assert!(output.status.success(), "pgbench failed");
    let committed = traffic.stop() + processed(&String::from_utf8_lossy(&output.stdout));
    watch.until_level(task, screen);
    (watch, committed)
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
        screen.good(&format!("{tables} tables, {} rows: no difference", thousands(rows)));
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
         Its walferry extension decoded them from the write-ahead log, and the walferry daemon wrote their {} changes \
         to the destination, at up to {} changes a second, while the lag was {} at most; it ended at 0 bytes. \
         Then all {tables} tables with their {} rows were compared by value and were the same on both sides. The daemon \
         was stopped, its slot and state were removed, and both clusters are being stopped and deleted: nothing stays behind.",
        thousands(committed),
        thousands(watch.changes()),
        thousands(watch.best_rate()),
        screen::bytes(watch.most_lag()),
        thousands(rows),
    )
}
