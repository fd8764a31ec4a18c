-- A shop with a column of every interesting type, and tables of every interesting kind.
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE SCHEMA shop;
CREATE TYPE shop.state AS ENUM ('new', 'paid', 'on its way', 'it''s back');
CREATE TYPE shop.address AS (street text, city text, geo point);
CREATE DOMAIN shop.price AS numeric(12, 2) CHECK (VALUE >= 0 OR VALUE = 'NaN');

CREATE TABLE shop.customer (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email citext UNIQUE,
    name text NOT NULL,
    loud text GENERATED ALWAYS AS (upper(name)) STORED,
    home shop.address,
    others shop.address[],
    tags text[],
    traits hstore,
    profile jsonb,
    photo bytea,
    token uuid DEFAULT gen_random_uuid(),
    last_ip inet,
    active boolean DEFAULT true,
    since timestamptz DEFAULT clock_timestamp()
);

CREATE TABLE shop.product (
    sku varchar(20) PRIMARY KEY,
    price shop.price,
    weight double precision,
    ratio real,
    available daterange,
    slots int4multirange,
    description text,
    words tsvector,
    spec xml,
    raw json,
    size box,
    flags bit(8),
    every interval,
    opens time,
    cost money
);

CREATE TABLE shop.orders (
    id bigint,
    day date,
    customer integer,
    state shop.state DEFAULT 'new',
    history shop.state[] DEFAULT '{}',
    lines jsonb,
    total numeric,
    PRIMARY KEY (id, day)
) PARTITION BY RANGE (day);
CREATE TABLE shop.orders_2025 PARTITION OF shop.orders FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE shop.orders_2026 PARTITION OF shop.orders FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE shop.orders_rest PARTITION OF shop.orders DEFAULT;

-- No key: rows are found by all of their columns, and equal rows are rows of their own.
CREATE TABLE shop.click (page text, at timestamptz(0), weight numeric);
ALTER TABLE shop.click REPLICA IDENTITY FULL;

CREATE TABLE shop."Größe, 100% ""odd"" name" ("the key." integer PRIMARY KEY, "select" text, "Ω" numeric);
CREATE TABLE shop.basket (id serial PRIMARY KEY, items text[]);

INSERT INTO shop.customer (email, name, home, tags)
SELECT 'Customer' || i || '@example.org', 'customer ' || i, ROW('Road ' || i, 'City', point(i, -i))::shop.address,
    ARRAY['regular', NULL, 'a "b", c']
FROM generate_series(1, 2000) i;
INSERT INTO shop.product (sku, price, weight, description)
SELECT 'P' || i, i * 1.25, i / 3.0::float8, 'product ' || i FROM generate_series(1, 500) i;
INSERT INTO shop.click SELECT 'page ' || i % 20, '2026-01-01', 1.0 FROM generate_series(1, 2000) i;
