//! Statements that change definitions, at their place among the rows (rules 8 and 25 to 29). `ddl` decides what becomes
//! of a statement; here it is run inside the transaction of its rows, recorded, and its consequences are drawn: tables
//! that came, went or are called otherwise.
//!
//! [`Open`] is what a transaction has begun and not ended yet, [`runner`] runs, [`settings`] makes a session mean what the
//! source's session meant.

mod failing;
mod journal;
mod making;
mod open;
mod runner;
mod settings;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::gate::Gate;
use crate::config::Mapping;
use crate::ddl::{self, Captured, Object, Plan, Step};
use crate::error::Result;
use crate::pg::{Lsn, Snapshot};
use crate::schema::rewrite::NameMap;
use crate::select::{Choice, Names};
use crate::state::tables::Chosen;
pub use open::Open;
pub use runner::{Asker, Runner};

/// What the task says of definitions.
#[derive(Debug)]
pub struct Terms {
    /// Scope `database`: new objects belong to the task.
    pub database: bool,
    /// What is included and excluded.
    pub choice: Choice,
    /// The `[[map]]` entries.
    pub rules: Vec<Mapping>,
    /// `[objects] indexes`
    pub indexes: bool,
    /// What fails is passed over.
    pub skip_failing: bool,
    /// The destination's major version.
    pub server: u32,
    /// What the definitions have seen that were copied.
    pub known: Option<Snapshot>,
    /// What hangs on tables is made only once the stream has caught up with their copy.
    pub catching_up: bool,
    /// Tables that join the task may have to be made yet.
    pub gate: Arc<Gate>,
    /// Statements that the user wants passed over, by their own LSN or that of their transaction.
    pub skips: HashSet<Lsn>,
}

/// The definitions of a task: what is said of them, and the tables that there are.
#[derive(Debug)]
pub struct Definitions {
    terms: Terms,
    tables: HashMap<u32, Chosen>,
}

impl Definitions {
    /// Of a task with these tables.
    pub fn new(terms: Terms, tables: Vec<Chosen>) -> Self {
        Self { terms, tables: tables.into_iter().map(|table| (table.source_oid, table)).collect() }
    }

    /// What the user wants passed over.
    pub fn skips(&self) -> &HashSet<Lsn> {
        &self.terms.skips
    }

    /// Whether a table of the source, by its oid, is known to the task.
    fn knows(&self, oid: u32) -> bool {
        self.tables.contains_key(&oid)
    }

    /// Names as the rules and the journal of tables have them.
    fn map(&self) -> NameMap {
        let mut map = NameMap::new(&self.terms.rules);
        let by_rule = Names::new(&self.terms.rules);
        for table in self.tables.values() {
            let (schema, name) = &table.source;
            if by_rule.of(table.source_oid, schema, name) != table.destination {
                map.set_table(table.source.clone(), table.destination.clone());
            }
        }
        map
    }

    /// Whether a statement is in the definitions that were, or will be, copied after it.
    fn is_copied(&self, captured: &Captured, xid: u64) -> bool {
        let is_undefined = |oid: u32| self.terms.gate.is_undefined(oid);
        let table =
            |object: &Object| if object.kind == "table" { object.oid } else { object.table.unwrap_or(0) };
        let will_be = match captured.step {
            Step::Rewrite { relation, .. } => is_undefined(relation),
            Step::Begin { .. } | Step::Done => {
                !captured.objects.is_empty()
                    && captured.objects.iter().all(|object| is_undefined(table(object)))
            }
        };
        will_be || self.terms.known.as_ref().is_some_and(|known| known.sees(xid))
    }

    /// What becomes of a statement.
    fn plan(&self, captured: &Captured) -> Result<Plan> {
        ddl::plan(
            captured,
            &ddl::Around {
                database: self.terms.database,
                choice: &self.terms.choice,
                map: &self.map(),
                renamed: &|oid| self.tables.get(&oid).map(|table| table.destination.clone()),
                chosen: &|oid| self.knows(oid),
                indexes: self.terms.indexes,
                server: self.terms.server,
            },
        )
    }

    /// The name at the destination of a table that is called so at the source from now on. One whose name comes from a rule
    /// of its own keeps it.
    fn place(&self, oid: u32, schema: &str, name: &str) -> (String, String) {
        let by_rule = Names::new(&self.terms.rules);
        let is_kept = |table: &&Chosen| {
            table.destination != by_rule.of(oid, &table.source.0, &table.source.1)
                || self.has_own_rule(&table.source)
        };
        match self.tables.get(&oid).filter(is_kept) {
            Some(table) => table.destination.clone(),
            None => by_rule.of(oid, schema, name),
        }
    }

    fn has_own_rule(&self, (schema, name): &(String, String)) -> bool {
        let is_own = |rule: &Mapping| rule.schema == *schema && rule.table.as_ref() == Some(name);
        self.terms.rules.iter().any(is_own)
    }
}
