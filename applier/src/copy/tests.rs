//! Tables to test with.

use std::sync::Arc;

use super::{CopyTable, fit};
use crate::catalog::source::{Fingerprint, SourceColumn, SourceTable};
use crate::catalog::{Column, Table};

/// A column of a type of `pg_catalog`.
pub fn column(name: &str, type_oid: u32) -> SourceColumn {
    SourceColumn {
        name: name.into(),
        type_oid,
        type_schema: "pg_catalog".into(),
        type_name: format!("type{type_oid}"),
        type_modifier: -1,
        base_type_oid: type_oid,
        is_enum: false,
        element_oid: 0,
    }
}

/// A table of the source.
pub fn source(columns: &[(&str, u32)]) -> SourceTable {
    SourceTable {
        oid: 7,
        schema: "public".into(),
        name: "t".into(),
        unlogged: false,
        heap: true,
        blocks: 1000,
        bytes: 8_192_000,
        rows: None,
        columns: columns.iter().map(|(name, oid)| column(name, *oid)).collect(),
        generated: Vec::new(),
        identity: Vec::new(),
        range_column: None,
        ancestors: Vec::new(),
        fingerprint: Fingerprint::new("1 1 a".into()),
        condition: None,
    }
}

/// A table of the destination.
pub fn target(columns: &[(&str, u32)]) -> Table {
    let column = |(name, type_oid): &(&str, u32)| Column {
        name: (*name).into(),
        type_oid: *type_oid,
        type_schema: "pg_catalog".into(),
        type_name: format!("type{type_oid}"),
        type_modifier: -1,
        base_type_oid: *type_oid,
        base_array_oid: 0,
        is_enum: false,
        nondeterministic: false,
        not_null: false,
        generated: false,
        always_identity: false,
    };
    Table {
        oid: 1,
        schema: "public".into(),
        name: "t".into(),
        partitioned: false,
        has_firing_triggers: false,
        has_firing_rules: false,
        columns: columns.iter().map(column).collect(),
        unique_indexes: Vec::new(),
    }
}

/// A table with one column, `id`, on both sides.
pub fn copy_table(oid: u32) -> CopyTable {
    let columns = [("id", 20)];
    let source = SourceTable { oid, ..source(&columns) };
    let target = Arc::new(target(&columns));
    let format = fit(&source, &target).unwrap();
    CopyTable { source, target, format, fresh: false }
}
