//! Names that mapping brings together in one schema (C2). An index or constraint whose name is taken gets
//! `i_<hash>_<name>_key` or `c_<hash>_<name>_key`; anything else that collides is an error, because users call it by
//! its name. Pure; the names come from `inventory`.

use std::collections::HashSet;

use ring::digest::{SHA256, digest};

use super::inventory::{Kind, Object};
use super::rewrite::{NameMap, Qualified};
use crate::config::Mapping;
use crate::error::{Error, Result};
use crate::pg::quote;

/// NAMEDATALEN - 1 of a server as it is built by everyone.
const LONGEST: usize = 63;

/// The map for what is to be made: the configuration's rules, what follows its table, and hashed names where the
/// chosen objects (or what `taken` says the destination has, without what the task itself made there) collide.
///
/// # Errors
/// A refusal that names every table, view, sequence and type whose name is taken.
pub fn name_map(rules: &[Mapping], source: &[Object], taken: &[Object]) -> Result<NameMap> {
    let mut map = NameMap::new(rules);
    for (table, object) in source.iter().filter_map(|object| Some((object.table.as_ref()?, object))) {
        map.follow(&object.schema, table, &object.name);
    }
    let mut names = Names::default();
    taken.iter().for_each(|object| names.occupy(object.kind, (object.schema.clone(), object.name.clone())));
    let collisions = names.place_fixed(&map, source);
    if !collisions.is_empty() {
        let message = format!(
            "these names are taken at the destination: {}; map or exclude them",
            collisions.join(", ")
        );
        return Err(Error::refused(message));
    }
    names.place_indexes(&mut map, source);
    Ok(map)
}

/// The names in use: `pg_class` and `pg_type` are a namespace each, and a table is in both.
#[derive(Debug, Default)]
struct Names {
    relations: HashSet<Qualified>,
    types: HashSet<Qualified>,
}

impl Names {
    fn has(&self, kind: Kind, name: &Qualified) -> bool {
        match kind {
            Kind::Table => self.relations.contains(name) || self.types.contains(name),
            Kind::Sequence | Kind::Index | Kind::Constraint => self.relations.contains(name),
            Kind::Type => self.types.contains(name),
        }
    }

    fn occupy(&mut self, kind: Kind, name: Qualified) {
        match kind {
            Kind::Table => {
                self.types.insert(name.clone());
                self.relations.insert(name);
            }
            Kind::Sequence | Kind::Index | Kind::Constraint => {
                self.relations.insert(name);
            }
            Kind::Type => {
                self.types.insert(name);
            }
        }
    }

    /// Tables, views, sequences and types; what collides comes back, for people.
    fn place_fixed(&mut self, map: &NameMap, source: &[Object]) -> Vec<String> {
        let mut collisions = Vec::new();
        for object in source.iter().filter(|object| !object.kind.is_index()) {
            let to = destination(map, object);
            if self.has(object.kind, &to) {
                let from = quote::readable(&object.schema, &object.name);
                collisions.push(format!("{} (from {from})", quote::readable(&to.0, &to.1)));
            }
            self.occupy(object.kind, to);
        }
        collisions
    }

    /// Indexes and constraints: those that stay in their schema keep their names, then the order is by name, so
    /// that every run decides alike.
    fn place_indexes(&mut self, map: &mut NameMap, source: &[Object]) {
        let mut indexes: Vec<_> = source.iter().filter(|object| object.kind.is_index()).collect();
        indexes.sort_by_key(|index| {
            let moved = map.relation(&index.schema, &index.name).0 != index.schema;
            (moved, &index.schema, &index.table, &index.name)
        });
        for index in indexes {
            let to = destination(map, index);
            if self.has(index.kind, &to) {
                let hashed = hashed(index);
                rename(map, index, &hashed);
                self.occupy(index.kind, (to.0, hashed));
            } else {
                self.occupy(index.kind, to);
            }
        }
    }
}

fn destination(map: &NameMap, object: &Object) -> Qualified {
    match object.kind {
        Kind::Table => map.table(&object.schema, &object.name),
        Kind::Sequence | Kind::Index | Kind::Constraint => map.relation(&object.schema, &object.name),
        Kind::Type => (map.schema(&object.schema).to_owned(), object.name.clone()),
    }
}

fn rename(map: &mut NameMap, index: &Object, to: &str) {
    map.rename_index(&index.schema, &index.name, to);
    if let (Kind::Constraint, Some(table)) = (index.kind, &index.table) {
        map.rename_constraint(&index.schema, table, &index.name, to);
    }
}

/// The same on every run: the hash is of the source's names alone.
fn hashed(index: &Object) -> String {
    let table = index.table.as_deref().unwrap_or_default();
    let hash = digest(&SHA256, format!("{}\0{table}\0{}", index.schema, index.name).as_bytes());
    let hash: String = hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let letter = if index.kind == Kind::Constraint { 'c' } else { 'i' };
    let (before, after) = (format!("{letter}_{hash}_"), "_key");
    let room = index.name.floor_char_boundary(LONGEST - before.len() - after.len());
    format!("{before}{}{after}", &index.name[..room])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: Kind, schema: &str, table: Option<&str>, name: &str) -> Object {
        Object { kind, schema: schema.into(), table: table.map(Into::into), name: name.into() }
    }

    fn into_all(schemas: &[&str]) -> Vec<Mapping> {
        let rule = |schema: &&str| Mapping {
            schema: (*schema).into(),
            table: None,
            to_schema: "all".into(),
            to_table: None,
        };
        schemas.iter().map(rule).collect()
    }

    #[test]
    fn the_second_gets_a_stable_hashed_name() {
        let mut source = vec![
            object(Kind::Constraint, "b", Some("u"), "t_pkey"),
            object(Kind::Constraint, "a", Some("t"), "t_pkey"),
            object(Kind::Index, "b", Some("u"), "i"),
            object(Kind::Index, "a", Some("t"), "i"),
            object(Kind::Index, "c", Some("t"), "i"),
        ];
        let map = name_map(&into_all(&["a", "b"]), &source, &[]).expect("no table collides");
        assert_eq!(map.relation("a", "t_pkey"), ("all".into(), "t_pkey".into()));
        assert_eq!(map.relation("c", "i"), ("c".into(), "i".into()));
        let (schema, pkey) = map.relation("b", "t_pkey");
        assert_eq!((schema.as_str(), pkey.as_str()), ("all", "c_e79eb387_t_pkey_key"));
        assert_eq!(map.constraint("b", "u", "t_pkey"), pkey);
        assert!(map.relation("b", "i").1.starts_with("i_"));
        source.reverse();
        let again = name_map(&into_all(&["a", "b"]), &source, &[]).expect("no table collides");
        assert_eq!(again.relation("b", "t_pkey"), map.relation("b", "t_pkey"));
    }

    #[test]
    fn a_name_of_the_destination_is_taken_too() {
        let source = [object(Kind::Index, "a", Some("t"), "i")];
        let taken = [object(Kind::Table, "all", None, "i")];
        let map = name_map(&into_all(&["a"]), &source, &taken).expect("indexes give way");
        assert!(map.relation("a", "i").1.ends_with("_i_key"));
    }

    #[test]
    fn tables_sequences_and_types_never_give_way() {
        let source = [
            object(Kind::Table, "a", None, "t"),
            object(Kind::Type, "b", None, "t"),
            object(Kind::Sequence, "a", None, "s"),
            object(Kind::Sequence, "b", None, "s"),
        ];
        let error = name_map(&into_all(&["a", "b"]), &source, &[]).expect_err("two collisions");
        assert!(error.to_string().contains("all.t (from b.t), all.s (from b.s)"), "{error}");
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let name = hashed(&object(Kind::Index, "a", Some("t"), &"\u{e9}".repeat(31)));
        assert!(name.len() <= 63 && name.ends_with("\u{e9}_key"), "{name}");
    }
}
