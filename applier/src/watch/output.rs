//! The form of an answer.

use clap::ValueEnum;

/// The form of a command's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Text,
    /// One JSON document and nothing else
    Json,
}
