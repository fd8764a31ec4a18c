//! The applier's large transactions, each on a connection of its own beside the main writer's: which there are, and the
//! connections that wait for the next ones.

use super::Applier;
use super::journal::Advance;
use super::large::{Around, Large};
use super::model::{CommitPoint, Transaction};
use super::pipe::Pipe;
use crate::error::{Error, Result};

/// No more transactions in progress than this are written side by side.
const MOST_LARGE: usize = 6;

impl Applier<'_> {
    pub(super) async fn large(
        &mut self,
        xid: u64,
        point: Option<CommitPoint>,
    ) -> Result<(&mut Large, Around<'_>)> {
        if !self.larges.contains_key(&xid) {
            let pipe = match self.spare.pop() {
                Some(pipe) => pipe,
                None => self.another_writer().await?,
            };
            self.larges.insert(xid, Large::begin(pipe, point).await?);
        }
        let around = self.parts.writer.around(self.shared);
        match self.larges.get_mut(&xid) {
            Some(large) => Ok((large, around)),
            None => Err(Error::protocol("a large transaction went away")),
        }
    }

    /// A connection for one more transaction in progress. If there are too many, or the destination has no room for it, they
    /// are asked for again once they have committed, one after the other.
    async fn another_writer(&mut self) -> Result<Pipe> {
        if self.larges.len() < MOST_LARGE {
            match self.parts.connect.writer(self.larges.len() + 1).await {
                Ok(pipe) => return Ok(pipe),
                Err(error) if self.larges.is_empty() => return Err(error),
                Err(error) => tracing::debug!("no further writer: {error}"),
            }
        }
        self.shared.forbid_streaming();
        Err(Error::unreachable(
            "more transactions in progress than connections for them; asking for them again once they have committed",
        ))
    }

    pub(super) async fn commit_large(&mut self, point: CommitPoint) -> Result<()> {
        self.settle_all().await?;
        let skip = self.parts.writer.skips(&point);
        let Some(large) = self.larges.remove(&point.xid) else { return self.nothing(point).await };
        let changes = large.changes();
        let advance = Advance { prev: self.parts.writer.committed(), lsn: point.end_lsn };
        let mut around = self.parts.writer.around(self.shared);
        // The statements of one that is skipped have been recorded, and nothing else.
        if skip && !large.changes_definitions() {
            self.spare.push(large.roll_back(&mut around).await?);
            return self.nothing(point).await;
        }
        let redefines = large.changes_definitions();
        let (landed, pipe) = large.commit(advance, &mut around).await?;
        if redefines {
            self.shared.redefined();
        }
        self.spare.push(pipe);
        self.parts.writer.follow(landed);
        self.uncounted.push_back((landed.lsn, 1, changes));
        self.landed(landed);
        Ok(())
    }

    /// A large transaction of which nothing is written: it is skipped, or all of it rolled back at the source.
    async fn nothing(&mut self, point: CommitPoint) -> Result<()> {
        self.pending.push(Transaction { point, changes: Vec::new(), weight: 0 });
        self.send().await
    }

    pub(super) async fn abort_large(&mut self, xid: u64, subxid: u64) -> Result<()> {
        if !self.larges.contains_key(&xid) {
            return Ok(());
        }
        if xid != subxid {
            let (large, mut around) = self.large(xid, None).await?;
            return large.abort(subxid, &mut around).await;
        }
        self.settle_all().await?;
        if let Some(large) = self.larges.remove(&xid) {
            let mut around = self.parts.writer.around(self.shared);
            self.spare.push(large.roll_back(&mut around).await?);
        }
        Ok(())
    }
}
