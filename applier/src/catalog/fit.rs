//! Whether the rows of a source table fit a table of the destination: the same for the copy of rows and for the stream.

use super::{Column, Table};
use crate::error::{Error, Result};
use crate::pg::quote;

/// A type as the source names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeName<'a> {
    /// `pg_type.oid` at the source; means the same at the destination for types of `pg_catalog` only.
    pub oid: u32,
    /// Schema.
    pub schema: &'a str,
    /// Name.
    pub name: &'a str,
    /// `pg_attribute.atttypmod`.
    pub modifier: i32,
}

impl Table {
    /// The name for people.
    pub fn readable(&self) -> String {
        quote::readable(&self.schema, &self.name)
    }

    /// The table, as statements spell it, without the tables that inherit from it (partitions are part of it).
    pub fn only(&self) -> String {
        let name = quote::ascii_qualified(&self.schema, &self.name);
        if self.partitioned { name } else { format!("ONLY {name}") }
    }

    /// Refuses rules that would rewrite replicated rows.
    pub fn refuse_firing_rules(&self) -> Result<()> {
        if !self.has_firing_rules {
            return Ok(());
        }
        let name = self.readable();
        Err(Error::refused(format!(
            "the destination table {name} has rules enabled ALWAYS or REPLICA, which would rewrite replicated rows; \
             run ALTER TABLE {name} ENABLE RULE ... for each of them (then they act for local rows only)"
        )))
    }

    /// The source computes these columns and does not send them, so ordinary ones would stay empty.
    pub fn refuse_computed<'a>(&self, mut not_sent: impl Iterator<Item = &'a String>) -> Result<()> {
        let ordinary = |name: &&String| self.column(name).is_some_and(|column| !column.generated);
        let Some(column) = not_sent.find(ordinary).map(|name| quote::readable_ident(name)) else {
            return Ok(());
        };
        let name = self.readable();
        Err(Error::refused(format!(
            "column {column} is generated at the source and an ordinary one of the destination table {name}; \
             make it generated there too, or drop it there: ALTER TABLE {name} DROP COLUMN {column}"
        )))
    }

    /// The column that takes what the source sends as `name`. Types must be the same, their modifiers too: a cast could
    /// change a value in silence.
    pub fn takes(&self, name: &str, of_type: TypeName<'_>) -> Result<&Column> {
        let (table, column) = (self.readable(), quote::readable_ident(name));
        let found = self.column(name).ok_or_else(|| {
            Error::refused(format!(
                "the destination table {table} has no column {column}, which the source has; \
                 add it with ALTER TABLE {table} ADD COLUMN {column} {}",
                quote::readable(of_type.schema, of_type.name)
            ))
        })?;
        if found.generated {
            return Err(Error::refused(format!(
                "column {column} of the destination table {table} is generated, but an ordinary column at the source; \
                 run ALTER TABLE {table} ALTER COLUMN {column} DROP EXPRESSION"
            )));
        }
        if !found.has(of_type) {
            return Err(found.other_type(of_type, &table));
        }
        Ok(found)
    }
}

impl Column {
    fn has(&self, of_type: TypeName<'_>) -> bool {
        let built_in = of_type.schema == "pg_catalog";
        let same = if built_in { of_type.oid == self.type_oid } else { of_type.name == self.type_name };
        same && of_type.modifier == self.type_modifier
    }

    fn other_type(&self, of_type: TypeName<'_>, table: &str) -> Error {
        let modifier =
            |modifier: i32| if modifier < 0 { String::new() } else { format!(" (modifier {modifier})") };
        Error::refused(format!(
            "column {} of the destination table {table} has the type {}.{}{}, the source has {}.{}{}; \
             make them the same with ALTER TABLE ... ALTER COLUMN ... TYPE",
            quote::readable_ident(&self.name),
            self.type_schema,
            self.type_name,
            modifier(self.type_modifier),
            of_type.schema,
            of_type.name,
            modifier(of_type.modifier),
        ))
    }
}
