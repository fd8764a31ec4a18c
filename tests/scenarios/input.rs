//! Bad input: one clear sentence, the right exit status, the slot where it was; and after the cause is
//! removed the run goes on with nothing lost and nothing twice.

use std::fs;

use walferry_tests::{Cluster, Ended, Stop, Task};

const TABLE: &str = "CREATE TABLE t (id integer PRIMARY KEY, v text)";

/// What was said is one sentence: no panic, no backtrace, no debug print of an error.
fn clear(ended: Ended) -> Ended {
    for noise in ["panicked", "backtrace", "Error {", "Kind(", "DbError"] {
        assert!(!ended.stderr.contains(noise), "{noise:?} in: {}", ended.stderr);
    }
    ended
}

/// A task with a row to bring over, and the LSN before it, which the slot must not pass.
fn waiting(name: &str) -> (Task, u64) {
    let task = Task::new(name, TABLE);
    task.source.execute("INSERT INTO t VALUES (1, 'first')");
    task.sync();
    let lsn = task.source_lsn();
    task.source.execute("INSERT INTO t VALUES (2, 'second')");
    (task, lsn)
}

fn run(task: &Task) -> Ended {
    clear(task.walferry(&["run", "--until", "now"]))
}

#[test]
fn wrong_usage_says_2() {
    let task = Task::new("input-usage", TABLE);
    clear(task.walferry(&["fly"]).expect_status(2)).expect_words(&["fly"]);
    clear(task.walferry(&["run", "--until", "yesterday"]).expect_status(2)).expect_words(&["yesterday"]);
    clear(task.walferry(&["--output", "yaml", "status"]).expect_status(2)).expect_words(&["yaml"]);
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    let mut task = Task::new("input-key", TABLE);
    task.set("apply.conflikt", "error");
    run(&task).expect_status(2).expect_words(&["conflikt", "conflict"]);
}

#[test]
fn wrong_values_of_the_configuration_say_2() {
    for (key, value, word) in [
        ("apply.conflict", "maybe", "maybe"),
        ("task.name", "1x", "name"),
        ("task.mode", "sometimes", "sometimes"),
        ("source.url", "mysql://root@localhost/x", "url"),
        ("apply.synchronous_commit", "perhaps", "perhaps"),
    ] {
        let mut task = Task::new("input-values", TABLE);
        task.set(key, value);
        run(&task).expect_status(2).expect_words(&[word]);
    }
}

#[test]
fn a_configuration_that_is_missing_or_no_toml_says_2() {
    let task = Task::new("input-toml", TABLE);
    fs::write(task.config(), "[task\nname = ").expect("write");
    run(&task).expect_status(2).expect_words(&["walferry.toml"]);
    fs::write(task.config(), "[task]\nname = \"input-toml\"\n").expect("write");
    run(&task).expect_status(2).expect_words(&["source"]);
    fs::remove_file(task.config()).expect("remove");
    run(&task).expect_status(2).expect_words(&["walferry.toml"]);
}

#[test]
fn an_unreachable_server_says_3() {
    let (mut task, lsn) = waiting("input-unreachable");
    let right = task.destination.url().to_owned();
    task.set("destination.url", "postgresql://postgres@127.0.0.1:1/none");
    run(&task).expect_status(3).expect_words(&["127.0.0.1", "destination"]);
    task.set("destination.url", "postgresql://postgres@no-such-host.invalid/none");
    run(&task).expect_status(3).expect_words(&["no-such-host.invalid"]);
    task.set("destination.url", right);
    let right = task.source.url().to_owned();
    task.set("source.url", "postgresql://postgres@127.0.0.1:1/none");
    run(&task).expect_status(3).expect_words(&["127.0.0.1", "source"]);
    task.set("source.url", right);
    task.assert_slot_at_most(lsn);
    task.sync();
}

#[test]
fn a_server_that_refuses_is_named() {
    let (mut task, lsn) = waiting("input-refused");
    let right = task.destination.url().to_owned();
    task.set("destination.url", format!("{right}_missing"));
    run(&task).expect_status(1).expect_words(&["_missing", "does not exist"]);
    task.set("destination.url", right.replace("postgres@", "nobody_here@"));
    run(&task).expect_status(1).expect_words(&["nobody_here"]);
    task.set("destination.url", right);
    task.assert_slot_at_most(lsn);
    task.sync();
}

#[test]
fn a_missing_extension_is_named() {
    let task = Task::build("input-extension").schema(TABLE).without_extension().create();
    run(&task).expect_status(1).expect_words(&["CREATE EXTENSION walferry"]);
    task.source.execute("CREATE EXTENSION walferry");
    task.create_slot();
    task.source.execute("INSERT INTO t VALUES (1, 'x')");
    task.sync();
}

#[test]
fn a_missing_slot_is_named_with_what_makes_one() {
    let task = Task::build("input-slot").schema(TABLE).without_slot().create();
    run(&task).expect_status(1).expect_words(&["walferry_input_slot", "pg_create_logical_replication_slot"]);
    task.create_slot();
    task.source.execute("INSERT INTO t VALUES (1, 'x')");
    task.sync();
}

#[test]
fn a_slot_of_another_plugin_or_database_is_refused() {
    let task = Task::build("input-plugin").schema(TABLE).without_slot().create();
    task.source
        .execute(&format!("SELECT pg_create_logical_replication_slot('{}', 'test_decoding')", task.slot));
    run(&task).expect_status(1).expect_words(&[&task.slot, "test_decoding"]);
    task.source.execute(&format!("SELECT pg_drop_replication_slot('{}')", task.slot));
    let elsewhere = Task::new("input-elsewhere", TABLE);
    let mut task = task;
    task.set("source.slot", elsewhere.slot.clone());
    run(&task).expect_status(1).expect_words(&[&elsewhere.slot, &elsewhere.database]);
}

#[test]
fn a_lost_slot_is_named() {
    let source = Cluster::start("max_slot_wal_keep_size = 1MB\nmax_wal_size = 32MB\nmin_wal_size = 32MB");
    let task = Task::build("input-lost").source(&source).schema(TABLE).create();
    task.source.execute("INSERT INTO t VALUES (1, 'x')");
    task.sync();
    for _ in 0..6 {
        task.source.execute("SELECT pg_switch_wal()");
        task.source.execute("CREATE TABLE IF NOT EXISTS filler (a text); INSERT INTO filler SELECT repeat('x', 500) FROM generate_series(1, 1000)");
    }
    task.source.execute("CHECKPOINT");
    assert_eq!(task.source.value("SELECT wal_status FROM pg_replication_slots"), "lost");
    run(&task).expect_status(1).expect_words(&[&task.slot, "lost"]);
}

#[test]
fn a_slot_that_is_active_elsewhere_is_named() {
    let (task, _) = waiting("input-active");
    // Another program reads the slot.
    let folder = task.folder().join("stolen");
    let mut thief = std::process::Command::new(walferry_tests::cluster::program("pg_recvlogical"))
        .args(["--start", "-S", &task.slot, "-d", task.source.url(), "-f"])
        .arg(&folder)
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("pg_recvlogical");
    let active = format!("SELECT active FROM pg_replication_slots WHERE slot_name = '{}'", task.slot);
    let stolen = (0..40).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        task.source.value(&active) == "t"
    });
    if stolen {
        run(&task).expect_status(1).expect_words(&[&task.slot, "active"]);
    }
    thief.kill().expect("kill");
    thief.wait().expect("wait");
    task.sync();
}

#[test]
fn a_plugin_that_is_not_allowed_is_named() {
    let mut source = Cluster::start("");
    if source
        .session("postgres")
        .value("SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'")
        == "0"
    {
        return; // this minor has no such list
    }
    let task = Task::build("input-allowed").source(&source).schema(TABLE).create();
    task.source.execute("INSERT INTO t VALUES (1, 'x')");
    source.configure("output_plugin_libraries = 'pgoutput, test_decoding'");
    source.restart(Stop::Fast);
    run(&task).expect_status(1).expect_words(&["output_plugin_libraries", "walferry"]);
    source.configure("output_plugin_libraries = 'pgoutput, test_decoding, walferry'");
    source.restart(Stop::Fast);
    task.sync();
}

#[test]
fn a_table_missing_at_the_destination_is_named() {
    let (task, _) = waiting("input-table");
    task.source.execute("CREATE TABLE fresh (id integer PRIMARY KEY); INSERT INTO fresh VALUES (1)");
    run(&task).expect_status(1).expect_words(&["public.fresh", "destination"]);
    task.destination.execute("CREATE TABLE fresh (id integer PRIMARY KEY)");
    task.sync();
}

#[test]
fn a_column_missing_at_the_destination_is_named() {
    let (task, _) = waiting("input-column");
    task.source.execute("ALTER TABLE t ADD COLUMN extra integer");
    task.source.execute("INSERT INTO t VALUES (3, 'x', 7)");
    run(&task).expect_status(1).expect_words(&["public.t", "extra"]);
    task.destination.execute("ALTER TABLE t ADD COLUMN extra integer");
    task.sync();
}

#[test]
fn a_column_of_another_type_is_named() {
    let (task, _) = waiting("input-type");
    task.destination.execute("ALTER TABLE t ALTER v TYPE integer USING 0");
    run(&task).expect_status(1).expect_words(&["public.t", "v", "int4", "text"]);
    task.destination.execute("ALTER TABLE t ALTER v TYPE text; UPDATE t SET v = 'first'");
    task.sync();
}

#[test]
fn a_value_that_the_destination_s_type_cannot_hold_stops() {
    let task = Task::build("input-narrow")
        .schema("CREATE TABLE t (id integer PRIMARY KEY, v varchar(20))")
        .destination_schema("CREATE TABLE t (id integer PRIMARY KEY, v varchar(5))")
        .create();
    task.source.execute("INSERT INTO t VALUES (1, 'short')");
    task.source.execute("INSERT INTO t VALUES (2, 'too long for it')");
    run(&task).expect_status(1).expect_words(&["public.t"]);
    assert!(!task.destination.list("SELECT v FROM t").contains("too"), "nothing may be cut");
    task.destination.execute("ALTER TABLE t ALTER v TYPE varchar(20)");
    task.sync();
}

#[test]
fn a_failed_daemon_stays_up_in_state_failed() {
    let (task, lsn) = waiting("input-failed");
    task.destination.execute("INSERT INTO t VALUES (2, 'mine')");
    let mut daemon = task.start();
    task.wait_phase("failed");
    let status = task.status();
    assert!(status["error"].as_str().is_some_and(|error| error.contains("insert_exists")), "{status}");
    assert!(daemon.runs(), "{}", daemon.log());
    daemon.terminate().expect_status(0);
    task.assert_slot_at_most(lsn);
    task.destination.execute("DELETE FROM t WHERE id = 2");
    task.sync();
}

#[test]
fn passwords_are_never_logged() {
    let (mut task, _) = waiting("input-secret");
    let url = task.source.url().replace("postgres@", "postgres:s3cr3t-word@");
    task.set("source.url", url);
    let ended = run(&task).expect_status(0);
    assert!(!ended.stderr.contains("s3cr3t-word") && !ended.stdout.contains("s3cr3t-word"));
    task.set("source.url", "postgresql://postgres:s3cr3t-word@127.0.0.1:1/none");
    let ended = run(&task).expect_status(3);
    assert!(!ended.stderr.contains("s3cr3t-word"), "{}", ended.stderr);
}

#[test]
fn init_prints_a_configuration_that_works() {
    let task = Task::new("input-init", TABLE);
    let text = task.walferry(&["init"]).expect_status(0).stdout;
    let table: toml::Table = text.parse().expect("init prints TOML");
    for section in ["task", "source", "destination", "objects", "apply"] {
        assert!(
            table.contains_key(section) || text.contains(&format!("[{section}]")),
            "no section {section}"
        );
    }
    // With the addresses of a real task in place of the examples it runs.
    let name = task.name.clone();
    let text = table_with(table, &task, &name);
    fs::write(task.config(), text).expect("write");
    task.source.execute("INSERT INTO t VALUES (1, 'x')");
    let ended = task.walferry(&["status"]);
    assert_ne!(ended.status, 2, "{}", ended.stderr);
}

fn table_with(mut table: toml::Table, task: &Task, name: &str) -> String {
    let mut put = |section: &str, key: &str, value: &str| {
        let inner = table.entry(section).or_insert_with(|| toml::Table::new().into());
        inner.as_table_mut().expect("a section").insert(key.to_owned(), value.into());
    };
    put("task", "name", name);
    put("source", "url", task.source.url());
    put("source", "slot", &task.slot);
    put("destination", "url", task.destination.url());
    toml::to_string(&table).expect("TOML")
}

#[test]
fn drop_removes_slot_and_state_only_with_yes() {
    let (task, _) = waiting("input-drop");
    clear(task.walferry(&["drop"]).expect_status(2));
    task.walferry(&["drop", "--yes"]).expect_status(0);
    let left = task
        .source
        .value(&format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{}'", task.slot));
    assert_eq!(left, "0");
    run(&task).expect_status(1).expect_words(&[&task.slot]);
    assert_eq!(task.destination.list("SELECT id FROM t"), "1", "rows stay");
}
