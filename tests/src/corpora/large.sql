-- The layout of a 10 GB database, scaled to a number of events: one big table, some middling ones, many small ones.
CREATE SCHEMA large;
CREATE TABLE large.customer (id integer PRIMARY KEY, name text NOT NULL, since date, note text);
CREATE TABLE large.product (id integer PRIMARY KEY, sku text UNIQUE, price numeric(12, 2));
CREATE TABLE large.event (
    id bigint PRIMARY KEY,
    customer integer NOT NULL REFERENCES large.customer,
    product integer REFERENCES large.product,
    at timestamptz NOT NULL,
    amount numeric(12, 2),
    what varchar(40),
    ok boolean,
    token uuid,
    payload text
);
CREATE TABLE large.line (id bigint PRIMARY KEY, event bigint REFERENCES large.event, n integer, v text);
INSERT INTO large.customer SELECT i, 'customer ' || i, date '2020-01-01' + i % 2000, repeat('n', i % 100) FROM generate_series(1, 20000) i;
INSERT INTO large.product SELECT i, 'sku-' || i, i / 7.0 FROM generate_series(1, 5000) i;
INSERT INTO large.event SELECT i, 1 + i % 20000, 1 + i % 5000, timestamptz '2026-01-01 00:00:00+00' + i * interval '1 second', i / 7.0,
    md5(i::text), i % 3 = 0, md5(i::text)::uuid, repeat('payload ', 10 + i % 20) FROM generate_series(1, {events}) i;
INSERT INTO large.line SELECT i, 1 + i % {events}, i % 10, 'line ' || i FROM generate_series(1, {events} / 5) i;
CREATE INDEX event_customer ON large.event (customer);
CREATE INDEX event_at ON large.event (at);
CREATE INDEX event_what ON large.event (what) WHERE ok;
CREATE INDEX line_event ON large.line (event);
DO $$ BEGIN FOR n IN 1..30 LOOP
    EXECUTE format('CREATE TABLE large.small_%s (id integer PRIMARY KEY, v text)', n);
    EXECUTE format('INSERT INTO large.small_%s SELECT i, ''v'' || i FROM generate_series(1, 500) i', n);
END LOOP; END $$;
ANALYZE;
