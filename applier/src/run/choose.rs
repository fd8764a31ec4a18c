//! Which tables belong to the task: chosen when it starts, and again when the user has edited what the configuration
//! chooses. A chosen table stays chosen through renames.

use std::collections::HashSet;
use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

use super::{Task, source};
use crate::config::{Mode, Scope};
use crate::error::{Error, Result};
use crate::pg::{Lsn, client_error, quote};
use crate::select::{Choice, Names};
use crate::state::tables::{self, Chosen, TableState};
use crate::state::tasks;

/// The tables of a task that follows its source.
pub struct Choices {
    /// All of them.
    pub chosen: Vec<Chosen>,
    /// Those whose rows are still to be copied, while the others go on.
    pub joining: Vec<Chosen>,
}

/// The tables of a task that follows: noted at the first start, changed when the configuration's choice has changed.
pub async fn follow(task: &Task, source: &Client, destination: &Client, progress: Lsn) -> Result<Choices> {
    let name = task.config.task.name.as_str();
    let known = tables::read(destination, name).await?;
    let selection = selection(task)?;
    match tasks::selection(destination, name).await? {
        // The first start of mode incremental: the rows are there.
        None => {
            let mut chosen = select(task, source).await?;
            let changed = changed_since(task, source, progress).await?;
            chosen.retain(|table| !changed.contains(&table.source_oid));
            tables::add(destination, name, &chosen, TableState::Copied).await?;
        }
        Some(noted) if noted != selection => change(task, source, destination, &known).await?,
        Some(_) => {}
    }
    tasks::set_selection(destination, name, &selection).await?;
    let chosen = tables::read(destination, name).await?;
    let open: HashSet<u32> = match task.config.task.mode {
        Mode::Incremental => refuse_unfinished(destination, name).await?,
        Mode::Full | Mode::FullIncremental => to_copy(destination, name).await?,
    };
    let joining = chosen.iter().filter(|table| open.contains(&table.source_oid)).cloned().collect();
    Ok(Choices { chosen, joining })
}

/// Tables that the stream has yet to make what they are now. In scope `database` they belong to the task as it brings them.
async fn changed_since(task: &Task, source: &Client, progress: Lsn) -> Result<HashSet<u32>> {
    if !task.config.objects.ddl || task.config.objects.scope == Scope::Tables {
        return Ok(HashSet::new());
    }
    // What commits after the slot's position may have been written before it.
    let sql = "SELECT walferry.ddl_tables_since(least($1, (SELECT s.restart_lsn FROM pg_catalog.pg_replication_slots s \
               WHERE s.slot_name = $2::text::name)))";
    let slot = task.config.slot();
    let rows = source.query(sql, &[&PgLsn::from(progress.0), &slot]).await.map_err(client_error)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The tables of a task whose copy is not done: what the configuration says by now waits.
pub async fn keep(task: &Task, destination: &Client) -> Result<Choices> {
    let chosen = tables::read(destination, task.config.task.name.as_str()).await?;
    Ok(Choices { chosen, joining: Vec::new() })
}

/// Notes the tables of a task that begins with a full copy, none of them copied.
pub async fn begin(task: &Task, destination: &Client, chosen: &[Chosen]) -> Result<()> {
    let name = task.config.task.name.as_str();
    tables::add(destination, name, chosen, TableState::Pending).await?;
    tasks::set_selection(destination, name, &selection(task)?).await
}

/// The tables of the source that the configuration chooses.
pub async fn select(task: &Task, source: &Client) -> Result<Vec<Chosen>> {
    let choice = Choice::new(&task.config.objects);
    let names = Names::new(&task.config.map);
    let copies = match task.config.task.mode {
        Mode::Incremental => false,
        Mode::Full | Mode::FullIncremental => true,
    };
    let all = source::tables(source, copies).await?.into_iter();
    let chosen: Vec<Chosen> = all
        .filter(|(oid, schema, table)| choice.wants(*oid, schema, table))
        .map(|(source_oid, schema, table)| {
            let destination = names.of(source_oid, &schema, &table);
            Chosen { source_oid, source: (schema, table), destination }
        })
        .collect();
    if chosen.is_empty()
        && task.config.objects.scope == Scope::Tables
        && !(copies && others(source, &choice).await?)
    {
        return Err(Error::refused(
            "[objects] include and exclude choose no table of the source; correct the patterns",
        ));
    }
    Ok(chosen)
}

/// Whether views, materialized views or sequences are chosen: they have definitions, but no rows of their own.
async fn others(source: &Client, choice: &Choice) -> Result<bool> {
    Ok(source::others(source).await?.iter().any(|(oid, schema, name)| choice.wants(*oid, schema, name)))
}

/// Adds and takes away what the new choice differs in.
async fn change(task: &Task, source: &Client, destination: &Client, known: &[Chosen]) -> Result<()> {
    let name = task.config.task.name.as_str();
    let choice = Choice::new(&task.config.objects);
    let gone: Vec<&Chosen> = (known.iter())
        .filter(|table| !choice.wants(table.source_oid, &table.source.0, &table.source.1))
        .collect();
    for table in &gone {
        tracing::info!("{} is taken out of the task; its rows at the destination stay", readable(table));
    }
    let oids: Vec<u32> = gone.iter().map(|table| table.source_oid).collect();
    tables::remove(destination, name, &oids).await?;
    let new: Vec<Chosen> = (select(task, source).await?.into_iter())
        .filter(|table| known.iter().all(|known| known.source_oid != table.source_oid))
        .collect();
    let state = match task.config.task.mode {
        Mode::Incremental => TableState::Copied,
        Mode::Full | Mode::FullIncremental => TableState::Pending,
    };
    for table in &new {
        match state {
            TableState::Pending => {
                tracing::info!("{} joins the task: its rows will be copied", readable(table))
            }
            TableState::Copied | TableState::Copying | TableState::Level | TableState::Failed => {
                tracing::warn!(
                    "{} joins the task from here on; mode incremental does not copy the rows that it has",
                    readable(table)
                )
            }
        }
    }
    tables::add(destination, name, &new, state).await
}

/// Tables that were joining need the copy to end.
async fn refuse_unfinished(destination: &Client, name: &str) -> Result<HashSet<u32>> {
    let open = to_copy(destination, name).await?;
    if open.is_empty() {
        return Ok(open);
    }
    Err(Error::refused(format!(
        "{} tables of this task are still to be copied; go on with mode = \"full+incremental\" until they are, or take them \
         out with [objects] exclude",
        open.len()
    )))
}

async fn to_copy(destination: &Client, name: &str) -> Result<HashSet<u32>> {
    let progress = tables::progress(destination, name).await?;
    let open = progress.into_iter().filter(|table| match table.state {
        TableState::Pending | TableState::Copying | TableState::Failed => true,
        TableState::Copied | TableState::Level => false,
    });
    Ok(open.map(|table| table.source_oid).collect())
}

/// What the configuration chooses, as a text that can be compared.
fn selection(task: &Task) -> Result<String> {
    let objects = &task.config.objects;
    serde_json::to_string(&(objects.scope, &objects.include, &objects.exclude))
        .map_err(|error| Error::usage(format!("[objects] cannot be noted: {error}")))
}

fn readable(table: &Chosen) -> String {
    quote::readable(&table.source.0, &table.source.1)
}
