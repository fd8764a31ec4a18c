//! The statements that run now, the outermost first. A statement may run others - a function that CREATE TABLE AS calls,
//! say - so this is a stack.
//!
//! A statement that fails jumps over everything that could take its frame away. But an ERROR always ends the
//! (sub)transaction that it was raised in, so frames go with the subtransaction that they were made in. Those of a statement
//! that commits on its way (CREATE INDEX CONCURRENTLY) stay: it stands at the outermost level, whose number is always
//! the same.

use super::settings::Settings;
use super::text::Text;
use super::{node, session};
use pgrx::pg_sys::{self, Oid, SubTransactionId};
use std::cell::RefCell;
use std::ffi::{CStr, c_void};

thread_local! {
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// A statement that runs.
#[derive(Debug)]
pub struct Frame {
    made_in: SubTransactionId,
    /// The hook made it, and takes it away.
    pub hooked: bool,
    /// Its event triggers have begun to fire.
    pub started: bool,
    /// Its own text.
    pub text: Text,
    /// As it began.
    pub settings: Settings,
    /// The command tag.
    pub tag: &'static CStr,
    /// Its first row in `ddl_mark`.
    pub mark: Option<i64>,
    /// The table of the index that it drops while others use it: the catalog forgets it before the end.
    pub indexed: Option<Oid>,
    /// What it has dropped.
    pub dropped: super::objects::Objects,
}

impl Frame {
    /// A statement that begins.
    ///
    /// # Safety
    /// `tree` must be a live utility statement.
    pub unsafe fn new(tree: *mut pg_sys::Node, text: Text, settings: Settings, hooked: bool) -> Self {
        Self {
            // SAFETY: guarded; reads a variable.
            made_in: unsafe { pg_sys::GetCurrentSubTransactionId() },
            hooked,
            started: false,
            text,
            settings,
            // SAFETY: the caller's promise.
            tag: unsafe { node::tag(tree) },
            mark: None,
            indexed: None,
            dropped: Default::default(),
        }
    }
}

/// A statement begins within those that run. Gives how many run then.
pub fn push(frame: Frame) -> usize {
    FRAMES.with_borrow_mut(|frames| {
        frames.push(frame);
        frames.len()
    })
}

/// The statement that began as the `depth`th is done, and with it all that began within it.
pub fn pop_at(depth: usize) -> Option<Frame> {
    FRAMES.with_borrow_mut(|frames| {
        frames.truncate(depth);
        if frames.len() == depth { frames.pop() } else { None }
    })
}

/// The innermost statement is done.
pub fn pop() -> Option<Frame> {
    FRAMES.with_borrow_mut(Vec::pop)
}

/// Asks or changes the innermost statement.
pub fn innermost<T>(work: impl FnOnce(&mut Frame) -> T) -> Option<T> {
    FRAMES.with_borrow_mut(|frames| frames.last_mut().map(work))
}

/// Learns of transactions' ends. Called once per process.
pub fn register() {
    // SAFETY: guarded; the callbacks live as long as the library, which is never unloaded.
    unsafe {
        pg_sys::RegisterXactCallback(Some(transaction), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(subtransaction), std::ptr::null_mut());
    }
}

/// Runs while PostgreSQL cleans up: must neither raise nor panic.
unsafe extern "C-unwind" fn transaction(event: pg_sys::XactEvent::Type, _: *mut c_void) {
    if event == pg_sys::XactEvent::XACT_EVENT_ABORT {
        forget_since(0);
    }
}

/// As [`transaction`].
unsafe extern "C-unwind" fn subtransaction(
    event: pg_sys::SubXactEvent::Type,
    own: SubTransactionId,
    _: SubTransactionId,
    _: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        forget_since(own);
    }
}

/// Numbers of subtransactions grow, so those within one have higher numbers.
fn forget_since(subtransaction: SubTransactionId) {
    session::aborted();
    FRAMES.with(|frames| {
        if let Ok(mut frames) = frames.try_borrow_mut() {
            frames.retain(|frame| frame.made_in < subtransaction);
        }
    });
}
