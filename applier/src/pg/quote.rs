//! The one place that quotes names and values for SQL; `walferry_wire::pattern` reads them.

/// The name as a quoted SQL identifier; always quoted, so that no list of keywords is needed.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// [`ident`] with the schema.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// The name of a table for people: as in SQL, quoted only where it must be.
pub fn readable(schema: &str, name: &str) -> String {
    format!("{}.{}", readable_ident(schema), readable_ident(name))
}

/// A name for people: as in SQL, quoted only where it must be.
pub fn readable_ident(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let simple =
        name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty();
    if simple { name.to_owned() } else { ident(name) }
}

/// The text as an SQL string constant; right whatever `standard_conforming_strings` is, because a backslash
/// turns it into the `E''` form (as `quote_literal` of PostgreSQL's quote.c does).
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// The name as a quoted identifier in ASCII alone, so that the statement is right in any client_encoding
/// (`U&""`, <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>).
pub fn ascii_ident(name: &str) -> String {
    if name.is_ascii() { ident(name) } else { format!("U&{}", escape_to_ascii(&ident(name))) }
}

/// [`ascii_ident`] with the schema.
pub fn ascii_qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ascii_ident(schema), ascii_ident(name))
}

/// The text as a string constant in ASCII alone; needs `standard_conforming_strings`, which our sessions pin.
pub fn ascii_literal(text: &str) -> String {
    if text.is_ascii() {
        literal(text)
    } else {
        format!("U&'{}'", escape_to_ascii(&text.replace('\'', "''")))
    }
}

/// An operator by its schema and name, as an expression spells it whatever the search_path is.
pub fn operator(schema: &str, name: &str) -> String {
    format!("OPERATOR({}.{name})", ascii_ident(schema))
}

fn escape_to_ascii(text: &str) -> String {
    let escape = |c: char| match c {
        '\\' => "\\\\".to_owned(),
        c if c.is_ascii() => c.to_string(),
        c => format!("\\+{:06X}", c as u32),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_19_names_beyond_ascii_are_right_in_any_client_encoding() {
        assert_eq!(ascii_ident("plain \"x\""), r#""plain ""x""""#);
        assert_eq!(ascii_ident("stra\u{df}e\\"), r#"U&"stra\+0000DFe\\""#);
        assert_eq!(ascii_literal("d\u{e9}j\u{e0}'s"), r"U&'d\+0000E9j\+0000E0''s'");
        assert_eq!(operator("public", "="), r#"OPERATOR("public".=)"#);
    }

    #[test]
    fn quotes() {
        assert_eq!(ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(readable("Crm", "a.b"), "\"Crm\".\"a.b\"");
        assert_eq!(readable("crm", "leads_2"), "crm.leads_2");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
    }
}
