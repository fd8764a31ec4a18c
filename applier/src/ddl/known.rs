//! What the task says of the objects of one statement: which are in scope, and what they are called at the
//! destination.

use std::collections::{HashMap, HashSet};
use walferry_wire::pattern::is_never_selected;

use super::identity::{self, RELATIONS};
use super::{Around, Captured, Object, Step};
use crate::schema::rewrite::{NameMap, Qualified};
use crate::select::Choice;

/// A statement and what is known around it.
pub struct Known<'a> {
    /// The statement.
    pub captured: &'a Captured,
    /// Scope `database`.
    pub database: bool,
    /// The mapping of names.
    pub map: &'a NameMap,
    /// `[objects] indexes`
    pub indexes: bool,
    /// The destination's major version.
    pub server: u32,
    choice: &'a Choice,
    chosen: HashSet<u32>,
    renamed: HashMap<u32, Qualified>,
    path: Vec<String>,
}

impl<'a> Known<'a> {
    /// Asks for all tables that the statement touches.
    pub fn new(captured: &'a Captured, around: &Around<'a>) -> Self {
        let objects = captured.objects.iter().flat_map(|object| [Some(object.oid), object.table]);
        let rewritten = match captured.step {
            Step::Rewrite { relation, .. } => Some(relation),
            Step::Done | Step::Begin { .. } => None,
        };
        let facts =
            captured.facts.bounds.keys().chain(captured.facts.missing_values.keys()).copied().map(Some);
        let tables: HashSet<u32> = objects.chain(facts).chain([rewritten]).flatten().collect();
        let renamed = tables.iter().filter_map(|oid| Some((*oid, (around.renamed)(*oid)?)));
        Self {
            captured,
            database: around.database,
            map: around.map,
            indexes: around.indexes,
            server: around.server,
            choice: around.choice,
            chosen: tables.iter().copied().filter(|oid| (around.chosen)(*oid)).collect(),
            renamed: renamed.collect(),
            path: identity::path(&captured.search_path),
        }
    }

    /// The schemas that a name without one may mean, in order.
    pub fn path(&self) -> Vec<&str> {
        let schemas =
            self.path.iter().map(|schema| if schema == "$user" { &self.captured.username } else { schema });
        schemas.map(String::as_str).collect()
    }

    /// A chosen table's name at the destination.
    pub fn renamed(&self, oid: u32) -> Option<&Qualified> {
        self.renamed.get(&oid)
    }

    /// Whether a table that the statement touches is chosen by its oid.
    pub fn is_chosen(&self, oid: u32) -> bool {
        self.chosen.contains(&oid)
    }

    fn wants(&self, oid: u32, schema: &str, name: &str) -> bool {
        self.is_chosen(oid) || self.database && self.choice.wants(oid, schema, name)
    }

    /// Whether an object belongs to the task.
    pub fn is_in_scope(&self, object: &Object) -> bool {
        match object.table {
            _ if object.temporary => false,
            Some(table) => self.table_is_in_scope(table, object),
            None if RELATIONS.contains(&object.kind.as_str()) => self.is_wanted(object),
            None => self.database,
        }
    }

    fn is_wanted(&self, object: &Object) -> bool {
        let schema = object.schema.as_deref().unwrap_or_default();
        self.wants(object.oid, schema, &identity::own_name(object))
    }

    /// A table that neither the journal nor the statement names is known by the name of what hangs on it: indexes and
    /// sequences mostly begin with their table's.
    fn table_is_in_scope(&self, table: u32, part: &Object) -> bool {
        let whole = self.captured.objects.iter().find(|object| object.oid == table && object.table.is_none());
        match (whole, identity::table_of(part)) {
            (Some(whole), _) => self.is_wanted(whole),
            (None, Some((schema, name))) => self.wants(table, &schema, &name),
            (None, None) => self.is_chosen(table) || self.is_wanted(part),
        }
    }

    /// Whether the object, or what it hangs on, is chosen relation by relation.
    pub fn is_relational(object: &Object) -> bool {
        object.table.is_some() || RELATIONS.contains(&object.kind.as_str())
    }

    /// The object that a name in the statement stands for, if the source told of it.
    pub fn object(&self, schema: &str, name: &str) -> Option<&'a Object> {
        let is_it = |object: &&Object| {
            RELATIONS.contains(&object.kind.as_str())
                && object.name.as_deref() == Some(name)
                && (schema.is_empty() || object.schema.as_deref() == Some(schema))
        };
        self.captured.objects.iter().find(is_it)
    }

    /// Whether the relation that a statement names belongs to the task; what the server itself has always does.
    /// Without its schema and unknown it may be any of the search_path's, and belongs if one of these would.
    pub fn has(&self, schema: &str, name: &str) -> bool {
        if !schema.is_empty() && is_never_selected(schema) {
            return true;
        }
        if let Some(object) = self.object(schema, name) {
            return self.is_in_scope(object);
        }
        match (self.captured.step, schema) {
            (Step::Rewrite { relation, .. }, _) if self.is_chosen(relation) => true,
            (Step::Rewrite { .. }, _) if !self.database => false,
            (_, "") => self.homes().iter().any(|schema| self.choice.wants(0, schema, name)),
            (_, schema) => self.choice.wants(0, schema, name),
        }
    }

    /// Where a name without a schema is looked for: few have a schema of their role's name.
    fn homes(&self) -> Vec<&str> {
        let named: Vec<_> =
            self.path.iter().map(String::as_str).filter(|schema| *schema != "$user").collect();
        if named.is_empty() { self.path() } else { named }
    }

    /// Whether a partition belongs to the task, by its own name or by its parent's, unless either is excluded.
    pub fn has_partition(&self, partition: (&str, &str), parent: (&str, &str)) -> bool {
        let schema = |relation: (&str, &str)| {
            let told = self.object(relation.0, relation.1).and_then(|object| object.schema.clone());
            let guessed = || self.homes().first().copied().unwrap_or_default().to_owned();
            told.unwrap_or_else(|| if relation.0.is_empty() { guessed() } else { relation.0.to_owned() })
        };
        let (at, parent_at) = (schema(partition), schema(parent));
        self.choice.wants_any([(0, at.as_str(), partition.1), (0, parent_at.as_str(), parent.1)].into_iter())
    }
}
