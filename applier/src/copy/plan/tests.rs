//! Tests of the plan.

use super::super::tests::copy_table;
use super::*;
use crate::catalog::{KeyColumn, Table};
use crate::pg::Lsn;
use crate::state::parts::Landed;
use proptest::prelude::*;

#[test]
fn parts_are_open_at_both_ends() {
    let parts = ranges(&copy_table(7), &Unit::Blocks, &[10, 20]);
    let bounds: Vec<_> = parts.iter().map(|part| (part.part, part.lower, part.upper)).collect();
    assert_eq!(bounds, [(0, None, Some(10)), (1, Some(10), Some(20)), (2, Some(20), None)]);
    assert_eq!(ranges(&copy_table(7), &Unit::Blocks, &[])[0].unit, Unit::Table);
}

#[test]
fn a_key_without_the_column_keeps_a_table_whole() {
    let key = |name: &str| KeyColumn {
        name: name.into(),
        operator_schema: "pg_catalog".into(),
        operator: "=".into(),
    };
    let index = |columns: &[&str]| UniqueIndex {
        name: "i".into(),
        immediate: true,
        partial: false,
        nulls_not_distinct: false,
        columns: columns.iter().map(|name| key(name)).collect(),
    };
    let mut table = copy_table(7);
    let mut with = |indexes: &[&[&str]]| {
        let unique_indexes = indexes.iter().map(|columns| index(columns)).collect();
        table.target = Arc::new(Table { unique_indexes, ..(*table.target).clone() });
        keeps_apart(&table, "id")
    };
    assert!(with(&[]) && with(&[&["id"], &["mail", "id"]]));
    assert!(!with(&[&["id"], &["mail"]]));
    assert!(!with(&[&[]]));
}

#[test]
fn no_more_is_cut_than_keeps_all_workers_busy() {
    let cut = |megabytes: &[i64], jobs: usize| {
        let sizes = megabytes.iter().enumerate().map(|(at, size)| (at as u32, size << 20)).collect();
        let mut cut: Vec<u32> = unbalanced(sizes, jobs).into_iter().collect();
        cut.sort_unstable();
        cut
    };
    assert!(cut(&[400], 1).is_empty());
    assert_eq!(cut(&[400], 2), [0]);
    assert!(cut(&[60, 1], 2).is_empty());
    assert!(cut(&[170, 150, 35, 25], 2).is_empty());
    assert_eq!(cut(&[100, 100, 100, 100, 100], 4), [0]);
    assert_eq!(cut(&[25, 10_000, 35], 2), [1]);
    assert!(cut(&[], 2).is_empty());
}

#[test]
fn a_table_that_cannot_be_asked_about_stays_whole() {
    let error =
        |state: &str| Error::from(crate::pg::ServerError { code: state.into(), ..Default::default() });
    assert!(leaves_whole(&error("55P03")) && leaves_whole(&error("42P01")) && leaves_whole(&error("42501")));
    assert!(!leaves_whole(&error("57P01")) && !leaves_whole(&Error::unreachable("gone")));
}

#[test]
fn leaves_of_one_root_are_one_source() {
    let leaf = |oid: u32| {
        let mut table = copy_table(oid);
        table.source.ancestors = vec![(90, "public".into(), "root".into())];
        Arc::new(table)
    };
    assert_eq!(sources(&[leaf(1), leaf(2)])[&1], 1);
    assert_eq!(sources(&[leaf(1), Arc::new(copy_table(3))])[&1], 2);
}

#[test]
fn rule_23_half_a_table_of_blocks_is_worth_nothing_without_its_snapshot() {
    let landed = Landed { snapshot: "1:1:".parse().unwrap(), lsn: Lsn(1), rows: 5, bytes: 50, kept: 1 };
    let part = |source_oid, part, unit: &Unit, done: bool| Part {
        source_oid,
        part,
        unit: unit.clone(),
        lower: None,
        upper: None,
        landed: done.then(|| landed.clone()),
    };
    let key = Unit::Key("id".into());
    let parts = [
        part(1, 0, &Unit::Blocks, true),
        part(1, 1, &Unit::Blocks, false),
        part(2, 0, &Unit::Blocks, true),
        part(3, 0, &key, true),
        part(3, 1, &key, false),
        part(4, 0, &Unit::Blocks, false),
    ];
    let shared = Reading::Shared { snapshot: "1".into(), lsn: Lsn(1) };
    assert_eq!(broken(&parts, &shared), [1]);
    assert_eq!(broken(&parts, &Reading::Own), [1, 4]);
}

proptest! {
    #[test]
    fn bounds_rise_and_lie_inside(length in 0i64..1_000_000, count in 1i64..64) {
        let bounds = even(length, count);
        prop_assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(bounds.iter().all(|bound| (1..length).contains(bound)));
    }
}
