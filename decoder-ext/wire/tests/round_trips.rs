//! Every record survives a round trip; every record cut short, made longer or with an unknown tag is refused.

use proptest::prelude::*;
use walferry_wire::record::*;
use walferry_wire::tuple::{Cell, Tuple};
use walferry_wire::{Error, Record, decode, encode};

/// A row as its owner has it: `None` = NULL, `Some(None)` = unchanged.
type Row = Vec<Option<Option<Vec<u8>>>>;

fn row() -> impl Strategy<Value = Row> {
    let cell = proptest::option::weighted(0.8, proptest::option::weighted(0.9, any::<Vec<u8>>()));
    proptest::collection::vec(cell, 0..12)
}

fn write_row(out: &mut Vec<u8>, row: &Row) {
    encode::tuple_head(out, row.len() as u16);
    for cell in row {
        match cell {
            None => encode::cell_null(out),
            Some(None) => encode::cell_unchanged(out),
            Some(Some(value)) => encode::cell(out, value),
        }
    }
}

fn read_row(tuple: &Tuple<'_>) -> Row {
    let owned = |cell| match cell {
        Cell::Null => None,
        Cell::Unchanged => Some(None),
        Cell::Value(value) => Some(Some(value.to_vec())),
    };
    tuple.cells().map(owned).collect()
}

/// What is true of the bytes of any record: no proper prefix and no extension of them is a record.
fn is_exact(bytes: &[u8]) {
    for cut in 0..bytes.len() {
        assert!(decode::record(&bytes[..cut]).is_err(), "cut at {cut} of {}", bytes.len());
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert_eq!(decode::record(&longer), Err(Error::LeftOver(1)));
}

fn check(expected: &Record<'_>, bytes: &[u8]) {
    assert_eq!(decode::record(bytes).as_ref(), Ok(expected));
    is_exact(bytes);
}

fn name() -> impl Strategy<Value = String> {
    "\\PC{0,40}"
}

proptest! {
    #[test]
    fn rows(old in row(), new in row(), relation: u32, kind in 0..3) {
        let mut bytes = Vec::new();
        encode::update(&mut bytes, relation);
        match kind {
            0 => encode::old(&mut bytes, encode::OldKind::None),
            1 => { encode::old(&mut bytes, encode::OldKind::Key); write_row(&mut bytes, &old) }
            _ => { encode::old(&mut bytes, encode::OldKind::Full); write_row(&mut bytes, &old) }
        }
        write_row(&mut bytes, &new);
        let Record::Update { relation: seen, old: seen_old, new: seen_new } = decode::record(&bytes)? else {
            panic!("not an update");
        };
        prop_assert_eq!(seen, relation);
        prop_assert_eq!(read_row(&seen_new), new);
        match seen_old {
            Old::None => prop_assert_eq!(kind, 0),
            Old::Key(tuple) => { prop_assert_eq!(kind, 1); prop_assert_eq!(read_row(&tuple), old) }
            Old::Full(tuple) => { prop_assert_eq!(kind, 2); prop_assert_eq!(read_row(&tuple), old) }
            Old::Unidentifiable => prop_assert!(false),
        }
        is_exact(&bytes);
    }

    #[test]
    fn inserts_and_deletes(row in row(), relation: u32) {
        let mut bytes = Vec::new();
        encode::insert(&mut bytes, relation);
        write_row(&mut bytes, &row);
        is_exact(&bytes);
        let Record::Insert { new, .. } = decode::record(&bytes)? else { panic!("not an insert") };
        prop_assert_eq!(read_row(&new), row);
        let mut bytes = Vec::new();
        encode::delete(&mut bytes, relation);
        encode::old(&mut bytes, encode::OldKind::Unidentifiable);
        check(&Record::Delete { relation, old: Old::Unidentifiable }, &bytes);
    }

    #[test]
    fn relations(schema in name(), table in name(), oid: u32, typmod: i32, number: i16, bits: [bool; 3],
                 encoding in 0..3usize, parents in 0..3usize, columns in 0..5usize, created_here: bool) {
        let column = Column {
            number, name: &table, identity: bits[0], primary_key: bits[1], not_null: bits[2],
            encoding: [Encoding::Binary, Encoding::Text, Encoding::NotSent][encoding],
            generated: b's', identity_column: b'a', type_oid: oid, base_type_oid: !oid, type_modifier: typmod,
            type_schema: &schema, type_name: &table, collation_schema: &schema, collation_name: &table,
        };
        let relation = Relation {
            oid, kind: b'r', replica_identity: b'd', created_here, rewrite_of: !oid, schema: &schema, name: &table,
            ancestors: vec![Ancestor { oid, schema: &schema, name: &table }; parents],
            columns: vec![column; columns],
        };
        let mut bytes = Vec::new();
        encode::relation(&mut bytes, &relation);
        check(&Record::Relation(relation), &bytes);
    }

    #[test]
    fn transactions(xid: u64, commit_lsn: u64, end_lsn: u64, commit_time: i64, origin in name()) {
        let origin = origin.as_str();
        let mut bytes = Vec::new();
        let begin = Begin { xid, commit_lsn, commit_time, origin };
        encode::begin(&mut bytes, &begin);
        check(&Record::Begin(begin), &bytes);
        bytes.clear();
        let commit = Commit { commit_lsn, end_lsn };
        encode::commit(&mut bytes, &commit);
        check(&Record::Commit(commit), &bytes);
        bytes.clear();
        let commit = StreamCommit { xid, commit_lsn, end_lsn, commit_time, origin };
        encode::stream_commit(&mut bytes, &commit);
        check(&Record::StreamCommit(commit), &bytes);
    }

    #[test]
    fn streams(xid: u64, subxid: u64, first: bool) {
        let mut bytes = Vec::new();
        encode::stream_start(&mut bytes, xid, first);
        check(&Record::StreamStart { xid, first }, &bytes);
        bytes.clear();
        encode::stream_stop(&mut bytes);
        check(&Record::StreamStop, &bytes);
        bytes.clear();
        encode::stream_subtransaction(&mut bytes, subxid);
        check(&Record::StreamSubtransaction { xid: subxid }, &bytes);
        bytes.clear();
        encode::stream_abort(&mut bytes, xid, subxid);
        check(&Record::StreamAbort { xid, subxid }, &bytes);
    }

    #[test]
    fn prepared_transactions(xid: u64, lsn: u64, end_lsn: u64, time: i64, gid in name()) {
        let step = Prepared { xid, lsn, end_lsn, time, gid: &gid };
        let mut bytes = Vec::new();
        encode::prepare(&mut bytes, &step);
        check(&Record::Prepare(step.clone()), &bytes);
        bytes.clear();
        encode::commit_prepared(&mut bytes, &step);
        check(&Record::CommitPrepared(step.clone()), &bytes);
        bytes.clear();
        encode::rollback_prepared(&mut bytes, &step);
        check(&Record::RollbackPrepared(step), &bytes);
    }

    #[test]
    fn the_rest(relations: Vec<u32>, cascade: bool, restart_identity: bool, lsn: u64, prefix in name(),
                content: Vec<u8>, database: u32, version: u16) {
        let mut bytes = Vec::new();
        let truncate = Truncate { cascade, restart_identity, relations };
        encode::truncate(&mut bytes, &truncate);
        check(&Record::Truncate(truncate), &bytes);
        bytes.clear();
        let message = Message { transactional: cascade, lsn, prefix: &prefix, content: &content };
        encode::message(&mut bytes, &message);
        check(&Record::Message(message), &bytes);
        bytes.clear();
        let header = Header { version, server_version: 150018, database, encoding: &prefix };
        encode::header(&mut bytes, &header);
        check(&Record::Header(header), &bytes);
    }

    #[test]
    fn ddl(lsn: u64, log: bool, fields in proptest::collection::vec((name(), proptest::option::of(".*")), 0..6)) {
        let carrier = if log { Carrier::Log } else { Carrier::Mark };
        let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let ddl = Ddl { carrier, lsn, fields };
        let mut bytes = Vec::new();
        encode::ddl(&mut bytes, &ddl);
        is_exact(&bytes);
        check(&Record::Ddl(ddl), &bytes);
    }

    #[test]
    fn no_bytes_can_panic_the_reader(bytes: Vec<u8>, tag in proptest::sample::select(b"HRBCIUDTMLsexcapkr".to_vec())) {
        let mut tagged = vec![tag];
        tagged.extend(&bytes);
        let _ = decode::record(&bytes);
        let _ = decode::record(&tagged);
    }
}

#[test]
fn unknown_tags_are_errors() {
    for tag in 0..=255u8 {
        if !b"HRBCIUDTMLsexcapkr".contains(&tag) {
            assert_eq!(decode::record(&[tag]), Err(Error::UnknownTag("record", tag)));
        }
    }
    assert_eq!(decode::record(&[b'D', 0, 0, 0, 1, b'z']), Err(Error::UnknownTag("old row", b'z')));
    assert_eq!(decode::record(&[b'T', 4]), Err(Error::UnknownTag("flags", 4)));
    assert_eq!(decode::record(&[b's', 0, 0, 0, 0, 0, 0, 0, 0, 2]), Err(Error::UnknownTag("truth value", 2)));
    assert_eq!(decode::record(b"Hpgoutput\0\0"), Err(Error::NotWalferry));
    let cell = [b'I', 0, 0, 0, 1, 0, 1, 0xff, 0xff, 0xff, 0xfd];
    assert_eq!(decode::record(&cell), Err(Error::BadCellLength(-3)));
}
