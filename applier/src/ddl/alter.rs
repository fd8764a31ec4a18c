//! ALTER TABLE: the part of it that is carried, with the source's values in it.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableStmt, AlterTableType as At, ConstrType, Constraint, CreateStmt, Node, ObjectType, RangeVar,
};

use super::known::Known;
use super::values::{self, Computed};
use crate::error::Result;
use crate::pg::quote::readable;

/// What is taken out of a statement, for people.
pub type Warnings = Vec<String>;

/// Whether scope `tables` takes a command.
fn is_of_tables(subtype: i32) -> bool {
    match At::try_from(subtype).unwrap_or(At::Undefined) {
        At::AtAddColumn | At::AtColumnDefault | At::AtDropNotNull | At::AtSetNotNull => true,
        At::AtSetExpression | At::AtDropExpression | At::AtSetStatistics => true,
        At::AtSetOptions | At::AtResetOptions | At::AtSetStorage | At::AtSetCompression => true,
        At::AtDropColumn | At::AtAlterColumnType => true,
        At::AtAddConstraint | At::AtAlterConstraint | At::AtValidateConstraint | At::AtDropConstraint => true,
        At::AtAddIdentity | At::AtSetIdentity | At::AtDropIdentity | At::AtReplicaIdentity => true,
        At::AtAttachPartition | At::AtDetachPartition | At::AtDetachPartitionFinalize => true,
        At::AtSetRelOptions | At::AtResetRelOptions => true,
        At::AtChangeOwner | At::AtClusterOn | At::AtDropCluster => false,
        At::AtSetLogged | At::AtSetUnLogged | At::AtSetAccessMethod | At::AtSetTableSpace => false,
        At::AtEnableTrig | At::AtEnableAlwaysTrig | At::AtEnableReplicaTrig | At::AtDisableTrig => false,
        At::AtEnableTrigAll | At::AtDisableTrigAll | At::AtEnableTrigUser | At::AtDisableTrigUser => false,
        At::AtEnableRule | At::AtEnableAlwaysRule | At::AtEnableReplicaRule | At::AtDisableRule => false,
        At::AtAddInherit | At::AtDropInherit | At::AtAddOf | At::AtDropOf => false,
        At::AtEnableRowSecurity | At::AtDisableRowSecurity => false,
        At::AtForceRowSecurity | At::AtNoForceRowSecurity => false,
        At::AtGenericOptions | At::AtAlterColumnGenericOptions => false,
        // Never in a statement's own text.
        At::Undefined | At::AtAddColumnToView | At::AtCookedColumnDefault | At::AtAddIndex => false,
        At::AtReAddIndex | At::AtReAddConstraint | At::AtReAddDomainConstraint => false,
        At::AtAddIndexConstraint | At::AtReAddComment | At::AtDropOids | At::AtReplaceRelOptions => false,
        At::AtReAddStatistics => false,
    }
}

/// Takes out the commands that are out of scope and the foreign keys to what is; whether there were any.
pub fn narrow(alter: &mut AlterTableStmt, known: &Known<'_>, warnings: &mut Warnings) -> bool {
    let before = alter.cmds.len();
    if !known.database {
        alter.cmds.retain(takes);
    }
    if alter.cmds.len() < before {
        warnings.push("parts of the statement are out of scope and were left out".to_owned());
    }
    let of_columns = alter.cmds.iter_mut().fold(false, |any, command| {
        let column = column_constraints(command);
        any | column.is_some_and(|constraints| drop_foreign_keys(constraints, known, warnings))
    });
    alter.cmds.retain(|command| {
        let key = foreign_key(definition(command)).and_then(|key| unwanted(key, known));
        warnings.extend(key.iter().map(|name| left_out(name)));
        let partition = excluded_partition(definition(command), alter.relation.as_ref(), known);
        warnings.extend(partition.iter().map(|name| format!("the partition {name} is excluded")));
        key.is_none() && partition.is_none()
    });
    of_columns || alter.cmds.len() < before
}

fn takes(command: &Node) -> bool {
    let Some(NodeEnum::AlterTableCmd(command)) = command.node.as_ref() else { return false };
    is_of_tables(command.subtype)
}

fn definition(command: &Node) -> Option<&NodeEnum> {
    let Some(NodeEnum::AlterTableCmd(command)) = command.node.as_ref() else { return None };
    command.def.as_ref()?.node.as_ref()
}

fn column_constraints(command: &mut Node) -> Option<&mut Vec<Node>> {
    let Some(NodeEnum::AlterTableCmd(command)) = command.node.as_mut() else { return None };
    match command.def.as_mut()?.node.as_mut()? {
        NodeEnum::ColumnDef(column) => Some(&mut column.constraints),
        // Another command's.
        _ => None,
    }
}

fn foreign_key(node: Option<&NodeEnum>) -> Option<&Constraint> {
    let Some(NodeEnum::Constraint(constraint)) = node else { return None };
    (constraint.contype == ConstrType::ConstrForeign as i32).then_some(constraint)
}

/// The table that a foreign key points to, if it is not chosen.
fn unwanted(key: &Constraint, known: &Known<'_>) -> Option<String> {
    let table = key.pktable.as_ref()?;
    let (schema, name) = (table.schemaname.as_str(), table.relname.as_str());
    let named = || if schema.is_empty() { name.to_owned() } else { readable(schema, name) };
    (!known.has(schema, name)).then(named)
}

/// The partition that is attached or detached, if it is excluded; an index's is named by its index.
fn excluded_partition(
    definition: Option<&NodeEnum>,
    parent: Option<&RangeVar>,
    known: &Known<'_>,
) -> Option<String> {
    let Some(NodeEnum::PartitionCmd(command)) = definition else { return None };
    let (partition, parent) = (command.name.as_ref()?, parent?);
    if known.captured.tag == "ALTER INDEX"
        || known.captured.facts.bounds.keys().any(|oid| known.is_chosen(*oid))
    {
        return None;
    }
    let names = |relation: &'_ RangeVar| (relation.schemaname.clone(), relation.relname.clone());
    let (child, above) = (names(partition), names(parent));
    let ours = known.has_partition((&child.0, &child.1), (&above.0, &above.1));
    (!ours).then_some(child.1)
}

fn left_out(table: &str) -> String {
    format!("a foreign key to {table} was left out, because that table is not chosen")
}

fn drop_foreign_keys(constraints: &mut Vec<Node>, known: &Known<'_>, warnings: &mut Warnings) -> bool {
    let before = constraints.len();
    constraints.retain(|constraint| {
        let key = foreign_key(constraint.node.as_ref()).and_then(|key| unwanted(key, known));
        warnings.extend(key.iter().map(|name| left_out(name)));
        key.is_none()
    });
    constraints.len() < before
}

/// Takes out of CREATE TABLE the foreign keys to tables that are not chosen; whether there were any.
pub fn narrow_create(create: &mut CreateStmt, known: &Known<'_>, warnings: &mut Warnings) -> bool {
    let mut any = drop_foreign_keys(&mut create.table_elts, known, warnings);
    any |= drop_foreign_keys(&mut create.constraints, known, warnings);
    for element in &mut create.table_elts {
        if let Some(NodeEnum::ColumnDef(column)) = element.node.as_mut() {
            any |= drop_foreign_keys(&mut column.constraints, known, warnings);
        }
    }
    any
}

/// Puts the source's values in; the defaults that were meant, for afterwards, and whether anything was changed.
///
/// # Errors
/// Bounds that the source does not tell.
pub fn fix_values(alter: &mut AlterTableStmt, known: &Known<'_>) -> Result<(Vec<Computed>, bool)> {
    let mut bounds = false;
    for command in &mut alter.cmds {
        if let Some(NodeEnum::AlterTableCmd(command)) = command.node.as_mut()
            && let Some(NodeEnum::PartitionCmd(partition)) =
                command.def.as_mut().and_then(|def| def.node.as_mut())
            && let Some(bound) = partition.bound.as_mut()
        {
            bounds |= values::fix_bound(bound, known.captured)?;
        }
    }
    let computed: Vec<_> =
        alter.cmds.iter_mut().filter_map(|command| values::fix(command, known.captured)).collect();
    let changed = bounds || !computed.is_empty();
    Ok((computed, changed))
}

/// Which indexes there are without `[objects] indexes`, only the destination knows.
pub fn allow_missing_index(node: &mut NodeEnum, known: &Known<'_>) -> bool {
    let is_index = |object: i32| object == ObjectType::ObjectIndex as i32;
    let flag = match node {
        NodeEnum::AlterTableStmt(alter) if is_index(alter.objtype) => &mut alter.missing_ok,
        NodeEnum::RenameStmt(rename) if is_index(rename.rename_type) => &mut rename.missing_ok,
        // Not about an index.
        _ => return false,
    };
    !known.indexes && !std::mem::replace(flag, true)
}
