//! What things are called at the destination (C2), for definitions: the configuration's rules, with hashed names where they
//! bring indexes or constraints together.

use std::collections::HashSet;

use crate::error::Result;
use crate::run::Task;
use crate::run::sides::Sides;
use crate::schema::inventory::{self, Object};
use crate::schema::rewrite::{NameMap, Rewriter};
use crate::schema::{Renaming, Rewritten, hashed};
use crate::select::Choice;
use crate::state::tables::Chosen;

/// The mapping of one task.
pub struct Renamed {
    rewriter: Rewriter,
}

impl Renamed {
    /// Asks both sides for their names. `first` says that the task has made nothing yet, so that all that the destination
    /// has is somebody else's.
    pub async fn read(task: &Task, sides: &Sides, chosen: &[Chosen], first: bool) -> Result<Self> {
        if task.config.map.is_empty() {
            return Ok(Self { rewriter: Rewriter::new(NameMap::new(&[])) });
        }
        let choice = Choice::new(&task.config.objects);
        let of_task = |object: &Object| {
            let relation = object.table.as_deref().unwrap_or(&object.name);
            choice.wants(0, &object.schema, relation)
        };
        let source: Vec<Object> =
            inventory::objects(&sides.source_client).await?.into_iter().filter(of_task).collect();
        let mut taken = inventory::objects(&sides.destination_client).await?;
        if !first {
            leave_out_ours(&mut taken, &source, task, chosen);
        }
        Ok(Self { rewriter: Rewriter::new(hashed::name_map(&task.config.map, &source, &taken)?) })
    }

    /// For roles' settings.
    pub fn rewriter(&self) -> &Rewriter {
        &self.rewriter
    }

    /// What a relation is called.
    pub fn relation(&self, schema: &str, name: &str) -> (String, String) {
        self.rewriter.map().relation(schema, name)
    }
}

/// What the task has made itself is not in its own way.
fn leave_out_ours(taken: &mut Vec<Object>, source: &[Object], task: &Task, chosen: &[Chosen]) {
    let map = NameMap::new(&task.config.map);
    let tables: HashSet<(String, String)> = chosen.iter().map(|table| table.destination.clone()).collect();
    let mapped: HashSet<(String, String)> =
        source.iter().map(|object| map.relation(&object.schema, &object.name)).collect();
    taken.retain(|object| {
        let own = (object.schema.clone(), object.table.clone().unwrap_or_else(|| object.name.clone()));
        !tables.contains(&own) && (object.kind.is_index() || !mapped.contains(&own))
    });
}

impl Renaming for Renamed {
    fn sql(&self, sql: &str) -> Result<Rewritten> {
        let rewritten = self.rewriter.rewrite(sql)?;
        Ok(Rewritten { sql: rewritten.sql, unseen: rewritten.unseen })
    }

    fn name(&self, catalog: u32, schema: &str, name: &str) -> (String, String) {
        self.rewriter.map().object(catalog, schema, name)
    }
}
