//! Patterns of table names, as users write them (`public.*`, `sales.orders`, `crm."Leads"`), and the selection made of
//! them. The applier checks what the user wrote; the plugin applies it to every relation of the stream.
//!
//! A pattern is `schema.table`, identifiers as in SQL: unquoted letters fold to lower case, `""` inside quotes is a
//! quote. Outside quotes `*` stands for any text, also none, and `\+XXXXXX` for the character of this code point, so that
//! a pattern can travel in ASCII ([`to_ascii`]) whatever the encodings on the way are.

use crate::Error;

/// Schemas that are never selected, besides PostgreSQL's own (`pg_*`, `information_schema`).
pub const OUR_SCHEMAS: [&str; 2] = ["walferry", "walferry_state"];

/// A pattern of one identifier: the literal pieces between the stars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    pieces: Vec<String>,
}

impl Glob {
    /// Whether the whole of `name` is covered.
    pub fn matches(&self, name: &str) -> bool {
        let Some((last, rest)) = self.pieces.split_last() else { return false };
        let Some((first, middle)) = rest.split_first() else { return name == last };
        let Some(mut tail) = name.strip_prefix(first.as_str()) else { return false };
        for piece in middle {
            match tail.find(piece.as_str()) {
                Some(at) => tail = &tail[at + piece.len()..],
                None => return false,
            }
        }
        tail.ends_with(last.as_str())
    }

    /// The identifier, if the pattern has no star.
    pub fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

/// A pattern of a table's full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Which schemas.
    pub schema: Glob,
    /// Which tables in them.
    pub table: Glob,
}

impl Pattern {
    /// Reads one `schema.table` pattern.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match list(text)?.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(Error::BadOption(format!("\"{text}\" is not one pattern like schema.table"))),
        }
    }

    /// Whether the table is covered.
    pub fn matches(&self, schema: &str, table: &str) -> bool {
        self.schema.matches(schema) && self.table.matches(table)
    }
}

/// Reads a dotted name (one or more identifiers, stars allowed): `sales`, `crm."Leads"`.
pub fn name(text: &str) -> Result<Vec<Glob>, Error> {
    let mut chars = text.trim().chars().peekable();
    let parts = dotted(&mut chars, text)?;
    match chars.next() {
        None => Ok(parts),
        Some(c) => Err(unexpected(c, text)),
    }
}

/// Reads identifiers separated by commas, without stars; an empty text is no identifier.
pub fn identifiers(text: &str) -> Result<Vec<String>, Error> {
    let mut chars = text.chars().peekable();
    let mut identifiers = Vec::new();
    if text.trim().is_empty() {
        return Ok(identifiers);
    }
    loop {
        skip_blanks(&mut chars);
        match identifier(&mut chars, text)?.literal() {
            Some(name) => identifiers.push(name.to_owned()),
            None => return Err(unexpected('*', text)),
        }
        skip_blanks(&mut chars);
        match chars.next() {
            None => return Ok(identifiers),
            Some(',') => {}
            Some(c) => return Err(unexpected(c, text)),
        }
    }
}

/// Reads patterns separated by commas; an empty text is no pattern.
pub fn list(text: &str) -> Result<Vec<Pattern>, Error> {
    let mut chars = text.chars().peekable();
    let mut patterns = Vec::new();
    if text.trim().is_empty() {
        return Ok(patterns);
    }
    loop {
        skip_blanks(&mut chars);
        let mut parts = dotted(&mut chars, text)?.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(schema), Some(table), None) => patterns.push(Pattern { schema, table }),
            _ => return Err(Error::BadOption(format!("\"{text}\" must be written as schema.table"))),
        }
        skip_blanks(&mut chars);
        match chars.next() {
            None => return Ok(patterns),
            Some(',') => {}
            Some(c) => return Err(unexpected(c, text)),
        }
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn unexpected(c: char, text: &str) -> Error {
    Error::BadOption(format!("unexpected '{c}' in the name pattern \"{text}\" (quote it as in SQL)"))
}

fn skip_blanks(chars: &mut Chars<'_>) {
    while chars.next_if(|c| c.is_whitespace()).is_some() {}
}

fn dotted(chars: &mut Chars<'_>, text: &str) -> Result<Vec<Glob>, Error> {
    let mut parts = vec![identifier(chars, text)?];
    while chars.next_if_eq(&'.').is_some() {
        parts.push(identifier(chars, text)?);
    }
    Ok(parts)
}

fn identifier(chars: &mut Chars<'_>, text: &str) -> Result<Glob, Error> {
    let mut pieces = vec![String::new()];
    let mut piece = String::new();
    let mut any = false;
    while let Some(&c) = chars.peek() {
        match c {
            '.' | ',' => break,
            '"' => quoted(chars, text, &mut piece)?,
            c if c.is_whitespace() => break,
            '*' => {
                chars.next();
                if let Some(last) = pieces.last_mut() {
                    *last = std::mem::take(&mut piece);
                }
                pieces.push(String::new());
            }
            '\\' => piece.push(escaped(chars, text)?),
            c => {
                chars.next();
                piece.push(c.to_ascii_lowercase());
            }
        }
        any = true;
    }
    if let Some(last) = pieces.last_mut() {
        *last = piece;
    }
    if any { Ok(Glob { pieces }) } else { Err(Error::BadOption(format!("an empty name in \"{text}\""))) }
}

fn quoted(chars: &mut Chars<'_>, text: &str, piece: &mut String) -> Result<(), Error> {
    chars.next();
    loop {
        match chars.next() {
            Some('"') if chars.next_if_eq(&'"').is_some() => piece.push('"'),
            Some('"') => return Ok(()),
            Some(c) => piece.push(c),
            None => return Err(Error::BadOption(format!("a quote is not closed in \"{text}\""))),
        }
    }
}

/// Six hexadecimal digits behind `\+`, as in SQL's `U&""`.
fn escaped(chars: &mut Chars<'_>, text: &str) -> Result<char, Error> {
    let code: String = chars.by_ref().take(8).collect();
    let digits = code.strip_prefix("\\+").filter(|digits| digits.len() == 6);
    let character = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
    character.ok_or_else(|| Error::BadOption(format!("\"{code}\" is not an escape in \"{text}\"")))
}

/// The same pattern in ASCII alone.
pub fn to_ascii(pattern: &str) -> String {
    let mut ascii = String::with_capacity(pattern.len());
    let mut inside = false;
    for c in pattern.chars() {
        inside ^= c == '"';
        match (c.is_ascii(), inside) {
            (true, _) => ascii.push(c),
            (false, true) => ascii.push_str(&format!("\"\\+{:06X}\"", c as u32)),
            (false, false) => ascii.push_str(&format!("\\+{:06X}", c as u32)),
        }
    }
    ascii
}

/// Which relations of the stream are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Relations that were chosen at the start and stay chosen whatever they are called now.
    pub relations: std::collections::BTreeSet<u32>,
    /// Patterns that choose.
    pub include: Vec<Pattern>,
    /// Patterns that take away from `include` (not from `relations`).
    pub exclude: Vec<Pattern>,
}

impl Selection {
    /// Whether a relation is wanted; `lineage` is the relation itself, then its partitioned ancestors. A partition is
    /// wanted with any of these, and excluded with any of these.
    pub fn wants<'a>(&self, lineage: impl Iterator<Item = (u32, &'a str, &'a str)> + Clone) -> bool {
        if lineage.clone().any(|(_, schema, _)| is_never_selected(schema)) {
            return false;
        }
        let hit = |patterns: &[Pattern], schema, table| patterns.iter().any(|p| p.matches(schema, table));
        lineage.clone().any(|(oid, _, _)| self.relations.contains(&oid))
            || lineage.clone().any(|(_, schema, table)| hit(&self.include, schema, table))
                && !lineage.clone().any(|(_, schema, table)| hit(&self.exclude, schema, table))
    }
}

/// Whether nothing in this schema is ever replicated.
pub fn is_never_selected(schema: &str) -> bool {
    schema.starts_with("pg_") || schema == "information_schema" || OUR_SCHEMAS.contains(&schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pattern: &str, schema: &str, table: &str) -> bool {
        Pattern::parse(pattern).expect(pattern).matches(schema, table)
    }

    #[test]
    fn stars_stand_for_any_text() {
        assert!(covers("public.*", "public", "orders"));
        assert!(covers("public.audit_*", "public", "audit_"));
        assert!(covers("*.a*b*c", "x", "a--b--c"));
        assert!(!covers("*.a*b*c", "x", "a--c--b"));
        assert!(!covers("public.ab*ba", "public", "aba"));
        assert!(!covers("public.orders", "public", "orders_2"));
    }

    #[test]
    fn identifiers_are_as_in_sql() {
        assert!(covers("Sales.Orders", "sales", "orders"));
        assert!(covers(r#"crm."Leads""#, "crm", "Leads"));
        assert!(covers(r#""a.b"."say ""hi"", *""#, "a.b", r#"say "hi", *"#));
        assert!(!covers(r#"x."*""#, "x", "anything"));
    }

    #[test]
    fn patterns_can_travel_in_ascii() {
        for (pattern, name) in [(r#"s."é""x é*""#, r#"é"x é*"#), ("s.été_*", "été_2"), (r#"s."aé""#, "aé")]
        {
            let ascii = to_ascii(pattern);
            assert!(ascii.is_ascii(), "{ascii}");
            assert!(covers(&ascii, "s", name), "{ascii}");
        }
        for bad in ["s.\\", "s.\\+12", "s.\\+110000", "s.\\x000041"] {
            assert!(list(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_are_separated_by_commas_outside_quotes() {
        assert_eq!(list(r#"a.b, "c,d".e"#).map(|l| l.len()), Ok(2));
        assert_eq!(list(" "), Ok(vec![]));
        for bad in ["a", "a.b.c", "a..b", "a.b,", "a.\"b", "a.b c.d", "."] {
            assert!(list(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn identifiers_have_no_stars_and_no_dots() {
        assert_eq!(identifiers(r#" A_1, "B, 2""3" "#), Ok(vec!["a_1".to_owned(), r#"B, 2"3"#.to_owned()]));
        assert_eq!(identifiers(""), Ok(vec![]));
        for bad in ["a*", "a.b", "a,", "a b", "\"a"] {
            assert!(identifiers(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_partition_is_wanted_and_excluded_with_its_root() {
        let selection = Selection {
            include: list("s.root").expect("include"),
            exclude: list("s.leaf_2").expect("exclude"),
            relations: [7].into(),
        };
        let wants = |oid, leaf| selection.wants([(oid, "s", leaf), (1, "s", "root")].into_iter());
        assert!(wants(2, "leaf_1"));
        assert!(!wants(3, "leaf_2"));
        assert!(wants(7, "leaf_2"));
        assert!(!selection.wants([(7, "walferry_state", "progress")].into_iter()));
    }
}
