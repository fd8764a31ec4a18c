//! A small extension that fills a table of its own in its script, and again in its update: nothing that comes with
//! PostgreSQL does. It lies in the server's folder of extensions while this value lives.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::program;

/// The extension's name.
pub const NAME: &str = "walferry_ledger";

const FILES: [(&str, &str); 3] = [
    (".control", "comment = 'of the tests of walferry'\ndefault_version = '1.0'\nrelocatable = true\n"),
    (
        "--1.0.sql",
        "CREATE TABLE ledger (id serial PRIMARY KEY, what text NOT NULL);
         CREATE TABLE made AS SELECT i AS id FROM generate_series(1, 3) i;
         INSERT INTO ledger (what) VALUES ('of the script'), ('of the script, too');
         CREATE FUNCTION ledger_size() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM ledger';
         SELECT pg_catalog.pg_extension_config_dump('ledger', 'WHERE id > 2');\n",
    ),
    (
        "--1.0--1.1.sql",
        "ALTER TABLE ledger ADD COLUMN more integer DEFAULT 1;
         UPDATE ledger SET more = 2 WHERE id = 1;
         INSERT INTO ledger (id, what) VALUES (100, 'of the update');\n",
    ),
];

/// The extension's files.
pub struct OwnExtension(Vec<PathBuf>);

impl OwnExtension {
    /// Puts the files in place; panics where the folder cannot be written to.
    #[track_caller]
    pub fn install() -> Self {
        let output = Command::new(program("pg_config")).arg("--sharedir").output();
        let output = output.unwrap_or_else(|e| panic!("pg_config does not start: {e}"));
        let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).join("extension");
        let place = |(ending, text): &(&str, &str)| {
            let path = folder.join(format!("{NAME}{ending}"));
            fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
            path
        };
        Self(FILES.iter().map(place).collect())
    }
}

impl Drop for OwnExtension {
    fn drop(&mut self) {
        for path in &self.0 {
            drop(fs::remove_file(path));
        }
    }
}
