//! Writes records. Each function stands for one tag; rows are written cell by cell, so that the plugin never holds a
//! row twice. A [`Sink`] takes the bytes; fragments and messages are its business.

use crate::record::*;
use crate::tuple;

/// Where the bytes of a record go.
pub trait Sink {
    /// Appends bytes to the record being written.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// The first record.
pub fn header(out: &mut impl Sink, header: &Header<'_>) {
    out.put(b"H");
    out.put(MAGIC);
    out.put(&header.version.to_be_bytes());
    out.put(&header.server_version.to_be_bytes());
    out.put(&header.database.to_be_bytes());
    text(out, header.encoding);
}

/// A relation's description.
pub fn relation(out: &mut impl Sink, relation: &Relation<'_>) {
    out.put(b"R");
    out.put(&relation.oid.to_be_bytes());
    out.put(&[relation.kind, relation.replica_identity, u8::from(relation.created_here)]);
    out.put(&relation.rewrite_of.to_be_bytes());
    text(out, relation.schema);
    text(out, relation.name);
    out.put(&(relation.ancestors.len() as u16).to_be_bytes());
    for ancestor in &relation.ancestors {
        out.put(&ancestor.oid.to_be_bytes());
        text(out, ancestor.schema);
        text(out, ancestor.name);
    }
    out.put(&(relation.columns.len() as u16).to_be_bytes());
    for column in &relation.columns {
        self::column(out, column);
    }
}

fn column(out: &mut impl Sink, column: &Column<'_>) {
    let flags =
        u8::from(column.identity) | u8::from(column.primary_key) << 1 | u8::from(column.not_null) << 2;
    let encoding = match column.encoding {
        Encoding::Binary => b'b',
        Encoding::Text => b't',
        Encoding::NotSent => b'-',
    };
    out.put(&column.number.to_be_bytes());
    out.put(&[encoding, flags, column.generated, column.identity_column]);
    out.put(&column.type_oid.to_be_bytes());
    out.put(&column.base_type_oid.to_be_bytes());
    out.put(&column.type_modifier.to_be_bytes());
    text(out, column.name);
    text(out, column.type_schema);
    text(out, column.type_name);
    text(out, column.collation_schema);
    text(out, column.collation_name);
}

/// A transaction begins.
pub fn begin(out: &mut impl Sink, begin: &Begin<'_>) {
    out.put(b"B");
    out.put(&begin.xid.to_be_bytes());
    out.put(&begin.commit_lsn.to_be_bytes());
    out.put(&begin.commit_time.to_be_bytes());
    text(out, begin.origin);
}

/// A transaction ends.
pub fn commit(out: &mut impl Sink, commit: &Commit) {
    out.put(b"C");
    out.put(&commit.commit_lsn.to_be_bytes());
    out.put(&commit.end_lsn.to_be_bytes());
}

/// An inserted row; its tuple follows ([`tuple_head`] and cells).
#[inline]
pub fn insert(out: &mut impl Sink, relation: u32) {
    head(out, b'I', relation);
}

/// An updated row; [`old`] and the new tuple follow.
#[inline]
pub fn update(out: &mut impl Sink, relation: u32) {
    head(out, b'U', relation);
}

/// A deleted row; [`old`] follows.
#[inline]
pub fn delete(out: &mut impl Sink, relation: u32) {
    head(out, b'D', relation);
}

#[inline]
fn head(out: &mut impl Sink, tag: u8, relation: u32) {
    let oid = relation.to_be_bytes();
    out.put(&[tag, oid[0], oid[1], oid[2], oid[3]]);
}

/// What kind of old row follows. The tuple itself must follow for `Key` and `Full`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldKind {
    /// See [`Old::None`].
    None,
    /// See [`Old::Key`].
    Key,
    /// See [`Old::Full`].
    Full,
    /// See [`Old::Unidentifiable`].
    Unidentifiable,
}

/// The mark before the old row of an update or delete.
#[inline]
pub fn old(out: &mut impl Sink, kind: OldKind) {
    let mark = match kind {
        OldKind::None => b'-',
        OldKind::Key => b'K',
        OldKind::Full => b'F',
        OldKind::Unidentifiable => b'?',
    };
    out.put(&[mark]);
}

/// The number of cells that follow.
#[inline]
pub fn tuple_head(out: &mut impl Sink, cells: u16) {
    out.put(&cells.to_be_bytes());
}

/// A cell that is SQL NULL.
#[inline]
pub fn cell_null(out: &mut impl Sink) {
    out.put(&tuple::NULL.to_be_bytes());
}

/// A TOASTed cell that did not change.
#[inline]
pub fn cell_unchanged(out: &mut impl Sink) {
    out.put(&tuple::UNCHANGED.to_be_bytes());
}

/// A cell with a value.
#[inline]
pub fn cell(out: &mut impl Sink, value: &[u8]) {
    out.put(&(value.len() as i32).to_be_bytes());
    out.put(value);
}

/// One TRUNCATE.
pub fn truncate(out: &mut impl Sink, truncate: &Truncate) {
    out.put(&[b'T', u8::from(truncate.cascade) | u8::from(truncate.restart_identity) << 1]);
    out.put(&(truncate.relations.len() as u32).to_be_bytes());
    for relation in &truncate.relations {
        out.put(&relation.to_be_bytes());
    }
}

/// A logical message.
pub fn message(out: &mut impl Sink, message: &Message<'_>) {
    out.put(&[b'M', u8::from(message.transactional)]);
    out.put(&message.lsn.to_be_bytes());
    text(out, message.prefix);
    out.put(&(message.content.len() as u32).to_be_bytes());
    out.put(message.content);
}

/// A row that carries DDL.
pub fn ddl(out: &mut impl Sink, ddl: &Ddl<'_>) {
    let carrier = match ddl.carrier {
        Carrier::Log => b'l',
        Carrier::Mark => b'm',
    };
    out.put(&[b'L', carrier]);
    out.put(&ddl.lsn.to_be_bytes());
    out.put(&(ddl.fields.len() as u16).to_be_bytes());
    for (name, value) in &ddl.fields {
        text(out, name);
        match value {
            None => cell_null(out),
            Some(value) => cell(out, value.as_bytes()),
        }
    }
}

/// A block of an in-progress transaction begins.
pub fn stream_start(out: &mut impl Sink, xid: u64, first: bool) {
    out.put(b"s");
    out.put(&xid.to_be_bytes());
    out.put(&[u8::from(first)]);
}

/// The block ends.
pub fn stream_stop(out: &mut impl Sink) {
    out.put(b"e");
}

/// The changes that follow belong to this (sub)transaction.
pub fn stream_subtransaction(out: &mut impl Sink, xid: u64) {
    out.put(b"x");
    out.put(&xid.to_be_bytes());
}

/// A streamed transaction committed.
pub fn stream_commit(out: &mut impl Sink, commit: &StreamCommit<'_>) {
    out.put(b"c");
    out.put(&commit.xid.to_be_bytes());
    out.put(&commit.commit_lsn.to_be_bytes());
    out.put(&commit.end_lsn.to_be_bytes());
    out.put(&commit.commit_time.to_be_bytes());
    text(out, commit.origin);
}

/// A streamed transaction, or a part of it, rolled back.
pub fn stream_abort(out: &mut impl Sink, xid: u64, subxid: u64) {
    out.put(b"a");
    out.put(&xid.to_be_bytes());
    out.put(&subxid.to_be_bytes());
}

/// A transaction was prepared.
pub fn prepare(out: &mut impl Sink, step: &Prepared<'_>) {
    prepared(out, b'p', step);
}

/// A prepared transaction committed.
pub fn commit_prepared(out: &mut impl Sink, step: &Prepared<'_>) {
    prepared(out, b'k', step);
}

/// A prepared transaction rolled back.
pub fn rollback_prepared(out: &mut impl Sink, step: &Prepared<'_>) {
    prepared(out, b'r', step);
}

fn prepared(out: &mut impl Sink, tag: u8, step: &Prepared<'_>) {
    out.put(&[tag]);
    out.put(&step.xid.to_be_bytes());
    out.put(&step.lsn.to_be_bytes());
    out.put(&step.end_lsn.to_be_bytes());
    out.put(&step.time.to_be_bytes());
    text(out, step.gid);
}

/// Names: a `u16` length and UTF-8 (the plugin converts names; they are at most a few hundred bytes).
fn text(out: &mut impl Sink, text: &str) {
    out.put(&(text.len() as u16).to_be_bytes());
    out.put(text.as_bytes());
}
