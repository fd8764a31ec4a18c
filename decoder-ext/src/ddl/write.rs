//! The rows of `walferry.ddl_log` and `walferry.ddl_mark`: written once each, and removed by age.

use super::events::Done;
use super::frame::Frame;
use super::spi::{self, Plan, Sight};
use pgrx::pg_sys::{self, Datum, FLOAT8OID, INT8OID, TEXTOID};
use std::ffi::CStr;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};

/// Rows are removed at a session's first statement and at each so manyth.
const PRUNE_EVERY: u32 = 100;

static LOG: Plan = Plan::new(
    "INSERT INTO walferry.ddl_log (lsn, captured_at, username, tag, objects, search_path, statement, withheld, settings,
        facts, mark, id)
    VALUES (pg_current_wal_insert_lsn(), clock_timestamp(), $1, $2, $6::jsonb, $3, $4, $5, $8::jsonb, $7::jsonb, $9, $10)",
    &[TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID],
);

static BEGIN: Plan = Plan::new(
    "INSERT INTO walferry.ddl_mark (id, step, first, lsn, captured_at, username, tag, search_path, statement, withheld,
        settings)
    VALUES ($8, 'begin', coalesce($7, $8), pg_current_wal_insert_lsn(), clock_timestamp(), $1, $2, $3, $4, $5, $6::jsonb)
    RETURNING id",
    &[TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID],
);

/// Rows of temporary tables are in no WAL.
static REWRITE: Plan = Plan::new(
    "INSERT INTO walferry.ddl_mark (id, step, first, lsn, captured_at, username, tag, search_path, statement, withheld,
        settings, relation, reason)
    SELECT $8, 'rewrite', coalesce($7, $8), pg_current_wal_insert_lsn(), clock_timestamp(), $1, $2, $3, $4, $5,
        $6::jsonb, c.oid, pg_event_trigger_table_rewrite_reason()
    FROM pg_catalog.pg_class c WHERE c.oid = pg_event_trigger_table_rewrite_oid() AND c.relpersistence <> 't'
    RETURNING id",
    &[TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID],
);

/// Looks at the oldest rows only, and past those that another session removes now.
macro_rules! prune {
    ($table:literal) => {
        Plan::new(
            concat!(
                "DELETE FROM ",
                $table,
                " WHERE id IN (SELECT id FROM ",
                $table,
                "
                WHERE id <= (SELECT max(id) FROM (SELECT id FROM ",
                $table,
                " ORDER BY id LIMIT 1000) oldest)
                    AND captured_at < clock_timestamp() - $1 * interval '1 day' FOR UPDATE SKIP LOCKED)"
            ),
            &[FLOAT8OID],
        )
    };
}

static PRUNE: [Plan; 2] = [prune!("walferry.ddl_log"), prune!("walferry.ddl_mark")];

/// Bits of an id that number the rows of one transaction; those above are the transaction's.
const IN_TRANSACTION: u32 = 22;

/// An id that no other row has, and that grows within a transaction.
fn next_id() -> i64 {
    static LAST: AtomicI64 = AtomicI64::new(0);
    // SAFETY: guarded. Only the lowest 41 bits can be in use in the life of a cluster.
    let transaction = unsafe { pg_sys::GetTopFullTransactionId() }.value as i64;
    let id = (transaction << IN_TRANSACTION).max(LAST.load(Relaxed) + 1);
    LAST.store(id, Relaxed);
    id
}

/// Writes the row of a statement that is done.
pub fn log(frame: &Frame, done: &Done) {
    let [user, tag, path, statement, withheld] = circumstances(frame);
    let (objects, facts) = (spi::text(&done.objects.json), spi::text(&done.facts));
    let settings = spi::text(&frame.settings.json);
    LOG.run(
        Sight::Present,
        &[
            user,
            tag,
            path,
            statement,
            withheld,
            Some(objects),
            Some(facts),
            Some(settings),
            frame.mark.map(Datum::from),
            Some(next_id().into()),
        ],
    );
    prune();
}

/// Writes that a statement begins that will write rows. Gives the row's id.
pub fn begin(frame: &Frame) -> Option<i64> {
    mark(&BEGIN, frame)
}

/// Writes that a statement begins to rewrite a table. Gives the row's id. Only for the trigger on `table_rewrite`.
pub fn rewrite(frame: &Frame) -> Option<i64> {
    mark(&REWRITE, frame)
}

fn mark(plan: &Plan, frame: &Frame) -> Option<i64> {
    let [user, tag, path, statement, withheld] = circumstances(frame);
    let settings = Some(spi::text(&frame.settings.json));
    let first = frame.mark.map(Datum::from);
    let id = Some(next_id().into());
    let rows = plan.run(Sight::Present, &[user, tag, path, statement, withheld, settings, first, id]);
    spi::number(rows.first()?.first())
}

/// The columns that both tables have: username, tag, search_path, statement, withheld.
fn circumstances(frame: &Frame) -> [Option<Datum>; 5] {
    [
        user_name(frame),
        Some(spi::text(frame.tag.to_bytes())),
        Some(spi::text(&frame.settings.search_path)),
        frame.text.statement().map(spi::text),
        frame.text.withheld().map(spi::text),
    ]
}

/// The role's name; none if the statement dropped it.
fn user_name(frame: &Frame) -> Option<Datum> {
    // SAFETY: guarded; gives a palloc'd C string or null.
    unsafe {
        let name = pg_sys::GetUserNameFromId(frame.settings.user, true);
        (!name.is_null()).then(|| spi::text(CStr::from_ptr(name).to_bytes()))
    }
}

/// Removes rows by age, now and then. In a transaction that keeps its snapshot, rows that another session has removed
/// would be an ERROR.
fn prune() {
    static STATEMENTS: AtomicU32 = AtomicU32::new(0);
    // SAFETY: a variable of this process.
    let keeps_snapshot = unsafe { pg_sys::XactIsoLevel } >= pg_sys::XACT_REPEATABLE_READ as i32;
    if !STATEMENTS.fetch_add(1, Relaxed).is_multiple_of(PRUNE_EVERY) || keeps_snapshot {
        return;
    }
    let days = f64::from(super::log_days());
    for plan in &PRUNE {
        plan.run(Sight::Present, &[Some(Datum::from(days.to_bits()))]);
    }
}
