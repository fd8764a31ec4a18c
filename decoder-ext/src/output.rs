//! The only writer to the client. Records gather in a buffer and leave as messages of whole fragments
//! (`wire::frame`) of about 64 kB: the walsender makes one system call per message, so gathering is what makes it
//! quick. A record larger than a fragment leaves in pieces, so that no message comes near PostgreSQL's 1 GB.
//!
//! Torn records: an ERROR in the middle of a record (a concurrent abort while streaming) leaves its first half in
//! the buffer; the next record begins where the last complete one ended. Nothing of an incomplete record is sent.

use crate::context::Context;
use crate::raw;
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use walferry_wire::encode::Sink;
use walferry_wire::frame;

/// Bytes that are gathered before they leave as one message.
const MESSAGE: usize = 64 * 1024;
/// Bytes of a large record in one fragment and message.
const FRAGMENT: usize = 512 * 1024;
/// What the buffer may keep after a large record.
const KEPT: usize = 4 * 1024 * 1024;

/// The records not sent yet. Lies in a PostgreSQL memory context: running out of memory is an ERROR there, while a
/// Rust allocation that fails would end the process.
pub struct Output {
    data: *mut u8,
    capacity: usize,
    len: usize,
    /// Where the last complete record ends.
    complete: usize,
}

impl Output {
    /// An empty buffer in `context`.
    ///
    /// # Safety
    /// `context` must outlive the buffer.
    pub unsafe fn new(context: pg_sys::MemoryContext) -> Self {
        let capacity = 2 * MESSAGE;
        // SAFETY: a live context; guarded, so that an ERROR unwinds.
        let data = unsafe { pg_sys::MemoryContextAllocHuge(context, capacity) }.cast();
        Self { data, capacity, len: 0, complete: 0 }
    }

    /// Begins a record, dropping what an ERROR left of one. To be called inside a boundary, like [`Sink::put`].
    #[inline]
    pub fn begin(&mut self) {
        self.len = self.complete;
        self.put(&[0; frame::HEAD]);
    }

    /// Ends the record that was begun.
    #[inline]
    pub fn end(&mut self) {
        let len = self.len - self.complete - frame::HEAD;
        let head = frame::head(len, false);
        // SAFETY: `begin` put HEAD bytes at `complete`.
        unsafe { std::ptr::copy_nonoverlapping(head.as_ptr(), self.data.add(self.complete), frame::HEAD) };
        self.complete = self.len;
    }

    /// The bytes of the record that was begun and not ended yet.
    pub fn open_record(&self) -> &[u8] {
        let start = self.complete + frame::HEAD;
        // SAFETY: these bytes were written by `put`.
        unsafe { std::slice::from_raw_parts(self.data.add(start), self.len.saturating_sub(start)) }
    }

    /// Drops the record that was begun.
    pub fn discard(&mut self) {
        self.len = self.complete;
        self.shrink();
    }

    /// Adds a whole record that was made elsewhere.
    pub fn add(&mut self, record: &[u8]) {
        // SAFETY: the closure holds references only and does not panic.
        unsafe {
            pg_guard_ffi_boundary(|| {
                self.begin();
                self.put(record);
            });
        }
    }

    /// Ends the record that was begun and sends what has become enough for a message.
    #[inline]
    pub fn finish(&mut self, ctx: Context) {
        if self.len - self.complete > FRAGMENT {
            self.send_large(ctx);
            return;
        }
        self.end();
        if self.complete >= MESSAGE {
            self.flush(ctx);
        }
    }

    /// Sends what has gathered.
    pub fn flush(&mut self, ctx: Context) {
        if self.complete > 0 {
            // SAFETY: the first `complete` bytes were written by `put`.
            let gathered = unsafe { std::slice::from_raw_parts(self.data, self.complete) };
            send(ctx, &[], gathered);
            self.complete = 0;
            self.len = 0;
        }
    }

    /// Sends the open record in pieces, after what was gathered before it.
    #[cold]
    fn send_large(&mut self, ctx: Context) {
        let start = self.complete + frame::HEAD;
        // SAFETY: both ranges were written by `put`.
        let (gathered, record) = unsafe {
            (
                std::slice::from_raw_parts(self.data, self.complete),
                std::slice::from_raw_parts(self.data.add(start), self.len - start),
            )
        };
        if !gathered.is_empty() {
            send(ctx, &[], gathered);
        }
        let mut pieces = record.chunks(FRAGMENT).peekable();
        while let Some(piece) = pieces.next() {
            send(ctx, &frame::head(piece.len(), pieces.peek().is_some()), piece);
        }
        self.complete = 0;
        self.len = 0;
        self.shrink();
    }

    /// Gives back what a large record needed.
    fn shrink(&mut self) {
        if self.capacity > KEPT && self.len < MESSAGE {
            // SAFETY: `data` is a live chunk of a PostgreSQL context; guarded.
            self.data = unsafe { pg_sys::repalloc_huge(self.data.cast(), 2 * MESSAGE) }.cast();
            self.capacity = 2 * MESSAGE;
        }
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        let capacity = needed.max(self.capacity * 2);
        // SAFETY: `data` is a live chunk; an ERROR (out of memory) jumps to the boundary that the caller stands in.
        self.data = unsafe { raw::repalloc_huge(self.data.cast(), capacity) }.cast();
        self.capacity = capacity;
    }
}

/// Only inside a boundary: growing may raise an ERROR that is not caught here.
impl Sink for Output {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if end > self.capacity {
            self.grow(end);
        }
        // SAFETY: `grow` made room for the bytes.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.data.add(self.len), bytes.len()) };
        self.len = end;
    }
}

/// Sends one message made of two parts, at most 2 * MESSAGE + FRAGMENT bytes together (a text can be longer, and
/// PostgreSQL refuses it beyond 1 GB).
pub fn send(ctx: Context, head: &[u8], body: &[u8]) {
    let ctx = ctx.as_ptr();
    // SAFETY: `ctx` is live; the closure holds references only. PostgreSQL resets `out` in PrepareWrite.
    unsafe {
        pg_guard_ffi_boundary(|| {
            raw::OutputPluginPrepareWrite(ctx, true);
            let out = (*ctx).out;
            raw::appendBinaryStringInfo(out, head.as_ptr().cast(), head.len() as i32);
            raw::appendBinaryStringInfo(out, body.as_ptr().cast(), body.len() as i32);
            raw::OutputPluginWrite(ctx, true);
        });
    }
}
