//! The change-record format: what the output plugin (its owner) writes and the applier reads.
//!
//! A replication message holds whole *fragments* ([`frame`]); one or more fragments make a *record*
//! ([`record::Record`]); a row inside a record is laid out as a tuple of PostgreSQL's binary COPY
//! ([`tuple`]), so that the applier can pass its bytes on. [`pattern`] and [`version`] are the two
//! plugin options whose grammar both sides must agree on. The format is documented in `docs/protocol.md`.
//!
//! No dependencies and no `unsafe`: this code runs inside the source's backends.
#![forbid(unsafe_code)]

pub mod decode;
pub mod encode;
pub mod error;
pub mod frame;
pub mod pattern;
pub mod record;
pub mod tuple;
pub mod version;

pub use error::Error;
pub use record::Record;
