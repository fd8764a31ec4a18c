//! Types, operators, text search and the rest that tables and queries are made of; sequences; extensions.

use walferry_tests::Task;
use walferry_tests::ddl::{ALWAYS, APART, Pace, carried, each};
use walferry_tests::own_extension::OwnExtension;

#[test]
fn rule_08_enums_get_values_that_are_used_at_once() {
    carried(
        "ddl-enum",
        "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (id integer PRIMARY KEY, m mood); INSERT INTO t VALUES (1, 'sad');",
        "ALTER TYPE mood ADD VALUE 'happy';
         INSERT INTO t VALUES (2, 'happy');
         ALTER TYPE mood ADD VALUE 'so so' BEFORE 'happy';
         ALTER TYPE mood ADD VALUE IF NOT EXISTS 'so so';
         ALTER TYPE mood ADD VALUE IF NOT EXISTS 'it''s fine' AFTER 'sad';
         BEGIN; INSERT INTO t VALUES (3, 'so so'), (4, 'it''s fine'); UPDATE t SET m = 'happy' WHERE id = 1; COMMIT;
         ALTER TYPE mood RENAME VALUE 'sad' TO 'blue';
         INSERT INTO t VALUES (5, 'blue'); UPDATE t SET m = 'blue' WHERE m = 'so so';
         CREATE TYPE size AS ENUM ('s', 'm');
         ALTER TABLE t ADD COLUMN s size DEFAULT 'm', ADD COLUMN many size[];
         INSERT INTO t VALUES (6, 'blue', 's', '{s,m}');
         ALTER TYPE size ADD VALUE 'l';
         ALTER TABLE t ALTER s SET DEFAULT 'l';
         INSERT INTO t VALUES (7, 'happy', 'l', '{l,l}'); INSERT INTO t VALUES (8);
         ALTER TYPE size RENAME TO \"Size\";
         ALTER TYPE \"Size\" ADD VALUE 'xl';
         UPDATE t SET s = 'xl', many = many || 'xl'::\"Size\";
         ALTER TABLE t ALTER s DROP DEFAULT, ALTER s TYPE text;
         INSERT INTO t VALUES (9, 'happy', 'now text', '{}');
",
        APART,
    );
}

#[test]
fn rule_08_an_enum_made_and_grown_in_one_transaction() {
    carried(
        "ddl-enum-one",
        "",
        "CREATE TYPE mood AS ENUM ('sad');
         CREATE TABLE t (id integer PRIMARY KEY, m mood);
         ALTER TYPE mood ADD VALUE 'happy';
         INSERT INTO t VALUES (1, 'sad'), (2, 'sad');
         ALTER TABLE t ADD COLUMN n mood DEFAULT 'sad';
         INSERT INTO t VALUES (3, 'sad');
",
        &[Pace::Together],
    );
}

#[test]
fn domains_composites_and_ranges() {
    carried(
        "ddl-domains",
        "",
        "CREATE DOMAIN positive AS integer DEFAULT 1 NOT NULL CONSTRAINT above CHECK (VALUE > 0);
         CREATE TYPE place AS (street text, number integer);
         CREATE TABLE t (id integer PRIMARY KEY, n positive, p place, ps place[]);
         INSERT INTO t VALUES (1, 5, ('High St', 1), ARRAY[('a', 1), ('b', 2)]::place[]);
         ALTER DOMAIN positive DROP CONSTRAINT above;
         INSERT INTO t VALUES (2, -5, ('Low St', -1), NULL);
         ALTER DOMAIN positive ADD CONSTRAINT small CHECK (VALUE < 1000) NOT VALID;
         ALTER DOMAIN positive VALIDATE CONSTRAINT small;
         ALTER DOMAIN positive RENAME CONSTRAINT small TO below;
         ALTER DOMAIN positive SET DEFAULT 2;
         ALTER DOMAIN positive DROP NOT NULL;
         INSERT INTO t (id, n) VALUES (3, NULL); INSERT INTO t (id) VALUES (4);
         CREATE TYPE plain AS (a integer, b text);
         CREATE TABLE u (id integer PRIMARY KEY, v plain);
         INSERT INTO u VALUES (1, (1, 'x'));
         ALTER TYPE plain ADD ATTRIBUTE c date;
         INSERT INTO u VALUES (2, (2, 'y', '2024-02-29'));
         ALTER TYPE plain RENAME ATTRIBUTE b TO \"B\";
         ALTER TYPE plain DROP ATTRIBUTE a;
         INSERT INTO u VALUES (3, ('z', '2024-03-01')); UPDATE u SET v.c = '1999-01-01' WHERE id = 1;
         CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = float8mi, multirange_type_name = spans);
         CREATE TABLE w (id integer PRIMARY KEY, s span, m spans);
         INSERT INTO w VALUES (1, '[1.5,2.5)', '{[1,2),[3,4)}');
         CREATE TYPE shell;
         DROP TYPE shell;
         CREATE SCHEMA kinds;
         ALTER TYPE place SET SCHEMA kinds;
         ALTER DOMAIN positive SET SCHEMA kinds;
         UPDATE t SET p = ('moved', 9) WHERE id = 1;
         DROP TYPE plain CASCADE;
         INSERT INTO u VALUES (4);
         DROP DOMAIN kinds.positive CASCADE;
",
        ALWAYS,
    );
}

#[test]
fn rows_that_a_new_constraint_of_their_domain_forbids() {
    carried(
        "ddl-domain-old",
        "CREATE DOMAIN things AS integer; CREATE TABLE t (id integer PRIMARY KEY, v things, w text); CREATE TABLE whole (v things, w text);
         ALTER TABLE whole REPLICA IDENTITY FULL; INSERT INTO t VALUES (1, 55), (2, 56); INSERT INTO whole VALUES (55), (56), (57);",
        "ALTER DOMAIN things ADD CONSTRAINT below CHECK (VALUE < 11) NOT VALID;
         UPDATE t SET w = 'another column' WHERE id = 1; UPDATE t SET v = 10 WHERE id = 2;
         UPDATE whole SET v = 10 WHERE v = 55; DELETE FROM whole WHERE v = 56; UPDATE whole SET w = 'w' WHERE v = 57;
",
        APART,
    );
}

#[test]
fn rows_of_a_composite_type_that_loses_an_attribute() {
    carried(
        "ddl-composite-old",
        "CREATE TYPE pair AS (a integer); CREATE TABLE t (id integer, v pair); ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES (1, '(1)'), (2, '(2)');",
        "ALTER TYPE pair DROP ATTRIBUTE a, ADD ATTRIBUTE b integer;
         UPDATE t SET v = '(7)' WHERE id = 1;
         DELETE FROM t WHERE id = 2;
",
        APART,
    );
}

#[test]
fn sequences_and_who_owns_them() {
    carried(
        "ddl-sequences",
        "",
        "CREATE SEQUENCE ids AS integer START 10 INCREMENT 5 MINVALUE 5 MAXVALUE 1000 CACHE 3 CYCLE;
         CREATE TABLE t (id integer PRIMARY KEY DEFAULT nextval('ids'), v text);
         ALTER SEQUENCE ids OWNED BY t.id;
         INSERT INTO t (v) SELECT 'v' || i FROM generate_series(1, 10) i;
         ALTER SEQUENCE ids RESTART 500 INCREMENT 1 NO MAXVALUE NO CYCLE;
         INSERT INTO t (v) VALUES ('after restart');
         ALTER SEQUENCE ids RENAME TO numbers;
         INSERT INTO t (v) VALUES ('renamed');
         CREATE SCHEMA s;
         ALTER SEQUENCE numbers OWNED BY NONE;
         ALTER SEQUENCE numbers SET SCHEMA s;
         INSERT INTO t (v) VALUES ('moved');
         CREATE TABLE u (a serial PRIMARY KEY, b bigserial, c integer GENERATED BY DEFAULT AS IDENTITY (START 7 INCREMENT 7));
         INSERT INTO u DEFAULT VALUES; INSERT INTO u DEFAULT VALUES;
         ALTER TABLE u ALTER c SET GENERATED ALWAYS SET INCREMENT 2 RESTART 100;
         INSERT INTO u DEFAULT VALUES;
         ALTER TABLE u ALTER c DROP IDENTITY, ALTER b DROP DEFAULT;
         INSERT INTO u (b, c) VALUES (1, 1);
         ALTER TABLE u ALTER c ADD GENERATED ALWAYS AS IDENTITY (START 1000);
         INSERT INTO u (b) VALUES (1);
         DROP SEQUENCE u_b_seq;
         DROP SEQUENCE s.numbers CASCADE;
         DROP SEQUENCE IF EXISTS s.numbers;
         INSERT INTO t VALUES (9999, 'by hand');
",
        ALWAYS,
    );
}

#[test]
fn operators_casts_and_access() {
    carried(
        "ddl-operators",
        "",
        "CREATE TYPE pair AS (a integer, b integer);
         CREATE FUNCTION pair_less(pair, pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.a < $2.a';
         CREATE FUNCTION pair_cmp(pair, pair) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1.a - $2.a';
         CREATE FUNCTION to_pair(integer) RETURNS pair LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1, $1)::pair';
         CREATE OPERATOR <<< (LEFTARG = pair, RIGHTARG = pair, FUNCTION = pair_less);
         ALTER OPERATOR <<< (pair, pair) SET (RESTRICT = scalarltsel);
         CREATE OPERATOR FAMILY pair_ops USING btree;
         CREATE OPERATOR CLASS pair_class FOR TYPE pair USING btree FAMILY pair_ops AS OPERATOR 1 <<<, FUNCTION 1 pair_cmp(pair, pair);
         ALTER OPERATOR FAMILY pair_ops USING btree RENAME TO pair_family;
         CREATE CAST (integer AS pair) WITH FUNCTION to_pair(integer) AS ASSIGNMENT;
         CREATE TABLE t (id integer PRIMARY KEY, p pair);
         INSERT INTO t VALUES (1, 7);
         CREATE COLLATION other (provider = icu, locale = 'de-u-co-phonebk', deterministic = false);
         CREATE COLLATION again FROM \"C\";
         ALTER COLLATION again RENAME TO once_more;
         ALTER TABLE t ADD COLUMN v text COLLATE other;
         INSERT INTO t VALUES (2, 8, 'Straße');
         CREATE DEFAULT CONVERSION mine FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
         ALTER CONVERSION mine RENAME TO ours;
         CREATE AGGREGATE total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
         ALTER AGGREGATE total(integer) RENAME TO sum_up;
         CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
         CREATE TABLE u (id integer PRIMARY KEY) USING heap2;
         INSERT INTO u VALUES (1);
         DROP CAST (integer AS pair);
         DROP CONVERSION ours;
         DROP AGGREGATE sum_up(integer);
         DROP OPERATOR CLASS pair_class USING btree;
         DROP OPERATOR FAMILY pair_family USING btree;
         DROP OPERATOR <<< (pair, pair);
         DROP COLLATION once_more;
         DROP ACCESS METHOD heap2 CASCADE;
",
        ALWAYS,
    );
}

#[test]
fn text_search() {
    carried(
        "ddl-text-search",
        "CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'The quick foxes');",
        "CREATE TEXT SEARCH DICTIONARY plain (TEMPLATE = simple, STOPWORDS = english);
         ALTER TEXT SEARCH DICTIONARY plain (ACCEPT = false);
         CREATE TEXT SEARCH CONFIGURATION mine (COPY = english);
         ALTER TEXT SEARCH CONFIGURATION mine ALTER MAPPING FOR asciiword WITH plain, english_stem;
         ALTER TEXT SEARCH CONFIGURATION mine DROP MAPPING FOR email;
         CREATE TEXT SEARCH PARSER words (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
         CREATE TEXT SEARCH TEMPLATE tmpl (INIT = dsimple_init, LEXIZE = dsimple_lexize);
         ALTER TABLE t ADD COLUMN w tsvector GENERATED ALWAYS AS (to_tsvector('public.mine', v)) STORED;
         INSERT INTO t VALUES (2, 'Jumping over lazy dogs');
         CREATE INDEX ON t USING gin (w);
         ALTER TEXT SEARCH CONFIGURATION mine RENAME TO ours;
         CREATE SCHEMA s;
         ALTER TEXT SEARCH DICTIONARY plain SET SCHEMA s;
         UPDATE t SET v = v || ' running';
         DROP TEXT SEARCH TEMPLATE tmpl;
         DROP TEXT SEARCH PARSER words;
         DROP TEXT SEARCH CONFIGURATION ours CASCADE;
",
        ALWAYS,
    );
}

#[test]
fn extensions_with_their_types_and_tables() {
    carried(
        "ddl-extensions",
        "CREATE TABLE t (id integer PRIMARY KEY);",
        "CREATE EXTENSION hstore;
         ALTER TABLE t ADD COLUMN h hstore DEFAULT 'a=>1';
         INSERT INTO t VALUES (1, DEFAULT), (2, 'b=>2');
         CREATE SCHEMA ext;
         CREATE EXTENSION IF NOT EXISTS citext SCHEMA ext VERSION '1.4';
         ALTER EXTENSION citext UPDATE TO '1.6';
         ALTER TABLE t ADD COLUMN c ext.citext UNIQUE;
         INSERT INTO t VALUES (3, NULL, 'MiXed'); UPDATE t SET c = 'Updated' WHERE id = 1;
         CREATE EXTENSION earthdistance CASCADE;
         CREATE TABLE places (id integer PRIMARY KEY, at earth);
         INSERT INTO places VALUES (1, ll_to_earth(50, 8));
         ALTER EXTENSION hstore SET SCHEMA ext;
         UPDATE t SET h = 'moved=>1' WHERE id = 2;
         CREATE FUNCTION added() RETURNS integer LANGUAGE sql RETURN 1;
         ALTER EXTENSION citext ADD FUNCTION added();
         ALTER EXTENSION citext DROP FUNCTION added();
         CREATE EXTENSION ltree;
         DROP EXTENSION ltree;
         DROP EXTENSION hstore CASCADE;
         INSERT INTO t (id, c) VALUES (4, 'without h');
         CREATE EXTENSION pg_trgm;
         CREATE INDEX ON t USING gin (lower(c::text) gin_trgm_ops);
",
        ALWAYS,
    );
}

#[test]
fn rows_that_an_extension_writes_itself_come_once() {
    let _files = OwnExtension::install();
    let task =
        Task::build("ddl-extension-rows").schema("CREATE TABLE t (id integer PRIMARY KEY)").ddl().create();
    let daemon = task.start();
    each(
        &task,
        "BEGIN; INSERT INTO t VALUES (1); CREATE EXTENSION walferry_ledger; INSERT INTO t VALUES (2); COMMIT;
         INSERT INTO ledger (what) VALUES ('of a user');
         UPDATE ledger SET what = what || '!' WHERE id IN (1, 3);
         BEGIN; INSERT INTO t VALUES (3); ALTER EXTENSION walferry_ledger UPDATE TO '1.1'; INSERT INTO t VALUES (4); COMMIT;
         UPDATE ledger SET more = more + 10 WHERE id = 3;
         CREATE TABLE books (id serial PRIMARY KEY, size bigint DEFAULT ledger_size());
         INSERT INTO books DEFAULT VALUES;
",
    );
    task.level();
    // Tables of extensions are not looked at by that.
    let rows = "SELECT string_agg(ledger::text, ';' ORDER BY id) FROM ledger";
    assert_eq!(task.destination.value(rows), task.source.value(rows));
    assert_eq!(task.destination.list("SELECT id FROM made ORDER BY 1"), "1,2,3");
    assert_eq!(task.outcomes(), "applied");
    daemon.terminate().expect_status(0);
}
