//! Tasks whose source captures DDL. Statements are run on the source; then both sides must be the same: definitions,
//! rows, materialized views, and one record at the destination for every statement that the source logged.

use std::time::Duration;

use crate::session::literal;
use crate::{Task, TaskBuilder, lsn, wait_until, whole};

/// How the statements of a script reach the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// One transaction each, while the daemon follows.
    Live,
    /// One transaction each, all of them before the daemon begins: it needs definitions as they were.
    Backlog,
    /// All in one string and one transaction.
    Together,
}

/// Both ways in which statements are transactions of their own.
pub const APART: &[Pace] = &[Pace::Live, Pace::Backlog];
/// Every way.
pub const ALWAYS: &[Pace] = &[Pace::Live, Pace::Backlog, Pace::Together];

/// Runs a script, whose statements end at line ends, on the source of a task per pace. `schema` is on both sides from
/// the start. Everything must be applied, and both sides be the same.
#[track_caller]
pub fn carried(name: &str, schema: &str, script: &str, paces: &[Pace]) {
    for pace in paces {
        let name = format!("{name}-{}", format!("{pace:?}").to_lowercase());
        let task = Task::build(&name).schema(schema).ddl().create();
        follow(&task, script, *pace);
        assert_eq!(task.outcomes(), "applied", "{pace:?}:\n{}", task.passed_over());
    }
}

/// Runs a script on the source of `task` at a pace, until both sides are the same.
#[track_caller]
pub fn follow(task: &Task, script: &str, pace: Pace) {
    match pace {
        Pace::Live => {
            let daemon = task.start();
            task.wait_applied();
            each(task, script);
            task.level();
            daemon.terminate().expect_status(0);
        }
        Pace::Backlog => {
            each(task, script);
            task.run_until_now();
        }
        Pace::Together => {
            task.source.execute(&format!("BEGIN; {script}; COMMIT"));
            task.run_until_now();
        }
    }
    task.assert_same();
}

/// Runs every statement of a script as a transaction of its own.
#[track_caller]
pub fn each(task: &Task, script: &str) {
    for statement in script.split(";\n").filter(|statement| !statement.trim().is_empty()) {
        task.source.execute(statement);
    }
}

impl TaskBuilder {
    /// DDL capture is switched on, after the schema is there and before the slot is.
    pub fn ddl(self) -> Self {
        self.before_slot("SELECT walferry.enable_ddl_capture()")
    }
}

impl Task {
    /// Waits until the running daemon has applied everything, then [`Task::assert_same`].
    #[track_caller]
    pub fn level(&self) {
        self.wait_applied();
        self.assert_same();
    }

    /// [`Task::wait_level`] that ends at once where the task stops.
    #[track_caller]
    pub fn wait_applied(&self) {
        if let Err(error) = self.try_wait_applied() {
            panic!("the task stopped: {error}");
        }
    }

    /// Waits until the running daemon has applied everything.
    ///
    /// # Errors
    /// Why the task stopped.
    #[track_caller]
    pub fn try_wait_applied(&self) -> Result<(), String> {
        self.source.execute("SELECT walferry.heartbeat()");
        let target = self.source_lsn();
        let mut error = None;
        wait_until("everything is applied", Duration::from_secs(180), || {
            let status = self.status();
            let failed = status["phase"] == "failed";
            error = failed.then(|| status["error"].as_str().unwrap_or_default().to_owned());
            let applied = status["applied_lsn"].as_str().is_some_and(|text| lsn(text) >= target);
            failed || applied && status["phase"] != "full"
        });
        error.map_or(Ok(()), Err)
    }

    /// `run --until now`, then [`Task::assert_same`].
    #[track_caller]
    pub fn sync_same(&self) {
        self.run_until_now();
        self.assert_same();
    }

    /// Panics with what differs: definitions, rows, materialized views, and whether every statement that the source
    /// logged is recorded once.
    #[track_caller]
    pub fn assert_same(&self) {
        let found = whole::level_differences(&self.source, &self.destination);
        let told = |found: Vec<String>| format!("{}\npassed over:\n{}", found.join("\n"), self.passed_over());
        assert!(found.is_empty(), "source and destination differ:\n{}", told(found));
        self.assert_recorded_once();
    }

    /// Panics unless every statement that the source logged is recorded once.
    #[track_caller]
    pub fn assert_recorded_once(&self) {
        let line = "tag || ': ' || coalesce(statement, '') COLLATE \"C\"";
        let logged = self.source.rows(&format!(
            "SELECT {line} FROM walferry.ddl_log WHERE tag NOT LIKE '% DDL CAPTURE' ORDER BY 1"
        ));
        let logged: Vec<String> = logged.into_iter().flatten().flatten().collect();
        let recorded = self.recorded(line, "outcome <> 'failed' AND tag NOT LIKE '% DDL CAPTURE' ORDER BY 1");
        assert_eq!(recorded, logged, "what is recorded, and what was logged");
    }

    /// A column of what is recorded of this task's statements.
    #[track_caller]
    pub fn recorded(&self, column: &str, condition: &str) -> Vec<String> {
        let task = literal(&self.name);
        let sql = format!("SELECT {column} FROM walferry_state.ddl WHERE task = {task} AND {condition}");
        self.destination.rows(&sql).into_iter().flatten().map(Option::unwrap_or_default).collect()
    }

    /// The different outcomes of all statements, joined by commas.
    #[track_caller]
    pub fn outcomes(&self) -> String {
        self.recorded("DISTINCT outcome", "true ORDER BY 1").join(",")
    }

    /// The outcome of the statements that are like this pattern, joined by commas.
    #[track_caller]
    pub fn outcome(&self, like: &str) -> String {
        self.recorded("outcome", &format!("statement LIKE {} ORDER BY lsn", literal(like))).join(",")
    }

    /// A line per statement that was not applied, with the reason.
    #[track_caller]
    pub fn passed_over(&self) -> String {
        let line = "concat_ws(' | ', outcome, reason, tag, left(statement, 200))";
        self.recorded(line, "outcome <> 'applied' ORDER BY lsn").join("\n")
    }

    /// Waits until the task has stopped; its error.
    #[track_caller]
    pub fn stopped(&self) -> String {
        self.wait_phase("failed");
        self.status()["error"].as_str().unwrap_or_default().to_owned()
    }
}
