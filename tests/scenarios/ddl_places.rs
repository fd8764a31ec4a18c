//! Wherever a statement is run from: subtransactions, functions, procedures, prepared statements, strings of several
//! statements, odd settings and search paths, large transactions, traffic.

use std::time::Duration;

use walferry_tests::ddl::{APART, carried, each};
use walferry_tests::{Cluster, Task, Traffic, traffic};

use crate::ddl_rights::ROLES;

const T: &str = "CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 20) i;";

#[test]
fn savepoints_that_are_rolled_back_leave_nothing() {
    carried(
        "ddl-savepoints",
        T,
        "BEGIN; ALTER TABLE t ADD COLUMN a integer; SAVEPOINT one; ALTER TABLE t ADD COLUMN b float8 DEFAULT random(); UPDATE t SET b = 1; SAVEPOINT two; CREATE TABLE gone (id integer PRIMARY KEY); INSERT INTO gone VALUES (1); ROLLBACK TO two; INSERT INTO t VALUES (100, 'x', 1, 1); ROLLBACK TO one; INSERT INTO t VALUES (101, 'y', 1); RELEASE one; ALTER TABLE t ADD COLUMN c integer DEFAULT 3; COMMIT;
         BEGIN; SAVEPOINT a; CREATE TABLE kept (id integer PRIMARY KEY); RELEASE a; SAVEPOINT b; DROP TABLE t; ROLLBACK TO b; INSERT INTO kept VALUES (1); UPDATE t SET c = 4; COMMIT;
         BEGIN; ALTER TABLE t ADD COLUMN never integer; ROLLBACK;
         BEGIN; TRUNCATE kept; SAVEPOINT s; ALTER TABLE kept RENAME TO other; INSERT INTO other VALUES (7); ROLLBACK TO s; INSERT INTO kept VALUES (2); COMMIT;
         DO $$ BEGIN BEGIN CREATE TABLE failed (id integer PRIMARY KEY); INSERT INTO failed VALUES (1); RAISE 'no'; EXCEPTION WHEN raise_exception THEN CREATE TABLE instead (id integer PRIMARY KEY); INSERT INTO instead VALUES (2); END; END $$;
         INSERT INTO t VALUES (102, 'z');
",
        APART,
    );
}

#[test]
fn blocks_functions_and_procedures() {
    carried(
        "ddl-blocks",
        &format!(
            "{T} CREATE FUNCTION make(name text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('CREATE TABLE %I (id integer PRIMARY KEY, v text)', name); EXECUTE format('INSERT INTO %I VALUES (1, %L)', name, name); END $$;
             CREATE PROCEDURE steps(n integer) LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..n LOOP EXECUTE format('ALTER TABLE t ADD COLUMN c%s integer DEFAULT %s', i, i); UPDATE t SET v = 'step ' || i; COMMIT; EXECUTE format('ALTER TABLE t ALTER c%s SET NOT NULL', i); IF i % 2 = 0 THEN ROLLBACK; END IF; END LOOP; END $$;
             CREATE FUNCTION sqlf() RETURNS void LANGUAGE sql AS 'CREATE TABLE of_sql (id integer PRIMARY KEY); INSERT INTO t VALUES (500, ''sql''); ALTER TABLE of_sql ADD COLUMN v text';
             CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('CREATE TABLE of_row_%s (id integer PRIMARY KEY)', NEW.id); RETURN NEW; END $$;"
        ),
        "DO $$ BEGIN CREATE TABLE a (id integer PRIMARY KEY); INSERT INTO a VALUES (1); ALTER TABLE a ADD COLUMN v text DEFAULT 'x'; INSERT INTO a VALUES (2); END $$;
         SELECT make('b'), make('Odd \"name\"');
         SELECT make('c' || id) FROM t WHERE id <= 3;
         CALL steps(4);
         SELECT sqlf();
         CREATE TRIGGER making BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fired();
         INSERT INTO t VALUES (600, 'makes a table'), (601, 'and another');
         INSERT INTO of_row_600 VALUES (1);
         DO $$ DECLARE r record; BEGIN FOR r IN SELECT relname FROM pg_class WHERE relname ~ '^c[0-9]$' LOOP EXECUTE 'DROP TABLE ' || r.relname; END LOOP; END $$;
         DO $$ BEGIN FOR i IN 1..3 LOOP EXECUTE 'CREATE TABLE d' || i || ' (id integer PRIMARY KEY)'; COMMIT; EXECUTE 'INSERT INTO d' || i || ' VALUES (1)'; END LOOP; END $$;
",
        APART,
    );
}

#[test]
fn strings_of_several_statements_and_prepared_ones() {
    carried(
        "ddl-strings",
        T,
        "CREATE TABLE a (id integer PRIMARY KEY) ; INSERT INTO a VALUES (1);; /* ; */ ALTER TABLE a ADD COLUMN v text DEFAULT ';'; -- ;
         INSERT INTO a VALUES (2); CREATE INDEX ON a (v);
         /* before */ CREATE /* within ; */ TABLE b (id integer PRIMARY KEY, v text DEFAULT 'ü;日本' /* ; */) /* after */ ; INSERT INTO b VALUES (1); DROP TABLE b; CREATE TABLE b (id bigint PRIMARY KEY); INSERT INTO b VALUES (10000000000);
         BEGIN; CREATE TABLE c (id integer PRIMARY KEY); INSERT INTO c VALUES (1); COMMIT; BEGIN; ALTER TABLE c ADD v text; UPDATE c SET v = 'x'; COMMIT; CREATE TABLE d (id integer PRIMARY KEY); INSERT INTO d VALUES (4);
         PREPARE p AS SELECT id * 2 AS twice FROM t WHERE id > $1; CREATE TABLE e AS EXECUTE p(10); DEALLOCATE p;
         DO $$ BEGIN EXECUTE 'CREATE TABLE f (id integer PRIMARY KEY); INSERT INTO f VALUES (1); ALTER TABLE f ADD COLUMN w integer; INSERT INTO f VALUES (2, 2)'; END $$;
         EXPLAIN ANALYZE CREATE TABLE g AS SELECT id, random() FROM t;
         EXPLAIN (ANALYZE, COSTS OFF) CREATE MATERIALIZED VIEW h AS SELECT id FROM t;
         INSERT INTO t VALUES (77); REFRESH MATERIALIZED VIEW h;
",
        APART,
    );
}

#[test]
fn statements_of_the_extended_protocol() {
    let task = Task::build("ddl-extended").schema(T).ddl().create();
    let daemon = task.start();
    task.wait_applied();
    // One that is parsed, bound and executed, twice over: its text is the statement's own, whatever came before.
    for statement in [
        "CREATE TABLE IF NOT EXISTS a (id integer PRIMARY KEY, v text DEFAULT 'x')",
        "INSERT INTO a SELECT count(*) FROM a",
        "ALTER TABLE a ADD COLUMN IF NOT EXISTS n integer DEFAULT 5",
        "CREATE TABLE made AS SELECT id, random() AS r FROM t",
    ] {
        task.source.execute_prepared(statement, if statement.contains("made") { 1 } else { 2 });
    }
    task.level();
    daemon.terminate().expect_status(0);
}

#[test]
fn functions_that_act_as_their_owner() {
    let schema = format!(
        "{ROLES} {T} CREATE FUNCTION as_owner() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$ BEGIN
            CREATE TABLE theirs (id serial PRIMARY KEY); INSERT INTO theirs DEFAULT VALUES; CREATE INDEX ON theirs (id DESC); END $$;
         ALTER FUNCTION as_owner() OWNER TO wf_ddl_owner;
         CREATE FUNCTION in_path() RETURNS void LANGUAGE plpgsql SET search_path = s, public AS $$ BEGIN CREATE TABLE somewhere (id integer PRIMARY KEY); END $$;
         CREATE SCHEMA s; GRANT ALL ON SCHEMA s TO wf_ddl_reader;"
    );
    let script = "SET ROLE wf_ddl_reader;
         SELECT as_owner();
         SELECT in_path();
         RESET ROLE;
         INSERT INTO s.somewhere VALUES (1);
         INSERT INTO theirs DEFAULT VALUES;\n";
    carried("ddl-definer", &schema, script, APART);
}

#[test]
fn odd_search_paths() {
    carried(
        "ddl-paths",
        &format!(
            "{ROLES} {T} CREATE SCHEMA \"Odd, \"\"path\"\"\"; CREATE SCHEMA \"$user\"; CREATE SCHEMA s; CREATE TABLE s.t (id integer PRIMARY KEY, other text);
             CREATE SCHEMA IF NOT EXISTS wf_ddl_owner AUTHORIZATION wf_ddl_owner; GRANT ALL ON SCHEMA s TO wf_ddl_owner;"
        ),
        "SET search_path = \"Odd, \"\"path\"\"\", public;
         CREATE TABLE a (id integer PRIMARY KEY); INSERT INTO a VALUES (1); ALTER TABLE t ADD COLUMN public_one integer DEFAULT 1;
         SET search_path = s, public;
         ALTER TABLE t ADD COLUMN of_s integer DEFAULT 2; INSERT INTO t VALUES (1, 'x'); CREATE VIEW v AS SELECT * FROM t;
         SET search_path = '';
         CREATE TABLE s.qualified (id integer PRIMARY KEY); ALTER TABLE public.t DROP COLUMN public_one;
         SET search_path = nowhere, '$user', s;
         SET ROLE wf_ddl_owner;
         CREATE TABLE by_role (id integer PRIMARY KEY); INSERT INTO by_role VALUES (1);
         RESET ROLE;
         SET search_path = pg_catalog, s;
         CREATE FUNCTION s.f() RETURNS integer LANGUAGE sql RETURN (SELECT count(*) FROM t);
         BEGIN; SET LOCAL search_path = public; CREATE TABLE local_one (id integer PRIMARY KEY); COMMIT; INSERT INTO public.local_one VALUES (1);
         RESET search_path;
         CREATE TABLE back (id integer PRIMARY KEY, s integer REFERENCES s.t);
",
        APART,
    );
}

#[test]
fn settings_that_change_what_a_statement_means() {
    carried(
        "ddl-settings",
        T,
        "SET standard_conforming_strings = off; SET escape_string_warning = off;
         CREATE TABLE a (id integer PRIMARY KEY, v text DEFAULT 'back\\\\slash \\'quote', w text DEFAULT 'a\\nb'); INSERT INTO a VALUES (1);
         RESET standard_conforming_strings;
         SET datestyle = 'SQL, DMY';
         CREATE TABLE b (id integer PRIMARY KEY, d date DEFAULT '03/04/2024', CHECK (d > '31/12/1999')); INSERT INTO b VALUES (1);
         ALTER TABLE b ADD COLUMN x timestamp DEFAULT '05/06/2024 07:08';
         SET timezone = 'Asia/Kathmandu'; SET intervalstyle = 'sql_standard';
         ALTER TABLE b ADD COLUMN z timestamptz DEFAULT '05/06/2024 07:08', ADD COLUMN i interval DEFAULT '-1-2 +3 -4:05:06';
         CREATE TABLE c (id integer PRIMARY KEY, at timestamptz) PARTITION BY RANGE (id);
         CREATE TABLE p (id integer, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('01/02/2024') TO ('01/03/2024'); INSERT INTO p VALUES (1, '15/02/2024');
         ALTER TABLE t ALTER v TYPE timestamptz USING '02/03/2024 01:00'::timestamptz;
         RESET datestyle; RESET timezone; RESET intervalstyle;
         SET array_nulls = off;
         ALTER TABLE t ADD COLUMN ar text[] DEFAULT '{NULL,a}'; UPDATE t SET v = now() WHERE id = 3;
         RESET array_nulls;
         SET transform_null_equals = on;
         CREATE VIEW v AS SELECT * FROM t WHERE v = NULL;
         RESET transform_null_equals;
         SET check_function_bodies = off; SET lc_monetary = 'C'; SET extra_float_digits = -10; SET bytea_output = 'escape';
         ALTER TABLE t ADD COLUMN m money DEFAULT '12.34', ADD COLUMN f float8 DEFAULT 0.1 + 0.2, ADD COLUMN y bytea DEFAULT '\\x00ff';
         SET xmloption = document;
         ALTER TABLE t ADD COLUMN xm xml DEFAULT '<a/>';
         SET client_encoding = 'LATIN1';
         ALTER TABLE t ADD COLUMN last text DEFAULT 'ascii';
",
        APART,
    );
}

#[test]
fn sessions_of_replicas_are_captured_as_well() {
    let script = "SET session_replication_role = replica;
         ALTER TABLE t ADD COLUMN a integer DEFAULT 4;
         CREATE TABLE u (id integer PRIMARY KEY); INSERT INTO u VALUES (1);
         DROP TABLE u;
         RESET session_replication_role;
         DROP TABLE t;\n";
    carried("ddl-replica", T, script, APART);
}

#[test]
fn statements_in_another_encoding() {
    let task = Task::build("ddl-encoding").schema(T).ddl().create();
    // `größe` and `straße` in LATIN1, as a client with that encoding sends them.
    let bytes = b"CREATE TABLE gr\xf6\xdfe (id integer PRIMARY KEY, v text DEFAULT 'stra\xdfe'); INSERT INTO gr\xf6\xdfe VALUES (1);
        ALTER TABLE t ADD COLUMN \xfc text DEFAULT '\xe4' || current_user; COMMENT ON COLUMN t.\xfc IS '\xfc';";
    task.source.psql(&[("PGCLIENTENCODING", "LATIN1")], bytes);
    task.sync_same();
    assert_eq!(task.destination.value("SELECT v FROM größe"), "straße");
}

#[test]
fn rule_07_in_the_middle_of_a_very_large_transaction() {
    let source = Cluster::start("logical_decoding_work_mem = 1MB");
    let task = Task::build("ddl-large").source(&source).schema(T).ddl().create();
    let daemon = task.start();
    task.wait_level();
    let writer = task.source.another();
    writer.execute("BEGIN");
    for (statement, from) in [
        ("ALTER TABLE t ADD COLUMN r float8 DEFAULT random()", 1000),
        ("CREATE TABLE u AS SELECT id, v || '!' AS w, random() AS x FROM t", 101_000),
        (
            "SAVEPOINT s; ALTER TABLE t DROP COLUMN r; CREATE TABLE gone AS SELECT * FROM t; ROLLBACK TO s",
            201_000,
        ),
        ("ALTER TABLE t ALTER v TYPE varchar(300) USING v || random()", 301_000),
    ] {
        writer.execute(&format!(
            "INSERT INTO t (id, v) SELECT i, 'row ' || i FROM generate_series({from}, {from} + 59999) i"
        ));
        writer.execute(statement);
        // Others go past it meanwhile.
        task.source.execute(&format!("CREATE TABLE aside_{from} (id integer PRIMARY KEY)"));
    }
    writer.execute("UPDATE t SET v = 'last' WHERE id % 1000 = 0; ALTER TABLE u ADD PRIMARY KEY (id); DELETE FROM u WHERE id % 2 = 0; COMMIT");
    task.level();
    let streamed = "SELECT stream_txns > 0 FROM walferry.slots";
    assert_eq!(task.source.value(streamed), "t", "nothing was streamed");
    daemon.terminate().expect_status(0);
}

#[test]
fn under_traffic() {
    let task = Task::build("ddl-traffic").schema(traffic::SCHEMA).ddl().full().create();
    let mut daemon = task.start();
    task.wait_following(&mut daemon);
    let load = Traffic::start(&task.source, 300);
    // Each waits for its lock as anyone's would; the traffic's statements name their columns or take what is there.
    for statement in [
        "ALTER TABLE traffic.item ADD COLUMN extra timestamptz DEFAULT now()",
        "CREATE INDEX CONCURRENTLY item_extra ON traffic.item (extra, id)",
        "ALTER TABLE traffic.child ADD COLUMN u uuid DEFAULT gen_random_uuid()",
        "ALTER TABLE traffic.document ALTER title TYPE varchar(9000)",
        "CREATE TABLE traffic.part_3 PARTITION OF traffic.part FOR VALUES FROM (20) TO (30)",
        "CREATE TABLE traffic.summary AS SELECT slot, count(*), random() FROM traffic.moved GROUP BY slot",
        "ALTER TABLE traffic.item ALTER n TYPE bigint",
        "ALTER TABLE traffic.note ADD COLUMN id bigserial",
        "ALTER TABLE traffic.item RENAME COLUMN extra TO made_at",
        "DROP INDEX CONCURRENTLY traffic.item_extra",
        "ALTER TABLE traffic.part ADD COLUMN n integer DEFAULT 7",
        "ALTER TABLE traffic.item DROP COLUMN made_at",
    ] {
        each(&task, statement);
        std::thread::sleep(Duration::from_millis(300));
    }
    load.stop();
    task.level();
    assert_eq!(task.outcomes(), "applied");
    daemon.terminate().expect_status(0);
}
