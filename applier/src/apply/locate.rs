//! Statements of ordered mode: they find rows by key or by content, and write them by their address.

use bytes::Bytes;

use super::encode::image_values;
use super::model::Row;
use super::params;
use super::pipe::Outcome;
use super::statement::{INT8_OID, Statement, TEXT_OID, insert as insert_statement, scalar, scalar_types};
use super::target::{Access, KeyPart, Target};
use crate::catalog::UniqueIndex;
use crate::error::{Error, Result};
use crate::pg::quote;
use walferry_wire::tuple::Cell;

/// Parameters, in the session's client_encoding or binary.
pub type Values = Vec<Option<Vec<u8>>>;

/// A row that was found and is locked by our transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its table and its place: `tableoid` and `ctid`, as text.
    pub address: (Bytes, Bytes),
    /// Written by the transaction that found it.
    pub ours: bool,
}

/// What every lookup returns.
const ADDRESS: &str = "t.tableoid::text, t.ctid::text, \
    t.xmin OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id()::xid";
const AT_ADDRESS: &str = "t.tableoid OPERATOR(pg_catalog.=) CAST(CAST({table} AS pg_catalog.text) AS pg_catalog.oid) \
    AND t.ctid OPERATOR(pg_catalog.=) CAST(CAST({place} AS pg_catalog.text) AS pg_catalog.tid)";

/// Finds the row that an update or delete is about.
pub fn row(target: &Target, was: &Row) -> (Statement, Values) {
    match &target.access {
        Access::Key(parts) => by_key(target, was, parts, false),
        Access::Image(columns) => by_image(target, was, columns),
    }
}

/// Finds rows that hold the unique values of this one, a statement per unique index; `immediate` says whether of those
/// that are checked at once, or of the deferrable ones.
pub fn rivals(target: &Target, new: &Row, immediate: bool) -> Vec<(Statement, Values)> {
    let wanted = |index: &&UniqueIndex| !index.partial && index.immediate == immediate;
    let usable = target.table.unique_indexes.iter().filter(wanted);
    let statement = |index: &UniqueIndex| {
        let parts = target.parts(index)?;
        let cell = |part: &KeyPart| new.cells().nth(part.column).unwrap_or(Cell::Null);
        let unknown = parts.iter().any(|part| cell(part) == Cell::Unchanged);
        let distinct = !index.nulls_not_distinct && parts.iter().any(|part| cell(part) == Cell::Null);
        (!unknown && !distinct).then(|| by_key(target, new, &parts, index.nulls_not_distinct))
    };
    usable.filter_map(statement).collect()
}

fn by_key(target: &Target, row: &Row, parts: &[KeyPart], nulls_equal: bool) -> (Statement, Values) {
    let columns: Vec<usize> = parts.iter().map(|part| part.column).collect();
    let values = values(row, &columns);
    let equal = |(n, part): (usize, &KeyPart)| {
        let name = &target.columns[part.column].name;
        match values[n] {
            None if nulls_equal => format!("t.{name} IS NULL"),
            _ => format!("t.{name} {} {}", part.operator, scalar(target, part.column, n)),
        }
    };
    let condition = parts.iter().enumerate().map(equal).collect::<Vec<_>>().join(" AND ");
    lookup(target, &condition, columns, values)
}

fn by_image(target: &Target, row: &Row, columns: &[usize]) -> (Statement, Values) {
    let names = columns.iter().map(|at| format!("t.{}", target.columns[*at].name)).collect::<Vec<_>>();
    let params = columns.iter().enumerate().map(|(n, at)| scalar(target, *at, n)).collect::<Vec<_>>();
    let condition = format!(
        "ROW({})::record OPERATOR(pg_catalog.*=) ROW({})::record",
        names.join(", "),
        params.join(", ")
    );
    lookup(target, &condition, columns.to_vec(), values(row, columns))
}

/// The given cells of a row as parameters of their own.
fn values(row: &Row, columns: &[usize]) -> Values {
    image_values(row, columns).map(|value| value.map(<[u8]>::to_vec)).collect()
}

fn lookup(target: &Target, condition: &str, columns: Vec<usize>, values: Values) -> (Statement, Values) {
    let sql = format!("SELECT {ADDRESS} FROM {} AS t WHERE {condition} LIMIT 2 FOR UPDATE", target.only());
    let mut types = scalar_types(target, columns.into_iter());
    types.pop();
    (Statement { sql, types }, values)
}

/// Inserts one row.
pub fn insert(target: &Target, new: &Row) -> (Statement, Values) {
    let all = target.all();
    let mut values: Values = params::columns(target, &all, [new].into_iter()).into_iter().map(Some).collect();
    values.push(Some(1_i64.to_be_bytes().to_vec()));
    (insert_statement(target), values)
}

/// Sets columns of the row at an address. A column that only DEFAULT may change makes it go and come again, with what
/// the source did not send, or does not have, read back first (rule 11).
pub fn overwrite(target: &Target, new: &Row, set: &[u16], at: &Found) -> (Statement, Values) {
    let columns: Vec<usize> = set.iter().map(|column| *column as usize).collect();
    let again = columns.iter().any(|column| target.columns[*column].always_identity);
    let written = if again { come_again(target, &columns) } else { change(target, &columns) };
    let count = columns.len() + 3;
    let sql = format!("WITH {written} SELECT walferry_state.expect(count(*), ${count}) FROM w");
    let mut types: Vec<u32> = columns.iter().map(|column| target.columns[*column].element_oid).collect();
    types.extend([TEXT_OID, TEXT_OID, INT8_OID]);
    let mut values = values(new, &columns);
    values.extend(address(at));
    (Statement { sql, types }, values)
}

fn change(target: &Target, columns: &[usize]) -> String {
    let set = |(n, at): (usize, &usize)| format!("{} = {}", target.columns[*at].name, scalar(target, *at, n));
    let sets = columns.iter().enumerate().map(set).collect::<Vec<_>>().join(", ");
    format!("w AS (UPDATE {} AS t SET {sets} WHERE {} RETURNING 1)", target.only(), at_address(columns.len()))
}

fn come_again(target: &Target, columns: &[usize]) -> String {
    let position = |name: &str| columns.iter().position(|at| target.columns[*at].name == name);
    let all: Vec<String> = (target.table.columns.iter())
        .filter(|column| !column.generated)
        .map(|column| quote::ascii_ident(&column.name))
        .collect();
    let value = |name: &String| match position(name) {
        Some(n) => scalar(target, columns[n], n),
        None => format!("o.{name}"),
    };
    format!(
        "o AS (DELETE FROM {} AS t WHERE {} RETURNING t.*), \
         w AS (INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM o RETURNING 1)",
        target.only(),
        at_address(columns.len()),
        target.name(),
        all.join(", "),
        all.iter().map(value).collect::<Vec<_>>().join(", ")
    )
}

/// The row at an address as JSON, for the record: its values as text, which any value has.
pub fn shown(target: &Target, at: &Found) -> (Statement, Values) {
    let columns = &target.table.columns;
    let names = columns.iter().map(|column| quote::ascii_literal(&column.name)).collect::<Vec<_>>();
    let values = columns.iter().map(|column| format!("t.{}::text", quote::ascii_ident(&column.name)));
    let sql = format!(
        "SELECT pg_catalog.jsonb_object(ARRAY[{}]::text[], ARRAY[{}]::text[]) FROM {} AS t WHERE {}",
        names.join(", "),
        values.collect::<Vec<_>>().join(", "),
        target.only(),
        at_address(0)
    );
    let mut values: Values = address(at).collect();
    values.pop();
    (Statement { sql, types: vec![TEXT_OID, TEXT_OID] }, values)
}

/// Deletes the row at an address.
pub fn delete(target: &Target, at: &Found) -> (Statement, Values) {
    let sql = format!(
        "WITH w AS (DELETE FROM {} AS t WHERE {} RETURNING 1) SELECT walferry_state.expect(count(*), $3) FROM w",
        target.only(),
        at_address(0)
    );
    (Statement { sql, types: vec![TEXT_OID, TEXT_OID, INT8_OID] }, address(at).collect())
}

fn at_address(before: usize) -> String {
    AT_ADDRESS.replace("{table}", &format!("${}", before + 1)).replace("{place}", &format!("${}", before + 2))
}

fn address(at: &Found) -> impl Iterator<Item = Option<Vec<u8>>> + use<> {
    let one = 1_i64.to_be_bytes().to_vec();
    [at.address.0.to_vec(), at.address.1.to_vec(), one].into_iter().map(Some)
}

/// Reads what a lookup returned.
pub fn found(outcome: Outcome) -> Result<Vec<Found>> {
    let read = |row: Vec<Option<Bytes>>| {
        let mut values = row.into_iter().flatten();
        let (table, place) = (values.next()?, values.next()?);
        Some(Found { address: (table, place), ours: values.next()? == "t" })
    };
    let rows: Option<Vec<Found>> = outcome.rows.into_iter().map(read).collect();
    rows.ok_or_else(|| Error::protocol("a lookup did not return an address"))
}

/// The cells of a key as JSON is made of them: names, and expressions over the parameters from `$n` on.
pub fn json(target: &Target, row: &Row, columns: &[usize], n: usize) -> (String, Vec<u32>, Values) {
    let text = |(i, at): (usize, &usize)| format!("CAST({} AS pg_catalog.text)", scalar(target, *at, n + i));
    let names = columns.iter().map(|at| quote::ascii_literal(&target.relation.columns[*at].name));
    let sql = format!(
        "pg_catalog.jsonb_object(ARRAY[{}]::pg_catalog.text[], ARRAY[{}]::pg_catalog.text[])",
        names.collect::<Vec<_>>().join(", "),
        columns.iter().enumerate().map(text).collect::<Vec<_>>().join(", ")
    );
    let types = columns.iter().map(|at| target.columns[*at].element_oid).collect();
    (sql, types, values(row, columns))
}
