//! A task under test: a source database with the extension and a slot, a destination database with nothing
//! installed, and a `walferry.toml` between them. Both databases and the slot go when it is dropped.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use toml::Table;

use crate::session::{identifier, literal};
use crate::{Cluster, Daemon, Ended, Lab, Session, compare, lsn, wait_until};

/// What a task is made of before it exists.
pub struct TaskBuilder {
    name: String,
    source: String,
    destination: String,
    source_schema: String,
    destination_schema: Option<String>,
    source_options: String,
    destination_options: String,
    settings: Table,
    extension: bool,
    slot: bool,
    before_slot: String,
}

impl TaskBuilder {
    /// SQL for both sides.
    pub fn schema(mut self, sql: &str) -> Self {
        self.source_schema.push_str(sql);
        self
    }

    /// SQL for the destination, where it differs from the source's.
    pub fn destination_schema(mut self, sql: &str) -> Self {
        self.destination_schema = Some(sql.to_owned());
        self
    }

    /// What follows `CREATE DATABASE name` at the source.
    pub fn source_options(mut self, options: &str) -> Self {
        self.source_options = options.to_owned();
        self
    }

    /// What follows `CREATE DATABASE name` at the destination.
    pub fn destination_options(mut self, options: &str) -> Self {
        self.destination_options = options.to_owned();
        self
    }

    /// The source is a cluster of the test's own.
    pub fn source(mut self, cluster: &Cluster) -> Self {
        self.source = cluster.address();
        self
    }

    /// The destination is a cluster of the test's own.
    pub fn destination(mut self, cluster: &Cluster) -> Self {
        self.destination = cluster.address();
        self
    }

    /// A key of walferry.toml, such as `apply.conflict`.
    pub fn set(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        put(&mut self.settings, key, value.into());
        self
    }

    /// Without CREATE EXTENSION, and so without a slot.
    pub fn without_extension(mut self) -> Self {
        self.extension = false;
        self.slot = false;
        self
    }

    /// Without a slot.
    pub fn without_slot(mut self) -> Self {
        self.slot = false;
        self
    }

    /// SQL for the source, in a session of its own, when the schema is there and the slot is not.
    pub fn before_slot(mut self, sql: &str) -> Self {
        self.before_slot = sql.to_owned();
        self
    }

    /// Makes it: databases, extension, schema, slot, configuration.
    #[track_caller]
    pub fn create(self) -> Task {
        let database = format!("wf_{}", self.name);
        make_database(&self.source, &database, &self.source_options);
        make_database(&self.destination, &database, &self.destination_options);
        let folder = make_folder(&self.name);
        let source = Session::connect(&format!("{}/{database}", self.source));
        let destination = Session::connect(&format!("{}/{database}", self.destination));
        if self.extension {
            source.execute("CREATE EXTENSION walferry");
        }
        source.execute(&self.source_schema);
        source.another().execute(&self.before_slot);
        // What was switched on for the database counts in sessions to come.
        let source = source.another();
        destination.execute(self.destination_schema.as_deref().unwrap_or(&self.source_schema));
        let slot = format!("walferry_{}", self.name.to_lowercase().replace('-', "_"));
        let addresses = (self.source, self.destination);
        let task = Task {
            addresses,
            slot,
            folder,
            database,
            settings: self.settings,
            source,
            destination,
            name: self.name,
            runs: Cell::new(0),
        };
        task.write_config();
        if self.slot {
            task.create_slot();
        }
        task
    }
}

/// A task between two databases of its own.
pub struct Task {
    /// A superuser's session in the source database.
    pub source: Session,
    /// A superuser's session in the destination database.
    pub destination: Session,
    /// The task's name.
    pub name: String,
    /// The database's name, the same on both sides.
    pub database: String,
    /// The slot's name.
    pub slot: String,
    folder: PathBuf,
    addresses: (String, String),
    settings: Table,
    runs: Cell<u32>,
}

impl Task {
    /// A task named `name` (4-50 letters, digits, `-`, `_`) between the shared clusters.
    pub fn build(name: &str) -> TaskBuilder {
        let lab = Lab::shared();
        TaskBuilder {
            name: name.to_owned(),
            source: lab.source,
            destination: lab.destination,
            source_schema: String::new(),
            destination_schema: None,
            source_options: String::new(),
            destination_options: String::new(),
            settings: Table::new(),
            extension: true,
            slot: true,
            before_slot: String::new(),
        }
    }

    /// A task with the same schema on both sides, and everything as usual.
    #[track_caller]
    pub fn new(name: &str, schema: &str) -> Self {
        Self::build(name).schema(schema).create()
    }

    /// Makes the slot, as the contract says for mode `incremental`.
    #[track_caller]
    pub fn create_slot(&self) {
        let slot = literal(&self.slot);
        self.source.execute(&format!("SELECT pg_create_logical_replication_slot({slot}, 'walferry')"));
    }

    /// Changes a key of walferry.toml; a running daemon does not notice.
    pub fn set(&mut self, key: &str, value: impl Into<toml::Value>) {
        put(&mut self.settings, key, value.into());
        self.write_config();
    }

    /// New sessions on both sides, for after a server was restarted.
    #[track_caller]
    pub fn reconnect(&mut self) {
        self.source = self.source.another();
        self.destination = self.destination.another();
    }

    /// The folder of the configuration and logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("walferry.toml")
    }

    /// Runs `walferry ARGUMENTS` to its end, within two minutes.
    #[track_caller]
    pub fn walferry(&self, arguments: &[&str]) -> Ended {
        self.spawn(arguments).wait(Duration::from_secs(120))
    }

    /// Starts `walferry ARGUMENTS`.
    #[track_caller]
    pub fn spawn(&self, arguments: &[&str]) -> Daemon {
        self.runs.set(self.runs.get() + 1);
        Daemon::spawn(&self.config(), arguments, &self.folder.join(format!("run{}", self.runs.get())))
    }

    /// Starts the daemon.
    #[track_caller]
    pub fn start(&self) -> Daemon {
        self.spawn(&["run"])
    }

    /// `run --until now`, which must succeed.
    #[track_caller]
    pub fn run_until_now(&self) -> Ended {
        self.walferry(&["run", "--until", "now"]).expect_status(0)
    }

    /// `run --until now`, which must fail with status 1 and say all of `words`.
    #[track_caller]
    pub fn run_fails(&self, words: &[&str]) -> Ended {
        self.walferry(&["run", "--until", "now"]).expect_status(1).expect_words(words)
    }

    /// `run --until now` followed by [`Task::assert_equal`].
    #[track_caller]
    pub fn sync(&self) {
        self.run_until_now();
        self.assert_equal();
    }

    /// `status --output json`.
    #[track_caller]
    pub fn status(&self) -> Value {
        let ended = self.walferry(&["--output", "json", "status"]).expect_status(0);
        serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|e| panic!("status is not JSON: {e}: {}", ended.stdout))
    }

    /// Waits until the running daemon has applied all that the source has committed by now.
    #[track_caller]
    pub fn wait_level(&self) {
        self.source.execute("SELECT walferry.heartbeat()");
        let target = lsn(&self.source.value("SELECT pg_current_wal_insert_lsn()"));
        let applied = || {
            let status = self.status();
            status["phase"] != "full"
                && status["applied_lsn"].as_str().is_some_and(|text| lsn(text) >= target)
        };
        wait_until("the destination is not level", Duration::from_secs(120), applied);
    }

    /// Waits until `status` shows this phase.
    #[track_caller]
    pub fn wait_phase(&self, phase: &str) {
        wait_until(&format!("phase {phase}"), Duration::from_secs(60), || self.status()["phase"] == phase);
    }

    /// Panics with the rows that differ, if any do.
    #[track_caller]
    pub fn assert_equal(&self) {
        self.assert_equal_except(&[]);
    }

    /// [`Task::assert_equal`] without some tables (`schema.table`).
    #[track_caller]
    pub fn assert_equal_except(&self, except: &[&str]) {
        let found = compare::differences(&self.source, &self.destination, except);
        assert!(found.is_empty(), "source and destination differ:\n{}", found.join("\n"));
    }

    /// The slot's confirmed_flush_lsn.
    #[track_caller]
    pub fn slot_lsn(&self) -> u64 {
        let slot = literal(&self.slot);
        lsn(&self
            .source
            .value(&format!("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = {slot}")))
    }

    /// Where the source's write-ahead log ends.
    #[track_caller]
    pub fn source_lsn(&self) -> u64 {
        lsn(&self.source.value("SELECT pg_current_wal_insert_lsn()"))
    }

    /// Panics if the slot has passed `end`, which lies before a change that could not be applied.
    #[track_caller]
    pub fn assert_slot_at_most(&self, end: u64) {
        assert!(self.slot_lsn() <= end, "the slot was moved past what was not applied");
    }

    /// What was recorded at the destination, as `kind,kind,...` in order.
    #[track_caller]
    pub fn conflicts(&self) -> Vec<Value> {
        let ended = self.walferry(&["--output", "json", "conflicts"]).expect_status(0);
        match serde_json::from_str(&ended.stdout) {
            Ok(Value::Array(conflicts)) => conflicts,
            Ok(other) => panic!("conflicts is not a list: {other}"),
            Err(e) => panic!("conflicts is not JSON: {e}: {}", ended.stdout),
        }
    }

    fn write_config(&self) {
        let mut table = Table::new();
        put(&mut table, "task.name", self.name.clone().into());
        put(&mut table, "task.mode", "incremental".into());
        put(&mut table, "source.url", format!("{}/{}", self.addresses.0, self.database).into());
        put(&mut table, "source.slot", self.slot.clone().into());
        put(&mut table, "destination.url", format!("{}/{}", self.addresses.1, self.database).into());
        put(&mut table, "objects.definitions", "use".into());
        merge(&mut table, &self.settings);
        let text = toml::to_string(&table).unwrap_or_else(|e| panic!("not TOML: {e}"));
        fs::write(self.config(), text).unwrap_or_else(|e| panic!("cannot write walferry.toml: {e}"));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "task {} failed; the files of its last runs were in {}",
                self.name,
                self.folder.display()
            );
        }
        if std::env::var_os("WALFERRY_LAB_KEEP").is_none() {
            drop_slot(&self.addresses.0, &self.slot);
            for address in [&self.addresses.0, &self.addresses.1] {
                drop_database(address, &self.database);
            }
            drop_origins(&self.addresses.1, &self.name);
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}

fn put(table: &mut Table, key: &str, value: toml::Value) {
    match key.split_once('.') {
        None => drop(table.insert(key.to_owned(), value)),
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Table::new().into());
            let inner = inner.as_table_mut().unwrap_or_else(|| panic!("{section} is not a section"));
            put(inner, rest, value);
        }
    }
}

fn merge(into: &mut Table, from: &Table) {
    for (key, value) in from {
        match (into.get_mut(key).and_then(toml::Value::as_table_mut), value.as_table()) {
            (Some(inner), Some(table)) => merge(inner, table),
            (Some(_) | None, Some(_) | None) => drop(into.insert(key.clone(), value.clone())),
        }
    }
}

fn make_folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("walferry-task.{}.{name}", std::process::id()));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir(&folder).unwrap_or_else(|e| panic!("cannot make {}: {e}", folder.display()));
    folder
}

fn admin(address: &str) -> Option<Session> {
    Session::try_connect(&format!("{address}/postgres")).ok()
}

#[track_caller]
fn make_database(address: &str, database: &str, options: &str) {
    let session = Session::connect(&format!("{address}/postgres"));
    session.execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", identifier(database)));
    session.execute(&format!("CREATE DATABASE {} {options}", identifier(database)));
}

/// Clean-up: what is not there any more, or a server that is gone, does not matter.
fn drop_database(address: &str, database: &str) {
    if let Some(session) = admin(address) {
        drop(session.try_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", identifier(database))));
    }
}

fn drop_slot(address: &str, slot: &str) {
    let Some(session) = admin(address) else { return };
    let slot = literal(slot);
    for _ in 0..100 {
        drop(session.try_execute(&format!(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = {slot} AND active"
        )));
        let dropped = session.try_execute(&format!(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = {slot}"
        ));
        if dropped.is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn drop_origins(address: &str, task: &str) {
    if let Some(session) = admin(address) {
        let pattern = literal(&format!("^walferry_{task}_[0-9]+$"));
        drop(session.try_execute(&format!(
            "SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname ~ {pattern}"
        )));
    }
}
