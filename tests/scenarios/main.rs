//! Scenarios: the built binary between two real clusters. Each file is a theme; tests that prove a rule of
//! the data path carry its number. They run under `lab run -- cargo test`, which starts the clusters.

mod busy;
mod conflicts;
mod constraints;
mod contention;
mod extension;
mod fence;
mod generated;
mod identity;
mod idle;
mod input;
mod lab;
mod load;
mod messages;
mod mismatch;
mod names;
mod origins;
mod partitions;
mod prepared;
mod restarts;
mod rights;
mod selection;
mod sessions;
mod start;
mod streaming;
mod tls;
mod toast;
mod triggers;
mod truncate;
mod types;
