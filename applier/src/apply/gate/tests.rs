//! What the gate makes of changes, by the snapshots of the parts. No server: a pause shows as such.

use super::*;
use crate::apply::model::{Ancestor, Column, OldRow};
use walferry_wire::tuple::Cell;

const SEEN: u64 = 5;
const UNSEEN: u64 = 50;

fn snapshot() -> Snapshot {
    "10:20:".parse().unwrap()
}

fn relation(oid: u32) -> Arc<Relation> {
    let column = |name: &str, identity| Column {
        name: name.to_owned(),
        binary: true,
        identity,
        type_oid: 20,
        base_type_oid: 20,
        type_modifier: -1,
        type_schema: "pg_catalog".to_owned(),
        type_name: "int8".to_owned(),
        collation: None,
    };
    Arc::new(Relation {
        id: oid as usize,
        oid,
        schema: "public".to_owned(),
        name: format!("t{oid}"),
        ancestors: Vec::new(),
        full_identity: false,
        created_here: false,
        rewrite: false,
        not_sent: Vec::new(),
        columns: vec![column("v", false), column("id", true)],
    })
}

fn row(id: i64) -> Row {
    let (v, id) = (0_i64.to_be_bytes(), id.to_be_bytes());
    Row::build([Cell::Value(&v), Cell::Value(&id)].into_iter())
}

fn part(number: i32, lower: Option<i64>, upper: Option<i64>, state: State) -> Part {
    Part { number, lower, upper, state }
}

/// Keys below 100 are in a part of one state, the others in one of another.
fn gate(low: State, high: State) -> Gate {
    let gate = Gate::default();
    let parts = vec![part(1, None, Some(100), low), part(2, Some(100), None, high)];
    gate.set(1, Table { key: Some("id".to_owned()), parts });
    gate
}

fn copied() -> State {
    State::Copied(snapshot(), Lsn(7))
}

/// What comes of a change, in short.
fn verdict(gate: &Gate, xid: u64, change: &Change) -> String {
    let word = |change: &Change| match change {
        Change::Insert { .. } => "insert".to_owned(),
        Change::Update { .. } => "update".to_owned(),
        Change::Delete { .. } => "delete".to_owned(),
        Change::Truncate { relations, .. } => format!("truncate {}", relations.len()),
        Change::Erase { ranges, .. } => format!("erase {ranges:?}"),
    };
    match gate.judge(xid, change).unwrap() {
        Ok(admitted) => admitted.iter().map(word).collect::<Vec<_>>().join(", "),
        Err(Pause::Look) => "look".to_owned(),
        Err(Pause::Wait) => "wait".to_owned(),
    }
}

fn insert(id: i64) -> Change {
    Change::Insert { relation: relation(1), new: row(id) }
}

/// An update that moves a row from one key to another; the identity row holds the key alone.
fn moving(from: i64, to: i64) -> Change {
    let key = from.to_be_bytes();
    let old = OldRow::Key(Row::build([Cell::Value(&key)].into_iter()));
    Change::Update { relation: relation(1), old, new: row(to) }
}

#[test]
fn rule_23_a_copied_part_needs_what_its_snapshot_does_not_see() {
    let gate = gate(copied(), State::Copying(snapshot()));
    assert_eq!(verdict(&gate, SEEN, &insert(1)), "");
    assert_eq!(verdict(&gate, UNSEEN, &insert(1)), "insert");
    assert_eq!(verdict(&gate, SEEN, &insert(100)), "", "the copy brings it");
    assert_eq!(verdict(&gate, UNSEEN, &insert(100)), "wait");
    assert_eq!(verdict(&gate, UNSEEN, &Change::Insert { relation: relation(2), new: row(1) }), "insert");
}

#[test]
fn rule_23_a_part_that_waits_drops_only_what_the_source_shows() {
    let gate = gate(State::Pending, State::Claimed);
    assert_eq!(verdict(&gate, SEEN, &insert(1)), "look");
    *gate.seen.lock().unwrap() = Some(snapshot());
    assert_eq!(verdict(&gate, SEEN, &insert(1)), "");
    assert_eq!(verdict(&gate, UNSEEN, &insert(1)), "look");
    assert_eq!(verdict(&gate, SEEN, &insert(100)), "wait", "its snapshot may be older than this");
}

#[test]
fn rule_23_a_row_that_moves_between_parts() {
    let later: Snapshot = "60:60:".parse().unwrap();
    let gate = gate(copied(), State::Copied(later, Lsn(9)));
    assert_eq!(verdict(&gate, UNSEEN, &moving(1, 2)), "update");
    assert_eq!(verdict(&gate, UNSEEN, &moving(1, 100)), "delete");
    assert_eq!(verdict(&gate, UNSEEN, &moving(100, 1)), "insert");
    assert_eq!(verdict(&gate, UNSEEN, &moving(100, 101)), "");
}

#[test]
fn rule_23_a_truncate_reaches_the_parts_that_were_copied_before_it() {
    let truncate = |relations: Vec<Arc<Relation>>| Change::Truncate { relations, restart_identity: false };
    let later: Snapshot = "60:60:".parse().unwrap();
    let gate = gate(copied(), State::Copied(later, Lsn(9)));
    assert_eq!(verdict(&gate, 70, &truncate(vec![relation(1)])), "truncate 1");
    assert_eq!(verdict(&gate, UNSEEN, &truncate(vec![relation(1)])), "erase [(None, Some(100))]");
    assert_eq!(verdict(&gate, SEEN, &truncate(vec![relation(1)])), "");
    // The partitioned table above would take all of its partition with it.
    let mut leaf = Arc::into_inner(relation(1)).unwrap();
    leaf.ancestors = vec![Ancestor { oid: 3, schema: "public".to_owned(), name: "t3".to_owned() }];
    assert_eq!(verdict(&gate, SEEN, &truncate(vec![relation(3), Arc::new(leaf)])), "");
}

#[test]
fn a_table_leaves_the_gate_behind_its_horizon() {
    let gate = gate(copied(), State::Copied(snapshot(), Lsn(9)));
    let horizon = |gate: &Gate| gate.lock()[&1].horizon();
    assert_eq!(horizon(&gate), Some(Lsn(9)));
    gate.part(1, 2, State::Pending);
    assert_eq!(horizon(&gate), None);
}
