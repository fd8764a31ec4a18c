//! The form of an answer.

use clap::ValueEnum;
use serde::Serialize;

use crate::error::{Error, Result};

/// The form of a command's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Text,
    /// One JSON document and nothing else
    Json,
}

/// One JSON document.
pub fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::protocol(format!("cannot be written as JSON: {error}")))
}

/// A reader that has gone away (`walferry status | head -1`) is no failure.
pub fn print(written: std::io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::usage(format!("standard output cannot be written: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
