//! Examples of statements before and after.

mod kinds;
mod queries;

use super::*;
use crate::config::Mapping;

/// `sales` goes to `Archive`, `crm."Leads"` to `crm.leads_eu`, `crm.deals` to `eu.deals`.
fn rewriter() -> Rewriter {
    let rule = |from: (&str, Option<&str>), to: (&str, Option<&str>)| Mapping {
        schema: from.0.into(),
        table: from.1.map(Into::into),
        to_schema: to.0.into(),
        to_table: to.1.map(Into::into),
    };
    let mut map = NameMap::new(&[
        rule(("sales", None), ("Archive", None)),
        rule(("crm", Some("Leads")), ("crm", Some("leads_eu"))),
        rule(("crm", Some("deals")), ("eu", Some("deals"))),
    ]);
    map.follow("crm", "deals", "deals_id_seq");
    map.follow("crm", "deals", "deals_pkey");
    map.rename_index("sales", "orders_pkey", "c_1_orders_pkey_key");
    map.rename_constraint("sales", "orders", "orders_pkey", "c_1_orders_pkey_key");
    map.rename_index("sales", "by_day", "i_2_by_day_key");
    Rewriter::new(map)
}

fn rewrite(sql: &str) -> Rewritten {
    rewriter().rewrite(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Each pair: before, after.
fn hold(examples: &[(&str, &str)]) {
    for (before, after) in examples {
        let made = rewrite(before);
        assert_eq!(made.sql, *after);
        assert_eq!(made.unseen, Vec::<String>::new(), "{before}");
    }
}

fn keep(statements: &[&str]) {
    for sql in statements {
        let made = rewrite(sql);
        assert_eq!(made, Rewritten::unchanged(sql));
    }
}

#[test]
fn tables_and_what_they_have() {
    hold(&[
        (
            "CREATE TABLE sales.orders (\n    id integer DEFAULT nextval('sales.orders_id_seq'::regclass) NOT NULL,\n    sales text,\n    mood sales.mood DEFAULT 'sales'::sales.mood,\n    CONSTRAINT c CHECK ((sales.fn(id) OPERATOR(sales.=) 1))\n)\nPARTITION BY LIST (sales);",
            "CREATE TABLE \"Archive\".orders (\n    id integer DEFAULT nextval('\"Archive\".orders_id_seq'::regclass) NOT NULL,\n    sales text,\n    mood \"Archive\".mood DEFAULT 'sales'::\"Archive\".mood,\n    CONSTRAINT c CHECK ((\"Archive\".fn(id) OPERATOR(\"Archive\".=) 1))\n)\nPARTITION BY LIST (sales);",
        ),
        (
            r#"CREATE TABLE x.a (l crm."Leads"[]) INHERITS (crm."Leads", crm.deals);"#,
            r#"CREATE TABLE x.a (l crm."leads_eu"[]) INHERITS (crm."leads_eu", "eu".deals);"#,
        ),
        (
            r#"ALTER TABLE crm."Leads" ADD CONSTRAINT c CHECK (("Leads".* IS NOT NULL));"#,
            r#"ALTER TABLE crm."leads_eu" ADD CONSTRAINT c CHECK (("leads_eu".* IS NOT NULL));"#,
        ),
        (
            "ALTER TABLE ONLY sales.orders ATTACH PARTITION sales.orders_1 FOR VALUES IN ('sales');",
            r#"ALTER TABLE ONLY "Archive".orders ATTACH PARTITION "Archive".orders_1 FOR VALUES IN ('sales');"#,
        ),
        (
            "ALTER SEQUENCE crm.deals_id_seq OWNED BY crm.deals.id;",
            r#"ALTER SEQUENCE "eu".deals_id_seq OWNED BY "eu".deals.id;"#,
        ),
        (
            "ALTER TABLE crm.deals ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (\n    SEQUENCE NAME crm.deals_id_seq\n    START WITH 1\n);",
            "ALTER TABLE \"eu\".deals ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (\n    SEQUENCE NAME \"eu\".deals_id_seq\n    START WITH 1\n);",
        ),
        (
            "ALTER TABLE ONLY x.t ALTER COLUMN id SET DEFAULT nextval(('sales.s'::text)::regclass);",
            r#"ALTER TABLE ONLY x.t ALTER COLUMN id SET DEFAULT nextval(('"Archive".s'::text)::regclass);"#,
        ),
        (
            r#"ALTER TABLE ONLY x.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES crm."Leads"(id) ON DELETE CASCADE;"#,
            r#"ALTER TABLE ONLY x.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES crm."leads_eu"(id) ON DELETE CASCADE;"#,
        ),
        (
            "ALTER TABLE ONLY x.t ADD CONSTRAINT e EXCLUDE USING gist (a sales.ops WITH OPERATOR(sales.=));",
            r#"ALTER TABLE ONLY x.t ADD CONSTRAINT e EXCLUDE USING gist (a "Archive".ops WITH OPERATOR("Archive".=));"#,
        ),
        (
            "COMMENT ON COLUMN crm.deals.deals IS 'crm.deals';",
            r#"COMMENT ON COLUMN "eu".deals.deals IS 'crm.deals';"#,
        ),
        (
            "CREATE TRIGGER t BEFORE INSERT ON crm.deals FOR EACH ROW WHEN ((new.id > 0)) EXECUTE FUNCTION sales.f('x');",
            r#"CREATE TRIGGER t BEFORE INSERT ON "eu".deals FOR EACH ROW WHEN ((new.id > 0)) EXECUTE FUNCTION "Archive".f('x');"#,
        ),
        ("COMMENT ON TRIGGER t ON crm.deals IS 'x';", r#"COMMENT ON TRIGGER t ON "eu".deals IS 'x';"#),
        ("REVOKE ALL ON TABLE crm.deals FROM sales;", r#"REVOKE ALL ON TABLE "eu".deals FROM sales;"#),
        (
            "CREATE STATISTICS sales.s ON a, b FROM crm.deals;",
            r#"CREATE STATISTICS "Archive".s ON a, b FROM "eu".deals;"#,
        ),
        ("COPY sales.orders (id) FROM stdin;", r#"COPY "Archive".orders (id) FROM stdin;"#),
    ]);
}

#[test]
fn indexes_and_constraints_with_new_names() {
    hold(&[
        (
            "CREATE INDEX by_day ON sales.orders USING btree (sales);",
            r#"CREATE INDEX "i_2_by_day_key" ON "Archive".orders USING btree (sales);"#,
        ),
        (
            "CREATE INDEX by_day ON other.t USING btree (day);",
            "CREATE INDEX by_day ON other.t USING btree (day);",
        ),
        (
            "ALTER TABLE ONLY sales.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (id);",
            r#"ALTER TABLE ONLY "Archive".orders ADD CONSTRAINT "c_1_orders_pkey_key" PRIMARY KEY (id);"#,
        ),
        (
            "ALTER INDEX sales.by_day ATTACH PARTITION sales.orders_pkey;",
            r#"ALTER INDEX "Archive"."i_2_by_day_key" ATTACH PARTITION "Archive"."c_1_orders_pkey_key";"#,
        ),
        (
            "COMMENT ON INDEX sales.by_day IS 'by_day';",
            r#"COMMENT ON INDEX "Archive"."i_2_by_day_key" IS 'by_day';"#,
        ),
        (
            "COMMENT ON CONSTRAINT orders_pkey ON sales.orders IS 'x';",
            r#"COMMENT ON CONSTRAINT "c_1_orders_pkey_key" ON "Archive".orders IS 'x';"#,
        ),
        (
            "ALTER TABLE ONLY sales.orders REPLICA IDENTITY USING INDEX by_day;",
            r#"ALTER TABLE ONLY "Archive".orders REPLICA IDENTITY USING INDEX "i_2_by_day_key";"#,
        ),
        (
            "ALTER TABLE sales.orders CLUSTER ON by_day;",
            r#"ALTER TABLE "Archive".orders CLUSTER ON "i_2_by_day_key";"#,
        ),
        (
            "ALTER TABLE sales.orders VALIDATE CONSTRAINT orders_pkey;",
            r#"ALTER TABLE "Archive".orders VALIDATE CONSTRAINT "c_1_orders_pkey_key";"#,
        ),
        (
            "ALTER INDEX crm.deals_pkey ALTER COLUMN 1 SET STATISTICS 5;",
            r#"ALTER INDEX "eu".deals_pkey ALTER COLUMN 1 SET STATISTICS 5;"#,
        ),
        (
            "CREATE RULE r AS ON INSERT TO x.t DO INSTEAD INSERT INTO sales.orders (id) VALUES (new.id) ON CONFLICT ON CONSTRAINT orders_pkey DO NOTHING;",
            r#"CREATE RULE r AS ON INSERT TO x.t DO INSTEAD INSERT INTO "Archive".orders (id) VALUES (new.id) ON CONFLICT ON CONSTRAINT "c_1_orders_pkey_key" DO NOTHING;"#,
        ),
    ]);
}

#[test]
fn what_no_parser_reads_is_reported() {
    let plpgsql = "CREATE FUNCTION sales.f() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM 1 FROM crm.\"Leads\"; END$$;";
    let made = rewrite(plpgsql);
    assert_eq!(made.sql, plpgsql.replace("sales.f", "\"Archive\".f"));
    assert_eq!(made.unseen, ["crm.\"Leads\""]);
    let reports = |sql: &str| rewrite(sql).unseen;
    assert_eq!(reports("DO $$BEGIN DROP TABLE SALES.x; END$$"), ["sales"]);
    assert_eq!(reports("CREATE VIEW x.v AS SELECT has_table_privilege('sales.orders', 'select')"), ["sales"]);
    assert_eq!(
        reports("CREATE FUNCTION x.f() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM \"Leads\"';"),
        ["crm.\"Leads\""]
    );
    assert_eq!(reports("CREATE TRIGGER t BEFORE INSERT ON x.t EXECUTE FUNCTION x.f('sales.cfg')"), ["sales"]);
    assert!(reports("CREATE FUNCTION x.f() RETURNS int LANGUAGE c AS '$libdir/sales', 'sales'").is_empty());
}

#[test]
fn what_names_nothing_mapped_stays_byte_for_byte() {
    keep(&[
        "CREATE TABLE public.sales (sales integer, CONSTRAINT sales CHECK ((sales.* IS NOT NULL)));",
        "CREATE ROLE sales LOGIN;  -- sales.x",
        "COMMENT ON TABLE public.t IS 'it''s sales.orders';",
        "this is not SQL at all",
        "CREATE VIEW v AS SELECT (sales.x).y, orders.x FROM x.sales, crm.orders /* crm.\"Leads\" */;",
        "CREATE VIEW v AS SELECT \"Leads\".id FROM x.\"Leads\";",
        "SELECT 1 PARTITION FROM crm.\"LEADS\"",
    ]);
}

#[test]
fn what_cannot_be_parsed_is_refused_by_reason() {
    assert!(rewriter().rewrite("SELECT db.sales.t.c FROM db.sales.t").is_err());
    let error = rewriter().rewrite("CREATE TABLE sales.x (").expect_err("a syntax error");
    assert!(error.to_string().contains("syntax error"), "{error}");
}

#[test]
fn a_schema_may_be_called_like_a_keyword() {
    let rule = Mapping { schema: "data".into(), table: None, to_schema: "list".into(), to_table: None };
    let rewriter = Rewriter::new(NameMap::new(&[rule]));
    let sql = "CREATE TABLE data.list (data data.data) PARTITION BY LIST (data); CREATE MATERIALIZED VIEW data.v AS SELECT 1 WITH NO DATA; ALTER TABLE data.t ALTER data SET DATA TYPE data.data";
    let made = rewriter.rewrite(sql).expect("a keyword of no account");
    assert_eq!(
        made.sql,
        r#"CREATE TABLE "list".list (data "list".data) PARTITION BY LIST (data); CREATE MATERIALIZED VIEW "list".v AS SELECT 1 WITH NO DATA; ALTER TABLE "list".t ALTER data SET DATA TYPE "list".data"#
    );
}

#[test]
fn deep_expressions_are_no_trouble() {
    let chain = vec!["sales.f(x)"; 300].join(" || ");
    let made = rewrite(&format!("CREATE VIEW x.v AS SELECT {chain} FROM x.t;"));
    assert_eq!(made.sql.matches("\"Archive\".f").count(), 300);
}

#[test]
fn every_way_of_quoting_is_read() {
    hold(&[
        ("SELECT SALES.f(), Sales.\"F\"();", "SELECT \"Archive\".f(), \"Archive\".\"F\"();"),
        ("SELECT nextval('sales'\n  '.s');", "SELECT nextval('\"Archive\".s');"),
        ("SELECT nextval(E'sales\\x2es');", "SELECT nextval('\"Archive\".s');"),
        ("SELECT nextval($a$sales.s$a$);", "SELECT nextval($a$\"Archive\".s$a$);"),
        ("SELECT nextval(U&'s\\0061les.s');", "SELECT nextval('\"Archive\".s');"),
        ("SELECT U&\"s\\0061les\".f(1);", "SELECT \"Archive\".f(1);"),
        ("SELECT/*sales.f*/sales . /**/ f(1) -- sales", "SELECT/*sales.f*/\"Archive\" . /**/ f(1) -- sales"),
    ]);
    let custom = "SELECT U&\"s!0061les\" UESCAPE '!' .f(1)";
    assert!(rewriter().rewrite(custom).is_err(), "refused rather than overlooked");
}

#[test]
fn words_are_found_however_they_are_quoted() {
    let mentions = |sql: &str| rewriter().may_mention(sql);
    assert!(
        mentions("E'\\nSales.x'")
            && mentions("'sales'")
            && mentions("\"sales\".x")
            && mentions("U&\"\\0041\"")
    );
    assert!(!mentions("wholesales.orders, sales_2") && !mentions(""));
    let rule =
        |schema: &str| Mapping { schema: schema.into(), table: None, to_schema: "x".into(), to_table: None };
    let odd = Rewriter::new(NameMap::new(&[rule("it's \"odd\"")]));
    assert!(odd.may_mention("nextval('\"it''s \"\"odd\"\"\".s')") && !odd.may_mention("it is odd"));
    assert_eq!(
        odd.rewrite("SELECT nextval('\"it''s \"\"odd\"\"\".s'::regclass)").expect("a name in a name").sql,
        "SELECT nextval('\"x\".s'::regclass)"
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn an_empty_mapping_changes_nothing(sql in ".*") {
        let made = Rewriter::new(NameMap::default()).rewrite(&sql);
        proptest::prop_assert_eq!(made.expect("nothing to do"), Rewritten::unchanged(&sql));
    }

    /// Whatever a name is made of, it is found and replaced, and comes back by the opposite rule.
    #[test]
    fn any_name_goes_and_comes_back(from in "[a-zA-Z0-9 .'\"\\\\é$%_-]{1,20}", to in "[a-z .'\"\\\\ü$]{1,20}") {
        proptest::prop_assume!(from != to && from != "other" && to != "other");
        let rule = |schema: &str, to: &str| {
            let rule = Mapping { schema: schema.into(), table: None, to_schema: to.into(), to_table: None };
            Rewriter::new(NameMap::new(&[rule]))
        };
        let text = |schema: &str| {
            let name = quote::ident(schema);
            let string = quote::literal(&format!("{name}.s"));
            format!("CREATE TABLE {name}.t (a {name}.b DEFAULT nextval({string}::regclass), CHECK (other.f({name}.g(a))))")
        };
        let there = rule(&from, &to).rewrite(&text(&from)).expect("a statement").sql;
        proptest::prop_assert_eq!(&there, &text(&to));
        let back = rule(&to, &from).rewrite(&there).expect("a statement").sql;
        proptest::prop_assert_eq!(back, text(&from));
    }
}
