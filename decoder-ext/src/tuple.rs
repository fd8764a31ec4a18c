//! A heap tuple -> the cells of a record. Runs inside one boundary per change: everything here that calls PostgreSQL
//! calls it unguarded, holds nothing with a destructor and does not panic.

use crate::output::Output;
use crate::raw;
use crate::relation::{Column, Described};
use pgrx::pg_sys::{self, Datum, HeapTuple, ReorderBufferChangeType as Action, TupleDesc};
use walferry_wire::encode::{self, OldKind, Sink};

/// Room for one row: its values, and what reading them leaves behind.
pub struct Row {
    values: *mut Datum,
    nulls: *mut bool,
    capacity: usize,
    memory: pg_sys::MemoryContext,
    scratch: pg_sys::MemoryContext,
}

/// The change of one row, as PostgreSQL passes it.
#[derive(Clone, Copy)]
pub struct Change {
    /// Insert, update or delete.
    pub action: Action::Type,
    /// The row before, or null.
    pub old: HeapTuple,
    /// The row after, or null.
    pub new: HeapTuple,
}

impl Row {
    /// Room in `memory`, which must outlive it.
    ///
    /// # Safety
    /// `memory` must be a live context.
    pub unsafe fn new(memory: pg_sys::MemoryContext) -> Self {
        // SAFETY: guarded; the name is a constant.
        let scratch = unsafe {
            pg_sys::AllocSetContextCreateInternal(
                memory,
                c"walferry row".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        };
        Self { values: std::ptr::null_mut(), nulls: std::ptr::null_mut(), capacity: 0, memory, scratch }
    }

    /// Makes room for rows of so many attributes.
    #[inline]
    pub fn reserve(&mut self, attributes: usize) {
        if attributes > self.capacity {
            self.grow(attributes);
        }
    }

    #[cold]
    fn grow(&mut self, attributes: usize) {
        // SAFETY: guarded allocations in a live context; the arrays before are freed once the new ones are there.
        unsafe {
            let values = pg_sys::MemoryContextAlloc(self.memory, attributes * size_of::<Datum>());
            let nulls = pg_sys::MemoryContextAlloc(self.memory, attributes * size_of::<bool>());
            if self.capacity > 0 {
                pg_sys::pfree(self.values.cast());
                pg_sys::pfree(self.nulls.cast());
            }
            (self.values, self.nulls) = (values.cast(), nulls.cast());
        }
        self.capacity = attributes;
    }

    /// Writes the record of a change.
    ///
    /// # Safety
    /// Only inside a boundary; the tuples must be of `desc`, from which `relation` was described, and `reserve` must
    /// have made room for its attributes.
    #[inline]
    pub unsafe fn write(&mut self, out: &mut Output, desc: TupleDesc, relation: &Described, change: Change) {
        // SAFETY: the caller's promises. The context of the caller is restored; after an ERROR the boundary does it,
        // and the reset at the next row frees what was left.
        unsafe {
            raw::MemoryContextReset(self.scratch);
            let before = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = self.scratch;
            self.record(out, desc, relation, change);
            pg_sys::CurrentMemoryContext = before;
            raw::MemoryContextReset(self.scratch);
        }
    }

    #[inline]
    unsafe fn record(&mut self, out: &mut Output, desc: TupleDesc, relation: &Described, change: Change) {
        // SAFETY: the caller's promises.
        unsafe {
            match change.action {
                Action::REORDER_BUFFER_CHANGE_INSERT => {
                    encode::insert(out, relation.oid);
                    self.tuple(out, desc, change.new, relation);
                }
                Action::REORDER_BUFFER_CHANGE_UPDATE => {
                    encode::update(out, relation.oid);
                    self.old(out, desc, change.old, relation, OldKind::None);
                    self.tuple(out, desc, change.new, relation);
                }
                _ => {
                    encode::delete(out, relation.oid);
                    self.old(out, desc, change.old, relation, OldKind::Unidentifiable);
                }
            }
        }
    }

    /// The row before; `absent` is what it means that an identifiable row comes without it.
    unsafe fn old(
        &mut self,
        out: &mut Output,
        desc: TupleDesc,
        tuple: HeapTuple,
        relation: &Described,
        absent: OldKind,
    ) {
        let kind = match relation.identity {
            OldKind::Key | OldKind::Full if tuple.is_null() => absent,
            kind => kind,
        };
        encode::old(out, kind);
        // SAFETY: the caller's promises.
        unsafe {
            match kind {
                OldKind::Full => self.tuple(out, desc, tuple, relation),
                OldKind::Key => self.key(out, desc, tuple, relation),
                OldKind::None | OldKind::Unidentifiable => {}
            }
        }
    }

    unsafe fn tuple(&mut self, out: &mut Output, desc: TupleDesc, tuple: HeapTuple, relation: &Described) {
        // SAFETY: the caller's promises.
        unsafe {
            raw::heap_deform_tuple(tuple, desc, self.values, self.nulls);
            encode::tuple_head(out, relation.columns.len() as u16);
            for column in &relation.columns {
                self.cell(out, column);
            }
        }
    }

    unsafe fn key(&mut self, out: &mut Output, desc: TupleDesc, tuple: HeapTuple, relation: &Described) {
        // SAFETY: the caller's promises.
        unsafe {
            raw::heap_deform_tuple(tuple, desc, self.values, self.nulls);
            encode::tuple_head(out, relation.key_cells);
            for column in relation.columns.iter().filter(|column| column.identity) {
                self.cell(out, column);
            }
        }
    }

    #[inline]
    unsafe fn cell(&self, out: &mut impl Sink, column: &Column) {
        // SAFETY: heap_deform_tuple filled one value for every attribute, and the column is one of them.
        unsafe {
            let value = *self.values.add(column.index);
            if *self.nulls.add(column.index) {
                encode::cell_null(out);
            } else if column.varlena && is_on_disk(value) {
                encode::cell_unchanged(out);
            } else {
                column.encoder.write(out, value);
            }
        }
    }
}

/// Whether the value lies in the TOAST table, which decoding cannot read: the statement did not touch it
/// (`VARATT_IS_EXTERNAL_ONDISK`: a 1-byte header of 1, then the tag VARTAG_ONDISK).
#[inline]
unsafe fn is_on_disk(value: Datum) -> bool {
    const EXTERNAL: u8 = 0x01;
    const ON_DISK: u8 = pg_sys::vartag_external::VARTAG_ONDISK as u8;
    // SAFETY: a varlena has at least one byte, and two if the first says that it is external.
    unsafe {
        let bytes = value.cast_mut_ptr::<u8>();
        *bytes == EXTERNAL && *bytes.add(1) == ON_DISK
    }
}
