//! Groups of messages: what goes to the destination in one piece and is ended by one Sync (rule 1). Statements are
//! prepared once per connection and named by what they do, so that a step costs a Bind and an Execute.

use bytes::{BufMut, Bytes, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::io;

use super::model::Row;
use super::statement::Statement;
use crate::error::{Error, Result};

/// What a prepared statement is for; the same purpose is the same text for the life of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A statement of one fixed text.
    Fixed(&'static str),
    /// A statement on the target of this id.
    Target(usize, Kind),
}

/// What is done to a target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Insert by arrays.
    Insert,
    /// Insert by COPY.
    Copy,
    /// Delete by key arrays.
    Delete,
    /// Update of these columns by key arrays.
    Update(SmallVec<[u16; 16]>),
    /// Delete of one row that equals.
    DeleteImage,
    /// Update of these columns of one row that equals.
    UpdateImage(SmallVec<[u16; 16]>),
    /// The look whether the table still is what it was when the target was made.
    Definition,
    /// The look after the deferrable constraint of this number.
    Probe(usize),
}

/// Which statements this connection has prepared.
#[derive(Debug, Default)]
pub struct Prepared {
    names: FxHashMap<Purpose, u32>,
    next: u32,
    /// The connection has statements that no name here leads to.
    stale: bool,
}

/// More statements than this are not kept: each holds a plan in the destination's memory.
const MOST_PREPARED: usize = 500;

impl Prepared {
    /// Forgets all of them: after an error nobody knows which were reached. Names never return.
    pub fn forget(&mut self) {
        self.names.clear();
        self.stale = true;
    }
}

/// A group being written.
#[derive(Debug)]
pub struct Group<'a> {
    buffer: BytesMut,
    prepared: &'a mut Prepared,
}

/// COPY's rows travel in messages of about this size, in bytes.
const COPY_CHUNK: usize = 256 * 1024;
/// Head of binary COPY: signature, flags, length of the extension.
const COPY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// End of binary COPY.
const COPY_END: [u8; 2] = (-1_i16).to_be_bytes();

impl<'a> Group<'a> {
    /// An empty group for the connection that has these statements, as it is: also inside a failed transaction.
    pub fn plain(prepared: &'a mut Prepared) -> Self {
        Self { buffer: BytesMut::with_capacity(16 * 1024), prepared }
    }

    /// An empty group; statements that are not needed any more go first.
    pub fn new(prepared: &'a mut Prepared) -> Result<Self> {
        let mut group = Self::plain(prepared);
        if group.prepared.stale || group.prepared.names.len() > MOST_PREPARED {
            group.prepared.names.clear();
            group.prepared.stale = false;
            let all = Statement { sql: "DEALLOCATE ALL".to_owned(), types: Vec::new() };
            group.once(&all, std::iter::empty())?;
        }
        Ok(group)
    }

    /// A command of fixed text without parameters.
    pub fn command(&mut self, sql: &'static str) -> Result<()> {
        let statement = || Statement { sql: sql.to_owned(), types: Vec::new() };
        self.run(Purpose::Fixed(sql), statement, std::iter::empty())
    }

    /// A statement with parameters in binary format; it is parsed at its first use.
    pub fn run<'v>(
        &mut self,
        purpose: Purpose,
        statement: impl FnOnce() -> Statement,
        values: impl Iterator<Item = Option<&'v [u8]>>,
    ) -> Result<()> {
        let name = self.prepare(purpose, statement)?;
        self.execute(&name, values)
    }

    /// A statement that is used once.
    pub fn once<'v>(
        &mut self,
        statement: &Statement,
        values: impl Iterator<Item = Option<&'v [u8]>>,
    ) -> Result<()> {
        let types = statement.types.iter().copied();
        frontend::parse("", &statement.sql, types, &mut self.buffer).map_err(too_large)?;
        self.execute("", values)
    }

    /// Rows by binary COPY; the data follows at once, without waiting for CopyInResponse.
    pub fn copy<'v>(
        &mut self,
        purpose: Purpose,
        statement: impl FnOnce() -> Statement,
        rows: impl Iterator<Item = &'v Row>,
    ) -> Result<()> {
        self.run(purpose, statement, std::iter::empty())?;
        let mut start = self.open_copy_data();
        self.buffer.put_slice(COPY_HEAD);
        for row in rows {
            // A message holds less than a row may: cut wherever it is full.
            for piece in row.bytes().chunks(COPY_CHUNK) {
                if self.buffer.len() - start > COPY_CHUNK {
                    self.close_copy_data(start);
                    start = self.open_copy_data();
                }
                self.buffer.put_slice(piece);
            }
        }
        self.buffer.put_slice(&COPY_END);
        self.close_copy_data(start);
        frontend::copy_done(&mut self.buffer);
        Ok(())
    }

    /// The group's bytes, ended by Sync.
    pub fn finish(mut self) -> Bytes {
        frontend::sync(&mut self.buffer);
        self.buffer.freeze()
    }

    fn prepare(&mut self, purpose: Purpose, statement: impl FnOnce() -> Statement) -> Result<String> {
        if let Some(name) = self.prepared.names.get(&purpose) {
            return Ok(format!("w{name}"));
        }
        self.prepared.next += 1;
        let name = format!("w{}", self.prepared.next);
        let statement = statement();
        frontend::parse(&name, &statement.sql, statement.types, &mut self.buffer).map_err(too_large)?;
        self.prepared.names.insert(purpose, self.prepared.next);
        Ok(name)
    }

    fn execute<'v>(&mut self, name: &str, values: impl Iterator<Item = Option<&'v [u8]>>) -> Result<()> {
        let write = |value: Option<&[u8]>, out: &mut BytesMut| match value {
            Some(value) => {
                out.put_slice(value);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        };
        match frontend::bind("", name, [1], values, write, [0], &mut self.buffer) {
            Ok(()) => {}
            Err(frontend::BindError::Conversion(error)) => {
                return Err(Error::protocol(format!("a parameter cannot be sent: {error}")));
            }
            Err(frontend::BindError::Serialization(error)) => return Err(too_large(error)),
        }
        frontend::execute("", 0, &mut self.buffer).map_err(too_large)
    }

    fn open_copy_data(&mut self) -> usize {
        let start = self.buffer.len();
        self.buffer.put_slice(b"d\0\0\0\0");
        start
    }

    fn close_copy_data(&mut self, start: usize) {
        let length = (self.buffer.len() - start - 1) as u32;
        self.buffer[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
    }
}

fn too_large(error: io::Error) -> Error {
    Error::rejected(format!("a statement is larger than the protocol allows ({error}); a message holds 1 GB"))
}
