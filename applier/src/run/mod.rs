//! `walferry run`: the supervisor. It prepares both sides, runs one session of the stream after the other, and decides what
//! a failure means: at the start it ends the command; later the daemon outlives it.

mod choose;
mod ddl;
mod full;
mod gates;
mod ground;
mod identities;
mod join;
mod opposite;
mod prepare;
mod reload;
mod session;
mod sides;
mod source;
mod stop;
mod until;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};

use crate::apply::{Ended, Shared};
use crate::config::{Config, Mode};
use crate::copy::{Limiter, Limits};
use crate::error::{Class, Error, Result};
use crate::pg::{Conninfo, Lsn, Session, client};
use crate::state::tasks::{self, Report, Stage};
use crate::watch::phase;
use reload::Reload;
use session::Next;
use stop::Stop;
pub use until::Until;

/// The first pause after a failure; each next one is twice as long, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(200);
/// The longest pause before the next try.
const LONGEST: Duration = Duration::from_secs(10);

/// What lives as long as the command.
pub struct Task {
    /// The configuration.
    pub config: Config,
    /// Where the source is.
    pub source: Conninfo,
    /// Where the destination is.
    pub destination: Conninfo,
    /// Positions and counters.
    pub shared: Shared,
    /// Where to end; `None` runs for ever.
    pub until: Option<Until>,
    /// The end as an LSN, as soon as it is known.
    pub target: watch::Sender<Option<Lsn>>,
    /// A signal came.
    pub stop: Stop,
    /// The configuration was edited.
    pub reload: Reload,
    /// How fast rows may be copied.
    pub limit: Arc<Limiter>,
    /// The moment that the stream has caught up with, for the definitions that are still to be made.
    pub kept: Mutex<Option<full::Keeper>>,
    /// Tables that are to be copied again, by their oid at the source: behind the lock of the next attempt.
    pub broken: watch::Sender<Vec<u32>>,
}

/// Runs the task of the configuration file `path`; the exit status of the command.
pub async fn run(path: &Path, until: Option<Until>) -> Result<u8> {
    let config = Config::load(path)?;
    warn_of_what_is_not_there(&config);
    let limit = Arc::new(Limiter::new(Limits::new(&config.copy)));
    let at_once = limit.clone();
    let mut task = Task {
        source: Conninfo::source(&config.source)?,
        destination: Conninfo::destination(&config.destination)?,
        shared: Shared::default(),
        until,
        target: watch::Sender::new(None),
        stop: Stop::on_signals()?,
        reload: Reload::on_signal(path.to_owned(), &config, move |config| {
            at_once.replace(Limits::new(&config.copy))
        })?,
        limit,
        kept: Mutex::default(),
        broken: watch::Sender::new(Vec::new()),
        config,
    };
    match supervise(&mut task).await {
        Ok(Ended::Reached) => Ok(0),
        Ok(Ended::Stopped) if task.until.is_none() => Ok(0),
        Ok(Ended::Stopped) => Ok(task.stop.exit_status()),
        Err(error) if error.class() == Class::Stopped && task.until.is_none() => Ok(0),
        Err(error) if error.class() == Class::Stopped => Ok(task.stop.exit_status()),
        Err(error) => Err(error),
    }
}

/// The configuration is the whole contract; what of it this release does not do yet is not passed over in silence.
fn warn_of_what_is_not_there(config: &Config) {
    if config.metrics.listen.is_some() {
        tracing::warn!("[metrics] listen has no effect in this release; use walferry status");
    }
}

async fn supervise(task: &mut Task) -> Result<Ended> {
    let mut pause = SHORTEST;
    let mut told = String::new();
    let mut has_run = false;
    let mut reached = Lsn::ZERO;
    loop {
        if let Some(edited) = task.reload.take() {
            task.config = Config::clone(&edited);
        }
        let mut begun = false;
        let error = match attempt(task, has_run, &mut begun).await {
            Ok(Next::Ended(ended)) => return Ok(ended),
            Ok(Next::Again) => {
                has_run = true;
                continue;
            }
            Err(error) => error,
        };
        has_run |= begun;
        let transient = error.class().is_transient();
        let to_end = task.until.is_some() || task.config.task.mode == Mode::Full;
        if error.class() == Class::Stopped || !has_run || (!transient && to_end) {
            note_failure(task, &error).await;
            return Err(error);
        }
        let progress = task.shared.applied_lsn();
        if std::mem::replace(&mut reached, progress) < progress {
            pause = SHORTEST;
        }
        let news = told != error.to_string();
        if news {
            told = error.to_string();
            tracing::warn!("{error}");
        }
        if news || !transient {
            note_failure(task, &error).await;
        }
        task.stop.sleep(pause).await?;
        pause = (pause * 2).min(LONGEST);
    }
}

/// One attempt: what is left of the full copy, then the stream. `begun` turns true once there is something to go on with.
async fn attempt(task: &Task, again: bool, begun: &mut bool) -> Result<Next> {
    let ground = task.stop.unless(ground::ground(task)).await?;
    set_target(task, ground.sides.source.insert_lsn);
    let broken = task.broken.send_replace(Vec::new());
    if !broken.is_empty() {
        full::copy_again(task, &ground.sides, &broken).await?;
    }
    let advanced = task.stop.unless(full::advance(task, ground, begun)).await;
    if advanced.as_ref().is_err_and(|error| error.class() == Class::Stopped) {
        full::leave(task)
            .await
            .unwrap_or_else(|error| tracing::warn!("the slot may be left behind: {error}"));
    }
    let (ground, stage) = advanced?;
    match stage {
        Stage::Finished => {
            // With the ground goes the last writer, and with it the use of its tag.
            drop(ground);
            full::drop_origins(task).await?;
            Ok(Next::Ended(Ended::Reached))
        }
        Stage::CatchingUp => {
            let ready = task.stop.unless(prepare::prepare(task, ground, again, true)).await?;
            full::catch_up(task, ready, begun).await
        }
        Stage::Following => {
            let ready = task.stop.unless(prepare::prepare(task, ground, again, false)).await?;
            // A table that joins is to be level, too, before the run is over.
            let never = watch::Sender::new(None);
            let until =
                if ready.choices.joining.is_empty() { task.target.subscribe() } else { never.subscribe() };
            session::run(task, ready, phase::INCREMENTAL, until, begun).await
        }
        Stage::Slot | Stage::Definitions | Stage::Rows | Stage::Keys | Stage::Constraints => {
            Err(Error::protocol(format!("the full copy stopped at its stage {}", stage.as_str())))
        }
    }
}

/// `now` is when the command began: the first time that the source was asked.
fn set_target(task: &Task, insert_lsn: Lsn) {
    let target = match task.until {
        None => return,
        Some(Until::Now) => insert_lsn,
        Some(Until::At(lsn)) => lsn,
    };
    task.target.send_if_modified(|known| {
        let news = known.is_none();
        known.get_or_insert(target);
        news
    });
}

/// Puts the failure where `status` finds it. The destination may be what failed: then `status` finds out by itself.
async fn note_failure(task: &Task, error: &Error) {
    if error.class() == Class::Stopped {
        return;
    }
    let session = Session::query(&task.config.session_name());
    let Ok(client) = client(&task.destination, session).await else { return };
    let (transactions, changes) = task.shared.counts();
    let applied = task.shared.applied_lsn();
    let report = Report {
        // What passes by itself is no failure, but `status` shows it.
        phase: if error.class().is_transient() { phase::STARTING } else { phase::FAILED }.to_owned(),
        error: Some(error.to_string()),
        received_lsn: Some(task.shared.received_lsn()),
        applied_lsn: (applied > Lsn::ZERO).then_some(applied),
        transactions: transactions as i64,
        changes: changes as i64,
        ..Report::default()
    };
    if let Err(unwritten) = tasks::report(&client, task.config.task.name.as_str(), &report).await {
        tracing::debug!("the failure could not be written down: {unwritten}");
    }
}
