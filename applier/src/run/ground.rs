//! The ground a task stands on: both servers reached and looked at, the state installed, the task's lock held (rule 2).

use std::time::Duration;
use tokio_postgres::Client;

use super::Task;
use super::sides::{Sides, application_name, writer_name};
use crate::apply::{Connect, Pipe};
use crate::error::Result;
use crate::pg::{Raw, Replication, Session, client_error, quote};
use crate::state;
use crate::state::tasks::{self, Binding};

/// How often something that is waited for is looked at.
pub const LOOK: Duration = Duration::from_millis(200);

/// What a stream begins on.
pub struct Ground {
    /// Both sides.
    pub sides: Sides,
    /// The replication connection, before its stream.
    pub replication: Replication,
    /// The writer's connection; its backend holds the task's lock.
    pub pipe: Pipe,
    /// How further writers connect.
    pub connect: Connect,
    /// What the task is bound to, as things are now.
    pub binding: Binding,
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
    let sides = Sides::reach(task).await?;
    super::full::refuse_wrong_slot(task, &sides.source_client, &sides.destination_client).await?;
    state::install(&sides.destination_client).await?;
    let encoding = &sides.source.encoding;
    let connect = Connect {
        conninfo: task.destination.clone(),
        session: writer_session(task, &writer_name(task), encoding),
        task: task.config.task.name.to_string(),
    };
    let pipe = lock(task, &connect, encoding, &sides.destination_client).await?;
    let session = Session::replication(&name, encoding);
    let mut replication =
        Replication::open(&task.source, session).await.map_err(|error| error.context("source"))?;
    let system_identifier = replication.identify_system().await?.system_id;
    let database_oid = sides.source.database_oid;
    let binding = Binding { slot: task.config.slot(), system_identifier, database_oid };
    Ok(Ground { sides, replication, pipe, connect, binding })
}

/// Takes the task's advisory lock on the writer's own connection, so that it is held exactly as long as that backend can
/// write; then waits until older backends of the task are gone (rule 2).
async fn lock(task: &Task, connect: &Connect, encoding: &str, client: &Client) -> Result<Pipe> {
    let session = writer_session(task, &application_name(task), encoding);
    let mut raw =
        Raw::open(&task.destination, session).await.map_err(|error| error.context("destination"))?;
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
