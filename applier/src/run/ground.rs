//! The ground a task stands on: both servers reached and looked at, the state installed, the task's lock held (rule 2).

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_postgres::Client;

use super::Task;
use super::source::{self, Source};
use crate::apply::{Connect, Pipe};
use crate::error::{Error, Result};
use crate::pg::{Raw, Replication, Session, client, client_error, major, quote};
use crate::state::{self, tasks};
use crate::state::tasks::Binding;

/// How often something that is waited for is looked at.
pub const LOOK: Duration = Duration::from_millis(200);

/// What every step of a task needs.
pub struct Ground {
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
    /// What the task is bound to, as things are now.
    pub binding: Binding,
    /// One for each piece of a copy's work at a time: parts of tables, indexes.
    pub permits: Arc<Semaphore>,
}

impl Ground {
    /// The source's major.
    pub async fn source_major(&self) -> Result<u32> {
        server_major(&self.source_client).await
    }

    /// The destination's major.
    pub async fn destination_major(&self) -> Result<u32> {
        server_major(&self.destination_client).await
    }
}

async fn server_major(client: &Client) -> Result<u32> {
    let sql = "SELECT pg_catalog.current_setting('server_version')";
    let version: String = client.query_one(sql, &[]).await.map_err(client_error)?.get(0);
    major(&version).ok_or_else(|| Error::protocol(format!("the server's version is \"{version}\"")))
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

/// Reaches both sides and takes the task's lock.
pub async fn ground(task: &Task) -> Result<Ground> {
    let name = application_name(task);
    let source_client = client(&task.source, Session::query(&name)).await.map_err(at_source)?;
    let destination_client =
        client(&task.destination, Session::query(&name)).await.map_err(at_destination)?;
    let source = source::look(&source_client).await?;
    super::full::refuse_wrong_slot(task, &source_client, &destination_client).await?;
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
    let permits = Arc::new(Semaphore::new(usize::from(task.config.copy.jobs.get())));
    Ok(Ground { source_client, destination_client, source, replication, pipe, connect, binding, permits })
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
        quote::ascii_literal(&key)
    );
    let mut told = false;
    while raw.simple(&try_lock).await?.concat() != [Some("t".to_owned())] {
        if !std::mem::replace(&mut told, true) {
            tracing::info!("another applier works on this task; waiting to take over");
        }
        tokio::time::sleep(LOOK).await;
    }
    wait_for_older_writers(client, &writer_name(task)).await?;
    let name = quote::ascii_literal(&writer_name(task));
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

