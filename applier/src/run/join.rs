//! Tables that join a running task (B5), by rule 23: they are copied part by part while the stream goes on.

use std::sync::Arc;

use super::Task;
use super::source::Source;
use crate::apply::Gate;
use crate::error::Result;
use crate::state::tables::Chosen;

/// Copies the tables that join.
pub async fn run(_task: &Task, _source: &Source, _joining: &[Chosen], _gate: Arc<Gate>) -> Result<bool> {
    std::future::pending().await
}
