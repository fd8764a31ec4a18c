//! Statements that the destination rejects, or whose text is not known: the task stops and says what to do, or skips
//! and records. New tables without a key.

use walferry_tests::ddl::each;
use walferry_tests::{Daemon, Task, full, wait_until};

use std::time::Duration;

/// Tables are judged now and then, not at once.
const LIMIT: Duration = Duration::from_secs(60);

const T: &str = "CREATE TABLE t (id integer PRIMARY KEY, v text);";

/// A task whose destination has a table `made` already, which a transaction of the source makes among rows.
fn in_the_way(name: &str, ddl_error: &str) -> Task {
    let task = Task::build(name).schema(T).ddl().set("apply.ddl_error", ddl_error).create();
    task.destination.execute("CREATE TABLE made (mine text)");
    each(
        &task,
        "INSERT INTO t VALUES (1, 'before');
         BEGIN; INSERT INTO t VALUES (2, 'in it'); CREATE TABLE made (id integer PRIMARY KEY); ALTER TABLE t ADD COLUMN n integer; INSERT INTO t VALUES (3, 'in it, too', 3); COMMIT;
         INSERT INTO t (id, v) VALUES (4, 'after');
",
    );
    task
}

fn ids(task: &Task) -> String {
    task.destination.value("SELECT string_agg(id::text, ',' ORDER BY id) FROM t")
}

/// The position of the statement that stopped the task.
fn failed_at(task: &Task, column: &str) -> String {
    let lsns = task.recorded(column, "outcome = 'failed'");
    assert_eq!(lsns.len(), 1, "one statement stopped the task");
    lsns.concat()
}

fn started(task: &Task) -> Daemon {
    let daemon = task.start();
    task.wait_phase("failed");
    daemon
}

#[test]
fn the_task_stops_and_says_what_to_do() {
    let task = in_the_way("ddl-error-stop", "stop");
    let said = task.run_fails(&[
        "CREATE TABLE made (id integer PRIMARY KEY)",
        "already exists",
        "walferry skip",
        "ddl_error",
    ]);
    let lsn = failed_at(&task, "lsn");
    assert!(said.stderr.contains(&lsn), "the statement's position {lsn} is not in:\n{}", said.stderr);
    assert_eq!(ids(&task), "1", "what came before is applied, and nothing of the transaction");
    let daemon = started(&task);
    let error = task.status()["error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains("made") && error.contains(&lsn), "{error}");
    // Mended by hand, it goes on by itself.
    task.destination.execute("DROP TABLE made");
    wait_until("the task goes on", Duration::from_secs(90), || task.status()["phase"] == "incremental");
    task.level();
    assert_eq!(task.outcomes(), "applied", "{}", task.passed_over());
    daemon.terminate().expect_status(0);
}

#[test]
fn one_statement_is_skipped_by_its_lsn() {
    let task = in_the_way("ddl-error-skip-one", "stop");
    task.run_fails(&["made"]);
    task.walferry(&["skip", &failed_at(&task, "lsn")]).expect_status(0);
    task.run_until_now();
    assert_eq!(ids(&task), "1,2,3,4", "only the statement is skipped");
    assert_eq!(task.outcome("CREATE TABLE made%"), "skipped");
    assert_eq!(task.outcome("ALTER TABLE t%"), "applied");
    assert_eq!(task.destination.value("SELECT n FROM t WHERE id = 3"), "3");
    assert_eq!(
        task.destination.value("SELECT count(mine) FROM made"),
        "0",
        "the destination's own table stays"
    );
}

#[test]
fn a_transaction_is_skipped_by_its_lsn() {
    let task = in_the_way("ddl-error-skip-all", "stop");
    task.run_fails(&["made"]);
    task.walferry(&["skip", &failed_at(&task, "commit_lsn")]).expect_status(0);
    // What the transaction did to t is missing from now on, and the user's business.
    task.destination.execute("ALTER TABLE t ADD COLUMN n integer");
    task.run_until_now();
    assert_eq!(ids(&task), "1,4");
    assert_eq!(task.outcome("CREATE TABLE made%"), "skipped");
    assert_eq!(task.outcome("ALTER TABLE t%"), "skipped");
}

#[test]
fn statements_that_fail_can_be_passed_over() {
    let task = in_the_way("ddl-error-pass", "skip");
    task.source.execute(
        "BEGIN; CREATE VIEW ids AS SELECT id FROM made; CREATE VIEW fine AS SELECT id FROM t; COMMIT",
    );
    task.run_until_now().expect_words(&["made"]);
    assert_eq!(ids(&task), "1,2,3,4");
    assert_eq!(task.outcome("CREATE TABLE made%"), "skipped");
    assert_eq!(task.outcome("CREATE VIEW ids%"), "skipped");
    assert_eq!(task.outcome("CREATE VIEW fine%"), "applied");
    let reasons = task.recorded("reason", "outcome = 'skipped' ORDER BY lsn").join("\n");
    assert!(reasons.contains("already exists") && reasons.contains("id"), "{reasons}");
    task.assert_recorded_once();
}

#[test]
fn the_list_of_statements_is_shown_newest_first() {
    let task = in_the_way("ddl-error-list", "skip");
    task.run_until_now();
    let list = task.walferry(&["--output", "json", "ddl"]).expect_status(0).stdout;
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    let statements: Vec<_> =
        list.as_array().expect("a list").iter().map(|one| one["statement"].clone()).collect();
    assert_eq!(
        statements,
        ["ALTER TABLE t ADD COLUMN n integer", "CREATE TABLE made (id integer PRIMARY KEY)"]
    );
    assert_eq!(list[1]["outcome"], "skipped");
    task.walferry(&["ddl"]).expect_status(0).expect_words(&[
        "CREATE TABLE made",
        "skipped",
        "ALTER TABLE t",
        "applied",
    ]);
    assert_eq!(task.status()["ddl_applied"], 1);
}

#[test]
fn a_statement_whose_text_is_not_known_stops_the_task() {
    let task = Task::build("ddl-error-unknown")
        .schema(T)
        .before_slot("SELECT walferry.enable_ddl_capture(false)")
        .create();
    // The first statement of a session that has not loaded the library: known if it stands alone.
    task.source.another().execute("CREATE TABLE direct (id integer PRIMARY KEY)");
    let hidden = task.source.another();
    hidden.execute(
        "DO $$ BEGIN CREATE TABLE hidden (id integer PRIMARY KEY); INSERT INTO hidden VALUES (1); END $$",
    );
    hidden.execute("CREATE TABLE known (id integer PRIMARY KEY)");
    task.source.execute("INSERT INTO hidden VALUES (2)");
    assert_eq!(task.source.list("SELECT withheld FROM walferry.ddl_log WHERE statement IS NULL"), "unknown");
    task.run_fails(&["text", "walferry skip", "CREATE TABLE"]);
    assert_eq!(task.outcome("CREATE TABLE direct%"), "applied");
    let lsn = failed_at(&task, "lsn");
    task.destination.execute("CREATE TABLE hidden (id integer PRIMARY KEY)");
    task.walferry(&["skip", &lsn]).expect_status(0);
    task.sync_same();
    assert_eq!(task.outcome("CREATE TABLE known%"), "applied");
}

#[test]
fn roles_that_the_destination_lacks() {
    let task = Task::build("ddl-error-roles").schema(T).ddl().create();
    let only_here = "DROP ROLE IF EXISTS wf_ddl_only_here; CREATE ROLE wf_ddl_only_here; GRANT CREATE ON SCHEMA public TO wf_ddl_only_here";
    task.source.another().execute(only_here);
    each(
        &task,
        "SET ROLE wf_ddl_only_here;
         CREATE TABLE theirs (id integer PRIMARY KEY);
         INSERT INTO theirs VALUES (1);
         RESET ROLE;
         ALTER TABLE t OWNER TO wf_ddl_only_here;
",
    );
    // Its rights and what it should own are recorded as not carried, as a full copy does.
    task.run_until_now();
    for statement in ["GRANT CREATE%", "ALTER TABLE t OWNER%"] {
        assert_eq!(task.outcome(statement), "not_carried", "{statement}");
    }
    task.assert_equal();
    // Once it is there, it owns what it makes.
    task.destination
        .execute("CREATE ROLE wf_ddl_only_here; GRANT CREATE ON SCHEMA public TO wf_ddl_only_here");
    each(&task, "SET ROLE wf_ddl_only_here;\nCREATE TABLE owned (id integer PRIMARY KEY);\nRESET ROLE;\n");
    task.run_until_now();
    let owner = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'owned'";
    assert_eq!(task.destination.value(owner), "wf_ddl_only_here");
    // A role that is not there lets its statements run as the applier's own.
    task.source.execute("DROP OWNED BY wf_ddl_only_here CASCADE; DROP ROLE wf_ddl_only_here; CREATE ROLE wf_ddl_only_here_2; GRANT CREATE ON SCHEMA public TO PUBLIC");
    task.run_until_now();
    each(
        &task,
        "SET ROLE wf_ddl_only_here_2;\nCREATE TABLE orphan (id integer PRIMARY KEY);\nINSERT INTO orphan VALUES (1);\nRESET ROLE;\n",
    );
    task.run_until_now();
    let reason = task.recorded("reason", "statement LIKE 'CREATE TABLE orphan%'").concat();
    assert!(reason.contains("wf_ddl_only_here_2"), "{reason}");
    task.assert_equal();
    assert_eq!(task.outcome("CREATE TABLE orphan%"), "applied");
    task.source.execute("DROP OWNED BY wf_ddl_only_here_2; DROP ROLE wf_ddl_only_here_2");
    task.destination.execute("DROP OWNED BY wf_ddl_only_here; DROP ROLE wf_ddl_only_here");
}

#[test]
fn a_new_table_without_a_key_is_warned_of() {
    let task = Task::build("ddl-error-keyless").schema(T).ddl().create();
    let daemon = task.start();
    task.wait_applied();
    each(
        &task,
        "CREATE TABLE bare (a integer);\nINSERT INTO bare VALUES (1), (2);\nCREATE TABLE made AS SELECT 1 AS one;\n",
    );
    task.level();
    let warning =
        |name: &str| full::table(&task.status(), name)["warning"].as_str().unwrap_or_default().to_owned();
    for name in ["public.bare", "public.made"] {
        wait_until(name, LIMIT, || warning(name).contains("REPLICA IDENTITY FULL"));
    }
    assert_eq!(warning("public.t"), "");
    let reason = task.source.value("SELECT reason FROM walferry.tables WHERE \"table\" = 'public.bare'");
    assert!(reason.contains("REPLICA IDENTITY FULL"), "{reason}");
    task.source.execute("ALTER TABLE bare REPLICA IDENTITY FULL");
    task.source.execute("UPDATE bare SET a = 3 WHERE a = 1");
    task.level();
    wait_until("the warning goes", LIMIT, || warning("public.bare").is_empty());
    daemon.terminate().expect_status(0);
}

#[test]
fn rule_16_new_tables_without_a_key_are_made_whole_if_asked() {
    let task =
        Task::build("ddl-error-identity").schema(T).ddl().set("source.set_identity_full", true).create();
    let daemon = task.start();
    task.wait_applied();
    each(
        &task,
        "CREATE TABLE bare (a integer, b text);
         INSERT INTO bare SELECT i % 3, 'b' FROM generate_series(1, 30) i;
         CREATE TABLE keyed (id integer PRIMARY KEY);
         CREATE TABLE parted (a integer) PARTITION BY LIST (a);
         CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
",
    );
    let identity = "SELECT string_agg(relname || ' ' || relreplident::text, ',' ORDER BY relname) FROM pg_class WHERE relname IN ('bare', 'keyed', 'parted_1')";
    wait_until("whole rows identify rows", LIMIT, || {
        task.source.value(identity) == "bare f,keyed d,parted_1 f"
    });
    each(
        &task,
        "UPDATE bare SET b = 'c' WHERE a = 1;\nDELETE FROM bare WHERE a = 2;\nINSERT INTO parted VALUES (1);\nDELETE FROM parted;\n",
    );
    task.level();
    daemon.terminate().expect_status(0);
}
