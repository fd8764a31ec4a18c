//! Rows of every shape, in both ways of reading them.

use walferry_tests::Task;

use crate::types;

#[test]
fn rule_19_every_value_of_every_type_is_copied() {
    for snapshot in [true, false] {
        let task = Task::build("full-types")
            .schema(&format!("{}{}", types::SCHEMA, types::tables()))
            .full()
            .set("copy.snapshot", snapshot)
            .create();
        task.source.execute(&types::inserts().join(";"));
        task.copy_and_follow().terminate().expect_status(0);
    }
}

#[test]
fn types_that_differ_between_the_sides_fail_the_table_by_name() {
    let task = Task::build("full-casts")
        .schema("CREATE TABLE t (id integer PRIMARY KEY, a integer); CREATE TABLE fine (id integer PRIMARY KEY, v varchar(9));")
        .full_only()
        .set("objects.definitions", "use")
        .create();
    task.source.execute("INSERT INTO t VALUES (1, 1); INSERT INTO fine VALUES (1, 'v')");
    task.destination
        .execute("CREATE TABLE t (id integer PRIMARY KEY, a text); CREATE TABLE fine (v varchar(9), id integer PRIMARY KEY)");
    task.full_fails(&["public.t", "column a", "text"]);
    assert_eq!(task.destination.value("SELECT v FROM fine"), "v");
    task.destination.execute("ALTER TABLE t ALTER a TYPE integer USING a::integer");
    task.run_full();
    task.assert_equal();
}

#[test]
fn encodings_that_differ_are_converted() {
    let task = Task::build("full-latin")
        .source_options("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        .schema("CREATE TABLE t (id integer PRIMARY KEY, v text); COMMENT ON TABLE t IS 'größe';")
        .full()
        .create();
    task.source.execute("INSERT INTO t VALUES (1, 'größe'), (2, 'é')");
    task.run_until_now();
    assert_eq!(task.destination.list("SELECT v FROM t ORDER BY id"), "größe,é");
    assert_eq!(task.destination.value("SELECT obj_description('t'::regclass)"), "größe");
}

#[test]
fn rule_15_partitions_go_through_a_destination_that_is_divided_differently() {
    let task = Task::build("full-divided")
        .schema(
            "CREATE TABLE p (id integer, k integer, PRIMARY KEY (id, k)) PARTITION BY RANGE (k);
             CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (50); CREATE TABLE p2 PARTITION OF p DEFAULT;
             CREATE TABLE q (id integer PRIMARY KEY, v text) PARTITION BY HASH (id);
             CREATE TABLE q1 PARTITION OF q FOR VALUES WITH (MODULUS 2, REMAINDER 0);
             CREATE TABLE q2 PARTITION OF q FOR VALUES WITH (MODULUS 2, REMAINDER 1);",
        )
        .full()
        .set("objects.definitions", "use")
        .create();
    task.source.execute("INSERT INTO p SELECT i, i % 100 FROM generate_series(1, 3000) i; INSERT INTO q SELECT i FROM generate_series(1, 3000) i");
    task.destination.execute(
        "CREATE TABLE p (id integer, k integer, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
         CREATE TABLE p_rest PARTITION OF p DEFAULT; CREATE TABLE p_five PARTITION OF p FOR VALUES IN (5);
         CREATE TABLE q (id integer PRIMARY KEY, v text);",
    );
    task.run_until_now();
    task.source
        .execute("UPDATE p SET k = 5 WHERE id < 100; DELETE FROM q WHERE id % 3 = 0; UPDATE q SET v = 'v'");
    task.sync();
    assert_eq!(task.destination.value("SELECT count(*) FROM p"), "3000");
}

#[test]
fn row_security_at_the_source_hides_nothing() {
    let task = Task::build("full-security")
        .schema("CREATE TABLE t (id integer PRIMARY KEY); ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
                 CREATE POLICY none ON t USING (false); INSERT INTO t SELECT generate_series(1, 100);")
        .full_only()
        .create();
    task.run_full();
    task.assert_whole();
}

#[test]
fn triggers_of_the_destination_do_not_fire() {
    let task = Task::build("full-triggers")
        .schema("CREATE TABLE t (id integer PRIMARY KEY, v text);")
        .full_only()
        .set("objects.definitions", "use")
        .create();
    task.source.execute("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i");
    task.destination.execute(
        "CREATE TABLE t (id integer PRIMARY KEY, v text);
         CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.v := ''spoilt''; RETURN NEW; END';
         CREATE TRIGGER spoil BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION spoil()",
    );
    task.run_full();
    task.assert_equal();
}

#[test]
fn a_big_table_is_copied_in_parts() {
    for snapshot in [true, false] {
        let task = Task::build("full-parted")
            .schema("CREATE TABLE big (id bigint PRIMARY KEY, v text); CREATE TABLE gaps (id integer PRIMARY KEY, v text);
                     CREATE TABLE words (w text PRIMARY KEY, v text);")
            .full()
            .set("copy.snapshot", snapshot)
            .set("copy.jobs", 3)
            .create();
        task.source.execute(
            "INSERT INTO big SELECT i * 1000, repeat('v', 500) || i FROM generate_series(-100000, 100000) i;
             INSERT INTO gaps SELECT i * i, repeat('g', 3000) FROM generate_series(1, 30000) i;
             INSERT INTO words SELECT md5(i::text), repeat('w', 1000) FROM generate_series(1, 40000) i; ANALYZE",
        );
        task.copy_and_follow().terminate().expect_status(0);
        let parts = "SELECT count(*) FROM walferry_state.parts WHERE task = 'full-parted' AND source_oid = ";
        let oid = task.source.value("SELECT 'big'::regclass::oid");
        let count: u32 = task.destination.value(&format!("{parts}{oid}")).parse().expect("a number");
        assert!(count > 1, "the big table was copied in one part");
    }
}

#[test]
fn generated_and_identity_columns_keep_their_values() {
    let task = Task::build("full-identity")
        .schema("CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n integer, d integer GENERATED ALWAYS AS (n * 2) STORED);")
        .full()
        .create();
    task.source
        .execute("INSERT INTO t (n) SELECT i FROM generate_series(1, 500) i; DELETE FROM t WHERE id < 100");
    let daemon = task.copy_and_follow();
    task.source.execute("INSERT INTO t (n) VALUES (7); UPDATE t SET n = 8 WHERE id = 200");
    task.wait_level();
    task.assert_equal();
    daemon.terminate().expect_status(0);
}

#[test]
fn rows_of_a_hundred_megabytes_fit() {
    let task = Task::build("full-huge")
        .schema("CREATE TABLE t (id integer PRIMARY KEY, v text, b bytea);")
        .full_only()
        .create();
    task.source.execute("ALTER TABLE t ALTER v SET STORAGE EXTERNAL; INSERT INTO t SELECT i, repeat('wide ', 8000000), '\\x00' FROM generate_series(1, 3) i");
    task.run_full();
    task.assert_equal();
}

#[test]
fn large_objects_come_along() {
    let task = Task::build("full-objects").full().create();
    task.source.execute(
        "SELECT lo_from_bytea(80000 + i, decode(repeat(md5(i::text), i * 20), 'hex')) FROM generate_series(0, 300) i;
         SELECT lo_from_bytea(81000, decode(repeat('00ff', 3000000), 'hex'))",
    );
    task.copy_and_follow().terminate().expect_status(0);
    task.source.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata");
}
