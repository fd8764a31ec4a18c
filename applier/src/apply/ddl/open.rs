//! The statements that a transaction has begun and not ended yet, the innermost last, and what becomes of the rows that come
//! meanwhile (rule 26).

use std::collections::{HashMap, HashSet};

use super::super::model::{Change, Relation};
use super::runner::Runner;
use crate::ddl::{self, Captured, Plan, Rows, Step};
use crate::error::Result;
use crate::pg::{Lsn, quote};

/// The statements of one transaction.
#[derive(Debug, Default)]
pub struct Open {
    statements: Vec<Begun>,
    /// Tables that statements of the transaction have made.
    made: HashSet<u32>,
    /// Statements were read.
    any: bool,
}

/// A statement that writes rows while it runs.
#[derive(Debug)]
struct Begun {
    /// Its first mark.
    mark: i64,
    /// Where that stands.
    lsn: Lsn,
    doing: Doing,
}

#[derive(Debug)]
enum Doing {
    /// CREATE TABLE AS.
    Table { captured: Box<Captured>, made: Made },
    /// The script of an extension.
    Extension,
    /// A table is rewritten.
    Rewrite {
        /// Its first mark, as captured.
        captured: Box<Captured>,
        /// The statement was run.
        ran: bool,
        /// Tables whose rows come from the source, or had better.
        wanted: HashMap<u32, Rows>,
        /// Those that have been emptied for them.
        emptied: HashSet<u32>,
    },
}

/// How far the table of CREATE TABLE AS is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// No row has come.
    NotYet,
    /// Made, with this oid at the source.
    As(u32),
    /// It is passed over, and its rows with it.
    Never,
}

impl Open {
    /// Whether the transaction changes definitions.
    pub fn any(&self) -> bool {
        self.any
    }

    /// Takes the next row of a table that carries DDL.
    pub async fn take(&mut self, captured: Box<Captured>, runner: &mut Runner<'_, '_>) -> Result<()> {
        self.any = true;
        match captured.step {
            Step::Begin { id } => self.begin(id, captured, runner).await,
            Step::Rewrite { first, relation, reason } => {
                self.rewrite(first, relation, reason, captured, runner).await
            }
            Step::Done => self.done(&captured, runner).await,
        }
    }

    /// The changes that are to be written, of those that came.
    pub async fn admit(&mut self, changes: Vec<Change>, runner: &mut Runner<'_, '_>) -> Result<Vec<Change>> {
        if self.statements.is_empty() {
            return Ok(changes);
        }
        let mut admitted = Vec::with_capacity(changes.len());
        for change in changes {
            if self.admits(&change, runner).await? {
                admitted.push(change);
            }
        }
        Ok(admitted)
    }

    async fn admits(&mut self, change: &Change, runner: &mut Runner<'_, '_>) -> Result<bool> {
        let Some(relation) = change.relation() else { return Ok(true) };
        if relation.rewrite {
            return self.replaces(relation, runner).await;
        }
        if self.statements.iter().any(|begun| matches!(begun.doing, Doing::Extension)) {
            // The destination's own script writes those of the extension; a user's event trigger may write others.
            return Ok(!relation.created_here && !runner.is_of_extension(relation).await?);
        }
        if !relation.created_here || self.made.contains(&relation.oid) {
            return Ok(true);
        }
        self.fills(relation, runner).await
    }

    /// Rows of a rewrite replace those of the table, where that is wanted.
    async fn replaces(
        &mut self,
        relation: &std::sync::Arc<Relation>,
        runner: &mut Runner<'_, '_>,
    ) -> Result<bool> {
        for begun in self.statements.iter_mut().rev() {
            let Doing::Rewrite { captured, wanted, emptied, .. } = &mut begun.doing else { continue };
            let Some(rows) = wanted.get(&relation.oid).copied() else { continue };
            if emptied.insert(relation.oid)
                && let Err(error) = runner.empty(relation).await
            {
                // Its rows stay what the destination has made of them.
                wanted.remove(&relation.oid);
                if rows == Rows::RatherTheirs && !error.class().is_transient() {
                    tracing::warn!("new values are computed at the destination: {error}");
                    return Ok(false);
                }
                return runner.failed(captured, None, error).await;
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Rows of a table that this transaction made: of CREATE TABLE AS, which makes it at its first row, or of another
    /// statement that was run before.
    async fn fills(&mut self, relation: &Relation, runner: &mut Runner<'_, '_>) -> Result<bool> {
        for begun in self.statements.iter_mut().rev() {
            let Doing::Table { captured, made } = &mut begun.doing else { continue };
            match made {
                Made::As(oid) if *oid == relation.oid => return Ok(true),
                Made::As(_) => {}
                Made::Never => return Ok(false),
                Made::NotYet => {
                    let is_made = runner.make_described(captured, relation).await?;
                    *made = if is_made { Made::As(relation.oid) } else { Made::Never };
                    return Ok(is_made);
                }
            }
        }
        Ok(true)
    }

    async fn begin(&mut self, mark: i64, captured: Box<Captured>, runner: &mut Runner<'_, '_>) -> Result<()> {
        let lsn = captured.lsn;
        let doing = if ddl::is_create_as(&captured.tag) {
            let made = match runner.is_passed_over(&captured).await? {
                true => Made::Never,
                false => Made::NotYet,
            };
            Doing::Table { captured, made }
        } else {
            Doing::Extension
        };
        self.statements.push(Begun { mark, lsn, doing });
        Ok(())
    }

    /// The statement is run at its first rewrite; the rows of this and further tables follow.
    async fn rewrite(
        &mut self,
        mark: i64,
        relation: u32,
        reason: i32,
        captured: Box<Captured>,
        runner: &mut Runner<'_, '_>,
    ) -> Result<()> {
        // What cannot be read is not run either.
        let rows = ddl::rows(&captured, reason).unwrap_or(Rows::Ours);
        if self.statements.iter().all(|begun| begun.mark != mark) {
            let ran = runner.statement(&captured).await?;
            let lsn = captured.lsn;
            let doing = Doing::Rewrite { captured, ran, wanted: HashMap::new(), emptied: HashSet::new() };
            self.statements.push(Begun { mark, lsn, doing });
        }
        let begun = self.statements.iter_mut().find(|begun| begun.mark == mark);
        if let Some(Doing::Rewrite { ran: true, wanted, .. }) = begun.map(|begun| &mut begun.doing)
            && rows != Rows::Ours
        {
            wanted.insert(relation, rows);
        }
        Ok(())
    }

    /// The statement is done: what was not run while its rows came is run now.
    async fn done(&mut self, captured: &Captured, runner: &mut Runner<'_, '_>) -> Result<()> {
        let made = captured.objects.iter().filter(|object| object.kind == "table" && !object.dropped);
        self.made.extend(made.map(|object| object.oid));
        let at = captured.mark.and_then(|mark| self.statements.iter().position(|begun| begun.mark == mark));
        let Some(begun) = at.map(|at| self.statements.remove(at)) else {
            return match ddl::is_create_as(&captured.tag) {
                true => runner.table_without_rows(captured).await,
                false => runner.statement(captured).await.map(|_| ()),
            };
        };
        match begun.doing {
            Doing::Extension => runner.statement(captured).await.map(|_| ()),
            Doing::Rewrite { ran: false, .. } | Doing::Table { made: Made::Never, .. } => {
                runner.complete(begun.lsn, captured).await
            }
            Doing::Rewrite { ran: true, .. } | Doing::Table { made: Made::As(_), .. } => {
                runner.complete(begun.lsn, captured).await?;
                runner.follow(captured).await
            }
            Doing::Table { made: Made::NotYet, .. } => runner.table_without_rows(captured).await,
        }
    }
}

impl Runner<'_, '_> {
    /// CREATE TABLE AS that wrote no row.
    async fn table_without_rows(&mut self, captured: &Captured) -> Result<()> {
        let made = captured.objects.iter().find(|object| object.kind == "table" && !object.dropped);
        let made = made.and_then(|object| Some((object.oid, object.schema.clone()?, object.name.clone()?)));
        let Some((oid, schema, name)) = made else {
            // IF NOT EXISTS, and it was there.
            return self.statement(captured).await.map(|_| ());
        };
        if self.is_passed_over(captured).await? {
            return Ok(());
        }
        match self.around.definitions.plan(captured) {
            Ok(Plan::Run(_)) => {}
            Ok(Plan::Leave { .. }) | Err(_) => return self.statement(captured).await.map(|_| ()),
        }
        let table = self.around.definitions.place(oid, &schema, &name);
        tracing::debug!("{} came without rows", quote::readable(&table.0, &table.1));
        match self.making(captured, &table, &captured.facts.columns).await {
            Ok(run) => self.run(captured, run).await,
            Err(error) => self.failed(captured, None, error).await,
        }
        .map(|_| ())
    }
}
