//! Which table of the destination each described relation goes to. Asks the catalog once per description, and again after
//! a failed statement, because someone may have changed the destination.

use std::sync::Arc;
use tokio_postgres::Client;

use super::fold::{Fold, Step};
use super::model::{Change, KeyRange, Relation};
use super::statement::{self, Statement};
use super::target::Target;
use crate::catalog::{self, Ask, TableRef};
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
        let there = catalog::tables(&self.client, &self.places(relation)).await?;
        self.learn(relation, there)
    }

    /// Asks for the tables of these changes that are not known yet over another connection: one that sees what its open
    /// transaction has made.
    pub async fn look_up(&mut self, changes: &[Change], asked: &mut impl Ask) -> Result<()> {
        for change in changes {
            let relations = match change {
                Change::Insert { relation, .. }
                | Change::Update { relation, .. }
                | Change::Delete { relation, .. }
                | Change::Erase { relation, .. } => std::slice::from_ref(relation),
                Change::Truncate { relations, .. } => relations,
            };
            for relation in relations {
                self.resolve_over(relation, asked).await?;
            }
        }
        Ok(())
    }

    /// The target of a relation, as another connection sees it.
    pub async fn resolve_over(
        &mut self,
        relation: &Arc<Relation>,
        asked: &mut impl Ask,
    ) -> Result<Arc<Target>> {
        if let Some(Some(known)) = self.by_relation.get(relation.id) {
            return Ok(known.clone());
        }
        let there = catalog::tables(asked, &self.places(relation)).await?;
        self.learn(relation, there)
    }

    /// What a table of the source is called at the destination from now on; `None` leaves it to the mapping.
    pub fn call(&mut self, oid: u32, destination: Option<(String, String)>) {
        self.names.call(oid, destination);
        self.forget();
    }

    /// Takes note of the tables that a relation may go to.
    fn learn(&mut self, relation: &Arc<Relation>, there: Vec<catalog::Table>) -> Result<Arc<Target>> {
        let table = Arc::new(self.nearest(relation, there)?);
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
            let table = self.resolve(relation).await?.table.clone();
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

    /// The leaf, then the tables above it, the nearest first, by their names at the destination.
    fn places(&self, relation: &Relation) -> Vec<(String, String)> {
        let above = relation.ancestors.iter().map(|above| (above.oid, &above.schema, &above.name));
        let all = std::iter::once((relation.oid, &relation.schema, &relation.name)).chain(above);
        all.map(|(oid, schema, name)| self.names.of(oid, schema, name)).collect()
    }

    /// To the leaf where the destination has it, else to the nearest ancestor that it has (rule 15).
    fn nearest(&self, relation: &Relation, mut there: Vec<catalog::Table>) -> Result<catalog::Table> {
        let places = self.places(relation);
        let is_at = |table: &catalog::Table, (schema, name): &(String, String)| {
            table.schema == *schema && table.name == *name
        };
        let found = places.iter().find_map(|place| there.iter().position(|table| is_at(table, place)));
        if let Some(at) = found {
            return Ok(there.swap_remove(at));
        }
        let own = self.names.of(relation.oid, &relation.schema, &relation.name);
        Err(Error::refused(format!(
            "the source writes to {}, but the destination has no table {}; create it there, \
             or leave the table out with [objects] exclude",
            quote::readable(&relation.schema, &relation.name),
            quote::readable(&own.0, &own.1)
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
