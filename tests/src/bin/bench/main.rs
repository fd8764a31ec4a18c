//! `make bench`: how fast a backlog is drained, next to native logical replication on the same clusters in the same run.
//! Both follow slots made before the backlog, into databases of their own, and take turns in going first; a marker row
//! ends each round. Prints medians and their ratio as a Markdown table (docs/benchmarks.md). `full` measures a copy, `ddl`
//! what capture costs.

mod ddl;
mod full;

use std::process::Command;
use std::time::{Duration, Instant};
use walferry_tests::{Session, Task, program};

const ROUNDS: usize = 3;
const ROWS: usize = 300_000;
const TRANSACTIONS: usize = 40_000;
const SCHEMA: &str = "CREATE TABLE t (id bigint PRIMARY KEY, a integer, b bigint, c numeric(12,2), d text, e varchar(40), \
    f timestamptz, g boolean, h uuid); CREATE INDEX t_a ON t (a); CREATE TABLE marker (round integer PRIMARY KEY)";
const ROW: &str = "i, (i::bigint * 7919) % 1000003, i * 3, i / 7.0, 'text of row ' || i, md5(i::text), now(), \
    i % 2 = 0, md5(i::text)::uuid";

/// A backlog.
struct Workload {
    name: &'static str,
    /// Whether the table is full at both ends before it begins.
    filled: bool,
    changes: usize,
    make: fn(&Session),
}

const WORKLOADS: [Workload; 5] = [
    Workload { name: "insert", filled: false, changes: ROWS, make: |source| in_hundreds(source, INSERT) },
    Workload { name: "update", filled: true, changes: ROWS, make: |source| in_hundreds(source, UPDATE) },
    Workload { name: "delete", filled: true, changes: ROWS, make: |source| in_hundreds(source, DELETE) },
    Workload { name: "one big transaction", filled: false, changes: ROWS, make: fill },
    Workload { name: "pgbench tpcb", filled: false, changes: TRANSACTIONS * 4, make: tpcb },
];
const INSERT: &str = "INSERT INTO t SELECT {row} FROM generate_series({from}, {to}) i";
const UPDATE: &str = "UPDATE t SET b = b + 1, d = d || '!' WHERE id BETWEEN {from} AND {to}";
const DELETE: &str = "DELETE FROM t WHERE id BETWEEN {from} AND {to}";

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let chosen: Vec<&Workload> =
        WORKLOADS.iter().filter(|workload| workload.name.contains(&wanted)).collect();
    if !chosen.is_empty() {
        println!("| | walferry, changes/s | native, changes/s | ratio |\n|---|---|---|---|");
    }
    for workload in chosen {
        let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|round| self::round(workload, round)).collect();
        let ours = median(rounds.iter().map(|round| round.0));
        let native = median(rounds.iter().map(|round| round.1));
        println!("| {} | {ours:.0} | {native:.0} | {:.2} |", workload.name, ours / native);
    }
    if "full".contains(&wanted) {
        full::run();
    }
    if "ddl".contains(&wanted) {
        ddl::run();
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One backlog, drained by both; changes per second.
fn round(workload: &Workload, round: usize) -> (f64, f64) {
    let name = workload.name.replace(' ', "-");
    let task = Task::build(&format!("bench-{name}-{round}")).schema(SCHEMA).without_slot().create();
    let native = Native::new(&task, &format!("native_{round}"));
    for session in [&task.source, &task.destination, &native.destination] {
        prepare(session, workload);
    }
    task.create_slot();
    native.subscribe(&task.source);
    (workload.make)(&task.source);
    task.source.execute("INSERT INTO marker VALUES (1); CHECKPOINT");
    task.destination.execute("CHECKPOINT");
    let (ours, theirs) = if round.is_multiple_of(2) {
        let ours = drain(&task);
        (ours, native.drain())
    } else {
        let theirs = native.drain();
        (drain(&task), theirs)
    };
    task.assert_equal();
    native.end();
    task.walferry(&["drop", "--yes"]);
    (workload.changes as f64 / ours.as_secs_f64(), workload.changes as f64 / theirs.as_secs_f64())
}

fn prepare(session: &Session, workload: &Workload) {
    if workload.name == "pgbench tpcb" {
        pgbench(session, &["-i", "-q", "-s", "10"]);
    }
    if workload.filled {
        fill(session);
    }
    session.execute("ANALYZE");
}

/// Transactions of a hundred rows each.
fn in_hundreds(source: &Session, statement: &str) {
    let statement = statement.replace("{row}", ROW);
    let statement = statement.replace("{from}", "n * 100 + 1").replace("{to}", "n * 100 + 100");
    let last = ROWS / 100 - 1;
    source.execute(&format!("DO $$ BEGIN FOR n IN 0..{last} LOOP {statement}; COMMIT; END LOOP; END $$"));
}

fn fill(session: &Session) {
    session.execute(&format!("INSERT INTO t SELECT {ROW} FROM generate_series(1, {ROWS}) i"));
}

fn tpcb(source: &Session) {
    pgbench(source, &["-n", "-c", "4", "-t", &(TRANSACTIONS / 4).to_string()]);
}

fn pgbench(session: &Session, arguments: &[&str]) {
    let done = Command::new(program("pgbench")).args(arguments).arg(session.url()).output();
    assert!(done.is_ok_and(|output| output.status.success()), "pgbench {arguments:?} failed");
}

fn drain(task: &Task) -> Duration {
    let start = Instant::now();
    let daemon = task.spawn(&["run"]);
    until_marked(&task.destination);
    let taken = start.elapsed();
    daemon.terminate();
    taken
}

fn until_marked(destination: &Session) {
    while destination.value("SELECT count(*) FROM marker") == "0" {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A subscription to the same source, into a database of its own.
struct Native {
    destination: Session,
    name: String,
}

impl Native {
    fn new(task: &Task, name: &str) -> Self {
        task.destination.execute(&format!("DROP DATABASE IF EXISTS {name}"));
        task.destination.execute(&format!("CREATE DATABASE {name}"));
        let destination = Session::connect(&task.destination.url().replace(&task.database, name));
        destination.execute(SCHEMA);
        Self { destination, name: name.to_owned() }
    }

    fn subscribe(&self, source: &Session) {
        let (name, url) = (&self.name, source.url());
        source.execute("CREATE PUBLICATION p FOR ALL TABLES");
        source.execute(&format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')"));
        self.destination.execute(&format!(
            "CREATE SUBSCRIPTION {name} CONNECTION '{url}' PUBLICATION p WITH (enabled = false, create_slot = false, \
             copy_data = false, slot_name = '{name}', binary = true, streaming = on, synchronous_commit = off)"
        ));
    }

    fn drain(&self) -> Duration {
        let start = Instant::now();
        self.destination.execute(&format!("ALTER SUBSCRIPTION {} ENABLE", self.name));
        until_marked(&self.destination);
        start.elapsed()
    }

    fn end(&self) {
        self.destination.execute(&format!("ALTER SUBSCRIPTION {} DISABLE", self.name));
        let running = format!("SELECT count(pid) FROM pg_stat_subscription WHERE subname = '{}'", self.name);
        while self.destination.value(&running) != "0" {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.destination.execute(&format!("DROP SUBSCRIPTION {}", self.name));
    }
}
