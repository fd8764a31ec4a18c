//! What of DDL is a task's business: scope, exclusion, mapped names, `[objects] ddl`, capture that is off, and what is
//! never carried. Whatever is not run is recorded with a reason.

use toml::Value;

use walferry_tests::ddl::each;
use walferry_tests::{Task, TaskBuilder};

use crate::ddl_rights::ROLES;

/// A task that has run a script; the daemon is at its end.
fn ran(builder: TaskBuilder, script: &str) -> Task {
    let task = builder.ddl().create();
    let daemon = task.start();
    task.wait_applied();
    each(&task, script);
    task.wait_applied();
    task.assert_recorded_once();
    daemon.terminate().expect_status(0);
    task
}

/// Every statement that was not run has a reason.
fn assert_reasons(task: &Task) {
    let silent = task.recorded("statement", "outcome <> 'applied' AND coalesce(reason, '') = ''");
    assert!(silent.is_empty(), "no reason is given for {silent:?}");
}

fn exists(task: &Task, name: &str) -> bool {
    !task.destination.value(&format!("SELECT to_regclass('{name}')")).is_empty()
}

const TWO: &str = "CREATE TABLE chosen (id integer PRIMARY KEY, v text); CREATE TABLE other (id integer PRIMARY KEY, v text);
    CREATE SCHEMA s; INSERT INTO chosen VALUES (1, 'v');";

fn chosen(name: &str) -> TaskBuilder {
    Task::build(name).schema(TWO).set("objects.scope", "tables").set("objects.include", vec!["public.chosen"])
}

#[test]
fn chosen_tables_are_altered_and_indexed() {
    let task = ran(
        chosen("ddl-scope-tables"),
        "ALTER TABLE chosen ADD COLUMN n integer DEFAULT 5, ALTER v TYPE varchar(50);
         ALTER TABLE chosen RENAME COLUMN v TO w;
         ALTER TABLE chosen ADD CONSTRAINT sane CHECK (n > 0), ADD COLUMN at timestamptz DEFAULT now();
         CREATE INDEX chosen_w ON chosen (w);
         INSERT INTO chosen VALUES (2, 'w', 2); TRUNCATE other;
         ALTER INDEX chosen_w RENAME TO chosen_x;
         ALTER TABLE chosen DROP CONSTRAINT sane, DROP COLUMN n;
         ALTER TABLE other ADD COLUMN n integer;
         CREATE INDEX other_v ON other (v);
         CREATE TABLE fresh (id integer PRIMARY KEY);
         INSERT INTO fresh VALUES (1); INSERT INTO other VALUES (1);
         CREATE VIEW seen AS SELECT * FROM chosen;
         CREATE FUNCTION f() RETURNS integer LANGUAGE sql RETURN 1;
         CREATE TYPE e AS ENUM ('a');
         CREATE SCHEMA another;
         COMMENT ON SCHEMA s IS 'x';
         DROP VIEW seen;
         UPDATE chosen SET w = 'last' WHERE id = 1;
",
    );
    for carried in ["ALTER TABLE chosen%", "CREATE INDEX chosen%", "ALTER INDEX chosen%"] {
        assert!(task.outcome(carried).split(',').all(|outcome| outcome == "applied"), "{carried}");
    }
    for beyond in
        ["%other%", "%fresh%", "%seen%", "%FUNCTION f%", "%TYPE e%", "%SCHEMA another%", "%SCHEMA s %"]
    {
        assert!(task.outcome(beyond).split(',').all(|outcome| outcome == "out_of_scope"), "{beyond}");
    }
    assert_reasons(&task);
    let rows = "SELECT string_agg(chosen::text, ';' ORDER BY id) FROM chosen";
    assert_eq!(task.destination.value(rows), task.source.value(rows));
    assert!(exists(&task, "chosen_x") && !exists(&task, "fresh") && !exists(&task, "other_v"));
    assert_eq!(task.destination.value("SELECT count(*) FROM other"), "0");
}

#[test]
fn chosen_tables_stay_chosen_through_renames() {
    let task = ran(
        chosen("ddl-scope-renamed"),
        "ALTER TABLE chosen RENAME TO picked;
         INSERT INTO picked VALUES (2, 'renamed');
         CREATE TABLE chosen (id integer PRIMARY KEY);
         INSERT INTO chosen VALUES (77);
         ALTER TABLE picked SET SCHEMA s;
         UPDATE s.picked SET v = 'moved' WHERE id = 1;
         ALTER TABLE s.picked ADD COLUMN more integer DEFAULT 3;
         INSERT INTO s.picked VALUES (3, 'x', 4);
",
    );
    assert_eq!(
        task.destination.value("SELECT string_agg(p::text, ';' ORDER BY id) FROM s.picked p"),
        "(1,moved,3);(2,renamed,3);(3,x,4)"
    );
    assert!(!exists(&task, "public.chosen"), "a new table of the old name is not the chosen one");
    assert_eq!(task.outcome("CREATE TABLE chosen%"), "out_of_scope");
    // Another run still knows it by its oid.
    task.source.execute("INSERT INTO s.picked VALUES (4, 'later', 5)");
    task.source.execute("DROP TABLE s.picked, other");
    task.run_until_now();
    assert!(!exists(&task, "s.picked"), "a chosen table is dropped");
    assert!(exists(&task, "other"), "only what is in scope of a DROP is dropped");
}

#[test]
fn excluded_tables_are_left_alone() {
    let task = ran(
        Task::build("ddl-scope-excluded")
            .schema("CREATE TABLE audit_old (id integer PRIMARY KEY); CREATE TABLE t (id integer PRIMARY KEY, v text)")
            .set("objects.exclude", vec!["public.audit_*"]),
        "CREATE TABLE audit_new (id integer PRIMARY KEY, v text);
         INSERT INTO audit_new VALUES (1, 'x'); INSERT INTO t VALUES (1, 'y');
         CREATE INDEX ON audit_new (v);
         ALTER TABLE audit_old ADD COLUMN n integer;
         COMMENT ON TABLE audit_old IS 'here only';
         CREATE TABLE fresh (id integer PRIMARY KEY);
         INSERT INTO fresh VALUES (1);
         CREATE TABLE audit_made AS SELECT * FROM t;
         DROP TABLE audit_new, t;
         ALTER TABLE audit_old ADD COLUMN r float8 DEFAULT random();
",
    );
    assert!(exists(&task, "fresh") && exists(&task, "audit_old"));
    assert!(!exists(&task, "audit_new") && !exists(&task, "audit_made") && !exists(&task, "t"));
    assert_eq!(task.destination.value("SELECT count(*) FROM fresh"), "1");
    assert_eq!(task.destination.value("SELECT obj_description('audit_old'::regclass)"), "");
    for beyond in ["CREATE TABLE audit%", "CREATE INDEX%", "ALTER TABLE audit%", "COMMENT%"] {
        assert!(task.outcome(beyond).split(',').all(|outcome| outcome == "out_of_scope"), "{beyond}");
    }
    assert_reasons(&task);
}

fn map(from: &str, to: &str) -> Value {
    let pair = [("from".to_owned(), from.into()), ("to".to_owned(), to.into())];
    Value::Table(pair.into_iter().collect())
}

#[test]
fn names_are_mapped_qualified_or_not() {
    let task = ran(
        Task::build("ddl-scope-map")
            .schema("CREATE SCHEMA sales; CREATE SCHEMA crm; CREATE TABLE sales.orders (id integer PRIMARY KEY, v text); CREATE TABLE crm.\"Leads\" (id integer PRIMARY KEY)")
            .destination_schema("CREATE SCHEMA archive; CREATE SCHEMA crm; CREATE TABLE archive.orders (id integer PRIMARY KEY, v text); CREATE TABLE crm.leads_eu (id integer PRIMARY KEY)")
            .set("map", vec![map("sales", "archive"), map("crm.\"Leads\"", "crm.leads_eu")]),
        "ALTER TABLE sales.orders ADD COLUMN n integer DEFAULT 1;
         ALTER TABLE crm.\"Leads\" ADD COLUMN name text DEFAULT 'sales.orders';
         INSERT INTO sales.orders VALUES (1, 'a'); INSERT INTO crm.\"Leads\" VALUES (1);
         SET search_path = sales, crm, public;
         ALTER TABLE orders ADD COLUMN at timestamptz DEFAULT now();
         ALTER TABLE \"Leads\" ADD COLUMN r float8 DEFAULT random();
         CREATE TABLE fresh (id integer PRIMARY KEY, lead integer REFERENCES \"Leads\", ord integer REFERENCES sales.orders);
         INSERT INTO fresh VALUES (1, 1, 1);
         CREATE VIEW both_of AS SELECT o.v, l.name FROM orders o, \"Leads\" l;
         CREATE TABLE copied AS SELECT *, random() AS q FROM orders;
         CREATE FUNCTION sales.count_orders() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM sales.orders; END;
         CREATE INDEX ON orders (v);
         CREATE INDEX CONCURRENTLY orders_n ON orders (n);
         COMMENT ON COLUMN \"Leads\".name IS 'of a lead';
         GRANT SELECT ON orders, \"Leads\" TO PUBLIC;
         CREATE TABLE crm.kept (LIKE \"Leads\" INCLUDING ALL);
         DROP INDEX orders_n;
         ALTER TABLE orders RENAME TO ordered;
         INSERT INTO ordered VALUES (2, 'b', 2);
",
    );
    assert_eq!(task.outcomes(), "applied", "{}", task.passed_over());
    for (ours, theirs) in [
        ("sales.ordered", "archive.ordered"),
        ("crm.\"Leads\"", "crm.leads_eu"),
        ("sales.copied", "archive.copied"),
    ] {
        let rows = |name: &str| format!("SELECT string_agg(x::text, ';' ORDER BY x::text) FROM {name} x");
        assert_eq!(task.destination.value(&rows(theirs)), task.source.value(&rows(ours)), "{ours}");
    }
    assert_eq!(task.destination.value("SELECT archive.count_orders()"), "2");
    let refers = "SELECT string_agg(confrelid::regclass::text, ',' ORDER BY conname) FROM pg_constraint WHERE conrelid = 'archive.fresh'::regclass AND contype = 'f'";
    assert_eq!(task.destination.value(refers), "crm.leads_eu,archive.ordered");
    assert_eq!(task.destination.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'sales'"), "0");
}

#[test]
fn ddl_can_be_left_to_the_user() {
    let task = Task::build("ddl-scope-off")
        .schema("CREATE TABLE t (id integer PRIMARY KEY)")
        .ddl()
        .set("objects.ddl", false)
        .create();
    let daemon = task.start();
    task.wait_applied();
    for side in [&task.destination, &task.source] {
        side.execute("ALTER TABLE t ADD COLUMN v text DEFAULT 'x'");
    }
    task.source.execute("CREATE INDEX ON t (v)");
    task.source.execute("INSERT INTO t VALUES (1)");
    task.wait_applied();
    task.assert_equal();
    assert_eq!(task.destination.value("SELECT count(*) FROM pg_indexes WHERE tablename = 't'"), "1");
    daemon.terminate().expect_status(0);
}

#[test]
fn capture_that_is_off_is_warned_of_and_the_run_goes_on() {
    let task = Task::new("ddl-scope-uncaptured", "CREATE TABLE t (id integer PRIMARY KEY)");
    for side in [&task.destination, &task.source] {
        side.execute("ALTER TABLE t ADD COLUMN v text DEFAULT 'x'");
    }
    task.source.execute("INSERT INTO t VALUES (1)");
    task.run_until_now().expect_words(&["walferry.enable_ddl_capture()"]);
    task.assert_equal();
    // Switched on, it is carried from there on; switched off, no longer.
    task.source.execute("SELECT walferry.enable_ddl_capture()");
    task.source.another().execute("ALTER TABLE t ADD COLUMN w text DEFAULT 'y'");
    task.sync_same();
    task.source.execute("SELECT walferry.disable_ddl_capture()");
    for side in [&task.destination, &task.source] {
        side.another().execute("ALTER TABLE t ADD COLUMN u text DEFAULT 'z'");
    }
    task.source.execute("INSERT INTO t VALUES (2)");
    task.sync_same();
    assert_eq!(task.outcomes(), "applied,not_carried");
}

#[test]
fn what_is_never_carried_is_recorded() {
    let task = ran(
        Task::build("ddl-scope-never").schema(&format!("{ROLES} CREATE TABLE t (id integer PRIMARY KEY, v text)")),
        "CREATE ROLE wf_ddl_brief LOGIN PASSWORD 'sesame';
         ALTER ROLE wf_ddl_brief PASSWORD 'sesame 2';
         GRANT wf_ddl_owner TO wf_ddl_brief;
         DROP ROLE wf_ddl_brief;
         CREATE PUBLICATION news FOR TABLE t;
         ALTER PUBLICATION news SET (publish = 'insert');
         CREATE EXTENSION postgres_fdw;
         CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw;
         CREATE USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS (password 'sesame');
         CREATE FOREIGN TABLE far (a integer) SERVER elsewhere OPTIONS (table_name 'none');
         CREATE SUBSCRIPTION listening CONNECTION 'dbname=none password=sesame' PUBLICATION none WITH (connect = false);
         ALTER SUBSCRIPTION listening SET (slot_name = NONE);
         DROP SUBSCRIPTION listening;
         CREATE DATABASE wf_ddl_scope_brief;
         ALTER DATABASE wf_ddl_scope_brief SET work_mem = '8MB';
         DROP DATABASE wf_ddl_scope_brief;
         DROP PUBLICATION news;
         DROP SERVER elsewhere CASCADE;
         REINDEX TABLE t;
         VACUUM t;
         CLUSTER t USING t_pkey;
         ANALYZE t;
         INSERT INTO t VALUES (1, 'goes on');
",
    );
    assert_eq!(task.outcome("CREATE EXTENSION%"), "applied");
    assert_eq!(task.outcome("%PUBLICATION news%"), "not_carried,not_carried,not_carried");
    let tags = task.recorded("DISTINCT tag", "outcome = 'not_carried' ORDER BY 1").join(",");
    for tag in
        ["CREATE ROLE", "CREATE SERVER", "CREATE USER MAPPING", "CREATE FOREIGN TABLE", "CREATE SUBSCRIPTION"]
    {
        assert!(tags.contains(tag), "{tag} is not among what was recorded: {tags}");
    }
    assert_reasons(&task);
    let everything = "SELECT count(*) FROM walferry_state.ddl d WHERE d::text LIKE '%sesame%'";
    assert_eq!(task.destination.value(everything), "0", "a secret got to the destination");
    let log = task.source.value("SELECT count(*) FROM walferry.ddl_log d WHERE d::text LIKE '%sesame%'");
    assert_eq!(log, "0", "a secret is in the log");
    assert_eq!(task.destination.value("SELECT count(*) FROM pg_foreign_server"), "0");
    assert_eq!(task.destination.value("SELECT count(*) FROM t"), "1");
}

#[test]
fn tablespaces_are_left_out_of_what_is_carried() {
    let task = Task::build("ddl-scope-space")
        .schema("CREATE TABLE t (id integer PRIMARY KEY, v text)")
        .ddl()
        .create();
    let daemon = task.start();
    task.source.execute("SET allow_in_place_tablespaces = on");
    each(
        &task,
        "CREATE TABLESPACE wf_ddl_space LOCATION '';
         CREATE TABLE u (id integer PRIMARY KEY USING INDEX TABLESPACE wf_ddl_space) TABLESPACE wf_ddl_space;
         INSERT INTO u VALUES (1);
         CREATE INDEX t_v ON t (v) TABLESPACE wf_ddl_space;
         ALTER TABLE t SET TABLESPACE wf_ddl_space;
         ALTER TABLE u SET TABLESPACE pg_default, ADD COLUMN v text DEFAULT 'x';
         INSERT INTO t VALUES (1, 'v');
",
    );
    task.wait_applied();
    task.assert_equal();
    assert!(exists(&task, "t_v"));
    assert_eq!(
        task.destination.value("SELECT count(*) FROM pg_tablespace WHERE spcname = 'wf_ddl_space'"),
        "0"
    );
    assert_eq!(task.outcome("%t SET TABLESPACE%"), "not_carried");
    assert_reasons(&task);
    each(
        &task,
        "ALTER TABLE t SET TABLESPACE pg_default;\nDROP TABLE u;\nDROP INDEX t_v;\nDROP TABLESPACE wf_ddl_space;\n",
    );
    task.wait_applied();
    daemon.terminate().expect_status(0);
}
