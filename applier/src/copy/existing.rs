//! Tables whose destination has rows already: the source's rows are loaded into a temporary table first, and moved from
//! there as `[copy] existing` says. All of it is SQL, made here and run in the transaction that lands the part.

use super::CopyTable;
use crate::catalog::{KeyColumn, UniqueIndex};
use crate::config::Existing;
use crate::error::Error;
use crate::pg::quote;

/// The temporary table; gone with the transaction.
pub const STAGING: &str = "pg_temp.walferry_rows";

/// Makes the temporary table.
pub fn stage(table: &CopyTable) -> String {
    format!(
        "CREATE TEMP TABLE walferry_rows ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA",
        table.format.names(),
        table.target.only()
    )
}

/// SQLSTATE of `walferry_state.expect`.
pub const UNEXPECTED: &str = "WF001";

/// The statements that move the rows. The last row that they return says how many were written.
pub fn merge(table: &CopyTable, existing: Existing) -> String {
    let keys = keys(table);
    let statement = match (existing, keys.is_empty()) {
        (Existing::Keep | Existing::Overwrite, true) => add_missing(table),
        (Existing::Keep, false) => keep(table, &keys),
        (Existing::Overwrite, false) => overwrite(table, &keys),
        (Existing::Error, true) => format!("{}; {}", none_equal(table), counted(&insert(table, ""))),
        (Existing::Error, false) => format!("{}; {}", none_there(table, &keys), counted(&insert(table, ""))),
    };
    format!("ANALYZE {STAGING}; {statement}")
}

/// What is said when [`Existing::Error`] found a row; other errors stay as they are.
pub fn explain(table: &CopyTable, error: Error) -> Error {
    if error.sqlstate() != Some(UNEXPECTED) {
        return error;
    }
    Error::rejected(format!(
        "the destination table {} has rows already that the source has too; empty it, or choose what happens to them \
         with [copy] existing = \"keep\" or \"overwrite\"",
        table.target.readable()
    ))
    .with_sqlstate(UNEXPECTED)
}

/// The unique indexes by which a row can be looked up.
fn keys(table: &CopyTable) -> Vec<&UniqueIndex> {
    let sent = |key: &KeyColumn| table.source.columns.iter().any(|column| column.name == key.name);
    let usable =
        |index: &&UniqueIndex| !index.partial && !index.columns.is_empty() && index.columns.iter().all(sent);
    table.target.unique_indexes.iter().filter(usable).collect()
}

/// The key that says which row is replaced: that of the source's identity, else the first.
fn identity<'a>(table: &CopyTable, keys: &[&'a UniqueIndex]) -> Option<&'a UniqueIndex> {
    let is_identity = |index: &&&UniqueIndex| {
        let names = &table.source.identity;
        index.columns.len() == names.len() && index.columns.iter().all(|key| names.contains(&key.name))
    };
    keys.iter().find(is_identity).or(keys.first()).copied()
}

/// `s` and `d` are the rows of one key.
fn same(index: &UniqueIndex) -> String {
    let part = |key: &KeyColumn| {
        let (name, operator) =
            (quote::ascii_ident(&key.name), quote::operator(&key.operator_schema, &key.operator));
        let equal = format!("s.{name} {operator} d.{name}");
        if index.nulls_not_distinct {
            format!("({equal} OR s.{name} IS NULL AND d.{name} IS NULL)")
        } else {
            equal
        }
    };
    index.columns.iter().map(part).collect::<Vec<_>>().join(" AND ")
}

/// The destination has a row with one of the keys of `s`.
fn is_there(table: &CopyTable, keys: &[&UniqueIndex]) -> String {
    let there = |index: &&UniqueIndex| {
        format!("EXISTS (SELECT FROM {} d WHERE {})", table.target.only(), same(index))
    };
    keys.iter().map(there).collect::<Vec<_>>().join(" OR ")
}

/// An INSERT of the staged rows `s` that `rest` leaves.
fn insert(table: &CopyTable, rest: &str) -> String {
    let names: Vec<String> = table.format.columns.iter().map(|name| format!("s.{name}")).collect();
    format!("INSERT INTO {} SELECT {} FROM {STAGING} s{rest}", into(table), names.join(", "))
}

fn into(table: &CopyTable) -> String {
    format!("{}{} OVERRIDING SYSTEM VALUE", table.target_name(), table.format.list())
}

fn counted(insert: &str) -> String {
    format!("WITH w AS ({insert} RETURNING 1) SELECT count(*) FROM w")
}

/// ON CONFLICT knows no deferrable constraints, and nobody enforces them for us (rule 12).
fn keep(table: &CopyTable, keys: &[&UniqueIndex]) -> String {
    if table.target.unique_indexes.iter().all(|index| index.immediate) {
        counted(&insert(table, " ON CONFLICT DO NOTHING"))
    } else {
        counted(&insert(table, &format!(" WHERE NOT ({})", is_there(table, keys))))
    }
}

/// The row is replaced rather than updated, which also does for identity columns (rule 11).
fn overwrite(table: &CopyTable, keys: &[&UniqueIndex]) -> String {
    let Some(identity) = identity(table, keys) else { return add_missing(table) };
    let delete = format!("DELETE FROM {} d USING {STAGING} s WHERE {}", table.target.only(), same(identity));
    let others: Vec<&UniqueIndex> = keys.iter().filter(|index| !index.immediate).copied().collect();
    let probe = if others.is_empty() { String::new() } else { format!("; {}", none_there(table, &others)) };
    format!("{delete}{probe}; {}", counted(&insert(table, "")))
}

fn none_there(table: &CopyTable, keys: &[&UniqueIndex]) -> String {
    format!("SELECT walferry_state.expect(count(*), 0) FROM {STAGING} s WHERE {}", is_there(table, keys))
}

/// Rows without a key, by their text: `r` those of the source, numbered among equal ones; `d` how many the destination has.
fn numbered(table: &CopyTable) -> String {
    let names = table.format.names();
    format!(
        "r AS (SELECT s.*, t.walferry_text, pg_catalog.row_number() OVER (PARTITION BY t.walferry_text) AS walferry_n \
         FROM {STAGING} s, LATERAL (SELECT ROW(s.*)::text AS walferry_text) t), \
         d AS (SELECT ROW({names})::text AS walferry_text, pg_catalog.count(*) AS walferry_n FROM {} GROUP BY 1)",
        table.target.only()
    )
}

fn add_missing(table: &CopyTable) -> String {
    let names: Vec<String> = table.format.columns.iter().map(|name| format!("s.{name}")).collect();
    format!(
        "WITH {}, w AS (INSERT INTO {} SELECT {} FROM r s LEFT JOIN d ON d.walferry_text = s.walferry_text \
         WHERE s.walferry_n > coalesce(d.walferry_n, 0) RETURNING 1) SELECT count(*) FROM w",
        numbered(table),
        into(table),
        names.join(", ")
    )
}

fn none_equal(table: &CopyTable) -> String {
    format!(
        "WITH {} SELECT walferry_state.expect(count(*), 0) FROM r JOIN d ON d.walferry_text = r.walferry_text",
        numbered(table)
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::copy_table;
    use super::*;

    fn index(immediate: bool) -> UniqueIndex {
        let key = KeyColumn { name: "id".into(), operator_schema: "pg_catalog".into(), operator: "=".into() };
        UniqueIndex {
            name: "t_pkey".into(),
            immediate,
            partial: false,
            nulls_not_distinct: false,
            columns: vec![key],
        }
    }

    fn with(immediate: bool) -> CopyTable {
        let mut table = copy_table(7);
        table.target = std::sync::Arc::new(crate::catalog::Table {
            unique_indexes: vec![index(immediate)],
            ..(*table.target).clone()
        });
        table
    }

    #[test]
    fn keyed_rows_are_kept_by_on_conflict() {
        assert_eq!(
            merge(&with(true), Existing::Keep),
            "ANALYZE pg_temp.walferry_rows; WITH w AS (INSERT INTO \"public\".\"t\" (\"id\") OVERRIDING SYSTEM VALUE \
             SELECT s.\"id\" FROM pg_temp.walferry_rows s ON CONFLICT DO NOTHING RETURNING 1) SELECT count(*) FROM w"
        );
    }

    #[test]
    fn rule_12_deferrable_keys_are_looked_up() {
        let sql = merge(&with(false), Existing::Keep);
        assert!(
            sql.contains("WHERE NOT (EXISTS (SELECT FROM ONLY \"public\".\"t\" d WHERE s.\"id\" OPERATOR"),
            "{sql}"
        );
        assert!(!sql.contains("ON CONFLICT"), "{sql}");
        assert!(merge(&with(false), Existing::Overwrite).contains("expect(count(*), 0)"));
    }

    #[test]
    fn keyless_rows_are_compared_as_text() {
        let sql = merge(&copy_table(7), Existing::Overwrite);
        assert!(sql.contains("s.walferry_n > coalesce(d.walferry_n, 0)"), "{sql}");
    }

    #[test]
    fn the_source_identity_says_which_row_is_replaced() {
        let mut table = with(true);
        table.source.identity = vec!["id".into()];
        let sql = merge(&table, Existing::Overwrite);
        assert!(
            sql.starts_with("ANALYZE pg_temp.walferry_rows; DELETE FROM ONLY \"public\".\"t\" d USING"),
            "{sql}"
        );
    }
}
