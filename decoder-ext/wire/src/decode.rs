//! Reads records. Unknown tags, bytes cut short and bytes left over are errors, always.

use crate::Error;
use crate::record::*;
use crate::tuple::Tuple;

/// Reads the one record that `bytes` hold. Borrows names and cells from them.
pub fn record(bytes: &[u8]) -> Result<Record<'_>, Error> {
    let mut input = Input { rest: bytes };
    let record = match input.u8()? {
        b'H' => Record::Header(input.header()?),
        b'R' => Record::Relation(input.relation()?),
        b'B' => Record::Begin(input.begin()?),
        b'C' => Record::Commit(Commit { commit_lsn: input.u64()?, end_lsn: input.u64()? }),
        b'I' => Record::Insert { relation: input.u32()?, new: input.tuple()? },
        b'U' => Record::Update { relation: input.u32()?, old: input.old()?, new: input.tuple()? },
        b'D' => Record::Delete { relation: input.u32()?, old: input.old()? },
        b'T' => Record::Truncate(input.truncate()?),
        b'M' => Record::Message(input.message()?),
        b'L' => Record::Ddl(input.ddl()?),
        b's' => Record::StreamStart { xid: input.u64()?, first: input.bool()? },
        b'e' => Record::StreamStop,
        b'x' => Record::StreamSubtransaction { xid: input.u64()? },
        b'c' => Record::StreamCommit(input.stream_commit()?),
        b'a' => Record::StreamAbort { xid: input.u64()?, subxid: input.u64()? },
        b'p' => Record::Prepare(input.prepared()?),
        b'k' => Record::CommitPrepared(input.prepared()?),
        b'r' => Record::RollbackPrepared(input.prepared()?),
        tag => return Err(Error::UnknownTag("record", tag)),
    };
    match input.rest.len() {
        0 => Ok(record),
        left => Err(Error::LeftOver(left)),
    }
}

struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    fn bool(&mut self) -> Result<bool, Error> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Error::UnknownTag("truth value", other)),
        }
    }

    fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn i64(&mut self) -> Result<i64, Error> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    fn flags(&mut self, known: u8) -> Result<u8, Error> {
        match self.u8()? {
            flags if flags & !known == 0 => Ok(flags),
            flags => Err(Error::UnknownTag("flags", flags)),
        }
    }

    fn text(&mut self) -> Result<&'a str, Error> {
        let len = self.u16()?;
        std::str::from_utf8(self.take(len as usize)?).map_err(|_| Error::NotUtf8)
    }

    fn tuple(&mut self) -> Result<Tuple<'a>, Error> {
        Tuple::take(&mut self.rest)
    }

    fn old(&mut self) -> Result<Old<'a>, Error> {
        match self.u8()? {
            b'-' => Ok(Old::None),
            b'K' => Ok(Old::Key(self.tuple()?)),
            b'F' => Ok(Old::Full(self.tuple()?)),
            b'?' => Ok(Old::Unidentifiable),
            tag => Err(Error::UnknownTag("old row", tag)),
        }
    }

    fn header(&mut self) -> Result<Header<'a>, Error> {
        if &self.array::<8>()? != MAGIC {
            return Err(Error::NotWalferry);
        }
        Ok(Header {
            version: self.u16()?,
            server_version: self.u32()?,
            database: self.u32()?,
            encoding: self.text()?,
        })
    }

    fn relation(&mut self) -> Result<Relation<'a>, Error> {
        Ok(Relation {
            oid: self.u32()?,
            kind: self.u8()?,
            replica_identity: self.u8()?,
            created_here: self.bool()?,
            rewrite_of: self.u32()?,
            schema: self.text()?,
            name: self.text()?,
            ancestors: (0..self.u16()?).map(|_| self.ancestor()).collect::<Result<_, _>>()?,
            columns: (0..self.u16()?).map(|_| self.column()).collect::<Result<_, _>>()?,
        })
    }

    fn ancestor(&mut self) -> Result<Ancestor<'a>, Error> {
        Ok(Ancestor { oid: self.u32()?, schema: self.text()?, name: self.text()? })
    }

    fn column(&mut self) -> Result<Column<'a>, Error> {
        let number = i16::from_be_bytes(self.array()?);
        let encoding = self.encoding()?;
        let flags = self.flags(0b111)?;
        Ok(Column {
            number,
            encoding,
            identity: flags & 1 != 0,
            primary_key: flags & 2 != 0,
            not_null: flags & 4 != 0,
            generated: self.u8()?,
            identity_column: self.u8()?,
            type_oid: self.u32()?,
            base_type_oid: self.u32()?,
            type_modifier: i32::from_be_bytes(self.array()?),
            name: self.text()?,
            type_schema: self.text()?,
            type_name: self.text()?,
            collation_schema: self.text()?,
            collation_name: self.text()?,
        })
    }

    fn encoding(&mut self) -> Result<Encoding, Error> {
        match self.u8()? {
            b'b' => Ok(Encoding::Binary),
            b't' => Ok(Encoding::Text),
            b'-' => Ok(Encoding::NotSent),
            tag => Err(Error::UnknownTag("column encoding", tag)),
        }
    }

    fn begin(&mut self) -> Result<Begin<'a>, Error> {
        Ok(Begin {
            xid: self.u64()?,
            commit_lsn: self.u64()?,
            commit_time: self.i64()?,
            origin: self.text()?,
        })
    }

    fn stream_commit(&mut self) -> Result<StreamCommit<'a>, Error> {
        Ok(StreamCommit {
            xid: self.u64()?,
            commit_lsn: self.u64()?,
            end_lsn: self.u64()?,
            commit_time: self.i64()?,
            origin: self.text()?,
        })
    }

    fn prepared(&mut self) -> Result<Prepared<'a>, Error> {
        Ok(Prepared {
            xid: self.u64()?,
            lsn: self.u64()?,
            end_lsn: self.u64()?,
            time: self.i64()?,
            gid: self.text()?,
        })
    }

    fn truncate(&mut self) -> Result<Truncate, Error> {
        let flags = self.flags(0b11)?;
        let relations = (0..self.u32()?).map(|_| self.u32()).collect::<Result<_, _>>()?;
        Ok(Truncate { cascade: flags & 1 != 0, restart_identity: flags & 2 != 0, relations })
    }

    fn message(&mut self) -> Result<Message<'a>, Error> {
        let transactional = self.bool()?;
        let lsn = self.u64()?;
        let prefix = self.text()?;
        let len = self.u32()?;
        Ok(Message { transactional, lsn, prefix, content: self.take(len as usize)? })
    }

    fn ddl(&mut self) -> Result<Ddl<'a>, Error> {
        let carrier = match self.u8()? {
            b'l' => Carrier::Log,
            b'm' => Carrier::Mark,
            tag => return Err(Error::UnknownTag("carrier of DDL", tag)),
        };
        let lsn = self.u64()?;
        let fields = (0..self.u16()?).map(|_| self.field()).collect::<Result<_, _>>()?;
        Ok(Ddl { carrier, lsn, fields })
    }

    fn field(&mut self) -> Result<(&'a str, Option<&'a str>), Error> {
        let name = self.text()?;
        let value = match i32::from_be_bytes(self.array()?) {
            crate::tuple::NULL => None,
            len => {
                let len = usize::try_from(len).map_err(|_| Error::BadCellLength(len))?;
                Some(std::str::from_utf8(self.take(len)?).map_err(|_| Error::NotUtf8)?)
            }
        };
        Ok((name, value))
    }
}
