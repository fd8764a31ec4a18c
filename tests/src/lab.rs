//! The two clusters that a test run shares: started once by the `lab` binary, found through the environment
//! by everything that it runs.

use crate::Cluster;

/// The environment variable with the source's address.
pub const SOURCE: &str = "WALFERRY_LAB_SOURCE";
/// The environment variable with the destination's address.
pub const DESTINATION: &str = "WALFERRY_LAB_DESTINATION";

/// Addresses (`postgresql://user@host:port`) of the shared clusters.
#[derive(Debug, Clone)]
pub struct Lab {
    /// The source's address.
    pub source: String,
    /// The destination's address.
    pub destination: String,
}

impl Lab {
    /// The clusters of this run.
    pub fn shared() -> Self {
        let find = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| {
                panic!("{name} is not set: run `make scenarios`, or anything else under `lab run -- CMD`")
            })
        };
        Self { source: find(SOURCE), destination: find(DESTINATION) }
    }
}

/// Both clusters, started; they end when this is dropped.
pub struct Pair {
    /// The source: a cluster with `wal_level = logical`.
    pub source: Cluster,
    /// The destination: nothing is installed on it.
    pub destination: Cluster,
}

impl Pair {
    /// Starts both.
    pub fn start() -> Self {
        Self { source: Cluster::start(""), destination: Cluster::start("") }
    }
}
