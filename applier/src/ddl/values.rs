//! The source's values where a statement would compute others at the destination: defaults of columns that are added
//! to rows which are there, and bounds of partitions.

use pg_query::protobuf::{
    AConst, AlterTableCmd, AlterTableStmt, AlterTableType, ColumnDef, ConstrType, CreateStmt, Node,
    PartitionBoundSpec, TypeCast, a_const,
};
use pg_query::{NodeEnum, ParserOptions, protobuf};

use super::tree;
use super::{Captured, Object};
use crate::error::{Error, Result};
use crate::pg::quote::readable_ident;

/// A column that is added with the source's value as its default, and gets its own default afterwards.
pub struct Computed {
    /// The column.
    pub column: String,
    /// The command that sets the default that was meant; none where that was read once, as it was defined.
    pub afterwards: Option<Node>,
    /// Only if there is no such column.
    pub conditional: bool,
}

/// The column definition of an ADD COLUMN.
pub fn added(command: &Node) -> Option<(&AlterTableCmd, &ColumnDef)> {
    let Some(NodeEnum::AlterTableCmd(command)) = command.node.as_ref() else { return None };
    let is_add = command.subtype == AlterTableType::AtAddColumn as i32;
    match command.def.as_ref()?.node.as_ref()? {
        NodeEnum::ColumnDef(column) if is_add => Some((command, column)),
        // Of another command.
        _ => None,
    }
}

/// The expression of a column's DEFAULT.
pub fn default_of(column: &ColumnDef) -> Option<&Node> {
    let defaults = column.constraints.iter().filter_map(|constraint| match constraint.node.as_ref() {
        Some(NodeEnum::Constraint(constraint)) if constraint.contype == ConstrType::ConstrDefault as i32 => {
            constraint.raw_expr.as_deref()
        }
        // Another constraint.
        _ => None,
    });
    defaults.chain(column.raw_default.as_deref()).next()
}

/// Gives an ADD COLUMN the value that the source chose, where its default would be computed again.
pub fn fix(command: &mut Node, captured: &Captured) -> Option<Computed> {
    let (add, column) = added(command)?;
    let default = default_of(column).filter(|default| tree::is_computed(*default))?.clone();
    let value = missing_value(captured, &column.colname)?.to_owned();
    let computed = Computed {
        column: column.colname.clone(),
        afterwards: (!is_read_once(&default)).then(|| set_default(add, &column.colname, default)),
        conditional: add.missing_ok,
    };
    replace_default(command, &value);
    Some(computed)
}

/// A constant, which the column's type reads when the default is defined: `'now'`, `'today'::date`. As a text it would be
/// read whenever the default is used.
fn is_read_once(default: &Node) -> bool {
    match default.node.as_ref() {
        Some(NodeEnum::AConst(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => {
            let is_constant =
                cast.arg.as_ref().is_some_and(|arg| matches!(arg.node, Some(NodeEnum::AConst(_))));
            let names: Vec<_> =
                cast.type_name.iter().flat_map(|name| &name.names).flat_map(tree::name).collect();
            let texts = ["text", "varchar", "bpchar", "name"];
            is_constant && names.last().is_none_or(|name| !texts.contains(&name.as_str()))
        }
        // Computed by something.
        _ => false,
    }
}

/// Columns of a new table whose default is a time that is read when it is defined: the source does not tell which it
/// was, and the destination reads its own.
pub fn read_anew(create: &CreateStmt) -> Option<String> {
    let columns = create.table_elts.iter().filter_map(|element| match element.node.as_ref() {
        Some(NodeEnum::ColumnDef(column)) => Some(column),
        // A constraint.
        _ => None,
    });
    let is_anew = |default: &Node| is_read_once(default) && tree::is_computed(default);
    let mut anew = columns.filter(|column| default_of(column).is_some_and(is_anew));
    let column = readable_ident(&anew.next()?.colname);
    Some(format!("the default of {column} is the time at which the destination made the table"))
}

/// The altered table's own value goes before those of its children.
fn missing_value<'a>(captured: &'a Captured, column: &str) -> Option<&'a String> {
    let is_table = |object: &&Object| object.kind == "table" && !object.dropped;
    let tables = captured.objects.iter().filter(is_table).map(|object| object.oid);
    let own = tables.filter_map(|oid| captured.facts.missing_values.get(&oid));
    let others = captured.facts.missing_values.values();
    own.chain(others).find_map(|values| values.get(column))
}

fn set_default(add: &AlterTableCmd, column: &str, default: Node) -> Node {
    let command = AlterTableCmd {
        subtype: AlterTableType::AtColumnDefault as i32,
        name: column.to_owned(),
        def: Some(Box::new(default)),
        missing_ok: false,
        ..add.clone()
    };
    tree::node(NodeEnum::AlterTableCmd(Box::new(command)))
}

fn replace_default(command: &mut Node, value: &str) {
    let Some(NodeEnum::AlterTableCmd(command)) = command.node.as_mut() else { return };
    let Some(NodeEnum::ColumnDef(column)) = command.def.as_mut().and_then(|def| def.node.as_mut()) else {
        return;
    };
    let literal = literal(value, column.type_name.clone());
    for constraint in &mut column.constraints {
        if let Some(NodeEnum::Constraint(constraint)) = constraint.node.as_mut()
            && constraint.contype == ConstrType::ConstrDefault as i32
        {
            constraint.raw_expr = Some(Box::new(literal.clone()));
        }
    }
}

fn literal(value: &str, type_name: Option<protobuf::TypeName>) -> Node {
    let text = a_const::Val::Sval(protobuf::String { sval: value.to_owned() });
    let constant = AConst { isnull: false, location: 0, val: Some(text) };
    let arg = Some(Box::new(tree::node(NodeEnum::AConst(constant))));
    tree::node(NodeEnum::TypeCast(Box::new(TypeCast { arg, type_name, location: 0 })))
}

/// Replaces bounds of a partition that would be computed again by those of the source's catalog; whether it did.
///
/// # Errors
/// A refusal where the source does not tell them, or tells what cannot be read.
pub fn fix_bound(bound: &mut PartitionBoundSpec, captured: &Captured) -> Result<bool> {
    if !tree::is_computed(&*bound) {
        return Ok(false);
    }
    let partition = captured.objects.iter().find(|object| captured.facts.bounds.contains_key(&object.oid));
    let told = match partition {
        Some(partition) => captured.facts.bounds.get(&partition.oid),
        None => captured.facts.bounds.values().next(),
    };
    let Some(told) = told else {
        return Err(Error::rejected(
            "the bounds of a partition are computed, and the source did not say what they came to; make the \
             partition at the destination by hand, then skip the statement",
        ));
    };
    let text = format!("CREATE TABLE a PARTITION OF b {told}");
    if let NodeEnum::CreateStmt(create) = tree::statement(&text, ParserOptions::DEFAULT)?
        && let Some(read) = create.partbound
    {
        *bound = read;
    }
    Ok(true)
}

/// The same ALTER TABLE with other commands.
pub fn with_commands(alter: &AlterTableStmt, commands: Vec<Node>) -> NodeEnum {
    NodeEnum::AlterTableStmt(AlterTableStmt { cmds: commands, ..alter.clone() })
}
