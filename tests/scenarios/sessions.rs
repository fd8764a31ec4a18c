//! Settings and encodings of either side do not matter (rules 19 and 21).

use walferry_tests::Task;

const SETTINGS: &[&str] = &[
    "datestyle = 'SQL, DMY'",
    "intervalstyle = 'sql_standard'",
    "timezone = 'Asia/Kathmandu'",
    "extra_float_digits = -15",
    "bytea_output = 'escape'",
    "standard_conforming_strings = off",
    "array_nulls = off",
    "xmloption = 'document'",
    "row_security = on",
    "default_transaction_read_only = on",
    "default_transaction_isolation = 'serializable'",
    "default_transaction_deferrable = on",
    "statement_timeout = '1ms'",
    "lock_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '1ms'",
    "search_path = 'nowhere'",
    "default_tablespace = ''",
    "enable_indexscan = off",
    "client_encoding = 'LATIN1'",
    "quote_all_identifiers = on",
    "synchronous_commit = 'on'",
    "backslash_quote = off",
    "escape_string_warning = on",
    "session_replication_role = 'origin'",
];

const SCHEMA: &str = "CREATE TABLE public.s (id integer PRIMARY KEY, d date, t timestamptz, i interval, f double precision, b bytea,
    x xml, a text[], e text, r tstzrange, j jsonb, n numeric, m money)";

/// Rows whose text depends on settings; `x` is no document, which only xmloption 'content' takes.
fn rows(task: &Task) {
    task.source.execute(
        "INSERT INTO public.s SELECT i, date '2020-03-04' + i, timestamptz '2020-03-04 05:06:07+00' + i * interval '1 h',
            make_interval(1, 2, 0, -3, 4, 5, -6.789), 0.1::float8 + i / 3.0, '\\x00275cff', 'text &amp; <a/>'::text::xml,
            ARRAY['NULL', NULL, 'a\\b'], 'back\\slash '' quote', tstzrange('2020-03-04 05:06:07+00', NULL), '{\"a\": 0.10}', 1.50, 3
         FROM generate_series(1, 50) i",
    );
}

fn work(task: &Task) {
    rows(task);
    task.source
        .execute("UPDATE public.s SET e = e || 'x', f = f / 7, t = t + interval '1 us' WHERE id % 2 = 0");
    task.source.execute("ALTER TABLE public.s REPLICA IDENTITY FULL");
    task.source.execute("UPDATE public.s SET d = d + 1 WHERE id < 20; DELETE FROM public.s WHERE id % 5 = 0");
    task.sync();
}

#[test]
fn rule_21_settings_of_the_databases_do_not_matter() {
    let task = Task::new("session-database", SCHEMA);
    for setting in SETTINGS {
        for side in [&task.source, &task.destination] {
            side.execute(&format!("ALTER DATABASE \"{}\" SET {setting}", task.database));
        }
    }
    work(&task);
}

#[test]
fn rule_21_settings_of_the_destination_alone() {
    let task = Task::new("session-destination", SCHEMA);
    for setting in SETTINGS {
        task.destination.execute(&format!("ALTER DATABASE \"{}\" SET {setting}", task.database));
    }
    work(&task);
}

#[test]
fn rule_21_settings_of_the_source_alone() {
    let task = Task::new("session-source", SCHEMA);
    for setting in SETTINGS {
        task.source.execute(&format!("ALTER DATABASE \"{}\" SET {setting}", task.database));
    }
    work(&task);
}

const LATIN: &str = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0";
const TEXTS: &str = "CREATE TYPE kind AS ENUM ('gr\u{fc}n', 'plain'); CREATE TABLE \"gr\u{f6}\u{df}e\" (id integer PRIMARY KEY, \"\u{e4}\" text, k kind, a text[], j json, x xml, c varchar(20));";

fn latin_rows(task: &Task) {
    task.source.execute("SET client_encoding = 'UTF8'");
    task.source.execute(
        "INSERT INTO \"größe\" SELECT i, 'Ärger ' || i, 'grün', ARRAY['ö', 'ß'], '{\"ü\": \"ñ\"}', '<é>à</é>', 'çççç' FROM generate_series(1, 20) i",
    );
    task.source
        .execute("UPDATE \"größe\" SET \"ä\" = 'Übung' WHERE id < 5; DELETE FROM \"größe\" WHERE id = 9");
    task.sync();
}

#[test]
fn rule_19_latin1_to_utf8() {
    let task = Task::build("session-latin-utf").source_options(LATIN).schema(TEXTS).create();
    latin_rows(&task);
}

#[test]
fn rule_19_latin1_to_latin1() {
    let task = Task::build("session-latin-latin")
        .source_options(LATIN)
        .destination_options(LATIN)
        .schema(TEXTS)
        .create();
    latin_rows(&task);
}

#[test]
fn rule_19_utf8_to_latin1_stops_at_what_does_not_fit() {
    let task = Task::build("session-utf-latin").destination_options(LATIN).schema(TEXTS).create();
    latin_rows(&task);
    task.source.execute("INSERT INTO \"größe\" (id, \"ä\") VALUES (100, 'Ж')");
    task.run_fails(&["LATIN1"]);
    assert_eq!(task.destination.value("SELECT count(*) FROM \"größe\" WHERE id = 100"), "0");
}

#[test]
fn rule_19_sql_ascii_keeps_its_bytes() {
    let ascii = "ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0";
    let task = Task::build("session-ascii")
        .source_options(ascii)
        .destination_options(ascii)
        .schema("CREATE TABLE t (id integer PRIMARY KEY, b text)")
        .create();
    task.source.execute("INSERT INTO t VALUES (1, convert_from('\\xfce4', 'SQL_ASCII')), (2, 'plain')");
    task.source.execute("UPDATE t SET b = b || 'x'");
    task.run_until_now();
    assert_eq!(
        task.destination.list("SELECT encode(b::bytea, 'hex') FROM t ORDER BY id"),
        task.source.list("SELECT encode(b::bytea, 'hex') FROM t ORDER BY id")
    );
}
