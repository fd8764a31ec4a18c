//! A table that was copied in parts of several snapshots, and has a change that cannot be divided among them, is copied again
//! from its beginning; a later snapshot has the change.

use crate::config::Definitions;
use crate::error::{Error, Result};
use crate::pg::Session;
use crate::run::Task;
use crate::run::sides::{Sides, writer_name};
use crate::state::tables::{self, Chosen};
use crate::{catalog, copy};

/// Empties these tables and forgets their parts. No older writer of the task is connected any more.
///
/// # Errors
/// Refused, if their rows are in tables together with those of others.
pub async fn copy_again(task: &Task, sides: &Sides, oids: &[u32]) -> Result<()> {
    let name = task.config.task.name.as_str();
    let chosen = tables::read(&sides.destination_client, name).await?;
    let Some(places) = own_places(&chosen, oids) else { return Err(shared()) };
    let there = catalog::tables(&sides.destination_client, &places).await?;
    if there.len() < oids.len() {
        // Its rows are in the table above it.
        return Err(shared());
    }
    let made = match task.config.objects.definitions {
        Definitions::Create => true,
        Definitions::Use | Definitions::None => false,
    };
    let statements = there.iter().map(|table| copy::emptying(table, made)).collect();
    let session = Session::writer(&writer_name(task), "UTF8");
    copy::begin_anew((&task.destination, session), name, copy::FIRST_WRITER, statements, oids).await
}

fn shared() -> Error {
    Error::refused(
        "a row moved between parts of a table whose rows are in one table with those of others; copy it with snapshot = true",
    )
}

/// Where the rows of these tables are; none if another chosen table has the same place.
fn own_places(chosen: &[Chosen], oids: &[u32]) -> Option<Vec<(String, String)>> {
    let of = |wanted: bool| {
        let tables = chosen.iter().filter(move |table| oids.contains(&table.source_oid) == wanted);
        tables.map(|table| &table.destination)
    };
    let is_shared = of(true).any(|place| of(false).any(|other| other == place));
    (!is_shared).then(|| of(true).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_shared_is_not_emptied() {
        let table = |source_oid: u32, to: &str| Chosen {
            source_oid,
            source: ("public".into(), format!("t{source_oid}")),
            destination: ("public".into(), to.into()),
        };
        let chosen = [table(1, "a"), table(2, "b"), table(3, "a")];
        assert_eq!(own_places(&chosen, &[2]), Some(vec![("public".into(), "b".into())]));
        assert_eq!(own_places(&chosen, &[1]), None);
        assert_eq!(own_places(&chosen, &[1, 3]).map(|places| places.len()), Some(2));
    }
}
