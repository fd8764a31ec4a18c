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

/// The statements that move the rows. The last row that they return says how many were written. Rows whose keys are NULL are
/// compared as a whole.
pub fn merge(table: &CopyTable, existing: Existing) -> String {
    let keys = keys(table);
    let statement = match existing {
        Existing::Keep => keep(table, &keys),
        Existing::Overwrite => overwrite(table, &keys),
        Existing::Error => refuse(table, &keys),
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

/// Whether every row has a value of the key, so that it finds the row if it is there.
fn is_certain(table: &CopyTable, index: &UniqueIndex) -> bool {
    let not_null = |key: &KeyColumn| table.target.column(&key.name).is_some_and(|column| column.not_null);
    index.nulls_not_distinct || index.columns.iter().all(not_null)
}

/// Whether a row has none of the keys; never, if one of them is certain.
fn has_no_key(table: &CopyTable, keys: &[&UniqueIndex], row: &str) -> Option<String> {
    let is_null = |key: &KeyColumn| format!("{row}.{} IS NULL", quote::ascii_ident(&key.name));
    let lacks = |index: &&UniqueIndex| {
        let any: Vec<String> = index.columns.iter().map(is_null).collect();
        format!("({})", any.join(" OR "))
    };
    let all = || keys.iter().map(lacks).collect::<Vec<_>>().join(" AND ");
    (!keys.iter().any(|index| is_certain(table, index))).then(all)
}

/// The key that says which row is replaced: that of the source's identity, else one that all rows have, else the first.
fn identity<'a>(table: &CopyTable, keys: &[&'a UniqueIndex]) -> Option<&'a UniqueIndex> {
    let is_identity = |index: &&&UniqueIndex| {
        let names = &table.source.identity;
        index.columns.len() == names.len() && index.columns.iter().all(|key| names.contains(&key.name))
    };
    let certain = || keys.iter().find(|index| is_certain(table, index));
    keys.iter().find(is_identity).or_else(certain).or(keys.first()).copied()
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
        write(table, keys, None, " ON CONFLICT DO NOTHING")
    } else {
        let there = (!keys.is_empty()).then(|| is_there(table, keys));
        write(table, keys, there.map(|there| format!("NOT ({there})")), "")
    }
}

/// The row is replaced rather than updated, which also does for identity columns (rule 11).
fn overwrite(table: &CopyTable, keys: &[&UniqueIndex]) -> String {
    let Some(identity) = identity(table, keys) else { return write(table, keys, None, "") };
    let delete = format!("DELETE FROM {} d USING {STAGING} s WHERE {}", table.target.only(), same(identity));
    let others: Vec<&UniqueIndex> = keys.iter().filter(|index| !index.immediate).copied().collect();
    let probe = if others.is_empty() { String::new() } else { format!("; {}", none_there(table, &others)) };
    format!("{delete}{probe}; {}", write(table, &[identity], None, ""))
}

/// Writes if the destination has none of the rows.
fn refuse(table: &CopyTable, keys: &[&UniqueIndex]) -> String {
    let there = (!keys.is_empty()).then(|| none_there(table, keys));
    let equal = has_no_key(table, keys, "s").map(|_| none_equal(table, keys));
    let insert = counted(&insert(table, ""));
    there.into_iter().chain(equal).chain(std::iter::once(insert)).collect::<Vec<_>>().join("; ")
}

/// Writes the rows that have a key, of these `wanted`; of those that have none, as many as the destination lacks.
fn write(table: &CopyTable, keys: &[&UniqueIndex], wanted: Option<String>, conflict: &str) -> String {
    let Some(lacks) = has_no_key(table, keys, "s") else {
        let wanted = wanted.map(|wanted| format!(" WHERE {wanted}")).unwrap_or_default();
        return counted(&insert(table, &format!("{wanted}{conflict}")));
    };
    let missing = format!("WITH {}, w AS ({}{conflict} RETURNING 1)", numbered(table, keys), missing(table));
    if keys.is_empty() {
        return format!("{missing} SELECT count(*) FROM w");
    }
    let wanted = wanted.map(|wanted| format!(" AND {wanted}")).unwrap_or_default();
    let keyed = insert(table, &format!(" WHERE NOT ({lacks}){wanted}{conflict}"));
    format!(
        "{missing}, k AS ({keyed} RETURNING 1) \
         SELECT (SELECT count(*) FROM w) OPERATOR(pg_catalog.+) (SELECT count(*) FROM k)"
    )
}

fn none_there(table: &CopyTable, keys: &[&UniqueIndex]) -> String {
    format!("SELECT walferry_state.expect(count(*), 0) FROM {STAGING} s WHERE {}", is_there(table, keys))
}

/// Rows without a key, by their text: `r` those of the source, numbered among equal ones; `d` how many the destination has.
fn numbered(table: &CopyTable, keys: &[&UniqueIndex]) -> String {
    let names = table.format.names();
    let of = |row: &str| {
        let lacks = has_no_key(table, keys, row).filter(|lacks| !lacks.is_empty());
        lacks.map(|lacks| format!(" WHERE {lacks}")).unwrap_or_default()
    };
    format!(
        "r AS (SELECT s.*, t.walferry_text, pg_catalog.row_number() OVER (PARTITION BY t.walferry_text) AS walferry_n \
         FROM {STAGING} s, LATERAL (SELECT ROW(s.*)::text AS walferry_text) t{}), \
         d AS (SELECT ROW({names})::text AS walferry_text, pg_catalog.count(*) AS walferry_n FROM {} o{} GROUP BY 1)",
        of("s"),
        table.target.only(),
        of("o")
    )
}

/// An INSERT of the numbered rows that the destination lacks.
fn missing(table: &CopyTable) -> String {
    let names: Vec<String> = table.format.columns.iter().map(|name| format!("s.{name}")).collect();
    format!(
        "INSERT INTO {} SELECT {} FROM r s LEFT JOIN d ON d.walferry_text = s.walferry_text \
         WHERE s.walferry_n > coalesce(d.walferry_n, 0)",
        into(table),
        names.join(", ")
    )
}

fn none_equal(table: &CopyTable, keys: &[&UniqueIndex]) -> String {
    format!(
        "WITH {} SELECT walferry_state.expect(count(*), 0) FROM r JOIN d ON d.walferry_text = r.walferry_text",
        numbered(table, keys)
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
        let mut table = nullable(immediate);
        let mut target = (*table.target).clone();
        target.columns[0].not_null = true;
        table.target = std::sync::Arc::new(target);
        table
    }

    fn nullable(immediate: bool) -> CopyTable {
        let mut table = copy_table(7);
        table.target = std::sync::Arc::new(crate::catalog::Table {
            unique_indexes: vec![index(immediate)],
            ..(*table.target).clone()
        });
        table
    }

    #[test]
    fn rows_whose_key_is_null_are_compared_as_text() {
        let keep = merge(&nullable(true), Existing::Keep);
        let missing = "FROM ONLY \"public\".\"t\" o WHERE (o.\"id\" IS NULL) GROUP BY 1";
        assert!(
            keep.contains(missing) && keep.contains("s.walferry_n > coalesce(d.walferry_n, 0) ON CONFLICT"),
            "{keep}"
        );
        assert!(
            keep.contains("s WHERE NOT ((s.\"id\" IS NULL)) ON CONFLICT DO NOTHING RETURNING 1"),
            "{keep}"
        );
        let overwrite = merge(&nullable(true), Existing::Overwrite);
        assert!(overwrite.contains(missing) && !overwrite.contains("ON CONFLICT"), "{overwrite}");
        let refuse = merge(&nullable(false), Existing::Error);
        assert!(refuse.contains(missing) && refuse.contains("expect(count(*), 0) FROM r JOIN d"), "{refuse}");
        assert!(!merge(&with(true), Existing::Error).contains("walferry_text"));
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
