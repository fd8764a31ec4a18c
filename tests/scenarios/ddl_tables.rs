//! Tables: made, altered in every way, renamed, moved and dropped, with rows before, between and after.

use walferry_tests::ddl::{ALWAYS, APART, Pace, carried};

const SHOP: &str = "CREATE SCHEMA shop; CREATE SCHEMA attic;
    CREATE TABLE shop.item (id integer PRIMARY KEY, name text, price numeric(10,2) DEFAULT 1, old integer);
    INSERT INTO shop.item SELECT i, 'item ' || i, i / 3.0, i FROM generate_series(1, 50) i;";

#[test]
fn tables_come_with_their_first_row() {
    carried(
        "ddl-tables-made",
        "",
        "CREATE SCHEMA crm;
         CREATE TABLE crm.person (id integer PRIMARY KEY, name text NOT NULL, born date DEFAULT '2000-01-01');
         INSERT INTO crm.person SELECT i, 'p' || i FROM generate_series(1, 100) i;
         CREATE TABLE crm.email (id bigserial PRIMARY KEY, person integer REFERENCES crm.person ON DELETE CASCADE, at text UNIQUE);
         INSERT INTO crm.email (person, at) SELECT i, i || '@example.org' FROM generate_series(1, 100) i;
         UPDATE crm.person SET name = name || '!' WHERE id % 7 = 0;
         DELETE FROM crm.person WHERE id % 10 = 0;
         CREATE TABLE IF NOT EXISTS crm.person (id integer);
         CREATE TABLE \"Odd \"\"Table\" (\"Key %\" integer PRIMARY KEY, \"select\" text);
         INSERT INTO \"Odd \"\"Table\" VALUES (1, 'a');
         CREATE TABLE whole (a integer, b text);
         ALTER TABLE whole REPLICA IDENTITY FULL;
         INSERT INTO whole SELECT i % 3, 'dup' FROM generate_series(1, 20) i;
         DELETE FROM whole WHERE a = 1;
         CREATE TABLE later (a integer, b text);
         INSERT INTO later VALUES (1, 'before it has a key');
         ALTER TABLE later ADD PRIMARY KEY (a);
         UPDATE later SET b = 'with a key';
         CREATE TABLE made (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a integer, twice integer GENERATED ALWAYS AS (a * 2) STORED, CHECK (a > 0), EXCLUDE USING btree (a WITH =)) WITH (fillfactor = 70);
         INSERT INTO made (a) SELECT i FROM generate_series(1, 10) i;
         UPDATE made SET a = a + 100;
         TRUNCATE crm.email;
         INSERT INTO crm.email (person, at) VALUES (1, 'again@example.org');
",
        ALWAYS,
    );
}

#[test]
fn columns_are_added_altered_renamed_and_dropped() {
    carried(
        "ddl-columns",
        SHOP,
        "ALTER TABLE shop.item ADD COLUMN note text;
         UPDATE shop.item SET note = 'n' || id WHERE id % 2 = 0;
         ALTER TABLE shop.item ADD COLUMN IF NOT EXISTS note text, ADD COLUMN n integer NOT NULL DEFAULT 7, DROP COLUMN old;
         INSERT INTO shop.item (id, name) VALUES (101, 'new');
         ALTER TABLE shop.item ALTER n SET DEFAULT 8, ALTER n DROP NOT NULL, ALTER name SET NOT NULL;
         INSERT INTO shop.item (id, name) VALUES (102, 'new'); UPDATE shop.item SET n = NULL WHERE id = 5;
         ALTER TABLE shop.item ALTER n DROP DEFAULT, ALTER price TYPE numeric(14,4), ALTER name TYPE varchar(80);
         UPDATE shop.item SET price = price / 7;
         ALTER TABLE shop.item ALTER n TYPE text USING 'n' || n;
         INSERT INTO shop.item VALUES (103, 'typed', 1.2345, 'note', 'text now');
         ALTER TABLE shop.item RENAME COLUMN n TO number;
         UPDATE shop.item SET number = upper(number) WHERE id < 20;
         ALTER TABLE shop.item RENAME note TO \"Note 1\";
         UPDATE shop.item SET \"Note 1\" = 'x' WHERE id = 3; DELETE FROM shop.item WHERE id = 4;
         ALTER TABLE shop.item ALTER name SET STATISTICS 500, ALTER name SET (n_distinct = -0.5), ALTER \"Note 1\" SET STORAGE EXTERNAL, ALTER name SET COMPRESSION pglz;
         ALTER TABLE shop.item ALTER name RESET (n_distinct);
         ALTER TABLE shop.item ADD COLUMN twice numeric GENERATED ALWAYS AS (price * 2) STORED;
         UPDATE shop.item SET price = 5 WHERE id = 6;
         ALTER TABLE shop.item ALTER twice DROP EXPRESSION;
         UPDATE shop.item SET twice = 0 WHERE id = 6;
         ALTER TABLE shop.item DROP COLUMN IF EXISTS nothing, DROP COLUMN price CASCADE;
         INSERT INTO shop.item (id, name) VALUES (104, 'last');
",
        ALWAYS,
    );
}

#[test]
fn constraints_come_and_go() {
    carried(
        "ddl-constraints",
        SHOP,
        "CREATE TABLE shop.line (id integer, item integer, n integer);
         ALTER TABLE shop.line ADD CONSTRAINT line_key PRIMARY KEY (id);
         INSERT INTO shop.line SELECT i, i, i % 5 FROM generate_series(1, 40) i;
         ALTER TABLE shop.line ADD CONSTRAINT line_item FOREIGN KEY (item) REFERENCES shop.item NOT VALID;
         ALTER TABLE shop.line VALIDATE CONSTRAINT line_item;
         ALTER TABLE shop.line ALTER CONSTRAINT line_item DEFERRABLE;
         ALTER TABLE shop.line ADD CONSTRAINT positive CHECK (n >= 0) NO INHERIT, ADD UNIQUE (item, id);
         UPDATE shop.line SET n = n + 1;
         ALTER TABLE shop.line RENAME CONSTRAINT positive TO not_negative;
         CREATE UNIQUE INDEX line_unique ON shop.line (id, n);
         ALTER TABLE shop.line ADD CONSTRAINT line_both UNIQUE USING INDEX line_unique;
         INSERT INTO shop.line VALUES (41, 41, 1);
         ALTER TABLE shop.line DROP CONSTRAINT not_negative, DROP CONSTRAINT IF EXISTS none;
         INSERT INTO shop.line VALUES (42, 42, -1);
         ALTER TABLE shop.item DROP CONSTRAINT item_pkey CASCADE;
         ALTER TABLE shop.item ADD CONSTRAINT other_key PRIMARY KEY (id) INCLUDE (name);
         UPDATE shop.item SET name = 'by the other key' WHERE id = 9;
         ALTER TABLE shop.line DROP CONSTRAINT line_key, ADD PRIMARY KEY (item, id);
         UPDATE shop.line SET n = 77 WHERE id = 7; DELETE FROM shop.line WHERE id = 8;
",
        ALWAYS,
    );
}

#[test]
fn tables_change_name_schema_and_nature() {
    carried(
        "ddl-nature",
        SHOP,
        "ALTER TABLE shop.item RENAME TO thing;
         INSERT INTO shop.thing VALUES (201, 'renamed');
         ALTER TABLE shop.thing SET SCHEMA attic;
         INSERT INTO attic.thing VALUES (202, 'moved');
         ALTER SCHEMA attic RENAME TO \"Loft\";
         UPDATE \"Loft\".thing SET name = 'in the loft' WHERE id > 200;
         CREATE TABLE shop.item (id integer PRIMARY KEY, taken text);
         INSERT INTO shop.item VALUES (1, 'the old name again');
         ALTER TABLE \"Loft\".thing SET (fillfactor = 60, autovacuum_enabled = off), ALTER name SET NOT NULL;
         ALTER TABLE \"Loft\".thing RESET (fillfactor);
         CREATE UNIQUE INDEX thing_name ON \"Loft\".thing (name, id);
         ALTER TABLE \"Loft\".thing CLUSTER ON thing_name;
         ALTER TABLE \"Loft\".thing SET WITHOUT CLUSTER, SET WITHOUT OIDS;
         ALTER TABLE \"Loft\".thing REPLICA IDENTITY USING INDEX thing_name;
         UPDATE \"Loft\".thing SET price = 9 WHERE id = 20;
         ALTER TABLE \"Loft\".thing REPLICA IDENTITY FULL;
         UPDATE \"Loft\".thing SET price = 10 WHERE id = 21; DELETE FROM \"Loft\".thing WHERE id = 22;
         ALTER TABLE \"Loft\".thing REPLICA IDENTITY DEFAULT;
         ALTER TABLE \"Loft\".thing ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         ALTER TABLE \"Loft\".thing NO FORCE ROW LEVEL SECURITY;
         ALTER TABLE IF EXISTS nowhere RENAME TO here;
         ALTER TABLE \"Loft\".thing SET ACCESS METHOD heap;
         DROP TABLE shop.item;
         DROP TABLE IF EXISTS shop.item, \"Loft\".thing;
         CREATE TABLE \"Loft\".thing (id integer PRIMARY KEY);
         INSERT INTO \"Loft\".thing VALUES (1);
         DROP SCHEMA shop, \"Loft\" CASCADE;
         CREATE SCHEMA shop CREATE TABLE a (id integer PRIMARY KEY) CREATE VIEW v AS SELECT id FROM a;
         INSERT INTO shop.a VALUES (1), (2);
",
        ALWAYS,
    );
}

#[test]
fn tables_like_under_and_of_others() {
    carried(
        "ddl-like",
        "CREATE TABLE base (id integer PRIMARY KEY, v text DEFAULT 'v' NOT NULL, n integer CHECK (n > 0));
         CREATE INDEX base_v ON base (v); COMMENT ON COLUMN base.v IS 'of base';
         CREATE TYPE pair AS (a integer, b text); INSERT INTO base VALUES (1, 'x', 1);",
        "CREATE TABLE same (LIKE base INCLUDING ALL, more text);
         INSERT INTO same (id, n, more) VALUES (1, 1, 'm');
         CREATE TABLE child (extra integer, PRIMARY KEY (id)) INHERITS (base);
         INSERT INTO child (id, n, extra) VALUES (2, 2, 2), (3, 3, 3);
         UPDATE base SET v = 'all' WHERE id > 1;
         ALTER TABLE base ADD COLUMN late integer DEFAULT 5;
         INSERT INTO child VALUES (4, 'four', 4, 4, 4);
         ALTER TABLE child NO INHERIT base;
         ALTER TABLE child INHERIT base;
         ALTER TABLE ONLY base ALTER v SET DEFAULT 'only';
         ALTER TABLE base RENAME v TO w;
         UPDATE base SET w = 'renamed';
         ALTER TABLE base DROP COLUMN n;
         INSERT INTO child (id, w, extra) VALUES (5, 'five', 5);
         CREATE TABLE typed OF pair (PRIMARY KEY (a));
         INSERT INTO typed VALUES (1, 'one');
         ALTER TYPE pair ADD ATTRIBUTE c integer CASCADE;
         INSERT INTO typed VALUES (2, 'two', 2);
         ALTER TABLE typed NOT OF;
         ALTER TABLE typed ADD COLUMN d integer;
         INSERT INTO typed VALUES (3, 'three', 3, 3);
         CREATE TABLE typed2 (a integer PRIMARY KEY, b text, c integer);
         ALTER TABLE typed2 OF pair;
         INSERT INTO typed2 VALUES (1);
         CREATE TABLE grandchild () INHERITS (child, same);
         INSERT INTO grandchild (id, extra, more) VALUES (9, 9, 'both');
         DROP TABLE base CASCADE;
",
        APART,
    );
}

#[test]
fn rows_of_unlogged_and_temporary_tables_stay_at_home() {
    let task = walferry_tests::Task::build("ddl-fleeting").schema(SHOP).ddl().create();
    walferry_tests::ddl::follow(
        &task,
        "CREATE UNLOGGED TABLE cache (id integer PRIMARY KEY);
         INSERT INTO cache VALUES (1), (2);
         CREATE TEMPORARY TABLE mine (id integer PRIMARY KEY, v text);
         INSERT INTO mine VALUES (1, 'x');
         CREATE INDEX mine_v ON mine (v);
         ALTER TABLE mine ADD COLUMN w integer DEFAULT random();
         CREATE TEMPORARY TABLE copied AS SELECT * FROM shop.item;
         CREATE TEMPORARY VIEW seen AS SELECT * FROM mine;
         DROP TABLE copied;
         ALTER TABLE shop.item SET UNLOGGED;
         CREATE TABLE kept (id integer PRIMARY KEY);
         INSERT INTO kept VALUES (1);
",
        Pace::Live,
    );
    let unlogged = "SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relpersistence = 'u' AND relkind = 'r'";
    assert_eq!(task.destination.value(unlogged), "cache,item");
    assert_eq!(task.destination.value("SELECT count(*) FROM cache"), "0");
    assert!(
        task.recorded("statement", "statement LIKE '%mine%'").is_empty(),
        "temporary objects write nothing"
    );
}
