//! From definitions to ordered steps. The passes follow `RestorePass` of PostgreSQL's pg_backup_archiver.c - grants
//! after everything, materialized views filled and event triggers last of all - with two passes of our own: what the
//! stream needs to find rows stands before the rest of post-data, and objects change hands only once all are made.

use std::collections::{HashMap, HashSet};

use super::facts::{Facts, catalogs};
use super::hands;
use super::kind::Kind;
use super::left_out::LeftOut;
use super::locks::{self, Lock};
use super::roles_at::Losses;
use super::scope::{self, Ends, Missing, Scoped, Wanted};
use super::split::{self, Pieces};
use super::toc::{Entry, Section};
use crate::error::Result;
use crate::pg::quote::ident;

/// When a step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pass {
    /// Before the rows, one after another.
    Before,
    /// After the rows: what the stream finds rows by.
    Keys,
    /// After the rows: everything else that hangs on tables.
    After,
    /// Owners, then privileges, one after another.
    Grants,
    /// Materialized views are filled, then event triggers.
    Last,
}

/// Which rows must be in before a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// None.
    No,
    /// Those of one table.
    Of(u32),
    /// All.
    All,
}

/// Which part of an entry a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Its definition, or the last piece of it.
    Definition,
    /// The first of two pieces.
    First,
    /// A materialized view is filled.
    Refresh,
    /// The object changes hands.
    Owner,
}

/// The number of the entry, and which part of it.
pub type StepId = (i32, Part);

/// One thing to be done.
#[derive(Debug, Clone)]
pub struct Step {
    /// Unique within the plan.
    pub id: StepId,
    /// Its name, in the journal and for people.
    pub object: String,
    /// When.
    pub pass: Pass,
    /// What runs; all of it in one transaction, with the names of the destination.
    pub statements: Vec<String>,
    /// `pg_class.oid` at the source, if it makes a relation.
    pub relation: Option<u32>,
    /// The access method of the table that it makes.
    pub access_method: Option<String>,
    /// The steps that come first.
    pub needs: Vec<StepId>,
    /// The source's tables that it locks, and how.
    pub locks: Vec<(u32, Lock)>,
    /// What must be copied before.
    pub rows: Rows,
    /// 8 kB pages that it has to read: the largest are begun first.
    pub pages: i64,
}

impl Step {
    /// A step that stands by itself.
    pub(super) fn new(id: StepId, object: String, pass: Pass, statements: Vec<String>) -> Self {
        Self {
            id,
            object,
            pass,
            statements,
            relation: None,
            access_method: None,
            needs: Vec::new(),
            locks: Vec::new(),
            rows: Rows::No,
            pages: 0,
        }
    }
}

/// What is to be done, in order within each pass.
#[derive(Debug, Default)]
pub struct Plan {
    /// All steps; an order in which they can be taken one by one.
    pub steps: Vec<Step>,
    /// What is not carried over.
    pub left_out: Vec<LeftOut>,
    /// What must be there first. Nothing may be made while this is not empty.
    pub missing: Vec<Missing>,
    /// Objects of the same kind and name that the destination has.
    pub present: Vec<(String, String)>,
}

impl Plan {
    /// Follows the configuration.
    ///
    /// # Errors
    /// A statement that cannot be given the destination's names.
    pub fn new(ends: &Ends<'_>, wanted: &Wanted<'_>) -> Result<Self> {
        let scoped = scope::judge(ends, wanted);
        let mut planner = Planner::new(ends, wanted, &scoped);
        let mut steps = planner.steps()?;
        // Within a pass the archive's order stays.
        steps.sort_by_key(|step| step.pass);
        let mut left_out = scoped.left_out.clone();
        left_out.extend(planner.not_filled());
        left_out.extend(planner.tablespaces());
        left_out.append(&mut planner.unseen);
        left_out.extend(std::mem::take(&mut planner.losses).told());
        Ok(Self { steps, left_out, missing: scoped.missing.clone(), present: planner.present() })
    }

    /// The steps of a pass, in order.
    pub fn pass(&self, pass: Pass) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.pass == pass)
    }
}

pub(super) struct Planner<'a> {
    ends: &'a Ends<'a>,
    wanted: &'a Wanted<'a>,
    scoped: &'a Scoped,
    by_id: HashMap<i32, &'a Entry>,
    keys: HashSet<i32>,
    losses: Losses,
    unseen: Vec<LeftOut>,
}

impl<'a> Planner<'a> {
    fn new(ends: &'a Ends<'a>, wanted: &'a Wanted<'a>, scoped: &'a Scoped) -> Self {
        let by_id = ends.archive.entries.iter().map(|entry| (entry.id, entry)).collect();
        let (keys, losses, unseen) = (HashSet::new(), Losses::default(), Vec::new());
        let mut planner = Self { ends, wanted, scoped, by_id, keys, losses, unseen };
        planner.keys = planner.keys();
        planner
    }

    fn carried(&self) -> impl Iterator<Item = &'a Entry> {
        self.ends.archive.entries.iter().filter(|entry| self.scoped.carries(entry.id))
    }

    fn facts(&self) -> &'a Facts {
        self.ends.facts
    }

    /// What the stream needs, and what that needs.
    fn keys(&self) -> HashSet<i32> {
        let is_key =
            |entry: &Entry| self.facts().attached.get(&(entry.catalog, entry.oid)).is_some_and(|a| a.is_key);
        let mut keys: HashSet<i32> =
            self.carried().filter(|entry| is_key(entry)).map(|entry| entry.id).collect();
        let mut open: Vec<i32> = keys.iter().copied().collect();
        while let Some(id) = open.pop() {
            for needed in self.by_id.get(&id).into_iter().flat_map(|entry| &entry.dependencies) {
                if self.is_post_data(*needed) && keys.insert(*needed) {
                    open.push(*needed);
                }
            }
        }
        let joins = |entry: &&Entry| {
            entry.kind == Kind::IndexAttach && entry.dependencies.iter().all(|id| keys.contains(id))
        };
        let joined: Vec<i32> = self.carried().filter(joins).map(|entry| entry.id).collect();
        keys.extend(joined);
        keys
    }

    fn is_post_data(&self, id: i32) -> bool {
        self.by_id.get(&id).is_some_and(|entry| entry.section == Section::PostData)
    }

    fn steps(&mut self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        let entries: Vec<&Entry> = self.carried().filter(|entry| !self.is_there(entry)).collect();
        for entry in entries {
            let object = self.name(entry);
            steps.extend(self.of_entry(entry).map_err(|error| error.context(object))?);
        }
        steps.extend(self.refreshes());
        let (owned, lost) = hands::owners(self.ends, self.carried(), &self.scoped.names)?;
        steps.extend(owned);
        lost.into_iter()
            .for_each(|(role, reason, object)| self.losses.add(&role, "owner of", reason, &object));
        hands::order(&mut steps, &self.by_id);
        self.link(&mut steps);
        Ok(steps)
    }

    /// Schemas and extensions that the destination has are used as they are.
    fn is_there(&self, entry: &Entry) -> bool {
        matches!(entry.kind, Kind::Schema | Kind::Extension) && self.ends.is_present(entry)
    }

    fn name(&self, entry: &Entry) -> &'a str {
        &self.scoped.names[&entry.id]
    }

    fn of_entry(&mut self, entry: &Entry) -> Result<Vec<Step>> {
        match &entry.kind {
            Kind::Acl | Kind::DefaultAcl => self.grant(entry),
            Kind::Policy => self.policy(entry),
            _ => self.pieces(entry),
        }
    }

    fn grant(&mut self, entry: &Entry) -> Result<Vec<Step>> {
        let object = self.name(entry);
        let (statements, lost) = hands::grants(self.ends, entry)?;
        lost.into_iter().for_each(|(role, reason)| self.losses.add(&role, "privileges of", reason, object));
        let step = Step::new((entry.id, Part::Definition), object.to_owned(), Pass::Grants, statements);
        Ok(if step.statements.is_empty() { Vec::new() } else { vec![step] })
    }

    fn policy(&mut self, entry: &Entry) -> Result<Vec<Step>> {
        let object = self.name(entry);
        let lost = hands::policy(self.ends, entry)?;
        if lost.is_empty() {
            return self.pieces(entry);
        }
        lost.into_iter().for_each(|(role, reason)| self.losses.add(&role, "subject of", reason, object));
        Ok(Vec::new())
    }

    fn pieces(&mut self, entry: &Entry) -> Result<Vec<Step>> {
        let step = self.step(entry);
        Ok(match split::pieces(entry, self.facts()) {
            Pieces::Whole(sql) => vec![Step { statements: vec![self.sql(entry, &sql)?], ..step }],
            Pieces::IndexFirst(index, constraint) => {
                let locks = step.locks.iter().map(|(table, _)| (*table, Lock::Shared)).collect();
                let object = format!("INDEX OF {}", step.object);
                let first = Step { id: (entry.id, Part::First), object, locks, ..step.clone() };
                vec![
                    Step { statements: vec![self.sql(entry, &index)?], ..first },
                    Step { statements: vec![self.sql(entry, &constraint)?], pages: 0, ..step },
                ]
            }
            Pieces::ValidateAfter(add, validate) => {
                let locks = locks::of_validation(entry, self.facts());
                let object = format!("UNCHECKED {}", step.object);
                let first = Step { id: (entry.id, Part::First), object, ..step.clone() };
                vec![
                    Step { statements: vec![self.sql(entry, &add)?], ..first },
                    Step { statements: vec![self.sql(entry, &validate)?], locks, ..step },
                ]
            }
        })
    }

    /// The statements with the destination's names; where a name could not be seen, the user is told.
    fn sql(&mut self, entry: &Entry, sql: &str) -> Result<String> {
        let rewritten = self.ends.renaming.sql(sql)?;
        if !rewritten.unseen.is_empty() {
            let reason = format!(
                "it may speak of {}, which is called otherwise at the destination",
                rewritten.unseen.join(", ")
            );
            self.unseen.push(LeftOut { object: format!("names within {}", self.name(entry)), reason });
        }
        Ok(rewritten.sql)
    }

    fn step(&self, entry: &Entry) -> Step {
        let table = self.ends.table_of(entry, &self.by_id);
        let pages = |oid: u32| self.facts().relations.get(&oid).map_or(0, |relation| relation.pages);
        let makes = entry.catalog == catalogs::CLASS && self.facts().relations.contains_key(&entry.oid);
        let id = (entry.id, Part::Definition);
        Step {
            relation: makes.then_some(entry.oid),
            access_method: entry.access_method.clone().filter(|_| self.has_storage(entry)),
            locks: locks::of(entry, table, &self.by_id, self.ends),
            rows: rows_before(entry, table),
            pages: table.map_or(0, pages),
            ..Step::new(id, self.name(entry).to_owned(), self.pass_of(entry, 0), Vec::new())
        }
    }

    /// A partitioned table's access method (17 and later) is for its partitions, which name their own.
    fn has_storage(&self, entry: &Entry) -> bool {
        entry.relkind != Some('p')
    }

    /// Comments and labels follow their object; nothing else has a section of its own to follow.
    fn pass_of(&self, entry: &Entry, depth: usize) -> Pass {
        match (&entry.kind, entry.section) {
            (Kind::Acl | Kind::DefaultAcl, _) => Pass::Grants,
            (Kind::EventTrigger, _) => Pass::Last,
            _ if self.keys.contains(&entry.id) => Pass::Keys,
            (_, Section::PreData | Section::Data) => Pass::Before,
            (_, Section::PostData) => Pass::After,
            (_, Section::None) => {
                let object =
                    entry.dependencies.iter().find_map(|id| self.by_id.get(id)).filter(|_| depth < 8);
                match object.map(|object| self.pass_of(object, depth + 1)) {
                    Some(Pass::Keys) => Pass::After,
                    Some(pass) => pass,
                    None => Pass::Before,
                }
            }
        }
    }

    /// The dump holds definitions only: what fills materialized views is ours to say. Their order is the archive's.
    fn refreshes(&self) -> Vec<Step> {
        let filled = |entry: &&Entry| {
            entry.kind == Kind::MaterializedView
                && self.wanted.materialized_views
                && self.facts().relations.get(&entry.oid).is_some_and(|view| view.is_filled)
        };
        self.carried().filter(filled).map(|entry| self.refresh(entry)).collect()
    }

    fn refresh(&self, entry: &Entry) -> Step {
        let (schema, name) = self.ends.destination_name(entry).unwrap_or_default();
        let sql = format!("REFRESH MATERIALIZED VIEW {}.{};\n", ident(&schema), ident(&name));
        let object = format!("ROWS OF {}", self.name(entry));
        let pages = self.facts().relations.get(&entry.oid).map_or(0, |view| view.pages);
        Step { rows: Rows::All, pages, ..Step::new((entry.id, Part::Refresh), object, Pass::Last, vec![sql]) }
    }

    /// What comes first: the archive's dependencies, also through what is no step; the refreshes of what a view
    /// reads; event triggers after all of these.
    fn link(&self, steps: &mut [Step]) {
        let ids: HashSet<StepId> = steps.iter().map(|step| step.id).collect();
        let refreshes: Vec<StepId> = ids.iter().copied().filter(|(_, part)| *part == Part::Refresh).collect();
        for step in steps.iter_mut() {
            let (entry, part) = step.id;
            step.needs = match part {
                Part::Definition => self.before(entry, Part::Definition, &ids),
                Part::First => self.before(entry, Part::Definition, &ids),
                Part::Refresh => self.before(entry, Part::Refresh, &ids),
                Part::Owner => vec![(entry, Part::Definition)],
            };
            if part == Part::Definition && ids.contains(&(entry, Part::First)) {
                step.needs.push((entry, Part::First));
            }
            if part == Part::Definition && step.pass == Pass::Last {
                step.needs.extend(&refreshes);
            }
        }
    }

    /// The nearest steps of one part that an entry depends on.
    fn before(&self, id: i32, part: Part, steps: &HashSet<StepId>) -> Vec<StepId> {
        let (mut found, mut seen, mut open) = (Vec::new(), HashSet::new(), vec![id]);
        while let Some(next) = open.pop() {
            for needed in self.by_id.get(&next).into_iter().flat_map(|entry| &entry.dependencies) {
                if !seen.insert(*needed) {
                    continue;
                }
                match steps.contains(&(*needed, part)) {
                    true => found.push((*needed, part)),
                    false => open.push(*needed),
                }
            }
        }
        found
    }

    fn not_filled(&self) -> Vec<LeftOut> {
        let views = self.carried().filter(|entry| entry.kind == Kind::MaterializedView);
        let told = views.filter(|_| !self.wanted.materialized_views).map(|entry| LeftOut {
            object: format!("the rows of {}", self.scoped.names[&entry.id]),
            reason: "[objects] materialized_views = false".to_owned(),
        });
        told.collect()
    }

    fn tablespaces(&self) -> Vec<LeftOut> {
        let mut spaces: Vec<&String> = self.carried().filter_map(|entry| entry.tablespace.as_ref()).collect();
        spaces.sort();
        spaces.dedup();
        let told = spaces.into_iter().map(|space| LeftOut {
            object: format!("TABLESPACE {space}"),
            reason: "what lies in it at the source goes to the default tablespace of the destination"
                .to_owned(),
        });
        told.collect()
    }

    /// Objects that cannot be made because something of their name is there, by their name in the journal and by
    /// their name at the destination.
    fn present(&self) -> Vec<(String, String)> {
        let in_the_way = self.carried().filter(|entry| !self.is_there(entry) && self.ends.is_present(entry));
        let named = in_the_way.map(|entry| {
            let (schema, name) = self.ends.destination_name(entry).unwrap_or_default();
            let at = if schema.is_empty() { name } else { format!("{schema}.{name}") };
            (self.scoped.names[&entry.id].clone(), format!("{} {at}", entry.kind))
        });
        named.collect()
    }
}

fn rows_before(entry: &Entry, table: Option<u32>) -> Rows {
    match (&entry.kind, entry.section, table) {
        (_, Section::PreData | Section::Data, _) => Rows::No,
        (Kind::Index | Kind::Constraint, _, Some(table)) => Rows::Of(table),
        (_, Section::PostData | Section::None, _) => Rows::All,
    }
}
