//! The laboratory itself.

use walferry_tests::{Cluster, Stop, Task, program, whole};

#[test]
fn a_cluster_starts_restarts_and_goes() {
    let mut cluster = Cluster::start("");
    let folder = cluster.folder().to_owned();
    cluster.session("postgres").execute("CREATE TABLE t AS SELECT 1 AS a");
    cluster.restart(Stop::Crash);
    assert_eq!(cluster.session("postgres").value("SELECT a FROM t"), "1");
    drop(cluster);
    assert!(!folder.exists());
}

/// What compares both sides whole finds nothing after PostgreSQL's own tools have copied, and finds what differs.
#[test]
fn a_restored_dump_is_the_same_and_a_changed_one_is_not() {
    let task = Task::build("lab-whole").without_slot().create();
    crate::full_definitions::roles(&task);
    task.source.execute(crate::full_definitions::EVERYTHING);
    let dump = task.folder().join("dump.sql");
    let (dump, url) = (dump.to_str().expect("a path"), task.destination.url());
    for (name, arguments) in [
        ("pg_dump", vec!["-b", "-f", dump, task.source.url()]),
        ("psql", vec!["-X", "-q", "-o", "/dev/null", "-f", dump, url]),
    ] {
        let done = std::process::Command::new(program(name)).args(arguments).status();
        assert!(done.is_ok_and(|status| status.success()), "{name} failed");
    }
    task.assert_whole();
    task.destination.execute(
        "DROP INDEX a.person_lower; SELECT nextval('a.ids'); UPDATE a.parent SET v = 'x' WHERE id = 5; SELECT lo_put(70001, 0, 'new');
         REFRESH MATERIALIZED VIEW a.unfilled; REVOKE SELECT ON a.parent FROM PUBLIC",
    );
    let found = whole::differences(&task.source, &task.destination).join("\n");
    for word in ["person_lower", "a.ids", "a.parent", "70001", "unfilled", "ACL"] {
        assert!(found.contains(word) || found.contains(&word.replace("a.", "\"a\".\"")), "{word}: {found}");
    }
}
