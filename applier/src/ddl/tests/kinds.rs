//! What is carried and what is in scope.

use super::*;

#[test]
fn what_needs_no_change_comes_byte_for_byte() {
    let table = || vec![object("table", "public.t", 5)];
    for (tag, text) in [
        ("ALTER TABLE", "alter  TABLE t /* why */ ADD c int DEFAULT 1,\n DROP d"),
        ("ALTER TABLE", "ALTER TABLE t ADD c text DEFAULT 'x'::text NOT NULL CHECK (c <> '')"),
        (
            "CREATE TABLE",
            "CREATE TABLE IF NOT EXISTS t (LIKE u INCLUDING ALL, id serial PRIMARY KEY) INHERITS (v)",
        ),
        ("CREATE TABLE", "CREATE UNLOGGED TABLE t OF tt"),
        ("CREATE TRIGGER", "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"),
        ("COMMENT", "COMMENT ON TABLE t IS 'TABLESPACE x'"),
        ("ALTER TABLE", "ALTER TABLE t REPLICA IDENTITY FULL"),
        ("CREATE INDEX", "CREATE INDEX i ON t (a)"),
    ] {
        assert_eq!(database().texts(&captured(tag, text).of(table())), [text]);
    }
    for (tag, text) in [
        ("CREATE SCHEMA", "CREATE SCHEMA s CREATE TABLE t (a int) CREATE VIEW v AS SELECT 1"),
        ("CREATE FUNCTION", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1$$"),
        ("ALTER TYPE", "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'x' BEFORE 'y'"),
        ("CREATE EXTENSION", "CREATE EXTENSION hstore"),
        ("ALTER DEFAULT PRIVILEGES", "ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO joe"),
        ("REASSIGN OWNED", "REASSIGN OWNED BY a TO b"),
        ("GRANT", "GRANT SELECT ON t TO joe WITH GRANT OPTION"),
        ("CREATE EVENT TRIGGER", "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f()"),
        ("REFRESH MATERIALIZED VIEW", "REFRESH MATERIALIZED VIEW CONCURRENTLY v"),
        ("CREATE MATERIALIZED VIEW", "CREATE MATERIALIZED VIEW v AS SELECT now()"),
    ] {
        assert_eq!(database().texts(&captured(tag, text)), [text]);
    }
}

#[test]
fn what_is_never_carried() {
    for (tag, text) in [
        ("CREATE TABLESPACE", "CREATE TABLESPACE x LOCATION '/x'"),
        ("CREATE PUBLICATION", "CREATE PUBLICATION p FOR ALL TABLES"),
        ("CREATE FOREIGN TABLE", "CREATE FOREIGN TABLE f (a int) SERVER s"),
        ("COMMENT", "COMMENT ON ROLE joe IS 'x'"),
        ("COMMENT", "COMMENT ON DATABASE d IS 'x'"),
        ("GRANT", "GRANT CONNECT ON DATABASE d TO joe"),
        ("SECURITY LABEL", "SECURITY LABEL FOR x ON TABLE t IS 'y'"),
        ("CREATE TABLE", "CREATE TEMP TABLE t (a int)"),
        ("CREATE TABLE AS", "CREATE TEMP TABLE t AS SELECT 1"),
        ("SELECT INTO", "SELECT 1 AS a INTO TEMP t"),
        ("ALTER TABLE", "ALTER TABLE t SET TABLESPACE x"),
        ("ALTER TABLE", "ALTER TABLE ALL IN TABLESPACE x SET TABLESPACE y"),
        ("REINDEX", "REINDEX TABLE t"),
        ("TRUNCATE TABLE", "TRUNCATE t"),
    ] {
        let (why, reason) = database().left(&captured(tag, text));
        assert_eq!(why, Leave::NotCarried, "{text}: {reason}");
    }
    let foreign =
        captured("ALTER TABLE", "ALTER TABLE t ADD c int").of(vec![object("foreign table", "public.t", 1)]);
    assert_eq!(database().left(&foreign).0, Leave::NotCarried);
}

#[test]
fn texts_that_are_not_there() {
    let secret = Captured { statement: None, withheld: Some("secret".into()), ..captured("CREATE ROLE", "") };
    assert_eq!(database().left(&secret).0, Leave::NotCarried);
    let unknown =
        Captured { statement: None, withheld: Some("unknown".into()), ..captured("CREATE TABLE", "") };
    assert!(database().error(&unknown).contains("by hand"));
    assert!(database().error(&captured("CREATE TABLE", "CREATE TABLE (")).contains("syntax error"));
    assert!(
        database().error(&captured("CREATE TABLE", "CREATE TABLE a (); DROP TABLE b")).contains("several")
    );
}

#[test]
fn tablespaces_are_taken_out() {
    let of = |tag: &str, text: &str| database().texts(&captured(tag, text));
    assert_eq!(
        of("CREATE TABLE", "CREATE TABLE t (a int PRIMARY KEY USING INDEX TABLESPACE y) TABLESPACE x"),
        ["CREATE TABLE t (a int PRIMARY KEY)"]
    );
    assert_eq!(of("CREATE INDEX", "CREATE INDEX i ON t (a) TABLESPACE x"), ["CREATE INDEX i ON t (a)"]);
    assert_eq!(
        of("ALTER TABLE", "ALTER TABLE t SET TABLESPACE x, ADD c int"),
        ["ALTER TABLE t ADD COLUMN c int"]
    );
    assert_eq!(
        of("CREATE MATERIALIZED VIEW", "CREATE MATERIALIZED VIEW v TABLESPACE x AS SELECT 1"),
        ["CREATE MATERIALIZED VIEW v AS SELECT 1"]
    );
}

#[test]
fn excluded_tables_and_what_hangs_on_them() {
    let out = |tag: &str, text: &str, objects: Vec<Object>| {
        let (why, reason) = database().left(&captured(tag, text).of(objects));
        assert_eq!(why, Leave::OutOfScope, "{text}: {reason}");
    };
    let table = || object("table", "public.audit_x", 5);
    out(
        "CREATE TABLE",
        "CREATE TABLE audit_x (a serial)",
        vec![Object { table: Some(5), ..object("sequence", "public.audit_x_a_seq", 6) }, table()],
    );
    out("ALTER TABLE", "ALTER TABLE audit_x ADD c int", vec![table()]);
    out("DROP TABLE", "DROP TABLE audit_x", vec![gone(table())]);
    out(
        "CREATE INDEX",
        "CREATE INDEX i ON audit_x (a)",
        vec![Object { table: Some(5), ..object("index", "public.i", 6) }],
    );
    out(
        "CREATE TRIGGER",
        "CREATE TRIGGER t AFTER INSERT ON audit_x EXECUTE FUNCTION f()",
        vec![part("trigger", "t on public.audit_x", 5)],
    );
    out("COMMENT", "COMMENT ON COLUMN audit_x.c IS ''", vec![part("table column", "public.audit_x.c", 5)]);
    out("GRANT", "GRANT SELECT ON audit_x, public.audit_y TO joe", vec![]);
    out("CREATE VIEW", "CREATE VIEW v AS SELECT * FROM public.audit_x", vec![object("view", "public.v", 7)]);
    out(
        "CREATE TABLE",
        "CREATE TABLE p1 PARTITION OF audit_x DEFAULT",
        vec![object("table", "public.p1", 7)],
    );
    let attach = "ALTER TABLE t ATTACH PARTITION audit_x DEFAULT";
    out("ALTER TABLE", attach, vec![object("table", "public.t", 7)]);
    let kept = captured("CREATE INDEX", "CREATE INDEX i ON m (a)")
        .of(vec![Object { table: Some(8), ..object("index", "public.i", 6) }]);
    assert_eq!(database().texts(&kept), ["CREATE INDEX i ON m (a)"]);
}

#[test]
fn of_several_only_what_is_in_scope() {
    let drop = captured("DROP TABLE", "DROP TABLE a, audit_x, tmp CASCADE").of(vec![
        gone(object("table", "public.a", 1)),
        gone(object("table", "public.audit_x", 2)),
        gone(Object { temporary: true, ..object("table", "pg_temp.tmp", 3) }),
    ]);
    assert_eq!(database().texts(&drop), ["DROP TABLE a CASCADE"]);
    let grant = captured("GRANT", "GRANT SELECT ON public.audit_x, a TO joe");
    assert_eq!(database().texts(&grant), ["GRANT select ON a TO joe"]);
    let there =
        captured("DROP VIEW", "DROP VIEW IF EXISTS nope, v").of(vec![gone(object("view", "public.v", 1))]);
    assert_eq!(database().texts(&there), ["DROP VIEW IF EXISTS v"]);
    let function = Object {
        name: None,
        identity: "public.f(integer)".into(),
        ..gone(object("function", "public.f", 1))
    };
    let text = "DROP FUNCTION IF EXISTS f(int), g(text)";
    let drop = captured("DROP FUNCTION", text).of(vec![function]);
    assert_eq!(database().texts(&drop), ["DROP FUNCTION IF EXISTS f(int)"]);
    let trigger = Object { name: None, ..gone(part("trigger", "t on public.a", 1)) };
    let drop = captured("DROP TRIGGER", "DROP TRIGGER IF EXISTS t ON a").of(vec![trigger]);
    assert_eq!(database().texts(&drop), ["DROP TRIGGER IF EXISTS t ON a"]);
}

#[test]
fn foreign_keys_to_what_is_not_chosen() {
    let text =
        "CREATE TABLE t (a int REFERENCES public.audit_x, b int, FOREIGN KEY (b) REFERENCES public.audit_x)";
    let run = database().run(&captured("CREATE TABLE", text).of(vec![object("table", "public.t", 5)]));
    assert_eq!(run.statements, ["CREATE TABLE t (a int, b int)"]);
    assert_eq!(run.warnings.len(), 2);
    let text = "ALTER TABLE t ADD FOREIGN KEY (b) REFERENCES public.audit_x";
    let (why, _) = database().left(&captured("ALTER TABLE", text).of(vec![object("table", "public.t", 5)]));
    assert_eq!(why, Leave::OutOfScope);
}

#[test]
fn scope_tables_takes_the_tables_and_their_indexes() {
    let task = tables(&[(5, "public.t")]);
    let t = || object("table", "public.t", 5);
    let index = || Object { table: Some(5), ..object("index", "public.i", 6) };
    for (tag, text, objects) in [
        ("ALTER TABLE", "ALTER TABLE t ADD c int, DROP d, ADD CHECK (c > 1)", vec![t()]),
        ("ALTER TABLE", "ALTER TABLE t RENAME c TO d", vec![part("table column", "public.t.d", 5)]),
        ("ALTER TABLE", "ALTER TABLE t RENAME TO u", vec![object("table", "public.u", 5)]),
        ("ALTER TABLE", "ALTER TABLE t SET SCHEMA s", vec![object("table", "s.t", 5)]),
        ("DROP TABLE", "DROP TABLE t", vec![gone(t())]),
        ("CREATE INDEX", "CREATE INDEX i ON t (a)", vec![index()]),
        ("ALTER INDEX", "ALTER INDEX i RENAME TO j", vec![index()]),
        ("DROP INDEX", "DROP INDEX i", vec![gone(index())]),
    ] {
        assert_eq!(task.texts(&captured(tag, text).of(objects)), [text]);
    }
    let partition = "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1)";
    let made = captured("CREATE TABLE", partition).of(vec![object("table", "public.t1", 7)]);
    assert_eq!(task.texts(&made), [partition]);
    let key = "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES other";
    assert_eq!(task.texts(&captured("ALTER TABLE", key).of(vec![t()])), [key]);
    let run = task.run(&captured("ALTER TABLE", "ALTER TABLE t ADD c int, OWNER TO x").of(vec![t()]));
    assert_eq!((run.statements, run.warnings.len()), (vec!["ALTER TABLE t ADD COLUMN c int".to_owned()], 1));
    for (tag, text, objects) in [
        ("ALTER TABLE", "ALTER TABLE u ADD c int", vec![object("table", "public.u", 8)]),
        ("ALTER TABLE", "ALTER TABLE t ENABLE ROW LEVEL SECURITY", vec![t()]),
        ("CREATE TABLE", "CREATE TABLE u (a int)", vec![object("table", "public.u", 8)]),
        ("DROP TABLE", "DROP TABLE u", vec![gone(object("table", "public.u", 8))]),
        ("CREATE FUNCTION", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''", vec![]),
        (
            "CREATE TRIGGER",
            "CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()",
            vec![part("trigger", "g on public.t", 5)],
        ),
        ("GRANT", "GRANT SELECT ON t TO joe", vec![]),
        ("DROP VIEW", "DROP VIEW v", vec![gone(object("view", "public.v", 9))]),
    ] {
        assert_eq!(task.left(&captured(tag, text).of(objects)).0, Leave::OutOfScope, "{text}");
    }
    let cascade = captured("DROP SCHEMA", "DROP SCHEMA public CASCADE")
        .of(vec![Object { dropped: true, ..object("table", "public.t", 5) }]);
    assert_eq!(task.texts(&cascade), [r#"DROP TABLE IF EXISTS "public"."t" CASCADE"#]);
}

#[test]
fn without_indexes_only_unique_ones() {
    let task = Task { indexes: false, ..database() };
    let index =
        || vec![Object { table: Some(5), ..object("index", "public.i", 6) }, object("table", "public.t", 5)];
    assert_eq!(
        task.left(&captured("CREATE INDEX", "CREATE INDEX i ON t (a)").of(index())).0,
        Leave::OutOfScope
    );
    let unique = "CREATE UNIQUE INDEX i ON t (a)";
    assert_eq!(task.texts(&captured("CREATE INDEX", unique).of(index())), [unique]);
    let drop = captured("DROP INDEX", "DROP INDEX i").of(vec![gone(index().remove(0))]);
    assert_eq!(task.texts(&drop), ["DROP INDEX IF EXISTS i"]);
    let rename = captured("ALTER INDEX", "ALTER INDEX i RENAME TO j").of(index());
    assert_eq!(task.texts(&rename), ["ALTER INDEX IF EXISTS i RENAME TO j"]);
}

#[test]
fn drop_owned_is_what_it_dropped() {
    let drop = captured("DROP OWNED", "DROP OWNED BY joe").of(vec![
        gone(object("table", "sales.orders", 1)),
        Object { dropped: true, ..part("index", "sales.orders_pkey", 1) },
        gone(object("table", "public.audit_x", 2)),
        gone(Object { identity: "sales.f(integer)".into(), ..object("function", "sales.f", 3) }),
    ]);
    let run = database().run(&drop);
    assert_eq!(
        run.statements[..2],
        [
            r#"DROP TABLE IF EXISTS "archive".orders CASCADE"#,
            r#"DROP FUNCTION IF EXISTS "archive".f(integer) CASCADE"#
        ]
    );
    let [revoke] = &run.statements[2..] else { panic!("{:?}", run.statements) };
    assert!(revoke.starts_with("DO ") && revoke.contains(r#"THEN DROP OWNED BY "joe""#), "{revoke}");
}

#[test]
fn what_runs_outside() {
    let index = || Object { table: Some(5), ..object("index", "sales.i", 6) };
    let text = "CREATE INDEX CONCURRENTLY ON sales.t (a)";
    let outside = database().run(&captured("CREATE INDEX", text).of(vec![index()])).outside.expect("outside");
    assert_eq!(outside.statement, r#"CREATE INDEX CONCURRENTLY "i" ON "archive".t (a)"#);
    assert_eq!(outside.clean, [r#"DROP INDEX CONCURRENTLY IF EXISTS "archive"."i""#]);
    assert!(outside.is_done.contains("indisvalid") && outside.is_done.contains(r#"'"archive"."i"'"#));
    let drop = captured("DROP INDEX", "DROP INDEX CONCURRENTLY i").of(vec![gone(index())]);
    let outside = database().run(&drop.path("sales")).outside.expect("outside");
    assert_eq!(outside.is_done, r#"SELECT pg_catalog.to_regclass('"archive"."i"') IS NULL"#);
    let detach = |text: &str| captured("ALTER TABLE", text).of(vec![object("table", "public.t", 5)]);
    let text = "ALTER TABLE t DETACH PARTITION t1 CONCURRENTLY";
    let outside = database().run(&detach(text)).outside.expect("outside");
    assert_eq!(outside.statement, text);
    let again =
        database().run(&detach("ALTER TABLE t DETACH PARTITION t1 FINALIZE")).outside.expect("outside");
    assert_eq!(again, outside);
    let old = Task { server: 13, ..database() }.run(&detach(text));
    assert_eq!((old.statements, old.outside), (vec!["ALTER TABLE t DETACH PARTITION t1".to_owned()], None));
}
