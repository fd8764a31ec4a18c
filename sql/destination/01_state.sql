-- The task's own schema at the destination: all that walferry installs there. Every table is keyed by task. Runs at
-- every start, so every statement leaves alone what is there already.
CREATE SCHEMA IF NOT EXISTS walferry_state;
COMMENT ON SCHEMA walferry_state IS 'walferry: progress, conflicts and status of the tasks that write to this database';

-- What a task is bound to, and how it is; the second half is written once a second by the daemon.
CREATE TABLE IF NOT EXISTS walferry_state.tasks (
    task text PRIMARY KEY,
    slot text NOT NULL UNIQUE,
    system_identifier text NOT NULL,
    database_oid oid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    phase text NOT NULL DEFAULT 'created',
    stage text NOT NULL DEFAULT 'following',
    definitions text,
    selection text,
    error text,
    blocked_by text,
    source_lsn pg_lsn,
    received_lsn pg_lsn,
    applied_lsn pg_lsn,
    lag_seconds float8,
    transactions bigint NOT NULL DEFAULT 0,
    changes bigint NOT NULL DEFAULT 0,
    updated_at timestamptz
);

-- The journal of progress, and the only truth about what has been applied: a batch can only follow its own predecessor.
-- Insert-only, because one row updated by every batch gets slow when another session holds xmin back.
CREATE TABLE IF NOT EXISTS walferry_state.progress (
    task text NOT NULL,
    worker integer NOT NULL,
    prev pg_lsn NOT NULL,
    lsn pg_lsn NOT NULL,
    PRIMARY KEY (task, worker, prev),
    UNIQUE (task, worker, lsn)
);

-- The tables that were chosen at the start or came later, and where their rows go; they stay chosen through renames. The
-- second half is how far the copy of their rows is, and what is to be known of them: one that came by DDL is not judged
-- until its replica identity has been looked at.
CREATE TABLE IF NOT EXISTS walferry_state.tables (
    task text NOT NULL,
    source_oid oid NOT NULL,
    source_schema text NOT NULL,
    source_name text NOT NULL,
    destination_schema text NOT NULL,
    destination_name text NOT NULL,
    state text NOT NULL DEFAULT 'copied',
    rows bigint,
    rows_total bigint,
    bytes bigint,
    bytes_total bigint,
    kept bigint,
    error text,
    warning text,
    judged boolean NOT NULL DEFAULT true,
    PRIMARY KEY (task, source_oid)
);

-- The parts that tables are copied in. The snapshot is written in the transaction that writes the part's rows, and
-- decides which changes of the stream the part has seen; none means that the part is not copied yet. Before `lsn` every
-- change that the snapshot sees has been committed. Bounds are blocks or values of the key; the lower one is inside.
CREATE TABLE IF NOT EXISTS walferry_state.parts (
    task text NOT NULL,
    source_oid oid NOT NULL,
    part integer NOT NULL,
    unit text NOT NULL,
    lower text,
    upper text,
    snapshot text,
    lsn pg_lsn,
    rows bigint,
    bytes bigint,
    kept bigint,
    PRIMARY KEY (task, source_oid, part)
);

-- The definitions that were carried over, each written in the transaction that made the object, and those that were not.
CREATE TABLE IF NOT EXISTS walferry_state.definitions (
    task text NOT NULL,
    object text NOT NULL,
    state text NOT NULL,
    reason text,
    statement text,
    PRIMARY KEY (task, object)
);

-- Every statement that changed definitions at the source, and what became of it, by its own position. `ran` is what was
-- run here, where it is not the statement itself.
CREATE TABLE IF NOT EXISTS walferry_state.ddl (
    task text NOT NULL,
    lsn pg_lsn NOT NULL,
    commit_lsn pg_lsn NOT NULL,
    xid bigint NOT NULL,
    captured_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    username text NOT NULL,
    tag text NOT NULL,
    objects jsonb NOT NULL,
    search_path text NOT NULL,
    statement text,
    ran text,
    outcome text NOT NULL,
    reason text,
    PRIMARY KEY (task, lsn)
);

-- Every conflict, with both rows. The only place where values of rows are kept outside their tables.
CREATE TABLE IF NOT EXISTS walferry_state.conflicts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    lsn pg_lsn NOT NULL,
    change bigint NOT NULL,
    xid bigint NOT NULL,
    committed_at timestamptz NOT NULL,
    table_name text NOT NULL,
    kind text NOT NULL,
    resolution text NOT NULL,
    key jsonb,
    source_row jsonb,
    destination_rows jsonb,
    detail text,
    UNIQUE (task, lsn, change)
);

-- Transactions that the user has told us to pass over, by the start of their commit record.
CREATE TABLE IF NOT EXISTS walferry_state.skips (
    task text NOT NULL,
    lsn pg_lsn NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    skipped_at timestamptz,
    PRIMARY KEY (task, lsn)
);

-- What came after the first release.
ALTER TABLE walferry_state.tasks ADD COLUMN IF NOT EXISTS definitions text;
ALTER TABLE walferry_state.tables ADD COLUMN IF NOT EXISTS warning text;
ALTER TABLE walferry_state.tables ADD COLUMN IF NOT EXISTS judged boolean NOT NULL DEFAULT true;

-- Turns an unexpected row count into an error inside the server, so that the COMMIT behind it does not happen.
CREATE OR REPLACE FUNCTION walferry_state.expect(seen bigint, expected bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF seen <> expected THEN
        RAISE EXCEPTION USING ERRCODE = 'WF001',
            MESSAGE = pg_catalog.format('%s rows were written where %s were expected', seen, expected);
    END IF;
END $$;

-- The fence: says that this writer's batch does not follow the last one that was committed.
CREATE OR REPLACE FUNCTION walferry_state.follow(seen bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF seen <> 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'WF002',
            MESSAGE = 'the progress of this task is not where this writer left it';
    END IF;
END $$;
