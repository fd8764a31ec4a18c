//! Entries and relations for tests.

use std::collections::HashSet;

use super::facts::{Attached, Facts, Relation, catalogs};
use super::kind::Kind;
use super::objects::{Named, Present};
use super::roles_at::Roles;
use super::scope::{Chosen, Ends, Wanted};
use super::toc::{Archive, Entry, Section};
use super::{Renaming, Rewritten, identity};
use crate::config::Scope;
use crate::error::Result;

/// An entry of pre-data that says nothing but its name.
pub fn entry(id: i32, kind: &str, schema: Option<&str>, tag: &str) -> Entry {
    Entry {
        id,
        catalog: 0,
        oid: 0,
        tag: tag.to_owned(),
        kind: Kind::of(kind),
        section: Section::PreData,
        definition: String::new(),
        drop_statement: String::new(),
        schema: schema.map(str::to_owned),
        tablespace: None,
        access_method: None,
        relkind: None,
        owner: String::new(),
        dependencies: Vec::new(),
        is_utf8: true,
    }
}

/// An empty relation.
pub fn relation(oid: u32, schema: &str, name: &str, kind: char) -> Relation {
    Relation {
        oid,
        schema: schema.to_owned(),
        name: name.to_owned(),
        kind,
        owner_table: None,
        is_filled: false,
        pages: 0,
        parents: Vec::new(),
        is_partition: false,
    }
}

/// What is known of two servers, built up entry by entry.
#[derive(Default)]
pub struct World {
    /// The source's definitions.
    pub archive: Archive,
    /// What they hang on.
    pub facts: Facts,
    /// The source's names.
    pub named: Named,
    /// The destination's.
    pub there: Named,
    /// What the task made.
    pub made: HashSet<String>,
    /// The roles of the destination.
    pub roles: Roles,
}

impl World {
    /// A relation with its entry, which has the same number as its oid.
    pub fn relation(&mut self, id: i32, kind: &str, name: &str, needs: &[i32]) {
        let (oid, letter) = (
            id as u32,
            match kind {
                "VIEW" => 'v',
                "MATERIALIZED VIEW" => 'm',
                "SEQUENCE" => 'S',
                _ => 'r',
            },
        );
        self.facts.relations.insert(oid, relation(oid, "public", name, letter));
        self.object(id, kind, name, catalogs::CLASS, needs);
    }

    /// Something with a name in a catalog.
    pub fn object(&mut self, id: i32, kind: &str, name: &str, catalog: u32, needs: &[i32]) {
        self.named.insert((catalog, id as u32), ("public".to_owned(), name.to_owned()));
        let entry = entry(id, kind, Some("public"), name);
        let dependencies = needs.to_vec();
        self.archive.entries.push(Entry { catalog, oid: id as u32, dependencies, ..entry });
    }

    /// Something of post-data that hangs on a table.
    pub fn hanging(&mut self, id: i32, kind: &str, tag: &str, table: i32, needs: &[i32]) {
        let hung =
            Attached { table: table as u32, referenced: None, is_key: false, is_primary: false, index: None };
        self.facts.attached.insert((2606, id as u32), hung);
        let entry = entry(id, kind, Some("public"), tag);
        let dependencies = needs.to_vec();
        let section = Section::PostData;
        self.archive.entries.push(Entry { catalog: 2606, oid: id as u32, dependencies, section, ..entry });
    }

    /// The last entry.
    pub fn last(&mut self) -> &mut Entry {
        self.archive.entries.last_mut().expect("an entry")
    }

    /// Asks a question of both ends.
    pub fn ask<T>(&self, question: impl FnOnce(&Ends<'_>) -> T) -> T {
        let (present, names) = (Present::of(&self.there), identity::names(&self.archive.entries));
        question(&Ends {
            archive: &self.archive,
            facts: &self.facts,
            named: &self.named,
            present: &present,
            made: &self.made,
            names: &names,
            roles: &self.roles,
            renaming: &Unchanged,
        })
    }
}

/// What is wanted when these are chosen by name; everything if none are named.
pub fn wanted<'a>(scope: Scope, chosen: &'a Chosen<'a>) -> Wanted<'a> {
    Wanted { scope, chosen, indexes: true, materialized_views: true }
}

/// Everything is called as at the source.
struct Unchanged;

impl Renaming for Unchanged {
    fn sql(&self, sql: &str) -> Result<Rewritten> {
        Ok(Rewritten { sql: sql.to_owned(), unseen: Vec::new() })
    }

    fn name(&self, _catalog: u32, schema: &str, name: &str) -> (String, String) {
        (schema.to_owned(), name.to_owned())
    }
}
