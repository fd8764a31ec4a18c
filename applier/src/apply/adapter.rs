//! From wire records to the inner model: the only reader of `walferry_wire` in the data path. Keeps what the stream
//! has described; what an in-progress transaction says of relations counts only for that transaction (rule 7).

use bytes::{Bytes, BytesMut};
use std::collections::HashMap;
use std::sync::Arc;
use walferry_wire::record::{Carrier, Encoding, Old, Record, StreamCommit};
use walferry_wire::tuple::Tuple;
use walferry_wire::{decode, frame, record, version};

use super::model::{Ancestor, Change, Column, CommitPoint, OldRow, Relation, Row};
use crate::ddl::Captured;
use crate::error::{Error, Result};
use crate::pg::Lsn;

/// What the stream tells, one at a time, in its order.
#[derive(Debug)]
pub enum Event {
    /// A committed transaction begins; its commit record starts here.
    Begin { xid: u64, commit_lsn: Lsn, commit_time: i64 },
    /// A change of the transaction (or of the block) that is open.
    Change(Change),
    /// A statement that changes definitions, in the transaction (or block) that is open.
    Ddl(Box<Captured>),
    /// The open transaction ends; its commit record ends here.
    Commit { end_lsn: Lsn },
    /// A block of an in-progress transaction begins.
    StreamStart { xid: u64 },
    /// What follows in the block is of this (sub)transaction.
    StreamSubtransaction { xid: u64 },
    /// The block ends.
    StreamStop,
    /// The in-progress transaction committed.
    StreamCommit(CommitPoint),
    /// It, or its subtransaction, rolled back.
    StreamAbort { xid: u64, subxid: u64 },
}

type Relations = HashMap<u32, Arc<Relation>>;

/// Reads the payloads of one replication stream.
#[derive(Debug, Default)]
pub struct Adapter {
    greeted: bool,
    partial: BytesMut,
    described: usize,
    relations: Relations,
    streams: HashMap<u64, Relations>,
    block: Option<u64>,
    last: Option<(u32, Arc<Relation>)>,
}

impl Adapter {
    /// Reads one payload; every event goes to `sink`.
    pub fn read(&mut self, payload: &Bytes, mut sink: impl FnMut(Event) -> Result<()>) -> Result<()> {
        let mut rest = &payload[..];
        while let Some(fragment) = frame::next(&mut rest).map_err(garbled)? {
            if fragment.more || !self.partial.is_empty() {
                self.partial.extend_from_slice(fragment.bytes);
                if fragment.more {
                    continue;
                }
                let whole = self.partial.split().freeze();
                self.record(&whole, &mut sink)?;
            } else {
                self.record(&payload.slice_ref(fragment.bytes), &mut sink)?;
            }
        }
        Ok(())
    }

    fn record(&mut self, bytes: &Bytes, sink: &mut impl FnMut(Event) -> Result<()>) -> Result<()> {
        let record = decode::record(bytes).map_err(garbled)?;
        match self.event(record, bytes)? {
            Some(event) => sink(event),
            None => Ok(()),
        }
    }

    fn event(&mut self, record: Record<'_>, bytes: &Bytes) -> Result<Option<Event>> {
        if !self.greeted && !matches!(record, Record::Header(_)) {
            return Err(garbled(walferry_wire::Error::NotWalferry));
        }
        Ok(Some(match record {
            Record::Header(header) => return self.greet(&header).map(|()| None),
            Record::Relation(relation) => return self.describe(&relation).map(|()| None),
            Record::Begin(begin) => Event::Begin {
                xid: begin.xid,
                commit_lsn: Lsn(begin.commit_lsn),
                commit_time: begin.commit_time,
            },
            Record::Commit(commit) => Event::Commit { end_lsn: Lsn(commit.end_lsn) },
            Record::Insert { relation, new } => Event::Change(Change::Insert {
                relation: self.relation(relation)?,
                new: Row::of(&new, bytes),
            }),
            Record::Update { relation, old, new } => Event::Change(Change::Update {
                relation: self.relation(relation)?,
                old: old_row(&old, bytes),
                new: Row::of(&new, bytes),
            }),
            Record::Delete { relation, old } => Event::Change(Change::Delete {
                relation: self.relation(relation)?,
                old: old_row(&old, bytes),
            }),
            Record::Truncate(truncate) => Event::Change(self.truncate(&truncate)?),
            // Marks of ours: their transactions count, they do not.
            Record::Message(_) => return Ok(None),
            Record::Ddl(ddl) => Event::Ddl(Box::new(captured(&ddl)?)),
            Record::StreamStart { xid, first } => self.open_block(xid, first),
            Record::StreamStop => self.close_block(),
            Record::StreamSubtransaction { xid } => Event::StreamSubtransaction { xid },
            Record::StreamCommit(commit) => self.stream_commit(&commit),
            Record::StreamAbort { xid, subxid } => self.stream_abort(xid, subxid),
            Record::Prepare(step) | Record::CommitPrepared(step) | Record::RollbackPrepared(step) => {
                return Err(two_phase(&step));
            }
        }))
    }

    fn greet(&mut self, header: &record::Header<'_>) -> Result<()> {
        let known = version::KNOWN;
        if !(known.min..=known.max).contains(&header.version) {
            return Err(Error::protocol(format!(
                "the extension on the source writes version {} of the change format, this walferry reads {known}; \
                 install the same release of walferry on both sides",
                header.version
            )));
        }
        self.greeted = true;
        Ok(())
    }

    fn describe(&mut self, described: &record::Relation<'_>) -> Result<()> {
        self.described += 1;
        self.last = None;
        let relation = Arc::new(relation(self.described, described));
        self.scope().insert(described.oid, relation);
        Ok(())
    }

    /// The descriptions that count here: the block's own, or the stream's.
    fn scope(&mut self) -> &mut Relations {
        match self.block {
            Some(xid) => self.streams.entry(xid).or_default(),
            None => &mut self.relations,
        }
    }

    fn relation(&mut self, oid: u32) -> Result<Arc<Relation>> {
        if let Some((_, last)) = self.last.as_ref().filter(|(last, _)| *last == oid) {
            return Ok(last.clone());
        }
        let found = self.scope().get(&oid).cloned().ok_or_else(|| {
            Error::protocol(format!("the stream has a change of relation {oid} that it did not describe"))
        })?;
        self.last = Some((oid, found.clone()));
        Ok(found)
    }

    fn truncate(&mut self, truncate: &record::Truncate) -> Result<Change> {
        let relations = truncate.relations.iter().map(|oid| self.relation(*oid)).collect::<Result<_>>()?;
        Ok(Change::Truncate { relations, restart_identity: truncate.restart_identity })
    }

    fn open_block(&mut self, xid: u64, first: bool) -> Event {
        if first {
            self.streams.remove(&xid);
        }
        self.block = Some(xid);
        self.last = None;
        Event::StreamStart { xid }
    }

    fn close_block(&mut self) -> Event {
        self.block = None;
        self.last = None;
        Event::StreamStop
    }

    fn stream_commit(&mut self, commit: &StreamCommit<'_>) -> Event {
        self.streams.remove(&commit.xid);
        Event::StreamCommit(CommitPoint {
            xid: commit.xid,
            commit_lsn: Lsn(commit.commit_lsn),
            end_lsn: Lsn(commit.end_lsn),
            commit_time: commit.commit_time,
        })
    }

    fn stream_abort(&mut self, xid: u64, subxid: u64) -> Event {
        if xid == subxid {
            self.streams.remove(&xid);
        }
        Event::StreamAbort { xid, subxid }
    }
}

fn captured(ddl: &record::Ddl<'_>) -> Result<Captured> {
    let log = match ddl.carrier {
        Carrier::Log => true,
        Carrier::Mark => false,
    };
    let owned = |(name, value): &(&str, Option<&str>)| ((*name).to_owned(), value.map(str::to_owned));
    Captured::read(log, Lsn(ddl.lsn), &ddl.fields.iter().map(owned).collect::<Vec<_>>())
}

fn garbled(error: walferry_wire::Error) -> Error {
    Error::protocol(format!("the change stream makes no sense: {error}"))
}

fn two_phase(step: &record::Prepared<'_>) -> Error {
    Error::refused(format!(
        "the slot decodes prepared transactions at PREPARE (at {}); make the slot without two_phase, \
         walferry applies them at COMMIT PREPARED",
        Lsn(step.lsn)
    ))
}

fn old_row(old: &Old<'_>, bytes: &Bytes) -> OldRow {
    let row = |tuple: &Tuple<'_>| Row::of(tuple, bytes);
    match old {
        Old::None => OldRow::None,
        Old::Key(tuple) => OldRow::Key(row(tuple)),
        Old::Full(tuple) => OldRow::Full(row(tuple)),
        Old::Unidentifiable => OldRow::Unidentifiable,
    }
}

fn relation(id: usize, from: &record::Relation<'_>) -> Relation {
    let ancestor = |above: &record::Ancestor<'_>| Ancestor {
        oid: above.oid,
        schema: above.schema.to_owned(),
        name: above.name.to_owned(),
    };
    let rewrite = from.rewrite_of != 0;
    Relation {
        id,
        oid: if rewrite { from.rewrite_of } else { from.oid },
        schema: from.schema.to_owned(),
        name: from.name.to_owned(),
        ancestors: from.ancestors.iter().map(ancestor).collect(),
        full_identity: from.replica_identity == b'f',
        created_here: from.created_here,
        rewrite,
        not_sent: (from.columns.iter())
            .filter(|column| column.encoding == Encoding::NotSent)
            .map(|column| column.name.to_owned())
            .collect(),
        columns: from.columns.iter().filter_map(column).collect(),
    }
}

fn column(from: &record::Column<'_>) -> Option<Column> {
    let binary = match from.encoding {
        Encoding::Binary => true,
        Encoding::Text => false,
        Encoding::NotSent => return None,
    };
    Some(Column {
        name: from.name.to_owned(),
        binary,
        identity: from.identity,
        type_oid: from.type_oid,
        base_type_oid: from.base_type_oid,
        type_modifier: from.type_modifier,
        type_schema: from.type_schema.to_owned(),
        type_name: from.type_name.to_owned(),
        collation: (!from.collation_name.is_empty())
            .then(|| (from.collation_schema.to_owned(), from.collation_name.to_owned())),
    })
}
