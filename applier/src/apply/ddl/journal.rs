//! Tables that a statement made, called otherwise or dropped: in the journal of tables, written in the statement's
//! transaction, and in what the data path knows.

use super::runner::Runner;
use crate::ddl::{Captured, Effect, effects};
use crate::error::Result;
use crate::pg::quote;
use crate::state::tables::{self, Chosen};

impl Runner<'_, '_> {
    /// What a statement means that is passed over: as far as somebody has made it here by hand.
    pub(super) async fn follow_hand(&mut self, captured: &Captured) -> Result<()> {
        for effect in effects(captured) {
            match effect {
                Effect::Table { oid, schema, name } => {
                    let (to_schema, to_name) = self.around.definitions.place(oid, &schema, &name);
                    if self.is_there(&to_schema, &to_name).await? {
                        self.table(oid, (schema, name)).await?;
                    }
                }
                Effect::Gone { oid } => {
                    let known =
                        self.around.definitions.tables.get(&oid).map(|table| table.destination.clone());
                    if let Some((schema, name)) = known
                        && !self.is_there(&schema, &name).await?
                    {
                        self.gone(oid).await?;
                    }
                }
                Effect::Schema { from, to } => self.schema(&from, &to).await?,
            }
        }
        Ok(())
    }

    async fn is_there(&mut self, schema: &str, name: &str) -> Result<bool> {
        let name = quote::ascii_literal(&quote::qualified(schema, name));
        self.holds(&format!("SELECT pg_catalog.to_regclass({name}) IS NOT NULL")).await
    }

    /// A table is called so at the source. In scope `database` one that is new to the task belongs to it from here on.
    pub(super) async fn table(&mut self, oid: u32, source: (String, String)) -> Result<()> {
        let definitions = &self.around.definitions;
        let joins = definitions.terms.database && definitions.terms.choice.wants(oid, &source.0, &source.1);
        if !joins && !definitions.knows(oid) {
            return Ok(());
        }
        let destination = definitions.place(oid, &source.0, &source.1);
        let values = [
            self.around.task.to_owned(),
            oid.to_string(),
            source.0.clone(),
            source.1.clone(),
            destination.0.clone(),
            destination.1.clone(),
        ];
        self.write(tables::CALL, &values.map(Some)).await?;
        self.around.targets.call(oid, Some(destination.clone()));
        let chosen = Chosen { source_oid: oid, source, destination };
        self.around.definitions.tables.insert(oid, chosen);
        Ok(())
    }

    /// A schema is called otherwise at the source, and with it the tables in it.
    pub(super) async fn schema(&mut self, from: &str, to: &str) -> Result<()> {
        let tables = self.around.definitions.tables.values().filter(|table| table.source.0 == from);
        let tables: Vec<(u32, String)> =
            tables.map(|table| (table.source_oid, table.source.1.clone())).collect();
        for (oid, name) in tables {
            self.table(oid, (to.to_owned(), name)).await?;
        }
        Ok(())
    }

    /// A table is gone at the source; of one that was chosen, so is what was known of it.
    pub(super) async fn gone(&mut self, oid: u32) -> Result<()> {
        if self.around.definitions.tables.remove(&oid).is_none() {
            return Ok(());
        }
        for sql in tables::FORGET {
            self.write(sql, &[Some(self.around.task.to_owned()), Some(oid.to_string())]).await?;
        }
        self.around.targets.call(oid, None);
        Ok(())
    }
}
