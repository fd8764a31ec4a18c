//! Partitions, indexes and statistics: attached, detached and built, CONCURRENTLY too.

use walferry_tests::Task;
use walferry_tests::ddl::{ALWAYS, APART, carried};

const LOG: &str =
    "CREATE TABLE log (id bigint, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
    INSERT INTO log SELECT i, date '2024-01-01' + i % 31, 'v' || i FROM generate_series(1, 100) i;";

#[test]
fn partitions_are_made_attached_and_detached() {
    carried(
        "ddl-partitions",
        LOG,
        "CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
         INSERT INTO log SELECT i, date '2024-02-01' + i % 29, 'feb' FROM generate_series(1, 50) i;
         UPDATE log SET day = day + 40 WHERE id < 10 AND day < '2024-01-20';
         CREATE TABLE log_3 (v text, id bigint NOT NULL, day date NOT NULL, PRIMARY KEY (id, day));
         INSERT INTO log_3 SELECT 'mar', i, date '2024-03-01' + i % 31 FROM generate_series(1, 50) i;
         ALTER TABLE log ATTACH PARTITION log_3 FOR VALUES FROM ('2024-03-01') TO ('2024-04-01');
         UPDATE log SET v = 'through the root' WHERE day >= '2024-03-15';
         CREATE TABLE log_rest PARTITION OF log DEFAULT;
         INSERT INTO log VALUES (1, '2030-01-01', 'rest');
         ALTER TABLE log DETACH PARTITION log_1;
         UPDATE log_1 SET v = 'alone' WHERE id = 20; INSERT INTO log VALUES (2, '2024-01-05', 'to the rest');
         DELETE FROM log WHERE day = '2024-01-05';
         ALTER TABLE log ATTACH PARTITION log_1 FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
         CREATE INDEX log_v ON log (v);
         CREATE INDEX log_only ON ONLY log (day);
         CREATE INDEX log_1_day ON log_1 (day);
         ALTER INDEX log_only ATTACH PARTITION log_1_day;
         ALTER TABLE log ADD COLUMN n integer DEFAULT 4;
         UPDATE log SET n = 5 WHERE id % 9 = 0;
         DROP TABLE log_2;
         TRUNCATE log_3;
         INSERT INTO log VALUES (7, '2024-03-07', 'after', 7);
",
        ALWAYS,
    );
}

#[test]
fn partitions_of_every_strategy_and_depth() {
    carried(
        "ddl-strategies",
        "CREATE FUNCTION first_of(y integer) RETURNS date LANGUAGE sql IMMUTABLE RETURN make_date(y, 1, 1);",
        "CREATE TABLE tree (id integer, kind text, day date DEFAULT '2024-01-01', PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
         CREATE TABLE tree_a PARTITION OF tree (day NOT NULL) FOR VALUES IN ('a', 'A') PARTITION BY HASH (id);
         CREATE TABLE tree_a0 PARTITION OF tree_a FOR VALUES WITH (MODULUS 2, REMAINDER 0);
         CREATE TABLE tree_a1 PARTITION OF tree_a FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         CREATE TABLE tree_rest PARTITION OF tree DEFAULT PARTITION BY RANGE (kind);
         CREATE TABLE tree_rest_1 PARTITION OF tree_rest FOR VALUES FROM (MINVALUE) TO ('m');
         CREATE TABLE tree_rest_2 PARTITION OF tree_rest FOR VALUES FROM ('m') TO (MAXVALUE);
         INSERT INTO tree SELECT i, (ARRAY['a', 'A', 'b', 'z'])[1 + i % 4] FROM generate_series(1, 200) i;
         UPDATE tree SET kind = 'q' WHERE id % 5 = 0;
         ALTER TABLE tree ADD CONSTRAINT sane CHECK (day > '2000-01-01');
         ALTER TABLE tree_a DETACH PARTITION tree_a1;
         ALTER TABLE tree DETACH PARTITION tree_rest;
         DELETE FROM tree_rest WHERE id > 100;
         CREATE TABLE bound (day date PRIMARY KEY, v integer) PARTITION BY RANGE (day);
         CREATE TABLE bound_1 PARTITION OF bound FOR VALUES FROM (first_of(2020)) TO (first_of(2020) + 366);
         CREATE TABLE bound_2 PARTITION OF bound FOR VALUES FROM (CURRENT_DATE) TO (CURRENT_DATE + 7);
         INSERT INTO bound VALUES ('2020-05-05', 1), (CURRENT_DATE + 3, 2);
         CREATE TABLE bound_3 (LIKE bound INCLUDING ALL);
         ALTER TABLE bound ATTACH PARTITION bound_3 FOR VALUES FROM (first_of(1999)) TO (first_of(2000));
         INSERT INTO bound VALUES ('1999-12-31', 3);
",
        ALWAYS,
    );
}

#[test]
fn indexes_and_statistics() {
    carried(
        "ddl-indexes",
        "CREATE TABLE t (id integer PRIMARY KEY, v text, n integer, r int4range);
         INSERT INTO t SELECT i, 'v' || i, i % 10, int4range(i, i + 1) FROM generate_series(1, 100) i;",
        "CREATE INDEX ON t (v);
         CREATE INDEX ON t (v);
         CREATE INDEX IF NOT EXISTS t_n ON t USING btree (n DESC NULLS LAST) INCLUDE (v) WITH (fillfactor = 80) WHERE n > 3;
         CREATE UNIQUE INDEX t_lower ON t (lower(v), id) NULLS NOT DISTINCT;
         CREATE INDEX t_r ON t USING gist (r);
         CREATE INDEX t_hash ON t USING hash (n);
         INSERT INTO t VALUES (101, 'indexed', 1, 'empty');
         ALTER INDEX t_n RENAME TO t_number;
         ALTER INDEX t_number SET (fillfactor = 90);
         ALTER INDEX t_lower ALTER COLUMN 1 SET STATISTICS 300;
         DROP INDEX t_hash;
         REINDEX INDEX t_r;
         CREATE STATISTICS st (dependencies, ndistinct) ON n, v FROM t;
         CREATE STATISTICS sx ON (n + 1), (lower(v)) FROM t;
         ALTER STATISTICS st SET STATISTICS 200;
         ALTER STATISTICS st RENAME TO st2;
         DROP STATISTICS sx;
         UPDATE t SET v = v || '.' WHERE n = 3;
",
        ALWAYS,
    );
}

#[test]
fn what_runs_concurrently() {
    let schema = format!(
        "{LOG} CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 1000) i;
         CREATE MATERIALIZED VIEW counted AS SELECT v, count(*) FROM t GROUP BY v; CREATE UNIQUE INDEX counted_v ON counted (v);"
    );
    carried(
        "ddl-concurrently",
        &schema,
        "CREATE INDEX CONCURRENTLY t_v ON t (v);
         INSERT INTO t VALUES (2001, 'between');
         CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_u ON t (v, id);
         CREATE INDEX CONCURRENTLY ON t (lower(v));
         DELETE FROM t WHERE id = 5;
         ALTER TABLE log DETACH PARTITION log_1 CONCURRENTLY;
         INSERT INTO log_1 VALUES (900, '2024-01-03', 'detached');
         REINDEX INDEX CONCURRENTLY t_v;
         DROP INDEX CONCURRENTLY t_v;
         REFRESH MATERIALIZED VIEW CONCURRENTLY counted;
         INSERT INTO t VALUES (2002, 'after');
         DROP INDEX CONCURRENTLY IF EXISTS t_v;
",
        APART,
    );
}

#[test]
fn an_index_that_failed_concurrently_stays_as_it_is() {
    let task = Task::build("ddl-concurrently-bad")
        .schema("CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'x'), (2, 'x')")
        .ddl()
        .create();
    let daemon = task.start();
    let failed = task.source.try_execute("CREATE UNIQUE INDEX CONCURRENTLY t_v ON t (v)");
    assert!(failed.is_err_and(|error| error.contains("could not create unique index")));
    // What the failed statement left at the source is no statement's work; dropping it finds nothing at the destination.
    task.source.execute("INSERT INTO t VALUES (3, 'y')");
    task.source.execute("DROP INDEX IF EXISTS t_v");
    task.level();
    daemon.terminate().expect_status(0);
}

#[test]
fn concurrent_statements_go_on_after_kill_9() {
    let task = Task::build("ddl-concurrently-kill")
        .schema("CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 150000) i")
        .ddl()
        .create();
    task.source.execute("CREATE INDEX CONCURRENTLY t_v ON t (v, id)");
    task.source.execute("INSERT INTO t VALUES (0, 'after the index')");
    for millis in [900, 1000, 1100, 1200, 1300, 1500] {
        let daemon = task.start();
        std::thread::sleep(std::time::Duration::from_millis(millis));
        daemon.kill9();
    }
    task.sync_same();
    let valid = "SELECT string_agg(indisvalid::text, ',') FROM pg_index WHERE indrelid = 't'::regclass";
    assert_eq!(task.destination.value(valid), "true,true", "no broken index is left");
    assert_eq!(task.outcome("CREATE INDEX%"), "applied");
}
