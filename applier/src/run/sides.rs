//! Both sides of a task: connections for questions, what the source is, and how much work may be on its way.

use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_postgres::Client;

use super::Task;
use super::source::{self, Source};
use crate::error::{Error, Result};
use crate::pg::{Session, client, client_error, major};

/// Both sides, reached.
pub struct Sides {
    /// A connection to the source for questions.
    pub source_client: Client,
    /// A connection to the destination for questions.
    pub destination_client: Client,
    /// What the source is.
    pub source: Source,
    /// One for each piece of a copy's work at a time: parts of tables, indexes.
    pub permits: Arc<Semaphore>,
}

impl Sides {
    /// Reaches both.
    pub async fn reach(task: &Task) -> Result<Self> {
        let session = || Session::query(&application_name(task));
        let source_client = client(&task.source, session()).await.map_err(|error| error.context("source"))?;
        let destination_client =
            client(&task.destination, session()).await.map_err(|error| error.context("destination"))?;
        let source = source::look(&source_client).await?;
        let permits = Arc::new(Semaphore::new(usize::from(task.config.copy.jobs.get())));
        Ok(Self { source_client, destination_client, source, permits })
    }

    /// The source's major.
    pub async fn source_major(&self) -> Result<u32> {
        server_major(&self.source_client).await
    }

    /// The destination's major.
    pub async fn destination_major(&self) -> Result<u32> {
        server_major(&self.destination_client).await
    }
}

async fn server_major(client: &Client) -> Result<u32> {
    let sql = "SELECT pg_catalog.current_setting('server_version')";
    let version: String = client.query_one(sql, &[]).await.map_err(client_error)?.get(0);
    major(&version).ok_or_else(|| Error::protocol(format!("the server's version is \"{version}\"")))
}

/// The name that all sessions of a task show, but for its writers.
pub fn application_name(task: &Task) -> String {
    task.config.session_name()
}

/// The name that the writers of a task show once they may write.
pub fn writer_name(task: &Task) -> String {
    format!("walferry/{}", task.config.task.name)
}
