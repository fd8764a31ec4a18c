//! `walferry run`: the supervisor. It prepares both sides, runs one session of the stream after the other, and decides what
//! a failure means: at the start it ends the command; later the daemon outlives it.

mod prepare;
mod session;
mod source;
mod stop;
mod until;

use std::time::Duration;
use tokio::sync::watch;

use crate::apply::{Ended, Shared};
use crate::config::{Config, Mode};
use crate::error::{Class, Error, Result};
use crate::pg::{Conninfo, Lsn, Session, client};
use crate::state::tasks::{self, Report};
use crate::watch::phase;
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
}

/// Runs the task; the exit status of the command.
pub async fn run(config: Config, until: Option<Until>) -> Result<u8> {
    refuse_other_modes(&config)?;
    warn_of_what_is_not_there(&config);
    let task = Task {
        source: Conninfo::source(&config.source)?,
        destination: Conninfo::destination(&config.destination)?,
        shared: Shared::default(),
        until,
        target: watch::Sender::new(None),
        stop: Stop::on_signals()?,
        config,
    };
    match supervise(&task).await {
        Ok(Ended::Reached) => Ok(0),
        Ok(Ended::Stopped) if task.until.is_none() => Ok(0),
        Ok(Ended::Stopped) => Ok(task.stop.exit_status()),
        Err(error) if error.class() == Class::Stopped && task.until.is_none() => Ok(0),
        Err(error) if error.class() == Class::Stopped => Ok(task.stop.exit_status()),
        Err(error) => Err(error),
    }
}

fn refuse_other_modes(config: &Config) -> Result<()> {
    match config.task.mode {
        Mode::Incremental => Ok(()),
        Mode::Full | Mode::FullIncremental => Err(Error::usage(
            "this release follows changes only; copy the rows first (for example pg_dump with the slot's snapshot) \
             and set [task] mode = \"incremental\"",
        )),
    }
}

/// The configuration is the whole contract; what of it this release does not do yet is not passed over in silence.
fn warn_of_what_is_not_there(config: &Config) {
    if config.objects.ddl {
        tracing::warn!(
            "changes of definitions are not carried over by this release ([objects] ddl): make them on both sides, \
             new tables and columns at the destination first"
        );
    }
    if config.source.set_identity_full {
        tracing::warn!("[source] set_identity_full has no effect in this release");
    }
    if config.metrics.listen.is_some() {
        tracing::warn!("[metrics] listen has no effect in this release; use walferry status");
    }
}

async fn supervise(task: &Task) -> Result<Ended> {
    let mut pause = SHORTEST;
    let mut told = String::new();
    let mut has_run = false;
    let mut reached = Lsn::ZERO;
    loop {
        let mut streamed = false;
        let error = match session::run(task, has_run, &mut streamed).await {
            Ok(ended) => return Ok(ended),
            Err(error) => error,
        };
        has_run |= streamed;
        let transient = error.class().is_transient();
        if error.class() == Class::Stopped || !has_run || (!transient && task.until.is_some()) {
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
