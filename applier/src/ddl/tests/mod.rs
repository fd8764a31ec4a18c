//! Statements before and after, kind by kind.

mod kinds;
mod names;
mod values;

use super::captured::Facts;
use super::*;
use crate::config::{Mapping, NamePattern, Objects};
use crate::pg::Lsn;

/// A task: what is excluded, what is mapped, which tables the journal has.
pub struct Task {
    database: bool,
    choice: Choice,
    map: NameMap,
    chosen: Vec<(u32, &'static str)>,
    indexes: bool,
    server: u32,
}

/// Everything but `*.audit_*`; `sales` goes to `archive`, `crm.leads` to `eu.leads_eu`.
pub fn database() -> Task {
    let rule = |from: (&str, Option<&str>), to: (&str, Option<&str>)| Mapping {
        schema: from.0.into(),
        table: from.1.map(Into::into),
        to_schema: to.0.into(),
        to_table: to.1.map(Into::into),
    };
    let map = NameMap::new(&[
        rule(("sales", None), ("archive", None)),
        rule(("crm", Some("leads")), ("eu", Some("leads_eu"))),
    ]);
    let pattern = |text: &str| NamePattern::try_from(text.to_owned()).expect(text);
    let objects = Objects { exclude: vec![pattern("*.audit_*")], ..Objects::default() };
    Task { database: true, choice: Choice::new(&objects), map, chosen: Vec::new(), indexes: true, server: 17 }
}

/// The tables with these oids and names at the destination, and no others.
pub fn tables(chosen: &[(u32, &'static str)]) -> Task {
    Task { database: false, chosen: chosen.to_vec(), map: NameMap::default(), ..database() }
}

impl Task {
    fn plan_result(&self, captured: &Captured) -> crate::error::Result<Plan> {
        let split =
            |name: &str| name.split_once('.').map(|(schema, name)| (schema.to_owned(), name.to_owned()));
        let renamed = |oid| self.chosen.iter().find(|(one, _)| *one == oid).and_then(|(_, name)| split(name));
        let chosen = |oid| self.chosen.iter().any(|(one, _)| *one == oid);
        plan(
            captured,
            &Around {
                database: self.database,
                choice: &self.choice,
                map: &self.map,
                renamed: &renamed,
                chosen: &chosen,
                indexes: self.indexes,
                server: self.server,
            },
        )
    }

    pub fn plan(&self, captured: &Captured) -> Plan {
        self.plan_result(captured).unwrap_or_else(|error| panic!("{:?}: {error}", captured.statement))
    }

    pub fn run(&self, captured: &Captured) -> Run {
        match self.plan(captured) {
            Plan::Run(run) => run,
            Plan::Leave { reason, .. } => panic!("{:?} is left: {reason}", captured.statement),
        }
    }

    pub fn left(&self, captured: &Captured) -> (Leave, String) {
        match self.plan(captured) {
            Plan::Run(run) => panic!("{:?} is run: {run:?}", captured.statement),
            Plan::Leave { why, reason } => (why, reason),
        }
    }

    pub fn texts(&self, captured: &Captured) -> Vec<String> {
        self.run(captured).statements
    }

    pub fn error(&self, captured: &Captured) -> String {
        self.plan_result(captured).expect_err("no plan").to_string()
    }
}

/// A statement with nothing known of it.
pub fn captured(tag: &str, text: &str) -> Captured {
    Captured {
        lsn: Lsn(1),
        tag: tag.into(),
        username: "joe".into(),
        superuser: false,
        captured_at: "2026-01-01 00:00:00+00".into(),
        search_path: "\"$user\", public".into(),
        statement: Some(text.into()),
        withheld: None,
        settings: vec![("standard_conforming_strings".into(), "on".into())],
        objects: Vec::new(),
        objects_json: "null".into(),
        facts: Facts::default(),
        mark: None,
        step: Step::Done,
    }
}

/// An object: its kind, `schema.name` and oid.
pub fn object(kind: &str, name: &str, oid: u32) -> Object {
    let (schema, own) = name.split_once('.').expect("a name with a schema");
    Object {
        kind: kind.into(),
        schema: Some(schema.into()),
        name: Some(own.into()),
        identity: name.into(),
        oid,
        ..Object::default()
    }
}

/// What hangs on a table, by its identity.
pub fn part(kind: &str, identity: &str, table: u32) -> Object {
    Object { kind: kind.into(), identity: identity.into(), table: Some(table), oid: 9, ..Object::default() }
}

pub fn gone(object: Object) -> Object {
    Object { dropped: true, original: true, ..object }
}

impl Captured {
    pub fn of(mut self, objects: Vec<Object>) -> Self {
        self.objects = objects;
        self.objects_json = "[...]".into();
        self
    }

    pub fn path(mut self, path: &str) -> Self {
        self.search_path = path.into();
        self
    }
}

#[test]
fn fields_are_read() {
    let field = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    let none = |name: &str| (name.to_owned(), None);
    let mut fields = vec![
        field("id", "7"),
        field("lsn", "0/1"),
        field("captured_at", "2026-01-01"),
        field("username", "joe"),
        field("tag", "ALTER TABLE"),
        field("search_path", "public"),
        field("statement", "ALTER TABLE t ADD c int"),
        none("withheld"),
        field("settings", r#"{"is_superuser":"on","TimeZone":"UTC"}"#),
        field(
            "objects",
            r#"[{"type":"table","schema":"public","name":"t","oid":16384,"identity":"public.t"}]"#,
        ),
        field("facts", r#"{"missing_values":{"16384":{"c":"1"}}}"#),
        none("mark"),
    ];
    let read = Captured::read(true, Lsn(1), &fields).expect("a row of ddl_log");
    assert_eq!((read.superuser, read.step, read.objects[0].oid), (true, Step::Done, 16384));
    assert_eq!(read.facts.missing_values[&16384]["c"], "1");
    fields.extend([
        field("step", "rewrite"),
        field("first", "3"),
        field("relation", "16384"),
        field("reason", "2"),
    ]);
    let mark = Captured::read(false, Lsn(1), &fields).expect("a row of ddl_mark");
    assert_eq!(mark.step, Step::Rewrite { first: 3, relation: 16384, reason: 2 });
    assert!(!mark.knows_objects());
    fields.retain(|(name, _)| name != "tag");
    let error = Captured::read(true, Lsn(1), &fields).expect_err("no tag");
    assert_eq!(error.class(), crate::error::Class::Protocol);
}
