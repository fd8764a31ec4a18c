//! Chosen tables and mapped names.

use walferry_tests::Task;

const SCHEMA: &str = "CREATE SCHEMA sales; CREATE TABLE sales.orders (id integer PRIMARY KEY, v text);
    CREATE TABLE sales.audit_x (id integer PRIMARY KEY); CREATE TABLE public.t (id integer PRIMARY KEY);";
const ROWS: &str = "INSERT INTO sales.orders VALUES (1, 'x'); INSERT INTO sales.audit_x VALUES (1); INSERT INTO public.t VALUES (1)";

#[test]
fn only_included_tables_are_applied() {
    let task = Task::build("select-include")
        .schema(SCHEMA)
        .set("objects.include", vec!["sales.*"])
        .set("objects.exclude", vec!["sales.audit_*"])
        .create();
    task.source.execute(ROWS);
    task.run_until_now();
    task.assert_equal_except(&["sales.audit_x", "public.t"]);
    assert_eq!(
        task.destination.value("SELECT (SELECT count(*) FROM sales.audit_x) + (SELECT count(*) FROM t)"),
        "0"
    );
}

#[test]
fn a_table_that_is_not_chosen_need_not_exist_there() {
    let task =
        Task::build("select-absent").schema(SCHEMA).set("objects.include", vec!["sales.orders"]).create();
    task.destination.execute("DROP TABLE sales.audit_x, public.t");
    task.source.execute(ROWS);
    task.source.execute("CREATE TABLE public.later (a integer); INSERT INTO public.later VALUES (1)");
    task.run_until_now();
    assert_eq!(task.destination.value("SELECT count(*) FROM sales.orders"), "1");
}

#[test]
fn our_own_schemas_are_never_replicated() {
    let task = Task::new("select-own", SCHEMA);
    task.source.execute("CREATE SCHEMA walferry_state; CREATE TABLE walferry_state.mine (a integer PRIMARY KEY); INSERT INTO walferry_state.mine VALUES (1)");
    task.source.execute("SELECT walferry.heartbeat()");
    task.source.execute(ROWS);
    task.sync();
}
