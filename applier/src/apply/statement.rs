//! The text of every statement that writes rows, one function per kind. Values are parameters; names come quoted from
//! [`Target`]. Each but COPY, which writes all its rows or fails, asserts its row count inside the server (rule 1), so that
//! what is behind it, COMMIT included, does not happen when the count is not the expected one.

use super::model::KeyRange;
use super::target::{Access, KeyPart, Target};
use crate::pg::quote;

/// A statement's text and the types of its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// SQL with `$1`, `$2` ...
    pub sql: String,
    /// A type oid per parameter.
    pub types: Vec<u32>,
}

/// `int8`, the type of expected counts.
pub const INT8_OID: u32 = 20;
/// `text`.
pub const TEXT_OID: u32 = 25;

/// Insert through arrays, one per column; then the expected count.
pub fn insert(target: &Target) -> Statement {
    if target.columns.is_empty() {
        return insert_nothing(target);
    }
    let all = target.all();
    let names = list(&all, |at| target.columns[at].name.clone());
    let values = list(&all, |at| element(target, at, at));
    let written = format!(
        "INSERT INTO {} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {} RETURNING 1",
        target.name(),
        unnest(target, &all)
    );
    counted(target, &written, &all)
}

/// Rows of a table without columns, as many as the count says.
fn insert_nothing(target: &Target) -> Statement {
    let rows = "pg_catalog.generate_series(1, $1)";
    counted(target, &format!("INSERT INTO {} SELECT FROM {rows} RETURNING 1", target.name()), &[])
}

/// Binary COPY of whole rows.
pub fn copy(target: &Target) -> Statement {
    let all = target.all();
    let names = list(&all, |at| target.columns[at].name.clone());
    let sql = format!("COPY {} ({names}) FROM STDIN (FORMAT binary)", target.name());
    Statement { sql, types: Vec::new() }
}

/// Delete by key arrays; then the expected count.
pub fn delete(target: &Target, parts: &[KeyPart]) -> Statement {
    let keys = key_columns(parts);
    let written = format!(
        "DELETE FROM {} AS t USING {} WHERE {} RETURNING 1",
        target.only(),
        unnest(target, &keys),
        matching(target, parts)
    );
    counted(target, &written, &keys)
}

/// Update of the columns `set` by key arrays: the keys, then the new values, then the expected count. Columns that only
/// DEFAULT may change must already be what they should be (rule 11).
pub fn update(target: &Target, parts: &[KeyPart], set: &[u16]) -> Statement {
    let keys = key_columns(parts);
    let arrays: Vec<u16> = keys.iter().chain(set).copied().collect();
    let (fixed, free): (Vec<usize>, Vec<usize>) =
        (0..set.len()).partition(|at| target.columns[set[*at] as usize].always_identity);
    let value = |at: &usize| element(target, set[*at] as usize, keys.len() + at);
    let name = |at: &usize| target.columns[set[*at] as usize].name.clone();
    let sets = free.iter().map(|at| format!("{} = {}", name(at), value(at))).collect::<Vec<_>>().join(", ");
    let same = fixed.iter().map(|at| format!(" AND t.{} OPERATOR(pg_catalog.=) {}", name(at), value(at)));
    let found = format!("{}{}", matching(target, parts), same.collect::<String>());
    let (only, rows) = (target.only(), unnest(target, &arrays));
    let written = if sets.is_empty() {
        // Nothing to set, but the rows must be there.
        format!("SELECT 1 FROM {only} AS t, {rows} WHERE {found} FOR UPDATE OF t")
    } else {
        format!("UPDATE {only} AS t SET {sets} FROM {rows} WHERE {found} RETURNING 1")
    };
    counted(target, &written, &arrays)
}

/// Removes the rows of these ranges of an integer key.
pub fn erase(target: &Target, key: &str, ranges: &[KeyRange]) -> Statement {
    let key = quote::ascii_ident(key);
    let range = |(lower, upper): &KeyRange| {
        let bound = |operator: &str, value: &Option<i64>| {
            value.map(|value| format!("{key} OPERATOR(pg_catalog.{operator}) '{value}'::pg_catalog.int8"))
        };
        let bounds: Vec<String> = [bound(">=", lower), bound("<", upper)].into_iter().flatten().collect();
        if bounds.is_empty() { "true".to_owned() } else { format!("({})", bounds.join(" AND ")) }
    };
    let ranges: Vec<String> = ranges.iter().map(range).collect();
    let sql = format!("DELETE FROM {} WHERE {}", target.only(), ranges.join(" OR "));
    Statement { sql, types: Vec::new() }
}

/// How many of the target's columns are what they were when the target was made. Stands behind the writes, whose lock
/// keeps the table as it is: a column that got another type in between would have read our bytes as something else.
pub fn definition(target: &Target) -> Statement {
    let known = target.relation.columns.iter().filter_map(|column| target.table.column(&column.name));
    let known = known.map(|column| {
        let name = quote::ascii_literal(&column.name);
        format!("({name}, {}::oid, {})", column.type_oid, column.type_modifier)
    });
    let sql = format!(
        "SELECT walferry_state.expect(count(*), $1) FROM pg_catalog.pg_attribute a WHERE a.attrelid = {}::oid \
         AND NOT a.attisdropped AND (a.attname::text, a.atttypid, a.atttypmod) IN ({})",
        target.table.oid,
        known.collect::<Vec<_>>().join(", ")
    );
    Statement { sql, types: vec![INT8_OID] }
}

/// How many keys stand more than once in a deferrable constraint's columns; none may (rule 12).
pub fn probe(target: &Target, parts: &[KeyPart]) -> Statement {
    let keys = key_columns(parts);
    let value = |(n, at): (usize, &u16)| element(target, *at as usize, n);
    let values = keys.iter().enumerate().map(value).collect::<Vec<_>>().join(", ");
    let written =
        format!("WHERE ({}) IN (SELECT {values} FROM {})", names(target, parts), unnest(target, &keys));
    Statement { sql: twice(target, parts, &written, keys.len() + 1), types: array_types(target, &keys) }
}

/// The same for all rows of the table.
pub fn probe_all(target: &Target, parts: &[KeyPart]) -> Statement {
    Statement { sql: twice(target, parts, "", 1), types: vec![INT8_OID] }
}

fn twice(target: &Target, parts: &[KeyPart], which: &str, count: usize) -> String {
    let names = names(target, parts);
    let known = parts.iter().map(|part| format!("t.{} IS NOT NULL", target.columns[part.column].name));
    format!(
        "SELECT walferry_state.expect(count(*), ${count}) FROM (SELECT FROM {} AS t {which} \
         GROUP BY {names} HAVING count(*) > 1 AND {}) AS twice",
        target.only(),
        known.collect::<Vec<_>>().join(" AND ")
    )
}

fn names(target: &Target, parts: &[KeyPart]) -> String {
    let names = parts.iter().map(|part| format!("t.{}", target.columns[part.column].name));
    names.collect::<Vec<_>>().join(", ")
}

/// Any one row that equals the parameters (one per column of `image`), as a CTE `x` of its address.
fn one_row(target: &Target, image: &[usize]) -> String {
    let name = |at: &usize| format!("r.{}", target.columns[*at].name);
    let names = image.iter().map(name).collect::<Vec<_>>().join(", ");
    let values =
        image.iter().enumerate().map(|(n, at)| scalar(target, *at, n)).collect::<Vec<_>>().join(", ");
    format!(
        "x AS MATERIALIZED (SELECT r.tableoid, r.ctid FROM {} AS r \
         WHERE ROW({names})::record OPERATOR(pg_catalog.*=) ROW({values})::record LIMIT {})",
        target.only(),
        // Rows that are the same in all columns are as good as one another; others must be the only one.
        if target.is_exact() { 1 } else { 2 }
    )
}

const AT_ADDRESS: &str =
    "t.ctid OPERATOR(pg_catalog.=) x.ctid AND t.tableoid OPERATOR(pg_catalog.=) x.tableoid";

/// Delete of one row that equals the parameters; then the expected count.
pub fn delete_image(target: &Target, image: &[usize]) -> Statement {
    let sql = format!(
        "WITH {}, w AS (DELETE FROM {} AS t USING x WHERE {AT_ADDRESS} RETURNING 1) \
         SELECT walferry_state.expect(count(*), ${}) FROM w",
        one_row(target, image),
        target.only(),
        image.len() + 1
    );
    Statement { sql, types: scalar_types(target, image.iter().copied()) }
}

/// Update of one row that equals the parameters, to the values that follow them; then the expected count.
pub fn update_image(target: &Target, image: &[usize], set: &[u16]) -> Statement {
    let sets = set.iter().enumerate().map(|(n, at)| {
        let at = *at as usize;
        format!("{} = {}", target.columns[at].name, scalar(target, at, image.len() + n))
    });
    let sql = format!(
        "WITH {}, w AS (UPDATE {} AS t SET {} FROM x WHERE {AT_ADDRESS} RETURNING 1) \
         SELECT walferry_state.expect(count(*), ${}) FROM w",
        one_row(target, image),
        target.only(),
        sets.collect::<Vec<_>>().join(", "),
        image.len() + set.len() + 1
    );
    let columns = image.iter().copied().chain(set.iter().map(|at| *at as usize));
    Statement { sql, types: scalar_types(target, columns) }
}

/// The columns of a key, as indexes into the target's columns.
pub fn key_columns(parts: &[KeyPart]) -> Vec<u16> {
    parts.iter().map(|part| part.column as u16).collect()
}

/// The key of a target that has one.
pub fn key_parts(target: &Target) -> &[KeyPart] {
    match &target.access {
        Access::Key(parts) => parts,
        Access::Image(_) => &[],
    }
}

/// Parameter `$n+1` (counted from 0) as a value of the column `at`.
pub fn scalar(target: &Target, at: usize, n: usize) -> String {
    format!("CAST(${} AS {})", n + 1, target.columns[at].type_name)
}

/// The parameter types of scalars, and of the count behind them.
pub fn scalar_types(target: &Target, columns: impl Iterator<Item = usize>) -> Vec<u32> {
    columns.map(|at| target.columns[at].element_oid).chain([INT8_OID]).collect()
}

fn array_types(target: &Target, arrays: &[u16]) -> Vec<u32> {
    arrays.iter().map(|at| target.columns[*at as usize].array_oid).chain([INT8_OID]).collect()
}

fn counted(target: &Target, written: &str, arrays: &[u16]) -> Statement {
    let count = arrays.len() + 1;
    let sql = format!("WITH w AS ({written}) SELECT walferry_state.expect(count(*), ${count}) FROM w");
    Statement { sql, types: array_types(target, arrays) }
}

/// The arrays side by side as rows of `k`, their columns `c0`, `c1` ...
fn unnest(target: &Target, arrays: &[u16]) -> String {
    let params = (1..=arrays.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
    let names = (0..arrays.len()).map(|n| format!("c{n}")).collect::<Vec<_>>().join(", ");
    debug_assert!(arrays.iter().all(|at| (*at as usize) < target.columns.len()));
    // Of several arrays, `unnest` without a schema is syntax, and always means the one of pg_catalog.
    format!("unnest({params}) AS k({names})")
}

/// Element `n` of `k` as a value of the column `at`.
fn element(target: &Target, at: usize, n: usize) -> String {
    let column = &target.columns[at];
    if column.binary { format!("k.c{n}") } else { format!("CAST(k.c{n} AS {})", column.type_name) }
}

fn matching(target: &Target, parts: &[KeyPart]) -> String {
    let equal = |(n, part): (usize, &KeyPart)| {
        let name = &target.columns[part.column].name;
        format!("t.{name} {} {}", part.operator, element(target, part.column, n))
    };
    parts.iter().enumerate().map(equal).collect::<Vec<_>>().join(" AND ")
}

fn list(columns: &[u16], text: impl Fn(usize) -> String) -> String {
    columns.iter().map(|at| text(*at as usize)).collect::<Vec<_>>().join(", ")
}
