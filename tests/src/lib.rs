//! The laboratory: throwaway clusters, databases and configurations for a task between them, and the built
//! `walferry` binary as a child process. The scenarios and the demo read as examples of it.
//!
//! `cluster` runs one PostgreSQL server; `lab` holds the two that a test run shares; `session` speaks SQL;
//! `task` is one source database, one destination database and a `walferry.toml`; `daemon` runs the binary;
//! `compare` looks at both sides row by row, `whole` at everything else too; `full` is for tasks that copy, `ddl` for
//! those that follow definitions, `traffic` writes meanwhile, `corpora` are databases worth copying. Everything here panics with a sentence when it cannot go on:
//! a test has nothing better to do.

pub mod cluster;
pub mod compare;
pub mod corpora;
pub mod daemon;
pub mod ddl;
pub mod full;
pub mod lab;
pub mod own_extension;
pub mod random;
pub mod session;
pub mod sprinkler;
pub mod task;
pub mod traffic;
pub mod whole;

pub use cluster::{Cluster, Stop, program};
pub use daemon::{Daemon, Ended};
pub use lab::Lab;
pub use random::Random;
pub use session::Session;
pub use sprinkler::Sprinkler;
pub use task::{Task, TaskBuilder};
pub use traffic::Traffic;

use std::time::{Duration, Instant};

/// Asks `condition` every 50 ms until it is true; panics with `what` when that takes longer than `limit`.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "waited {} s in vain: {what}", limit.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An LSN as PostgreSQL prints it (`16/B374D848`), as a number.
#[track_caller]
pub fn lsn(text: &str) -> u64 {
    let parts =
        text.split_once('/').map(|(high, low)| (u64::from_str_radix(high, 16), u64::from_str_radix(low, 16)));
    match parts {
        Some((Ok(high), Ok(low))) => (high << 32) | low,
        Some(_) | None => panic!("{text:?} is not an LSN"),
    }
}
