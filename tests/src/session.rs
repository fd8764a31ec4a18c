//! A connection that speaks SQL as text, so that scenarios read like psql.

use std::cell::RefCell;
use std::io::Write;
use std::process::{Command, Stdio};

use postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::program;

/// A row as text; `None` is NULL.
pub type Row = Vec<Option<String>>;

/// Scenarios give databases settings that hinder; our own sessions must work all the same.
const OPTIONS: &str = "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 \
    -c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed";

/// One database session.
pub struct Session {
    url: String,
    client: RefCell<Client>,
}

impl Session {
    /// Connects; panics where that fails.
    #[track_caller]
    pub fn connect(url: &str) -> Self {
        Self::try_connect(url).unwrap_or_else(|e| panic!("cannot connect to {url}: {e}"))
    }

    /// Connects.
    ///
    /// # Errors
    /// What the server or the network said.
    pub fn try_connect(url: &str) -> Result<Self, postgres::Error> {
        let mut config: Config = url.parse()?;
        config.application_name("walferry-tests").connect_timeout(std::time::Duration::from_secs(10));
        config.options(OPTIONS);
        Ok(Self { url: url.to_owned(), client: RefCell::new(config.connect(NoTls)?) })
    }

    /// The URL that was connected to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Another session on the same database.
    #[track_caller]
    pub fn another(&self) -> Self {
        Self::connect(&self.url)
    }

    /// Runs one or more statements; several are one transaction unless they say otherwise.
    #[track_caller]
    pub fn execute(&self, sql: &str) {
        if let Err(e) = self.try_execute(sql) {
            panic!("{e}\nin: {}", head(sql));
        }
    }

    /// Runs one or more statements.
    ///
    /// # Errors
    /// `SQLSTATE: message` of the server.
    pub fn try_execute(&self, sql: &str) -> Result<(), String> {
        self.client.borrow_mut().batch_execute(sql).map_err(|e| describe(&e))
    }

    /// Prepares one statement, as drivers do, and runs it so many times.
    #[track_caller]
    pub fn execute_prepared(&self, sql: &str, times: u32) {
        let mut client = self.client.borrow_mut();
        let prepared = client.prepare(sql).unwrap_or_else(|e| panic!("{}\nin: {}", describe(&e), head(sql)));
        for _ in 0..times {
            let done = client.execute(&prepared, &[]);
            done.unwrap_or_else(|e| panic!("{}\nin: {}", describe(&e), head(sql)));
        }
    }

    /// Runs a script with psql in the same database, under these variables of the environment. Errors of statements
    /// are the script's business.
    #[track_caller]
    pub fn psql(&self, environment: &[(&str, &str)], script: &[u8]) {
        let mut command = Command::new(program("psql"));
        command.args(["-X", "-q", "-o", "/dev/null", "-f", "-", &self.url]).envs(environment.iter().copied());
        let child = command.stdin(Stdio::piped()).stderr(Stdio::null()).stdout(Stdio::null()).spawn();
        let mut child = child.unwrap_or_else(|e| panic!("psql does not start: {e}"));
        let written = child.stdin.take().map(|mut stdin| stdin.write_all(script));
        assert!(written.is_some_and(|done| done.is_ok()), "psql does not read");
        assert!(child.wait().is_ok_and(|status| status.success()), "psql failed");
    }

    /// The rows of one query, as text.
    #[track_caller]
    pub fn rows(&self, sql: &str) -> Vec<Row> {
        let messages = self.client.borrow_mut().simple_query(sql);
        let messages = messages.unwrap_or_else(|e| panic!("{}\nin: {}", describe(&e), head(sql)));
        messages.iter().filter_map(row).collect()
    }

    /// The first column of the first row, as text; empty for NULL or no row.
    #[track_caller]
    pub fn value(&self, sql: &str) -> String {
        self.rows(sql).into_iter().next().and_then(|row| row.into_iter().next().flatten()).unwrap_or_default()
    }

    /// The first column of every row, joined by commas: short answers compare well.
    #[track_caller]
    pub fn list(&self, sql: &str) -> String {
        let rows = self.rows(sql);
        let values = rows.into_iter().map(|row| row.into_iter().next().flatten().unwrap_or("NULL".into()));
        values.collect::<Vec<_>>().join(",")
    }
}

fn row(message: &SimpleQueryMessage) -> Option<Row> {
    match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect()),
        SimpleQueryMessage::CommandComplete(_) | SimpleQueryMessage::RowDescription(_) | _ => None,
    }
}

fn describe(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{}: {}", db.code().code(), db.message()),
        None => format!("connection: {error}"),
    }
}

fn head(sql: &str) -> String {
    sql.chars().take(600).collect()
}

/// A name as an SQL identifier.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
