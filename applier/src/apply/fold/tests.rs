//! A folded batch leaves the same table as its changes one by one, or fails where one of them would (rule 9). The table is a
//! map here; its writer keeps the promises that the statements keep at the server.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use walferry_wire::tuple::Cell;

use super::{Fold, Run, Step};
use crate::apply::model::{Change, Column, OldRow, Relation, Row};
use crate::apply::target::{Key, Target};
use crate::catalog;

const INT4: u32 = 23;
const TEXT: u32 = 25;
const NUMERIC: u32 = 1700;

fn column(name: &str, identity: bool, type_oid: u32) -> Column {
    Column {
        name: name.to_owned(),
        binary: true,
        identity,
        type_oid,
        base_type_oid: type_oid,
        type_modifier: -1,
        type_schema: "pg_catalog".to_owned(),
        type_name: "t".to_owned(),
        collation: None,
    }
}

fn relation(key_type: u32) -> Arc<Relation> {
    Arc::new(Relation {
        id: 1,
        oid: 1,
        schema: "s".to_owned(),
        name: "t".to_owned(),
        ancestors: Vec::new(),
        full_identity: false,
        created_here: false,
        rewrite: false,
        not_sent: Vec::new(),
        columns: vec![column("id", true, key_type), column("a", false, TEXT), column("b", false, TEXT)],
    })
}

fn table(relation: &Relation, with_key: bool) -> Arc<catalog::Table> {
    let column = |source: &Column| catalog::Column {
        name: source.name.clone(),
        type_oid: source.type_oid,
        type_schema: source.type_schema.clone(),
        type_name: source.type_name.clone(),
        type_modifier: -1,
        base_type_oid: source.base_type_oid,
        base_array_oid: 1,
        is_enum: false,
        nondeterministic: false,
        not_null: source.identity,
        generated: false,
        always_identity: false,
    };
    let key = catalog::KeyColumn {
        name: "id".to_owned(),
        operator_schema: "pg_catalog".to_owned(),
        operator: "=".to_owned(),
    };
    let primary = catalog::UniqueIndex {
        name: "t_pkey".to_owned(),
        immediate: true,
        partial: false,
        nulls_not_distinct: false,
        columns: vec![key],
    };
    Arc::new(catalog::Table {
        oid: 1,
        schema: "s".to_owned(),
        name: "t".to_owned(),
        partitioned: false,
        has_firing_triggers: false,
        has_firing_rules: false,
        columns: relation.columns.iter().map(column).collect(),
        unique_indexes: if with_key { vec![primary] } else { Vec::new() },
    })
}

fn target(key_type: u32) -> Arc<Target> {
    let relation = relation(key_type);
    let table = table(&relation, true);
    Arc::new(Target::fit(1, relation, table, false).expect("a table that fits"))
}

/// What is done to one key. Values are one byte; `None` is a TOASTed value that did not change.
#[derive(Debug, Clone)]
enum Act {
    Insert(u8, [u8; 2]),
    Update(u8, [Option<u8>; 2]),
    Move(u8, u8, [Option<u8>; 2]),
    Delete(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let key = 0..4u8;
    prop_oneof![
        (key.clone(), any::<[u8; 2]>()).prop_map(|(key, values)| Act::Insert(key, values)),
        (key.clone(), any::<[Option<u8>; 2]>()).prop_map(|(key, values)| Act::Update(key, values)),
        (key.clone(), key.clone(), any::<[Option<u8>; 2]>())
            .prop_map(|(from, to, values)| Act::Move(from, to, values)),
        key.prop_map(Act::Delete),
    ]
}

fn row(key: u8, values: [Option<u8>; 2]) -> Row {
    let key = [0, 0, 0, key];
    let values = values.map(|value| value.map(|byte| [byte]));
    let [a, b] = &values;
    let cells = [
        Cell::Value(&key[..]),
        a.as_ref().map_or(Cell::Unchanged, |byte| Cell::Value(&byte[..])),
        b.as_ref().map_or(Cell::Unchanged, |byte| Cell::Value(&byte[..])),
    ];
    Row::build(cells.into_iter())
}

fn key_row(key: u8) -> Row {
    Row::build([Cell::Value(&[0, 0, 0, key][..])].into_iter())
}

fn change(relation: &Arc<Relation>, act: &Act) -> Change {
    let relation = relation.clone();
    match act {
        Act::Insert(key, values) => Change::Insert { relation, new: row(*key, values.map(Some)) },
        Act::Update(key, values) => Change::Update { relation, old: OldRow::None, new: row(*key, *values) },
        Act::Move(from, to, values) => {
            Change::Update { relation, old: OldRow::Key(key_row(*from)), new: row(*to, *values) }
        }
        Act::Delete(key) => Change::Delete { relation, old: OldRow::Key(key_row(*key)) },
    }
}

type Table = BTreeMap<Vec<u8>, Vec<Vec<u8>>>;

/// The cells of a row; the key first.
fn cells(row: &Row) -> Vec<Option<Vec<u8>>> {
    let owned = |cell: Cell<'_>| match cell {
        Cell::Value(value) => Some(value.to_vec()),
        Cell::Unchanged | Cell::Null => None,
    };
    row.cells().map(owned).collect()
}

fn insert(table: &mut Table, new: &Row) -> Option<()> {
    let cells: Vec<Vec<u8>> = cells(new).into_iter().collect::<Option<_>>()?;
    table.insert(cells[0].clone(), cells[1..].to_vec()).is_none().then_some(())
}

fn update(table: &mut Table, old: &[u8], new: &Row) -> Option<()> {
    let before = table.remove(old)?;
    let mut cells = cells(new).into_iter();
    let key = cells.next().flatten()?;
    let after = before.into_iter().zip(cells).map(|(old, new)| new.unwrap_or(old)).collect();
    table.insert(key, after).is_none().then_some(())
}

/// One by one: `None` where the server would have answered with a conflict.
fn one_by_one(mut table: Table, acts: &[Act]) -> Option<Table> {
    let id = |key: u8| vec![0, 0, 0, key];
    for act in acts {
        match act {
            Act::Insert(key, values) => insert(&mut table, &row(*key, values.map(Some)))?,
            Act::Update(key, values) => update(&mut table, &id(*key), &row(*key, *values))?,
            Act::Move(from, to, values) => update(&mut table, &id(*from), &row(*to, *values))?,
            Act::Delete(key) => table.remove(&id(*key)).map(|_| ())?,
        }
    }
    Some(table)
}

/// As the statements of a run do it: every count is asserted.
fn folded(mut table: Table, steps: &[Step]) -> Option<Table> {
    for step in steps {
        let Step::Run(run) = step else { panic!("a keyed table has runs only") };
        write(&mut table, run)?;
    }
    Some(table)
}

fn write(table: &mut Table, run: &Run) -> Option<()> {
    let id = |key: &Key| key[4..].to_vec();
    for key in &run.deletes {
        table.remove(&id(key))?;
    }
    for key in &run.absent {
        table.remove(&id(key)).is_none().then_some(())?;
    }
    for (key, new) in &run.updates {
        update(table, &id(key), new)?;
    }
    run.inserts.iter().try_for_each(|new| insert(table, new))
}

fn fold(target: &Arc<Target>, acts: &[Act]) -> Vec<Step> {
    let mut fold = Fold::default();
    for act in acts {
        fold.row(target, &change(&target.relation, act)).expect("a row that can be found");
    }
    fold.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Where the changes fit the table, the folded ones leave the same; where they do not, the folded ones fail too, so that
    /// ordered mode gets to see the conflict.
    #[test]
    fn rule_09_folded_equals_one_by_one(
        start in proptest::collection::btree_map(0..4u8, any::<[u8; 2]>(), 0..4),
        acts in proptest::collection::vec(act(), 0..12),
        key_type in proptest::sample::select(vec![INT4, NUMERIC]),
    ) {
        let start: Table = start.into_iter()
            .map(|(key, [a, b])| (vec![0, 0, 0, key], vec![vec![a], vec![b]])).collect();
        let steps = fold(&target(key_type), &acts);
        prop_assert_eq!(folded(start.clone(), &steps), one_by_one(start, &acts));
    }
}

#[test]
fn rule_09_many_updates_of_one_key_are_one() {
    let acts: Vec<Act> = (0..100).map(|n| Act::Update(1, [Some(n), None])).collect();
    let steps = fold(&target(INT4), &acts);
    assert!(matches!(&steps[..], [Step::Run(run)] if run.updates.len() == 1));
}

#[test]
fn rule_09_keys_that_may_be_equal_in_other_bytes_are_not_folded() {
    let acts = [Act::Update(1, [Some(1), None]), Act::Update(1, [Some(2), None])];
    assert_eq!(fold(&target(NUMERIC), &acts).len(), 2);
}

#[test]
fn rule_16_a_change_that_cannot_be_identified_is_an_error() {
    let target = target(INT4);
    let relation = target.relation.clone();
    let change = Change::Delete { relation, old: OldRow::Unidentifiable };
    let error = Fold::default().row(&target, &change).expect_err("no identity");
    assert!(error.to_string().contains("REPLICA IDENTITY FULL"), "{error}");
}

#[test]
fn rows_without_a_unique_index_keep_their_order_among_inserts() {
    let relation = relation(INT4);
    let table = table(&relation, false);
    let target = Arc::new(Target::fit(1, relation, table, false).expect("fits"));
    let acts = [Act::Insert(1, [1, 1]), Act::Insert(1, [1, 1]), Act::Delete(1), Act::Insert(1, [1, 1])];
    let steps = fold(&target, &acts);
    assert!(matches!(&steps[..], [Step::Run(two), Step::Image { .. }, Step::Run(one)]
        if two.inserts.len() == 2 && one.inserts.len() == 1));
}
