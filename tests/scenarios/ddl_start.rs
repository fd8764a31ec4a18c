//! Definitions that change before a task follows: while rows are being copied, and between the slot and the first run.

use std::time::Duration;

use walferry_tests::ddl::each;
use walferry_tests::{Daemon, Task, full, wait_until};

const TABLES: &str = "CREATE TABLE small (id integer PRIMARY KEY, v text); INSERT INTO small SELECT i, 'v' FROM generate_series(1, 50) i;
    CREATE TABLE other (id integer PRIMARY KEY, v text); INSERT INTO other SELECT i, 'o' FROM generate_series(1, 50) i;
    CREATE TABLE big (id integer PRIMARY KEY, v text); INSERT INTO big SELECT i, repeat('v', 1000) || i FROM generate_series(1, 4000) i;
    CREATE TYPE mood AS ENUM ('sad');";

/// A copy that takes its time, in the middle of its one big table.
fn copying(name: &str, snapshot: bool) -> (Task, Daemon) {
    let task = Task::build(name)
        .schema(TABLES)
        .ddl()
        .full()
        .set("copy.snapshot", snapshot)
        .set("copy.rate", "700kB/s")
        .create();
    let mut daemon = task.start();
    task.wait_copy("big is being copied", &mut daemon, |status| {
        full::state(status, "public.big") == "copying"
    });
    (task, daemon)
}

/// Statements that wait for no lock of the copy.
const MEANWHILE: &str = "CREATE TABLE fresh (id integer PRIMARY KEY, r float8 DEFAULT random());
    INSERT INTO fresh SELECT generate_series(1, 20);
    CREATE TABLE made AS SELECT id, random() AS r FROM generate_series(1, 20) id;
    ALTER TYPE mood ADD VALUE 'happy';
    CREATE FUNCTION f() RETURNS integer LANGUAGE sql RETURN 1;
    ALTER TABLE fresh ADD COLUMN at timestamptz DEFAULT clock_timestamp();
    INSERT INTO small VALUES (100, 'meanwhile'); UPDATE big SET v = 'meanwhile' WHERE id % 100 = 0;
    DROP FUNCTION f();
";

#[test]
fn rule_24_definitions_that_change_while_rows_are_copied() {
    for snapshot in [true, false] {
        let (mut task, mut daemon) = copying("ddl-start-meanwhile", snapshot);
        each(&task, MEANWHILE);
        task.set("copy.rate", "1GB/s");
        task.reload(&daemon);
        task.wait_following(&mut daemon);
        task.wait_applied();
        task.assert_same();
        each(&task, "ALTER TABLE big ADD COLUMN later uuid DEFAULT gen_random_uuid();\nDROP TABLE made;\n");
        task.level();
        daemon.terminate().expect_status(0);
    }
}

#[test]
fn rule_24_tables_that_are_altered_while_they_are_copied() {
    for snapshot in [true, false] {
        let (mut task, mut daemon) = copying("ddl-start-altered", snapshot);
        // These wait for their locks as long as the copy holds them.
        let url = task.source.url().to_owned();
        let altering = std::thread::spawn(move || {
            let session = walferry_tests::Session::connect(&url);
            session.execute("ALTER TABLE small ADD COLUMN n float8 DEFAULT random()");
            session.execute(
                "ALTER TABLE big ADD COLUMN at timestamptz DEFAULT now(), ALTER v TYPE varchar(3000)",
            );
            session.execute("DROP TABLE other");
            session.execute("ALTER TABLE big RENAME TO large");
            session.execute("INSERT INTO large VALUES (100000, 'after')");
        });
        std::thread::sleep(Duration::from_secs(2));
        task.set("copy.rate", "1GB/s");
        task.reload(&daemon);
        altering.join().expect("statements on what is copied");
        task.wait_following(&mut daemon);
        task.wait_applied();
        task.assert_same();
        daemon.terminate().expect_status(0);
    }
}

#[test]
fn a_copy_that_is_killed_does_not_go_on_after_definitions_have_changed() {
    for snapshot in [true, false] {
        let (mut task, daemon) = copying("ddl-start-killed", snapshot);
        daemon.kill9();
        let alter = "SET lock_timeout = '1s'; ALTER TABLE big ADD COLUMN n integer DEFAULT 5";
        wait_until("locks are free", Duration::from_secs(30), || task.source.try_execute(alter).is_ok());
        task.set("copy.rate", "1GB/s");
        task.run_fails(&["definitions have changed", "walferry.ddl_log", "walferry drop --yes"]);
        task.walferry(&["drop", "--yes"]).expect_status(0);
        task.destination
            .execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner");
        task.destination.execute(
            "GRANT USAGE ON SCHEMA public TO PUBLIC; COMMENT ON SCHEMA public IS 'standard public schema'",
        );
        let mut daemon = task.start();
        task.wait_following(&mut daemon);
        task.source.another().execute("ALTER TABLE big ADD COLUMN m float8 DEFAULT random()");
        task.wait_applied();
        let found = walferry_tests::whole::level_differences(&task.source, &task.destination);
        assert!(found.is_empty(), "source and destination differ:\n{}", found.join("\n"));
        daemon.terminate().expect_status(0);
    }
}

#[test]
fn a_chosen_table_that_was_called_otherwise_at_the_slot_stops_the_task() {
    let task = Task::build("ddl-start-renamed")
        .schema("CREATE SCHEMA s; CREATE TABLE before (id integer PRIMARY KEY)")
        .ddl()
        .set("objects.scope", "tables")
        .set("objects.include", vec!["s.picked"])
        .create();
    each(
        &task,
        "INSERT INTO before VALUES (1);
         ALTER TABLE before RENAME TO picked;
         ALTER TABLE picked SET SCHEMA s;
         INSERT INTO s.picked VALUES (3);
",
    );
    task.run_fails(&["public.before", "the destination has no table s.picked"]);
    // Called as it is at the source by now, it takes all rows; the renames are known to be done.
    task.destination.execute("ALTER TABLE before RENAME TO picked; ALTER TABLE picked SET SCHEMA s");
    task.run_until_now();
    assert_eq!(task.destination.list("SELECT id FROM s.picked ORDER BY 1"), "1,3");
}

#[test]
fn tables_that_were_dropped_before_the_first_run_have_their_rows_until_then() {
    let task = Task::build("ddl-start-dropped").schema(TABLES).ddl().create();
    each(
        &task,
        "INSERT INTO other VALUES (100, 'x');
         ALTER TABLE other RENAME TO old;
         CREATE TABLE other AS SELECT * FROM old;
         INSERT INTO old VALUES (101, 'y');
         DROP TABLE old;
         CREATE TABLE brief (id integer PRIMARY KEY);
         INSERT INTO brief VALUES (1);
         DROP TABLE brief;
         BEGIN; CREATE TABLE brief AS SELECT 1 AS id; ALTER TABLE brief RENAME TO kept; CREATE TABLE brief (v text PRIMARY KEY); INSERT INTO brief VALUES ('a'); COMMIT;
",
    );
    task.sync_same();
}
