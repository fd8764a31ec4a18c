//! From two connection strings to a stream that may begin: state installed, the task's lock held, progress read, slot
//! compared with it (rules 2 and 5).

use std::collections::HashSet;
use std::time::Duration;
use tokio_postgres::Client;

use super::Task;
use super::source::{self, Source};
use crate::apply::{Connect, Pipe};
use crate::config::Scope;
use crate::error::{Error, Result};
use crate::pg::{Lsn, Raw, Replication, Session, client, client_error};
use crate::select::{Choice, Names};
use crate::state::tables::Chosen;
use crate::state::tasks::Binding;
use crate::state::{self, conflicts, progress, tables, tasks};

/// How often something that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Everything that a session of the stream needs.
pub struct Ready {
    /// A connection to the source for questions.
    pub source_client: Client,
    /// A connection to the destination for questions.
    pub destination_client: Client,
    /// What the source is.
    pub source: Source,
    /// The replication connection, before its stream.
    pub replication: Replication,
    /// The writer's connection; its backend holds the task's lock.
    pub pipe: Pipe,
    /// How further writers connect.
    pub connect: Connect,
    /// Progress: where the stream goes on.
    pub progress: Lsn,
    /// What tables are called at the destination.
    pub names: Names,
    /// Tables that were chosen at the start.
    pub chosen: Vec<Chosen>,
    /// Transactions to pass over.
    pub skips: HashSet<Lsn>,
}

/// The name that all sessions of a task show, but for its writers.
pub fn application_name(task: &Task) -> String {
    task.config.session_name()
}

/// The name that the writers of a task show once they may write.
pub fn writer_name(task: &Task) -> String {
    format!("walferry/{}", task.config.task.name)
}

/// A session that writes rows. The planner stays on the indexes of the keys, which is what batched updates need, and plans
/// are kept.
fn writer_session(task: &Task, name: &str, encoding: &str) -> Session {
    Session::writer(name, encoding)
        .set("synchronous_commit", task.config.apply.synchronous_commit.as_str())
        .set("enable_hashjoin", "off")
        .set("enable_mergejoin", "off")
        .set("enable_seqscan", "off")
        .set("plan_cache_mode", "force_generic_plan")
        .set("jit", "off")
}

/// Prepares both sides. `again` says that this process has streamed before, so a slot that is still held is waited for.
pub async fn prepare(task: &Task, again: bool) -> Result<Ready> {
    let name = application_name(task);
    let source_client = client(&task.source, Session::query(&name)).await.map_err(at_source)?;
    let destination_client =
        client(&task.destination, Session::query(&name)).await.map_err(at_destination)?;
    let source = source::look(&source_client).await?;
    source::slot(&source_client, &task.config.slot()).await?;
    state::install(&destination_client).await?;
    let connect = Connect {
        conninfo: task.destination.clone(),
        session: writer_session(task, &writer_name(task), &source.encoding),
        task: task.config.task.name.to_string(),
    };
    let pipe = lock(task, &connect, &source.encoding, &destination_client).await?;
    let mut replication = Replication::open(&task.source, Session::replication(&name, &source.encoding))
        .await
        .map_err(at_source)?;
    let system_identifier = replication.identify_system().await?.system_id;
    let binding = Binding { slot: task.config.slot(), system_identifier, database_oid: source.database_oid };
    let progress = agree(task, &source_client, &destination_client, &binding, again).await?;
    let chosen = choose(task, &source_client, &destination_client).await?;
    let mut names = Names::new(&task.config.map);
    names.keep(chosen.iter().map(|table| (table.source_oid, table.destination.clone())));
    let skips = conflicts::skips(&destination_client, task.config.task.name.as_str()).await?;
    let skips = skips.into_iter().collect();
    Ok(Ready {
        source_client,
        destination_client,
        source,
        replication,
        pipe,
        connect,
        progress,
        names,
        chosen,
        skips,
    })
}

fn at_source(error: Error) -> Error {
    error.context("source")
}

fn at_destination(error: Error) -> Error {
    error.context("destination")
}

/// Takes the task's advisory lock on the writer's own connection, so that it is held exactly as long as that backend can
/// write; then waits until older backends of the task are gone (rule 2).
async fn lock(task: &Task, connect: &Connect, encoding: &str, client: &Client) -> Result<Pipe> {
    let session = writer_session(task, &application_name(task), encoding);
    let mut raw = Raw::open(&task.destination, session).await.map_err(at_destination)?;
    let key = tasks::lock_name(task.config.task.name.as_str());
    let try_lock = format!(
        "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended({}, 0))",
        crate::pg::quote::ascii_literal(&key)
    );
    let mut told = false;
    while raw.simple(&try_lock).await?.concat() != [Some("t".to_owned())] {
        if !std::mem::replace(&mut told, true) {
            tracing::info!("another applier works on this task; waiting to take over");
        }
        tokio::time::sleep(LOOK).await;
    }
    wait_for_older_writers(client, &writer_name(task)).await?;
    let name = crate::pg::quote::ascii_literal(&writer_name(task));
    raw.simple(&format!("SET application_name = {name}")).await?;
    connect.tagged(raw, 0).await
}

async fn wait_for_older_writers(client: &Client, name: &str) -> Result<()> {
    let sql = "SELECT count(*) FROM pg_catalog.pg_stat_activity \
               WHERE application_name = $1 AND datname = pg_catalog.current_database()";
    let mut told = false;
    while client.query_one(sql, &[&name]).await.map_err(client_error)?.get::<_, i64>(0) > 0 {
        if !std::mem::replace(&mut told, true) {
            tracing::info!("waiting until older writers of this task are gone");
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Compares what the destination has with what the slot can still give (rule 5); a task without state takes over an idle
/// slot at its confirmed_flush_lsn.
async fn agree(
    task: &Task,
    source_client: &Client,
    destination: &Client,
    binding: &Binding,
    again: bool,
) -> Result<Lsn> {
    let name = task.config.task.name.as_str();
    let known = tasks::binding(destination, name).await?;
    if let Some(known) = &known {
        refuse_other_binding(known, binding)?;
        tasks::start(destination, name).await?;
    }
    let slot = wait_for_slot(task, source_client, again).await?;
    match progress::read(destination, name).await? {
        Some(progress) => {
            refuse_gap(&binding.slot, slot.confirmed_flush, progress)?;
            // Read again: while we waited for the lock another applier may have moved progress past the first answer.
            refuse_older_source(source::look(source_client).await?.insert_lsn, progress)?;
            Ok(progress)
        }
        None => {
            if known.is_none() {
                tasks::bind(destination, name, binding).await?;
            }
            progress::begin(destination, name, slot.confirmed_flush).await?;
            tracing::info!(lsn = %slot.confirmed_flush, "taking over the slot {}", binding.slot);
            Ok(slot.confirmed_flush)
        }
    }
}

/// Our own old walsender may not have noticed yet that its client is gone.
async fn wait_for_slot(task: &Task, client: &Client, again: bool) -> Result<source::Slot> {
    let mut told = false;
    loop {
        let slot = source::slot(client, &task.config.slot()).await?;
        match &slot.active {
            None => return Ok(slot),
            Some((pid, who)) if *who == application_name(task) || again => {
                if !std::mem::replace(&mut told, true) {
                    tracing::info!("waiting for process {pid} of the source to leave the slot");
                }
            }
            Some((pid, who)) => {
                return Err(Error::refused(format!(
                    "the slot {} is in use by process {pid} of the source ({}); stop that client, \
                     or name another slot with [source] slot",
                    task.config.slot(),
                    if who.is_empty() { "unnamed" } else { who }
                )));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn refuse_other_binding(known: &Binding, now: &Binding) -> Result<()> {
    let other = |what: &str, known: &dyn std::fmt::Display, now: &dyn std::fmt::Display| {
        Err(Error::refused(format!(
            "this task was started with the {what} {known}, but now it is {now}; go back to the old one, or give the \
             new source a task of its own and copy the rows again"
        )))
    };
    if known.system_identifier != now.system_identifier {
        return other("source server", &known.system_identifier, &now.system_identifier);
    }
    if known.database_oid != now.database_oid {
        return other("source database (oid)", &known.database_oid, &now.database_oid);
    }
    if known.slot != now.slot {
        return other("slot", &known.slot, &now.slot);
    }
    Ok(())
}

/// START_REPLICATION would skip forward to the slot's own position in silence.
fn refuse_gap(slot: &str, confirmed: Lsn, progress: Lsn) -> Result<()> {
    if confirmed <= progress {
        return Ok(());
    }
    Err(Error::refused(format!(
        "the slot {slot} has been moved on to {confirmed}, but the destination has the changes up to {progress} only; \
         what lies between is lost for this slot: copy the rows again (walferry drop --yes, then a new slot)"
    )))
}

fn refuse_older_source(source: Lsn, progress: Lsn) -> Result<()> {
    if source >= progress {
        return Ok(());
    }
    Err(Error::refused(format!(
        "the source's WAL ends at {source}, before {progress}, which the destination already has: the source was \
         restored or replaced; copy the rows again with a new task"
    )))
}

/// Notes the chosen tables at the first start; later that choice stays.
async fn choose(task: &Task, source: &Client, destination: &Client) -> Result<Vec<Chosen>> {
    let name = task.config.task.name.as_str();
    let known = tables::read(destination, name).await?;
    if !known.is_empty() {
        return Ok(known);
    }
    let choice = Choice::new(&task.config.objects);
    let names = Names::new(&task.config.map);
    let all = source::tables(source).await?.into_iter();
    let chosen: Vec<Chosen> = all
        .filter(|(oid, schema, table)| choice.wants(*oid, schema, table))
        .map(|(source_oid, schema, table)| {
            let destination = names.of(source_oid, &schema, &table);
            Chosen { source_oid, source: (schema, table), destination }
        })
        .collect();
    if chosen.is_empty() && task.config.objects.scope == Scope::Tables {
        return Err(Error::refused(
            "[objects] include and exclude choose no table of the source; correct the patterns",
        ));
    }
    tables::add(destination, name, &chosen).await?;
    Ok(chosen)
}
