//! Replication origins: the tag on what a session writes, so that a task in the other direction can leave it out
//! (<https://www.postgresql.org/docs/current/replication-origins.html>). Only a tag: progress is the journal's business.

use super::client::error as client_error;
use super::quote;
use super::raw::Raw;
use crate::error::{Error, Result};
use tokio_postgres::Client;

/// Tags what this session writes with the origin `name`, which is made if it is not there.
///
/// # Errors
/// Refused when the role may not use origins, or the server has no room for another one that is in use.
pub async fn tag(raw: &mut Raw, name: &str) -> Result<()> {
    let name = quote::ascii_literal(name);
    let known = raw.simple(&format!("SELECT pg_catalog.pg_replication_origin_oid({name})")).await;
    if known.map_err(advise)?.concat() == [None] {
        let create = format!("SELECT pg_catalog.pg_replication_origin_create({name})");
        raw.simple(&create).await.map_err(advise)?;
    }
    let setup = format!("SELECT pg_catalog.pg_replication_origin_session_setup({name})");
    raw.simple(&setup).await.map(|_| ()).map_err(advise)
}

fn advise(error: Error) -> Error {
    match error.sqlstate() {
        Some("42501") => error.and(
            "; GRANT EXECUTE ON FUNCTION pg_replication_origin_oid(text), pg_replication_origin_create(text), \
             pg_replication_origin_session_setup(text) TO the role of [destination]",
        ),
        // object_not_in_prerequisite_state (none may be used), configuration_limit_exceeded (all are)
        Some("55000" | "53400") => error.and("; raise max_replication_slots at the destination (18: max_active_replication_origins)"),
        Some(_) | None => error,
    }
}

/// Drops the tags of a task's writers, none of which may be connected any more. A role that was never allowed to make
/// origins has none to drop.
pub async fn drop_all(destination: &Client, task: &str) -> Result<()> {
    let sql = "SELECT roname FROM pg_catalog.pg_replication_origin WHERE roname ~ ($1 || '_[0-9]+$')";
    let like = format!("^walferry_{task}");
    for row in destination.query(sql, &[&like]).await.map_err(client_error)? {
        let name: String = row.get(0);
        let drop = "SELECT pg_catalog.pg_replication_origin_drop($1)";
        destination.execute(drop, &[&name]).await.map_err(client_error)?;
    }
    Ok(())
}
