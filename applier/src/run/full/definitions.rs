//! The definitions of one attempt: read at the source, planned for the destination, made in passes. What could not be made
//! becomes a list of problems; what is not carried over is told once, and noted for good.

use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::mpsc;

use super::keeper::Keeper;
use super::renamed::Renamed;
use crate::config;
use crate::error::{Error, Result};
use crate::pg::client_error;
use crate::run::Task;
use crate::run::sides::{Sides, application_name};
use crate::schema::roles::{self, Which};
use crate::schema::{
    Copied, Destination, LeftOut, Maker, Note, Outcome, Pass, Plan, Report, Roles, Source, Tool, Wanted,
    end_leftovers, everything_copied, whole_name,
};
use crate::select::{Choice, Names};
use crate::state::definitions::{self, DefinitionState};
use crate::state::parts;
use crate::state::tables::Chosen;

/// More names than this are not told in one sentence.
const MOST_TOLD: usize = 20;

/// Both ends, and what is made of the one at the other.
pub struct Definitions {
    /// `None`: the destination has its definitions.
    work: Option<Work>,
    names: Names,
}

/// What hangs on tables and is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hanging {
    /// What the stream finds rows by; rows of other moments are still to be made level.
    Keys,
    /// Everything.
    All,
}

struct Work {
    source: Source,
    plan: Plan,
    /// What the destination has and the task did not make is used as it is.
    uses_present: bool,
    maker: Maker,
    renamed: Renamed,
}

impl Definitions {
    /// Reads both sides and plans; refuses what cannot be, before anything is made.
    pub async fn read(task: &Task, sides: &Sides, keeper: &Keeper, chosen: &[Chosen]) -> Result<Self> {
        let work = match task.config.objects.definitions {
            config::Definitions::Create => Some(Work::read(task, sides, keeper, chosen).await?),
            config::Definitions::Use | config::Definitions::None => None,
        };
        Ok(Self { work, names: Names::new(&task.config.map) })
    }

    /// What the destination has already, and the task did not make.
    pub fn refuse_collisions(&self) -> Result<()> {
        let Some(work) = &self.work else { return Ok(()) };
        let taken: Vec<&str> = work.plan.present.iter().map(|(_, there)| there.as_str()).collect();
        if taken.is_empty() {
            return Ok(());
        }
        Err(Error::refused(format!(
            "the destination has {} already; drop them there, leave them out with [objects] exclude, map them to other \
             names, or set definitions = \"use\" if they are what the source has",
            some(&taken)
        )))
    }

    /// What was made on both sides by hand since the copy began is used as it is.
    pub fn leave_present(&mut self) {
        if let Some(work) = &mut self.work {
            work.uses_present = true;
            work.leave_present();
        }
    }

    /// What stands before the rows.
    pub async fn before(&mut self, sides: &Sides, task: &Task, chosen: &[Chosen]) -> Result<Vec<String>> {
        let Some(work) = &mut self.work else { return Ok(Vec::new()) };
        if task.config.objects.users {
            work.users(task, sides, chosen).await?;
        }
        work.tell(sides, task, chosen).await?;
        let report = work.maker.one_by_one(&work.plan, Pass::Before).await?;
        tracing::info!("made {} definitions before the rows", report.made);
        Ok(problems(&report))
    }

    /// What hangs on tables, as their rows come in.
    pub async fn hanging(
        &self,
        what: Hanging,
        copied: mpsc::UnboundedReceiver<Copied>,
    ) -> Result<Vec<String>> {
        let Some(work) = &self.work else { return Ok(Vec::new()) };
        let passes: &[Pass] = match what {
            Hanging::Keys => &[Pass::Keys],
            Hanging::All => &[Pass::Keys, Pass::After],
        };
        let report = work.maker.side_by_side(&work.plan, passes, copied).await?;
        tracing::info!("made {} indexes and constraints", report.made);
        Ok(problems(&report))
    }

    /// What hangs on tables and is not made yet; all rows are there.
    pub async fn rest_of_hanging(&self, what: Hanging) -> Result<Vec<String>> {
        self.hanging(what, everything_copied()).await
    }

    /// Grants, materialized views, event triggers.
    pub async fn last(&self) -> Result<Vec<String>> {
        let Some(work) = &self.work else { return Ok(Vec::new()) };
        let mut report = work.maker.one_by_one(&work.plan, Pass::Grants).await?;
        report.add(work.maker.side_by_side(&work.plan, &[Pass::Last], everything_copied()).await?);
        report
            .left_out
            .iter()
            .for_each(|left| tracing::warn!("not carried over: {}: {}", left.object, left.reason));
        Ok(problems(&report))
    }

    /// Gathers statistics.
    pub async fn analyze(&self, chosen: &[Chosen]) -> Result<()> {
        let Some(work) = &self.work else { return Ok(()) };
        let names: Vec<_> = chosen.iter().map(|table| table.destination.clone()).collect();
        for left in work.maker.analyze(&names).await? {
            tracing::warn!("{}: {}", left.object, left.reason);
        }
        Ok(())
    }

    /// Forgets that it made these tables, by their oid at the source, and what hangs on them: somebody dropped them since.
    pub async fn forget(&self, sides: &Sides, task: &Task, oids: &[u32]) -> Result<()> {
        if oids.is_empty() {
            return Ok(());
        }
        let name = task.config.task.name.as_str();
        let begin_anew = parts::begin_anew(name, oids);
        sides.destination_client.batch_execute(&begin_anew).await.map_err(client_error)?;
        let Some(work) = &self.work else { return Ok(()) };
        let mut gone: HashSet<_> = HashSet::new();
        let mut objects = Vec::new();
        for step in &work.plan.steps {
            let is_gone = step.relation.is_some_and(|oid| oids.contains(&oid));
            if is_gone || step.needs.iter().any(|need| gone.contains(need)) {
                gone.insert(step.id);
                objects.push(step.object.clone());
            }
        }
        definitions::forget(&sides.destination_client, name, &objects).await?;
        work.maker.forget(&objects);
        Ok(())
    }

    /// What a relation of the source is called at the destination.
    pub fn name_of(&self, schema: &str, name: &str) -> (String, String) {
        match &self.work {
            Some(work) => work.renamed.relation(schema, name),
            None => self.names.of(0, schema, name),
        }
    }

    /// Whether definitions are made by the task at all.
    pub fn are_made(&self) -> bool {
        self.work.is_some()
    }
}

impl Work {
    async fn read(task: &Task, sides: &Sides, keeper: &Keeper, chosen: &[Chosen]) -> Result<Self> {
        // Before the journal is read: what an earlier run began goes on at the server.
        end_leftovers(&task.destination, &maker_name(task)).await?;
        let name = task.config.task.name.as_str();
        let majors = (sides.source_major().await?, sides.destination_major().await?);
        let tool = Tool::find(task.config.copy.pg_dump.as_deref(), majors.0, majors.1).await?;
        let choice = Choice::new(&task.config.objects);
        let is_chosen = is_chosen(&choice, chosen);
        let wanted = wanted(task, &is_chosen);
        let source =
            Source::read(&tool, &task.source, &application_name(task), &keeper.name, &wanted).await?;
        let made = definitions::made(&sides.destination_client, name).await?;
        let renamed = Renamed::read(task, sides, chosen, made.is_empty()).await?;
        let note = note(name);
        let plan = plan(task, sides, &source, &renamed, chosen, made.clone()).await?;
        let maker = Maker::new(task.destination.clone(), maker_name(task), sides.permits.clone(), note, made);
        Ok(Self { source, plan, uses_present: false, maker, renamed })
    }

    fn leave_present(&mut self) {
        let there: HashSet<&str> = self.plan.present.iter().map(|(object, _)| object.as_str()).collect();
        there
            .iter()
            .for_each(|object| tracing::warn!("{object} is at the destination already, and used as it is"));
        self.plan.steps.retain(|step| !there.contains(whole_name(&step.object)));
    }

    /// Carries the roles over, then plans again: what hung on a missing role has one now.
    async fn users(&mut self, task: &Task, sides: &Sides, chosen: &[Chosen]) -> Result<()> {
        let roles = roles::read(&sides.source_client, Which::Concerned).await?;
        let report = roles::make(&sides.destination_client, &roles, self.renamed.rewriter()).await?;
        let mut left = report.left_out;
        left.extend(
            roles::memberships(&sides.source_client, &sides.destination_client, &report.grantees).await?,
        );
        left.iter().for_each(|left| tracing::warn!("not carried over: {left}"));
        let made = definitions::made(&sides.destination_client, task.config.task.name.as_str()).await?;
        self.plan = plan(task, sides, &self.source, &self.renamed, chosen, made).await?;
        if self.uses_present {
            self.leave_present();
        }
        Ok(())
    }

    /// What is not carried over, and why: in the log, and for good in the journal.
    async fn tell(&self, sides: &Sides, task: &Task, chosen: &[Chosen]) -> Result<()> {
        let name = task.config.task.name.as_str();
        let mut notes = String::new();
        for LeftOut { object, reason } in
            self.plan.left_out.iter().chain(&invalid_indexes(sides, chosen).await?)
        {
            tracing::warn!("not carried over: {object}: {reason}");
            notes += &definitions::note(name, object, DefinitionState::LeftOut, Some(reason), None);
            notes += ";";
        }
        sides.destination_client.batch_execute(&notes).await.map_err(client_error)
    }
}

/// pg_dump says nothing of indexes that failed to be built.
async fn invalid_indexes(sides: &Sides, chosen: &[Chosen]) -> Result<Vec<LeftOut>> {
    let sql = "SELECT i.indexrelid::regclass::text FROM pg_catalog.pg_index i \
               WHERE NOT i.indisvalid AND i.indrelid = ANY ($1) \
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = i.indrelid AND c.relkind = 'p')";
    let oids: Vec<u32> = chosen.iter().map(|table| table.source_oid).collect();
    let rows = sides.source_client.query(sql, &[&oids]).await.map_err(client_error)?;
    let left = |row: &tokio_postgres::Row| LeftOut {
        object: format!("INDEX {}", row.get::<_, String>(0)),
        reason: "it is invalid at the source: building it failed there".to_owned(),
    };
    Ok(rows.iter().map(left).collect())
}

/// The sessions that make definitions have a name of their own, so that those of an earlier run are known.
fn maker_name(task: &Task) -> String {
    format!("{} (definitions)", application_name(task))
}

async fn plan(
    task: &Task,
    sides: &Sides,
    source: &Source,
    renamed: &Renamed,
    chosen: &[Chosen],
    made: HashSet<String>,
) -> Result<Plan> {
    // All of them: what is pinned, as the bootstrap superuser is, does not count as concerned.
    let roles = roles::read(&sides.source_client, Which::All).await?;
    let usable = roles::existing(&sides.destination_client, &roles).await?;
    let reasons = usable.left_out.into_iter().map(|left| (left.role, left.reason)).collect();
    let roles = Roles { grantees: usable.grantees, owners: usable.owners, reasons };
    let destination = Destination::read(&sides.destination_client, roles, made).await?;
    let choice = Choice::new(&task.config.objects);
    let is_chosen = is_chosen(&choice, chosen);
    let plan = source.plan(&destination, &wanted(task, &is_chosen), renamed)?;
    if plan.missing.is_empty() {
        return Ok(plan);
    }
    let missing: Vec<String> =
        plan.missing.iter().map(|one| format!("{} (needed by {})", one.object, one.needed_by)).collect();
    let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
    Err(Error::refused(format!(
        "chosen objects need others that are neither chosen nor at the destination: {}; choose them too, or make them there",
        some(&missing)
    )))
}

/// By oid once tables are noted; all else by name.
fn is_chosen<'a>(
    choice: &'a Choice,
    chosen: &[Chosen],
) -> impl Fn(&[(u32, &str, &str)]) -> bool + Send + Sync + use<'a> {
    let oids: HashSet<u32> = chosen.iter().map(|table| table.source_oid).collect();
    move |relation| {
        relation.iter().any(|(oid, _, _)| oids.contains(oid))
            || choice.wants_any(relation.iter().map(|(oid, schema, name)| (*oid, *schema, *name)))
    }
}

fn wanted<'a>(task: &Task, chosen: &'a crate::schema::Chosen<'a>) -> Wanted<'a> {
    let objects = &task.config.objects;
    Wanted {
        scope: objects.scope,
        chosen,
        indexes: objects.indexes,
        materialized_views: objects.materialized_views,
    }
}

fn note(task: &str) -> Arc<Note> {
    let task = task.to_owned();
    Arc::new(move |object, outcome| {
        let (state, reason, statement) = match outcome {
            Outcome::Made => (DefinitionState::Made, None, None),
            Outcome::Failed { reason, statement } => {
                (DefinitionState::Failed, Some(*reason), Some(*statement))
            }
            Outcome::LeftOut { reason } => (DefinitionState::LeftOut, Some(*reason), None),
        };
        definitions::note(&task, object, state, reason, statement)
    })
}

/// Each with what was tried.
fn problems(report: &Report) -> Vec<String> {
    let one = |failure: &crate::schema::Failure| {
        let statement = failure.statement.trim();
        let tried = if statement.is_empty() { String::new() } else { format!(" (tried: {statement})") };
        format!("{}: {}{tried}", failure.object, failure.reason)
    };
    report.failed.iter().map(one).collect()
}

fn some(names: &[&str]) -> String {
    let more = names.len().saturating_sub(MOST_TOLD);
    let told = names[..names.len() - more].join(", ");
    if more > 0 { format!("{told} and {more} more") } else { told }
}
