//! The one inner model of what happens at the source (rule 22). The adapters make it from a wire format; assemble,
//! fold and write know nothing else. Rows stay slices of the received buffers.

use bytes::Bytes;
use std::sync::Arc;
use walferry_wire::tuple::{Cell, Cells, Tuple};

use crate::pg::Lsn;

/// A source table as the rows of the stream have it. Made once per description; never changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Relation {
    /// Counts the descriptions of this stream: two descriptions never share it.
    pub id: usize,
    /// `pg_class.oid` at the source.
    pub oid: u32,
    /// Schema at the source.
    pub schema: String,
    /// Name at the source.
    pub name: String,
    /// The partitioned tables above, the nearest first.
    pub ancestors: Vec<Ancestor>,
    /// The replica identity is FULL.
    pub full_identity: bool,
    /// The transaction of the rows made it (rule 26).
    pub created_here: bool,
    /// Its rows are those that a rewrite writes anew (rule 26): `oid`, `schema` and `name` are of the table that is rewritten.
    pub rewrite: bool,
    /// Generated columns: described, but not in the rows.
    pub not_sent: Vec<String>,
    /// The columns whose cells are in the rows, in the order of the cells.
    pub columns: Vec<Column>,
}

impl Relation {
    /// A row of identity columns only, with NULL in the place of all others.
    pub fn widen(&self, identity: &Row) -> Row {
        let mut cells = identity.cells();
        let wide: Vec<Cell<'_>> = (self.columns.iter())
            .map(|column| if column.identity { cells.next().unwrap_or(Cell::Null) } else { Cell::Null })
            .collect();
        Row::build(wide.into_iter())
    }
}

/// Integers of a key: the lowest inside, the lowest behind; `None` is open.
pub type KeyRange = (Option<i64>, Option<i64>);

/// A partitioned table above a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ancestor {
    /// `pg_class.oid` at the source.
    pub oid: u32,
    /// Schema at the source.
    pub schema: String,
    /// Name at the source.
    pub name: String,
}

/// A column that is in the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Its cells are in PostgreSQL's binary send format, else text.
    pub binary: bool,
    /// Part of the replica identity.
    pub identity: bool,
    /// The type.
    pub type_oid: u32,
    /// The type beneath all domains.
    pub base_type_oid: u32,
    /// `pg_attribute.atttypmod`.
    pub type_modifier: i32,
    /// Schema of the type.
    pub type_schema: String,
    /// Name of the type.
    pub type_name: String,
    /// Schema and name of the collation, where the type has one.
    pub collation: Option<(String, String)>,
}

/// One row: its cells, laid out as [`walferry_wire::tuple`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(Bytes);

impl Row {
    /// Wraps the bytes of a tuple that the decoder has checked.
    pub fn of(tuple: &Tuple<'_>, within: &Bytes) -> Self {
        Self(within.slice_ref(tuple.bytes()))
    }

    /// Builds a row from cells.
    pub fn build<'a>(cells: impl ExactSizeIterator<Item = Cell<'a>>) -> Self {
        let mut bytes = Vec::new();
        walferry_wire::encode::tuple_head(&mut bytes, cells.len() as u16);
        for cell in cells {
            match cell {
                Cell::Null => walferry_wire::encode::cell_null(&mut bytes),
                Cell::Unchanged => walferry_wire::encode::cell_unchanged(&mut bytes),
                Cell::Value(value) => walferry_wire::encode::cell(&mut bytes, value),
            }
        }
        Self(bytes.into())
    }

    /// The cells in order.
    pub fn cells(&self) -> Cells<'_> {
        Tuple::kept(&self.0).cells()
    }

    /// The bytes: a tuple of binary COPY where no cell is unchanged.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The same row, its unchanged cells taken from an older one.
    pub fn filled_from(self, old: &Row) -> Self {
        if !self.has_unchanged() {
            return self;
        }
        let cell = |(old, new)| if new == Cell::Unchanged { old } else { new };
        let cells: Vec<Cell<'_>> = old.cells().zip(self.cells()).map(cell).collect();
        Self::build(cells.into_iter())
    }

    /// Whether a TOASTed cell is missing because it did not change.
    pub fn has_unchanged(&self) -> bool {
        self.cells().any(|cell| cell == Cell::Unchanged)
    }
}

/// What is known of a row as it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OldRow {
    /// The identity did not change: it is in the new row.
    None,
    /// The identity columns, in the order of the relation's columns.
    Key(Row),
    /// The whole row.
    Full(Row),
    /// The table has no identity, so the row cannot be found (rule 16).
    Unidentifiable,
}

/// One change of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A row was inserted.
    Insert { relation: Arc<Relation>, new: Row },
    /// A row was updated.
    Update { relation: Arc<Relation>, old: OldRow, new: Row },
    /// A row was deleted.
    Delete { relation: Arc<Relation>, old: OldRow },
    /// One TRUNCATE of these relations.
    Truncate { relations: Vec<Arc<Relation>>, restart_identity: bool },
    /// A TRUNCATE that reaches some key ranges only: the others were copied after it (rule 23).
    Erase { relation: Arc<Relation>, key: String, ranges: Vec<KeyRange> },
}

impl Change {
    /// The relation of a row; none of a TRUNCATE, which may have several.
    pub fn relation(&self) -> Option<&Arc<Relation>> {
        match self {
            Change::Insert { relation, .. }
            | Change::Update { relation, .. }
            | Change::Delete { relation, .. }
            | Change::Erase { relation, .. } => Some(relation),
            Change::Truncate { .. } => None,
        }
    }

    /// About how much memory it holds, in bytes.
    pub fn weight(&self) -> usize {
        let old = |old: &OldRow| match old {
            OldRow::None | OldRow::Unidentifiable => 0,
            OldRow::Key(row) | OldRow::Full(row) => row.bytes().len(),
        };
        std::mem::size_of::<Self>()
            + match self {
                Change::Insert { new, .. } => new.bytes().len(),
                Change::Update { old: before, new, .. } => old(before) + new.bytes().len(),
                Change::Delete { old: before, .. } => old(before),
                Change::Truncate { relations, .. } => relations.len() * std::mem::size_of::<usize>(),
                Change::Erase { ranges, .. } => ranges.len() * std::mem::size_of::<KeyRange>(),
            }
    }
}

/// Where a transaction stands in the source's WAL, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitPoint {
    /// The source transaction, 64 bits wide.
    pub xid: u64,
    /// Start of its commit record: what decides whether it has been applied (rule 3).
    pub commit_lsn: Lsn,
    /// End of its commit record: what progress holds.
    pub end_lsn: Lsn,
    /// Microseconds since 2000-01-01 UTC.
    pub commit_time: i64,
}

/// A committed source transaction, whole.
#[derive(Debug)]
pub struct Transaction {
    /// Where it stands.
    pub point: CommitPoint,
    /// What it did, in order.
    pub changes: Vec<Change>,
    /// About how much memory the changes hold, in bytes.
    pub weight: usize,
}
