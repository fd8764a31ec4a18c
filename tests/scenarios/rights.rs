//! Least privilege: roles without superuser, with the GRANTs that docs/operations.md lists.

use std::sync::{Mutex, MutexGuard, PoisonError};

use walferry_tests::Task;

const SCHEMA: &str = "CREATE SCHEMA shop; CREATE TABLE shop.t (id integer PRIMARY KEY, v text);
    CREATE TABLE shop.k (a integer); ALTER TABLE shop.k REPLICA IDENTITY FULL;";

/// The statements of docs/operations.md between two marks, for our role.
fn documented(mark: &str, role: &str, task: &Task) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let text = std::fs::read_to_string(path).expect("docs/operations.md");
    let start = text.find(&format!("<!-- {mark} -->")).unwrap_or_else(|| panic!("no mark {mark}"));
    let block = text[start..].split("```").nth(1).expect("a block of SQL").trim_start_matches("sql");
    let block = block.replace(" ferry", &format!(" {role}"));
    block.replace("DATABASE shop", &format!("DATABASE \"{}\"", task.database))
}

fn as_role(url: &str, role: &str) -> String {
    url.replace("postgres@", &format!("{role}@"))
}

/// Rights on parameters are the whole cluster's: one test at a time grants and revokes them.
static GRANTING: Mutex<()> = Mutex::new(());

fn granting() -> MutexGuard<'static, ()> {
    GRANTING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with_roles(name: &str, role: &str) -> Task {
    let mut task = Task::build(name).schema(SCHEMA).create();
    for side in [&task.source, &task.destination] {
        side.execute(&format!("DROP ROLE IF EXISTS {role}"));
    }
    let guard = granting();
    task.source.execute(&documented("grants: source", role, &task));
    task.destination.execute(&documented("grants: destination", role, &task));
    drop(guard);
    let (source, destination) = (as_role(task.source.url(), role), as_role(task.destination.url(), role));
    task.set("source.url", source);
    task.set("destination.url", destination);
    task
}

fn drop_roles(task: &Task, role: &str) {
    let _guard = granting();
    for side in [&task.source, &task.destination] {
        side.execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}"));
    }
}

#[test]
fn rule_13_the_documented_grants_are_enough() {
    let role = "wf_role_enough";
    let task = with_roles("rights-enough", role);
    task.source.execute(
        "INSERT INTO shop.t SELECT i, 'v' FROM generate_series(1, 50) i; INSERT INTO shop.k VALUES (1), (1)",
    );
    task.source.execute(
        "UPDATE shop.t SET v = 'w' WHERE id < 10; DELETE FROM shop.t WHERE id > 45; DELETE FROM shop.k",
    );
    task.source.execute("TRUNCATE shop.k; INSERT INTO shop.k VALUES (5)");
    task.sync();
    assert_eq!(task.status()["phase"].as_str().map(str::is_empty), Some(false));
    task.walferry(&["conflicts"]).expect_status(0);
    task.walferry(&["drop", "--yes"]).expect_status(0);
    drop_roles(&task, role);
}

#[test]
fn the_documented_grants_are_enough_for_a_full_copy() {
    let role = "wf_role_full";
    let mut task = Task::build("rights-full").schema(SCHEMA).full().create();
    for side in [&task.source, &task.destination] {
        side.execute(&format!("DROP ROLE IF EXISTS {role}"));
    }
    let guard = granting();
    task.source.execute(&documented("grants: source", role, &task));
    task.source.execute(&documented("grants: source, full", role, &task));
    // What is said of schemas and tables is for those that are there already.
    let grants = documented("grants: destination", role, &task);
    let grants: Vec<&str> = grants.lines().filter(|line| !line.contains("SCHEMA shop")).collect();
    task.destination.execute(&grants.join("\n"));
    task.destination.execute(&documented("grants: destination, full", role, &task));
    drop(guard);
    task.source.execute(
        "CREATE INDEX ON shop.t (v); CREATE VIEW shop.w AS SELECT v FROM shop.t; CREATE SEQUENCE shop.s;
         GRANT SELECT ON ALL TABLES IN SCHEMA shop TO wf_role_full; GRANT SELECT ON SEQUENCE shop.s TO wf_role_full;
         INSERT INTO shop.t SELECT i, 'v' FROM generate_series(1, 500) i; INSERT INTO shop.k VALUES (1), (1);",
    );
    let (source, destination) = (as_role(task.source.url(), role), as_role(task.destination.url(), role));
    task.set("source.url", source);
    task.set("destination.url", destination);
    task.run_until_now();
    task.source.execute("UPDATE shop.t SET v = 'w' WHERE id < 10; DELETE FROM shop.k WHERE ctid = '(0,1)'");
    task.run_until_now();
    task.assert_equal();
    assert_eq!(task.destination.value("SELECT count(*) FROM shop.w WHERE v = 'w'"), "9");
    task.walferry(&["drop", "--yes"]).expect_status(0);
    drop_roles(&task, role);
}

#[test]
fn a_missing_right_is_named() {
    let role = "wf_role_less";
    let task = with_roles("rights-less", role);
    task.destination.execute(&format!("REVOKE INSERT ON shop.t FROM {role}"));
    task.source.execute("INSERT INTO shop.t VALUES (1, 'v')");
    task.run_fails(&["permission denied", "t"]);
    task.destination.execute(&format!("GRANT INSERT ON shop.t TO {role}"));
    task.sync();
    task.source.execute(&format!("ALTER ROLE {role} NOREPLICATION; INSERT INTO shop.t VALUES (2, 'v')"));
    task.run_fails(&["replication"]);
    task.source.execute(&format!("ALTER ROLE {role} REPLICATION"));
    task.sync();
    task.walferry(&["drop", "--yes"]).expect_status(0);
    drop_roles(&task, role);
}

#[test]
fn row_security_does_not_hide_rows() {
    let role = "wf_role_rls";
    let task = with_roles("rights-rls", role);
    task.destination.execute("ALTER TABLE shop.t ENABLE ROW LEVEL SECURITY");
    task.source.execute("INSERT INTO shop.t VALUES (1, 'v')");
    task.run_fails(&["row", "security"]);
    task.destination.execute("ALTER TABLE shop.t DISABLE ROW LEVEL SECURITY");
    task.sync();
    task.walferry(&["drop", "--yes"]).expect_status(0);
    drop_roles(&task, role);
}
