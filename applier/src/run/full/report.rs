//! What others see of a copy: bars or lines here, numbers at the destination for `status`, and who waits because of it.

use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Client;

use crate::error::{Error, Result};
use crate::pg::{Session, client, client_error, quote};
use crate::run::Task;
use crate::run::sides::application_name;
use crate::state::tables::{self, Chosen, TableProgress, TableState};
use crate::state::tasks;
use crate::watch::{Progress, phase};

/// Bars move so often.
const SHOW: Duration = Duration::from_millis(250);
/// Every so many of these the numbers are written down.
const NOTE: u32 = 2;
/// And every so many who waits is looked at.
const LOOK: u32 = 8;

/// Shows and notes how far a copy is.
pub struct Report<'a> {
    task: &'a Task,
    source: Client,
    destination: Client,
    bars: Progress,
    noted: Vec<TableProgress>,
    /// The tables join a task that follows already.
    joining: bool,
}

impl<'a> Report<'a> {
    /// Over connections of its own.
    pub async fn new(task: &'a Task, tables: &[Chosen], joining: bool) -> Result<Self> {
        let name = application_name(task);
        let names =
            tables.iter().map(|table| (table.source_oid, quote::readable(&table.source.0, &table.source.1)));
        Ok(Self {
            task,
            source: client(&task.source, Session::query(&name)).await?,
            destination: client(&task.destination, Session::query(&name)).await?,
            bars: Progress::new(names),
            noted: Vec::new(),
            joining,
        })
    }

    /// Runs until dropped, or until a server is lost.
    pub async fn run(&mut self, progress: impl Fn() -> Vec<TableProgress>) -> Error {
        let mut tick = interval(SHOW);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut count = 0_u32;
        loop {
            tick.tick().await;
            let tables = progress();
            self.bars.show(&tables);
            count += 1;
            let noted = async {
                if count.is_multiple_of(NOTE) {
                    self.note(tables).await?;
                }
                if !self.joining && count.is_multiple_of(LOOK) {
                    self.waits().await?;
                }
                Ok(())
            };
            if let Err(error) = noted.await {
                return error;
            }
        }
    }

    /// The last numbers.
    pub async fn end(&mut self, tables: Vec<TableProgress>) -> Result<()> {
        self.bars.finish(&tables);
        self.note(tables).await
    }

    /// A table that joins is not called copied before all that hangs on it is made: it is what the next start goes by.
    async fn note(&mut self, mut tables: Vec<TableProgress>) -> Result<()> {
        for table in tables.iter_mut().filter(|table| self.joining && table.state == TableState::Copied) {
            table.state = TableState::Copying;
        }
        let news: Vec<TableProgress> = (tables.iter().enumerate())
            .filter(|(at, table)| self.noted.get(*at) != Some(table))
            .map(|(_, table)| table.clone())
            .collect();
        if !news.is_empty() {
            tables::note(&self.destination, self.task.config.task.name.as_str(), &news).await?;
        }
        self.noted = tables;
        Ok(())
    }

    /// Sessions of the source that wait behind the copy's locks (rule 24).
    async fn waits(&self) -> Result<()> {
        let sql = "SELECT a.pid, a.usename::text, \
                   pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.query_start)::bigint \
                   FROM pg_catalog.pg_stat_activity a WHERE a.wait_event_type = 'Lock' AND EXISTS \
                   (SELECT FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids(a.pid)) AS b(pid) \
                    JOIN pg_catalog.pg_stat_activity o ON o.pid = b.pid WHERE o.application_name = $1)";
        let rows = self.source.query(sql, &[&application_name(self.task)]).await.map_err(client_error)?;
        let one = |row: &tokio_postgres::Row| {
            let (pid, user, age): (i32, Option<String>, Option<i64>) = (row.get(0), row.get(1), row.get(2));
            let user = user.map(|user| format!(" of {}", quote::readable_ident(&user))).unwrap_or_default();
            let age = age.map(|age| format!(" for {age} s")).unwrap_or_default();
            format!("process {pid} of the source{user} waits{age} for a table that is being copied")
        };
        let waiting: Vec<String> = rows.iter().map(one).collect();
        let text = (!waiting.is_empty()).then(|| waiting.join("; "));
        tasks::note_wait(&self.destination, self.task.config.task.name.as_str(), phase::FULL, text.as_deref())
            .await
    }
}
