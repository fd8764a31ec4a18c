//! What a statement says of where things lie at the source, which is taken out: tablespaces. And the statement's own
//! text without them, so that what people wrote keeps its form.

use pg_query::protobuf::{AlterTableType, Node, ScanToken, Token};
use pg_query::{NodeEnum, ParserOptions};
use std::ops::Range;

use super::tree;
use crate::pg::quote::ident;
use crate::schema::rewrite::tree as json;

/// Takes tablespaces out of a statement; whether there were any.
pub fn drop_tablespaces(node: &mut NodeEnum) -> bool {
    match node {
        NodeEnum::CreateStmt(create) => {
            let lists = clear_all(&mut create.table_elts) | clear_all(&mut create.constraints);
            clear(&mut create.tablespacename) | lists
        }
        NodeEnum::IndexStmt(index) => clear(&mut index.table_space),
        NodeEnum::CreateTableAsStmt(create) => {
            create.into.as_mut().is_some_and(|into| clear(&mut into.table_space_name))
        }
        NodeEnum::SelectStmt(select) => {
            select.into_clause.as_mut().is_some_and(|into| clear(&mut into.table_space_name))
        }
        NodeEnum::AlterTableStmt(alter) => {
            let before = alter.cmds.len();
            alter.cmds.retain(|command| !sets_tablespace(command));
            clear_all(&mut alter.cmds) | (alter.cmds.len() < before)
        }
        NodeEnum::AlterTableCmd(command) => {
            command.def.as_mut().and_then(|def| def.node.as_mut()).is_some_and(drop_tablespaces)
        }
        NodeEnum::ColumnDef(column) => clear_all(&mut column.constraints),
        NodeEnum::Constraint(constraint) => clear(&mut constraint.indexspace),
        NodeEnum::CreateSchemaStmt(create) => clear_all(&mut create.schema_elts),
        // The others say nothing of it.
        _ => false,
    }
}

fn clear(name: &mut String) -> bool {
    !std::mem::take(name).is_empty()
}

fn clear_all(nodes: &mut [Node]) -> bool {
    let nodes = nodes.iter_mut().filter_map(|node| node.node.as_mut());
    nodes.fold(false, |any, node| drop_tablespaces(node) | any)
}

fn sets_tablespace(command: &Node) -> bool {
    let Some(NodeEnum::AlterTableCmd(command)) = command.node.as_ref() else { return false };
    command.subtype == AlterTableType::AtSetTableSpace as i32
}

/// The statement's own text without tablespaces, and with the name of an index that had none; none if that does not
/// come to the changed tree.
pub fn own_text(text: &str, changed: &NodeEnum) -> Option<String> {
    let tokens = pg_query::scan_tokens(text).ok()?;
    let mut edits: Vec<_> = tablespaces(&tokens).into_iter().map(|range| (range, String::new())).collect();
    if let NodeEnum::IndexStmt(index) = changed
        && !has_index_name(&tokens)
    {
        let on = tokens.iter().find(|token| is(token, Token::On))?;
        let at = bytes(on).start;
        edits.push((at..at, format!("{} ", ident(&index.idxname))));
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut own = text.to_owned();
    for (range, new) in edits.into_iter().rev() {
        own.replace_range(range, &new);
    }
    let again = tree::statement(&own, ParserOptions::DEFAULT).ok()?;
    (json::of(&again).ok()? == json::of(changed).ok()?).then_some(own)
}

/// `TABLESPACE x` and `USING INDEX TABLESPACE x`, with the blanks before them.
fn tablespaces(tokens: &[ScanToken]) -> Vec<Range<usize>> {
    let starts = (1..tokens.len().saturating_sub(1)).filter(|at| is(&tokens[*at], Token::Tablespace));
    let range = |at: usize| {
        let of_index = at >= 3 && is(&tokens[at - 1], Token::Index) && is(&tokens[at - 2], Token::Using);
        let before = if of_index { at - 3 } else { at - 1 };
        bytes(&tokens[before]).end..bytes(&tokens[at + 1]).end
    };
    starts.map(range).collect()
}

/// The word before ON is INDEX or CONCURRENTLY where there is none.
fn has_index_name(tokens: &[ScanToken]) -> bool {
    let on = tokens.iter().position(|token| is(token, Token::On)).and_then(|on| on.checked_sub(1));
    on.is_none_or(|before| !is(&tokens[before], Token::Index) && !is(&tokens[before], Token::Concurrently))
}

fn is(token: &ScanToken, wanted: Token) -> bool {
    token.token == wanted as i32
}

fn bytes(token: &ScanToken) -> Range<usize> {
    let at = |position: i32| usize::try_from(position).unwrap_or(0);
    at(token.start)..at(token.end)
}
