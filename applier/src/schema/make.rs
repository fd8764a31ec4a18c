//! Makes what the plan says. What was made before is not made again: the journal's row is committed with the object.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::left_out::LeftOut;
use super::objects::Name;
use super::plan::Plan;
use super::session::{Done, Hand};
use super::step::{Pass, Step, StepId};
use crate::error::{Error, Result};
use crate::pg::Conninfo;
use crate::pg::quote::{ident, readable};

/// How many definitions one transaction makes.
const GROUP: usize = 100;

/// What became of an object, for the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It is there.
    Made,
    /// It is not.
    Failed {
        /// In the server's words.
        reason: &'a str,
        /// What was tried.
        statement: &'a str,
    },
    /// An owner or privileges that could not be given.
    LeftOut {
        /// In the server's words.
        reason: &'a str,
    },
}

/// The statement that writes the journal's row of an object, without a semicolon.
pub type Note = dyn Fn(&str, &Outcome<'_>) -> String + Send + Sync;

/// A definition that the destination did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its name.
    pub object: String,
    /// `pg_class.oid` at the source, if it would have made a relation.
    pub relation: Option<u32>,
    /// In the server's words.
    pub reason: String,
    /// What was tried; empty if it was not, because something that it needs failed.
    pub statement: String,
}

/// What a pass did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How many objects were made.
    pub made: usize,
    /// What failed; a later run tries again.
    pub failed: Vec<Failure>,
    /// Owners and privileges that were not given.
    pub left_out: Vec<LeftOut>,
}

impl Report {
    /// Adds another pass.
    pub fn add(&mut self, other: Report) {
        self.made += other.made;
        self.failed.extend(other.failed);
        self.left_out.extend(other.left_out);
    }
}

/// Ends the sessions that an earlier run left behind: a statement goes on at the server after its client is gone, and
/// what it makes would collide with ours. Only our role's own sessions of this name in this database are touched. The
/// journal is to be read after this.
///
/// # Errors
/// The connection was lost.
pub async fn end_leftovers(conninfo: &Conninfo, application_name: &str) -> Result<()> {
    let hand = Hand::open(conninfo, &format!("{application_name} (first)")).await?;
    hand.end_others(application_name).await
}

/// Makes definitions at one destination; clones share what they know.
#[derive(Clone)]
pub struct Maker {
    conninfo: Conninfo,
    application_name: String,
    /// Limits the work in flight, together with the copy.
    pub(super) permits: Arc<Semaphore>,
    note: Arc<Note>,
    made: Arc<Mutex<HashSet<String>>>,
    failed: Arc<Mutex<HashMap<StepId, String>>>,
}

impl Maker {
    /// `made` are the names of the objects that the journal has as made.
    pub fn new(
        conninfo: Conninfo,
        application_name: String,
        permits: Arc<Semaphore>,
        note: Arc<Note>,
        made: HashSet<String>,
    ) -> Self {
        let (made, failed) = (Arc::new(Mutex::new(made)), Arc::default());
        Self { conninfo, application_name, permits, note, made, failed }
    }

    /// Makes a pass in its order.
    ///
    /// # Errors
    /// The connection was lost; what was made stays made.
    pub async fn one_by_one(&self, plan: &Plan, pass: Pass) -> Result<Report> {
        let mut report = Report::default();
        let steps: Vec<&Step> = plan.pass(pass).filter(|step| !self.is_made(step)).collect();
        if steps.is_empty() {
            return Ok(report);
        }
        let hand = self.hand().await?;
        for group in steps.chunks(GROUP) {
            self.group(&hand, group, &mut report).await?;
        }
        self.flush(&hand, &steps).await?;
        Ok(report)
    }

    /// Gathers statistics of tables of the destination, side by side; what cannot be analyzed is told.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn analyze(&self, tables: &[Name]) -> Result<Vec<LeftOut>> {
        let mut tasks: JoinSet<Result<Vec<LeftOut>>> = JoinSet::new();
        let queue = Arc::new(Mutex::new(tables.to_vec()));
        for _ in 0..self.permits.available_permits().clamp(1, tables.len().max(1)) {
            let (hand, queue, permits) = (self.hand().await?, queue.clone(), self.permits.clone());
            tasks.spawn(async move { analyze_all(&hand, &queue, &permits).await });
        }
        let mut told = Vec::new();
        while let Some(one) = tasks.join_next().await {
            told.extend(one.map_err(ended)??);
        }
        Ok(told)
    }

    /// Lets objects be made again.
    pub fn forget(&self, objects: &[String]) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|object| !objects.contains(object));
    }

    pub(super) async fn hand(&self) -> Result<Hand> {
        Hand::open(&self.conninfo, &self.application_name).await
    }

    pub(super) fn is_made(&self, step: &Step) -> bool {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).contains(&step.object)
    }

    /// Something that the step needs and that failed in this run.
    fn failed_need(&self, step: &Step) -> Option<String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        step.needs.iter().find_map(|need| failed.get(need).cloned())
    }

    /// Makes a group in one transaction if it can be, else one by one.
    pub(super) async fn group(&self, hand: &Hand, steps: &[&Step], report: &mut Report) -> Result<()> {
        let is_free = steps.len() > 1 && steps.iter().all(|step| self.failed_need(step).is_none());
        if is_free && hand.together(steps, &*self.note).await? {
            steps.iter().for_each(|step| self.settle(step, Done::Made, report));
            return Ok(());
        }
        for step in steps {
            if let Some(need) = self.failed_need(step) {
                self.not_tried(hand, step, &need, report).await?;
            } else {
                let done = hand.alone(step, &*self.note).await?;
                self.settle(step, done, report);
            }
        }
        Ok(())
    }

    fn settle(&self, step: &Step, done: Done, report: &mut Report) {
        match done {
            Done::Made => {
                report.made += 1;
                self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(step.object.clone());
            }
            Done::Failed(reason) => self.fail(step, reason, step.statements.concat(), report),
            Done::LeftOut(reason) => report.left_out.push(LeftOut { object: step.object.clone(), reason }),
        }
    }

    /// Notes that a step was not tried because something that it needs failed.
    async fn not_tried(&self, hand: &Hand, step: &Step, need: &str, report: &mut Report) -> Result<()> {
        let reason = format!("not tried: it needs {need}, which failed");
        let statement = step.statements.concat();
        hand.note(&step.object, &Outcome::Failed { reason: &reason, statement: &statement }, &*self.note)
            .await?;
        self.fail(step, reason, String::new(), report);
        Ok(())
    }

    fn fail(&self, step: &Step, reason: String, statement: String, report: &mut Report) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.insert(step.id, step.object.clone());
        let (object, relation) = (step.object.clone(), step.relation);
        report.failed.push(Failure { object, relation, reason, statement });
    }

    /// The last commit of a pass is durable, and with it all before.
    pub(super) async fn flush(&self, hand: &Hand, steps: &[&Step]) -> Result<()> {
        match steps.iter().rev().find(|step| self.is_made(step)) {
            Some(step) => hand.flush(&step.object, &*self.note).await,
            None => Ok(()),
        }
    }
}

async fn analyze_all(hand: &Hand, queue: &Mutex<Vec<Name>>, permits: &Semaphore) -> Result<Vec<LeftOut>> {
    let mut told = Vec::new();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some((schema, name)) = next else { return Ok(told) };
        let _permit = permits.acquire().await;
        let sql = format!("ANALYZE {}.{}", ident(&schema), ident(&name));
        if let Err(error) = hand.run(&sql).await {
            if hand.is_lost(&error) {
                return Err(error);
            }
            let object = format!("statistics of {}", readable(&schema, &name));
            told.push(LeftOut { object, reason: super::session::told(&error) });
        }
    }
}

pub(super) fn ended(error: tokio::task::JoinError) -> Error {
    Error::protocol(format!("a worker ended unexpectedly: {error}"))
}
