//! `walferry_state.tables`: the tables that were chosen when the task was made, by oid, and where their rows go.

use tokio_postgres::Client;

use crate::error::Result;
use crate::pg::client_error;

/// A chosen table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// `pg_class.oid` at the source.
    pub source_oid: u32,
    /// Schema and name at the source when it was chosen.
    pub source: (String, String),
    /// Schema and name at the destination.
    pub destination: (String, String),
}

/// Notes the chosen tables; those that are known stay as they are.
pub async fn add(client: &Client, task: &str, tables: &[Chosen]) -> Result<()> {
    let sql = "INSERT INTO walferry_state.tables SELECT $1, t.* FROM \
               unnest($2::oid[], $3::text[], $4::text[], $5::text[], $6::text[]) AS t \
               ON CONFLICT DO NOTHING";
    let column = |text: fn(&Chosen) -> &String| tables.iter().map(text).collect::<Vec<_>>();
    let oids: Vec<u32> = tables.iter().map(|table| table.source_oid).collect();
    let (schemas, names) = (column(|table| &table.source.0), column(|table| &table.source.1));
    let (to_schemas, to_names) = (column(|table| &table.destination.0), column(|table| &table.destination.1));
    client
        .execute(sql, &[&task, &oids, &schemas, &names, &to_schemas, &to_names])
        .await
        .map_err(client_error)?;
    Ok(())
}

/// The chosen tables.
pub async fn read(client: &Client, task: &str) -> Result<Vec<Chosen>> {
    let sql = "SELECT source_oid, source_schema, source_name, destination_schema, destination_name \
               FROM walferry_state.tables WHERE task = $1 ORDER BY source_schema, source_name";
    let rows = client.query(sql, &[&task]).await.map_err(client_error)?;
    let chosen = |row: &tokio_postgres::Row| Chosen {
        source_oid: row.get(0),
        source: (row.get(1), row.get(2)),
        destination: (row.get(3), row.get(4)),
    };
    Ok(rows.iter().map(chosen).collect())
}
