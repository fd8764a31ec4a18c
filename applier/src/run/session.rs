//! One session of the stream: from START_REPLICATION until something breaks, a signal comes or the end is reached.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::Task;
use super::Until;
use super::prepare::{Ready, application_name, prepare, writer_name};
use super::source;
use crate::apply::{Applier, Ended, Parts, Policies, Policy, Receive, Shared, Targets, Writer, queue};
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

/// Runs one session. `streamed` turns true once the stream has begun.
pub async fn run(task: &Task, again: bool, streamed: &mut bool) -> Result<Ended> {
    let ready = task.stop.unless(prepare(task, again)).await?;
    set_target(task, ready.source.insert_lsn);
    restore_counts(task, &ready).await?;
    let options = options(task, &ready.chosen);
    let options: Vec<(&str, &str)> = options.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let slot = task.config.slot();
    let begin = ready.replication.start(&slot, ready.progress, &options);
    let (sender, receiver) = task.stop.unless(begin).await?;
    *streamed = true;
    tracing::info!(lsn = %ready.progress, "following the source");
    if task.until.is_some() {
        source::heartbeat(&ready.source_client).await?;
    }
    let (filling, draining) = queue();
    let (durable, acknowledged) = watch::channel(ready.progress);
    let (finish, finished) = watch::channel(false);
    let receive = Receive {
        sender,
        receiver,
        queue: filling,
        durable: acknowledged,
        finished,
        shared: &task.shared,
        every: status_interval(ready.source.wal_sender_timeout),
    };
    let name = task.config.task.name.as_str().to_owned();
    let questions = client(&task.destination, Session::query(&application_name(task))).await?;
    let targets = Targets::new(questions, ready.names);
    let parts = Parts {
        writer: Writer::new(ready.pipe, targets, name.clone(), policies(task), ready.skips, ready.progress),
        connect: ready.connect,
        queue: draining,
        durable,
        until: task.target.subscribe(),
        stop: task.stop.watch(),
    };
    let mut reporter = Reporter::new(ready.source_client, ready.destination_client, name);
    let receive = receive.run();
    tokio::pin!(receive);
    let ended = tokio::select! {
        broken = &mut receive => return Err(broken.err().unwrap_or_else(early)),
        broken = report(task, &mut reporter) => return Err(broken),
        overdue = overdue(task) => return Err(overdue),
        ended = Applier::new(parts, &task.shared).run() => ended?,
    };
    finish.send_replace(true);
    // The slot stays behind if this fails; it catches up at the next start.
    receive.await.unwrap_or_else(|error| tracing::warn!("the source did not take the last status: {error}"));
    reporter.report(positions(&task.shared)).await?;
    Ok(ended)
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
async fn report(task: &Task, reporter: &mut Reporter) -> Error {
    // A session that fails at once does not look like one that runs.
    let mut tick = interval_at(Instant::now() + REPORT, REPORT);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let writers = writer_name(task);
    loop {
        tick.tick().await;
        let reported = reporter.report(positions(&task.shared)).await;
        task.shared.nudge();
        let blocked = match reported {
            Ok(()) if task.shared.may_stream() => reporter.blocks_itself(&writers).await,
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

/// The counters go on where the last process left them.
async fn restore_counts(task: &Task, ready: &Ready) -> Result<()> {
    if task.shared.counts() == (0, 0)
        && let Some(report) = tasks::read(&ready.destination_client, task.config.task.name.as_str()).await?
    {
        task.shared.count(report.transactions.unsigned_abs(), report.changes.unsigned_abs());
    }
    Ok(())
}

/// The plugin's options. In scope `tables` the choice was made at the start; else names choose new tables, too.
fn options(task: &Task, chosen: &[Chosen]) -> Vec<(&'static str, String)> {
    let choice = Choice::new(&task.config.objects);
    let include = match task.config.objects.scope {
        Scope::Database => choice.include(),
        Scope::Tables => "",
    };
    let oids = chosen.iter().map(|table| table.source_oid.to_string()).collect::<Vec<_>>().join(",");
    let streaming = if task.shared.may_stream() { "on" } else { "off" };
    vec![
        ("versions", walferry_wire::version::KNOWN.to_string()),
        ("include", include.to_owned()),
        ("exclude", choice.exclude().to_owned()),
        ("relations", oids),
        ("streaming", streaming.to_owned()),
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
