//! Databases to copy: PostgreSQL's own regression database (made once by tests/tools/regression.sh) and the scripts that make it, one with very many
//! tables, one with a big table among small ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Cluster, Session, program};

/// One big table and several small ones, with indexes and foreign keys; 500,000 events make 150 MB.
pub fn large(events: u32) -> String {
    include_str!("corpora/large.sql").replace("{events}", &events.to_string())
}

/// Where corpora are kept between runs.
fn store() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    std::env::var_os("CARGO_TARGET_DIR").map_or(default, PathBuf::from).join("corpora")
}

/// A cluster with the database `regression`, as `make installcheck` leaves it. The first call on a machine fetches the
/// tests' source and runs them (`make corpora`), which takes some minutes.
#[track_caller]
pub fn regression() -> Cluster {
    Cluster::start_copy_of(&regression_folder().join("data"), "")
}

/// What tests/tools/regression.sh keeps, made if it is not there yet.
#[track_caller]
fn regression_folder() -> PathBuf {
    let folder = store().join("regression");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/regression.sh");
    let made = Command::new(script).arg(&folder).status();
    assert!(made.is_ok_and(|status| status.success()), "tests/tools/regression.sh failed");
    folder
}

/// PostgreSQL's own test scripts, to be run one by one.
pub struct Scripts {
    folder: PathBuf,
    library: PathBuf,
}

impl Scripts {
    /// The scripts of the server that is installed.
    #[track_caller]
    pub fn find() -> Self {
        let folder = regression_folder();
        let minor = fs::read_to_string(folder.join("version")).unwrap_or_default();
        let library = std::env::temp_dir().join(format!("walferry-regress-{}", minor.trim()));
        Self { folder: folder.join("scripts"), library }
    }

    /// The text of a script, such as `sql/domain` or `test_ddl_deparse/sql/matviews`.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        let path = self.folder.join(format!("{name}.sql"));
        let bytes = fs::read(&path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()));
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().filter(|line| !acts_on_replicated_rows(line));
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// Runs a script with psql as pg_regress does; statements of it that fail are meant to.
    #[track_caller]
    pub fn run(&self, session: &Session, name: &str) {
        let library = self.library.display().to_string();
        let environment = [
            ("PG_ABS_SRCDIR", library.as_str()),
            ("PG_LIBDIR", library.as_str()),
            ("PG_DLSUFFIX", ".so"),
            ("PGTZ", "PST8PDT"),
            ("PGDATESTYLE", "Postgres, MDY"),
            ("PGOPTIONS", "-c intervalstyle=postgres_verbose -c statement_timeout=60s"),
        ];
        session.psql(&environment, self.text(name).as_bytes());
    }

    /// The statements of a script that make roles: a destination must have them, since they are not carried.
    #[track_caller]
    pub fn roles(&self, name: &str) -> Vec<String> {
        let makes = |line: &&str| {
            let line = line.to_uppercase();
            ["CREATE ROLE ", "CREATE USER ", "CREATE GROUP "].iter().any(|start| line.starts_with(start))
                || line.starts_with("GRANT ") && !line.contains(" ON ")
        };
        self.text(name).lines().filter(makes).map(str::to_owned).collect()
    }
}

/// Triggers and rules that fire for replicated rows too are refused at the destination; scripts go without.
fn acts_on_replicated_rows(line: &str) -> bool {
    let line = line.to_lowercase();
    ["enable always", "enable replica"].iter().any(|words| line.contains(words))
}

/// A database that PostgreSQL's own tools have restored from a dump of `source`.
#[track_caller]
pub fn restored(source: &Session, destination: &Cluster) -> Session {
    let session = destination.session("postgres");
    session.execute("CREATE DATABASE restored");
    let dump = destination.folder().join("dump.sql");
    for (name, option, url) in
        [("pg_dump", "-bf", source.url()), ("psql", "-Xqf", destination.url("restored").as_str())]
    {
        let done = Command::new(program(name)).arg(option).arg(&dump).arg(url).stdout(Stdio::null()).status();
        assert!(done.is_ok_and(|status| status.success()), "{name} failed");
    }
    destination.session("restored")
}

/// Whether a log says that the object of an entry of `pg_dump` is not carried over.
pub fn is_named(entry: &str, log: &str) -> bool {
    let name = entry.split("; Type: ").next().unwrap_or_default();
    let Some(last) = name.rsplit([' ', '.']).next() else { return false };
    log.lines().any(|line| line.contains("not carried over") && line.contains(last))
}

/// `count` tables in ten schemas, each with a few rows, two indexes and a foreign key to the one before it.
pub fn many_tables(session: &Session, count: u32) {
    session
        .execute("DO $$ BEGIN FOR n IN 0..9 LOOP EXECUTE format('CREATE SCHEMA s%s', n); END LOOP; END $$");
    // In portions: each table takes locks until its transaction ends.
    for from in (0..count).step_by(250) {
        let to = (from + 250).min(count) - 1;
        session.execute(&format!(
            "DO $$ BEGIN FOR n IN {from}..{to} LOOP
                EXECUTE format('CREATE TABLE s%s.t_%s (id serial PRIMARY KEY, before integer, v text, at timestamptz DEFAULT now())', n % 10, n);
                EXECUTE format('CREATE INDEX ON s%s.t_%s (v)', n % 10, n);
                EXECUTE format('INSERT INTO s%s.t_%s (before, v) SELECT i, ''row '' || i FROM generate_series(1, %s) i', n % 10, n, 10 + n % 40);
                IF n > 0 THEN
                    EXECUTE format('ALTER TABLE s%s.t_%s ADD FOREIGN KEY (id) REFERENCES s%s.t_%s NOT VALID', n % 10, n, (n - 1) % 10, n - 1);
                END IF;
            END LOOP; END $$"
        ));
    }
}
