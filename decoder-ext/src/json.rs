//! Records as JSON texts, for people (`walferry.peek`). They are made of the records themselves, so that there is one
//! way of encoding; the stream they belong to was begun with all values as text.
//!
//! Header and relation records are not shown: every row carries the names of its table and columns.

use crate::context::Context;
use crate::names;
use crate::output;
use pgrx::pg_sys;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use walferry_wire::record::{Carrier, Ddl, Encoding, Old, Record, Relation};
use walferry_wire::tuple::{Cell, Tuple};
use walferry_wire::{Error, decode};

/// Turns records into texts.
pub struct Json {
    /// How many more may be written.
    left: u64,
    tables: HashMap<u32, Table>,
}

/// What rows say of their table.
struct Table {
    schema: String,
    name: String,
    /// Its rows are those that a rewrite of the table copies.
    rewrite: bool,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    identity: bool,
}

impl Json {
    /// Writes at most `limit` texts.
    pub fn new(limit: Option<u64>) -> Self {
        Self { left: limit.unwrap_or(u64::MAX), tables: HashMap::new() }
    }

    /// Sends a record as one text.
    pub fn write(&mut self, ctx: Context, record: &[u8]) {
        let shown = match decode::record(record) {
            Ok(record) => self.show(record),
            Err(error) => Some(unreadable(&error)),
        };
        let Some(shown) = shown else { return };
        if self.left > 0 {
            self.left -= 1;
            let text = server_text(shown.to_string());
            output::send(ctx, &[], text.as_bytes());
        }
    }

    fn show(&mut self, record: Record<'_>) -> Option<Value> {
        match record {
            Record::Header(_) => None,
            Record::Relation(relation) => {
                self.tables.insert(relation.oid, Table::new(&relation));
                None
            }
            Record::Begin(begin) => Some(json!({
                "kind": "begin", "xid": begin.xid, "commit_lsn": lsn(begin.commit_lsn),
                "commit_time": time(begin.commit_time), "origin": begin.origin,
            })),
            Record::Commit(commit) => Some(
                json!({"kind": "commit", "commit_lsn": lsn(commit.commit_lsn), "end_lsn": lsn(commit.end_lsn)}),
            ),
            Record::Insert { relation, new } => Some(self.row("insert", relation, None, Some(new))),
            Record::Update { relation, old, new } => Some(self.row("update", relation, Some(old), Some(new))),
            Record::Delete { relation, old } => Some(self.row("delete", relation, Some(old), None)),
            Record::Truncate(truncate) => Some(json!({
                "kind": "truncate", "tables": truncate.relations.iter().map(|oid| self.name(*oid)).collect::<Vec<_>>(),
                "cascade": truncate.cascade, "restart_identity": truncate.restart_identity,
            })),
            Record::Message(message) => Some(json!({
                "kind": "message", "transactional": message.transactional, "lsn": lsn(message.lsn),
                "prefix": message.prefix, "content": text(message.content),
            })),
            Record::Ddl(ddl) => Some(ddl_shown(&ddl)),
            Record::StreamStart { xid, first } => {
                Some(json!({"kind": "stream_start", "xid": xid, "first": first}))
            }
            Record::StreamStop => Some(json!({"kind": "stream_stop"})),
            Record::StreamSubtransaction { xid } => {
                Some(json!({"kind": "stream_subtransaction", "xid": xid}))
            }
            Record::StreamCommit(commit) => Some(json!({
                "kind": "stream_commit", "xid": commit.xid, "commit_lsn": lsn(commit.commit_lsn),
                "end_lsn": lsn(commit.end_lsn), "commit_time": time(commit.commit_time), "origin": commit.origin,
            })),
            Record::StreamAbort { xid, subxid } => {
                Some(json!({"kind": "stream_abort", "xid": xid, "subxid": subxid}))
            }
            Record::Prepare(step) => Some(json!({"kind": "prepare", "xid": step.xid, "gid": step.gid})),
            Record::CommitPrepared(step) => {
                Some(json!({"kind": "commit_prepared", "xid": step.xid, "gid": step.gid}))
            }
            Record::RollbackPrepared(step) => {
                Some(json!({"kind": "rollback_prepared", "xid": step.xid, "gid": step.gid}))
            }
        }
    }

    fn name(&self, relation: u32) -> Value {
        match self.tables.get(&relation) {
            Some(table) => json!({"schema": table.schema, "table": table.name}),
            None => json!({"oid": relation}),
        }
    }

    fn row(&self, kind: &str, relation: u32, old: Option<Old<'_>>, new: Option<Tuple<'_>>) -> Value {
        let mut shown = Map::new();
        shown.insert("kind".into(), kind.into());
        let Some(table) = self.tables.get(&relation) else {
            shown.insert("oid".into(), relation.into());
            return shown.into();
        };
        shown.insert("schema".into(), table.schema.as_str().into());
        shown.insert("table".into(), table.name.as_str().into());
        if table.rewrite {
            shown.insert("rewrite".into(), true.into());
        }
        match old {
            None | Some(Old::None) => {}
            Some(Old::Key(key)) => table.cells("key", true, &key, &mut shown),
            Some(Old::Full(row)) => table.cells("old", false, &row, &mut shown),
            Some(Old::Unidentifiable) => {
                shown.insert("unidentifiable".into(), true.into());
            }
        }
        if let Some(row) = new {
            table.cells("new", false, &row, &mut shown);
        }
        shown.into()
    }
}

impl Table {
    fn new(relation: &Relation<'_>) -> Self {
        let sent = relation.columns.iter().filter(|column| column.encoding != Encoding::NotSent);
        Self {
            schema: relation.schema.to_owned(),
            name: relation.name.to_owned(),
            rewrite: relation.rewrite_of != 0,
            columns: sent
                .map(|column| Column { name: column.name.to_owned(), identity: column.identity })
                .collect(),
        }
    }

    /// A row's cells by column; columns that hold an unchanged TOASTed value are listed apart.
    fn cells(&self, what: &str, key: bool, row: &Tuple<'_>, shown: &mut Map<String, Value>) {
        let columns = self.columns.iter().filter(|column| column.identity || !key);
        let (mut cells, mut unchanged) = (Map::new(), Vec::new());
        for (column, cell) in columns.zip(row.cells()) {
            match cell {
                Cell::Null => cells.insert(column.name.clone(), Value::Null),
                Cell::Value(value) => cells.insert(column.name.clone(), text(value)),
                Cell::Unchanged => {
                    unchanged.push(column.name.clone());
                    None
                }
            };
        }
        shown.insert(what.into(), cells.into());
        if !unchanged.is_empty() {
            shown.insert("unchanged".into(), unchanged.into());
        }
    }
}

fn ddl_shown(ddl: &Ddl<'_>) -> Value {
    let kind = match ddl.carrier {
        Carrier::Log => "ddl",
        Carrier::Mark => "ddl_mark",
    };
    let fields = ddl.fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
    let mut shown: Map<String, Value> = fields.collect();
    shown.insert("kind".into(), kind.into());
    shown.insert("lsn".into(), lsn(ddl.lsn).into());
    Value::Object(shown)
}

fn unreadable(error: &Error) -> Value {
    json!({"kind": "unreadable", "error": error.to_string()})
}

fn text(bytes: &[u8]) -> Value {
    names::bytes_utf8(bytes).into()
}

fn lsn(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF)
}

/// A time as the session shows it.
fn time(time: i64) -> String {
    // SAFETY: guarded; gives a C string in a static buffer.
    unsafe { names::utf8(pg_sys::timestamptz_to_str(time)) }
}

/// A text that is valid in the database's encoding: outside UTF-8, what is not ASCII is escaped as JSON does.
fn server_text(text: String) -> String {
    // SAFETY: no arguments.
    if text.is_ascii() || unsafe { pg_sys::GetDatabaseEncoding() } == pg_sys::pg_enc::PG_UTF8 as i32 {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() * 2);
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("\\u{unit:04x}")),
        }
    }
    escaped
}
