//! From definitions to ordered steps. The passes follow `RestorePass` of PostgreSQL's pg_backup_archiver.c - grants
//! after everything, materialized views filled and event triggers last of all - with two passes of our own: what the
//! stream needs to find rows stands before the rest of post-data, and objects change hands only once all are made.

use std::collections::HashSet;

use super::facts::{Facts, catalogs};
use super::hands;
use super::identity;
use super::kind::Kind;
use super::left_out::{self, LeftOut};
use super::locks::{self, Lock};
use super::order::{self, ById};
use super::roles_at::Losses;
use super::scope::{self, Ends, Missing, Scoped, Wanted};
use super::split::{self, Pieces};
use super::step::{Part, Pass, Rows, Step};
use super::toc::{Entry, Section};
use crate::config::Scope;
use crate::error::Result;
use crate::pg::quote::ident;

/// What is to be done, in order within each pass.
#[derive(Debug, Default)]
pub struct Plan {
    /// All steps; an order in which they can be taken one by one.
    pub steps: Vec<Step>,
    /// What is not carried over.
    pub left_out: Vec<LeftOut>,
    /// What must be there first. Nothing may be made while this is not empty.
    pub missing: Vec<Missing>,
    /// What is in the way: objects of the same name that the destination has and the task did not make, by their
    /// name here and there.
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
        if !wanted.materialized_views {
            left_out.extend(left_out::not_filled(planner.carried(), ends.names));
        }
        left_out.extend(left_out::tablespaces(planner.carried()));
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
    by_id: ById<'a>,
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

    /// What the stream needs, what that needs, and the joining of partitions' indexes where both are needed.
    fn keys(&self) -> HashSet<i32> {
        let facts = self.facts();
        let is_key =
            |entry: &&Entry| facts.attached.get(&(entry.catalog, entry.oid)).is_some_and(|a| a.is_key);
        let keys: HashSet<i32> = self.carried().filter(is_key).map(|entry| entry.id).collect();
        let mut keys = order::with_needs(keys, &self.by_id);
        let joins = |entry: &&Entry| {
            entry.kind == Kind::IndexAttach && entry.dependencies.iter().all(|id| keys.contains(id))
        };
        let joined: Vec<i32> = self.carried().filter(joins).map(|entry| entry.id).collect();
        keys.extend(joined);
        keys
    }

    fn steps(&mut self) -> Result<Vec<Step>> {
        let mut steps = self.schemas();
        let entries: Vec<&Entry> = self.carried().filter(|entry| !self.is_there(entry)).collect();
        for entry in entries {
            let object = self.name(entry);
            steps.extend(self.of_entry(entry).map_err(|error| error.context(object))?);
        }
        steps.extend(self.refreshes());
        let mut losses = std::mem::take(&mut self.losses);
        steps.extend(hands::owners(self.ends, self.carried(), &mut losses)?);
        self.losses = losses;
        hands::order(&mut steps, &self.by_id);
        order::link(&mut steps, &self.by_id);
        Ok(steps)
    }

    /// The schemas that things go to, and that the destination lacks. They are made here and not by the archive's own
    /// entries: a mapping may bring two schemas together, and the archive makes none for `public` or a table's rule.
    fn schemas(&self) -> Vec<Step> {
        let homes = self.carried().filter(|entry| !self.is_there(entry));
        let homes = homes.filter_map(|entry| self.home(entry));
        let mut wanted: Vec<String> = Vec::new();
        for home in homes.filter(|home| !self.ends.has_schema(home)) {
            if !wanted.contains(&home) {
                wanted.push(home);
            }
        }
        let step = |(number, schema): (i32, String)| {
            let sql = format!("CREATE SCHEMA {};\n", ident(&schema));
            Step::new((number, Part::Schema), identity::schema(&schema), Pass::Before, vec![sql])
        };
        (0..).zip(wanted).map(step).collect()
    }

    /// The schema that an entry's object goes to, unless it is the system's; of a schema, its own name there.
    fn home(&self, entry: &Entry) -> Option<String> {
        let (schema, name) = self.ends.destination_name(entry)?;
        let home = if entry.kind == Kind::Schema { name } else { schema };
        (!home.is_empty() && !home.starts_with("pg_")).then_some(home)
    }

    /// Schemas are made apart; extensions that the destination has are used as they are, with what is said of them there.
    fn is_there(&self, entry: &Entry) -> bool {
        let used = |entry: &Entry| entry.kind == Kind::Extension && self.ends.is_present(entry);
        let mut about = entry.dependencies.iter().filter_map(|id| self.by_id.get(id));
        used(entry) || (entry.kind == Kind::Comment && about.any(|about| used(about)))
    }

    /// Chosen tables do not change what is granted on or said of a schema that the destination has.
    fn is_of_used_schema(&self, entry: &Entry) -> bool {
        let about = entry.dependencies.iter().filter_map(|id| self.by_id.get(id));
        let mut schemas = about.filter(|about| about.kind == Kind::Schema);
        entry.section == Section::None
            && self.wanted.scope == Scope::Tables
            && schemas.any(|schema| self.ends.is_present(schema))
    }

    fn name(&self, entry: &Entry) -> &'a str {
        &self.ends.names[&entry.id]
    }

    fn of_entry(&mut self, entry: &Entry) -> Result<Vec<Step>> {
        if self.is_of_used_schema(entry) {
            return Ok(Vec::new());
        }
        match &entry.kind {
            Kind::Acl | Kind::DefaultAcl => self.grant(entry),
            Kind::Policy => self.policy(entry),
            Kind::Schema => Ok(Vec::new()),
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
        let first_name = split::first_name(&entry.kind, &step.object);
        Ok(match split::pieces(entry, self.facts(), self.large(&step.object, &first_name)) {
            Pieces::Whole(sql) => vec![Step { statements: vec![self.sql(entry, &sql)?], ..step }],
            Pieces::IndexFirst(index, constraint) => {
                let locks = step.locks.iter().map(|(table, _)| (*table, Lock::Shared)).collect();
                let first = Step { id: (entry.id, Part::First), object: first_name, locks, ..step.clone() };
                vec![
                    Step { statements: vec![self.sql(entry, &index)?], ..first },
                    Step { statements: vec![self.sql(entry, &constraint)?], pages: 0, ..step },
                ]
            }
            Pieces::ValidateAfter(add, validate) => {
                let locks = locks::of_validation(entry, self.facts());
                let first = Step { id: (entry.id, Part::First), object: first_name, ..step.clone() };
                vec![
                    Step { statements: vec![self.sql(entry, &add)?], ..first },
                    Step { statements: vec![self.sql(entry, &validate)?], locks, ..step },
                ]
            }
        })
    }

    /// What was begun in one way goes on so, whatever the table has grown to since.
    fn large(&self, whole: &str, first: &str) -> i64 {
        match (self.ends.made.contains(whole), self.ends.made.contains(first)) {
            (_, true) => 0,
            (true, false) => i64::MAX,
            (false, false) => split::LARGE,
        }
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
            rows: self.rows_before(entry, table),
            pages: table.filter(|_| reads_rows(&entry.kind)).map_or(0, pages),
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
        // What its owner may see is what it held at the source.
        let sql = format!(
            "SET LOCAL row_security = on;\nREFRESH MATERIALIZED VIEW {}.{};\n",
            ident(&schema),
            ident(&name)
        );
        let object = format!("ROWS OF {}", self.name(entry));
        let pages = self.facts().relations.get(&entry.oid).map_or(0, |view| view.pages);
        Step { rows: Rows::All, pages, ..Step::new((entry.id, Part::Refresh), object, Pass::Last, vec![sql]) }
    }

    /// Tables' own indexes wait for their rows; what has none waits for nothing.
    fn rows_before(&self, entry: &Entry, table: Option<u32>) -> Rows {
        let table = table.and_then(|table| self.facts().relations.get(&table));
        match (&entry.kind, entry.section, table) {
            (_, Section::PreData | Section::Data, _) | (Kind::IndexAttach, _, _) => Rows::No,
            (Kind::Index | Kind::Constraint, _, Some(table)) if table.kind == 'r' => Rows::Of(table.oid),
            (Kind::Index | Kind::Constraint, _, Some(_)) => Rows::No,
            (_, Section::PostData | Section::None, _) => Rows::All,
        }
    }

    /// Objects that cannot be made because something of their name is there, by their name in the journal and by
    /// their name at the destination.
    fn present(&self) -> Vec<(String, String)> {
        let is_shared = |entry: &Entry| matches!(entry.kind, Kind::Schema | Kind::Extension);
        let in_the_way = self.carried().filter(|entry| !is_shared(entry) && self.ends.is_present(entry));
        let named = in_the_way.map(|entry| {
            let (schema, name) = self.ends.destination_name(entry).unwrap_or_default();
            let at = if schema.is_empty() { name } else { format!("{schema}.{name}") };
            (self.ends.names[&entry.id].clone(), format!("{} {at}", entry.kind))
        });
        named.collect()
    }
}

/// Whether a table's rows are read to make it, which takes the longer the more there are.
fn reads_rows(kind: &Kind) -> bool {
    matches!(kind, Kind::Index | Kind::Constraint | Kind::ForeignKey)
}

#[cfg(test)]
mod tests;
