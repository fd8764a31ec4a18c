//! Both sides as a whole: definitions as `pg_dump` writes them, all rows, sequences, materialized views, large objects.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::session::identifier;
use crate::{Session, compare, program};

/// Names of schemas and extensions that are never carried over.
const OURS: [&str; 2] = ["walferry", "walferry_state"];

/// What differs, one line per finding; empty when nothing does.
pub fn differences(source: &Session, destination: &Session) -> Vec<String> {
    let mut found = definition_differences(source, destination, &|_| false);
    found.extend(data_differences(source, destination));
    found
}

/// Rows, sequences, materialized views and large objects that differ.
pub fn data_differences(source: &Session, destination: &Session) -> Vec<String> {
    let mut found = compare::differences(source, destination, &[]);
    found.extend(unequal("sequence", &sequences(source), &sequences(destination)));
    found.extend(unequal("filled", &filled(source), &filled(destination)));
    found.extend(unequal("large object", &large_objects(source), &large_objects(destination)));
    found
}

/// What differs while a task runs: definitions, rows, materialized views. Foreign servers and rows of unlogged tables are not carried;
/// sequences are made exact at the finish only.
pub fn level_differences(source: &Session, destination: &Session) -> Vec<String> {
    let unlogged = unlogged(source);
    let unlogged: Vec<&str> = unlogged.iter().map(String::as_str).collect();
    let mut found = definition_differences(source, destination, &is_foreign);
    found.extend(compare::differences(source, destination, &unlogged));
    found.extend(unequal("filled", &filled(source), &filled(destination)));
    found
}

/// Entries of `pg_dump -s` that are on one side only, but for those whose text `but_for` says true of.
pub fn definition_differences(
    source: &Session,
    destination: &Session,
    but_for: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let (ours, theirs) = (definitions(source), definitions(destination));
    let missing = ours.difference(&theirs).map(|entry| ("only at the source", entry));
    let extra = theirs.difference(&ours).map(|entry| ("only at the destination", entry));
    let show = |(side, entry): (&str, &String)| format!("{side}: {entry}");
    missing.chain(extra).filter(|(_, entry)| !but_for(entry)).map(show).collect()
}

/// The entries of `pg_dump -s`: each the line that names it, and its statements. Settings between them depend on the
/// order of entries and are left out, as is what walferry put there.
pub fn definitions(session: &Session) -> BTreeSet<String> {
    let mut command = Command::new(program("pg_dump"));
    command.args(["-s", "--no-publications", "--no-subscriptions", "--exclude-schema=walferry_state"]);
    let output = command.arg(session.url()).output();
    let output = output.unwrap_or_else(|e| panic!("pg_dump does not start: {e}"));
    assert!(output.status.success(), "pg_dump failed: {}", String::from_utf8_lossy(&output.stderr));
    entries(&String::from_utf8_lossy(&output.stdout))
}

fn entries(dump: &str) -> BTreeSet<String> {
    let mut entries = BTreeSet::new();
    let mut entry = String::new();
    for line in dump.lines() {
        if let Some(head) = line.strip_prefix("-- Name: ") {
            entries.insert(std::mem::take(&mut entry));
            entry = head.to_owned();
        } else if !(line.is_empty() || line.starts_with("--") || line.starts_with('\\') || is_setting(line)) {
            entry.push('\n');
            entry.push_str(line);
        }
    }
    entries.insert(entry);
    entries.retain(|entry| entry.contains("; Type: ") && !is_ours(entry));
    entries
}

fn is_setting(line: &str) -> bool {
    line.starts_with("SET ") || line.starts_with("SELECT pg_catalog.set_config(")
}

/// `NAME; Type: KIND; Schema: SCHEMA; Owner: ROLE`.
fn is_ours(entry: &str) -> bool {
    let head = entry.lines().next().unwrap_or_default();
    let name = head.split("; Type: ").next().unwrap_or_default();
    let name = name.rsplit(' ').next().unwrap_or_default();
    OURS.iter().any(|ours| name == *ours || head.contains(&format!("; Schema: {ours};")))
}

/// What a side has, by name.
type Facts = BTreeMap<String, String>;

fn unequal(kind: &str, ours: &Facts, theirs: &Facts) -> Vec<String> {
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let value =
        |facts: &Facts, name: &str| facts.get(name).cloned().unwrap_or_else(|| "not there".to_owned());
    let line = |name: &String| {
        let (source, destination) = (value(ours, name), value(theirs, name));
        (source != destination).then(|| format!("{kind} {name}: {source} here, {destination} there"))
    };
    names.into_iter().filter_map(line).collect()
}

fn facts(session: &Session, sql: &str) -> Facts {
    let text = |cell: &Option<String>| cell.clone().unwrap_or_default();
    session.rows(sql).iter().map(|row| (text(&row[0]), text(&row[1]))).collect()
}

const USERS: &str = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'walferry', 'walferry_state')
    AND n.nspname !~ '^pg_(temp|toast)' AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";

fn relations(session: &Session, kind: &str) -> Vec<(String, String)> {
    let sql = format!(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = '{kind}' AND c.relpersistence <> 't' AND {USERS} ORDER BY 1, 2"
    );
    let pair = |row: Vec<Option<String>>| {
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        (cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
    };
    session.rows(&sql).into_iter().map(pair).collect()
}

/// Foreign servers and what hangs on them.
fn is_foreign(entry: &str) -> bool {
    let head = entry.lines().next().unwrap_or_default();
    ["FOREIGN DATA WRAPPER", "FOREIGN TABLE", "SERVER", "USER MAPPING"]
        .iter()
        .any(|kind| head.contains(&format!("; Type: {kind};")))
}

/// Unlogged tables as `schema.table`.
fn unlogged(session: &Session) -> Vec<String> {
    let sql =
        "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relpersistence = 'u' AND c.relkind IN ('r', 'p')";
    session.rows(sql).into_iter().flatten().flatten().collect()
}

fn each(session: &Session, kind: &str, select: impl Fn(&str) -> String) -> Facts {
    let mut facts = Facts::new();
    for (schema, name) in relations(session, kind) {
        let name = format!("{}.{}", identifier(&schema), identifier(&name));
        let value = session.value(&select(&name));
        facts.insert(name, value);
    }
    facts
}

/// Values of sequences: what `nextval` goes on from.
fn sequences(session: &Session) -> Facts {
    each(session, "S", |name| format!("SELECT concat_ws(' ', last_value, is_called) FROM {name}"))
}

/// Materialized views: whether they are filled, and their rows.
fn filled(session: &Session) -> Facts {
    each(session, "m", |name| {
        format!(
            "SELECT CASE WHEN NOT relispopulated THEN 'empty' ELSE (xpath('/row/x/text()', query_to_xml('
                SELECT count(*) || '':'' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) AS x
                FROM {} t', false, true, '')))[1]::text END FROM pg_class WHERE oid = '{}'::regclass",
            name.replace('\'', "''"),
            name.replace('\'', "''")
        )
    })
}

fn large_objects(session: &Session) -> Facts {
    facts(
        session,
        "SELECT oid::text, md5(lo_get(oid)) || ' of ' || pg_get_userbyid(lomowner) || ' ' || coalesce(lomacl::text, '')
           FROM pg_largeobject_metadata",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\\restrict abc\nSET statement_timeout = 0;\n\n\
        --\n-- Name: walferry; Type: EXTENSION; Schema: -; Owner: -\n--\n\nCREATE EXTENSION walferry;\n\n\
        --\n-- Name: EXTENSION walferry; Type: COMMENT; Schema: -; Owner: \n--\n\nCOMMENT ON EXTENSION walferry IS 'x';\n\n\
        --\n-- Name: t; Type: TABLE; Schema: public; Owner: postgres\n--\n\nSET default_tablespace = '';\n\
        CREATE TABLE public.t (\n    id integer\n);\n\n\nALTER TABLE public.t OWNER TO postgres;\n";

    #[test]
    fn a_dump_falls_into_entries() {
        let entries: Vec<String> = entries(DUMP).into_iter().collect();
        assert_eq!(
            entries,
            [
                "t; Type: TABLE; Schema: public; Owner: postgres\nCREATE TABLE public.t (\n    id integer\n);\n\
                 ALTER TABLE public.t OWNER TO postgres;"
            ]
        );
    }

    #[test]
    fn what_is_on_one_side_only_is_found() {
        let facts = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Facts>()
        };
        let found = unequal("sequence", &facts(&[("a", "1"), ("b", "2")]), &facts(&[("a", "1"), ("c", "3")]));
        assert_eq!(found, ["sequence b: 2 here, not there there", "sequence c: not there here, 3 there"]);
    }
}
