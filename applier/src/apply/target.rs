//! Where the rows of a source relation go: the destination table, which of its columns, and how a row is found there.
//! Made once per description of a relation; refuses, by name, what does not fit.

use std::sync::Arc;

use super::model::{OldRow, Relation, Row};
use super::statement::TEXT_OID;
use crate::catalog::{self, Table, TableRef, TypeName, UniqueIndex};
use crate::error::{Error, Result};
use crate::pg::quote;
use smallvec::SmallVec;
use walferry_wire::tuple::{self, Cell};

/// A relation of the source, fitted to a table of the destination.
#[derive(Debug)]
pub struct Target {
    /// Counts the targets of this stream.
    pub id: usize,
    /// The relation, as described.
    pub relation: Arc<Relation>,
    /// The table.
    pub table: TableRef,
    /// One for each column of the relation, in its order.
    pub columns: Vec<Column>,
    /// How the row of an update or delete is found.
    pub access: Access,
    /// Changes of one key may be folded into their net effect (rule 9).
    pub foldable: bool,
    /// Triggers fire for what we write: every change is written by itself, in order (rule 13).
    pub in_order: bool,
    /// Many rows may be written by binary COPY (rule 10).
    pub copyable: bool,
    /// Other source tables write to the table too, so an identity that is neither FULL nor unique there may mean a row
    /// of theirs.
    pub shared: bool,
    /// Columns of the deferrable unique constraints, which nobody enforces for us (rule 12).
    pub probes: Vec<Vec<KeyPart>>,
}

/// A column that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Quoted name.
    pub name: String,
    /// Quoted name of its type.
    pub type_name: String,
    /// Type of the array parameter that carries many cells.
    pub array_oid: u32,
    /// Type of one element of it.
    pub element_oid: u32,
    /// The cells arrive in the binary format of `element_oid`, else as text that is cast.
    pub binary: bool,
    /// Cannot be set by UPDATE (rule 11).
    pub always_identity: bool,
}

/// The key cells of a row, lengths included, one after the other. Most keys need no allocation.
pub type Key = SmallVec<[u8; 24]>;

/// How a row is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// By these columns, which a unique index of the destination covers.
    Key(Vec<KeyPart>),
    /// By these columns, with no unique index: any one row that equals.
    Image(Vec<usize>),
}

/// A column of a key, and how it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPart {
    /// Index into the relation's columns.
    pub column: usize,
    /// `OPERATOR(schema.=)`.
    pub operator: String,
}

const TEXT_ARRAY_OID: u32 = 1009;

/// Types whose equal values have equal bytes, so that a key may be compared as bytes: bool, bytea, "char", name, int8,
/// int2, int4, text, oid, macaddr, varchar, date, time, timestamp, timestamptz, uuid (rule 9).
const EQUAL_BYTES: [u32; 16] = [16, 17, 18, 19, 20, 21, 23, 25, 26, 829, 1043, 1082, 1083, 1114, 1184, 2950];

impl Target {
    /// Fits a relation to a table. Errors name what is missing or different at the destination.
    pub fn fit(id: usize, relation: Arc<Relation>, table: TableRef, shared: bool) -> Result<Self> {
        table.refuse_firing_rules()?;
        table.refuse_computed(relation.not_sent.iter())?;
        let columns = columns(&relation, &table)?;
        let access = access(&relation, &table);
        let in_order = table.has_firing_triggers;
        let probes = probes(&relation, &table);
        let foldable = !in_order && probes.is_empty() && has_equal_bytes(&access, &relation, &table);
        let copyable = !in_order && columns.iter().all(|column| column.binary) && !columns.is_empty();
        Ok(Self { id, relation, columns, access, foldable, in_order, copyable, shared, probes, table })
    }

    /// All columns.
    pub fn all(&self) -> Vec<u16> {
        (0..self.columns.len() as u16).collect()
    }

    /// The name of the table as statements spell it.
    pub fn name(&self) -> String {
        quote::ascii_qualified(&self.table.schema, &self.table.name)
    }

    /// The name of the table for people.
    pub fn readable(&self) -> String {
        self.table.readable()
    }

    /// As [`Table::only`].
    pub fn only(&self) -> String {
        self.table.only()
    }

    /// Whether a unique index of this name is one that rows are looked up by.
    pub fn enforces(&self, constraint: Option<&str>) -> bool {
        let named = |index: &UniqueIndex| constraint == Some(index.name.as_str());
        let usable = |index: &&UniqueIndex| index.immediate && !index.partial && self.parts(index).is_some();
        self.table.unique_indexes.iter().filter(usable).any(named)
    }

    /// The columns of one of the table's unique indexes, if the source has them all.
    pub fn parts(&self, index: &UniqueIndex) -> Option<Vec<KeyPart>> {
        parts(&self.relation, index)
    }

    /// The key of a row that holds all columns: its key cells, one after the other.
    pub fn key_of(&self, row: &Row) -> Key {
        match &self.access {
            Access::Key(parts) => pick(row, parts.iter().map(|part| part.column)),
            Access::Image(_) => Key::new(),
        }
    }

    /// The key of the row as it was; `new` has it when the identity did not change.
    pub fn old_key(&self, old: &OldRow, new: Option<&Row>) -> Result<Key> {
        self.before(old, new).map(|row| self.key_of(&row))
    }

    /// The row as it was, in the layout of the relation's columns, if it can be found by that.
    pub fn before(&self, old: &OldRow, new: Option<&Row>) -> Result<Row> {
        if self.shared && !self.is_exact() {
            return Err(self.ambiguous());
        }
        match (old, new) {
            (OldRow::Full(row), _) => Ok(row.clone()),
            (OldRow::Key(row), _) => Ok(self.relation.widen(row)),
            (OldRow::None, Some(new)) => Ok(new.clone()),
            (OldRow::None, None) | (OldRow::Unidentifiable, _) => Err(self.unidentifiable()),
        }
    }

    /// Whether any row that is found is as good as any other: it is the only one, or all are the same.
    pub fn is_exact(&self) -> bool {
        matches!(self.access, Access::Key(_)) || self.relation.full_identity
    }

    /// What is said when the identity fits several rows.
    pub fn ambiguous(&self) -> Error {
        let source = quote::readable(&self.relation.schema, &self.relation.name);
        Error::rejected(format!(
            "the identity of {source} is not unique in the destination table {}, so its UPDATE or DELETE may mean \
             another row; make a unique index on these columns there, or on the source run ALTER TABLE {source} \
             REPLICA IDENTITY FULL and skip this transaction",
            self.readable()
        ))
    }

    /// What is said when an UPDATE or DELETE does not tell which row it changed (rule 16).
    pub fn unidentifiable(&self) -> Error {
        let table = quote::readable(&self.relation.schema, &self.relation.name);
        Error::rejected(format!(
            "the table {table} has no replica identity, so its UPDATE or DELETE is unidentifiable; \
             on the source run ALTER TABLE {table} REPLICA IDENTITY FULL (or add a primary key), \
             make the row level by hand and skip this transaction"
        ))
    }
}

/// The given cells of a row, lengths included.
pub fn pick(row: &Row, wanted: impl Iterator<Item = usize>) -> Key {
    let mut key = Key::new();
    for at in wanted {
        let (len, value): (i32, &[u8]) = match row.cells().nth(at) {
            Some(Cell::Value(value)) => (value.len() as i32, value),
            Some(Cell::Unchanged) => (tuple::UNCHANGED, &[]),
            Some(Cell::Null) | None => (tuple::NULL, &[]),
        };
        key.extend_from_slice(&len.to_be_bytes());
        key.extend_from_slice(value);
    }
    key
}

fn columns(relation: &Relation, table: &Table) -> Result<Vec<Column>> {
    let fitted = relation.columns.iter().map(|source| {
        let of_type = TypeName {
            oid: source.type_oid,
            schema: &source.type_schema,
            name: &source.type_name,
            modifier: source.type_modifier,
        };
        Ok(column(source, table.takes(&source.name, of_type)?))
    });
    fitted.collect()
}

fn column(source: &super::model::Column, found: &catalog::Column) -> Column {
    let binary = source.binary && source.base_type_oid == found.base_type_oid && found.base_array_oid != 0;
    Column {
        name: quote::ascii_ident(&found.name),
        type_name: quote::ascii_qualified(&found.type_schema, &found.type_name),
        array_oid: if binary { found.base_array_oid } else { TEXT_ARRAY_OID },
        element_oid: if binary { found.base_type_oid } else { TEXT_OID },
        binary,
        always_identity: found.always_identity,
    }
}

/// The best unique index that the replica identity covers; with identity FULL any without NULLs will do.
fn access(relation: &Relation, table: &Table) -> Access {
    // Two rows may have one key of a deferrable constraint for a while (rule 12).
    let usable =
        |index: &&UniqueIndex| index.immediate && !index.partial && key(relation, table, index).is_some();
    let image = || {
        let identity =
            |(_, column): &(usize, &super::model::Column)| relation.full_identity || column.identity;
        relation.columns.iter().enumerate().filter(identity).map(|(at, _)| at).collect()
    };
    match table.unique_indexes.iter().find(usable).and_then(|index| key(relation, table, index)) {
        Some(parts) => Access::Key(parts),
        None => Access::Image(image()),
    }
}

fn key(relation: &Relation, table: &Table, index: &UniqueIndex) -> Option<Vec<KeyPart>> {
    let parts = parts(relation, index)?;
    let covered = parts.iter().all(|part| {
        let column = &relation.columns[part.column];
        // A replica identity other than FULL is of columns that are never NULL at the source.
        let never_null =
            !relation.full_identity || table.column(&column.name).is_some_and(|found| found.not_null);
        column.identity && never_null
    });
    covered.then_some(parts)
}

fn parts(relation: &Relation, index: &UniqueIndex) -> Option<Vec<KeyPart>> {
    let part = |key: &catalog::KeyColumn| {
        let column = relation.columns.iter().position(|column| column.name == key.name)?;
        Some(KeyPart { column, operator: quote::operator(&key.operator_schema, &key.operator) })
    };
    index.columns.iter().map(part).collect()
}

fn probes(relation: &Relation, table: &Table) -> Vec<Vec<KeyPart>> {
    let deferrable = table.unique_indexes.iter().filter(|index| !index.immediate && !index.partial);
    deferrable.filter_map(|index| parts(relation, index)).collect()
}

fn has_equal_bytes(access: &Access, relation: &Relation, table: &Table) -> bool {
    let Access::Key(parts) = access else { return false };
    parts.iter().all(|part| {
        let column = &relation.columns[part.column];
        table.column(&column.name).is_some_and(|found| {
            let padded = found.base_type_oid == 1042 && found.type_modifier > 0;
            let plain = EQUAL_BYTES.contains(&found.base_type_oid) || found.is_enum || padded;
            plain && !found.nondeterministic
        })
    })
}
