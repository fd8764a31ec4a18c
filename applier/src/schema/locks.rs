//! Which tables a definition locks while it is made, so that two of them never wait for each other in a circle: index
//! builds of one table run side by side, everything else on it alone. The oids are the source's. Follows
//! <https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES>.

use super::facts::Facts;
use super::kind::Kind;
use super::order::ById;
use super::scope::Ends;
use super::toc::Entry;

/// How a table is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// SHARE, as by CREATE INDEX: side by side with itself.
    Shared,
    /// Anything stronger.
    Alone,
}

/// The tables that an entry's statements lock.
pub fn of(entry: &Entry, table: Option<u32>, by_id: &ById<'_>, ends: &Ends<'_>) -> Vec<(u32, Lock)> {
    let facts = ends.facts;
    match &entry.kind {
        Kind::Index => table.map(|table| (table, Lock::Shared)).into_iter().collect(),
        Kind::ForeignKey => foreign_key(entry, facts),
        Kind::IndexAttach => {
            let indexes = entry.dependencies.iter().filter_map(|id| by_id.get(id));
            indexes
                .filter_map(|index| ends.table_of(index, by_id))
                .map(|table| (table, Lock::Alone))
                .collect()
        }
        // ADD CONSTRAINT is for ONLY the table: its partitions have entries of their own.
        Kind::Constraint => table.map(|table| (table, Lock::Alone)).into_iter().collect(),
        // A trigger of a partitioned table goes down to its partitions.
        _ => table
            .into_iter()
            .flat_map(|table| facts.family(table))
            .map(|table| (table, Lock::Alone))
            .collect(),
    }
}

/// Both tables, and the partitions of both.
fn foreign_key(entry: &Entry, facts: &Facts) -> Vec<(u32, Lock)> {
    let Some(hung) = facts.attached.get(&(entry.catalog, entry.oid)) else { return Vec::new() };
    let mut tables = facts.family(hung.table);
    tables.extend(hung.referenced.into_iter().flat_map(|table| facts.family(table)));
    tables.sort_unstable();
    tables.dedup();
    tables.into_iter().map(|table| (table, Lock::Alone)).collect()
}

/// Validating reads the referenced table, which others may do too.
pub fn of_validation(entry: &Entry, facts: &Facts) -> Vec<(u32, Lock)> {
    let Some(hung) = facts.attached.get(&(entry.catalog, entry.oid)) else { return Vec::new() };
    let referenced = hung.referenced.filter(|table| *table != hung.table);
    std::iter::once((hung.table, Lock::Alone)).chain(referenced.map(|table| (table, Lock::Shared))).collect()
}

/// Whether two locks of one table exclude each other.
pub fn conflict(one: Lock, other: Lock) -> bool {
    match (one, other) {
        (Lock::Shared, Lock::Shared) => false,
        (Lock::Alone, _) | (_, Lock::Alone) => true,
    }
}
