//! Tuples: the cells of one row, laid out as a tuple of PostgreSQL's binary COPY
//! (<https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS>): a `u16` count, then per cell an
//! `i32` length and the bytes. The length [`NULL`] is COPY's own; [`UNCHANGED`] is ours.

use crate::Error;

/// The length that stands for SQL NULL.
pub const NULL: i32 = -1;
/// The length that stands for a TOASTed value that the statement did not touch and WAL does not hold.
pub const UNCHANGED: i32 = -2;

/// One cell of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// SQL NULL.
    Null,
    /// A TOASTed value that did not change and is not in the stream.
    Unchanged,
    /// The value, in the encoding that the relation record announced for the column.
    Value(&'a [u8]),
}

/// The cells of a row, in the order of the relation's sent columns. Holds its bytes checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple<'a> {
    bytes: &'a [u8],
}

impl<'a> Tuple<'a> {
    /// Takes a tuple off the front of `bytes`.
    pub fn take(bytes: &mut &'a [u8]) -> Result<Self, Error> {
        let whole = *bytes;
        let (count, mut rest) = whole.split_first_chunk::<2>().ok_or(Error::Truncated)?;
        for _ in 0..u16::from_be_bytes(*count) {
            next(&mut rest)?;
        }
        *bytes = rest;
        Ok(Self { bytes: &whole[..whole.len() - rest.len()] })
    }

    /// The tuple that these bytes are known to be: those of [`Tuple::bytes`], kept and come back.
    pub fn kept(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The bytes as they came: a tuple of binary COPY if no cell is [`Cell::Unchanged`].
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The number of cells.
    pub fn len(&self) -> usize {
        self.bytes.first_chunk::<2>().map_or(0, |count| u16::from_be_bytes(*count) as usize)
    }

    /// Whether the row has no cells at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The cells in order.
    pub fn cells(&self) -> Cells<'a> {
        Cells { rest: self.bytes.get(2..).unwrap_or_default() }
    }
}

/// Iterates over the cells of a [`Tuple`].
#[derive(Debug, Clone, Default)]
pub struct Cells<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    #[inline]
    fn next(&mut self) -> Option<Cell<'a>> {
        // The bytes were checked when the tuple was taken, so an error can only be the end.
        next(&mut self.rest).ok()
    }
}

#[inline]
fn next<'a>(rest: &mut &'a [u8]) -> Result<Cell<'a>, Error> {
    let (len, tail) = rest.split_first_chunk::<4>().ok_or(Error::Truncated)?;
    let len = i32::from_be_bytes(*len);
    *rest = tail;
    match len {
        NULL => Ok(Cell::Null),
        UNCHANGED => Ok(Cell::Unchanged),
        0.. => {
            if tail.len() < len as usize {
                return Err(Error::Truncated);
            }
            let (value, tail) = tail.split_at(len as usize);
            *rest = tail;
            Ok(Cell::Value(value))
        }
        i32::MIN..UNCHANGED => Err(Error::BadCellLength(len)),
    }
}
