//! A load that touches everything which could be lost or doubled: keyed and keyless tables, moves of money
//! that keep their sum, several sessions, savepoints. Not a test itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use walferry_tests::{Random, Session};

/// Tables of the load.
pub const SCHEMA: &str = "
CREATE TABLE account (id integer PRIMARY KEY, balance bigint NOT NULL, note text);
CREATE TABLE event (at timestamptz DEFAULT clock_timestamp(), who integer, what text);
CREATE TABLE ledger (a integer, b integer, amount integer); ALTER TABLE ledger REPLICA IDENTITY FULL;";

/// Rows to begin with.
pub const ROWS: &str =
    "INSERT INTO account SELECT i, 1000, repeat('n', i % 50) FROM generate_series(1, 500) i;
INSERT INTO ledger SELECT i % 5, i % 3, 1 FROM generate_series(1, 100) i";

/// Sessions that write until stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<u64>>,
}

impl Load {
    /// Starts `writers` sessions on the database that `session` is in.
    pub fn start(session: &Session, writers: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let spawn = |number: u64| {
            let (url, stop) = (session.url().to_owned(), Arc::clone(&stop));
            std::thread::spawn(move || write(&url, number, &stop))
        };
        Self { writers: (0..writers).map(spawn).collect(), stop }
    }

    /// Ends the load; returns the number of transactions committed.
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.writers.into_iter().map(|writer| writer.join().expect("a writer of the load")).sum()
    }
}

/// Writes until told to stop; a server that goes away is connected to again.
fn write(url: &str, number: u64, stop: &AtomicBool) -> u64 {
    let mut random = Random::new(number);
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok(session) = Session::try_connect(url) else {
            std::thread::sleep(std::time::Duration::from_millis(50));
            continue;
        };
        while !stop.load(Ordering::Relaxed) && session.try_execute(&transaction(&mut random, number)).is_ok()
        {
            done += 1;
        }
    }
    done
}

/// One transaction of the load. Rows are locked in the order of their keys, so that sessions do not deadlock.
fn transaction(random: &mut Random, number: u64) -> String {
    let (a, b) = (1 + random.below(250), 251 + random.below(250));
    match random.below(10) {
        0..=4 => format!(
            "BEGIN; UPDATE account SET balance = balance - 1 WHERE id = {a};
             UPDATE account SET balance = balance + 1 WHERE id = {b};
             INSERT INTO event (who, what) VALUES ({number}, 'move'); COMMIT"
        ),
        5 => format!("INSERT INTO event (who, what) SELECT {number}, 'many' FROM generate_series(1, {a})"),
        6 => format!(
            "BEGIN; SAVEPOINT s; UPDATE account SET balance = 0 WHERE id = {a}; ROLLBACK TO s;
             UPDATE account SET note = repeat('x', {b}) WHERE id = {a}; COMMIT"
        ),
        7 => "DELETE FROM ledger WHERE ctid = (SELECT ctid FROM ledger FOR UPDATE SKIP LOCKED LIMIT 1)".into(),
        8 => format!("INSERT INTO ledger SELECT {a} % 5, {b} % 3, 1 FROM generate_series(1, 3)"),
        _ => "UPDATE ledger SET amount = amount + 1 WHERE ctid = (SELECT ctid FROM ledger FOR UPDATE SKIP LOCKED LIMIT 1)".into(),
    }
}
