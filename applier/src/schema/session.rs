//! A connection that makes objects: its settings are those of a restore, its transactions write the journal with the
//! objects, and a group that fails is taken apart until the statement that fails stands alone.

use std::time::Duration;
use tokio_postgres::Client;

use super::make::{Note, Outcome};
use super::step::{Part, Pass, Step};
use crate::error::{Class, Error, Result};
use crate::pg::quote::literal;
use crate::pg::{self, Conninfo, Session, client_error, tellable};

/// How often a step is tried that lost a deadlock or waited for a lock too long.
const ATTEMPTS: u32 = 5;

/// What became of a step.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The object is there.
    Made,
    /// It is not; in the server's words, as far as they may be told.
    Failed(String),
    /// Privileges or an owner that could not be given; likewise.
    LeftOut(String),
}

/// A connection with the settings of a restore.
pub struct Hand {
    client: Client,
}

impl Hand {
    /// Connects.
    pub async fn open(conninfo: &Conninfo, application_name: &str) -> Result<Self> {
        let session = Session::query(application_name)
            .set("check_function_bodies", "off")
            .set("default_tablespace", "")
            .set("synchronous_commit", "off");
        Ok(Self { client: pg::client(conninfo, session).await? })
    }

    /// Makes a group in one transaction; false if one of them failed, and then none is made.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn together(&self, steps: &[&Step], note: &Note) -> Result<bool> {
        let all: String = steps.iter().map(|step| with_note(step, note)).collect();
        match self.transaction(&all).await {
            Ok(()) => Ok(true),
            Err(error) if self.is_lost(&error) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Makes what was committed so far safe from a crash of the server.
    pub async fn flush(&self, object: &str, note: &Note) -> Result<()> {
        let sql = format!("SET LOCAL synchronous_commit = on;\n{};\n", note(object, &Outcome::Made));
        self.transaction(&sql).await
    }

    /// Ends the role's other sessions of this name, and waits until they are gone.
    pub async fn end_others(&self, application_name: &str) -> Result<()> {
        let sql = "SELECT count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity \
                   WHERE datname = pg_catalog.current_database() AND usename = CURRENT_USER \
                   AND application_name = $1::text::name::text AND backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()";
        loop {
            let row = self.client.query_one(sql, &[&application_name]).await.map_err(client_error)?;
            if row.get::<_, i64>(0) == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Runs one statement outside of any transaction.
    pub async fn run(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(client_error)
    }

    /// Notes what became of a step that was not tried.
    pub async fn note(&self, object: &str, outcome: &Outcome<'_>, note: &Note) -> Result<()> {
        self.run(&note(object, outcome)).await
    }

    /// Makes one step.
    ///
    /// # Errors
    /// Only where the connection or the journal fails; what a definition runs into is told by [`Done`].
    pub async fn alone(&self, step: &Step, note: &Note) -> Result<Done> {
        let failure = match self.attempts(step, note).await {
            Ok(()) => return Ok(Done::Made),
            Err(error) if self.is_lost(&error) => return Err(error.context(&step.object)),
            Err(error) => error,
        };
        if step.id.1 == Part::Owner || step.pass == Pass::Grants {
            return self.each_statement(step, note).await;
        }
        let reason = if reads_rows(step.pass) { told(&failure) } else { failure.to_string() };
        let statement = step.statements.concat();
        let outcome = Outcome::Failed { reason: &reason, statement: &statement };
        self.note(&step.object, &outcome, note).await?;
        Ok(Done::Failed(reason))
    }

    async fn attempts(&self, step: &Step, note: &Note) -> Result<()> {
        let sql = with_note(step, note);
        for _ in 1..ATTEMPTS {
            match self.transaction(&sql).await {
                Err(error) if matches!(error.sqlstate(), Some("40P01" | "40001" | "55P03")) => {}
                other => return other,
            }
        }
        self.transaction(&sql).await
    }

    /// One grant that cannot be given costs no other.
    async fn each_statement(&self, step: &Step, note: &Note) -> Result<Done> {
        let mut refused: Option<Error> = None;
        for statement in &step.statements {
            if let Err(error) = self.transaction(statement).await {
                if self.is_lost(&error) {
                    return Err(error.context(&step.object));
                }
                refused.get_or_insert(error);
            }
        }
        match refused {
            None => self.note(&step.object, &Outcome::Made, note).await.map(|()| Done::Made),
            Some(error) => {
                let reason = told(&error);
                self.note(&step.object, &Outcome::LeftOut { reason: &reason }, note).await?;
                Ok(Done::LeftOut(reason))
            }
        }
    }

    async fn transaction(&self, sql: &str) -> Result<()> {
        let outcome = self.run(&format!("BEGIN;\n{sql}COMMIT;\n")).await;
        if outcome.is_err() && !self.client.is_closed() {
            self.run("ROLLBACK").await?;
        }
        outcome
    }

    /// Whether the connection is at fault and not the statement.
    pub fn is_lost(&self, error: &Error) -> bool {
        let by_server =
            error.sqlstate().is_some_and(|code| code.starts_with("57P") || code.starts_with("08"));
        let silent = error.sqlstate().is_none() && error.class() == Class::Unreachable;
        by_server || silent || self.client.is_closed()
    }
}

/// What the server says of a definition, as far as it may be told: what reads rows (an index on an expression, a constraint,
/// a materialized view) fails with words that quote their values.
pub(super) fn told(error: &Error) -> String {
    let said = error.to_string();
    match error.sqlstate() {
        Some(state) if tellable(state, &said).is_none() => format!(
            "it fails with SQLSTATE {state}; what the server says of it may quote values of rows, so it is only in the \
             destination's log"
        ),
        Some(_) | None => said,
    }
}

/// Whether a definition may be made over rows.
fn reads_rows(pass: Pass) -> bool {
    match pass {
        Pass::Keys | Pass::After | Pass::Last => true,
        Pass::Before | Pass::Grants => false,
    }
}

/// The step's statements and its row of the journal.
fn with_note(step: &Step, note: &Note) -> String {
    let set = |method| format!("SET LOCAL default_table_access_method = {};\n", literal(method));
    let method = step.access_method.as_deref().map(set).unwrap_or_default();
    format!("{method}{}{};\n", step.statements.concat(), note(&step.object, &Outcome::Made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_told() {
        let value =
            Error::rejected("invalid input syntax for type integer: \"secret\"").with_sqlstate("22P02");
        assert!(told(&value).contains("22P02") && !told(&value).contains("secret"));
        let missing = Error::refused("type public.mood does not exist (42704)").with_sqlstate("42704");
        assert_eq!(told(&missing), "type public.mood does not exist (42704)");
    }
}
