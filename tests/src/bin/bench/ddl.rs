//! The workload `ddl`: what capture costs on the source. The same statements in sessions with capture switched off and
//! on, in turns: a session that runs no DDL, and one that makes, alters and drops a table. Commits do not wait for the
//! disk, whose moods are larger than what is measured.

use std::time::Instant;

use walferry_tests::{Session, Task};

use super::median;

const ROUNDS: usize = 6;
/// Statements of a session that runs no DDL, and how often a round runs each.
const PLAIN: (&[&str], usize) = (&["SELECT 1", "BEGIN", "COMMIT"], 10_000);
const DDL: (&[&str], usize) = (
    &[
        "CREATE TABLE b (id integer PRIMARY KEY, v text)",
        "ALTER TABLE b ADD COLUMN n integer DEFAULT 5",
        "CREATE INDEX b_v ON b (v)",
        "COMMENT ON TABLE b IS 'measured'",
        "DROP TABLE b",
    ],
    200,
);

/// Microseconds of every run of every statement.
type Times = Vec<Vec<f64>>;

/// Measures with and without capture, and prints the medians as a Markdown table.
pub fn run() {
    let task = Task::build("bench-ddl").without_slot().create();
    let statements = || PLAIN.0.iter().chain(DDL.0);
    let mut times: [Times; 2] = [0, 1].map(|_| statements().map(|_| Vec::new()).collect());
    for round in 0..ROUNDS * 2 {
        let on = round % 2;
        let switch = ["disable_ddl_capture", "enable_ddl_capture"][on];
        task.source.execute(&format!("SELECT walferry.{switch}()"));
        let (plain, ddl) = times[on].split_at_mut(PLAIN.0.len());
        measure(&task.source.another(), PLAIN, plain);
        measure(&task.source.another(), DDL, ddl);
    }
    let [off, on] = times.map(|times| times.into_iter().map(|each| median(each.into_iter())));
    println!("\n| statement | capture off, us | capture on, us | more, us |\n|---|---|---|---|");
    for ((statement, off), on) in statements().zip(off).zip(on) {
        println!("| {statement} | {off:.0} | {on:.0} | {:.0} |", on - off);
    }
}

fn measure(session: &Session, (statements, times): (&[&str], usize), into: &mut [Vec<f64>]) {
    session.execute("SET synchronous_commit = off");
    for _ in 0..times {
        for (statement, into) in statements.iter().zip(into.iter_mut()) {
            let start = Instant::now();
            session.execute(statement);
            into.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }
}
