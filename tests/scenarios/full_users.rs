//! Roles: carried over, or only used where they are there.

use walferry_tests::{Cluster, Task};

const SCHEMA: &str = "CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'v');
    ALTER TABLE t OWNER TO wf_u_owner; GRANT SELECT (v), INSERT ON t TO wf_u_reader; CREATE TABLE mine (a integer);
    ALTER DEFAULT PRIVILEGES FOR ROLE wf_u_owner GRANT SELECT ON TABLES TO wf_u_reader;
    CREATE POLICY p ON t TO wf_u_reader USING (true);";

/// Roles are the whole cluster's: both clusters are the test's own.
fn clusters() -> (Cluster, Cluster) {
    let (source, destination) = (Cluster::start(""), Cluster::start(""));
    source.session("postgres").execute(
        "CREATE ROLE wf_u_owner LOGIN PASSWORD 'secret of the owner' CONNECTION LIMIT 7 VALID UNTIL '2030-01-01';
         CREATE ROLE wf_u_reader NOINHERIT CREATEDB; CREATE ROLE wf_u_group; GRANT wf_u_group TO wf_u_owner WITH ADMIN OPTION;
         CREATE ROLE wf_u_strong SUPERUSER REPLICATION BYPASSRLS LOGIN; ALTER ROLE wf_u_owner SET work_mem = '7MB';
         GRANT pg_monitor TO wf_u_reader",
    );
    (source, destination)
}

#[test]
fn roles_come_along_with_passwords_memberships_and_settings() {
    let (source, destination) = clusters();
    let task = Task::build("users-true")
        .source(&source)
        .destination(&destination)
        .full_only()
        .set("objects.users", true)
        .create();
    task.source.execute(SCHEMA);
    task.source.execute("CREATE TABLE theirs (a integer); ALTER TABLE theirs OWNER TO wf_u_strong");
    let ended = task.run_full().expect_words(&["wf_u_strong", "superuser"]);
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("SCRAM-SHA-256$"), "a password was logged");
    task.assert_whole();
    let roles = "SELECT string_agg(concat_ws(' ', rolname, rolcanlogin, rolinherit, rolcreatedb, rolconnlimit, rolvaliduntil, rolpassword), ';' ORDER BY rolname)
        FROM pg_authid WHERE rolname ~ '^wf_u_(owner|reader|group)'";
    assert_eq!(task.destination.value(roles), task.source.value(roles));
    let members = "SELECT string_agg(concat_ws(' ', roleid::regrole, member::regrole, admin_option), ';' ORDER BY roleid::regrole::text, member::regrole::text)
        FROM pg_auth_members WHERE member::regrole::text ~ '^wf_u'";
    assert_eq!(task.destination.value(members), task.source.value(members));
    assert_eq!(
        task.destination.value("SELECT rolconfig FROM pg_roles WHERE rolname = 'wf_u_owner'"),
        "{work_mem=7MB}"
    );
    let strong =
        "SELECT rolsuper OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = 'wf_u_strong'";
    assert_ne!(task.destination.value(strong), "t");
    drop(task);
}

#[test]
fn without_users_known_roles_are_used_and_others_are_reported() {
    let (source, destination) = clusters();
    destination.session("postgres").execute("CREATE ROLE wf_u_reader");
    let task = Task::build("users-false").source(&source).destination(&destination).full_only().create();
    task.source.execute(SCHEMA);
    task.run_full().expect_words(&["wf_u_owner"]);
    task.assert_equal();
    let rights = "SELECT has_table_privilege('wf_u_reader', 't', 'INSERT')";
    assert_eq!(task.destination.value(rights), "t");
    assert_eq!(task.destination.value("SELECT count(*) FROM pg_roles WHERE rolname = 'wf_u_owner'"), "0");
    drop(task);
}

#[test]
fn a_role_that_is_there_is_left_as_it_is() {
    let (source, destination) = clusters();
    destination
        .session("postgres")
        .execute("CREATE ROLE wf_u_owner NOLOGIN CONNECTION LIMIT 3; CREATE ROLE wf_u_group SUPERUSER");
    let task = Task::build("users-there")
        .source(&source)
        .destination(&destination)
        .full_only()
        .set("objects.users", true)
        .create();
    task.source.execute(SCHEMA);
    task.source.execute("CREATE TABLE grouped (a integer); ALTER TABLE grouped OWNER TO wf_u_group");
    task.run_full().expect_words(&["wf_u_owner", "wf_u_group"]);
    task.assert_equal();
    assert_eq!(task.destination.value("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'wf_u_owner'"), "3");
    // Rule 29: the role is stronger there than here.
    let owner = "SELECT relowner::regrole FROM pg_class WHERE relname = 'grouped'";
    assert_ne!(task.destination.value(owner), "wf_u_group");
    drop(task);
}
