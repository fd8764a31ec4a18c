//! Tables that are copied again from their beginning: what of the destination has to be emptied for it, and how. All of it
//! happens in one transaction with [`parts::begin_anew`](crate::state::parts::begin_anew), or nothing.

use std::collections::HashSet;
use std::sync::Arc;

use super::{CopyTable, writer};
use crate::catalog::{Table, TableRef};
use crate::error::Result;
use crate::pg::{Conninfo, Session};
use crate::state::parts::{self, Part};

/// What beginning anew takes.
#[derive(Debug, PartialEq, Eq)]
pub struct Anew {
    /// The tables whose parts are forgotten, by their oids at the source.
    pub oids: Vec<u32>,
    /// The destination's tables that are emptied.
    pub targets: Vec<TableRef>,
}

/// What has to go if the tables `oids` are copied again. What has no part at the destination has no rows there either:
/// those that are there are somebody else's. Rows of several tables in one go together.
pub fn anew(tables: &[Arc<CopyTable>], parts: &[Part], oids: &[u32]) -> Anew {
    let landed = |oid: u32| parts.iter().any(|part| part.source_oid == oid && part.landed.is_some());
    let mut targets: Vec<TableRef> = Vec::new();
    let mut emptied: HashSet<u32> = HashSet::new();
    for table in tables.iter().filter(|table| oids.contains(&table.source.oid)) {
        if landed(table.source.oid) && emptied.insert(table.target.oid) {
            targets.push(table.target.clone());
        }
    }
    let together = tables.iter().filter(|table| emptied.contains(&table.target.oid));
    let mut oids: Vec<u32> = oids.iter().copied().chain(together.map(|table| table.source.oid)).collect();
    oids.sort_unstable();
    oids.dedup();
    Anew { oids, targets }
}

/// The statement that empties a table. Only one that the task has `made` has no foreign keys yet that forbid a TRUNCATE.
pub fn emptying(target: &Table, made: bool) -> String {
    let verb = if made { "TRUNCATE" } else { "DELETE FROM" };
    format!("{verb} {}", target.only())
}

/// Empties the tables by these statements and forgets the parts of `oids`, as the copy's first worker, `n`, writes: ordinary
/// triggers and foreign keys do not fire, and the origin is set.
///
/// # Errors
/// As [`Class`](crate::error::Class) says; then nothing has happened.
pub async fn begin_anew(
    (destination, session): (&Conninfo, Session),
    task: &str,
    n: usize,
    mut statements: Vec<String>,
    oids: &[u32],
) -> Result<()> {
    statements.push(parts::begin_anew(task, oids));
    let mut raw = writer::open(destination, session, task, n).await?;
    raw.simple(&statements.join("; ")).await.map(|_| ()).map_err(|error| error.context("destination"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::copy_table;
    use super::*;
    use crate::pg::Lsn;
    use crate::state::parts::{Landed, Unit};

    fn table(oid: u32, target: u32) -> Arc<CopyTable> {
        let mut table = copy_table(oid);
        table.target = Arc::new(Table { oid: target, ..(*table.target).clone() });
        Arc::new(table)
    }

    fn part(source_oid: u32, done: bool) -> Part {
        let landed = Landed { snapshot: "1:1:".parse().unwrap(), lsn: Lsn(1), rows: 5, bytes: 50, kept: 1 };
        Part {
            source_oid,
            part: 0,
            unit: Unit::Table,
            lower: None,
            upper: None,
            landed: done.then_some(landed),
        }
    }

    fn emptied(anew: &Anew) -> Vec<u32> {
        anew.targets.iter().map(|target| target.oid).collect()
    }

    #[test]
    fn what_has_not_landed_is_not_emptied() {
        let tables = [table(1, 10), table(2, 10), table(3, 30)];
        let parts = [part(1, true), part(2, false), part(3, false)];
        let anew = anew(&tables, &parts, &[2, 3]);
        assert_eq!((emptied(&anew), anew.oids), (vec![], vec![2, 3]));
    }

    #[test]
    fn rows_in_one_table_go_together() {
        let tables = [table(1, 10), table(2, 10), table(3, 30)];
        let parts = [part(1, true), part(2, true), part(3, true)];
        let anew = anew(&tables, &parts, &[2, 1]);
        assert_eq!((emptied(&anew), anew.oids), (vec![10], vec![1, 2]));
        let one = super::anew(&tables, &parts, &[2]);
        assert_eq!((emptied(&one), one.oids), (vec![10], vec![1, 2]));
    }

    #[test]
    fn rule_14_what_others_may_reference_is_not_truncated() {
        let target = &table(1, 10).target;
        assert_eq!(emptying(target, true), "TRUNCATE ONLY \"public\".\"t\"");
        assert_eq!(emptying(target, false), "DELETE FROM ONLY \"public\".\"t\"");
    }
}
