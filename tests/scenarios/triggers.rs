//! Triggers and rules of the destination (rule 13).

use walferry_tests::Task;

const AUDIT: &str = "CREATE TABLE audit (n serial, what text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.audit (what) VALUES (TG_OP || ':' || coalesce(NEW.v, OLD.v)); RETURN coalesce(NEW, OLD); END $$;
    CREATE TRIGGER note BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note();";
const TABLE: &str = "CREATE TABLE t (id integer PRIMARY KEY, v text);";

fn changes(task: &Task) {
    task.source.execute("INSERT INTO t VALUES (1, 'a')");
    task.source.execute("UPDATE t SET v = 'b' WHERE id = 1");
    task.source.execute("INSERT INTO t VALUES (2, 'c')");
    task.source.execute("DELETE FROM t WHERE id = 1");
    task.sync();
}

#[test]
fn rule_13_ordinary_triggers_do_not_fire() {
    let task =
        Task::build("trigger-origin").schema(TABLE).destination_schema(&format!("{TABLE}{AUDIT}")).create();
    changes(&task);
    assert_eq!(task.destination.value("SELECT count(*) FROM audit"), "0");
}

#[test]
fn rule_13_triggers_that_fire_always_see_every_change() {
    let always = "ALTER TABLE t ENABLE ALWAYS TRIGGER note";
    let task = Task::build("trigger-always")
        .schema(TABLE)
        .destination_schema(&format!("{TABLE}{AUDIT}{always}"))
        .create();
    changes(&task);
    let seen = task.destination.list("SELECT what FROM audit ORDER BY n");
    assert_eq!(seen, "INSERT:a,UPDATE:b,INSERT:c,DELETE:b", "nothing may be folded");
}

#[test]
fn rule_13_triggers_that_fire_for_replicas() {
    let replica = "ALTER TABLE t ENABLE REPLICA TRIGGER note";
    let task = Task::build("trigger-replica")
        .schema(TABLE)
        .destination_schema(&format!("{TABLE}{AUDIT}{replica}"))
        .create();
    changes(&task);
    assert_eq!(task.destination.value("SELECT count(*) FROM audit"), "4");
}

#[test]
fn rule_13_rules_of_the_destination_do_not_rewrite() {
    let rule = "CREATE RULE stop AS ON INSERT TO t DO INSTEAD NOTHING";
    let task =
        Task::build("trigger-rule").schema(TABLE).destination_schema(&format!("{TABLE}{rule}")).create();
    changes(&task);
}

#[test]
fn rule_21_a_trigger_works_with_an_empty_search_path() {
    // The function names its schema, the operators come from pg_catalog: a table that shadows nothing.
    let traps = "CREATE FUNCTION public.eq(integer, integer) RETURNS boolean LANGUAGE sql AS 'SELECT false';
        CREATE OPERATOR public.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = public.eq);";
    let task =
        Task::build("trigger-path").schema(TABLE).destination_schema(&format!("{TABLE}{traps}")).create();
    let name = &task.database;
    task.destination.execute(&format!("ALTER DATABASE \"{name}\" SET search_path = public, pg_catalog"));
    changes(&task);
}
