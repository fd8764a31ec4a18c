//! A worker's session at the source: takes the snapshot of a part behind the table's lock, and looks whether the table
//! still is the one that was planned (rules 23 and 24).

use tokio::sync::Mutex;

use super::{CopyTable, Reading};
use crate::catalog::source::{self, Fingerprint};
use crate::error::{Error, Result};
use crate::pg::{Conninfo, Lsn, Raw, Session, Snapshot, quote};
use crate::state::parts::{Part, Unit};

/// SQLSTATE lock_not_available.
const NOT_AVAILABLE: &str = "55P03";
/// SQLSTATE undefined_table, undefined_column: dropped, renamed or moved.
const GONE: [&str; 3] = ["42P01", "42703", "3F000"];

/// How the source is read.
pub(super) struct Source {
    pub conninfo: Conninfo,
    pub session: Session,
    pub reading: Reading,
    /// Has the locks of all tables, in a transaction with the shared snapshot if there is one. Whoever waits behind one of them (an ALTER
    /// TABLE) keeps our other sessions from the table, but not this one.
    pub holder: Mutex<Option<Raw>>,
}

/// What a part is read in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub snapshot: Snapshot,
    pub lsn: Lsn,
}

/// How the lock of a table is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// The session has it.
    Held,
    /// At once, or not at all.
    Try,
    /// Whoever has it goes first.
    Wait,
}

/// Why a part is not read.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The table is not the one that was planned.
    Changed,
    /// Somebody waits for the table behind our own lock.
    Locked,
    /// The table cannot be read.
    Table(Error),
    /// No table can be read.
    Round(Error),
}

impl Source {
    /// A session; with a shared snapshot it is in a transaction that has it.
    pub async fn open(&self) -> Result<Raw> {
        let mut raw = Raw::open(&self.conninfo, self.session.clone()).await?;
        if let Reading::Shared { snapshot, .. } = &self.reading {
            let snapshot = quote::ascii_literal(snapshot);
            raw.simple(&format!("{BEGIN}; SET TRANSACTION SNAPSHOT {snapshot}")).await.map_err(importing)?;
        }
        Ok(raw)
    }

    /// Locks the table, takes the part's snapshot, and looks. After [`Refusal::Locked`], and after all that was begun with
    /// [`Lock::Held`], the session needs [`Source::restore`].
    pub async fn begin(&self, raw: &mut Raw, table: &CopyTable, lock: Lock) -> Result<Seen, Refusal> {
        let lock = self.lock(table, lock);
        let look = look(table);
        let rows = raw.simple(&format!("{lock}{look}")).await.map_err(refusal)?;
        let answer = rows.last().map(Vec::as_slice);
        let Some([Some(snapshot), Some(lsn), Some(fingerprint)]) = answer else {
            return Err(Refusal::Changed);
        };
        if Fingerprint::new(fingerprint.clone()) != table.source.fingerprint {
            return Err(Refusal::Changed);
        }
        let strange =
            || Refusal::Round(Error::protocol("the source's answer about its snapshot is not understood"));
        let snapshot = snapshot.parse().map_err(|_| strange())?;
        let lsn = lsn.parse().map_err(|_| strange())?;
        match &self.reading {
            Reading::Shared { lsn, .. } => Ok(Seen { snapshot, lsn: *lsn }),
            Reading::Own => Ok(Seen { snapshot, lsn }),
        }
    }

    /// With a snapshot of its own the lock comes first: LOCK TABLE takes none.
    fn lock(&self, table: &CopyTable, lock: Lock) -> String {
        let sql = format!("LOCK TABLE ONLY {} IN ACCESS SHARE MODE", table.source.qualified());
        match (&self.reading, lock) {
            (Reading::Shared { .. } | Reading::Own, Lock::Held) => format!("{SAVEPOINT}; "),
            (Reading::Shared { .. }, Lock::Wait) => format!("{sql}; "),
            (Reading::Shared { .. }, Lock::Try) => {
                format!("{SAVEPOINT}; {sql} NOWAIT; RELEASE {SAVEPOINT}; ")
            }
            (Reading::Own, Lock::Wait) => format!("{BEGIN}; {sql}; "),
            (Reading::Own, Lock::Try) => format!("{BEGIN}; {sql} NOWAIT; "),
        }
    }

    /// A transaction that has locks, or the shared snapshot, goes on, whatever the part has run into.
    pub async fn restore(&self, raw: &mut Raw, lock: Lock) -> Result<()> {
        let sql = match (&self.reading, lock) {
            (Reading::Shared { .. }, _) | (Reading::Own, Lock::Held) => {
                format!("ROLLBACK TO {SAVEPOINT}; RELEASE {SAVEPOINT}")
            }
            (Reading::Own, Lock::Try | Lock::Wait) => "ROLLBACK".to_owned(),
        };
        raw.simple(&sql).await.map(|_| ())
    }

    /// Ends what [`Source::begin`] began.
    pub async fn end(&self, raw: &mut Raw, lock: Lock) -> Result<()> {
        match (&self.reading, lock) {
            (Reading::Shared { .. }, _) | (Reading::Own, Lock::Held) => Ok(()),
            (Reading::Own, Lock::Try | Lock::Wait) => raw.commit("COMMIT").await,
        }
    }
}

const SAVEPOINT: &str = "SAVEPOINT part";
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Whoever exported the snapshot has lost its connection, or its server: nobody can read in it any more.
fn importing(error: Error) -> Error {
    match error.sqlstate() {
        // invalid_parameter_value and, of newer servers, undefined_object: there is no such snapshot.
        // object_not_in_prerequisite_state: the session that had it has just ended.
        Some("22023" | "42704" | "55000") => {
            Error::unreachable("the shared snapshot is gone; the copy begins another round")
        }
        Some(_) | None => error,
    }
}

/// One row if the name still means the table.
fn look(table: &CopyTable) -> String {
    let name = quote::qualified(&table.source.schema, &table.source.name);
    format!(
        "SELECT pg_catalog.pg_current_snapshot(), pg_catalog.pg_current_wal_insert_lsn(), {} \
         FROM pg_catalog.pg_class c WHERE c.oid = {} AND c.oid = pg_catalog.to_regclass({})",
        source::fingerprint("c"),
        table.source.oid,
        quote::ascii_literal(&name),
    )
}

fn refusal(error: Error) -> Refusal {
    match error.sqlstate() {
        Some(NOT_AVAILABLE) => Refusal::Locked,
        Some(state) if GONE.contains(&state) => Refusal::Changed,
        Some(_) if !error.class().is_transient() => Refusal::Table(error),
        Some(_) | None => Refusal::Round(error),
    }
}

/// The COPY that reads a part. A range goes through a query, a whole table is read directly.
pub(super) fn copy_out(table: &CopyTable, part: &Part) -> String {
    let (name, format) = (table.source.qualified(), &table.format);
    let options = format.options("");
    let condition = match (range(part), &table.source.condition) {
        (None, None) if !format.columns.is_empty() => {
            return format!("COPY {name}{} TO STDOUT WITH {options}", format.list());
        }
        (None, condition) => condition.clone().unwrap_or_default(),
        (Some(range), _) => format!("WHERE {range}"),
    };
    format!("COPY (SELECT {} FROM ONLY {name} {condition}) TO STDOUT WITH {options}", format.names())
}

/// The COPY out of the table, for people.
pub(super) fn statement(table: &CopyTable) -> String {
    format!("COPY {} TO STDOUT", table.source.readable())
}

fn range(part: &Part) -> Option<String> {
    let bound = |operator: &str, value: Option<i64>| {
        let value = value?;
        match &part.unit {
            Unit::Blocks => Some(format!("ctid {operator} '({value},0)'::pg_catalog.tid")),
            Unit::Key(column) => Some(format!("{} {operator} {value}", quote::ascii_ident(column))),
            Unit::Table | Unit::Existing | Unit::LargeObjects => None,
        }
    };
    let both: Vec<String> = bound(">=", part.lower).into_iter().chain(bound("<", part.upper)).collect();
    (!both.is_empty()).then(|| both.join(" AND "))
}

#[cfg(test)]
mod tests {
    use super::super::tests::copy_table;
    use super::*;

    fn part(unit: Unit, lower: Option<i64>, upper: Option<i64>) -> Part {
        Part { source_oid: 7, part: 0, unit, lower, upper, landed: None }
    }

    #[test]
    fn a_whole_table_is_read_directly() {
        let mut table = copy_table(7);
        let sql = copy_out(&table, &part(Unit::Table, None, None));
        assert_eq!(sql, "COPY \"public\".\"t\" (\"id\") TO STDOUT WITH (FORMAT binary)");
        table.source.condition = Some("WHERE id > 5".into());
        let sql = copy_out(&table, &part(Unit::Table, None, None));
        assert_eq!(
            sql,
            "COPY (SELECT \"id\" FROM ONLY \"public\".\"t\" WHERE id > 5) TO STDOUT WITH (FORMAT binary)"
        );
    }

    #[test]
    fn a_snapshot_that_is_gone_is_taken_again() {
        let gone = Error::rejected("invalid snapshot identifier (22023)").with_sqlstate("22023");
        assert!(importing(gone).class().is_transient());
        assert!(!importing(Error::refused("no").with_sqlstate("42501")).class().is_transient());
    }

    #[test]
    fn ranges_have_their_lower_bound_inside() {
        let blocks = copy_out(&copy_table(7), &part(Unit::Blocks, Some(10), Some(20)));
        assert!(blocks.contains("WHERE ctid >= '(10,0)'::pg_catalog.tid AND ctid < '(20,0)'"), "{blocks}");
        let key = copy_out(&copy_table(7), &part(Unit::Key("a b".into()), None, Some(-5)));
        assert!(key.contains("WHERE \"a b\" < -5)"), "{key}");
    }
}
