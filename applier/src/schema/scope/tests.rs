//! What belongs to a task, by example.

use super::*;
use crate::schema::sample::{World, wanted};

/// Two tables, a view on each, an index, a trigger and a foreign key from the first to the second, a type of the first.
fn world() -> World {
    let mut world = World::default();
    world.object(1, "TYPE", "mood", 1247, &[]);
    world.relation(10, "TABLE", "orders", &[1]);
    world.relation(11, "TABLE", "people", &[]);
    world.relation(12, "VIEW", "late_orders", &[10]);
    world.relation(13, "VIEW", "names", &[11]);
    world.hanging(20, "INDEX", "orders_day", 10, &[10]);
    world.hanging(21, "TRIGGER", "orders noted", 10, &[10]);
    world.hanging(22, "FK CONSTRAINT", "orders person", 10, &[10, 11]);
    world
}

fn carried(scoped: &Scoped) -> Vec<i32> {
    let mut ids: Vec<i32> = scoped.verdicts.keys().copied().filter(|id| scoped.carries(*id)).collect();
    ids.sort_unstable();
    ids
}

fn told(scoped: &Scoped) -> Vec<&str> {
    scoped.left_out.iter().map(|left| left.object.as_str()).collect()
}

#[test]
fn everything_is_carried_by_the_database() {
    let scoped = world().ask(|ends| judge(ends, &wanted(Scope::Database, &|_| true)));
    assert_eq!(carried(&scoped), [1, 10, 11, 12, 13, 20, 21, 22]);
    assert!(scoped.left_out.is_empty() && scoped.missing.is_empty());
}

#[test]
fn what_needs_an_excluded_table_is_left_out_and_told() {
    let scoped = world().ask(|ends| judge(ends, &wanted(Scope::Database, &|chain| chain[0].2 != "people")));
    assert_eq!(carried(&scoped), [1, 10, 12, 20, 21]);
    assert_eq!(told(&scoped), ["VIEW public.names", "FK CONSTRAINT public.orders person"]);
    assert!(scoped.missing.is_empty());
}

#[test]
fn chosen_tables_bring_what_hangs_on_them_but_triggers() {
    let mut world = world();
    world.there.insert((1247, 99), ("public".to_owned(), "mood".to_owned()));
    let scoped = world.ask(|ends| judge(ends, &wanted(Scope::Tables, &|chain| chain[0].2 == "orders")));
    assert_eq!(carried(&scoped), [10, 20]);
    assert_eq!(told(&scoped), ["TRIGGER public.orders noted", "FK CONSTRAINT public.orders person"]);
    assert!(scoped.missing.is_empty());
}

#[test]
fn what_a_chosen_object_needs_is_named() {
    let choose = |chain: &[(u32, &str, &str)]| ["orders", "names"].contains(&chain[0].2);
    let scoped = world().ask(|ends| judge(ends, &wanted(Scope::Tables, &choose)));
    let missing: Vec<_> =
        scoped.missing.iter().map(|one| format!("{} by {}", one.object, one.needed_by)).collect();
    assert_eq!(
        missing,
        ["TYPE public.mood by TABLE public.orders", "TABLE public.people by VIEW public.names"]
    );
}

#[test]
fn indexes_are_left_out_if_so_set_but_not_those_of_the_stream() {
    let mut world = world();
    world.hanging(23, "INDEX", "orders_key", 10, &[10]);
    world.facts.attached.get_mut(&(2606, 23)).unwrap().is_key = true;
    let all = |_: &[(u32, &str, &str)]| true;
    let wanted = Wanted { indexes: false, ..wanted(Scope::Database, &all) };
    let scoped = world.ask(|ends| judge(ends, &wanted));
    assert!(scoped.carries(23) && !scoped.carries(20));
    assert_eq!(told(&scoped), ["INDEX public.orders_day"]);
}

#[test]
fn a_partition_is_asked_for_with_its_parent() {
    let mut world = world();
    world.relation(14, "TABLE", "orders_2024", &[10]);
    let partition = world.facts.relations.get_mut(&14).unwrap();
    (partition.parents, partition.is_partition) = (vec![10], true);
    world.there.insert((1247, 99), ("public".to_owned(), "mood".to_owned()));
    let choose = |chain: &[(u32, &str, &str)]| chain.iter().any(|(_, _, name)| *name == "orders");
    let scoped = world.ask(|ends| judge(ends, &wanted(Scope::Tables, &choose)));
    assert!(scoped.carries(14));
}

#[test]
fn a_sequence_goes_with_its_table_or_with_the_default_that_needs_it() {
    let mut world = world();
    world.relation(30, "SEQUENCE", "orders_id_seq", &[]);
    world.facts.relations.get_mut(&30).unwrap().owner_table = Some(10);
    world.relation(31, "SEQUENCE", "shared", &[]);
    world.relation(32, "SEQUENCE", "other", &[]);
    world.hanging(33, "DEFAULT", "orders number", 10, &[10, 31]);
    let scoped = world.ask(|ends| judge(ends, &wanted(Scope::Database, &|chain| chain[0].2 == "orders")));
    assert!(scoped.carries(30) && scoped.carries(31) && !scoped.carries(32));
}

#[test]
fn comments_share_the_fate_of_their_object() {
    let mut world = world();
    world.object(40, "COMMENT", "TABLE orders", 0, &[10]);
    world.object(41, "COMMENT", "TABLE people", 0, &[11]);
    let scoped = world.ask(|ends| judge(ends, &wanted(Scope::Database, &|chain| chain[0].2 == "orders")));
    assert!(scoped.carries(40) && !scoped.carries(41));
}

#[test]
fn a_partition_alone_misses_its_parent_and_not_the_parents_index() {
    let mut world = World::default();
    world.relation(10, "TABLE", "orders", &[]);
    world.relation(14, "TABLE", "orders_2024", &[]);
    world.hanging(20, "INDEX", "orders_day", 10, &[10]);
    world.hanging(24, "INDEX", "orders_2024_day", 14, &[14, 20]);
    world.hanging(25, "TABLE ATTACH", "orders_2024", 14, &[14, 10]);
    let choose = |chain: &[(u32, &str, &str)]| chain[0].2 == "orders_2024";
    let scoped = world.ask(|ends| judge(ends, &wanted(Scope::Tables, &choose)));
    let missing: Vec<_> = scoped.missing.iter().map(|one| one.object.as_str()).collect();
    assert_eq!(missing, ["TABLE public.orders"]);
    world.there.insert((1259, 99), ("public".to_owned(), "orders".to_owned()));
    let scoped = world.ask(|ends| judge(ends, &wanted(Scope::Tables, &choose)));
    assert!(scoped.missing.is_empty());
    assert_eq!(carried(&scoped), [14, 24, 25]);
}
