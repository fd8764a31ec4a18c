//! What the destination's catalog says of a table: the only queries on `pg_catalog` that the data path needs. A
//! [`Table`] is read once and kept until the source describes the relation anew or a statement fails.

mod fit;
mod query;
pub mod slot;
pub mod source;

use std::sync::Arc;

pub use fit::TypeName;
pub use query::{Answer, Ask, tables};

/// A table of the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// `pg_class.oid` at the destination.
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// `pg_class.relkind` is `p`.
    pub partitioned: bool,
    /// It has triggers that fire for replicated rows (ENABLE ALWAYS or REPLICA), on itself or on a partition.
    pub has_firing_triggers: bool,
    /// It has rewrite rules that act on replicated rows.
    pub has_firing_rules: bool,
    /// Columns in order, dropped ones left out.
    pub columns: Vec<Column>,
    /// Valid unique indexes, the primary key first.
    pub unique_indexes: Vec<UniqueIndex>,
}

impl Table {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// Shared between all that write to the table.
pub type TableRef = Arc<Table>;

/// A column of a destination table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// The type.
    pub type_oid: u32,
    /// Schema of the type.
    pub type_schema: String,
    /// Name of the type.
    pub type_name: String,
    /// `pg_attribute.atttypmod`.
    pub type_modifier: i32,
    /// The type beneath all domains.
    pub base_type_oid: u32,
    /// The array type of the base type, or 0.
    pub base_array_oid: u32,
    /// The base type is an enum.
    pub is_enum: bool,
    /// The column's collation compares different bytes as equal.
    pub nondeterministic: bool,
    /// Declared NOT NULL.
    pub not_null: bool,
    /// `pg_attribute.attgenerated` is set.
    pub generated: bool,
    /// `GENERATED ALWAYS AS IDENTITY`.
    pub always_identity: bool,
}

/// A unique index of a destination table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueIndex {
    /// Name.
    pub name: String,
    /// Checked at once; a deferrable one is not enforced for replicated rows at all (rule 12).
    pub immediate: bool,
    /// Covers some rows only, or expressions: rows cannot be found by it.
    pub partial: bool,
    /// NULLs are equal (15+).
    pub nulls_not_distinct: bool,
    /// The key columns, with the operator that means equality for each.
    pub columns: Vec<KeyColumn>,
}

/// A column of a unique index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyColumn {
    /// Name of the column.
    pub name: String,
    /// Schema of the equality operator.
    pub operator_schema: String,
    /// Name of the equality operator.
    pub operator: String,
}
