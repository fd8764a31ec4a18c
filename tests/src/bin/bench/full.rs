//! The workload `full`: a database of some 400 MB is copied with two jobs by walferry, by `pg_dump` and `pg_restore` in
//! directory format (compressed as by default, and not at all), and by pgcopydb where it is installed. They take turns, each into a database of its own that is
//! empty, over the same two clusters; whoever comes first in one round comes last in the next.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use walferry_tests::{Session, Task, corpora, program};

use super::median;

const ROUNDS: usize = 5;
/// Events of the corpus: 400 MB with indexes left out.
const EVENTS: u32 = 1_450_000;
const JOBS: &str = "2";

/// Somebody who copies.
struct Contender {
    name: &'static str,
    copy: fn(&Task, &str),
}

const CONTENDERS: [Contender; 4] = [
    Contender { name: "walferry", copy: walferry },
    Contender { name: "pg_dump -Fd, pg_restore", copy: |task, url| dump_and_restore(task, url, &[]) },
    Contender {
        name: "pg_dump -Fd -Z0, pg_restore",
        copy: |task, url| dump_and_restore(task, url, &["-Z0"]),
    },
    Contender { name: "pgcopydb", copy: pgcopydb },
];

/// Measures all contenders and prints their medians as a Markdown table.
pub fn run() {
    let task = Task::build("bench-full").full_only().set("copy.jobs", 2).create();
    task.source.execute(&corpora::large(EVENTS));
    let size =
        task.source.value("SELECT pg_size_pretty(sum(pg_table_size(oid))) FROM pg_class WHERE relkind = 'r'");
    let contenders: Vec<&Contender> = CONTENDERS.iter().filter(|one| is_installed(one)).collect();
    let mut times: Vec<Vec<f64>> = contenders.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        for turn in 0..contenders.len() {
            let which = (round + turn) % contenders.len();
            times[which].push(measure(&task, contenders[which]).as_secs_f64());
        }
    }
    let medians: Vec<f64> = times.into_iter().map(|times| median(times.into_iter())).collect();
    println!("\n| full copy of {size}, {JOBS} jobs | seconds | times as long as walferry |\n|---|---|---|");
    for (contender, seconds) in contenders.iter().zip(&medians) {
        println!("| {} | {seconds:.2} | {:.2} |", contender.name, seconds / medians[0]);
    }
}

fn is_installed(contender: &Contender) -> bool {
    let there = contender.name != "pgcopydb"
        || Command::new("pgcopydb").arg("version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    if !there {
        eprintln!("bench: pgcopydb is not installed, and left out");
    }
    there
}

/// One copy into an empty database, which is compared by its number of rows and indexes.
fn measure(task: &Task, contender: &Contender) -> Duration {
    let admin = Session::connect(&task.destination.url().replace(&task.database, "postgres"));
    let name = format!("{}_copy", task.database);
    admin.execute(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"));
    admin.execute(&format!("CREATE DATABASE \"{name}\""));
    let url = task.destination.url().replace(&task.database, &name);
    for session in [&task.source, &admin] {
        session.execute("CHECKPOINT");
    }
    let start = Instant::now();
    (contender.copy)(task, &url);
    let taken = start.elapsed();
    let copy = Session::connect(&url);
    for question in [
        "SELECT count(*) || ' ' || sum(id) FROM large.event",
        "SELECT count(*) FROM large.line",
        "SELECT count(*) FROM pg_indexes WHERE schemaname = 'large'",
        "SELECT count(*) FROM pg_constraint WHERE connamespace = 'large'::regnamespace AND convalidated",
    ] {
        assert_eq!(copy.value(question), task.source.value(question), "{}: {question}", contender.name);
    }
    drop(copy);
    admin.execute(&format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
    eprintln!("bench: {} {:.2} s", contender.name, taken.as_secs_f64());
    taken
}

fn walferry(task: &Task, url: &str) {
    let config = std::fs::read_to_string(task.config()).unwrap_or_else(|e| panic!("no configuration: {e}"));
    let path = task.folder().join("bench.toml");
    let config = config.replace(task.destination.url(), url);
    std::fs::write(&path, config).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    let daemon = walferry_tests::Daemon::spawn(&path, &["run"], &task.folder().join("bench"));
    daemon.wait(Duration::from_secs(600)).expect_status(0);
}

fn dump_and_restore(task: &Task, url: &str, further: &[&str]) {
    let folder = task.folder().join("dump");
    drop(std::fs::remove_dir_all(&folder));
    let dump = ["-Fd", "-j", JOBS, "-f"];
    done(Command::new(program("pg_dump")).args(further).args(dump).arg(&folder).arg(task.source.url()));
    done(Command::new(program("pg_restore")).args(["-j", JOBS, "-d", url]).arg(&folder));
}

fn pgcopydb(task: &Task, url: &str) {
    let folder = task.folder().join("pgcopydb");
    drop(std::fs::remove_dir_all(&folder));
    done(
        Command::new("pgcopydb")
            .args(["clone", "--table-jobs", JOBS, "--index-jobs", JOBS, "--source", task.source.url()])
            .args(["--target", url, "--dir"])
            .arg(&folder),
    );
}

fn done(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("{:?} does not start: {e}", command.get_program()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?} failed: {said}", command.get_program());
}
