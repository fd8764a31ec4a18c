//! The settings of the source's session that change what a statement means, in the session that runs it (rules 21 and 29).
//! Afterwards each is reset to what the writer's session began with.

use crate::ddl::Captured;
use crate::pg::quote;

/// Of those that are recorded, the ones that have a say in what a statement means. The major that has them all is 14.
const RECORDED: &[(&str, u32)] = &[
    ("DateStyle", 0),
    ("IntervalStyle", 0),
    ("TimeZone", 0),
    ("array_nulls", 0),
    ("backslash_quote", 0),
    ("default_table_access_method", 0),
    ("default_text_search_config", 0),
    ("default_toast_compression", 14),
    ("standard_conforming_strings", 0),
    ("transform_null_equals", 0),
    ("xmloption", 0),
];

/// What a statement on definitions needs otherwise than rows do: bodies of functions are not looked at (they may be ahead of
/// what they name), tablespaces are not carried, and plans are not those of single rows.
const OURS: &[(&str, &str)] = &[
    ("check_function_bodies", "off"),
    ("default_tablespace", ""),
    ("enable_hashjoin", "on"),
    ("enable_mergejoin", "on"),
    ("enable_seqscan", "on"),
    ("plan_cache_mode", "auto"),
    ("bytea_output", "hex"),
];

/// What makes the session speak UTF-8, as captured texts do.
pub const UTF8: &str = "SET client_encoding = 'UTF8'";
/// What makes it speak the source's encoding again.
pub const NATIVE: &str = "RESET client_encoding";

/// The commands before a statement; `major` is the destination's.
pub fn before(captured: &Captured, search_path: &str, role: Option<&str>, major: u32) -> Vec<String> {
    let mut commands = vec![UTF8.to_owned()];
    let set = |name: &str, value: &str| {
        format!("SELECT pg_catalog.set_config('{name}', {}, false)", quote::literal(value))
    };
    for (name, value) in &captured.settings {
        let is_ours = |(known, since): &&(&str, u32)| known.eq_ignore_ascii_case(name) && *since <= major;
        if let Some((known, _)) = RECORDED.iter().find(is_ours) {
            commands.push(set(known, value));
        }
    }
    commands.extend(OURS.iter().map(|(name, value)| set(name, value)));
    commands.push(set("search_path", search_path));
    commands.extend(role.map(|role| format!("SET ROLE {}", quote::ident(role))));
    commands
}

/// The commands after it.
pub fn after(major: u32) -> Vec<String> {
    let recorded = RECORDED.iter().filter(|(_, since)| *since <= major).map(|(name, _)| *name);
    let names = recorded.chain(OURS.iter().map(|(name, _)| *name)).chain(["search_path"]);
    let mut commands = vec!["RESET ROLE".to_owned()];
    commands.extend(names.map(|name| format!("RESET {name}")));
    commands.push(NATIVE.to_owned());
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_reset() {
        let fields = [
            ("tag", "CREATE TABLE"),
            ("username", "alice"),
            ("captured_at", "2026-11-20"),
            ("search_path", "app"),
            ("settings", r#"{"DateStyle": "German", "is_superuser": "off", "lc_time": "C"}"#),
            ("statement", "CREATE TABLE t ()"),
            ("objects", "[]"),
        ];
        let mut fields: Vec<_> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect();
        fields.extend(["withheld", "facts", "mark"].map(|name| (name.to_owned(), None)));
        let captured = Captured::read(true, crate::pg::Lsn(1), &fields).unwrap();
        let before = before(&captured, "app, public", Some("alice"), 13);
        assert!(before.contains(&"SELECT pg_catalog.set_config('DateStyle', 'German', false)".to_owned()));
        assert!(!before.iter().any(|one| one.contains("lc_time") || one.contains("is_superuser")));
        assert_eq!(before.last().unwrap(), "SET ROLE \"alice\"");
        let after = after(13);
        for one in before.iter().filter_map(|one| one.strip_prefix("SELECT pg_catalog.set_config('")) {
            let name = one.split('\'').next().unwrap();
            assert!(after.contains(&format!("RESET {name}")), "{name}");
        }
    }
}
