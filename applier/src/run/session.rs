//! One session of the stream: from START_REPLICATION until something breaks, a signal comes or the end is reached.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_postgres::Client;

use super::Task;
use super::ground::Ground;
use super::identities::Identities;
use super::prepare::Ready;
use super::sides::{application_name, writer_name};
use super::{ddl, join, opposite, source};
use crate::apply::{Applier, Ended, Gate, Parts, Policies, Policy, Receive, Shared, Targets, Writer, queue};
use crate::config::{Conflict, Scope};
use crate::error::{Error, Result};
use crate::pg::{Lsn, Session, client};
use crate::select::Choice;
use crate::state::tables::Chosen;
use crate::state::tasks;
use crate::watch::{Positions, Reporter};

/// Status goes out unasked at least so often (rule 4); the source answers with how far it has decoded.
const STATUS: Duration = Duration::from_secs(2);
/// After a signal, what is on its way gets so long to be finished.
const GRACE: Duration = Duration::from_secs(15);
/// The report is written so often.
const REPORT: Duration = Duration::from_secs(1);

/// How a session ended in good order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The run is over.
    Ended(Ended),
    /// Another session takes over: the configuration was edited, or tables have joined.
    Again,
}

/// Runs one session in a phase that users see, until all up to `until` is durable or something else ends it. `streamed` turns true once the stream
/// has begun.
pub async fn run(
    task: &Task,
    ready: Ready,
    phase: &'static str,
    until: watch::Receiver<Option<Lsn>>,
    streamed: &mut bool,
) -> Result<Next> {
    let gate = ready.gate.clone();
    match stream(task, ready, phase, until, streamed).await {
        Err(error) if !gate.broken().is_empty() => {
            tracing::warn!("{error}; the table is copied again from its beginning");
            task.broken.send_replace(gate.broken());
            Ok(Next::Again)
        }
        ended => ended,
    }
}

async fn stream(
    task: &Task,
    ready: Ready,
    phase: &'static str,
    until: watch::Receiver<Option<Lsn>>,
    streamed: &mut bool,
) -> Result<Next> {
    let Ready { ground, progress, names, choices, skips, gate, catching_up } = ready;
    let Ground { sides, replication, pipe, connect, .. } = ground;
    restore_counts(task, &sides.destination_client).await?;
    let closed = !gate.is_open();
    let mut options = options(task, &choices.chosen, closed);
    let opposite = opposite::origins(&sides).await?;
    options.push(("skip_origins", opposite.clone()));
    let options: Vec<(&str, &str)> = options.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let slot = task.config.slot();
    let begin = replication.start(&slot, progress, &options);
    let (sender, receiver) = task.stop.unless(begin).await?;
    *streamed = true;
    tracing::info!(lsn = %progress, "following the source");
    if until.borrow().is_some() {
        source::heartbeat(&sides.source_client).await?;
    }
    let (filling, draining) = queue();
    let (durable, acknowledged) = watch::channel(progress);
    let (finish, finished) = watch::channel(false);
    let (halt, halted) = watch::channel(false);
    let receive = Receive {
        sender,
        receiver,
        queue: filling,
        durable: acknowledged,
        finished,
        shared: &task.shared,
        every: status_interval(sides.source.wal_sender_timeout),
    };
    let name = task.config.task.name.as_str().to_owned();
    let questions = client(&task.destination, Session::query(&application_name(task))).await?;
    let targets = Targets::new(questions, names);
    ddl::warn_of_no_capture(task, &sides).await?;
    let definitions =
        ddl::definitions(task, &sides, &choices.chosen, skips, (gate.clone(), catching_up)).await?;
    let parts = Parts {
        writer: Writer::new(pipe, targets, name.clone(), policies(task), definitions, progress),
        connect,
        queue: draining,
        durable,
        until,
        stop: halted,
        gate: gate.clone(),
        source: client(&task.source, Session::query(&application_name(task))).await?,
    };
    let mut reporter = Reporter::new(sides.source_client, sides.destination_client, name, phase);
    let receive = receive.run();
    tokio::pin!(receive);
    let again = Cell::new(false);
    let halting = async {
        tokio::select! {
            _ = task.stop.requested() => {}
            () = task.reload.edited() => again.set(true),
            changed = opposite::changed(task, &opposite) => again.set(changed.map(|()| true)?),
            joined = join::run(task, &choices, gate.clone()) => again.set(joined?),
            () = opened(&gate), if closed && choices.joining.is_empty() => again.set(true),
        }
        halt.send_replace(true);
        std::future::pending::<Result<()>>().await
    };
    let ended = tokio::select! {
        broken = &mut receive => return Err(broken.err().unwrap_or_else(early)),
        broken = report(task, &mut reporter, closed) => return Err(broken),
        overdue = overdue(task) => return Err(overdue),
        broken = halting => return Err(broken.err().unwrap_or_else(early)),
        ended = Applier::new(parts, &task.shared).run() => ended?,
    };
    finish.send_replace(true);
    // The slot stays behind if this fails; it catches up at the next start.
    receive.await.unwrap_or_else(|error| tracing::warn!("the source did not take the last status: {error}"));
    reporter.report(positions(&task.shared)).await?;
    Ok(match ended {
        Ended::Stopped if again.get() => Next::Again,
        Ended::Stopped | Ended::Reached => Next::Ended(ended),
    })
}

/// Waits until no table needs the gate any more: large transactions may be streamed again.
async fn opened(gate: &Gate) {
    while !gate.is_open() {
        tokio::time::sleep(REPORT).await;
    }
}

/// A destination that hangs must not keep us from stopping: what is on its way is then given up, and read again.
async fn overdue(task: &Task) -> Error {
    let stopped = task.stop.requested().await;
    tokio::time::sleep(GRACE).await;
    tracing::warn!("what was on its way could not be finished in time; the next run reads it again");
    stopped
}

fn early() -> Error {
    Error::protocol("the receiver ended before the writer")
}

/// Writes the report once a second, and watches for a wait that only we can end.
async fn report(task: &Task, reporter: &mut Reporter, closed: bool) -> Error {
    // A session that fails at once does not look like one that runs.
    let mut tick = interval_at(Instant::now() + REPORT, REPORT);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let writers = writer_name(task);
    let mut identities = Identities::default();
    loop {
        tick.tick().await;
        let reported = reporter.report(positions(&task.shared)).await;
        if let Err(error) = identities.look(task).await {
            tracing::warn!("tables without replica identity could not be looked for: {error}");
        }
        task.shared.nudge();
        let blocked = match reported {
            Ok(()) if task.shared.may_stream() && !closed => reporter.blocks_itself(&writers).await,
            Ok(()) => Ok(false),
            Err(error) => Err(error),
        };
        match blocked {
            Ok(false) => {}
            Ok(true) => {
                task.shared.forbid_streaming();
                return Error::unreachable(
                    "a transaction in progress blocks others at the destination; starting again without streaming",
                );
            }
            Err(error) => return error,
        }
    }
}

fn positions(shared: &Shared) -> Positions {
    Positions { received: shared.received_lsn(), applied: shared.applied_lsn(), counts: shared.counts() }
}

/// The counters go on where the last process left them.
async fn restore_counts(task: &Task, destination: &Client) -> Result<()> {
    if task.shared.counts() == (0, 0)
        && let Some(report) = tasks::read(destination, task.config.task.name.as_str()).await?
    {
        task.shared.count(report.transactions.unsigned_abs(), report.changes.unsigned_abs());
    }
    Ok(())
}

/// The plugin's options. In scope `tables` the choice was made at the start; else names choose new tables, too.
fn options(task: &Task, chosen: &[Chosen], closed: bool) -> Vec<(&'static str, String)> {
    let choice = Choice::new(&task.config.objects);
    let include = match task.config.objects.scope {
        Scope::Database => choice.include(),
        Scope::Tables => "",
    };
    let oids = chosen.iter().map(|table| table.source_oid.to_string()).collect::<Vec<_>>().join(",");
    // What a copied table has seen is known by committed transactions.
    let streaming = if task.shared.may_stream() && !closed { "on" } else { "off" };
    vec![
        ("versions", walferry_wire::version::KNOWN.to_string()),
        ("include", include.to_owned()),
        ("exclude", choice.exclude().to_owned()),
        ("relations", oids),
        ("streaming", streaming.to_owned()),
        ("ddl", if task.config.objects.ddl { "on" } else { "off" }.to_owned()),
    ]
}

fn policies(task: &Task) -> Policies {
    let apply = task.config.apply.clone();
    Arc::new(move |schema, table| match apply.conflict_of(schema, table) {
        Conflict::Error => Policy::Error,
        Conflict::Ignore => Policy::Ignore,
        Conflict::Overwrite => Policy::Overwrite,
    })
}

/// A third of `wal_sender_timeout` (milliseconds, 0 for none) at the most.
fn status_interval(timeout: u64) -> Duration {
    match timeout {
        0 => STATUS,
        timeout => STATUS.min(Duration::from_millis(timeout / 3)),
    }
}
