//! The source's values.

use super::*;

fn alter(text: &str, values: &[(&str, &str)]) -> Captured {
    let mut captured = captured("ALTER TABLE", text).of(vec![object("table", "sales.t", 5)]);
    let values = values.iter().map(|(column, value)| ((*column).to_owned(), (*value).to_owned()));
    captured.facts.missing_values.insert(5, values.collect());
    captured
}

#[test]
fn a_default_of_the_source() {
    let one = alter(
        "ALTER TABLE sales.t ADD c timestamptz DEFAULT now() NOT NULL, ADD d int DEFAULT 1",
        &[("c", "2026-01-01 00:00:00+00"), ("d", "1")],
    );
    assert_eq!(
        database().texts(&one),
        [
            "ALTER TABLE \"archive\".t ADD COLUMN c timestamptz DEFAULT '2026-01-01 00:00:00+00'::timestamptz NOT NULL, \
         ADD COLUMN d int DEFAULT 1",
            "ALTER TABLE \"archive\".t ALTER COLUMN c SET DEFAULT now()",
        ]
    );
    let special = alter("ALTER TABLE sales.t ADD c date DEFAULT 'today'", &[("c", "2026-01-01")]);
    assert_eq!(
        database().texts(&special)[0],
        "ALTER TABLE \"archive\".t ADD COLUMN c date DEFAULT '2026-01-01'::date"
    );
    assert_eq!(database().texts(&special).len(), 1, "the default is the day of its definition");
    let text = alter("ALTER TABLE sales.t ADD c date DEFAULT 'today'::text::date", &[("c", "2026-01-01")]);
    assert_eq!(database().texts(&text).len(), 2, "the default is the day of its use");
    let rewritten = alter("ALTER TABLE sales.t ADD c uuid DEFAULT gen_random_uuid()", &[]);
    assert_eq!(
        database().texts(&rewritten),
        ["ALTER TABLE \"archive\".t ADD c uuid DEFAULT gen_random_uuid()"]
    );
}

#[test]
fn a_default_of_a_column_that_may_be_there() {
    let text = "ALTER TABLE sales.t ADD IF NOT EXISTS c timestamptz DEFAULT now(), ADD d int";
    let texts = database().texts(&alter(text, &[("c", "2026-01-01 00:00:00+00")]));
    assert_eq!(texts.len(), 2);
    assert!(
        texts[0].starts_with("DO '")
            && texts[0].contains("IF NOT EXISTS")
            && texts[0].contains("SET DEFAULT now()")
    );
    assert_eq!(texts[1], "ALTER TABLE \"archive\".t ADD COLUMN d int");
}

#[test]
fn a_default_that_nobody_tells() {
    let create = captured("CREATE TABLE", "CREATE TABLE t (a int, b timestamptz DEFAULT 'now')");
    let run = database().run(&create);
    assert_eq!(run.warnings, ["the default of b is the time at which the destination made the table"]);
    assert_eq!(run.statements, ["CREATE TABLE t (a int, b timestamptz DEFAULT 'now')"]);
    let create =
        captured("CREATE TABLE", "CREATE TABLE t (b timestamptz DEFAULT now(), c text DEFAULT 'a'::text)");
    assert!(database().run(&create).warnings.is_empty());
}

#[test]
fn bounds_of_the_source() {
    let bound = "FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')";
    let mut create = captured(
        "CREATE TABLE",
        "CREATE TABLE p PARTITION OF t FOR VALUES FROM (CURRENT_DATE) TO (now() + '1 month')",
    )
    .of(vec![object("table", "public.p", 5)]);
    create.facts.bounds.insert(5, bound.into());
    assert_eq!(database().texts(&create), [format!("CREATE TABLE p PARTITION OF t {bound}")]);
    let plain = "CREATE TABLE p PARTITION OF t FOR VALUES IN (1, 'x')";
    assert_eq!(database().texts(&captured("CREATE TABLE", plain)), [plain]);
    let mut attach = alter("ALTER TABLE sales.t ATTACH PARTITION q FOR VALUES IN (f())", &[]);
    assert!(database().error(&attach).contains("bounds"));
    attach.facts.bounds.insert(9, "FOR VALUES IN (3)".into());
    assert_eq!(database().texts(&attach), ["ALTER TABLE \"archive\".t ATTACH PARTITION q FOR VALUES IN (3)"]);
}

#[test]
fn rows_of_a_rewrite() {
    for (text, reason, needed) in [
        ("ALTER TABLE t ADD c uuid DEFAULT gen_random_uuid()", 2, true),
        ("ALTER TABLE t ADD c serial", 2, true),
        ("ALTER TABLE t ADD c int GENERATED ALWAYS AS IDENTITY", 2, true),
        ("ALTER TABLE t ADD c int GENERATED ALWAYS AS (a + 1) STORED", 2, false),
        ("ALTER TABLE t ALTER a TYPE bigint", 4, false),
        ("ALTER TABLE t ALTER a TYPE bigint USING a::bigint + 1", 4, false),
        ("ALTER TABLE t ALTER a TYPE bigint USING f(a)", 4, true),
        ("ALTER TABLE t ALTER a TYPE timestamp USING CURRENT_TIMESTAMP", 4, true),
        ("ALTER TABLE t ALTER a TYPE int USING (SELECT 1)", 4, true),
        ("ALTER TABLE t ALTER a TYPE bigint, ADD c date DEFAULT now()", 4, true),
        ("ALTER TABLE t SET LOGGED", 1, true),
        ("ALTER TABLE t SET UNLOGGED", 1, false),
        ("ALTER TABLE t SET ACCESS METHOD heap", 8, false),
    ] {
        let theirs = rows(&captured("ALTER TABLE", text), reason).expect(text) == Rows::Theirs;
        assert_eq!(theirs, needed, "{text}");
    }
    assert!(
        rows(&captured("ALTER TYPE", "ALTER TYPE t ALTER ATTRIBUTE a TYPE text CASCADE"), 4).expect("a type")
            == Rows::Theirs
    );
}

#[test]
fn tables_from_queries() {
    let columns = [
        NewColumn { name: "a".into(), type_text: "integer".into(), collation: None },
        NewColumn {
            name: "B".into(),
            type_text: "text".into(),
            collation: Some(("pg_catalog".into(), "C".into())),
        },
    ];
    let make = |tag: &str, text: &str| {
        create_table(&captured(tag, text), &("archive".into(), "t".into()), &columns).expect(text)
    };
    let list = r#"("a" integer, "B" text COLLATE "pg_catalog"."C")"#;
    assert_eq!(
        make(
            "CREATE TABLE AS",
            "CREATE UNLOGGED TABLE x USING heap WITH (fillfactor=70) TABLESPACE y AS SELECT 1"
        ),
        format!("CREATE UNLOGGED TABLE archive.t {list} USING \"heap\" WITH (fillfactor=70)")
    );
    assert_eq!(
        make("SELECT INTO", "SELECT a INTO x FROM y UNION SELECT 2"),
        format!("CREATE TABLE archive.t {list}")
    );
    assert_eq!(
        make("CREATE TABLE AS", "CREATE TABLE x AS EXECUTE p"),
        format!("CREATE TABLE archive.t {list}")
    );
    let run = database().run(&captured("CREATE TABLE AS", "CREATE TABLE sales.x AS SELECT random()"));
    assert!(run.statements.is_empty());
}
