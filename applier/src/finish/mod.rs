//! The end of a task: for now its forced end, `walferry drop`.

use std::time::Duration;
use tokio::time::Instant;

use crate::catalog::slot;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::pg::{Conninfo, Session, client, origin};
use crate::state::{self, conflicts, tasks};

/// How long an applier that was told to stop gets to be gone, and how often it is looked for.
const LEAVE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

/// Removes the slot at the source and the task's state at the destination. Both are tried, whatever happens to the other;
/// what could not be removed is an error that says how to do it by hand.
pub async fn drop(config: &Config) -> Result<()> {
    refuse_running(config).await?;
    let mut left = Vec::new();
    match drop_slot(config).await {
        Ok(true) => println!("dropped the slot {} at the source", config.slot()),
        Ok(false) => println!("there is no slot {} at the source", config.slot()),
        Err(error) => left.push(format!(
            "the slot {} is still there ({error}); run SELECT pg_drop_replication_slot('{0}') at the source, \
             or it keeps WAL for ever",
            config.slot()
        )),
    }
    match drop_state(config).await {
        Ok(()) => println!("removed the state of the task {} at the destination", config.task.name),
        Err(error) => {
            left.push(format!("the task's state is still at the destination ({error}); run drop again"))
        }
    }
    if left.is_empty() { Ok(()) } else { Err(Error::refused(left.join("; "))) }
}

/// A daemon at work would begin the task anew. One that was just stopped gets a moment to be gone.
async fn refuse_running(config: &Config) -> Result<()> {
    // A destination that cannot be reached has nobody writing to it; what follows says so.
    let Ok(destination) = client(&Conninfo::destination(&config.destination)?, session(config)).await else {
        return Ok(());
    };
    let name = config.task.name.as_str();
    let began = Instant::now();
    while state::is_installed(&destination).await?
        && tasks::read(&destination, name).await?.is_some_and(|report| report.running)
    {
        if began.elapsed() > LEAVE {
            return Err(Error::refused(format!(
                "an applier works on the task {name}; stop it first (systemctl stop walferry@..., or SIGTERM), then run drop again"
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn drop_slot(config: &Config) -> Result<bool> {
    let source = client(&Conninfo::source(&config.source)?, session(config)).await?;
    slot::end_makers(&source, &config.session_name(), &config.slot()).await?;
    slot::drop(&source, &config.slot()).await
}

async fn drop_state(config: &Config) -> Result<()> {
    let mut destination = client(&Conninfo::destination(&config.destination)?, session(config)).await?;
    if state::is_installed(&destination).await? {
        tasks::remove(&mut destination, config.task.name.as_str()).await?;
    }
    origin::drop_all(&destination, config.task.name.as_str()).await
}

/// Asks the task to pass over one transaction: noted at the destination, done by the next `run` or the next try.
pub async fn skip(config: &Config, lsn: crate::pg::Lsn) -> Result<()> {
    let destination = client(&Conninfo::destination(&config.destination)?, session(config)).await?;
    let task = config.task.name.as_str();
    if !state::is_installed(&destination).await? || tasks::binding(&destination, task).await?.is_none() {
        return Err(Error::refused(format!(
            "the task {task} has no state at the destination: nothing to skip"
        )));
    }
    conflicts::ask_skip(&destination, task, lsn).await?;
    println!("the transaction or statement at {lsn} will be skipped when the task meets it");
    Ok(())
}

fn session(config: &Config) -> Session {
    Session::query(&config.session_name())
}
