//! `make bench`: how fast a backlog is drained, next to native logical replication on the same clusters in the same run.
//! Both follow slots made before the backlog, into databases of their own; a marker row ends each round. Prints medians
//! and ratios as a Markdown table (docs/benchmarks.md).

use std::process::Command;
use std::time::{Duration, Instant};
use walferry_tests::{Session, Task, program};

const ROUNDS: usize = 3;
const SCHEMA: &str = "CREATE TABLE t (id bigint PRIMARY KEY, a integer, b bigint, c numeric(12,2), d text, e varchar(40), \
    f timestamptz, g boolean, h uuid); CREATE INDEX t_a ON t (a); CREATE TABLE marker (round integer PRIMARY KEY)";
const ROW: &str = "i, (i * 7919) % 1000003, i * 3, i / 7.0, 'text of row ' || i, md5(i::text), now(), i % 2 = 0, \
    md5(i::text)::uuid";

/// A backlog: its name, what comes before both slots, what is drained, and how many changes that is.
struct Load {
    name: &'static str,
    before: &'static str,
    make: fn(&Session),
    changes: f64,
}

const ROWS: usize = 400_000;
const LOADS: [Load; 5] = [
    Load { name: "insert", before: "", make: |source| in_hundreds(source, INSERT), changes: ROWS as f64 },
    Load { name: "update", before: FILL, make: |source| in_hundreds(source, UPDATE), changes: ROWS as f64 },
    Load { name: "delete", before: FILL, make: |source| in_hundreds(source, DELETE), changes: ROWS as f64 },
    Load { name: "one big transaction", before: "", make: |source| source.execute(FILL), changes: ROWS as f64 },
    Load { name: "pgbench tpcb", before: "", make: tpcb, changes: TPCB as f64 * 4.0 },
];
const TPCB: usize = 40_000;

const FILL: &str = "INSERT INTO t SELECT i, (i * 7919) % 1000003, i * 3, i / 7.0, 'text of row ' || i, md5(i::text), now(), \
    i % 2 = 0, md5(i::text)::uuid FROM generate_series(1, 400000) i";
const INSERT: &str = "INSERT INTO t SELECT {row} FROM generate_series({from}, {to}) i";
const UPDATE: &str = "UPDATE t SET b = b + 1, d = d || '!' WHERE id BETWEEN {from} AND {to}";
const DELETE: &str = "DELETE FROM t WHERE id BETWEEN {from} AND {to}";

/// Transactions of a hundred rows each.
fn in_hundreds(source: &Session, statement: &str) {
    let statement = statement.replace("{row}", ROW).replace("{from}", "n * 100 + 1").replace("{to}", "n * 100 + 100");
    source.execute(&format!(
        "DO $$ BEGIN FOR n IN 0..{} LOOP {statement}; COMMIT; END LOOP; END $$",
        ROWS / 100 - 1
    ));
}

fn tpcb(source: &Session) {
    let per_client = (TPCB / 4).to_string();
    let done = Command::new(program("pgbench")).args(["-n", "-c", "4", "-t", &per_client, source.url()]).output();
    assert!(done.is_ok_and(|output| output.status.success()), "pgbench failed");
}

fn main() {
    println!("| | walferry, changes/s | native, changes/s | ratio |\n|---|---|---|---|");
    let wanted = std::env::args().nth(1).unwrap_or_default();
    for load in LOADS.iter().filter(|load| load.name.contains(&wanted)) {
        let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|round| self::round(load, round)).collect();
        let ours = median(rounds.iter().map(|round| round.0));
        let native = median(rounds.iter().map(|round| round.1));
        let ratio = median(rounds.iter().map(|round| round.0 / round.1));
        println!("| {} | {ours:.0} | {native:.0} | {ratio:.2} |", load.name);
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One backlog, drained by both, the first one in turns.
fn round(load: &Load, round: usize) -> (f64, f64) {
    let task = Task::build(&format!("bench-{}-{round}", &load.name[..3])).schema(SCHEMA).without_slot().create();
    let native = Native::new(&task, load);
    prepare(&task.source, load);
    prepare(&task.destination, load);
    prepare(&native.destination, load);
    task.create_slot();
    native.create_slot(&task.source);
    (load.make)(&task.source);
    task.source.execute("INSERT INTO marker VALUES (1); CHECKPOINT");
    let (ours, theirs) = if round % 2 == 0 {
        let ours = drain(&task);
        (ours, native.drain())
    } else {
        let theirs = native.drain();
        (drain(&task), theirs)
    };
    native.end();
    (load.changes / ours.as_secs_f64(), load.changes / theirs.as_secs_f64())
}

fn prepare(session: &Session, load: &Load) {
    if load.name == "pgbench tpcb" {
        let done = Command::new(program("pgbench")).args(["-i", "-q", "-s", "10", session.url()]).output();
        assert!(done.is_ok_and(|output| output.status.success()), "pgbench -i failed");
    }
    session.execute(load.before);
    session.execute("VACUUM ANALYZE");
    session.execute("CHECKPOINT");
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
    fn new(task: &Task, load: &Load) -> Self {
        let name = format!("native_{}", &load.name[..3]);
        task.destination.execute(&format!("DROP DATABASE IF EXISTS {name}"));
        task.destination.execute(&format!("CREATE DATABASE {name}"));
        let destination = Session::connect(&task.destination.url().replace(&task.database, &name));
        destination.execute(SCHEMA);
        Self { destination, name }
    }

    fn create_slot(&self, source: &Session) {
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
