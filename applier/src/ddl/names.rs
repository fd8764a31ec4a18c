//! The destination's names in a statement, and in the search_path that it is run under.

use pg_query::NodeEnum;
use pg_query::protobuf::ObjectType;

use super::known::Known;
use super::{Leave, Object, identity, own};
use crate::error::{Error, Result};
use crate::pg::quote::{ident, readable, readable_ident};
use crate::schema::rewrite::{NameMap, Qualified};

/// The mapping as this statement needs it: with the journal's names of what it touches, and with what its names
/// without a schema stand for.
pub fn map(node: &NodeEnum, known: &Known<'_>) -> NameMap {
    let mut map = known.map.clone();
    let mut touched: Vec<Qualified> = Vec::new();
    for object in known.captured.objects.iter().filter(|object| Known::is_relational(object)) {
        touched.extend(journaled(&mut map, object, known));
    }
    // The objects of a rename have their new names.
    if let Some((old, object)) = renamed_table(node, known) {
        let from = known.renamed(object.oid).cloned().unwrap_or_else(|| map.table(&old.0, &old.1));
        map.set_table(old.clone(), from);
        touched.insert(0, old);
    }
    map.resolve(&known.path(), &touched);
    map
}

/// Notes what the journal says of an object; the name that the statement may mention it by.
fn journaled(map: &mut NameMap, object: &Object, known: &Known<'_>) -> Option<Qualified> {
    let (schema, name) = (object.schema.as_deref()?, object.name.as_deref()?);
    match object.table {
        None => {
            let from = (schema.to_owned(), name.to_owned());
            if let Some(to) = known.renamed(object.oid).filter(|to| **to != map.table(schema, name)) {
                map.set_table(from, to.clone());
            }
        }
        Some(table) => {
            let of = known.captured.objects.iter().find(|whole| whole.oid == table && whole.table.is_none());
            let named = of.and_then(|of| Some(map.table(of.schema.as_deref()?, of.name.as_deref()?)));
            let to_schema = known.renamed(table).cloned().or(named).map(|(to_schema, _)| to_schema);
            if let Some(to_schema) = to_schema.filter(|to_schema| map.relation(schema, name).0 != *to_schema)
            {
                map.place(schema, name, &to_schema);
            }
        }
    }
    Some((schema.to_owned(), name.to_owned()))
}

/// The old name of the table that a statement gives another name or schema.
fn renamed_table<'a>(node: &NodeEnum, known: &Known<'a>) -> Option<(Qualified, &'a Object)> {
    let (relation, of_schema) = match node {
        NodeEnum::RenameStmt(rename) if is_table(rename.rename_type) => (rename.relation.as_ref()?, false),
        NodeEnum::AlterObjectSchemaStmt(alter) if is_table(alter.object_type) => {
            (alter.relation.as_ref()?, true)
        }
        // Another statement.
        _ => return None,
    };
    let object = known.captured.objects.iter().find(|object| object.table.is_none() && !object.dropped)?;
    let name = relation.relname.clone();
    let now = object.schema.clone().unwrap_or_default();
    let schema = match (relation.schemaname.as_str(), of_schema) {
        ("", false) => now,
        ("", true) => moved_from(&name, object, known),
        (schema, _) => schema.to_owned(),
    };
    Some(((schema, name), object))
}

/// A table without a schema that moved was in one of the search_path's: that of its name at the destination, else the
/// one that a rule names it in.
fn moved_from(name: &str, object: &Object, known: &Known<'_>) -> String {
    let path = known.path();
    let to = known.renamed(object.oid);
    let kept = path.iter().find(|schema| to == Some(&plain(known.map, schema, name)));
    let ruled = || path.iter().find(|schema| known.map.table(schema, name) != plain(known.map, schema, name));
    let found = kept.or_else(ruled).or(path.first());
    found.copied().unwrap_or_default().to_owned()
}

/// Where a table goes by the rule for its schema.
fn plain(map: &NameMap, schema: &str, name: &str) -> Qualified {
    (map.schema(schema).to_owned(), name.to_owned())
}

fn is_table(object: i32) -> bool {
    matches!(
        ObjectType::try_from(object).unwrap_or(ObjectType::Undefined),
        ObjectType::ObjectTable | ObjectType::ObjectView | ObjectType::ObjectMatview
    )
}

/// Why a new name at the source is none at the destination.
///
/// # Errors
/// A schema of `[[map]]` that gets another name.
pub fn keeps_its_name(node: &NodeEnum, known: &Known<'_>) -> Result<Option<String>> {
    if let NodeEnum::RenameStmt(rename) = node
        && rename.rename_type == ObjectType::ObjectSchema as i32
    {
        return mapped_schema(&rename.subname, &rename.newname, known).map_or(Ok(None), Err);
    }
    let Some((old, object)) = renamed_table(node, known) else { return Ok(None) };
    let to = known.renamed(object.oid).cloned().unwrap_or_else(|| known.map.table(&old.0, &old.1));
    let reason = format!("the table keeps its mapped name {}", readable(&to.0, &to.1));
    let mapped = to != plain(known.map, &old.0, &old.1);
    Ok(mapped.then_some(reason))
}

fn mapped_schema(old: &str, new: &str, known: &Known<'_>) -> Option<Error> {
    let mapped = [old, new].into_iter().find(|schema| known.map.schema(schema) != *schema)?;
    Some(Error::refused(format!(
        "the source renamed the schema {} to {}, and [[map]] has a rule for {}; rename the schema at the destination \
         if it should follow, edit [[map]] to the new name, then skip the statement",
        readable_ident(old),
        readable_ident(new),
        readable_ident(mapped)
    )))
}

/// The search_path with the destination's schemas, and with the schema of the role that ran the statement: it may be run as
/// another one. The same text where nothing of it has another name.
pub fn search_path(known: &Known<'_>) -> String {
    let path = known.path();
    let is_same = path.iter().all(|schema| known.map.schema(schema) == *schema && !own::is_schema(schema));
    if is_same && !identity::path(&known.captured.search_path).iter().any(|schema| schema == "$user") {
        return known.captured.search_path.clone();
    }
    // What the destination has in walferry's own schemas is never meant.
    let theirs = path.iter().filter(|schema| !own::is_schema(schema));
    let schemas: Vec<_> = theirs.map(|schema| ident(known.map.schema(schema))).collect();
    schemas.join(", ")
}

/// A statement that is left because its table keeps its name.
pub fn left(reason: String) -> super::Plan {
    super::Plan::Leave { why: Leave::NotCarried, reason }
}
