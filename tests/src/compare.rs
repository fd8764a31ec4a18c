//! Both sides, row by row. A row is compared as the text of all of its columns, under the same settings on
//! both sides; tables are bags of rows, so that doubled rows of keyless tables show.

use std::collections::BTreeMap;

use crate::Session;
use crate::session::identifier;

/// Settings under which a value's text is the same on both sides, and exact.
const PINNED: &str = "SET extra_float_digits = 3; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres';
    SET timezone = 'UTC'; SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET search_path = pg_catalog;
    SET client_encoding = 'UTF8'; SET xmloption = 'content'; SET row_security = off; SET statement_timeout = 0;
    SET lock_timeout = 0; SET default_transaction_read_only = off; SET session_replication_role = origin";

const TABLES: &str = "
SELECT n.nspname, c.relname, c.relkind::text,
       (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'walferry', 'walferry_state')
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND d.deptype = 'e')
 ORDER BY 1, 2";

/// A user table of one side.
struct Table {
    name: (String, String),
    partitioned: bool,
    columns: String,
}

impl Table {
    /// The rows' text, for use in a select list and FROM clause. `columns` are those of the source.
    fn rows(&self, columns: &str) -> (String, String) {
        let only = if self.partitioned { "" } else { "ONLY " };
        let name = format!("{}.{}", identifier(&self.name.0), identifier(&self.name.1));
        (format!("ROW({columns})::text"), format!("{only}{name}"))
    }

    fn fingerprint(&self, session: &Session, columns: &str) -> String {
        let (row, from) = self.rows(columns);
        session.value(&format!(
            "SELECT count(*) || ':' || coalesce(sum(hashtextextended({row}, 0)::numeric), 0) FROM {from}"
        ))
    }

    fn bag(&self, session: &Session, columns: &str) -> BTreeMap<String, i64> {
        let (row, from) = self.rows(columns);
        let mut bag = BTreeMap::new();
        for row in session.rows(&format!("SELECT {row} FROM {from}")) {
            *bag.entry(row.into_iter().next().flatten().unwrap_or_default()).or_default() += 1;
        }
        bag
    }
}

/// What differs between all user tables of both sides, one line per finding; empty when nothing does.
/// Columns that only the destination has are not looked at. `except` names tables (`schema.table`) left out.
pub fn differences(source: &Session, destination: &Session, except: &[&str]) -> Vec<String> {
    let (source, destination) = (source.another(), destination.another());
    source.execute(PINNED);
    destination.execute(PINNED);
    let one_encoding = source.value("SHOW server_encoding") == destination.value("SHOW server_encoding");
    let theirs: BTreeMap<_, _> =
        tables(&destination).into_iter().map(|table| (table.name.clone(), table)).collect();
    let mut found = Vec::new();
    for table in tables(&source) {
        let name = format!("{}.{}", table.name.0, table.name.1);
        if except.contains(&name.as_str()) {
            continue;
        }
        match theirs.get(&table.name) {
            None => found.push(format!("{name}: not at the destination")),
            Some(other) => compare(&name, &table, other, (&source, &destination), one_encoding, &mut found),
        }
    }
    found
}

fn tables(session: &Session) -> Vec<Table> {
    let mut tables = Vec::new();
    for row in session.rows(TABLES) {
        let mut texts = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || texts.next().unwrap_or_default();
        tables.push(Table { name: (next(), next()), partitioned: next() == "p", columns: next() });
    }
    tables
}

fn compare(
    name: &str,
    ours: &Table,
    theirs: &Table,
    (source, destination): (&Session, &Session),
    one_encoding: bool,
    found: &mut Vec<String>,
) {
    let columns = &ours.columns;
    if one_encoding && ours.fingerprint(source, columns) == theirs.fingerprint(destination, columns) {
        return;
    }
    let mut balance = ours.bag(source, columns);
    for (row, count) in theirs.bag(destination, columns) {
        *balance.entry(row).or_default() -= count;
    }
    balance.retain(|_, count| *count != 0);
    for (row, count) in balance.iter().take(8) {
        let side = if *count > 0 { "only at the source" } else { "only at the destination" };
        let shown: String = row.chars().take(400).collect();
        found.push(format!("{name}: {} x {side}: {shown}", count.abs()));
    }
    if balance.len() > 8 {
        found.push(format!("{name}: and {} more rows differ", balance.len() - 8));
    }
}

/// Tables compared and rows in them at the source: what `differences` looked at.
pub fn size(source: &Session) -> (usize, u64) {
    let tables = tables(source);
    let rows = tables.iter().map(|table| {
        let (_, from) = table.rows("");
        source.value(&format!("SELECT count(*) FROM {from}")).parse::<u64>().unwrap_or_default()
    });
    (tables.len(), rows.sum())
}
