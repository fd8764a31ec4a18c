//! Rows between the statements of scripts that others wrote: a session of its own goes from table to table and inserts,
//! updates or deletes what it can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{Random, Session};

/// Tables that may be written to: no views, nothing temporary, nothing of extensions, a way to identify rows.
const TABLES: &str = "SELECT c.oid::regclass::text, (SELECT quote_ident(min(attname)) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '')
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'walferry')
      AND (c.relreplident = 'f' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";

/// A session at work.
pub struct Sprinkler {
    stop: Arc<AtomicBool>,
    writer: JoinHandle<u64>,
}

impl Sprinkler {
    /// Starts writing to the tables of the database that `session` is in. What fails is let be: these tables have
    /// constraints, triggers and rules of every kind.
    pub fn start(session: &Session) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (url, told) = (session.url().to_owned(), Arc::clone(&stop));
        let writer = std::thread::spawn(move || {
            let (mut random, mut done) = (Random::new(17), 0);
            let session = Session::connect(&url);
            session.execute("SET lock_timeout = '50ms'; SET statement_timeout = '2s'");
            while !told.load(Ordering::Relaxed) {
                done += u64::from(sprinkle(&session, &mut random));
                std::thread::sleep(Duration::from_millis(5));
            }
            done
        });
        Self { stop, writer }
    }

    /// Ends it; the number of statements that succeeded.
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.writer.join().expect("the sprinkler")
    }
}

fn sprinkle(session: &Session, random: &mut Random) -> bool {
    let tables = session.rows(TABLES);
    let Some([Some(table), column]) =
        tables.get(random.below(tables.len().max(1) as u64) as usize).map(Vec::as_slice)
    else {
        return false;
    };
    let column = column.as_deref().unwrap_or("none");
    let few = format!("ctid = ANY (ARRAY(SELECT ctid FROM {table} LIMIT 2))");
    let statement = match random.below(5) {
        0 => format!("INSERT INTO {table} DEFAULT VALUES"),
        1 | 2 => format!("INSERT INTO {table} SELECT * FROM {table} LIMIT 2"),
        3 => format!("UPDATE {table} SET {column} = {column} WHERE {few}"),
        _ => format!("DELETE FROM {table} WHERE {few}"),
    };
    session.try_execute(&statement).is_ok()
}
