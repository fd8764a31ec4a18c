//! The start that the README shows: a slot with an exported snapshot, a dump at it, and no change in between.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use walferry_tests::cluster::program;
use walferry_tests::session::identifier;
use walferry_tests::{Cluster, Task};

use crate::load::{self, Load};

/// A psql that speaks the replication protocol, kept open while its snapshot is used.
fn exported_snapshot(task: &Task, work: impl FnOnce(&str)) {
    let mut psql = Command::new(program("psql"))
        .args(["-X", "-A", "-t", "-q", &format!("{}?replication=database", task.source.url())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("psql");
    let mut input = psql.stdin.take().expect("stdin");
    let slot = identifier(&task.slot);
    writeln!(input, "CREATE_REPLICATION_SLOT {slot} LOGICAL walferry EXPORT_SNAPSHOT;").expect("write");
    let mut line = String::new();
    BufReader::new(psql.stdout.take().expect("stdout")).read_line(&mut line).expect("read");
    let snapshot = line.split('|').nth(2).unwrap_or_else(|| panic!("no snapshot in {line:?}"));
    work(snapshot);
    drop(input);
    psql.wait().expect("psql ends");
}

#[test]
fn rule_23_a_dump_at_the_slots_snapshot_under_load() {
    let source = Cluster::start("");
    let task = Task::build("start-dump")
        .source(&source)
        .schema(load::SCHEMA)
        .destination_schema("")
        .without_slot()
        .create();
    task.source.execute(load::ROWS);
    let load = Load::start(&task.source, 3);
    exported_snapshot(&task, |snapshot| {
        let script = format!(
            "'{}' --no-owner --exclude-schema=walferry --snapshot={snapshot} '{}' | grep -v 'EXTENSION.*walferry' | '{}' -q -X -v ON_ERROR_STOP=1 -o /dev/null '{}'",
            program("pg_dump").display(),
            task.source.url(),
            program("psql").display(),
            task.destination.url(),
        );
        let copied = Command::new("bash").args(["-euo", "pipefail", "-c", &script]).status().expect("bash");
        assert!(copied.success(), "the dump failed");
    });
    let daemon = task.start();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(load.stop() > 100);
    task.wait_level();
    task.assert_equal();
    daemon.terminate().expect_status(0);
}
