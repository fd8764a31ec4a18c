//! The destination's names.

use super::*;

#[test]
fn names_with_and_without_schema() {
    let leads = || vec![object("table", "crm.leads", 5)];
    let orders = || vec![object("table", "sales.orders", 6)];
    for (path, before, after, objects) in [
        (
            "public",
            "ALTER TABLE sales.orders ADD c int",
            r#"ALTER TABLE "archive".orders ADD c int"#,
            orders(),
        ),
        ("sales", "ALTER TABLE orders ADD c int", "ALTER TABLE orders ADD c int", orders()),
        ("crm", "ALTER TABLE leads ADD c int", r#"ALTER TABLE "eu"."leads_eu" ADD c int"#, leads()),
        (
            "a, crm",
            "ALTER TABLE ONLY Leads ADD c int",
            r#"ALTER TABLE ONLY "eu"."leads_eu" ADD c int"#,
            leads(),
        ),
        (
            "crm",
            "CREATE TABLE leads (id int, CHECK (leads.id > 0))",
            r#"CREATE TABLE "eu"."leads_eu" (id int, CHECK ("leads_eu".id > 0))"#,
            leads(),
        ),
        (
            "crm",
            "CREATE TABLE t (id int REFERENCES leads (id), l leads)",
            r#"CREATE TABLE t (id int REFERENCES "eu"."leads_eu" (id), l "eu"."leads_eu")"#,
            vec![object("table", "crm.t", 7)],
        ),
        (
            "crm",
            "COMMENT ON COLUMN leads.x IS 'leads'",
            r#"COMMENT ON COLUMN "eu"."leads_eu".x IS 'leads'"#,
            vec![part("table column", "crm.leads.x", 5)],
        ),
        (
            "crm",
            "CREATE FUNCTION f(leads.name%TYPE) RETURNS SETOF leads LANGUAGE c AS 'x'",
            r#"CREATE FUNCTION f("eu"."leads_eu".name%TYPE) RETURNS SETOF "eu"."leads_eu" LANGUAGE c AS 'x'"#,
            vec![object("function", "crm.f", 8)],
        ),
        (
            "crm",
            "CREATE VIEW v AS SELECT leads.x FROM leads",
            r#"CREATE VIEW v AS SELECT leads.x FROM "eu"."leads_eu" AS "leads""#,
            vec![object("view", "crm.v", 8)],
        ),
        (
            "crm",
            "CREATE VIEW v AS WITH leads AS (SELECT 1) SELECT * FROM leads",
            "CREATE VIEW v AS WITH leads AS (SELECT 1) SELECT * FROM leads",
            vec![object("view", "crm.v", 8)],
        ),
        (
            "crm",
            "CREATE TRIGGER t BEFORE INSERT ON leads EXECUTE FUNCTION f()",
            r#"CREATE TRIGGER t BEFORE INSERT ON "eu"."leads_eu" EXECUTE FUNCTION f()"#,
            vec![part("trigger", "t on crm.leads", 5)],
        ),
    ] {
        assert_eq!(database().texts(&captured("ALTER TABLE", before).of(objects).path(path)), [after]);
    }
    let drop = captured("DROP TABLE", "DROP TABLE leads").of(vec![gone(object("table", "crm.leads", 5))]);
    assert_eq!(database().texts(&drop.path("crm")), [r#"DROP TABLE "eu"."leads_eu""#]);
    let drop = captured("DROP TRIGGER", "DROP TRIGGER t ON leads").of(vec![gone(part(
        "trigger",
        "t on crm.leads",
        5,
    ))]);
    assert_eq!(database().texts(&drop.path("crm")), [r#"DROP TRIGGER t ON "eu"."leads_eu""#]);
    let grant = captured("GRANT", "GRANT SELECT ON leads TO joe").path("crm");
    assert_eq!(database().texts(&grant), [r#"GRANT SELECT ON "eu"."leads_eu" TO joe"#]);
    // Another table of that name is not the mapped one.
    let other =
        captured("ALTER TABLE", "ALTER TABLE leads ADD c int").of(vec![object("table", "a.leads", 7)]);
    assert_eq!(database().texts(&other.path("a, crm")), ["ALTER TABLE leads ADD c int"]);
}

#[test]
fn the_journal_tells_which_table_a_name_means() {
    let mut task = database();
    let view = || captured("CREATE VIEW", "CREATE VIEW v AS SELECT 1 FROM leads").path("a, crm");
    assert_eq!(task.texts(&view()), [r#"CREATE VIEW v AS SELECT 1 FROM "eu"."leads_eu""#]);
    task.map.set_table(("a".into(), "leads".into()), ("a".into(), "leads".into()));
    assert_eq!(task.texts(&view()), ["CREATE VIEW v AS SELECT 1 FROM leads"]);
}

#[test]
fn backslashes_of_old_strings() {
    let old = |text: &str, table: &str| {
        let mut captured = captured("COMMENT", text).of(vec![object("table", table, 5)]);
        captured.settings = vec![("standard_conforming_strings".into(), "off".into())];
        captured
    };
    let plain = r"COMMENT ON TABLE t IS 'a\'b'";
    assert_eq!(database().texts(&old(plain, "public.t")), [plain]);
    let mapped = old(r"COMMENT ON TABLE sales.t IS 'a\b'", "sales.t");
    assert!(database().error(&mapped).contains("standard_conforming_strings"));
}

#[test]
fn the_search_path_is_mapped() {
    let path = |path: &str| {
        database().run(&captured("CREATE TYPE", "CREATE TYPE t AS (a int)").path(path)).search_path
    };
    assert_eq!(path("\"$user\", sales"), r#""joe", "archive""#);
    assert_eq!(path("\"$user\",  public"), r#""joe", "public""#);
    assert_eq!(path("public,  app"), "public,  app");
    assert_eq!(path("\"\""), "\"\"");
}

#[test]
fn an_index_follows_its_table() {
    let index = Object { table: Some(5), ..object("index", "crm.i", 6) };
    let task = Task { chosen: vec![(5, "eu.leads_eu")], ..database() };
    for (text, to) in
        [("DROP INDEX crm.i", r#"DROP INDEX "eu".i"#), ("DROP INDEX i", r#"DROP INDEX "eu"."i""#)]
    {
        let drop = captured("DROP INDEX", text).of(vec![gone(index.clone())]).path("crm");
        assert_eq!(task.texts(&drop).concat().replace("\"i\"", "i"), to.replace("\"i\"", "i"));
    }
}

#[test]
fn renames() {
    let text = "ALTER TABLE sales.orders RENAME TO old_orders";
    let rename = captured("ALTER TABLE", text).of(vec![object("table", "sales.old_orders", 6)]);
    assert_eq!(database().texts(&rename), [r#"ALTER TABLE "archive".orders RENAME TO old_orders"#]);
    for (text, to) in [
        ("ALTER TABLE crm.leads RENAME TO x", "crm.x"),
        ("ALTER TABLE leads RENAME TO x", "crm.x"),
        ("ALTER TABLE crm.leads SET SCHEMA s", "s.leads"),
        ("ALTER TABLE leads SET SCHEMA s", "s.leads"),
    ] {
        let rename = captured("ALTER TABLE", text).of(vec![object("table", to, 5)]).path("crm");
        let (why, reason) = database().left(&rename);
        assert_eq!(
            (why, reason.as_str()),
            (Leave::NotCarried, "the table keeps its mapped name eu.leads_eu")
        );
    }
    let kept = Task { chosen: vec![(5, "eu.leads_eu")], ..database() };
    let later = captured("ALTER TABLE", "ALTER TABLE x ADD c int").of(vec![object("table", "crm.x", 5)]);
    assert_eq!(kept.texts(&later.path("crm")), [r#"ALTER TABLE "eu"."leads_eu" ADD c int"#]);
    let again = captured("ALTER TABLE", "ALTER TABLE x RENAME TO y").of(vec![object("table", "crm.y", 5)]);
    assert_eq!(kept.left(&again.path("crm")).0, Leave::NotCarried);
    let column = captured("ALTER TABLE", "ALTER TABLE leads RENAME a TO b").of(vec![part(
        "table column",
        "crm.leads.b",
        5,
    )]);
    assert_eq!(database().texts(&column.path("crm")), [r#"ALTER TABLE "eu"."leads_eu" RENAME a TO b"#]);
    let moved =
        captured("ALTER TABLE", "ALTER TABLE t SET SCHEMA sales").of(vec![object("table", "sales.t", 7)]);
    assert_eq!(database().texts(&moved), [r#"ALTER TABLE t SET SCHEMA "archive""#]);
    let schema = captured("ALTER SCHEMA", "ALTER SCHEMA sales RENAME TO x");
    assert!(database().error(&schema).contains("[[map]]"));
    let schema = captured("ALTER SCHEMA", "ALTER SCHEMA a RENAME TO b");
    assert_eq!(effects(&schema), [Effect::Schema { from: "a".into(), to: "b".into() }]);
    assert_eq!(database().texts(&schema), ["ALTER SCHEMA a RENAME TO b"]);
}

#[test]
fn a_mapped_table_goes_with_its_schema() {
    let drop = captured("DROP SCHEMA", "DROP SCHEMA crm CASCADE").of(vec![
        gone(Object {
            schema: None,
            name: Some("crm".into()),
            identity: "crm".into(),
            kind: "schema".into(),
            ..Object::default()
        }),
        Object { dropped: true, ..object("table", "crm.leads", 5) },
        Object { dropped: true, ..object("table", "crm.other", 6) },
    ]);
    assert_eq!(
        database().texts(&drop),
        [r#"DROP TABLE IF EXISTS "eu"."leads_eu" CASCADE"#, "DROP SCHEMA crm CASCADE"]
    );
}

#[test]
fn effects_on_tables() {
    let made = Object { command: "CREATE TABLE".into(), ..object("table", "public.t", 5) };
    let altered = Object { command: "ALTER TABLE".into(), ..object("table", "public.t", 5) };
    let captured = captured("CREATE SCHEMA", "CREATE SCHEMA s").of(vec![
        made,
        altered,
        gone(object("table", "public.u", 6)),
        object("view", "public.v", 7),
    ]);
    assert_eq!(
        effects(&captured),
        [Effect::Table { oid: 5, schema: "public".into(), name: "t".into() }, Effect::Gone { oid: 6 }]
    );
}
