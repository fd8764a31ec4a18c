//! `Context`: PostgreSQL's decoding context, with what the plugin reads from it and calls on it.

use crate::decoding::Decoding;
use pgrx::pg_sys;
use std::ffi::c_void;

/// A live decoding context. Made at the entry of a callback and not kept beyond it.
#[derive(Clone, Copy)]
pub struct Context(*mut pg_sys::LogicalDecodingContext);

impl Context {
    /// # Safety
    /// `ctx` must be what PostgreSQL passed to the callback that is running.
    pub unsafe fn new(ctx: *mut pg_sys::LogicalDecodingContext) -> Self {
        Self(ctx)
    }

    /// The pointer as PostgreSQL gave it.
    pub fn as_ptr(self) -> *mut pg_sys::LogicalDecodingContext {
        self.0
    }

    /// The memory context that lives as long as the decoding session.
    pub fn memory(self) -> pg_sys::MemoryContext {
        // SAFETY: live, see `new`.
        unsafe { (*self.0).context }
    }

    /// The state that [`Context::attach`] left.
    ///
    /// # Safety
    /// The startup callback must have run, and no other reference to the state may be in use: callbacks take it once,
    /// at their entry.
    pub unsafe fn decoding<'a>(self) -> &'a mut Decoding {
        // SAFETY: `attach` stored a Box's pointer, which is freed with the decoding context only.
        unsafe { &mut *(*self.0).output_plugin_private.cast::<Decoding>() }
    }

    /// Hands the state over to the decoding context, which frees it when it goes away itself - also by an ERROR, when
    /// no shutdown callback runs.
    pub fn attach(self, decoding: Box<Decoding>) {
        // SAFETY: the callback record lies in the context whose end it announces; nothing can fail between
        // `into_raw` and the registration.
        unsafe {
            let size = size_of::<pg_sys::MemoryContextCallback>();
            let record = pg_sys::MemoryContextAllocZero(self.memory(), size);
            let record = record.cast::<pg_sys::MemoryContextCallback>();
            let state: *mut c_void = Box::into_raw(decoding).cast();
            (*record).func = Some(free);
            (*record).arg = state;
            (*self.0).output_plugin_private = state;
            pg_sys::MemoryContextRegisterResetCallback(self.memory(), record);
        }
    }

    /// Tells the server that time passed without output (`OutputPluginUpdateProgress`): it answers the client's
    /// timeouts and, after a `skipped` transaction, lets synchronous waits go on.
    pub fn progress(self, skipped: bool) {
        // SAFETY: a guarded call on the live context.
        #[cfg(any(feature = "pg13", feature = "pg14"))]
        unsafe {
            let _ = skipped;
            pg_sys::OutputPluginUpdateProgress(self.0);
        }
        // SAFETY: a guarded call on the live context.
        #[cfg(not(any(feature = "pg13", feature = "pg14")))]
        unsafe {
            pg_sys::OutputPluginUpdateProgress(self.0, skipped);
        }
    }
}

/// Frees the state. Calls nothing of PostgreSQL: its contexts are going away already.
unsafe extern "C-unwind" fn free(state: *mut c_void) {
    // SAFETY: `attach` registered the pointer of a Box, and PostgreSQL calls this once.
    drop(unsafe { Box::from_raw(state.cast::<Decoding>()) });
}
