//! The end of a task: for now its forced end, `walferry drop`.

use crate::catalog::slot;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::pg::{Conninfo, Session, client, origin};
use crate::state::{self, conflicts, tasks};

/// Removes the slot at the source and the task's state at the destination. Both are tried, whatever happens to the other;
/// what could not be removed is an error that says how to do it by hand.
pub async fn drop(config: &Config) -> Result<()> {
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
    println!("the transaction at {lsn} will be skipped when the task meets it");
    Ok(())
}

fn session(config: &Config) -> Session {
    Session::query(&config.session_name())
}
