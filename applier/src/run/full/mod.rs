//! The full copy, stage by stage: slot and snapshot, definitions, rows, keys, and the rest of the definitions. Every stage
//! can be begun again after a crash; what is done is noted at the destination where it is done. If all rows come from one
//! snapshot, that of the slot, the stages follow one another; else the stream first makes the parts level (rule 23), because
//! constraints across rows hold only then.

mod again;
mod ddl;
mod definitions;
mod done;
mod keeper;
mod objects;
mod renamed;
mod report;
mod round;
mod rows;
mod slot;
mod visible;

use crate::apply::Ended;
use crate::catalog;
use crate::config::Mode;
use crate::copy::Progress;
use crate::error::{Class, Error, Result};
use crate::pg::{Lsn, Session, client};
use crate::run::Task;
use crate::run::choose;
use crate::run::ground::Ground;
use crate::run::prepare::{Ready, refuse_other_binding};
use crate::run::session::{self, Next};
use crate::run::sides::application_name;
use crate::state::tasks::{self, Stage};
use crate::state::{parts, progress};
use crate::watch::phase;
pub use again::copy_again;
pub use ddl::{changes_since, moment};
pub use definitions::{Definitions, Hanging};
pub use done::drop_origins;
pub use keeper::{Keeper, Locks};
pub use report::Report;
use round::Round;
pub use rows::Rows;
pub use slot::refuse_wrong as refuse_wrong_slot;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_postgres::Client;

/// A table that is changed under its copy is begun again so often.
pub const ROUNDS: usize = 5;

/// The full copy of one attempt.
struct Full<'a> {
    task: &'a Task,
    ground: Ground,
    round: Option<Round>,
    /// All rows are there.
    complete: bool,
    /// What could not be done. The rest goes on, but the stage stays for the next run.
    problems: Vec<String>,
}

/// Does what is left of the full copy, as far as it goes without the stream; the stage that the task is at then. `begun`
/// turns true once there is something to go on with.
pub async fn advance(task: &Task, ground: Ground, begun: &mut bool) -> Result<(Ground, Stage)> {
    let name = task.config.task.name.as_str();
    let mut stage = enter(task, &ground).await?;
    let mut full = Full { task, ground, round: None, complete: true, problems: Vec::new() };
    loop {
        *begun |= stage != Stage::Slot;
        let next = match stage {
            Stage::CatchingUp | Stage::Following | Stage::Finished => return full.end(stage),
            Stage::Slot => full.slot().await?,
            Stage::Definitions => full.before().await?,
            Stage::Rows => full.rows().await?,
            Stage::Keys => full.keys().await?,
            Stage::Constraints => full.rest().await?,
        };
        if !full.complete {
            return full.end(stage);
        }
        if full.problems.is_empty() {
            tasks::set_stage(&full.ground.sides.destination_client, name, next).await?;
        }
        stage = next;
    }
}

/// The stage to begin with. A task that is new is bound here.
async fn enter(task: &Task, ground: &Ground) -> Result<Stage> {
    let (name, destination) = (task.config.task.name.as_str(), &ground.sides.destination_client);
    if let Some(known) = tasks::binding(destination, name).await? {
        refuse_other_binding(&known, &ground.binding)?;
    }
    let stage = tasks::stage(destination, name).await?;
    match (task.config.task.mode, stage) {
        (Mode::Incremental, None | Some(Stage::Following)) => return Ok(Stage::Following),
        (Mode::Full, Some(Stage::Finished)) => {
            tracing::info!("the full copy is done already; nothing to do");
            return Ok(Stage::Finished);
        }
        (Mode::FullIncremental, Some(Stage::Following)) => return Ok(Stage::Following),
        (Mode::Full | Mode::FullIncremental, None) => {
            tasks::bind(destination, name, &ground.binding, Stage::Slot).await?;
        }
        (mode, Some(stage)) if !fits(mode, stage) => return Err(other_mode(stage)),
        (Mode::Incremental | Mode::Full | Mode::FullIncremental, Some(_)) => {}
    }
    tasks::note_wait(destination, name, phase::FULL, None).await?;
    Ok(stage.unwrap_or(Stage::Slot))
}

/// Whether a task at this stage can go on in this mode.
fn fits(mode: Mode, stage: Stage) -> bool {
    match mode {
        Mode::Incremental => stage == Stage::Following,
        Mode::Full => stage != Stage::Following,
        Mode::FullIncremental => stage != Stage::Finished,
    }
}

fn other_mode(stage: Stage) -> Error {
    Error::refused(match stage {
        Stage::Finished => {
            "this task has finished its full copy and has no slot any more; use a new task, or mode = \"full\"".to_owned()
        }
        Stage::Following => {
            "this task follows its source already; set mode = \"full+incremental\" or \"incremental\"".to_owned()
        }
        Stage::Slot
        | Stage::Definitions
        | Stage::Rows
        | Stage::Keys
        | Stage::CatchingUp
        | Stage::Constraints => format!(
            "the full copy of this task is not done (it is at {}); go on with mode = \"full+incremental\" or \"full\"",
            stage.as_str()
        ),
    })
}

impl Full<'_> {
    /// The slot, the snapshot that matches it, the tables, and a look whether the destination can take them.
    async fn slot(&mut self) -> Result<Stage> {
        let name = self.task.config.task.name.as_str();
        self.drop_slot().await?;
        tasks::clear(&mut self.ground.sides.destination_client, name).await?;
        match self.begin().await {
            Ok(()) => Ok(Stage::Definitions),
            Err(error) => {
                // Nothing was written: the next run begins anew.
                if !error.class().is_transient() && error.class() != Class::Stopped {
                    self.drop_slot().await?;
                    tasks::remove(&mut self.ground.sides.destination_client, name).await?;
                }
                Err(error)
            }
        }
    }

    async fn drop_slot(&self) -> Result<()> {
        drop_slot(self.task, &self.ground.sides.source_client).await
    }

    async fn begin(&mut self) -> Result<()> {
        let mut tries = 0;
        let (created, round) = loop {
            let created = slot::make(self.task, &mut self.ground).await?;
            let mut round = Round::first(self.task, &self.ground.sides, &created).await?;
            round.definitions.refuse_collisions()?;
            if round.settle(self.task, &self.ground.sides).await? {
                break (created, round);
            }
            tries += 1;
            if round::is_endless(tries) {
                return Err(round::endless());
            }
            self.drop_slot().await?;
        };
        let (name, destination) =
            (self.task.config.task.name.as_str(), &self.ground.sides.destination_client);
        progress::begin(destination, name, created.consistent_point).await?;
        choose::begin(self.task, destination, &round.chosen).await?;
        tasks::set_definitions(destination, name, &round.sees).await?;
        self.round = Some(round);
        Ok(())
    }

    /// What comes before the rows.
    async fn before(&mut self) -> Result<Stage> {
        let round = match self.round.take() {
            Some(round) => round,
            None => self.again(true).await?,
        };
        self.round = Some(self.with_definitions(round).await?);
        Ok(Stage::Rows)
    }

    async fn rows(&mut self) -> Result<Stage> {
        let progress = Arc::new(Progress::default());
        for _ in 0..ROUNDS {
            let mut round = self.round(true).await?;
            let rows = Rows {
                task: self.task,
                sides: &self.ground.sides,
                chosen: &round.chosen,
                made: round.definitions.are_made(),
                progress: progress.clone(),
            };
            let held = (round.keeper.take(), round.locks.take());
            let sources = std::mem::take(&mut round.sources);
            let ending = rows::copy(&rows, sources, held, &round.definitions, self.begun().await?).await?;
            self.problem(ending.problems);
            self.complete = ending.complete;
            if ending.changed.is_empty() {
                self.round = Some(round);
                return Ok(Stage::Keys);
            }
        }
        Err(round::endless())
    }

    /// What the stream needs to find rows; all the rest, too, if nothing is left to be made level.
    async fn keys(&mut self) -> Result<Stage> {
        let round = self.round(false).await?;
        let one = self.is_one_snapshot().await?;
        let what = if one { Hanging::All } else { Hanging::Keys };
        let problems = round.definitions.rest_of_hanging(what).await?;
        self.round = Some(round);
        self.problem(problems);
        Ok(if one { Stage::Constraints } else { Stage::CatchingUp })
    }

    /// The rest of the definitions, sequences, statistics; in mode full the end.
    async fn rest(&mut self) -> Result<Stage> {
        let round = match (self.round.take(), self.task.kept.lock().await.take()) {
            (Some(round), _) => round,
            (None, Some(keeper)) => Round::rest(self.task, &self.ground.sides, keeper).await?,
            // Interrupted: definitions may have changed, and the stream is to bring that first.
            (None, None) => return Ok(Stage::CatchingUp),
        };
        let Round { definitions, chosen, .. } = round;
        let mut problems = definitions.rest_of_hanging(Hanging::All).await?;
        problems.extend(definitions.last().await?);
        self.problem(problems);
        if !self.problems.is_empty() {
            return Ok(Stage::Following);
        }
        done::set_sequences(self.task, &self.ground.sides, &definitions, &chosen).await?;
        definitions.analyze(&chosen).await?;
        match self.task.config.task.mode {
            Mode::Full => done::finish(self.task, &self.ground.sides).await,
            Mode::FullIncremental | Mode::Incremental => Ok(Stage::Following),
        }
    }

    /// Where the stream begins.
    async fn begun(&self) -> Result<Lsn> {
        let (name, destination) =
            (self.task.config.task.name.as_str(), &self.ground.sides.destination_client);
        Ok(progress::read(destination, name).await?.unwrap_or(Lsn::ZERO))
    }

    /// Whether every part was copied as the stream's beginning sees it.
    async fn is_one_snapshot(&self) -> Result<bool> {
        let (name, destination) =
            (self.task.config.task.name.as_str(), &self.ground.sides.destination_client);
        let (horizon, begun) = (parts::horizon(destination, name).await?, self.begun().await?);
        Ok(horizon.is_none_or(|horizon| horizon <= begun))
    }

    /// The round of the stage before, or a new one: after a crash, or when the last one's tables were changed.
    async fn round(&mut self, rows: bool) -> Result<Round> {
        match self.round.take() {
            Some(round) => Ok(round),
            // With what the source has got since the first round; what is made already is not made again.
            None => {
                let round = self.again(rows).await?;
                self.with_definitions(round).await
            }
        }
    }

    /// A round after an interruption: the definitions are read once more, and must be those that they were.
    async fn again(&self, rows: bool) -> Result<Round> {
        let round = Round::again(self.task, &self.ground.sides, rows).await?;
        ddl::refuse_changed(self.task, &self.ground.sides).await?;
        Ok(round)
    }

    /// The round once what comes before the rows is made.
    async fn with_definitions(&mut self, mut round: Round) -> Result<Round> {
        let problems = round.definitions.before(&self.ground.sides, self.task, &round.chosen).await?;
        self.problem(problems);
        Ok(round)
    }

    /// Notes what failed; what fails in several stages is told once.
    fn problem(&mut self, problems: Vec<String>) {
        for one in problems {
            if !self.problems.contains(&one) {
                self.problems.push(one);
            }
        }
    }

    fn end(self, stage: Stage) -> Result<(Ground, Stage)> {
        if self.problems.is_empty() {
            return Ok((self.ground, stage));
        }
        let all = self.problems.join("; ");
        Err(Error::rejected(format!(
            "the full copy is not complete ({} failed): {all}; mend that, then run again: what is done stays",
            self.problems.len()
        )))
    }
}

/// Drops the slot of this task, which no stream has begun on.
async fn drop_slot(task: &Task, source: &Client) -> Result<()> {
    let name = task.config.slot();
    catalog::slot::end_makers(source, &application_name(task), &name).await?;
    catalog::slot::drop(source, &name).await.map(|_| ())
}

/// After a stop: a walsender that was making the slot would go on waiting, and then leave a slot that nobody knows.
pub async fn leave(task: &Task) -> Result<()> {
    let source = client(&task.source, Session::query(&application_name(task))).await?;
    catalog::slot::end_makers(&source, &application_name(task), &task.config.slot()).await
}

/// Follows the stream until every part is as the source was at one moment, then goes on with the definitions as they are at
/// that moment.
pub async fn catch_up(task: &Task, ready: Ready, begun: &mut bool) -> Result<Next> {
    let name = task.config.task.name.as_str();
    let keeper = ddl::moment(task, &ready.ground.sides).await?;
    let noted = parts::horizon(&ready.ground.sides.destination_client, name).await?;
    let horizon = noted.map_or(keeper.lsn, |noted| noted.max(keeper.lsn)).max(ready.progress);
    tracing::info!(lsn = %horizon, "following the source until all that was copied is level");
    let until = watch::Sender::new(Some(horizon));
    match session::run(task, ready, phase::FULL, until.subscribe(), begun).await? {
        Next::Ended(Ended::Reached) => {
            let destination = client(&task.destination, Session::query(&application_name(task))).await?;
            tasks::set_stage(&destination, name, Stage::Constraints).await?;
            *task.kept.lock().await = Some(keeper);
            Ok(Next::Again)
        }
        other => Ok(other),
    }
}
