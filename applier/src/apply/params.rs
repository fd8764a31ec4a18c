//! Parameters of the batched statements: one array per column, cells copied in as they came
//! (`array_recv` in src/backend/utils/adt/arrayfuncs.c reads them).

use walferry_wire::tuple::{self, Cell};

use super::model::Row;
use super::target::Target;

/// A one-dimensional array in PostgreSQL's binary format, being filled.
#[derive(Debug)]
pub struct Array {
    bytes: Vec<u8>,
    len: u32,
}

/// Where in the head of an array its "has NULLs" flag and its length stand.
const HAS_NULL: std::ops::Range<usize> = 4..8;
const LENGTH: std::ops::Range<usize> = 12..16;

impl Array {
    /// An empty array of elements of this type.
    pub fn new(element_oid: u32) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&1_i32.to_be_bytes());
        bytes.extend_from_slice(&0_i32.to_be_bytes());
        bytes.extend_from_slice(&element_oid.to_be_bytes());
        bytes.extend_from_slice(&0_i32.to_be_bytes());
        bytes.extend_from_slice(&1_i32.to_be_bytes());
        Self { bytes, len: 0 }
    }

    /// Adds a cell; one that did not change has no value and must not come here, so it counts as NULL.
    #[inline]
    pub fn push(&mut self, cell: Cell<'_>) {
        self.len += 1;
        match cell {
            Cell::Value(value) => {
                self.bytes.extend_from_slice(&(value.len() as i32).to_be_bytes());
                self.bytes.extend_from_slice(value);
            }
            Cell::Null | Cell::Unchanged => {
                self.bytes[HAS_NULL].copy_from_slice(&1_i32.to_be_bytes());
                self.bytes.extend_from_slice(&tuple::NULL.to_be_bytes());
            }
        }
    }

    /// The whole array.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes[LENGTH].copy_from_slice(&self.len.to_be_bytes());
        self.bytes
    }
}

/// The given columns (in rising order) of many rows, an array each.
pub fn columns<'a>(target: &Target, wanted: &[u16], rows: impl Iterator<Item = &'a Row>) -> Vec<Vec<u8>> {
    let mut arrays = arrays(target, wanted);
    for row in rows {
        let mut next = 0;
        for (at, cell) in row.cells().enumerate() {
            if wanted.get(next).is_some_and(|column| *column as usize == at) {
                arrays[next].push(cell);
                next += 1;
            }
        }
    }
    arrays.into_iter().map(Array::finish).collect()
}

/// Keys as [`super::target::Target::key_of`] makes them, an array per key column.
pub fn keys<'a>(target: &Target, parts: &[u16], keys: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut arrays = arrays(target, parts);
    for mut key in keys {
        for array in &mut arrays {
            array.push(take(&mut key));
        }
    }
    arrays.into_iter().map(Array::finish).collect()
}

fn arrays(target: &Target, columns: &[u16]) -> Vec<Array> {
    columns.iter().map(|at| Array::new(target.columns[*at as usize].element_oid)).collect()
}

/// Takes the next cell off a key.
pub fn take<'a>(key: &mut &'a [u8]) -> Cell<'a> {
    let Some((len, rest)) = key.split_first_chunk::<4>() else { return Cell::Null };
    *key = rest;
    match usize::try_from(i32::from_be_bytes(*len)) {
        Ok(len) if len <= rest.len() => {
            let (value, rest) = rest.split_at(len);
            *key = rest;
            Cell::Value(value)
        }
        Ok(_) | Err(_) => Cell::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_laid_out_as_array_recv_reads_it() {
        let mut array = Array::new(23);
        array.push(Cell::Value(&[0, 0, 0, 7]));
        array.push(Cell::Null);
        let bytes = array.finish();
        let words: Vec<i32> =
            bytes.chunks(4).map(|word| i32::from_be_bytes(word.try_into().expect("four bytes"))).collect();
        assert_eq!(words, [1, 1, 23, 2, 1, 4, 7, -1]);
    }

    #[test]
    fn keys_come_apart_again() {
        let mut key = Vec::new();
        walferry_wire::encode::cell(&mut key, b"ab");
        walferry_wire::encode::cell_null(&mut key);
        let mut rest = &key[..];
        assert_eq!(take(&mut rest), Cell::Value(b"ab"));
        assert_eq!(take(&mut rest), Cell::Null);
        assert!(rest.is_empty());
    }
}
