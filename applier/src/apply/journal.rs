//! How a group begins and ends: the transaction around the rows, with the row of progress inside (rules 1 and 2).

use super::group::{Group, Purpose};
use super::pipe::{Outcome, Pipe};
use super::statement::Statement;
use crate::error::{Error, Result};
use crate::pg::{Lsn, ServerError};
use crate::state::{progress, tasks};

/// One step of a task's progress: from its predecessor to the end of what is written with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// The progress that this one follows.
    pub prev: Lsn,
    /// The progress after it.
    pub lsn: Lsn,
}

/// What a commit left behind at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landed {
    /// Progress as of the commit.
    pub lsn: Lsn,
    /// The destination's WAL position that must be flushed for the commit to be durable (rule 4).
    pub written: Lsn,
    /// What was flushed when the commit was answered.
    pub flushed: Lsn,
}

/// Adds the row of progress.
pub fn advance(group: &mut Group<'_>, task: &str, advance: Advance) -> Result<()> {
    let worker = progress::MAIN_WORKER.to_be_bytes();
    let (prev, lsn) = (advance.prev.0.to_be_bytes(), advance.lsn.0.to_be_bytes());
    let values: [&[u8]; 4] = [task.as_bytes(), &worker, &prev, &lsn];
    let statement = || Statement { sql: progress::FOLLOW.to_owned(), types: progress::FOLLOW_TYPES.to_vec() };
    group.run(Purpose::Fixed(progress::FOLLOW), statement, values.iter().map(|value| Some(*value)))
}

/// Adds a write that changes nothing, so that a synchronous commit has something to wait for.
pub fn touch(group: &mut Group<'_>, task: &str) -> Result<()> {
    let statement = || Statement { sql: tasks::TOUCH.to_owned(), types: tasks::TOUCH_TYPES.to_vec() };
    group.run(Purpose::Fixed(tasks::TOUCH), statement, [Some(task.as_bytes())].into_iter())
}

/// Adds COMMIT, and the question where it stands in the destination's WAL.
pub fn commit(group: &mut Group<'_>) -> Result<()> {
    group.command("COMMIT")?;
    group.command(progress::WAL_POSITIONS)
}

/// Reads the outcome of a group that ended with [`commit`].
pub fn landed(outcome: &Outcome, lsn: Lsn) -> Result<Landed> {
    if !outcome.committed {
        return Err(Error::protocol("the destination answered a COMMIT with something else"));
    }
    let position = |at: usize| {
        let text = outcome.rows.last()?.get(at)?.as_deref()?;
        std::str::from_utf8(text).ok()?.parse::<Lsn>().ok()
    };
    match (position(0), position(1)) {
        (Some(written), Some(flushed)) => Ok(Landed { lsn, written, flushed }),
        // The commit stands; that it is durable is known with that of a later one.
        _ => Ok(Landed { lsn, written: Lsn(u64::MAX), flushed: Lsn::ZERO }),
    }
}

/// Ends an open block: progress, then COMMIT.
pub async fn finish(pipe: &mut Pipe, task: &str, step: Advance) -> Result<Landed> {
    let mut group = pipe.group()?;
    advance(&mut group, task, step)?;
    commit(&mut group)?;
    let bytes = group.finish();
    let outcome = pipe.call(bytes).await?;
    match outcome.error {
        None => landed(&outcome, step.lsn),
        Some(error) => Err(failed(error)),
    }
}

/// What is said when another writer has moved progress.
pub fn fenced() -> Error {
    Error::unreachable("another applier of this task has moved its progress on; starting again from there")
}

/// A failure of a group that holds nothing but progress.
pub fn failed(error: ServerError) -> Error {
    if error.code == progress::FENCED { fenced() } else { error.into() }
}
