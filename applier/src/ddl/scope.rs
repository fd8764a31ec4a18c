//! Whether a statement is about what belongs to the task.

use pg_query::NodeEnum;
use pg_query::protobuf::ObjectType;

use walferry_wire::pattern::is_never_selected;

use super::known::Known;
use super::{Object, kinds};
use crate::pg::quote::readable;
use crate::schema::rewrite::Qualified;

const NOT_CHOSEN: &str = "it is about what is not chosen ([objects] include, exclude)";
const ONLY_TABLES: &str = "[objects] scope = \"tables\" takes ALTER TABLE and DROP TABLE of the chosen tables, their indexes and partitions";
const NO_INDEXES: &str = "[objects] indexes = false";

/// Why a statement is out of scope as a whole. Lists of objects are judged one by one elsewhere.
pub fn objection(node: &NodeEnum, known: &Known<'_>) -> Option<String> {
    if !known.database {
        return objection_to_table(node, known).map(str::to_owned);
    }
    if is_plain_index(node) && !known.indexes {
        return Some(NO_INDEXES.to_owned());
    }
    if kinds::grants_on_relations(node) || matches!(node, NodeEnum::DropStmt(_) | NodeEnum::DropOwnedStmt(_))
    {
        return None;
    }
    if !touches_ours(node, known) {
        return Some(NOT_CHOSEN.to_owned());
    }
    let missing = kinds::needed(node).into_iter().find(|(schema, name)| !known.has(schema, name));
    missing.map(|(schema, name)| {
        let name = if schema.is_empty() { name } else { readable(&schema, &name) };
        format!("it needs {name}, which is not chosen")
    })
}

/// Whether anything that the statement touched belongs to the task; by the statement's own words where the source does
/// not say.
fn touches_ours(node: &NodeEnum, known: &Known<'_>) -> bool {
    let here = |object: &&Object| !object.dropped && !object.in_extension;
    let mut objects = known.captured.objects.iter().filter(here).peekable();
    if let Some((partition, parent)) = partition_of(node) {
        return known.has_partition((&partition.0, &partition.1), (&parent.0, &parent.1));
    }
    match (node, objects.peek().is_some(), target(node)) {
        (NodeEnum::IndexStmt(_), true, Some((schema, table))) => indexes_ours(&schema, &table, known),
        (_, true, _) => objects.any(|object| known.is_in_scope(object)),
        (_, false, Some((schema, name))) => known.has(&schema, &name),
        (_, false, None) => true,
    }
}

/// The names of a partition that is made, and of its parent.
fn partition_of(node: &NodeEnum) -> Option<(Qualified, Qualified)> {
    let NodeEnum::CreateStmt(create) = node else { return None };
    create.partbound.as_ref()?;
    let Some(NodeEnum::RangeVar(parent)) = create.inh_relations.first()?.node.as_ref() else { return None };
    Some((target(node)?, (parent.schemaname.clone(), parent.relname.clone())))
}

/// A new index's table is named by the statement, and has the index's schema.
fn indexes_ours(schema: &str, table: &str, known: &Known<'_>) -> bool {
    let made = known.captured.objects.iter().find(|object| object.kind == "index");
    let chosen = made.and_then(|index| index.table).is_some_and(|table| known.is_chosen(table));
    let schema = made.and_then(|index| index.schema.as_deref()).unwrap_or(schema);
    chosen || !is_never_selected(schema) && known.has(schema, table)
}

/// The relation that a statement is about.
pub fn target(node: &NodeEnum) -> Option<(String, String)> {
    let relation = match node {
        NodeEnum::AlterTableStmt(alter) => alter.relation.as_ref(),
        NodeEnum::RenameStmt(rename) => rename.relation.as_ref(),
        NodeEnum::AlterObjectSchemaStmt(alter) => alter.relation.as_ref(),
        NodeEnum::AlterOwnerStmt(owner) => owner.relation.as_ref(),
        NodeEnum::CreateStmt(create) => create.relation.as_ref(),
        NodeEnum::IndexStmt(index) => index.relation.as_ref(),
        NodeEnum::ViewStmt(view) => view.view.as_ref(),
        NodeEnum::RuleStmt(rule) => rule.relation.as_ref(),
        NodeEnum::CreateTrigStmt(trigger) => trigger.relation.as_ref(),
        NodeEnum::CreatePolicyStmt(policy) => policy.table.as_ref(),
        NodeEnum::AlterPolicyStmt(policy) => policy.table.as_ref(),
        NodeEnum::CreateSeqStmt(create) => create.sequence.as_ref(),
        NodeEnum::AlterSeqStmt(alter) => alter.sequence.as_ref(),
        NodeEnum::RefreshMatViewStmt(refresh) => refresh.relation.as_ref(),
        NodeEnum::CreateTableAsStmt(create) => create.into.as_ref().and_then(|into| into.rel.as_ref()),
        NodeEnum::SelectStmt(select) => select.into_clause.as_ref().and_then(|into| into.rel.as_ref()),
        // The others are about no relation, or about several.
        _ => None,
    }?;
    Some((relation.schemaname.clone(), relation.relname.clone()))
}

fn is_plain_index(node: &NodeEnum) -> bool {
    matches!(node, NodeEnum::IndexStmt(index) if !index.unique && !index.isconstraint)
}

fn objection_to_table(node: &NodeEnum, known: &Known<'_>) -> Option<&'static str> {
    let kind = |object: i32| ObjectType::try_from(object).unwrap_or(ObjectType::Undefined);
    let of_table = |object| matches!(object, ObjectType::ObjectTable | ObjectType::ObjectIndex);
    let takes = match node {
        NodeEnum::AlterTableStmt(alter) => of_table(kind(alter.objtype)),
        NodeEnum::RenameStmt(rename) => match kind(rename.rename_type) {
            ObjectType::ObjectColumn => kind(rename.relation_type) == ObjectType::ObjectTable,
            ObjectType::ObjectTabconstraint => true,
            other => of_table(other),
        },
        NodeEnum::AlterObjectSchemaStmt(alter) => kind(alter.object_type) == ObjectType::ObjectTable,
        NodeEnum::IndexStmt(_) => true,
        // A partition of a chosen table is chosen with it, as in the copy.
        NodeEnum::CreateStmt(_) => return partition_objection(node, known),
        // Judged object by object.
        NodeEnum::DropStmt(_) | NodeEnum::DropOwnedStmt(_) => return None,
        _ => false,
    };
    match (takes, is_plain_index(node) && !known.indexes) {
        (false, _) => Some(ONLY_TABLES),
        (true, true) => Some(NO_INDEXES),
        (true, false) if touches_chosen(node, known) => None,
        (true, false) => Some(NOT_CHOSEN),
    }
}

fn partition_objection(node: &NodeEnum, known: &Known<'_>) -> Option<&'static str> {
    match partition_of(node) {
        None => Some(ONLY_TABLES),
        Some((partition, parent)) => {
            let ours = known.has_partition((&partition.0, &partition.1), (&parent.0, &parent.1));
            (!ours).then_some(NOT_CHOSEN)
        }
    }
}

fn touches_chosen(node: &NodeEnum, known: &Known<'_>) -> bool {
    let objects = &known.captured.objects;
    match target(node) {
        Some((schema, name)) if objects.is_empty() => known.has(&schema, &name),
        _ => objects.iter().any(|object| known.is_chosen(object.table.unwrap_or(object.oid))),
    }
}
