//! Replication origins: the names that transactions carry, and which of them are skipped (rule 18).
//!
//! A name can be looked up only while a transaction is replayed, but PostgreSQL asks about each record earlier, by
//! number. So the first transaction of an origin is judged - and dropped - when it is replayed, and what was learnt
//! drops the later ones as they are read.

use crate::names;
use pgrx::pg_sys;
use std::collections::{BTreeSet, HashMap};

/// What is known of origins, by number.
#[derive(Debug)]
pub struct Origins {
    skipped: BTreeSet<String>,
    known: HashMap<u16, bool>,
}

impl Origins {
    /// Skips origins of these names.
    pub fn new(skipped: BTreeSet<String>) -> Self {
        Self { skipped, known: HashMap::new() }
    }

    /// Whether changes of the origin are skipped. Needs a transaction.
    #[inline]
    pub fn skips(&mut self, origin: u16) -> bool {
        origin != 0 && !self.skipped.is_empty() && self.judge(origin)
    }

    /// The same for callers without a transaction: false while it is not known.
    pub fn known_to_skip(&self, origin: u16) -> bool {
        self.known.get(&origin).copied().unwrap_or(false)
    }

    /// Numbers may have new names.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    fn judge(&mut self, origin: u16) -> bool {
        if let Some(known) = self.known.get(&origin) {
            return *known;
        }
        let skip = self.skipped.contains(&name(origin));
        self.known.insert(origin, skip);
        skip
    }
}

/// The name of an origin; empty for none and for one that was dropped. Needs a transaction.
pub fn name(origin: u16) -> String {
    if origin == 0 {
        return String::new();
    }
    let mut name = std::ptr::null_mut();
    // SAFETY: a guarded call; on success `name` is a palloc'd C string.
    unsafe {
        match pg_sys::replorigin_by_oid(origin, true, &mut name) {
            true => names::utf8(name),
            false => String::new(),
        }
    }
}
