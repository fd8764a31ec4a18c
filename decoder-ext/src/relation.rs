//! The relations of this stream: how each is described, whether it is wanted, and whether the client knows its
//! present description. What changed in the catalog is described anew when it is used next, and sent again only if
//! its record reads otherwise; vacuum and analyze invalidate too.

use crate::describe;
use crate::encoders::Encoder;
use crate::invalidation::Changed;
use pgrx::pg_sys;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_int;
use walferry_wire::encode::OldKind;
use walferry_wire::pattern::Selection;

/// Descriptions of relations that changed or went away are dropped when there are more than this many.
const STALE: usize = 1024;

/// A column whose cells are in the rows.
#[derive(Debug)]
pub struct Column {
    /// Its place in the row's attributes, from 0.
    pub index: usize,
    /// Whether its values may be TOASTed.
    pub varlena: bool,
    /// Part of the replica identity.
    pub identity: bool,
    /// Writes its cells.
    pub encoder: Encoder,
}

/// A relation that is sent.
#[derive(Debug)]
pub struct Described {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Attributes of a row, dropped ones and those that are not sent among them.
    pub attributes: c_int,
    /// The number of cells in a key.
    pub key_cells: u16,
    /// What rows before a change are: keys, whole rows, or nothing that identifies them.
    pub identity: OldKind,
    /// The columns that are sent.
    pub columns: Vec<Column>,
    /// The relation record.
    pub record: Vec<u8>,
}

/// What is known of one relation.
#[derive(Debug)]
pub struct Known {
    /// `None`: not wanted.
    pub described: Option<Described>,
    /// Of the record: no two different records of this stream have the same.
    pub version: u64,
    /// The version that was sent outside streamed transactions last; 0 for none.
    pub sent: u64,
    /// Its partitioned ancestors.
    ancestors: Vec<u32>,
    /// Described since the catalog changed last.
    valid: bool,
    /// Holds what the encoders need.
    memory: pg_sys::MemoryContext,
}

/// The relations of this stream.
#[derive(Debug)]
pub struct Relations {
    selection: Selection,
    /// JSON shows every value as text.
    text_only: bool,
    memory: pg_sys::MemoryContext,
    /// The version that was given last.
    version: u64,
    known: HashMap<u32, Known>,
}

impl Relations {
    /// None yet. Descriptions are kept in `memory`.
    pub fn new(selection: Selection, text_only: bool, memory: pg_sys::MemoryContext) -> Self {
        Self { selection, text_only, memory, version: 0, known: HashMap::new() }
    }

    /// Notes what changed in the catalog.
    #[cold]
    pub fn invalidate(&mut self, changed: &Changed) {
        let is_changed = |oid: &u32| changed.all || changed.relations.contains(oid);
        for (oid, known) in &mut self.known {
            known.valid &= !is_changed(oid) && !known.ancestors.iter().any(is_changed);
        }
        if !changed.all && self.known.values().filter(|entry| !entry.valid).count() > STALE {
            self.drop_stale();
        }
    }

    /// Relations that were dropped would stay here for ever. One that is still there is described and sent again.
    fn drop_stale(&mut self) {
        self.known.retain(|_, entry| {
            if !entry.valid {
                // SAFETY: guarded; the entry that used the context goes with it.
                unsafe { pg_sys::MemoryContextDelete(entry.memory) };
            }
            entry.valid
        });
    }

    /// What is known of an open relation, described now if it was not yet or has changed.
    ///
    /// # Safety
    /// `relation` must be open, from the snapshot of the change that is decoded.
    #[inline]
    pub unsafe fn know(&mut self, relation: pg_sys::Relation) -> &mut Known {
        // SAFETY: open, the caller's promise.
        let (oid, attributes) = unsafe { ((*relation).rd_id.to_u32(), (*(*relation).rd_att).natts) };
        let known = match self.known.entry(oid) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Known::nothing(self.memory)),
        };
        if !known.fits(attributes) {
            self.version += 1;
            // SAFETY: the caller's promise.
            unsafe { known.renew(relation, &self.selection, self.text_only, self.version) };
        }
        known
    }

    /// The client's knowledge of the relation may be another transaction's: it is sent again when used next.
    pub fn unsend(&mut self, relation: u32) {
        if let Some(known) = self.known.get_mut(&relation) {
            known.sent = 0;
        }
    }
}

impl Known {
    /// Not described yet. Its memory is part of `parent`.
    fn nothing(parent: pg_sys::MemoryContext) -> Self {
        let memory = describe::memory(parent);
        Self { described: None, version: 0, sent: 0, ancestors: Vec::new(), valid: false, memory }
    }

    /// Whether the description is that of the rows that come now. The number of attributes is looked at for safety:
    /// a row must never be read by another description than its own.
    #[inline]
    fn fits(&self, attributes: c_int) -> bool {
        self.valid && self.described.as_ref().is_none_or(|known| known.attributes == attributes)
    }

    /// Describes the relation. If the record is other than before it gets `version`.
    ///
    /// # Safety
    /// `relation` must be open.
    #[cold]
    unsafe fn renew(
        &mut self,
        relation: pg_sys::Relation,
        selection: &Selection,
        text_only: bool,
        version: u64,
    ) {
        let before = self.described.take().map(|described| described.record);
        // SAFETY: guarded; the encoders that lay there are gone.
        unsafe { pg_sys::MemoryContextReset(self.memory) };
        // SAFETY: the caller's promise.
        let now = unsafe { describe::describe(relation, selection, text_only, self.memory) };
        if before.as_ref() != now.described.as_ref().map(|described| &described.record) {
            self.version = version;
        }
        (self.described, self.ancestors, self.valid) = (now.described, now.ancestors, true);
    }
}
