//! Plans, by example.

use super::*;
use crate::schema::sample::{World, wanted};

fn plan(world: &World) -> Plan {
    world.ask(|ends| Plan::new(ends, &wanted(Scope::Database, &|_| true))).unwrap()
}

fn names(plan: &Plan) -> Vec<(Pass, &str)> {
    plan.steps.iter().map(|step| (step.pass, step.object.as_str())).collect()
}

/// A table with a key, an index, a comment on the key, a grant and an event trigger.
fn world() -> World {
    let mut world = World::default();
    world.relation(10, "TABLE", "orders", &[]);
    world.hanging(20, "INDEX", "orders_day", 10, &[10]);
    world.hanging(21, "CONSTRAINT", "orders orders_pkey", 10, &[10]);
    world.facts.attached.get_mut(&(2606, 21)).unwrap().is_key = true;
    world.object(30, "COMMENT", "CONSTRAINT orders_pkey ON orders", 0, &[21]);
    world.last().section = Section::None;
    world.object(31, "ACL", "TABLE orders", 0, &[10]);
    world.last().definition = "GRANT SELECT ON TABLE public.orders TO joe;\n".to_owned();
    world.object(32, "EVENT TRIGGER", "noted", 3466, &[]);
    world.last().schema = None;
    world.roles.grantees.insert("joe".to_owned());
    world
}

#[test]
fn passes_follow_one_another() {
    let plan = plan(&world());
    assert_eq!(
        names(&plan),
        [
            (Pass::Before, "SCHEMA public"),
            (Pass::Before, "TABLE public.orders"),
            (Pass::Keys, "CONSTRAINT public.orders orders_pkey"),
            (Pass::After, "INDEX public.orders_day"),
            (Pass::After, "COMMENT ON CONSTRAINT orders_pkey ON orders IN public"),
            (Pass::Grants, "ACL ON TABLE orders IN public"),
            (Pass::Last, "EVENT TRIGGER noted"),
        ]
    );
    assert_eq!(plan.steps[3].rows, Rows::Of(10));
    assert_eq!(plan.steps[3].locks, [(10, Lock::Shared)]);
}

#[test]
fn a_schema_of_the_destination_is_used() {
    let mut world = world();
    world.there.insert((2615, 5), (String::new(), "public".to_owned()));
    assert_eq!(plan(&world).steps[0].object, "TABLE public.orders");
    // One that the task made is in the plan, so that the journal knows it.
    world.made.insert("SCHEMA public".to_owned());
    assert_eq!(plan(&world).steps[0].object, "SCHEMA public");
}

#[test]
fn what_is_in_the_way_is_named_unless_it_is_ours() {
    let mut world = world();
    world.there.insert((1259, 5), ("public".to_owned(), "orders".to_owned()));
    let in_the_way = plan(&world).present;
    assert_eq!(in_the_way, [("TABLE public.orders".to_owned(), "TABLE public.orders".to_owned())]);
    world.made.insert("TABLE public.orders".to_owned());
    assert!(plan(&world).present.is_empty());
}

#[test]
fn a_role_that_is_not_there_costs_its_grants_and_policies_alone() {
    let mut world = world();
    world.roles.grantees.clear();
    world.hanging(40, "POLICY", "orders p", 10, &[10]);
    world.last().definition = "CREATE POLICY p ON public.orders TO joe;\n".to_owned();
    world.archive.entries[0].owner = "joe".to_owned();
    let plan = plan(&world);
    assert!(!names(&plan).iter().any(|(_, name)| name.starts_with("ACL") || name.starts_with("POLICY")));
    let told: Vec<_> = plan.left_out.iter().map(|left| left.object.as_str()).collect();
    assert_eq!(
        told,
        [
            "ROLE joe: owner of TABLE public.orders",
            "ROLE joe: privileges of ACL ON TABLE orders IN public",
            "ROLE joe: subject of POLICY public.orders p"
        ]
    );
}

#[test]
fn filled_views_are_filled_in_order() {
    let mut world = World::default();
    world.relation(10, "MATERIALIZED VIEW", "first", &[]);
    world.relation(11, "VIEW", "between", &[10]);
    world.relation(12, "MATERIALIZED VIEW", "second", &[11]);
    world.relation(13, "MATERIALIZED VIEW", "empty", &[]);
    for oid in [10, 12] {
        world.facts.relations.get_mut(&oid).unwrap().is_filled = true;
    }
    let plan = plan(&world);
    let last: Vec<_> = plan.pass(Pass::Last).collect();
    assert_eq!(last.len(), 2);
    assert_eq!(last[1].after, [last[0].id]);
    assert!(last[0].statements[0].contains("REFRESH MATERIALIZED VIEW \"public\".\"first\""));
}

#[test]
fn what_was_begun_in_two_steps_goes_on_so() {
    let mut world = world();
    let index = "CREATE UNIQUE INDEX orders_pkey ON public.orders USING btree (id)".to_owned();
    world.facts.attached.get_mut(&(2606, 21)).unwrap().index = Some(index);
    let definition = "ALTER TABLE ONLY public.orders\n    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);\n";
    world.archive.entries[2].definition = definition.to_owned();
    let keys =
        |world: &World| plan(world).pass(Pass::Keys).map(|step| step.object.clone()).collect::<Vec<_>>();
    let (first, whole) =
        ("INDEX OF CONSTRAINT public.orders orders_pkey", "CONSTRAINT public.orders orders_pkey");
    assert_eq!(keys(&world), [whole]);
    world.facts.relations.get_mut(&10).unwrap().pages = split::LARGE;
    assert_eq!(keys(&world), [first, whole]);
    // Made as one while the table was small.
    world.made.insert(whole.to_owned());
    assert_eq!(keys(&world), [whole]);
    world.made = [first.to_owned()].into();
    world.facts.relations.get_mut(&10).unwrap().pages = 0;
    assert_eq!(keys(&world), [first, whole]);
}
