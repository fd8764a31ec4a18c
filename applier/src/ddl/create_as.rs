//! CREATE TABLE AS and SELECT INTO as CREATE TABLE: the rows come by themselves.

use super::Captured;
use crate::error::Result;
use crate::pg::quote::{self, ident};

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

/// The statement that makes the table without its rows; `table` is its name at the destination.
///
/// # Errors
/// A text that the parser refuses, or that makes no table from a query.
pub fn create_table(_captured: &Captured, table: &(String, String), columns: &[NewColumn]) -> Result<String> {
    let columns: Vec<_> = columns.iter().map(column).collect();
    Ok(format!("CREATE TABLE {}.{} ({})", ident(&table.0), ident(&table.1), columns.join(", ")))
}

fn column(column: &NewColumn) -> String {
    let collation = |(schema, name): &(String, String)| {
        format!(" COLLATE {}.{}", quote::ident(schema), quote::ident(name))
    };
    let collation = column.collation.as_ref().map(collation).unwrap_or_default();
    format!("{} {}{collation}", ident(&column.name), column.type_text)
}
