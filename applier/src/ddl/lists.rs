//! Statements about several objects at once: only the part that is in scope is run. What did not exist at the source
//! under IF EXISTS is not dropped at the destination either.

use pg_query::protobuf::{DropStmt, GrantStmt, ObjectType};
use pg_query::{NodeEnum, ParserOptions};

use super::known::Known;
use super::{Object, identity, tree};

/// What is left of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// All of it.
    All,
    /// Some of it.
    Some,
    /// Nothing.
    Nothing,
}

/// Takes out of a DROP or GRANT what is out of scope.
pub fn narrow(node: &mut NodeEnum, known: &Known<'_>) -> Left {
    match node {
        NodeEnum::DropStmt(drop) => narrow_drop(drop, known),
        NodeEnum::GrantStmt(grant) => narrow_grant(grant, known),
        // No other statement is about several objects.
        _ => Left::All,
    }
}

fn narrow_grant(grant: &mut GrantStmt, known: &Known<'_>) -> Left {
    let before = grant.objects.len();
    let is_ours = |names: &[String]| match names {
        [schema, name] => known.has(schema, name),
        [name] => known.has("", name),
        // All tables of a schema, or no relation.
        _ => true,
    };
    if super::kinds::grants_on_relations(&NodeEnum::GrantStmt(grant.clone())) {
        grant.objects.retain(|object| is_ours(&tree::name(object)));
    }
    left(before, grant.objects.len())
}

fn narrow_drop(drop: &mut DropStmt, known: &Known<'_>) -> Left {
    let before = drop.objects.len();
    let kind = ObjectType::try_from(drop.remove_type).unwrap_or(ObjectType::Undefined);
    let takes = known.database || matches!(kind, ObjectType::ObjectTable | ObjectType::ObjectIndex);
    let is_gone = |object: &&Object| object.dropped && object.original;
    let gone: Vec<_> = known.captured.objects.iter().filter(is_gone).collect();
    let told = known.captured.knows_objects() && drop.missing_ok && is_told(kind);
    drop.objects.retain(|object| {
        let names = tree::name(object);
        match gone.iter().find(|gone| is_named(gone, kind, &names)) {
            Some(gone) => takes && known.is_in_scope(gone),
            None => takes && !told && is_ours(known, kind, &names),
        }
    });
    if kind == ObjectType::ObjectIndex && !known.indexes && !drop.missing_ok {
        // Which indexes there are without [objects] indexes, only the destination knows.
        drop.missing_ok = true;
        return if drop.objects.is_empty() { Left::Nothing } else { Left::Some };
    }
    left(before, drop.objects.len())
}

fn is_ours(known: &Known<'_>, kind: ObjectType, names: &[String]) -> bool {
    match (kind, names) {
        (ObjectType::ObjectTable | ObjectType::ObjectView | ObjectType::ObjectMatview, [schema, name]) => {
            known.has(schema, name)
        }
        (ObjectType::ObjectTable | ObjectType::ObjectView | ObjectType::ObjectMatview, [name]) => {
            known.has("", name)
        }
        _ => true,
    }
}

fn left(before: usize, after: usize) -> Left {
    match after {
        0 => Left::Nothing,
        after if after == before => Left::All,
        _ => Left::Some,
    }
}

/// Whether such an object can be found among the dropped ones by its name; casts and transforms are named by their
/// types.
fn is_told(kind: ObjectType) -> bool {
    !matches!(kind, ObjectType::ObjectCast | ObjectType::ObjectTransform | ObjectType::ObjectUserMapping)
}

fn is_named(gone: &Object, kind: ObjectType, names: &[String]) -> bool {
    let hangs = matches!(kind, ObjectType::ObjectTrigger | ObjectType::ObjectRule | ObjectType::ObjectPolicy);
    let Some((name, before)) = names.split_last() else { return false };
    let schema = match hangs {
        true => before.len().checked_sub(2).map(|at| &before[at]),
        false => before.last(),
    };
    let of = identity::table_of(gone);
    let there = match (&of, hangs) {
        (Some((_, table)), true) => before.last() == Some(table),
        _ => true,
    };
    let at = of.map(|(schema, _)| schema).filter(|_| hangs).or_else(|| schema_of(gone));
    there
        && identity::own_name(gone) == *name
        && (schema.is_none() || schema == at.as_ref() || is_class(kind))
}

/// Operator classes and families have their access method before their name.
fn is_class(kind: ObjectType) -> bool {
    matches!(kind, ObjectType::ObjectOpclass | ObjectType::ObjectOpfamily)
}

fn schema_of(gone: &Object) -> Option<String> {
    let names = identity::dotted(&gone.identity).0;
    gone.schema.clone().or_else(|| names.len().checked_sub(2).map(|at| names[at].clone()))
}

/// A DROP that takes no offence at what is not there; none for other statements.
pub fn tolerant_drop(text: &str) -> Option<String> {
    let NodeEnum::DropStmt(mut drop) = tree::statement(text, ParserOptions::DEFAULT).ok()? else {
        return None;
    };
    let is_strict = !std::mem::replace(&mut drop.missing_ok, true);
    is_strict.then(|| tree::text(&NodeEnum::DropStmt(drop)).ok()).flatten()
}
