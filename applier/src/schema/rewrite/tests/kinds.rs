//! Every kind of object that pg_dump writes.

use super::*;

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
