//! Where `run --until` ends.

use crate::pg::Lsn;

/// Where a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// What the source had committed when the command began.
    Now,
    /// A position of the source's WAL.
    At(Lsn),
}

impl std::str::FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "now" => Ok(Until::Now),
            text => {
                text.parse().map(Until::At).map_err(|error: crate::pg::NotAnLsn| format!("{error}, or now"))
            }
        }
    }
}
