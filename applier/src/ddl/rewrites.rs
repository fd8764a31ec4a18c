//! Whether the rows of a rewritten table must come from the source.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableStmt, AlterTableType as At, ColumnDef, ConstrType};

use super::{Captured, tree, values};
use crate::error::Result;

/// The bits of `pg_event_trigger_table_rewrite_reason()`, AT_REWRITE_* of PostgreSQL's event_trigger.h.
const PERSISTENCE: i32 = 1;
const DEFAULT: i32 = 2;
const COLUMN: i32 = 4;

/// Whose rows a rewritten table gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// The destination's own: no value of theirs changes, or nobody can compute it otherwise.
    Ours,
    /// The source's if the table holds nothing else: a cast may depend on settings, or be a user's own.
    RatherTheirs,
    /// The source's: running the statement again may give other values, or the destination does not have the rows.
    Theirs,
}

/// Whose rows a table gets that a statement rewrites for a reason.
///
/// # Errors
/// A text that the parser refuses.
pub fn rows(captured: &Captured, reason: i32) -> Result<Rows> {
    let Some(text) = captured.statement.as_deref() else { return Ok(Rows::Theirs) };
    match tree::statement(text, tree::options(captured))? {
        NodeEnum::AlterTableStmt(alter) if captured.tag != "ALTER TYPE" => {
            Ok(match is_theirs(&alter, reason) {
                true => Rows::Theirs,
                false if reason & COLUMN != 0 => Rows::RatherTheirs,
                false => Rows::Ours,
            })
        }
        // A type's change reaches tables whose values nobody has looked at.
        _ => Ok(Rows::Theirs),
    }
}

fn is_theirs(alter: &AlterTableStmt, reason: i32) -> bool {
    let commands = alter.cmds.iter().filter_map(|command| match command.node.as_ref() {
        Some(NodeEnum::AlterTableCmd(command)) => Some(command.as_ref()),
        // ALTER TABLE has nothing else.
        _ => None,
    });
    let commands: Vec<&AlterTableCmd> = commands.collect();
    let has = |wanted: At| commands.iter().any(|command| command.subtype == wanted as i32);
    let added: Vec<_> = alter.cmds.iter().filter_map(values::added).map(|(_, column)| column).collect();
    let filled = reason & DEFAULT != 0 && !added.iter().all(|column| is_generated(column));
    let computed = added.iter().any(|column| values::default_of(column).is_some_and(tree::is_computed));
    let converted = reason & COLUMN != 0 && commands.iter().any(|command| converts_by_computing(command));
    reason & PERSISTENCE != 0 && has(At::AtSetLogged) || filled || computed || converted
}

fn is_generated(column: &ColumnDef) -> bool {
    column.constraints.iter().any(|constraint| {
        matches!(constraint.node.as_ref(), Some(NodeEnum::Constraint(constraint))
            if constraint.contype == ConstrType::ConstrGenerated as i32)
    })
}

fn converts_by_computing(command: &AlterTableCmd) -> bool {
    let Some(NodeEnum::ColumnDef(column)) = command.def.as_ref().and_then(|def| def.node.as_ref()) else {
        return false;
    };
    let is_type = command.subtype == At::AtAlterColumnType as i32;
    is_type && column.raw_default.as_ref().is_some_and(tree::is_computed)
}
