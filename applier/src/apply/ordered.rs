//! Ordered mode: the changes of one transaction, row by row, each looked up before it is written. The only place that knows
//! about conflicts (the fast way may assume that there are none).

use bytes::Bytes;
use std::sync::Arc;

use super::conflict::{Kind, Policy, Resolution, resolve};
use super::encode::sent;
use super::locate::{self, Found};
use super::model::{Change, CommitPoint, OldRow, Relation, Row};
use super::pipe::{Outcome, Pipe};
use super::record::{Record, rejected, stopped};
use super::statement::Statement;
use super::target::Target;
use super::targets::Targets;
use super::write::Policies;
use crate::error::{Error, Result};
use crate::pg::ServerError;
use crate::state::conflicts;

/// Writes the changes of one transaction inside the open transaction block of a connection.
pub struct Ordered<'a> {
    pipe: &'a mut Pipe,
    targets: &'a mut Targets,
    task: &'a str,
    policies: &'a Policies,
    point: &'a CommitPoint,
    change: i64,
    /// The table at the source that the change is of: its policy counts.
    relation: Option<Arc<Relation>>,
    deferred: Vec<Deferred>,
    stopped_by: Option<Record>,
}

/// A row that a deferrable constraint has to be looked after for at the end of the transaction (rule 12).
struct Deferred {
    target: Arc<Target>,
    row: Row,
    inserted: bool,
    change: i64,
    relation: Option<Arc<Relation>>,
}

impl<'a> Ordered<'a> {
    /// Ordered mode for the transaction at `point`; a block is open on `pipe`.
    pub fn new(
        pipe: &'a mut Pipe,
        targets: &'a mut Targets,
        task: &'a str,
        policies: &'a Policies,
        point: &'a CommitPoint,
    ) -> Self {
        Self {
            pipe,
            targets,
            task,
            policies,
            point,
            change: 0,
            relation: None,
            deferred: Vec::new(),
            stopped_by: None,
        }
    }

    /// Counts changes from here: parts of a large transaction go on where the last one ended.
    pub fn starting_at(mut self, change: i64) -> Self {
        self.change = change;
        self
    }

    /// Writes changes in their order. An error leaves the block to be rolled back: see [`Ordered::stop`].
    pub async fn changes(&mut self, changes: &[Change]) -> Result<()> {
        for change in changes {
            self.change += 1;
            self.one(change).await?;
        }
        Ok(())
    }

    /// Writes all the changes of a transaction; see [`Ordered::changes`].
    pub async fn transaction(&mut self, changes: &[Change]) -> Result<()> {
        self.changes(changes).await?;
        self.look_after().await
    }

    /// Looks after the deferrable constraints, now that all changes of the transaction are written.
    async fn look_after(&mut self) -> Result<()> {
        for Deferred { target, row, inserted, change, relation } in std::mem::take(&mut self.deferred) {
            self.change = change;
            self.relation = relation;
            let (mut ours, mut rivals): (Vec<Found>, Vec<Found>) = (Vec::new(), Vec::new());
            for (statement, values) in locate::rivals(&target, &row, false) {
                for found in locate::found(self.run(&statement, &values).await?)? {
                    if found.ours { ours.push(found) } else { rivals.push(found) }
                }
            }
            if ours.is_empty() || rivals.is_empty() {
                continue;
            }
            let kind = if inserted { Kind::InsertExists } else { Kind::UpdateExists };
            match self.decide(&target, kind, &row, &row, &rivals).await? {
                Resolution::Overwritten => self.clear(&target, &rivals).await?,
                Resolution::Kept if inserted => self.clear(&target, &ours).await?,
                Resolution::Kept
                | Resolution::Stopped
                | Resolution::Inserted
                | Resolution::AlreadyGone
                | Resolution::Incomplete => {
                    self.stopped_by =
                        Some(self.record(&target, kind, Resolution::Stopped, &row, &row, &[], None));
                    return Err(stopped(&target, kind, self.point));
                }
            }
        }
        Ok(())
    }

    /// Marks the transaction as passed over instead of writing it.
    pub async fn skip(&mut self) -> Result<()> {
        let statement =
            Statement { sql: conflicts::SKIPPED.to_owned(), types: conflicts::SKIPPED_TYPES.to_vec() };
        let lsn = self.point.commit_lsn.0.to_be_bytes();
        let task = self.task.as_bytes().to_vec();
        tracing::warn!(lsn = %self.point.commit_lsn, "the transaction is skipped, as was asked");
        self.run(&statement, &[Some(task), Some(lsn.to_vec())]).await.map(|_| ())
    }

    /// Rolls back and keeps the record of what stopped the task in a transaction of its own.
    pub async fn stop(self, error: Error) -> Error {
        if error.class().is_transient() {
            return error;
        }
        let stopped = async {
            self.pipe.command("ROLLBACK").await?;
            if let Some(record) = &self.stopped_by {
                let outcome = self.pipe.once(&record.statement, record.values()).await?;
                return outcome.error.map_or(Ok(()), |error| Err(Error::from(error)));
            }
            Ok(())
        };
        match stopped.await {
            Ok(()) => {
                error.context(format_args!("transaction {} at {}", self.point.xid, self.point.commit_lsn))
            }
            Err(lost) => lost,
        }
    }

    async fn one(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::Insert { relation, new } => {
                self.relation = Some(relation.clone());
                let target = self.targets.resolve(relation).await?;
                self.insert(&target, new, None).await
            }
            Change::Update { relation, old, new } => {
                self.relation = Some(relation.clone());
                let target = self.targets.resolve(relation).await?;
                self.update(&target, old, new).await
            }
            Change::Delete { relation, old } => {
                self.relation = Some(relation.clone());
                let target = self.targets.resolve(relation).await?;
                self.delete(&target, old).await
            }
            Change::Truncate { relations, restart_identity } => {
                let statement = self.targets.truncate(relations, *restart_identity).await?;
                self.run(&statement, &[]).await.map(|_| ())
            }
            Change::Erase { relation, key, ranges } => {
                let statement = self.targets.erase(relation, key, ranges).await?;
                self.run(&statement, &[]).await.map(|_| ())
            }
        }
    }

    /// Inserts a row; `reason` is the conflict that turned an update into this insert.
    async fn insert(&mut self, target: &Arc<Target>, new: &Row, reason: Option<Kind>) -> Result<()> {
        let rivals = self.rivals(target, new, None).await?;
        let kind = match rivals.len() {
            0 => reason,
            1 => Some(Kind::InsertExists),
            _ => Some(Kind::MultipleUnique),
        };
        let Some(kind) = kind else { return self.write_new(target, new, new).await };
        let resolution = self.decide(target, kind, new, new, &rivals).await?;
        match resolution {
            Resolution::Overwritten => match rivals.as_slice() {
                [one] => self.overwrite(target, new, new, one).await,
                many => {
                    self.clear(target, many).await?;
                    self.write_new(target, new, new).await
                }
            },
            Resolution::Inserted => self.write_new(target, new, new).await,
            Resolution::Kept | Resolution::AlreadyGone | Resolution::Incomplete | Resolution::Stopped => {
                Ok(())
            }
        }
    }

    async fn update(&mut self, target: &Arc<Target>, old: &OldRow, new: &Row) -> Result<()> {
        let was = target.before(old, Some(new))?;
        let new = &fill(new, old);
        let found = self.find(target, &was).await?;
        let Some(found) = found.first() else { return self.update_missing(target, &was, new).await };
        let rivals = self.rivals(target, new, Some(found)).await?;
        if !rivals.is_empty() {
            let kind = if rivals.len() > 1 { Kind::MultipleUnique } else { Kind::UpdateExists };
            match self.decide(target, kind, &was, new, &rivals).await? {
                Resolution::Overwritten => self.clear(target, &rivals).await?,
                Resolution::Kept
                | Resolution::Inserted
                | Resolution::AlreadyGone
                | Resolution::Incomplete
                | Resolution::Stopped => return Ok(()),
            }
        }
        self.overwrite(target, &was, new, found).await
    }

    async fn update_missing(&mut self, target: &Arc<Target>, was: &Row, new: &Row) -> Result<()> {
        let policy = self.policy(target);
        match resolve(Kind::UpdateMissing, policy, !new.has_unchanged()) {
            Resolution::Inserted => self.insert(target, new, Some(Kind::UpdateMissing)).await,
            Resolution::Stopped
            | Resolution::Kept
            | Resolution::Overwritten
            | Resolution::AlreadyGone
            | Resolution::Incomplete => {
                self.decide(target, Kind::UpdateMissing, was, new, &[]).await.map(|_| ())
            }
        }
    }

    async fn delete(&mut self, target: &Arc<Target>, old: &OldRow) -> Result<()> {
        let was = target.before(old, None)?;
        match self.find(target, &was).await?.first() {
            Some(found) => self.clear(target, std::slice::from_ref(found)).await,
            None => self.decide(target, Kind::DeleteMissing, &was, &was, &[]).await.map(|_| ()),
        }
    }

    /// Records a conflict and says what to do; under policy `error` it is the end.
    async fn decide(
        &mut self,
        target: &Target,
        kind: Kind,
        key: &Row,
        new: &Row,
        rivals: &[Found],
    ) -> Result<Resolution> {
        let policy = self.policy(target);
        let resolution = resolve(kind, policy, !new.has_unchanged());
        let mut rows = Vec::new();
        for rival in rivals {
            let (statement, values) = locate::shown(target, rival);
            rows.extend(self.run(&statement, &values).await?.rows.into_iter().flatten().flatten());
        }
        let record = self.record(target, kind, resolution, key, new, &rows, None);
        if resolution == Resolution::Stopped {
            self.stopped_by = Some(record);
            return Err(stopped(target, kind, self.point));
        }
        self.run(&record.statement, &record.values).await?;
        Ok(resolution)
    }

    #[allow(clippy::too_many_arguments, reason = "one argument per column of the record")]
    fn record(
        &self,
        target: &Target,
        kind: Kind,
        resolution: Resolution,
        key: &Row,
        new: &Row,
        rivals: &[Bytes],
        detail: Option<&ServerError>,
    ) -> Record {
        Record::new(self.task, self.point, self.change, target, kind, resolution)
            .with_detail(detail)
            .with_rows(target, key, new, rivals)
    }

    fn policy(&self, target: &Target) -> Policy {
        let relation = self.relation.as_ref().unwrap_or(&target.relation);
        (self.policies)(&relation.schema, &relation.name)
    }

    async fn find(&mut self, target: &Target, was: &Row) -> Result<Vec<Found>> {
        let (statement, values) = locate::row(target, was);
        let found = locate::found(self.run(&statement, &values).await?)?;
        if found.len() > 1 && !target.is_exact() { Err(target.ambiguous()) } else { Ok(found) }
    }

    /// The other rows that hold unique values of this one.
    async fn rivals(&mut self, target: &Arc<Target>, new: &Row, own: Option<&Found>) -> Result<Vec<Found>> {
        if !target.probes.is_empty() {
            self.deferred.push(Deferred {
                target: target.clone(),
                row: new.clone(),
                inserted: own.is_none(),
                change: self.change,
                relation: self.relation.clone(),
            });
        }
        let mut rivals: Vec<Found> = Vec::new();
        for (statement, values) in locate::rivals(target, new, true) {
            for found in locate::found(self.run(&statement, &values).await?)? {
                let is_own = own.is_some_and(|own| own.address == found.address);
                if !is_own && !rivals.iter().any(|known| known.address == found.address) {
                    rivals.push(found);
                }
            }
        }
        Ok(rivals)
    }

    async fn write_new(&mut self, target: &Target, key: &Row, new: &Row) -> Result<()> {
        let (statement, values) = locate::insert(target, new);
        self.write(target, key, new, &statement, &values).await
    }

    /// Gives the row at this address the values of `new`.
    async fn overwrite(&mut self, target: &Target, key: &Row, new: &Row, at: &Found) -> Result<()> {
        let set = sent(target, new, true);
        let (statement, values) = locate::overwrite(target, new, &set, at);
        self.write(target, key, new, &statement, &values).await
    }

    async fn clear(&mut self, target: &Target, rows: &[Found]) -> Result<()> {
        for row in rows {
            let (statement, values) = locate::delete(target, row);
            self.run(&statement, &values).await?;
        }
        Ok(())
    }

    /// Runs a statement that writes `new`; what the destination rejects is kept for the record.
    async fn write(
        &mut self,
        target: &Target,
        key: &Row,
        new: &Row,
        statement: &Statement,
        values: &[Option<Vec<u8>>],
    ) -> Result<()> {
        let outcome = self.call(statement, values).await?;
        let Some(error) = outcome.error else { return Ok(()) };
        let came_between =
            !new.has_unchanged() && error.code == "23505" && target.enforces(error.constraint.as_deref());
        if came_between {
            return Err(Error::unreachable(
                "a row of the same key was written at the destination just now; looking again",
            ));
        }
        let error_class = Error::from(error.clone()).class();
        if error_class.is_transient() {
            return Err(error.into());
        }
        self.stopped_by =
            Some(self.record(target, Kind::Rejected, Resolution::Stopped, key, new, &[], Some(&error)));
        Err(rejected(target, &error, self.point))
    }

    async fn run(&mut self, statement: &Statement, values: &[Option<Vec<u8>>]) -> Result<Outcome> {
        let mut outcome = self.call(statement, values).await?;
        match outcome.error.take() {
            None => Ok(outcome),
            Some(error) => Err(error.into()),
        }
    }

    async fn call(&mut self, statement: &Statement, values: &[Option<Vec<u8>>]) -> Result<Outcome> {
        self.pipe.once(statement, values.iter().map(Option::as_deref)).await
    }
}

/// Unchanged cells are in the old row where that is whole.
fn fill(new: &Row, old: &OldRow) -> Row {
    match old {
        OldRow::Full(old) => new.clone().filled_from(old),
        OldRow::None | OldRow::Key(_) | OldRow::Unidentifiable => new.clone(),
    }
}
