//! Tables with rules of their own in views, rules, policies and bodies.

use super::*;

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
fn an_alias_stands_where_the_grammar_wants_it() {
    hold(&[
        (
            r#"CREATE VIEW x.v AS SELECT "Leads".id FROM crm."Leads" * TABLESAMPLE system (1), ONLY crm."Leads" l FOR UPDATE OF "Leads";"#,
            r#"CREATE VIEW x.v AS SELECT "Leads".id FROM crm."leads_eu" * AS "Leads" TABLESAMPLE system (1), ONLY crm."leads_eu" l FOR UPDATE OF "Leads";"#,
        ),
        (
            r#"WITH w AS (DELETE FROM crm."Leads" USING x.t WHERE "Leads".id = t.id RETURNING "Leads".*) INSERT INTO crm."Leads" TABLE crm."Leads";"#,
            r#"WITH w AS (DELETE FROM crm."leads_eu" AS "Leads" USING x.t WHERE "Leads".id = t.id RETURNING "Leads".*) INSERT INTO crm."leads_eu" AS "Leads" TABLE crm."leads_eu";"#,
        ),
        (
            r#"MERGE INTO crm."Leads" USING (SELECT 1 AS id) s ON "Leads".id = s.id WHEN MATCHED THEN DELETE;"#,
            r#"MERGE INTO crm."leads_eu" AS "Leads" USING (SELECT 1 AS id) s ON "Leads".id = s.id WHEN MATCHED THEN DELETE;"#,
        ),
        (r#"SELECT "Leads" FROM crm."Leads";"#, r#"SELECT "Leads" FROM crm."leads_eu" AS "Leads";"#),
    ]);
}

#[test]
fn a_moved_table_that_a_body_names_without_schema_is_reported() {
    let unseen = |body: &str| {
        rewrite(&format!("CREATE FUNCTION x.f() RETURNS int LANGUAGE sql AS $$ {body} $$;")).unseen
    };
    assert_eq!(unseen("SELECT deals.id FROM deals"), ["crm.deals"]);
    assert!(unseen("WITH deals AS (SELECT 1 AS id) SELECT deals.id FROM deals").is_empty());
    assert!(unseen("SELECT 1 FROM x.deals FOR UPDATE OF deals").is_empty());
}

#[test]
fn names_that_the_search_path_finds_in_public_are_reported_where_public_moves() {
    let rule = Mapping { schema: "public".into(), table: None, to_schema: "app".into(), to_table: None };
    let rewriter = Rewriter::new(NameMap::new(&[rule]));
    let unseen = |settings: &str, body: &str| {
        let sql = format!("CREATE FUNCTION public.f() RETURNS int LANGUAGE sql {settings} AS $$ {body} $$;");
        rewriter.rewrite(&sql).expect("a function").unseen
    };
    assert_eq!(unseen("", "SELECT id FROM orders"), ["public"]);
    assert!(unseen("", "SELECT id FROM public.orders").is_empty());
    assert!(unseen("SET search_path TO 'public'", "SELECT id FROM orders").is_empty());
}
