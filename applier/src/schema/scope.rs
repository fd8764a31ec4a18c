//! Which definitions belong to the task: the kinds that are carried over, what is chosen, what hangs on it, and what a
//! chosen object needs that is neither chosen nor at the destination. Pure.

use std::collections::{HashMap, HashSet};

use super::facts::{Facts, catalogs};
use super::kind::Kind;
use super::left_out::{self, LeftOut, Verdict};
use super::objects::{Name, Named, Present};
use super::order::ById;
use super::roles_at::Roles;
use super::split::first_name;
use super::toc::{Archive, Entry};
use super::{Renaming, identity};
use crate::config::Scope;
use crate::pg::quote::readable;

/// Whether a relation is chosen: itself first, then its partitioned ancestors, each as oid, schema and name.
pub type Chosen<'a> = dyn Fn(&[(u32, &str, &str)]) -> bool + Send + Sync + 'a;

/// What the configuration says.
pub struct Wanted<'a> {
    /// Everything, or the chosen relations.
    pub scope: Scope,
    /// Which relations are chosen.
    pub chosen: &'a Chosen<'a>,
    /// Whether plain indexes are made.
    pub indexes: bool,
    /// Whether materialized views are filled.
    pub materialized_views: bool,
}

impl Wanted<'_> {
    /// Whether a relation of the source is chosen.
    pub fn chooses(&self, facts: &Facts, oid: u32) -> bool {
        let lineage = facts.lineage(oid);
        let names: Vec<_> = lineage.iter().map(|r| (r.oid, r.schema.as_str(), r.name.as_str())).collect();
        !names.is_empty() && (self.chosen)(&names)
    }
}

/// Something that a chosen object needs and that will not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is needed.
    pub object: String,
    /// What needs it.
    pub needed_by: String,
}

/// What is known of both ends.
pub struct Ends<'a> {
    /// The source's definitions.
    pub archive: &'a Archive,
    /// What they hang on.
    pub facts: &'a Facts,
    /// The source's names.
    pub named: &'a Named,
    /// What the destination has.
    pub present: &'a Present,
    /// What the journal has as made: it is there, and it is ours.
    pub made: &'a HashSet<String>,
    /// What the entries are called in the journal.
    pub names: &'a HashMap<i32, String>,
    /// The roles that may be used there.
    pub roles: &'a Roles,
    /// What things are called there.
    pub renaming: &'a dyn Renaming,
}

/// The verdict on every definition.
pub struct Scoped {
    /// By the entry's number.
    pub verdicts: HashMap<i32, Verdict>,
    /// What the user is told.
    pub left_out: Vec<LeftOut>,
    /// What must be chosen too, or made at the destination first.
    pub missing: Vec<Missing>,
}

impl Scoped {
    /// Whether an entry is made.
    pub fn carries(&self, id: i32) -> bool {
        self.verdicts.get(&id) == Some(&Verdict::Carried)
    }
}

impl Ends<'_> {
    /// The name of an entry's object at the destination, if the catalogs know it.
    pub fn destination_name(&self, entry: &Entry) -> Option<Name> {
        let (schema, name) = self.named.get(&(entry.catalog, entry.oid))?;
        Some(self.renaming.name(entry.catalog, schema, name))
    }

    /// Whether the destination has a schema that the task did not make.
    pub fn has_schema(&self, schema: &str) -> bool {
        let present = self.present.has(catalogs::NAMESPACE, &(String::new(), schema.to_owned()));
        present && !self.made.contains(&identity::schema(schema))
    }

    /// Whether the destination has an object of this name that the task did not make.
    pub fn is_present(&self, entry: &Entry) -> bool {
        let Some(name) = self.destination_name(entry) else { return false };
        match entry.kind {
            Kind::Schema => self.has_schema(&name.1),
            _ => self.present.has(entry.catalog, &name) && !self.is_made(entry),
        }
    }

    /// Whether the task made it, or the first half of it.
    fn is_made(&self, entry: &Entry) -> bool {
        let object = &self.names[&entry.id];
        self.made.contains(object) || self.made.contains(&first_name(&entry.kind, object))
    }

    /// The table that an entry belongs to: by the catalogs, else by the first thing that it depends on.
    pub fn table_of(&self, entry: &Entry, by_id: &ById<'_>) -> Option<u32> {
        if let Some(attached) = self.facts.attached.get(&(entry.catalog, entry.oid)) {
            return Some(attached.table);
        }
        match &entry.kind {
            Kind::Table | Kind::View | Kind::MaterializedView => Some(entry.oid),
            Kind::Sequence => self.facts.relations.get(&entry.oid).and_then(|sequence| sequence.owner_table),
            Kind::RowSecurity
            | Kind::TableAttach
            | Kind::IndexAttach
            | Kind::SequenceOwnedBy
            | Kind::Default => {
                let first = entry.dependencies.iter().find_map(|id| by_id.get(id))?;
                self.table_of(first, by_id)
            }
            _ => None,
        }
    }
}

/// Judges every definition.
pub fn judge(ends: &Ends<'_>, wanted: &Wanted<'_>) -> Scoped {
    let entries = &ends.archive.entries;
    let by_id: ById<'_> = entries.iter().map(|entry| (entry.id, entry)).collect();
    let mut judge = Judge { ends, wanted, by_id, verdicts: HashMap::new(), missing: Vec::new() };
    for entry in entries {
        let verdict = judge.first(entry);
        judge.verdicts.insert(entry.id, verdict);
    }
    if wanted.scope == Scope::Tables {
        judge.add_schemas();
    }
    judge.add_needed_sequences();
    // The archive is ordered: what an entry needs stands before it.
    for entry in entries {
        judge.check_needs(entry);
    }
    judge.done()
}

struct Judge<'a> {
    ends: &'a Ends<'a>,
    wanted: &'a Wanted<'a>,
    by_id: ById<'a>,
    verdicts: HashMap<i32, Verdict>,
    missing: Vec<Missing>,
}

impl Judge<'_> {
    /// By kind and choice alone.
    fn first(&self, entry: &Entry) -> Verdict {
        let verdict = left_out::by_kind(entry);
        if verdict != Verdict::Carried {
            return self.told_if_wanted(entry, verdict);
        }
        match &entry.kind {
            Kind::Comment | Kind::Acl | Kind::SecurityLabel => self.as_its_object(entry),
            Kind::Table | Kind::View | Kind::MaterializedView | Kind::Sequence => self.relation(entry),
            _ => match self.ends.table_of(entry, &self.by_id) {
                Some(table) => self.hanging_on(table, entry),
                None if self.wanted.scope == Scope::Database => Verdict::Carried,
                None => Verdict::Passed,
            },
        }
    }

    /// Nobody who chose tables misses what is not one of them.
    fn told_if_wanted(&self, entry: &Entry, verdict: Verdict) -> Verdict {
        let is_relation = entry.kind == Kind::ForeignTable;
        let wanted =
            if is_relation { self.is_chosen(entry.oid) } else { self.wanted.scope == Scope::Database };
        if wanted { verdict } else { Verdict::Passed }
    }

    fn relation(&self, entry: &Entry) -> Verdict {
        let owner = self.ends.table_of(entry, &self.by_id).unwrap_or(entry.oid);
        self.if_chosen(self.is_chosen(owner))
    }

    fn if_chosen(&self, chosen: bool) -> Verdict {
        if chosen { Verdict::Carried } else { Verdict::Passed }
    }

    fn is_chosen(&self, oid: u32) -> bool {
        self.wanted.chooses(self.ends.facts, oid)
    }

    fn hanging_on(&self, table: u32, entry: &Entry) -> Verdict {
        if !self.is_chosen(table) {
            return Verdict::Passed;
        }
        let is_key =
            self.ends.facts.attached.get(&(entry.catalog, entry.oid)).is_some_and(|hung| hung.is_key);
        match &entry.kind {
            Kind::Trigger if self.wanted.scope == Scope::Tables => {
                Verdict::LeftOut("triggers do not come along when tables are chosen".to_owned())
            }
            Kind::Index if !self.wanted.indexes && !is_key => {
                Verdict::LeftOut("[objects] indexes = false".to_owned())
            }
            _ => Verdict::Carried,
        }
    }

    /// Comments, labels and grants share the fate of what they are about.
    fn as_its_object(&self, entry: &Entry) -> Verdict {
        let mut objects = entry.dependencies.iter().filter_map(|id| self.verdicts.get(id));
        self.if_chosen(objects.next().is_none_or(|verdict| *verdict == Verdict::Carried))
    }

    /// Chosen tables bring their schemas.
    fn add_schemas(&mut self) {
        let carried = |entry: &&&Entry| self.verdicts.get(&entry.id) == Some(&Verdict::Carried);
        let used: Vec<_> =
            self.by_id.values().filter(carried).filter_map(|entry| entry.schema.clone()).collect();
        let schemas = self.by_id.values().filter(|entry| entry.kind == Kind::Schema);
        let wanted: Vec<i32> =
            schemas.filter(|entry| used.contains(&entry.tag)).map(|entry| entry.id).collect();
        self.verdicts.extend(wanted.into_iter().map(|id| (id, Verdict::Carried)));
    }

    /// A sequence that a default takes its values from comes along with everything.
    fn add_needed_sequences(&mut self) {
        if self.wanted.scope != Scope::Database {
            return;
        }
        let carried = self.by_id.values().filter(|entry| self.verdicts[&entry.id] == Verdict::Carried);
        let needed = carried.flat_map(|entry| &entry.dependencies).filter(|id| self.is_free_sequence(**id));
        let needed: Vec<i32> = needed.copied().collect();
        self.verdicts.extend(needed.into_iter().map(|id| (id, Verdict::Carried)));
    }

    fn is_free_sequence(&self, id: i32) -> bool {
        let free = |entry: &&Entry| {
            self.ends.facts.relations.get(&entry.oid).is_some_and(|s| s.owner_table.is_none())
        };
        self.by_id.get(&id).is_some_and(|entry| entry.kind == Kind::Sequence && free(entry))
    }

    /// What needs something that is not carried and not there.
    fn check_needs(&mut self, entry: &Entry) {
        if self.verdicts.get(&entry.id) != Some(&Verdict::Carried) {
            return;
        }
        let Some(id) = entry.dependencies.iter().copied().find(|id| self.is_absent(entry, *id)) else {
            return;
        };
        let needed = self.absent_name(entry, id);
        let verdict = match &entry.kind {
            Kind::Comment | Kind::Acl | Kind::SecurityLabel | Kind::IndexAttach => Verdict::Passed,
            _ if self.is_ours(id) => Verdict::Passed,
            Kind::ForeignKey | Kind::Rule => {
                Verdict::LeftOut(format!("it needs {needed}, which is not carried over"))
            }
            _ if self.wanted.scope == Scope::Tables || self.has_rows(entry) => return self.miss(entry, id),
            _ => Verdict::LeftOut(format!("it needs {needed}, which is not carried over")),
        };
        self.verdicts.insert(entry.id, verdict);
    }

    /// The name of what is absent; of a foreign key, its table, though the archive may know only of the key there.
    fn absent_name(&self, entry: &Entry, id: i32) -> String {
        let hung = self.ends.facts.attached.get(&(entry.catalog, entry.oid));
        let referenced = hung.and_then(|hung| hung.referenced).filter(|table| !self.is_chosen(*table));
        match referenced.and_then(|table| self.ends.facts.relations.get(&table)) {
            Some(table) => format!("{} {}", Kind::Table, readable(&table.schema, &table.name)),
            None => self.ends.names[&id].clone(),
        }
    }

    /// A table must not be left out in silence of its rows.
    fn has_rows(&self, entry: &Entry) -> bool {
        match &entry.kind {
            Kind::Table | Kind::TableAttach | Kind::Sequence | Kind::SequenceOwnedBy | Kind::Default => true,
            _ => self.ends.facts.attached.contains_key(&(entry.catalog, entry.oid)),
        }
    }

    fn is_ours(&self, id: i32) -> bool {
        self.by_id.get(&id).is_some_and(|entry| left_out::by_kind(entry) == Verdict::Passed)
    }

    fn is_absent(&self, entry: &Entry, id: i32) -> bool {
        let Some(needed) = self.by_id.get(&id) else { return false };
        let carried = self.verdicts.get(&id) == Some(&Verdict::Carried);
        // Chosen tables bring their schemas; another schema is missing only with what is in it.
        // A partition's index can be made without its parent's, whose table is missing or there.
        let is_index = |entry: &Entry| matches!(entry.kind, Kind::Index | Kind::Constraint);
        if needed.kind == Kind::Schema || is_index(needed) && is_index(entry) {
            return false;
        }
        // A foreign key to what is not chosen is left out even where the destination has such a table: its rows
        // are not ours.
        !carried && (entry.kind == Kind::ForeignKey || !self.ends.is_present(needed))
    }

    fn miss(&mut self, entry: &Entry, first: i32) {
        let absent = entry.dependencies.iter().filter(|id| **id == first || self.is_absent(entry, **id));
        let missing = absent.map(|id| Missing {
            object: self.ends.names[id].clone(),
            needed_by: self.ends.names[&entry.id].clone(),
        });
        for one in missing.collect::<Vec<_>>() {
            if !self.missing.contains(&one) {
                self.missing.push(one);
            }
        }
    }

    fn done(self) -> Scoped {
        let told = |entry: &Entry| match self.verdicts.get(&entry.id) {
            Some(Verdict::LeftOut(reason)) => {
                Some(LeftOut { object: self.ends.names[&entry.id].clone(), reason: reason.clone() })
            }
            Some(Verdict::Carried | Verdict::Passed) | None => None,
        };
        let left_out = self.ends.archive.entries.iter().filter_map(told).collect();
        Scoped { verdicts: self.verdicts, left_out, missing: self.missing }
    }
}

#[cfg(test)]
mod tests;
