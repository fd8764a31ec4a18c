//! What is written to the source before the clock starts: rows of nine columns under two indexes.

/// A backlog.
pub struct Workload {
    /// Its name in the table of results.
    pub name: &'static str,
    /// Changes in it.
    pub changes: u64,
    /// Tables of both sides.
    pub schema: &'static str,
    /// Rows of both sides to begin with.
    pub rows: &'static str,
    /// Statements of the backlog.
    pub work: &'static [&'static str],
}

const TABLE: &str =
    "CREATE TABLE b (id bigint PRIMARY KEY, a integer, n numeric(12, 2), t text, at timestamptz, u uuid,
    f double precision, ok boolean, s varchar(30)); CREATE INDEX b_a ON b (a)";

const ROWS: &str = "INSERT INTO b SELECT i, i % 1000, i * 1.25, 'text of row ' || i, '2026-01-01 00:00:00+00'::timestamptz + i * interval '1 s',
    md5(i::text)::uuid, i / 7.0, i % 2 = 0, 's' || i FROM generate_series(1, 400000) i";

/// The five of docs/benchmarks.md.
pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "insert",
        changes: 400_000,
        schema: TABLE,
        rows: "SELECT 1",
        work: &["DO $$ BEGIN FOR p IN 0..3999 LOOP
            INSERT INTO b SELECT i, i % 1000, i * 1.25, 'text of row ' || i, now() + i * interval '1 s', md5(i::text)::uuid, i / 7.0,
                i % 2 = 0, 's' || i FROM generate_series(p * 100 + 1, p * 100 + 100) i; COMMIT; END LOOP; END $$"],
    },
    Workload {
        name: "update",
        changes: 400_000,
        schema: TABLE,
        rows: ROWS,
        work: &["DO $$ BEGIN FOR p IN 0..3999 LOOP
            UPDATE b SET n = n + 1, t = t || '!', at = now() WHERE id BETWEEN p * 100 + 1 AND p * 100 + 100; COMMIT; END LOOP; END $$"],
    },
    Workload {
        name: "delete",
        changes: 400_000,
        schema: TABLE,
        rows: ROWS,
        work: &["DO $$ BEGIN FOR p IN 0..3999 LOOP
            DELETE FROM b WHERE id BETWEEN p * 100 + 1 AND p * 100 + 100; COMMIT; END LOOP; END $$"],
    },
    Workload {
        name: "one large transaction",
        changes: 400_000,
        schema: TABLE,
        rows: "SELECT 1",
        work: &[ROWS],
    },
    Workload {
        name: "tpcb-like",
        changes: 160_000,
        schema: "CREATE TABLE accounts (aid integer PRIMARY KEY, bid integer, abalance integer, filler char(84));
            CREATE TABLE tellers (tid integer PRIMARY KEY, bid integer, tbalance integer, filler char(84));
            CREATE TABLE branches (bid integer PRIMARY KEY, bbalance integer, filler char(88));
            CREATE TABLE history (tid integer, bid integer, aid integer, delta integer, mtime timestamp, filler char(22))",
        rows: "INSERT INTO accounts SELECT i, i / 100000, 0, '' FROM generate_series(1, 500000) i;
            INSERT INTO tellers SELECT i, i / 10, 0, '' FROM generate_series(1, 50) i;
            INSERT INTO branches SELECT i, 0, '' FROM generate_series(0, 5) i",
        work: &["DO $$ DECLARE a integer; t integer; d integer; BEGIN FOR p IN 1..40000 LOOP
            a := 1 + random() * 499999; t := 1 + random() * 49; d := random() * 10000 - 5000;
            UPDATE accounts SET abalance = abalance + d WHERE aid = a;
            UPDATE tellers SET tbalance = tbalance + d WHERE tid = t;
            UPDATE branches SET bbalance = bbalance + d WHERE bid = t / 10;
            INSERT INTO history VALUES (t, t / 10, a, d, now(), ''); COMMIT; END LOOP; END $$"],
    },
];
