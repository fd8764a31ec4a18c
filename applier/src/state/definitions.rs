//! `walferry_state.definitions`: the journal of the objects that the task made, each noted in the transaction that made
//! it, and of those that could not be made.

use std::collections::HashSet;
use tokio_postgres::Client;

use crate::error::Result;
use crate::pg::client_error;
use crate::pg::quote::literal;

/// What became of an object, as the journal spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefinitionState {
    /// It is there.
    Made,
    /// The destination did not take it.
    Failed,
    /// It is not carried over.
    LeftOut,
}

impl DefinitionState {
    /// As the table spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            DefinitionState::Made => "made",
            DefinitionState::Failed => "failed",
            DefinitionState::LeftOut => "left out",
        }
    }
}

/// The statement that notes an object; a later note replaces an earlier one. Self-contained text, so that it can stand
/// in one message with the statement that makes the object.
pub fn note(
    task: &str,
    object: &str,
    state: DefinitionState,
    reason: Option<&str>,
    statement: Option<&str>,
) -> String {
    let text = |value: Option<&str>| value.map_or_else(|| "NULL".to_owned(), literal);
    format!(
        "INSERT INTO walferry_state.definitions (task, object, state, reason, statement) VALUES ({}, {}, {}, {}, {}) \
         ON CONFLICT (task, object) DO UPDATE SET state = excluded.state, reason = excluded.reason, \
         statement = excluded.statement",
        literal(task),
        literal(object),
        literal(state.as_str()),
        text(reason),
        text(statement)
    )
}

/// The objects that the task has made.
pub async fn made(client: &Client, task: &str) -> Result<HashSet<String>> {
    let sql = "SELECT object FROM walferry_state.definitions WHERE task = $1 AND state = 'made'";
    let rows = client.query(sql, &[&task]).await.map_err(client_error)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Takes objects out of the journal.
pub async fn forget(client: &Client, task: &str, objects: &[String]) -> Result<()> {
    let sql = "DELETE FROM walferry_state.definitions WHERE task = $1 AND object = ANY ($2)";
    client.execute(sql, &[&task, &objects]).await.map_err(client_error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_one_statement() {
        let sql = note("shop", "TABLE public.\"it's\"", DefinitionState::Made, None, None);
        assert!(sql.contains("VALUES ('shop', 'TABLE public.\"it''s\"', 'made', NULL, NULL)"), "{sql}");
        let sql = note("shop", "INDEX i", DefinitionState::Failed, Some("a\\b"), Some("CREATE INDEX;"));
        assert!(sql.contains("'failed', E'a\\\\b', 'CREATE INDEX;')"), "{sql}");
    }
}
