//! A worker's session at the destination: one transaction for a part, which writes its rows and lands it.

use std::time::Duration;

use super::{CopyTable, existing};
use crate::config::Existing;
use crate::error::{Class, Error, Result};
use crate::pg::{Conninfo, Raw, Session, origin, tellable};
use crate::state::parts::{self, Landed, Part, Unit};

/// How often, and how many times, one looks whether an origin is free.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: usize = 30;

/// How the destination is written.
#[derive(Debug)]
pub(super) struct Destination {
    pub conninfo: Conninfo,
    pub session: Session,
    pub task: String,
    pub existing: Existing,
}

impl Destination {
    /// Writer number `n` of the task.
    pub async fn open(&self, n: usize) -> Result<Raw> {
        open(&self.conninfo, self.session.clone(), &self.task, n).await
    }

    /// What begins the transaction; the last statement is the COPY.
    pub fn begin(table: &CopyTable, part: &Part) -> String {
        let name = table.target.only();
        match part.unit {
            Unit::Existing => {
                format!("BEGIN; {}; {}", existing::stage(table), copy_in(existing::STAGING, table, ""))
            }
            // Emptied in its own transaction, so that rows may be frozen as they come, and nobody else sees them before.
            // Whoever put rows in since the plan was made keeps them: the part fails.
            Unit::Table if table.fresh => format!(
                "BEGIN; LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE; SELECT walferry_state.expect(count(*), 0) \
                 FROM (SELECT FROM {name} LIMIT 1) AS one; TRUNCATE {name}; {}",
                copy_in(&table.target_name(), table, ", FREEZE")
            ),
            Unit::Table | Unit::Blocks | Unit::Key(_) | Unit::LargeObjects => {
                format!("BEGIN; {}", copy_in(&table.target_name(), table, ""))
            }
        }
    }

    /// Moves staged rows, lands the part and commits. Sets how many rows were kept.
    pub async fn finish(
        &self,
        raw: &mut Raw,
        table: &CopyTable,
        part: &Part,
        landed: &mut Landed,
    ) -> Result<()> {
        if part.unit == Unit::Existing {
            let moved = raw.simple(&existing::merge(table, self.existing)).await;
            let rows = moved.map_err(|error| existing::explain(table, error))?;
            let written = rows.last().and_then(|row| row.first()?.as_deref()?.parse::<i64>().ok());
            landed.kept = written.map_or(0, |written| landed.rows - written);
        }
        let commit = raw.commit(&format!("{}; COMMIT", parts::land(&self.task, part, landed))).await;
        commit.map_err(fenced)
    }
}

/// Writer number `n` of the task, tagged with an origin of its own (rule 18). Without the right to use origins the rows go
/// untagged, and that is said.
pub(super) async fn open(conninfo: &Conninfo, session: Session, task: &str, n: usize) -> Result<Raw> {
    let mut raw = Raw::open(conninfo, session).await?;
    match tag(&mut raw, &format!("walferry_{task}_{n}")).await {
        // configuration_limit_exceeded: too many origins are known to the server.
        Err(error) if error.class().is_transient() && error.sqlstate() != Some("53400") => Err(error),
        Err(error) => {
            tracing::warn!(
                "the copied rows carry no replication origin, so a task in the other direction would send them back: {error}"
            );
            Ok(raw)
        }
        Ok(()) => Ok(raw),
    }
}

/// Our own session before this one may not have left the origin yet.
async fn tag(raw: &mut Raw, origin: &str) -> Result<()> {
    const OBJECT_IN_USE: &str = "55006";
    for _ in 0..LOOKS {
        match origin::tag(raw, origin).await {
            Err(error) if error.sqlstate() == Some(OBJECT_IN_USE) => tokio::time::sleep(LOOK).await,
            other => return other,
        }
    }
    origin::tag(raw, origin).await
}

/// The fence: the part has landed by another hand, or the plan is another one.
fn fenced(error: Error) -> Error {
    match error.sqlstate() {
        Some(existing::UNEXPECTED) => {
            Error::refused("another applier has copied a part of this task meanwhile; stop one of the two")
        }
        Some(_) | None => error,
    }
}

fn copy_in(name: &str, table: &CopyTable, further: &str) -> String {
    format!("COPY {name}{} FROM STDIN WITH {}", table.format.list(), table.format.options(further))
}

/// The table's error as it is told: the table, the statement without values, what the server says. A data exception quotes
/// a value, so only its code is told.
pub(super) fn explain(table: &CopyTable, doing: &str, error: Error) -> Error {
    let state = error.sqlstate().map(str::to_owned);
    let said = match &state {
        // Only a fresh table that is fresh no more gets here with it.
        Some(state) if state == existing::UNEXPECTED && table.fresh => {
            "somebody has put rows into it since the copy was planned; remove them".to_owned()
        }
        Some(state) => match tellable(state, &error.to_string()) {
            Some(said) => said.to_owned(),
            None => format!("a row does not fit (SQLSTATE {state})"),
        },
        None => error.to_string(),
    };
    let class = if error.class() == Class::Protocol { Class::Refused } else { error.class() };
    let told = Error::new(
        class,
        format!("the rows of {} are not copied: {doing} fails: {said}", table.source.readable()),
    );
    match state {
        Some(state) => told.with_sqlstate(state),
        None => told,
    }
}

/// The COPY into the table, for people.
pub(super) fn statement(table: &CopyTable) -> String {
    format!("COPY {} FROM STDIN", table.target.readable())
}

#[cfg(test)]
mod tests {
    use super::super::tests::copy_table;
    use super::*;

    fn part(unit: Unit) -> Part {
        Part { source_oid: 7, part: 0, unit, lower: None, upper: None, landed: None }
    }

    #[test]
    fn a_fresh_table_is_frozen_and_others_are_not() {
        let mut table = copy_table(7);
        let plain = "BEGIN; COPY \"public\".\"t\" (\"id\") FROM STDIN WITH (FORMAT binary)";
        assert_eq!(Destination::begin(&table, &part(Unit::Table)), plain);
        table.fresh = true;
        assert_eq!(Destination::begin(&table, &part(Unit::Blocks)), plain);
        let fresh = Destination::begin(&table, &part(Unit::Table));
        assert!(fresh.ends_with("TRUNCATE ONLY \"public\".\"t\"; COPY \"public\".\"t\" (\"id\") FROM STDIN WITH (FORMAT binary, FREEZE)"), "{fresh}");
    }

    #[test]
    fn values_are_not_told() {
        let error = Error::rejected("invalid input: \"secret\"").with_sqlstate("22P02");
        let told = explain(&copy_table(7), "COPY", error);
        assert!(!told.to_string().contains("secret"), "{told}");
        assert_eq!(told.sqlstate(), Some("22P02"));
    }
}
