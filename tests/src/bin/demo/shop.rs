//! The shop's traffic: what its sessions do to the source while pgbench runs beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use walferry_tests::{Random, Session};

/// The shop's tables and first rows.
pub const SCHEMA: &str = include_str!("shop.sql");

/// Sessions that shop until stopped.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    transactions: Arc<AtomicU64>,
    sessions: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Starts two sessions on the database of `url`.
    pub fn start(url: &str) -> Self {
        let (stop, transactions) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let spawn = |number: u64| {
            let (url, stop, transactions) = (url.to_owned(), Arc::clone(&stop), Arc::clone(&transactions));
            std::thread::spawn(move || shop(&url, number, &stop, &transactions))
        };
        Self { sessions: (1..3).map(spawn).collect(), stop, transactions }
    }

    /// Ends the traffic; returns the number of transactions committed.
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for session in self.sessions {
            session.join().unwrap_or_else(|_| panic!("a session of the shop failed"));
        }
        self.transactions.load(Ordering::Relaxed)
    }
}

fn shop(url: &str, number: u64, stop: &AtomicBool, transactions: &AtomicU64) {
    let (session, mut random) = (Session::connect(url), Random::new(number));
    let mut order = number * 1_000_000;
    while !stop.load(Ordering::Relaxed) {
        order += 1;
        session.execute(&transaction(&mut random, number, order));
        transactions.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(random.below(8)));
    }
}

/// One transaction of the shop; rows of one session only, so that sessions do not wait for one another.
fn transaction(random: &mut Random, number: u64, order: u64) -> String {
    let customer = number + 2 * random.below(900);
    let product = format!("P{}", number + 2 * random.below(240));
    let day = random.below(900);
    match random.below(12) {
        0 => format!(
            "INSERT INTO shop.customer (email, name, home, others, tags, traits, profile, photo, last_ip)
             VALUES ('c{order}@example.org', 'Ünï {order}', ROW('a \"b\" (c)', NULL, '(1,2)')::shop.address,
                ARRAY[ROW('x,y', 'z', NULL)::shop.address, NULL], '{{\"\",NULL,\"NULL\"}}', 'a=>1, \"b c\"=>NULL',
                '{{\"n\": 1.50, \"list\": [1, null]}}', '\\x00ff5c27', '2001:db8::{day}/64')"
        ),
        1 => format!("UPDATE shop.customer SET name = name || '!', active = NOT active WHERE id = {customer}"),
        2 => format!("UPDATE shop.product SET price = 'NaN', weight = '-Infinity', ratio = 'NaN' WHERE sku = '{product}'"),
        3 => format!(
            "UPDATE shop.product SET price = {day}.99, available = '[2026-01-01,)', slots = '{{[1,5),[8,9)}}',
                words = to_tsvector('simple', description), spec = '<a>&amp;</a>', raw = '{{\"a\" :1, \"a\":2}}', size = '(1,1),(0,0)',
                flags = B'10100101', every = '1 mon -1 day 00:00:00.5', opens = '23:59:59.999999', cost = 12.34
             WHERE sku = '{product}'"
        ),
        4 => format!(
            "UPDATE shop.product SET description = (SELECT string_agg(md5(i::text || '{order}'), '') FROM generate_series(1, 200) i)
             WHERE sku = '{product}'"
        ),
        5 | 6 => format!(
            "INSERT INTO shop.orders VALUES ({order}, date '2025-01-01' + {day}, {customer}, 'paid', '{{new,\"it''s back\"}}',
                '[{{\"sku\": \"{product}\", \"n\": 2}}]', {day} * 1.10)"
        ),
        7 => format!("UPDATE shop.orders SET state = 'on its way', day = day + 200 WHERE id = {order} - 20"),
        8 => format!("INSERT INTO shop.click SELECT 'page {number}', '2026-01-01', 1.0 FROM generate_series(1, 5)"),
        9 => format!("DELETE FROM shop.click WHERE ctid = (SELECT ctid FROM shop.click WHERE page = 'page {number}' LIMIT 1)"),
        10 => format!(
            "BEGIN; SAVEPOINT s; DELETE FROM shop.orders WHERE id = {order} - 2; ROLLBACK TO s;
             INSERT INTO shop.\"Größe, 100% \"\"odd\"\" name\" VALUES ({order}, 'so''s', 1e-30 * {day}); COMMIT"
        ),
        _ => format!("INSERT INTO shop.basket (items) VALUES ('{{a,b}}'); UPDATE shop.basket SET items = items || 'c'::text WHERE id = {day}"),
    }
}
