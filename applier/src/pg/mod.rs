//! The only room that opens connections to PostgreSQL and that quotes names for it.
//!
//! `conninfo` says where, `connect` tries the hosts, `stream` and `tls` carry the bytes, `session` says what every
//! session is like. On top stand three clients: `client` (catalogs and checks, tokio-postgres), `raw` (our own
//! pipeline, for the writer) and `replication` (CopyBoth). `copy` carries rows from one `raw` to another.

mod auth;
mod client;
mod connect;
mod conninfo;
pub mod copy;
mod frame;
mod lsn;
pub mod origin;
pub mod quote;
mod raw;
mod replication;
mod server_error;
mod session;
mod snapshot;
mod stream;
mod tls;

pub use client::{client, error as client_error};
pub use conninfo::Conninfo;
pub use frame::Frame;
pub use lsn::{Lsn, NotAnLsn};
pub use raw::{Raw, RawReceiver, RawSender};
pub use replication::{Created, Event, Replication, ReplicationReceiver, ReplicationSender};
pub use server_error::{ServerError, class, tellable};
pub use session::{Session, major};
pub use snapshot::Snapshot;
