//! The vocabulary: every record that can be in the stream. `docs/protocol.md` has the bytes.

use crate::tuple::Tuple;

/// What every header begins with.
pub const MAGIC: &[u8; 8] = b"walferry";

/// The prefix of logical messages that are ours. They mark places and never carry anything executable (rule 25).
pub const MESSAGE_PREFIX: &str = "walferry.";

/// The message that [`crate::record::Message`] carries for `walferry.heartbeat()`.
pub const HEARTBEAT: &str = "walferry.heartbeat";

/// One record of the stream. LSNs are byte positions in WAL; times are microseconds since 2000-01-01 UTC;
/// transaction ids are 64 bits wide (epoch and xid).
#[allow(missing_docs, reason = "the fields of the small variants are explained by their variant")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'a> {
    /// First of every stream.
    Header(Header<'a>),
    /// Describes a relation before its first change, and again when it changed.
    Relation(Relation<'a>),
    /// A committed transaction begins.
    Begin(Begin<'a>),
    /// It ends.
    Commit(Commit),
    /// A row was inserted.
    Insert { relation: u32, new: Tuple<'a> },
    /// A row was updated.
    Update { relation: u32, old: Old<'a>, new: Tuple<'a> },
    /// A row was deleted.
    Delete { relation: u32, old: Old<'a> },
    /// Relations were truncated by one statement.
    Truncate(Truncate),
    /// A logical message with our prefix.
    Message(Message<'a>),
    /// A row of one of the tables that carry DDL (rule 25).
    Ddl(Ddl<'a>),
    /// A block of changes of a transaction that is still in progress begins.
    StreamStart { xid: u64, first: bool },
    /// The block ends.
    StreamStop,
    /// Inside a block: the changes that follow belong to this (sub)transaction.
    StreamSubtransaction { xid: u64 },
    /// The streamed transaction committed.
    StreamCommit(StreamCommit<'a>),
    /// It, or its subtransaction `subxid`, rolled back (`subxid` = `xid`: all of it).
    StreamAbort { xid: u64, subxid: u64 },
    /// A transaction was prepared (only of slots with two_phase, which walferry does not make).
    Prepare(Prepared<'a>),
    /// A prepared transaction committed.
    CommitPrepared(Prepared<'a>),
    /// A prepared transaction rolled back.
    RollbackPrepared(Prepared<'a>),
}

/// What the stream is and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header<'a> {
    /// The version of the format that all later records follow.
    pub version: u16,
    /// The source's `server_version_num`.
    pub server_version: u32,
    /// The oid of the database that is decoded.
    pub database: u32,
    /// The encoding of all text: the source's `server_encoding`.
    pub encoding: &'a str,
}

/// A table as the stream's rows have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation<'a> {
    /// `pg_class.oid`.
    pub oid: u32,
    /// `pg_class.relkind`.
    pub kind: u8,
    /// `pg_class.relreplident`: `d`, `n`, `f`, `i`.
    pub replica_identity: u8,
    /// The transaction of the rows made the relation (rule 26).
    pub created_here: bool,
    /// The relation that these rows rewrite, or 0 (rule 26).
    pub rewrite_of: u32,
    /// Schema.
    pub schema: &'a str,
    /// Name.
    pub name: &'a str,
    /// Of a partition: its parents, the nearest first, the root last.
    pub ancestors: Vec<Ancestor<'a>>,
    /// Columns by attribute number, dropped ones left out.
    pub columns: Vec<Column<'a>>,
}

/// A partitioned table above a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ancestor<'a> {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Schema.
    pub schema: &'a str,
    /// Name.
    pub name: &'a str,
}

/// A column as the stream's rows have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column<'a> {
    /// `pg_attribute.attnum`.
    pub number: i16,
    /// Name.
    pub name: &'a str,
    /// How its cells are written, or that there are none.
    pub encoding: Encoding,
    /// Part of the replica identity (of all columns when that is FULL).
    pub identity: bool,
    /// Part of the primary key.
    pub primary_key: bool,
    /// Declared NOT NULL.
    pub not_null: bool,
    /// `pg_attribute.attgenerated`: 0, `s` (stored), `v` (virtual, 18).
    pub generated: u8,
    /// `pg_attribute.attidentity`: 0, `a` (always), `d` (by default).
    pub identity_column: u8,
    /// `pg_attribute.atttypid`.
    pub type_oid: u32,
    /// The type under all domains; `type_oid` if that is no domain.
    pub base_type_oid: u32,
    /// `pg_attribute.atttypmod`.
    pub type_modifier: i32,
    /// Schema of the type.
    pub type_schema: &'a str,
    /// Name of the type.
    pub type_name: &'a str,
    /// Schema of the collation; empty if the type has none.
    pub collation_schema: &'a str,
    /// Name of the collation; empty if the type has none.
    pub collation_name: &'a str,
}

/// How the cells of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// PostgreSQL's binary send format of the base type.
    Binary,
    /// The type's output function.
    Text,
    /// Described, but not in the rows (generated columns).
    NotSent,
}

/// The begin of a committed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin<'a> {
    /// The transaction.
    pub xid: u64,
    /// Start of its commit record.
    pub commit_lsn: u64,
    /// When it committed.
    pub commit_time: i64,
    /// The replication origin it came from, or empty.
    pub origin: &'a str,
}

/// The end of a committed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Start of the commit record.
    pub commit_lsn: u64,
    /// End of the commit record: what progress holds and what is acknowledged (rule 3).
    pub end_lsn: u64,
}

/// The commit of a transaction that was streamed while in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamCommit<'a> {
    /// The transaction.
    pub xid: u64,
    /// Start of the commit record.
    pub commit_lsn: u64,
    /// End of the commit record.
    pub end_lsn: u64,
    /// When it committed.
    pub commit_time: i64,
    /// The replication origin it came from, or empty.
    pub origin: &'a str,
}

/// A step of a two-phase commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared<'a> {
    /// The transaction.
    pub xid: u64,
    /// Start of the record.
    pub lsn: u64,
    /// End of the record.
    pub end_lsn: u64,
    /// When.
    pub time: i64,
    /// The global identifier that the user gave.
    pub gid: &'a str,
}

/// What is known of the row as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old<'a> {
    /// Nothing, and nothing is needed: the identity did not change and is in the new row.
    None,
    /// The identity columns only (a tuple of just these).
    Key(Tuple<'a>),
    /// The whole row (replica identity FULL).
    Full(Tuple<'a>),
    /// Nothing, though it is needed: the table has no replica identity (rule 16).
    Unidentifiable,
}

/// One TRUNCATE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncate {
    /// CASCADE was given.
    pub cascade: bool,
    /// RESTART IDENTITY was given.
    pub restart_identity: bool,
    /// The relations, all described before.
    pub relations: Vec<u32>,
}

/// A logical message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// Whether it is part of the transaction around it.
    pub transactional: bool,
    /// Where it stands.
    pub lsn: u64,
    /// Whose it is.
    pub prefix: &'a str,
    /// What it says.
    pub content: &'a [u8],
}

/// A row that was inserted into one of the tables that carry DDL. Its columns travel by name, so that the tables may get
/// more of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ddl<'a> {
    /// Which table it is.
    pub carrier: Carrier,
    /// Where the row stands in WAL: no two of a source share it.
    pub lsn: u64,
    /// The row's columns: names, and values in their text form as UTF-8.
    pub fields: Vec<(&'a str, Option<&'a str>)>,
}

/// The tables that carry DDL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// `walferry.ddl_log`: a statement has been done.
    Log,
    /// `walferry.ddl_mark`: rows follow that a statement writes while it runs (rule 26).
    Mark,
}
