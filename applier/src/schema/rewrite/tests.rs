//! Examples of statements before and after.

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
fn schemas() {
    hold(&[
        ("CREATE SCHEMA sales;", r#"CREATE SCHEMA "Archive";"#),
        ("ALTER SCHEMA sales OWNER TO sales;", r#"ALTER SCHEMA "Archive" OWNER TO sales;"#),
        ("COMMENT ON SCHEMA sales IS 'sales.x';", r#"COMMENT ON SCHEMA "Archive" IS 'sales.x';"#),
        ("GRANT USAGE ON SCHEMA sales TO sales;", r#"GRANT USAGE ON SCHEMA "Archive" TO sales;"#),
        (
            "CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA sales;",
            r#"CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA "Archive";"#,
        ),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE sales IN SCHEMA sales GRANT SELECT ON TABLES TO sales;",
            r#"ALTER DEFAULT PRIVILEGES FOR ROLE sales IN SCHEMA "Archive" GRANT SELECT ON TABLES TO sales;"#,
        ),
        (
            "GRANT SELECT ON ALL TABLES IN SCHEMA sales TO x;",
            r#"GRANT SELECT ON ALL TABLES IN SCHEMA "Archive" TO x;"#,
        ),
        ("ALTER TABLE x.t SET SCHEMA sales;", r#"ALTER TABLE x.t SET SCHEMA "Archive";"#),
        ("DROP SCHEMA a, sales;", r#"DROP SCHEMA a, "Archive";"#),
    ]);
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
fn a_renamed_table_in_a_query_has_its_old_name_as_alias() {
    hold(&[
        (
            r#"CREATE VIEW x.v AS SELECT "Leads".id, d.sales FROM (crm."Leads" JOIN crm.deals d ON (("Leads".id = d.id)));"#,
            r#"CREATE VIEW x.v AS SELECT "Leads".id, d.sales FROM (crm."leads_eu" AS "Leads" JOIN "eu".deals d ON (("Leads".id = d.id)));"#,
        ),
        (
            r#"CREATE VIEW x.v AS SELECT id FROM ONLY (crm."Leads") WHERE ("Leads".* IS NULL);"#,
            r#"CREATE VIEW x.v AS SELECT id FROM ONLY (crm."leads_eu") AS "Leads" WHERE ("Leads".* IS NULL);"#,
        ),
        (
            r#"CREATE VIEW x.v AS SELECT id FROM crm."Leads" l;"#,
            r#"CREATE VIEW x.v AS SELECT id FROM crm."leads_eu" l;"#,
        ),
        (
            r#"CREATE VIEW x.v AS SELECT id FROM crm."Leads";"#,
            r#"CREATE VIEW x.v AS SELECT id FROM crm."leads_eu";"#,
        ),
        (
            r#"CREATE MATERIALIZED VIEW sales.m AS SELECT crm."Leads".id, sales.t.id, sales.t.* FROM crm."Leads", sales.t WITH NO DATA;"#,
            r#"CREATE MATERIALIZED VIEW "Archive".m AS SELECT "Leads".id, "Archive".t.id, "Archive".t.* FROM crm."leads_eu" AS "Leads", "Archive".t WITH NO DATA;"#,
        ),
        (
            r#"CREATE RULE r AS ON UPDATE TO crm."Leads" DO INSTEAD UPDATE crm."Leads" SET a = new.a WHERE ("Leads".id = old.id) RETURNING "Leads".a;"#,
            r#"CREATE RULE r AS ON UPDATE TO crm."leads_eu" DO INSTEAD UPDATE crm."leads_eu" AS "Leads" SET a = new.a WHERE ("Leads".id = old.id) RETURNING "Leads".a;"#,
        ),
        (
            r#"CREATE VIEW x.v AS SELECT sales.id FROM x.sales FOR UPDATE OF sales;"#,
            r#"CREATE VIEW x.v AS SELECT sales.id FROM x.sales FOR UPDATE OF sales;"#,
        ),
    ]);
}

#[test]
fn a_policys_table_is_renamed_in_its_expressions() {
    hold(&[
        (
            r#"CREATE POLICY p ON crm."Leads" USING ((EXISTS ( SELECT 1 FROM x.t WHERE (t.id = "Leads".id))));"#,
            r#"CREATE POLICY p ON crm."leads_eu" USING ((EXISTS ( SELECT 1 FROM x.t WHERE (t.id = "leads_eu".id))));"#,
        ),
        (
            r#"CREATE POLICY p ON crm."Leads" USING ((id IN ( SELECT "Leads".id FROM crm."Leads" WHERE ("Leads".x = 1))));"#,
            r#"CREATE POLICY p ON crm."leads_eu" USING ((id IN ( SELECT "Leads".id FROM crm."leads_eu" AS "Leads" WHERE ("Leads".x = 1))));"#,
        ),
    ]);
    let taken = r#"CREATE POLICY p ON crm."Leads" USING ((EXISTS (SELECT 1 FROM x.leads_eu WHERE (leads_eu.id = "Leads".id))));"#;
    assert!(rewriter().rewrite(taken).is_err());
}

#[test]
fn objects_of_every_kind() {
    hold(&[
        (
            "CREATE TYPE sales.mood AS ENUM (\n    'sales'\n);",
            "CREATE TYPE \"Archive\".mood AS ENUM (\n    'sales'\n);",
        ),
        (
            "CREATE TYPE sales.c AS (\n\ta sales.mood\n);",
            "CREATE TYPE \"Archive\".c AS (\n\ta \"Archive\".mood\n);",
        ),
        (
            "CREATE TYPE sales.r AS RANGE (\n    subtype = sales.mood,\n    multirange_type_name = sales.mr,\n    subtype_diff = sales.diff\n);",
            "CREATE TYPE \"Archive\".r AS RANGE (\n    subtype = \"Archive\".mood,\n    multirange_type_name = \"Archive\".mr,\n    subtype_diff = \"Archive\".diff\n);",
        ),
        (
            "CREATE DOMAIN sales.d AS sales.mood COLLATE sales.c CONSTRAINT k CHECK (sales.f(VALUE));",
            r#"CREATE DOMAIN "Archive".d AS "Archive".mood COLLATE "Archive".c CONSTRAINT k CHECK ("Archive".f(VALUE));"#,
        ),
        (
            "COMMENT ON CONSTRAINT k ON DOMAIN sales.d IS 'x';",
            r#"COMMENT ON CONSTRAINT k ON DOMAIN "Archive".d IS 'x';"#,
        ),
        (
            "ALTER TYPE sales.mood ADD VALUE 'b' AFTER 'sales';",
            r#"ALTER TYPE "Archive".mood ADD VALUE 'b' AFTER 'sales';"#,
        ),
        ("GRANT ALL ON TYPE sales.mood TO x;", r#"GRANT ALL ON TYPE "Archive".mood TO x;"#),
        ("ALTER TYPE sales.mood OWNER TO sales;", r#"ALTER TYPE "Archive".mood OWNER TO sales;"#),
        (
            "CREATE AGGREGATE sales.a(sales.mood) (\n    SFUNC = sales.f,\n    STYPE = sales.mood,\n    SORTOP = OPERATOR(sales.<)\n);",
            "CREATE AGGREGATE \"Archive\".a(\"Archive\".mood) (\n    SFUNC = \"Archive\".f,\n    STYPE = \"Archive\".mood,\n    SORTOP = OPERATOR(\"Archive\".<)\n);",
        ),
        (
            "GRANT ALL ON FUNCTION sales.f(sales.mood) TO x;",
            r#"GRANT ALL ON FUNCTION "Archive".f("Archive".mood) TO x;"#,
        ),
        (
            "CREATE OPERATOR sales.= (\n    FUNCTION = sales.eq,\n    LEFTARG = sales.mood,\n    COMMUTATOR = OPERATOR(sales.=),\n    RESTRICT = eqsel\n);",
            "CREATE OPERATOR \"Archive\".= (\n    FUNCTION = \"Archive\".eq,\n    LEFTARG = \"Archive\".mood,\n    COMMUTATOR = OPERATOR(\"Archive\".=),\n    RESTRICT = eqsel\n);",
        ),
        (
            "ALTER OPERATOR sales.= (sales.mood, NONE) OWNER TO x;",
            r#"ALTER OPERATOR "Archive".= ("Archive".mood, NONE) OWNER TO x;"#,
        ),
        (
            "CREATE OPERATOR CLASS sales.oc\n    DEFAULT FOR TYPE sales.mood USING btree FAMILY sales.of AS\n    OPERATOR 1 sales.<(sales.mood,sales.mood) FOR ORDER BY sales.fam ,\n    FUNCTION 1 (sales.mood, sales.mood) sales.cmp(sales.mood,sales.mood);",
            "CREATE OPERATOR CLASS \"Archive\".oc\n    DEFAULT FOR TYPE \"Archive\".mood USING btree FAMILY \"Archive\".of AS\n    OPERATOR 1 \"Archive\".<(\"Archive\".mood,\"Archive\".mood) FOR ORDER BY \"Archive\".fam ,\n    FUNCTION 1 (\"Archive\".mood, \"Archive\".mood) \"Archive\".cmp(\"Archive\".mood,\"Archive\".mood);",
        ),
        (
            "ALTER OPERATOR FAMILY sales.of USING btree OWNER TO x;",
            r#"ALTER OPERATOR FAMILY "Archive".of USING btree OWNER TO x;"#,
        ),
        (
            "COMMENT ON OPERATOR CLASS sales.oc USING btree IS 'x';",
            r#"COMMENT ON OPERATOR CLASS "Archive".oc USING btree IS 'x';"#,
        ),
        (
            "CREATE CAST (sales.a AS sales.b) WITH FUNCTION sales.f(sales.a) AS IMPLICIT;",
            r#"CREATE CAST ("Archive".a AS "Archive".b) WITH FUNCTION "Archive".f("Archive".a) AS IMPLICIT;"#,
        ),
        ("COMMENT ON CAST (sales.a AS text) IS 'x';", r#"COMMENT ON CAST ("Archive".a AS text) IS 'x';"#),
        (
            "CREATE COLLATION sales.c (provider = libc, locale = 'C');",
            r#"CREATE COLLATION "Archive".c (provider = libc, locale = 'C');"#,
        ),
        (
            "CREATE CONVERSION sales.c FOR 'UTF8' TO 'LATIN1' FROM sales.f;",
            r#"CREATE CONVERSION "Archive".c FOR 'UTF8' TO 'LATIN1' FROM "Archive".f;"#,
        ),
        (
            "CREATE TEXT SEARCH DICTIONARY sales.d (\n    TEMPLATE = sales.t,\n    language = 'english' );",
            "CREATE TEXT SEARCH DICTIONARY \"Archive\".d (\n    TEMPLATE = \"Archive\".t,\n    language = 'english' );",
        ),
        (
            "CREATE TEXT SEARCH PARSER sales.p (\n    START = sales.a );",
            "CREATE TEXT SEARCH PARSER \"Archive\".p (\n    START = \"Archive\".a );",
        ),
        (
            "CREATE TEXT SEARCH CONFIGURATION sales.c (\n    PARSER = sales.p );",
            "CREATE TEXT SEARCH CONFIGURATION \"Archive\".c (\n    PARSER = \"Archive\".p );",
        ),
        (
            "ALTER TEXT SEARCH CONFIGURATION sales.c\n    ADD MAPPING FOR sales WITH sales.d, simple;",
            "ALTER TEXT SEARCH CONFIGURATION \"Archive\".c\n    ADD MAPPING FOR sales WITH \"Archive\".d, simple;",
        ),
        (
            "CREATE EVENT TRIGGER sales ON ddl_command_end\n   EXECUTE FUNCTION sales.f();",
            "CREATE EVENT TRIGGER sales ON ddl_command_end\n   EXECUTE FUNCTION \"Archive\".f();",
        ),
        (
            "CREATE PROCEDURAL LANGUAGE l HANDLER sales.h INLINE sales.i;",
            r#"CREATE PROCEDURAL LANGUAGE l HANDLER "Archive".h INLINE "Archive".i;"#,
        ),
        (
            "CREATE ACCESS METHOD m TYPE TABLE HANDLER sales.h;",
            r#"CREATE ACCESS METHOD m TYPE TABLE HANDLER "Archive".h;"#,
        ),
        (
            "CREATE VIEW x.v AS SELECT a.x COLLATE sales.c, a.\"R\" FROM x.a TABLESAMPLE sales.m (1) ORDER BY a.x USING OPERATOR(sales.<);",
            "CREATE VIEW x.v AS SELECT a.x COLLATE \"Archive\".c, a.\"R\" FROM x.a TABLESAMPLE \"Archive\".m (1) ORDER BY a.x USING OPERATOR(\"Archive\".<);",
        ),
    ]);
}

#[test]
fn names_in_strings() {
    hold(&[
        (
            "ALTER TABLE x.t ALTER a SET DEFAULT 'sales.f(sales.mood, integer)'::regprocedure;",
            r#"ALTER TABLE x.t ALTER a SET DEFAULT '"Archive".f("Archive".mood, integer)'::regprocedure;"#,
        ),
        ("SELECT 'crm.\"Leads\"[]'::regtype;", r#"SELECT 'crm."leads_eu"[]'::regtype;"#),
        (
            "SELECT 'sales'::regnamespace, 'sales.='::regoper;",
            r#"SELECT '"Archive"'::regnamespace, '"Archive".='::regoper;"#,
        ),
        ("SELECT nextval('sales.s'), E'sales\\n';", "SELECT nextval('\"Archive\".s'), E'sales\\n';"),
        (
            "CREATE FUNCTION sales.f(l crm.\"Leads\") RETURNS SETOF sales.mood\n    LANGUAGE sql\n    SET search_path TO 'sales', 'public'\n    AS $_$ SELECT sales.g($1), \"Leads\".id FROM crm.\"Leads\"; DELETE FROM sales.orders; $_$;",
            "CREATE FUNCTION \"Archive\".f(l crm.\"leads_eu\") RETURNS SETOF \"Archive\".mood\n    LANGUAGE sql\n    SET search_path TO 'Archive', 'public'\n    AS $_$ SELECT \"Archive\".g($1), \"Leads\".id FROM crm.\"leads_eu\" AS \"Leads\"; DELETE FROM \"Archive\".orders; $_$;",
        ),
        (
            "CREATE FUNCTION x.f(a sales.t.id%TYPE) RETURNS int LANGUAGE sql\n    BEGIN ATOMIC\n SELECT t.a\n    FROM sales.t;\nEND;",
            "CREATE FUNCTION x.f(a \"Archive\".t.id%TYPE) RETURNS int LANGUAGE sql\n    BEGIN ATOMIC\n SELECT t.a\n    FROM \"Archive\".t;\nEND;",
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
