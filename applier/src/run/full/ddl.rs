//! Definitions that change while a full copy is under way. Tables are locked against that from their definitions to their
//! rows; what else changes comes through the stream, once the copy is there.

use super::keeper::Keeper;
use super::visible;
use crate::error::{Error, Result};
use crate::pg::client_error;
use crate::run::Task;
use crate::run::sides::Sides;
use crate::state::tasks;

/// A moment without a change of definitions just behind it is looked for so often.
const TRIES: usize = 20;

/// Refuses to go on with an interrupted copy if definitions have changed since they were read: the destination has a part of
/// the old ones, and the source only the new ones.
pub async fn refuse_changed(task: &Task, sides: &Sides) -> Result<()> {
    let name = task.config.task.name.as_str();
    let Some(then) = tasks::definitions(&sides.destination_client, name).await? else { return Ok(()) };
    if changes_since(task, sides, &then).await? == 0 {
        return Ok(());
    }
    Err(Error::refused(
        "the full copy was interrupted, and definitions have changed at the source since (walferry.ddl_log there has the \
         statements): it cannot be resumed; run walferry drop --yes, empty the destination and run again",
    ))
}

/// A snapshot of now, with the position that all statements on definitions which it sees stand before, and no other.
pub async fn moment(task: &Task, sides: &Sides) -> Result<Keeper> {
    for _ in 0..TRIES {
        visible::wait(&sides.source_client).await?;
        let keeper = Keeper::fresh(task, sides).await?;
        // A commit that stands before the position may become visible only now.
        visible::wait(&sides.source_client).await?;
        if changes_since(task, sides, &keeper.sees).await? == 0 {
            return Ok(keeper);
        }
    }
    Err(Error::unreachable("definitions change at the source all the time; trying again"))
}

/// How many statements were captured that a snapshot does not see.
pub async fn changes_since(task: &Task, sides: &Sides, snapshot: &str) -> Result<i64> {
    if !task.config.objects.ddl {
        return Ok(0);
    }
    let sql = "SELECT walferry.ddl_since($1::text::pg_snapshot)";
    Ok(sides.source_client.query_one(sql, &[&snapshot]).await.map_err(client_error)?.get(0))
}
