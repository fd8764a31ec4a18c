//! The gate of a session (rule 23), made of what is noted on the parts that were copied.

use std::collections::HashMap;
use tokio_postgres::Client;

use super::Task;
use crate::apply::gate::{Gate, Part, State, Table};
use crate::catalog;
use crate::error::Result;
use crate::pg::Lsn;
use crate::state::parts::{self, Unit};
use crate::state::tables::Chosen;

/// Tables that are to be copied, and those with changes behind `progress` that their copy has seen already.
pub async fn build(task: &Task, destination: &Client, progress: Lsn, joining: &[Chosen]) -> Result<Gate> {
    let mut tables: HashMap<u32, Table> = HashMap::new();
    for part in parts::read(destination, task.config.task.name.as_str()).await? {
        if part.unit != Unit::LargeObjects {
            add(tables.entry(part.source_oid).or_default(), &part);
        }
    }
    let gate = Gate::default();
    let names: Vec<_> = joining.iter().map(|table| table.destination.clone()).collect();
    let there = catalog::tables(destination, &names).await?;
    for table in joining {
        gate.set(table.source_oid, tables.remove(&table.source_oid).unwrap_or_default());
        let is_there = |there: &catalog::Table| {
            (&there.schema, &there.name) == (&table.destination.0, &table.destination.1)
        };
        if !there.iter().any(is_there) {
            gate.undefine(table.source_oid);
        }
    }
    for (oid, table) in tables {
        if table.horizon().is_none_or(|horizon| horizon > progress) {
            gate.set(oid, table);
        }
    }
    Ok(gate)
}

/// Adds a part as it is noted.
pub fn add(table: &mut Table, part: &parts::Part) {
    match &part.unit {
        Unit::Key(column) => table.key = Some(column.clone()),
        Unit::Table | Unit::Existing | Unit::Blocks | Unit::LargeObjects => {}
    }
    let state = match &part.landed {
        Some(landed) => State::Copied(landed.snapshot.clone(), landed.lsn),
        None => State::Pending,
    };
    table.parts.push(Part { number: part.part, lower: part.lower, upper: part.upper, state });
}
