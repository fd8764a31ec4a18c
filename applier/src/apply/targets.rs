//! Which table of the destination each described relation goes to. Asks the catalog once per description, and again after
//! a failed statement, because someone may have changed the destination.

use std::sync::Arc;
use tokio_postgres::Client;

use super::fold::{Fold, Step};
use super::model::{Change, KeyRange, Relation};
use super::statement::{self, Statement};
use super::target::Target;
use crate::catalog::{self, TableRef};
use crate::error::{Error, Result};
use crate::pg::quote;
use crate::select::Names;

/// The targets of one applier.
pub struct Targets {
    client: Client,
    names: Names,
    by_relation: Vec<Option<Arc<Target>>>,
    shapes: Vec<Arc<Target>>,
    next_id: usize,
}

impl Targets {
    /// Asks over `client`; `names` says what tables are called at the destination.
    pub fn new(client: Client, names: Names) -> Self {
        Self { client, names, by_relation: Vec::new(), shapes: Vec::new(), next_id: 0 }
    }

    /// The connection on which the catalog is asked.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Forgets what the destination looks like.
    pub fn forget(&mut self) {
        self.by_relation.clear();
        self.shapes.clear();
    }

    /// The target of a relation.
    pub async fn resolve(&mut self, relation: &Arc<Relation>) -> Result<Arc<Target>> {
        if let Some(Some(known)) = self.by_relation.get(relation.id) {
            return Ok(known.clone());
        }
        let table = Arc::new(self.table(relation).await?);
        let own = self.names.of(relation.oid, &relation.schema, &relation.name);
        let shared = self.names.are_many(&own) || own != (table.schema.clone(), table.name.clone());
        let target = self.shape(relation, &table, shared)?;
        if self.by_relation.len() <= relation.id {
            self.by_relation.resize(relation.id + 1, None);
        }
        self.by_relation[relation.id] = Some(target.clone());
        Ok(target)
    }

    /// The steps that have the effect of these changes.
    pub async fn fold<'a>(&mut self, changes: impl Iterator<Item = &'a Change>) -> Result<Vec<Step>> {
        let mut fold = Fold::default();
        for change in changes {
            match change {
                Change::Insert { relation, .. }
                | Change::Update { relation, .. }
                | Change::Delete { relation, .. } => {
                    let known = self.by_relation.get(relation.id).and_then(Option::as_ref);
                    match known {
                        Some(target) => fold.row(target, change)?,
                        None => fold.row(&self.resolve(relation).await?, change)?,
                    }
                }
                Change::Truncate { relations, restart_identity } => {
                    fold.truncate(self.truncate(relations, *restart_identity).await?);
                }
                Change::Erase { relation, key, ranges } => {
                    fold.truncate(self.erase(relation, key, ranges).await?);
                }
            }
        }
        Ok(fold.finish())
    }

    /// One TRUNCATE of exactly these relations, never CASCADE (rule 14). A partition that the destination does not have
    /// is emptied with its root, or not at all (rule 15).
    pub async fn truncate(
        &mut self,
        relations: &[Arc<Relation>],
        restart_identity: bool,
    ) -> Result<Statement> {
        let mut tables: Vec<String> = Vec::new();
        for relation in relations {
            let table = self.table(relation).await?;
            let own = self.names.of(relation.oid, &relation.schema, &relation.name);
            if own != (table.schema.clone(), table.name.clone()) {
                if relations.iter().any(|other| relation.ancestors.iter().any(|above| above.oid == other.oid))
                {
                    continue;
                }
                return Err(leaf_is_missing(relation, &table));
            }
            let name = quote::ascii_qualified(&table.schema, &table.name);
            let text = if table.partitioned { name } else { format!("ONLY {name}") };
            if !tables.contains(&text) {
                tables.push(text);
            }
        }
        let restart = if restart_identity { " RESTART IDENTITY" } else { "" };
        Ok(Statement { sql: format!("TRUNCATE {}{restart}", tables.join(", ")), types: Vec::new() })
    }

    /// Removes the rows of some key ranges (rule 23).
    pub async fn erase(
        &mut self,
        relation: &Arc<Relation>,
        key: &str,
        ranges: &[KeyRange],
    ) -> Result<Statement> {
        let target = self.resolve(relation).await?;
        let own = self.names.of(relation.oid, &relation.schema, &relation.name);
        if self.names.are_many(&own) || own != (target.table.schema.clone(), target.table.name.clone()) {
            return Err(leaf_is_missing(relation, &target.table));
        }
        Ok(statement::erase(&target, key, ranges))
    }

    /// Relations of one shape that go to one table share a target, so that partitions can be folded together.
    fn shape(&mut self, relation: &Arc<Relation>, table: &TableRef, shared: bool) -> Result<Arc<Target>> {
        let same = |known: &&Arc<Target>| {
            known.table == *table
                && known.relation.columns == relation.columns
                && known.relation.full_identity == relation.full_identity
                && known.shared == shared
        };
        if let Some(known) = self.shapes.iter().find(same) {
            return Ok(known.clone());
        }
        self.next_id += 1;
        let target = Arc::new(Target::fit(self.next_id, relation.clone(), table.clone(), shared)?);
        self.shapes.push(target.clone());
        Ok(target)
    }

    /// To the leaf where the destination has it, else to the nearest ancestor that it has (rule 15).
    async fn table(&self, relation: &Relation) -> Result<catalog::Table> {
        let (schema, name) = self.names.of(relation.oid, &relation.schema, &relation.name);
        if let Some(table) = catalog::table(&self.client, &schema, &name).await? {
            return Ok(table);
        }
        for above in &relation.ancestors {
            let (schema, name) = self.names.of(above.oid, &above.schema, &above.name);
            if let Some(table) = catalog::table(&self.client, &schema, &name).await? {
                return Ok(table);
            }
        }
        Err(Error::refused(format!(
            "the source writes to {}, but the destination has no table {}; create it there, \
             or leave the table out with [objects] exclude",
            quote::readable(&relation.schema, &relation.name),
            quote::readable(&schema, &name)
        )))
    }
}

fn leaf_is_missing(relation: &Relation, table: &catalog::Table) -> Error {
    let leaf = quote::readable(&relation.schema, &relation.name);
    Error::rejected(format!(
        "the source truncated the partition {leaf}, which the destination does not have (its rows are in {}); \
         delete these rows there by hand, then skip this transaction",
        quote::readable(&table.schema, &table.name)
    ))
}
