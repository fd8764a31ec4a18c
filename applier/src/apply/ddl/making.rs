//! Rows that a statement writes while it runs (rule 26): into the table that CREATE TABLE AS makes, and into the new file of
//! a table that is rewritten.

use std::sync::Arc;

use super::super::model::Relation;
use super::runner::{Asker, Runner};
use crate::catalog::Ask;
use crate::ddl::{Captured, NewColumn, Run, SourceColumn, create_table};
use crate::error::{Error, Result};
use crate::pg::quote;
use crate::schema::rewrite::NameMap;

impl Runner<'_, '_> {
    /// Makes the table of CREATE TABLE AS as its rows describe it, and records that; what the statement touched is added at its
    /// end. `false`: it could not be made, and that is passed over.
    pub(super) async fn make_described(&mut self, captured: &Captured, relation: &Relation) -> Result<bool> {
        let table = self.around.definitions.place(relation.oid, &relation.schema, &relation.name);
        let column = |column: &super::super::model::Column| {
            let (collation_schema, collation_name) = column.collation.clone().unzip();
            SourceColumn {
                name: column.name.clone(),
                type_schema: column.type_schema.clone(),
                type_name: column.type_name.clone(),
                modifier: column.type_modifier,
                collation_schema,
                collation_name,
            }
        };
        let columns: Vec<SourceColumn> = relation.columns.iter().map(column).collect();
        match self.making(captured, &table, &columns).await {
            Ok(run) => self.run(captured, run).await,
            Err(error) => self.failed(captured, None, error).await,
        }
    }

    /// What makes the table of CREATE TABLE AS.
    pub(super) async fn making(
        &mut self,
        captured: &Captured,
        table: &(String, String),
        columns: &[SourceColumn],
    ) -> Result<Run> {
        let map = self.around.definitions.map();
        let mut new = Vec::new();
        for column in columns {
            new.push(NewColumn {
                name: column.name.clone(),
                type_text: self.type_text(&map, column).await?,
                collation: column.collation_schema.clone().zip(column.collation_name.clone()),
            });
        }
        let statement = create_table(captured, table, &new)?;
        Ok(Run {
            statements: vec![statement],
            search_path: captured.search_path.clone(),
            outside: None,
            warnings: Vec::new(),
        })
    }

    /// The type of a column as the destination spells it.
    async fn type_text(&mut self, map: &NameMap, column: &SourceColumn) -> Result<String> {
        let (schema, name) = map.table(&column.type_schema, &column.type_name);
        let sql = format!(
            "SELECT pg_catalog.format_type(t.oid, {}) FROM pg_catalog.pg_type t \
             JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = {} AND t.typname = {}",
            column.modifier,
            quote::ascii_literal(&schema),
            quote::ascii_literal(&name)
        );
        let found = self.ask(&sql).await?.into_iter().flatten().flatten().next();
        found.ok_or_else(|| {
            Error::rejected(format!("the destination has no type {}", quote::readable(&schema, &name)))
        })
    }

    /// Empties a table whose rows come anew from the source.
    pub(super) async fn empty(&mut self, relation: &Arc<Relation>) -> Result<()> {
        let target = self.around.targets.resolve_over(relation, &mut Asker(self.pipe)).await?;
        let table = &target.table;
        let has = |name: &str| {
            relation.columns.iter().any(|column| column.name == name)
                || relation.not_sent.iter().any(|one| one == name)
        };
        let extra = table.columns.iter().find(|column| !column.generated && !has(&column.name));
        if let Some(column) = extra {
            return Err(refuse_to_empty(
                table.readable(),
                &format!("it has the column {} of its own", quote::readable_ident(&column.name)),
            ));
        }
        if target.shared || self.is_written_by_others(table).await? {
            return Err(refuse_to_empty(table.readable(), "other tables of sources go there, too"));
        }
        let referenced = format!(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contype = 'f' AND confrelid = {})",
            table.oid
        );
        let statement = match self.holds(&referenced).await? {
            // TRUNCATE would be refused, whatever the session's role is (rule 14).
            true => format!("DELETE FROM {}", table.only()),
            false => format!("TRUNCATE {}", table.only()),
        };
        self.behind_savepoint(&[statement]).await
    }

    /// Whether a table is a member of an extension at the destination.
    pub(super) async fn is_of_extension(&mut self, relation: &Arc<Relation>) -> Result<bool> {
        let target = match self.around.targets.resolve_over(relation, &mut Asker(self.pipe)).await {
            Ok(target) => target,
            Err(error) if error.class().is_transient() => return Err(error),
            // The script is still to make it.
            Err(_) => return Ok(true),
        };
        let sql = format!(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_class'::regclass \
             AND objid = {} AND deptype = 'e')",
            target.table.oid
        );
        self.holds(&sql).await
    }

    async fn is_written_by_others(&mut self, table: &crate::catalog::Table) -> Result<bool> {
        let sql = crate::state::tables::others(self.around.task, &table.schema, &table.name);
        self.holds(&sql).await
    }
}

fn refuse_to_empty(table: String, why: &str) -> Error {
    Error::rejected(format!(
        "the source rewrote the rows of a table with values that only it knows, but the destination's {table} cannot be \
         filled anew: {why}; make the change there by hand and run walferry skip with the LSN of the transaction"
    ))
}
