//! The keeper of a snapshot: one session of the source whose transaction all readers of a round share. It, or locks alone,
//! keep the chosen tables from being altered while they are copied (rule 24).

use tokio_postgres::Client;

use crate::error::{Error, Result};
use crate::pg::{Created, Lsn, Raw, Session, client, client_error, quote};
use crate::run::Task;
use crate::run::sides::{Sides, application_name};

/// So many tables are locked by one statement.
const LOCK_AT_ONCE: usize = 200;
/// How long the second session waits for locks that the first one has, in milliseconds.
const PATIENCE: u32 = 1000;

/// A snapshot of the source, held for as long as this lives.
pub struct Keeper {
    /// The session that has it, and the locks.
    pub session: Raw,
    /// The name by which other sessions take the snapshot.
    pub name: String,
    /// All that it sees was committed before this position.
    pub lsn: Lsn,
    /// What it sees.
    pub sees: String,
}

/// Tables that nobody alters for as long as this lives. Its transactions have no snapshot and do not hold vacuum back, until
/// a table must be read in one because somebody waits behind the lock.
pub struct Locks {
    /// The session that has them.
    pub session: Raw,
    /// Another one, for questions about the tables: whoever waits behind the locks would keep a third from them.
    pub asker: Client,
}

impl Locks {
    /// Locks the tables; `None`: one of them is gone, or somebody waits for one already.
    pub async fn take(task: &Task, sides: &Sides, tables: &[(String, String)]) -> Result<Option<Self>> {
        let asker = client(&task.source, Session::query(&application_name(task))).await?;
        let mut commands = vec![BEGIN.to_owned()];
        commands.extend(locking(tables));
        match asker.batch_execute(&commands.join("; ")).await.map_err(client_error) {
            Ok(()) => {}
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut session = open(task, sides).await?;
        session.simple(&format!("SET lock_timeout = '{PATIENCE}ms'; {BEGIN}")).await?;
        match lock_all(&mut session, tables).await {
            Ok(is_locked) => Ok(is_locked.then_some(Self { session, asker })),
            // lock_not_available: who came between the two would wait for the first, and the second for them.
            Err(error) if error.sqlstate() == Some("55P03") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Keeper {
    /// Keeps the snapshot that was exported when the slot was made.
    pub async fn of_slot(task: &Task, sides: &Sides, created: &Created) -> Result<Self> {
        let Some(exported) = &created.snapshot else {
            return Err(Error::protocol("the source made the slot without exporting its snapshot"));
        };
        let mut session = begin(task, sides).await?;
        session.simple(&format!("SET TRANSACTION SNAPSHOT {}", quote::literal(exported))).await?;
        let (name, sees) = export(&mut session).await?;
        Ok(Self { name, sees, session, lsn: created.consistent_point })
    }

    /// Takes a new snapshot.
    pub async fn fresh(task: &Task, sides: &Sides) -> Result<Self> {
        let mut session = begin(task, sides).await?;
        let (name, sees) = export(&mut session).await?;
        let lsn = one(&mut session, "SELECT pg_catalog.pg_current_wal_insert_lsn()").await?;
        let lsn = lsn.parse().map_err(|error| Error::protocol(format!("source: {error}")))?;
        Ok(Self { session, name, lsn, sees })
    }

    /// Locks the tables from now on, by the names that the snapshot sees. `false`: one of them is gone.
    pub async fn lock(&mut self, tables: &[(String, String)]) -> Result<bool> {
        lock_all(&mut self.session, tables).await
    }

    /// A session that asks in the snapshot.
    pub async fn asker(&self, task: &Task) -> Result<Client> {
        let client = client(&task.source, Session::query(&application_name(task))).await?;
        let snapshot = quote::literal(&self.name);
        let begin =
            format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {snapshot}");
        client.batch_execute(&begin).await.map_err(client_error)?;
        Ok(client)
    }
}

async fn open(task: &Task, sides: &Sides) -> Result<Raw> {
    let session = Session::query(&application_name(task)).set("client_encoding", &sides.source.encoding);
    Raw::open(&task.source, session).await
}

async fn begin(task: &Task, sides: &Sides) -> Result<Raw> {
    let mut raw = open(task, sides).await?;
    raw.simple(BEGIN).await?;
    Ok(raw)
}

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The name by which others take the session's snapshot, and what it sees.
async fn export(session: &mut Raw) -> Result<(String, String)> {
    let name = one(session, "SELECT pg_catalog.pg_export_snapshot()").await?;
    Ok((name, one(session, "SELECT pg_catalog.pg_current_snapshot()").await?))
}

/// `false`: one of the tables is gone.
async fn lock_all(session: &mut Raw, tables: &[(String, String)]) -> Result<bool> {
    for sql in locking(tables) {
        match session.simple(&sql).await {
            Ok(_) => {}
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) => return Err(error.context("source")),
        }
    }
    Ok(true)
}

/// undefined_table, invalid_schema_name
fn is_gone(error: &Error) -> bool {
    matches!(error.sqlstate(), Some("42P01" | "3F000"))
}

async fn one(session: &mut Raw, sql: &str) -> Result<String> {
    let rows = session.simple(sql).await?;
    rows.into_iter().flatten().next().flatten().ok_or_else(|| Error::protocol("the source gave no answer"))
}

/// ACCESS SHARE, without the tables that inherit: each is chosen by itself. Waits for whoever alters one of them.
fn locking(tables: &[(String, String)]) -> impl Iterator<Item = String> {
    let name = |(schema, name): &(String, String)| format!("ONLY {}", quote::ascii_qualified(schema, name));
    tables.chunks(LOCK_AT_ONCE).map(move |some| {
        let names: Vec<String> = some.iter().map(name).collect();
        format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "))
    })
}
