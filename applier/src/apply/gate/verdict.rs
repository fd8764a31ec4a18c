//! What becomes of a change, once it is known what the parts that it reaches make of it. Pure.

use std::sync::Arc;
use walferry_wire::tuple::Cell;

use crate::apply::model::{Change, OldRow, Relation, Row};
use crate::error::{Error, Result};
use crate::pg::quote;

/// What a part makes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It needs it.
    Apply,
    /// Its copy has it.
    Drop,
    /// The part is not copied yet: a later snapshot has the change, if the source shows it already.
    DropOnceSeen,
    /// It is being copied.
    Wait,
}

/// What is to be done before a change can be judged.
pub enum Pause {
    /// The source is asked for a snapshot.
    Look,
    /// A part is waited for.
    Wait,
}

/// What is to be done before the verdict is final.
pub fn pause(verdict: Verdict) -> Option<Pause> {
    match verdict {
        Verdict::Apply | Verdict::Drop => None,
        Verdict::DropOnceSeen => Some(Pause::Look),
        Verdict::Wait => Some(Pause::Wait),
    }
}

/// A change that is for one part.
pub fn one(verdict: Verdict, change: &Change) -> Result<Result<Vec<Change>, Pause>> {
    Ok(match pause(verdict) {
        Some(pause) => Err(pause),
        None if verdict == Verdict::Apply => Ok(vec![change.clone()]),
        None => Ok(Vec::new()),
    })
}

/// A row that moves between parts is, for each of them, one that goes or one that comes.
pub fn update(
    was: Verdict,
    is: Verdict,
    change: &Change,
    relation: &Arc<Relation>,
    old: &OldRow,
    new: &Row,
) -> Result<Result<Vec<Change>, Pause>> {
    if let Some(pause) = pause(was).or(pause(is)) {
        return Ok(Err(pause));
    }
    Ok(Ok(match (was == Verdict::Apply, is == Verdict::Apply) {
        (true, true) => vec![change.clone()],
        (false, false) => Vec::new(),
        (true, false) => vec![Change::Delete { relation: relation.clone(), old: old.clone() }],
        (false, true) => vec![Change::Insert { relation: relation.clone(), new: whole(relation, old, new)? }],
    }))
}

/// The new row, with what an update did not send; only the whole old row has that.
fn whole(relation: &Relation, old: &OldRow, new: &Row) -> Result<Row> {
    let filled = match old {
        OldRow::Full(old) => new.clone().filled_from(old),
        OldRow::None | OldRow::Key(_) | OldRow::Unidentifiable => new.clone(),
    };
    if filled.has_unchanged() {
        return Err(Error::unreachable(format!(
            "a row of {} moved from one of its parts to another with a TOASTed value that the stream does not have",
            quote::readable(&relation.schema, &relation.name)
        )));
    }
    Ok(filled)
}

/// The row as it was, laid out like the relation's columns as far as its key goes.
pub fn before(old: &OldRow, new: Option<&Row>, relation: &Relation) -> Option<Row> {
    match old {
        OldRow::None => new.cloned(),
        OldRow::Full(row) => Some(row.clone()),
        OldRow::Key(row) => Some(relation.widen(row)),
        OldRow::Unidentifiable => None,
    }
}

/// The key of a row: an integer of two, four or eight bytes, or its text.
pub fn number(relation: &Relation, key: &str, row: &Row) -> Result<i64> {
    let at = relation.columns.iter().position(|column| column.name == key);
    let cell = at.and_then(|at| Some((relation.columns[at].binary, row.cells().nth(at)?)));
    let found = match cell {
        Some((true, Cell::Value(bytes))) => match bytes.len() {
            2 => bytes.try_into().ok().map(|bytes| i64::from(i16::from_be_bytes(bytes))),
            4 => bytes.try_into().ok().map(|bytes| i64::from(i32::from_be_bytes(bytes))),
            _ => bytes.try_into().ok().map(i64::from_be_bytes),
        },
        Some((false, Cell::Value(bytes))) => {
            std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok())
        }
        Some((_, Cell::Null | Cell::Unchanged)) | None => None,
    };
    found.ok_or_else(|| {
        Error::unreachable(format!(
            "the column {} of {}, by which the table is copied in parts, is not an integer of its replica identity any more",
            quote::readable_ident(key),
            quote::readable(&relation.schema, &relation.name)
        ))
    })
}
