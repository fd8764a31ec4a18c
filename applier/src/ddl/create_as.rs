//! CREATE TABLE AS and SELECT INTO as CREATE TABLE: the rows come by themselves.

use pg_query::protobuf::{CreateStmt, IntoClause, RangeVar};
use pg_query::{NodeEnum, ParserOptions};

use super::{Captured, tree};
use crate::error::{Error, Result};
use crate::pg::quote::ident;

const TEMPLATE: &str = "CREATE TABLE a (walferry_column int)";
const COLUMN: &str = "(walferry_column int)";

/// A column to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewColumn {
    /// Its name.
    pub name: String,
    /// Its type as the destination spells it (`format_type`).
    pub type_text: String,
    /// Schema and name of its collation, where it is not its type's own.
    pub collation: Option<(String, String)>,
}

/// The statement that makes the table without its rows; `table` is its name at the destination. Storage parameters,
/// access method and UNLOGGED are kept, the tablespace is not.
///
/// # Errors
/// A text that the parser refuses, or that makes no table from a query.
pub fn create_table(captured: &Captured, table: &(String, String), columns: &[NewColumn]) -> Result<String> {
    let into = into(captured)?;
    let relation = RangeVar {
        schemaname: table.0.clone(),
        relname: table.1.clone(),
        inh: true,
        relpersistence: into.rel.map_or_else(|| "p".to_owned(), |rel| rel.relpersistence),
        ..RangeVar::default()
    };
    // The columns' types come as the server spells them, so they are put in as text.
    let NodeEnum::CreateStmt(template) = tree::statement(TEMPLATE, ParserOptions::DEFAULT)? else {
        return Err(Error::protocol("the parser does not know CREATE TABLE"));
    };
    let create = CreateStmt { relation: Some(relation), options: into.options, ..template };
    let text = tree::text(&NodeEnum::CreateStmt(create))?;
    let columns: Vec<_> = columns.iter().map(column).collect();
    let (before, after) = text.split_once(COLUMN).unwrap_or((text.as_str(), ""));
    // The deparser would put it behind the storage parameters, where the grammar does not take it.
    let method = Some(&into.access_method).filter(|method| !method.is_empty());
    let method = method.map(|method| format!(" USING {}", ident(method))).unwrap_or_default();
    Ok(format!("{before}({}){method}{after}", columns.join(", ")))
}

fn into(captured: &Captured) -> Result<IntoClause> {
    let text = captured.statement.as_deref().unwrap_or_default();
    let into = match tree::definition(captured, text)?.0 {
        NodeEnum::CreateTableAsStmt(create) => create.into.map(|into| *into),
        NodeEnum::SelectStmt(select) => leftmost(&select).cloned(),
        // No other statement makes a table from a query.
        _ => None,
    };
    let none =
        || Error::protocol(format!("a statement captured as {} makes no table from a query", captured.tag));
    into.ok_or_else(none)
}

/// `SELECT ... INTO t ... UNION ...`
fn leftmost(select: &pg_query::protobuf::SelectStmt) -> Option<&IntoClause> {
    select.into_clause.as_deref().or_else(|| select.larg.as_deref().and_then(leftmost))
}

fn column(column: &NewColumn) -> String {
    let collation = |(schema, name): &(String, String)| format!(" COLLATE {}.{}", ident(schema), ident(name));
    let collation = column.collation.as_ref().map(collation).unwrap_or_default();
    format!("{} {}{collation}", ident(&column.name), column.type_text)
}
