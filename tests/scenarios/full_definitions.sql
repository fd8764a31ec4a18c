-- A database with an object of every kind that a full copy carries (REQUIREMENTS C3). Roles wf_def_owner and
-- wf_def_reader are there on both sides.
CREATE EXTENSION hstore;
CREATE EXTENSION citext WITH SCHEMA public;
CREATE EXTENSION btree_gist;
COMMENT ON EXTENSION hstore IS 'a comment of our own';
CREATE SCHEMA a AUTHORIZATION wf_def_owner;
CREATE SCHEMA "b B";
COMMENT ON SCHEMA a IS 'it''s a schema';

-- Types
CREATE TYPE a.mood AS ENUM ('sad', 'it''s ok', 'happy');
CREATE TYPE a.pair AS (x integer, y text COLLATE "C");
CREATE DOMAIN a.positive AS integer DEFAULT 1 NOT NULL CONSTRAINT above_zero CHECK (VALUE > 0);
CREATE DOMAIN a.short AS varchar(10) COLLATE "POSIX";
CREATE TYPE a.span AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TYPE a.shell;
CREATE FUNCTION a.shell_in(cstring) RETURNS a.shell LANGUAGE internal STRICT IMMUTABLE AS 'textin';
CREATE FUNCTION a.shell_out(a.shell) RETURNS cstring LANGUAGE internal STRICT IMMUTABLE AS 'textout';
CREATE TYPE a.shell (INPUT = a.shell_in, OUTPUT = a.shell_out, LIKE = text, CATEGORY = 'S');
COMMENT ON TYPE a.mood IS 'moods';
CREATE COLLATION a.german (provider = icu, locale = 'de-u-co-phonebk', deterministic = false);
CREATE CONVERSION a.conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;

-- Functions and what is made of them
CREATE FUNCTION a.twice(n integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN n * 2;
CREATE FUNCTION a.old_style(n integer, OUT x integer, OUT y text) LANGUAGE sql STABLE SET search_path = a, pg_catalog
    AS $$ SELECT n, 'y' $$;
CREATE FUNCTION a.many(VARIADIC v integer[] DEFAULT '{}') RETURNS SETOF integer LANGUAGE plpgsql ROWS 10 AS $body$
BEGIN
    -- a table that does not exist is found out only when it runs
    RETURN QUERY SELECT * FROM unnest(v);
END $body$;
CREATE PROCEDURE a.act(INOUT n integer) LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN n := n + 1; END $$;
CREATE FUNCTION a.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := NEW.v || '!'; RETURN NEW; END $$;
CREATE FUNCTION a.watched() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE AGGREGATE a.total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0', PARALLEL = SAFE);
CREATE AGGREGATE a.ranked(float8 ORDER BY anyelement) (SFUNC = ordered_set_transition, STYPE = internal,
    FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA);
CREATE FUNCTION a.same(a.pair, a.pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.x = $2.x';
CREATE OPERATOR a.=== (LEFTARG = a.pair, RIGHTARG = a.pair, FUNCTION = a.same, COMMUTATOR = OPERATOR(a.===));
CREATE FUNCTION a.backwards(integer, integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($2, $1)';
CREATE OPERATOR FAMILY a.down USING btree;
CREATE OPERATOR CLASS a.down_ops FOR TYPE integer USING btree FAMILY a.down AS
    OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 a.backwards(integer, integer);
CREATE FUNCTION a.to_mood(integer) RETURNS a.mood LANGUAGE sql IMMUTABLE AS $$ SELECT 'happy'::a.mood $$;
CREATE CAST (integer AS a.mood) WITH FUNCTION a.to_mood(integer) AS ASSIGNMENT;
COMMENT ON FUNCTION a.twice(integer) IS 'doubles';
COMMENT ON OPERATOR a.=== (a.pair, a.pair) IS 'the same';
COMMENT ON CAST (integer AS a.mood) IS 'always happy';

-- Text search
CREATE TEXT SEARCH DICTIONARY a.stems (TEMPLATE = snowball, Language = english, StopWords = english);
CREATE TEXT SEARCH TEMPLATE a.template (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH PARSER a.parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH CONFIGURATION a.config (PARSER = default);
ALTER TEXT SEARCH CONFIGURATION a.config ADD MAPPING FOR asciiword, word WITH a.stems, simple;

-- Sequences and tables
CREATE SEQUENCE a.ids AS bigint START 100 INCREMENT 7 MINVALUE 5 CACHE 3 CYCLE;
SELECT nextval('a.ids'), nextval('a.ids');
CREATE SEQUENCE "b B"."never used, 100%" INCREMENT -1;
CREATE TABLE a.person (
    id integer GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 2) PRIMARY KEY,
    other bigint DEFAULT nextval('a.ids') NOT NULL,
    serial bigserial,
    email public.citext NOT NULL,
    name text COLLATE a.german,
    loud text GENERATED ALWAYS AS (upper(email::text)) STORED,
    mood a.mood DEFAULT 'sad',
    pair a.pair DEFAULT ROW(1, 'y')::a.pair,
    age a.positive,
    traits hstore DEFAULT 'a=>1',
    gone integer,
    v text DEFAULT 'v',
    CONSTRAINT adult CHECK (age > 17) NO INHERIT,
    CONSTRAINT old_rows CHECK (v <> 'x') NOT VALID,
    CONSTRAINT email_once UNIQUE (email) INCLUDE (id) WITH (fillfactor = 70),
    CONSTRAINT later UNIQUE (other) DEFERRABLE INITIALLY DEFERRED
) WITH (fillfactor = 80, autovacuum_enabled = false);
ALTER TABLE a.person DROP COLUMN gone;
ALTER TABLE a.person ALTER v SET STORAGE EXTERNAL, ALTER name SET STATISTICS 500, ALTER id SET (n_distinct = -1);
COMMENT ON TABLE a.person IS 'people';
COMMENT ON COLUMN a.person.name IS 'what they are called';
COMMENT ON CONSTRAINT adult ON a.person IS '18';
INSERT INTO a.person (email, name, age, v) SELECT 'P' || i || '@x', 'n' || i, 18 + i % 50, 'w' || i FROM generate_series(1, 500) i;
CREATE TABLE "b B"."T, 100% ""odd""" ("select" integer PRIMARY KEY, "Ω." text, person integer,
    CONSTRAINT "to person" FOREIGN KEY (person) REFERENCES a.person (id) ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE);
INSERT INTO "b B"."T, 100% ""odd""" SELECT i, 'Ω' || i, 10 + 2 * i FROM generate_series(1, 100) i;
ALTER TABLE a.person ADD boss integer CONSTRAINT boss REFERENCES a.person;
ALTER TABLE a.person ADD CONSTRAINT odd FOREIGN KEY (serial) REFERENCES "b B"."T, 100% ""odd""" NOT VALID;
CREATE TABLE a.booking (room integer, during tstzrange, EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (room > 0));
INSERT INTO a.booking SELECT i, '[2026-01-01,2026-01-02)' FROM generate_series(1, 20) i;
CREATE UNLOGGED TABLE a.unlogged (a integer PRIMARY KEY);
INSERT INTO a.unlogged VALUES (1), (2);
CREATE TABLE a.typed OF a.pair (PRIMARY KEY (x), y WITH OPTIONS DEFAULT 'typed');
CREATE TABLE a.no_columns ();
CREATE TABLE a.parent (id integer PRIMARY KEY, v text DEFAULT 'p' CHECK (v <> 'q'));
CREATE TABLE a.child (w integer) INHERITS (a.parent);
ALTER TABLE a.child ALTER v SET DEFAULT 'c', ADD PRIMARY KEY (id);
INSERT INTO a.parent SELECT i FROM generate_series(1, 10) i;
INSERT INTO a.child SELECT i, 'child', i FROM generate_series(1, 10) i;
CREATE TABLE a.log (id bigint, day date NOT NULL, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE a.log_1 PARTITION OF a.log FOR VALUES FROM (MINVALUE) TO ('2026-01-01') PARTITION BY HASH (id);
CREATE TABLE a.log_1a PARTITION OF a.log_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "b B".log_1b (day date NOT NULL, extra integer, id bigint NOT NULL, v text);
ALTER TABLE "b B".log_1b DROP COLUMN extra;
ALTER TABLE a.log_1 ATTACH PARTITION "b B".log_1b FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE a.log_rest PARTITION OF a.log (v DEFAULT 'rest') DEFAULT;
CREATE INDEX log_v ON a.log (v);
CREATE INDEX log_only ON ONLY a.log (day);
CREATE TABLE a.source_of_log (id bigint PRIMARY KEY);
INSERT INTO a.source_of_log SELECT generate_series(1, 300);
ALTER TABLE a.log ADD CONSTRAINT log_source FOREIGN KEY (id) REFERENCES a.source_of_log;
INSERT INTO a.log SELECT i, date '2025-12-20' + i % 30, 'v' || i FROM generate_series(1, 300) i;
ALTER TABLE a.log_rest REPLICA IDENTITY FULL;
CREATE UNIQUE INDEX booking_room ON a.booking (room);
ALTER TABLE a.booking ALTER room SET NOT NULL, REPLICA IDENTITY USING INDEX booking_room;

-- Indexes, statistics, views, rules, triggers, policies
CREATE INDEX person_lower ON a.person (lower(name) DESC NULLS LAST, mood) WHERE age > 20;
CREATE INDEX person_pattern ON a.person USING btree (v text_pattern_ops) INCLUDE (other);
CREATE INDEX person_down ON a.person (age a.down_ops);
CREATE INDEX person_traits ON a.person USING gin (traits);
CREATE INDEX person_brin ON a.person USING brin (id) WITH (pages_per_range = 4);
CREATE UNIQUE INDEX person_twice ON a.person (a.twice(id));
ALTER INDEX a.person_twice ALTER 1 SET STATISTICS 100;
ALTER TABLE a.person CLUSTER ON person_twice;
COMMENT ON INDEX a.person_lower IS 'lower';
CREATE STATISTICS a.stats (ndistinct, dependencies, mcv) ON mood, age FROM a.person;
CREATE STATISTICS a.stats_expr ON (lower(name)) FROM a.person;
CREATE VIEW a.joined AS SELECT p.*, t."Ω." FROM a.person p LEFT JOIN "b B"."T, 100% ""odd""" t ON t.person = p.id;
CREATE VIEW a.grown AS SELECT * FROM a.person WHERE age > 17 WITH LOCAL CHECK OPTION;
ALTER VIEW a.grown ALTER COLUMN v SET DEFAULT 'from the view';
CREATE RECURSIVE VIEW a.counting (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM counting WHERE n < 5;
CREATE VIEW a.first AS SELECT 1 AS n;
CREATE VIEW a.second AS SELECT n FROM a.first;
CREATE OR REPLACE VIEW a.first AS SELECT (SELECT count(*)::integer FROM a.parent) AS n;
CREATE VIEW a.grouped WITH (security_barrier) AS SELECT id, v, count(*) FROM a.parent GROUP BY id;
CREATE MATERIALIZED VIEW a.counted AS SELECT mood, count(*) AS n FROM a.person GROUP BY mood;
CREATE UNIQUE INDEX counted_mood ON a.counted (mood);
CREATE MATERIALIZED VIEW a.above AS SELECT sum(n) AS n FROM a.counted;
CREATE MATERIALIZED VIEW a.unfilled AS SELECT 1 AS one WITH NO DATA;
CREATE RULE kept AS ON DELETE TO a.parent WHERE OLD.id = 1 DO INSTEAD NOTHING;
CREATE RULE note AS ON INSERT TO a.grown DO INSTEAD INSERT INTO a.parent (id) VALUES (NEW.id);
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE OF v ON a.person FOR EACH ROW WHEN (NEW.v IS NOT NULL) EXECUTE FUNCTION a.stamp();
CREATE CONSTRAINT TRIGGER checked AFTER INSERT ON a.parent DEFERRABLE FOR EACH ROW EXECUTE FUNCTION a.stamp();
CREATE TRIGGER log_stamp BEFORE INSERT ON a.log FOR EACH ROW EXECUTE FUNCTION a.stamp();
ALTER TABLE a.person DISABLE TRIGGER stamp;
ALTER TABLE a.log_rest DISABLE TRIGGER log_stamp;
ALTER TABLE a.child ENABLE ROW LEVEL SECURITY;
ALTER TABLE a.child FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON a.child AS RESTRICTIVE FOR UPDATE TO wf_def_reader USING (w > 5) WITH CHECK (w > 6);
CREATE POLICY everyone ON a.child USING (true);
COMMENT ON POLICY mine ON a.child IS 'mine';
CREATE EVENT TRIGGER wf_def_watched ON ddl_command_end WHEN TAG IN ('CREATE FUNCTION') EXECUTE FUNCTION a.watched();
ALTER EVENT TRIGGER wf_def_watched DISABLE;

-- Ownership and grants
ALTER TABLE a.person OWNER TO wf_def_owner;
ALTER FUNCTION a.twice(integer) OWNER TO wf_def_owner;
ALTER TYPE a.mood OWNER TO wf_def_owner;
ALTER VIEW a.grown OWNER TO wf_def_owner;
ALTER EVENT TRIGGER wf_def_watched OWNER TO postgres;
GRANT USAGE ON SCHEMA a TO wf_def_reader;
GRANT SELECT, UPDATE (name) ON a.person TO wf_def_reader WITH GRANT OPTION;
GRANT SELECT ON a.parent TO PUBLIC;
REVOKE EXECUTE ON FUNCTION a.twice(integer) FROM PUBLIC;
GRANT USAGE ON SEQUENCE a.ids TO wf_def_reader;
REVOKE USAGE ON TYPE a.positive FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE wf_def_owner IN SCHEMA a GRANT SELECT ON TABLES TO wf_def_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE wf_def_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Large objects
SELECT lo_from_bytea(70001, decode(repeat('00ff5c27', 5000), 'hex')), lo_from_bytea(70002, '');
ALTER LARGE OBJECT 70001 OWNER TO wf_def_owner;
GRANT SELECT ON LARGE OBJECT 70001 TO wf_def_reader;
COMMENT ON LARGE OBJECT 70002 IS 'nothing in it';
