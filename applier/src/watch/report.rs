//! The report that a running daemon writes to `walferry_state.tasks`, once a second, for `walferry status` on any host.

use std::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

use super::lag::{Lag, before_page_header};
use crate::error::Result;
use crate::pg::{Lsn, client_error};
use crate::state::tasks::{self, Report};

/// The states that a user sees.
pub mod phase {
    /// Connecting and looking.
    pub const STARTING: &str = "starting";
    /// Copying definitions and rows.
    pub const FULL: &str = "full";
    /// Done for good.
    pub const FINISHED: &str = "finished";
    /// Following the source.
    pub const INCREMENTAL: &str = "incremental";
    /// Stopped by something that needs a person.
    pub const FAILED: &str = "failed";
}

/// Where the data path is, as the reporter needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions {
    /// Received from the source.
    pub received: Lsn,
    /// Visible at the destination.
    pub applied: Lsn,
    /// Transactions and changes applied.
    pub counts: (u64, u64),
}

/// Takes samples and writes reports.
pub struct Reporter {
    source: Client,
    destination: Client,
    task: String,
    phase: &'static str,
    lag: Lag,
    last: Option<Lsn>,
}

impl Reporter {
    /// Reports over these connections.
    pub fn new(source: Client, destination: Client, task: String, phase: &'static str) -> Self {
        Self { source, destination, task, phase, lag: Lag::default(), last: None }
    }

    /// Writes how things stood by the samples up to the last one, then takes the next. So every sample had a second to
    /// be applied before it counts.
    pub async fn report(&mut self, positions: Positions) -> Result<()> {
        let now = Instant::now();
        let lag = self.lag.applied(now, positions.applied);
        let report = Report {
            phase: self.phase.to_owned(),
            error: None,
            source_lsn: self.last.map(|last| last.max(positions.applied)),
            received_lsn: Some(positions.received.max(positions.applied)),
            applied_lsn: Some(positions.applied),
            lag_seconds: self.last.map(|_| (lag.as_secs_f64() * 10.0).round() / 10.0),
            transactions: positions.counts.0 as i64,
            changes: positions.counts.1 as i64,
            running: true,
            ..Report::default()
        };
        tasks::report(&self.destination, &self.task, &report).await?;
        let source = source_lsn(&self.source).await?;
        self.lag.sample(now, source);
        self.last = Some(source);
        Ok(())
    }

    /// Whether one of the task's writers waits for a lock of another one, directly or through others: a wait that
    /// PostgreSQL cannot see through.
    pub async fn blocks_itself(&self, application_name: &str) -> Result<bool> {
        let sql = "WITH RECURSIVE ours AS (SELECT pid FROM pg_catalog.pg_stat_activity WHERE application_name = $1), \
                   waits(pid) AS (SELECT b.pid FROM ours o \
                       CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(o.pid)) AS b(pid) \
                     UNION SELECT b.pid FROM waits w \
                       CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) AS b(pid)) \
                   SELECT EXISTS (SELECT FROM waits JOIN ours USING (pid))";
        Ok(self.destination.query_one(sql, &[&application_name]).await.map_err(client_error)?.get(0))
    }
}

/// The end of the source's WAL that can be decoded.
pub async fn source_lsn(source: &Client) -> Result<Lsn> {
    let sql = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
               ELSE pg_catalog.pg_current_wal_flush_lsn() END";
    let lsn: PgLsn = source.query_one(sql, &[]).await.map_err(client_error)?.get(0);
    Ok(before_page_header(Lsn(lsn.into())))
}
