//! The relations of this stream: how each is described, whether it is wanted, and whether the client knows its
//! present description. What changed in the catalog is described anew when it is used next, and sent again only if
//! its record reads otherwise; vacuum and analyze invalidate too.

use crate::describe::{self, Description, Wishes};
use crate::encoders::Encoder;
use crate::invalidation::Changed;
use pgrx::pg_sys;
use std::collections::HashMap;
use std::ffi::c_int;
use walferry_wire::encode::OldKind;
use walferry_wire::record::Carrier;

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
    /// Holds what the encoders need.
    pub memory: pg_sys::MemoryContext,
}

/// What is known of one relation.
#[derive(Debug, Default)]
pub struct Known {
    /// `None`: not wanted.
    pub described: Option<Described>,
    /// It carries DDL.
    pub carrier: Option<Carrier>,
    /// Of the record: no two different records of this stream have the same.
    pub version: u64,
    /// The version that was sent outside streamed transactions last; 0 for none.
    pub sent: u64,
    /// Its partitioned ancestors, and the table that it rewrites.
    ancestors: Vec<u32>,
    /// Described since the catalog changed last.
    valid: bool,
}

/// The relations of this stream.
#[derive(Debug)]
pub struct Relations {
    wishes: Wishes,
    memory: pg_sys::MemoryContext,
    /// What looking at the catalog leaves behind.
    scratch: pg_sys::MemoryContext,
    /// The version that was given last.
    version: u64,
    known: HashMap<u32, Known>,
}

impl Relations {
    /// None yet. Descriptions are kept in `memory`.
    pub fn new(wishes: Wishes, memory: pg_sys::MemoryContext) -> Self {
        let scratch = describe::memory(memory);
        Self { wishes, memory, scratch, version: 0, known: HashMap::new() }
    }

    /// Notes what changed in the catalog.
    #[cold]
    pub fn invalidate(&mut self, changed: &Changed) {
        let is_changed = |oid: &u32| changed.all || changed.relations.contains(oid);
        for (oid, known) in &mut self.known {
            known.valid &= !is_changed(oid) && !known.ancestors.iter().any(is_changed);
        }
        if !changed.all && self.known.values().filter(|known| !known.valid).count() > STALE {
            self.drop_stale();
        }
    }

    /// Relations that were dropped would stay here for ever. One that is still there is described and sent again.
    fn drop_stale(&mut self) {
        self.known.retain(|_, known| {
            if !known.valid {
                known.forget();
            }
            known.valid
        });
    }

    /// What is known of an open relation, described now - for a change of `xid` - if it was not yet or has changed.
    ///
    /// # Safety
    /// `relation` must be open, from the snapshot of the change that is decoded.
    #[inline]
    pub unsafe fn know(&mut self, relation: pg_sys::Relation, xid: u32) -> &mut Known {
        // SAFETY: open, the caller's promise.
        let (oid, attributes) = unsafe { ((*relation).rd_id.to_u32(), (*(*relation).rd_att).natts) };
        let known = self.known.entry(oid).or_default();
        if !known.fits(attributes) {
            let before = known.forget();
            self.version += 1;
            // SAFETY: the caller's promise.
            let describe = |scratch| unsafe { describe::describe(relation, xid, &self.wishes, scratch) };
            let now = describe_in(self.scratch, self.memory, describe);
            known.renew(before, now, self.version);
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
    /// Whether the description is that of the rows that come now. The number of attributes is looked at for safety:
    /// a row must never be read by another description than its own.
    #[inline]
    fn fits(&self, attributes: c_int) -> bool {
        self.valid && self.described.as_ref().is_none_or(|known| known.attributes == attributes)
    }

    /// Drops the description, with what its encoders needed. Gives its record.
    #[cold]
    fn forget(&mut self) -> Option<Vec<u8>> {
        let described = self.described.take()?;
        // SAFETY: guarded; the encoders that point there go with the description.
        unsafe { pg_sys::MemoryContextDelete(described.memory) };
        Some(described.record)
    }

    /// Takes the new description. If the record is other than `before` it gets `version`.
    fn renew(&mut self, before: Option<Vec<u8>>, now: Description, version: u64) {
        if before.as_ref() != now.described.as_ref().map(|described| &described.record) {
            self.version = version;
        }
        (self.described, self.carrier, self.ancestors, self.valid) =
            (now.described, now.carrier, now.ancestors, true);
    }
}

/// Runs `describe` with what PostgreSQL allocates on the way in `scratch`, and keeps of that what the encoders need. An
/// ERROR leaves all of it there, until the next time.
#[cold]
fn describe_in(
    scratch: pg_sys::MemoryContext,
    kept: pg_sys::MemoryContext,
    describe: impl FnOnce(pg_sys::MemoryContext) -> Description,
) -> Description {
    // SAFETY: guarded calls on live contexts. After an ERROR PostgreSQL chooses another current context itself.
    unsafe {
        pg_sys::MemoryContextReset(scratch);
        let before = pg_sys::CurrentMemoryContext;
        pg_sys::CurrentMemoryContext = scratch;
        let description = describe(scratch);
        pg_sys::CurrentMemoryContext = before;
        if let Some(described) = &description.described {
            pg_sys::MemoryContextSetParent(described.memory, kept);
        }
        pg_sys::MemoryContextReset(scratch);
        description
    }
}
