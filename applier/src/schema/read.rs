//! Both ends as they are: the source's definitions with all that is needed to place them, in one snapshot; the
//! destination's objects and roles.

use std::collections::{HashMap, HashSet};
use tokio_postgres::Client;

use super::Renaming;
use super::dump::Request;
use super::facts::{Facts, Relation};
use super::identity;
use super::left_out::LeftOut;
use super::objects::{self, Named, Present};
use super::plan::Plan;
use super::roles_at::Roles;
use super::scope::{Ends, Wanted};
use super::toc::Archive;
use super::tool::Tool;
use crate::config::Scope;
use crate::error::{Error, Result};
use crate::pg::{self, Conninfo, Session, client_error, quote};

/// The source's definitions.
pub struct Source {
    archive: Archive,
    facts: Facts,
    named: Named,
    names: HashMap<i32, String>,
    extensions: Vec<Version>,
}

/// An extension and its version.
type Version = (String, String);

/// What the destination has.
pub struct Destination {
    present: Present,
    roles: Roles,
    made: HashSet<String>,
    /// As they are, or as they would be made.
    extensions: HashMap<String, String>,
}

impl Source {
    /// Reads the definitions as an exported snapshot sees them.
    ///
    /// # Errors
    /// A refusal that names the chosen tables which our role may not read; what pg_dump said if it failed.
    pub async fn read(
        tool: &Tool,
        conninfo: &Conninfo,
        application_name: &str,
        snapshot: &str,
        wanted: &Wanted<'_>,
    ) -> Result<Self> {
        let client = pg::client(conninfo, Session::query(application_name)).await?;
        begin(&client, snapshot).await?;
        let facts = Facts::read(&client).await?;
        let named = objects::read(&client).await?;
        let without = unreadable(&client, &facts, wanted).await?;
        let installed = "SELECT extname::text, extversion FROM pg_catalog.pg_extension ORDER BY 1";
        let extensions = versions(&client, installed).await?;
        let encoding = text(&client, "SELECT pg_catalog.current_setting('server_encoding')").await?;
        let request =
            Request { source: conninfo, application_name, snapshot, encoding: &encoding, without: &without };
        let archive = tool.dump(&request).await?;
        client.batch_execute("COMMIT").await.map_err(client_error)?;
        Ok(Self { names: identity::names(&archive.entries), archive, facts, named, extensions })
    }

    /// What is to be done at the destination.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn plan(
        &self,
        destination: &Destination,
        wanted: &Wanted<'_>,
        renaming: &dyn Renaming,
    ) -> Result<Plan> {
        let ends = Ends {
            archive: &self.archive,
            facts: &self.facts,
            named: &self.named,
            present: &destination.present,
            made: &destination.made,
            names: &self.names,
            roles: &destination.roles,
            renaming,
        };
        let mut plan = Plan::new(&ends, wanted)?;
        if wanted.scope == Scope::Database {
            plan.left_out.extend(self.extensions.iter().filter_map(|here| other_version(here, destination)));
        }
        Ok(plan)
    }
}

impl Destination {
    /// Asks the destination; `made` are the names that the journal has as made.
    pub async fn read(client: &Client, roles: Roles, made: HashSet<String>) -> Result<Self> {
        let available = "SELECT name::text, coalesce(installed_version, default_version) \
                         FROM pg_catalog.pg_available_extensions WHERE default_version IS NOT NULL";
        let extensions = versions(client, available).await?.into_iter().collect();
        Ok(Self { present: Present::of(&objects::read(client).await?), roles, made, extensions })
    }
}

async fn versions(client: &Client, sql: &str) -> Result<Vec<Version>> {
    let rows = client.query(sql, &[]).await.map_err(client_error)?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// An extension brings its own objects: those of another version may differ. One that is not there at all fails by name.
fn other_version((name, here): &Version, destination: &Destination) -> Option<LeftOut> {
    let there = destination.extensions.get(name).filter(|there| *there != here && name != "walferry")?;
    let object = format!("the version of EXTENSION {}", quote::readable_ident(name));
    Some(LeftOut { object, reason: format!("it is {here} at the source and {there} at the destination") })
}

/// Begins a transaction that sees what the snapshot sees.
async fn begin(client: &Client, snapshot: &str) -> Result<()> {
    let snapshot = quote::literal(snapshot);
    let begin =
        format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {snapshot}");
    client.batch_execute(&begin).await.map_err(client_error)
}

async fn text(client: &Client, sql: &str) -> Result<String> {
    Ok(client.query_one(sql, &[]).await.map_err(client_error)?.get(0))
}

/// The tables that pg_dump must leave alone, because it would stop at the first that it may not lock.
async fn unreadable(client: &Client, facts: &Facts, wanted: &Wanted<'_>) -> Result<Vec<(String, String)>> {
    let sql = "SELECT oid FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p') AND oid >= 16384 \
               AND NOT pg_catalog.has_table_privilege(oid, 'SELECT')";
    let rows = client.query(sql, &[]).await.map_err(client_error)?;
    let tables: Vec<&Relation> = rows.iter().filter_map(|row| facts.relations.get(&row.get(0))).collect();
    let (needed, others): (Vec<_>, Vec<_>) =
        tables.into_iter().partition(|table| wanted.chooses(facts, table.oid));
    if needed.is_empty() {
        return Ok(others.into_iter().map(|table| (table.schema.clone(), table.name.clone())).collect());
    }
    let names: Vec<_> = needed.iter().map(|table| quote::readable(&table.schema, &table.name)).collect();
    let names = names.join(", ");
    Err(Error::refused(format!(
        "the role of [source] may not read {names}; GRANT SELECT ON {names} TO it, or exclude them"
    )))
}
