//! Entries and relations for tests.

use super::facts::Relation;
use super::kind::Kind;
use super::toc::{Entry, Section};

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
