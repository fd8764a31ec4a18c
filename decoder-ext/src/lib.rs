//! walferry's output plugin: turns the write-ahead log of a source into change records (`walferry_wire`), inside the
//! source's own backends. The same library captures DDL as it is run, see [`ddl`].
//!
//! The way of a change: [`plugin`] (PostgreSQL's callbacks) -> [`decoding`] (one session) -> [`relation`] and
//! [`describe`] (what is known of the table, and how each column is written) -> [`stream`] (begin, describe) ->
//! [`tuple`] and [`encoders`] (the row's cells) -> [`output`] (messages).
//!
//! Nothing may take the server down: an ERROR of PostgreSQL and a panic of Rust both unwind to the callback and go on
//! as an ERROR. Rows are the exception that pays: they are written inside one boundary, see [`raw`].

#![cfg_attr(
    feature = "pg13",
    allow(dead_code, reason = "PostgreSQL 13 cannot stream transactions in progress")
)]

#[cfg(not(all(target_endian = "little", target_pointer_width = "64")))]
compile_error!("the layout of values is known for 64-bit little-endian machines only");

mod carrier;
mod context;
mod ddl;
mod decoding;
mod describe;
mod encoders;
mod identity;
mod invalidation;
mod json;
mod lineage;
mod names;
mod numeric;
mod options;
mod origin;
mod output;
mod plugin;
mod raw;
mod refuse;
mod relation;
mod stream;
mod transaction;
mod tuple;

pgrx::pg_module_magic!();
