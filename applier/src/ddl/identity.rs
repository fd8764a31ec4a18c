//! Names inside the identities that PostgreSQL writes of objects (`pg_identify_object`), and inside a search_path.

use walferry_wire::pattern;

use super::Object;

/// Kinds of objects that are chosen by their own name.
pub const RELATIONS: &[&str] =
    &["table", "view", "materialized view", "sequence", "index", "foreign table", "toast table"];

/// The schemas of a search_path, in order; `"$user"` is left as it is.
pub fn path(setting: &str) -> Vec<String> {
    let schemas = pattern::identifiers(setting).unwrap_or_default();
    schemas.into_iter().filter(|schema| !schema.is_empty()).collect()
}

/// The dotted name that a text begins with, and what follows it.
pub fn dotted(text: &str) -> (Vec<String>, &str) {
    let (mut names, mut rest) = (Vec::new(), text);
    loop {
        let (name, after) = identifier(rest);
        names.push(name);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None => return (names, after),
        }
    }
}

fn identifier(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(['.', '(', ' ', ',', '"']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let (mut name, mut chars) = (String::new(), quoted.char_indices().peekable());
    while let Some((at, letter)) = chars.next() {
        let doubled = letter == '"' && chars.next_if(|(_, next)| *next == '"').is_some();
        if letter == '"' && !doubled {
            return (name, &quoted[at + 1..]);
        }
        name.push(letter);
    }
    (name, "")
}

/// Schema and name of the table that an object of a table has in its identity; none of an index or a sequence.
pub fn table_of(object: &Object) -> Option<(String, String)> {
    let pair = |names: &[String]| match names {
        [schema, table, ..] => Some((schema.clone(), table.clone())),
        _ => None,
    };
    match object.kind.as_str() {
        "table column" => pair(&dotted(&object.identity).0),
        "default value" => pair(&dotted(object.identity.strip_prefix("for ")?).0),
        "trigger" | "rule" | "policy" | "table constraint" => {
            pair(&dotted(dotted(&object.identity).1.strip_prefix(" on ")?).0)
        }
        // The identities of the other kinds have no table.
        _ => None,
    }
}

/// The object's own name: the last of the dotted one that its identity begins with.
pub fn own_name(object: &Object) -> String {
    let name = object.name.clone();
    name.unwrap_or_else(|| dotted(&object.identity).0.pop().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, identity: &str) -> Object {
        Object { kind: kind.into(), identity: identity.into(), ..Object::default() }
    }

    #[test]
    fn tables_are_found_in_identities() {
        let table = |kind: &str, identity: &str| {
            table_of(&object(kind, identity)).map(|(schema, name)| format!("{schema}|{name}"))
        };
        assert_eq!(table("trigger", "\"a on b\" on \"Crm\".\"Le\"\"ads\"").as_deref(), Some("Crm|Le\"ads"));
        assert_eq!(table("table column", "public.t.c").as_deref(), Some("public|t"));
        assert_eq!(table("default value", "for public.t.c").as_deref(), Some("public|t"));
        assert_eq!(table("index", "public.i"), None);
        assert_eq!(table("trigger", "broken"), None);
    }

    #[test]
    fn names_end_where_arguments_begin() {
        assert_eq!(own_name(&object("function", "public.\"f(\"(integer, text)")), "f(");
        assert_eq!(own_name(&object("trigger", "t on public.x")), "t");
        assert_eq!(path(r#""$user", public, "A b", """#), ["$user", "public", "A b"]);
        assert_eq!(path(r#""""#), Vec::<String>::new());
    }
}
