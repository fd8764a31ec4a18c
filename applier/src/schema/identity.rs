//! What definitions are called: in the journal, in reports, in messages. A name stays the same however often the source
//! is dumped.

use std::collections::HashMap;

use super::kind::Kind;
use super::toc::Entry;
use crate::pg::quote::readable_ident;

/// The names of all entries, by number, each once.
pub fn names(entries: &[Entry]) -> HashMap<i32, String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut names = HashMap::new();
    for entry in entries {
        let name = name(entry);
        let times = seen.entry(name.clone()).or_default();
        *times += 1;
        names.insert(entry.id, if *times == 1 { name } else { format!("{name} ({times})") });
    }
    names
}

/// The name of a schema, as the destination calls it.
pub fn schema(name: &str) -> String {
    format!("{} {}", Kind::Schema, readable_ident(name))
}

/// `TABLE public.orders`, `CONSTRAINT public.orders orders_pkey`, `FUNCTION public.f(integer)`.
fn name(entry: &Entry) -> String {
    match &entry.kind {
        // One name stands for many of these: the statement that drops them has all of it.
        Kind::Operator | Kind::OperatorClass | Kind::OperatorFamily => {
            dropped(entry).map_or_else(|| plain(entry), str::to_owned)
        }
        Kind::Acl | Kind::Comment | Kind::SecurityLabel => match &entry.schema {
            Some(schema) => format!("{} ON {} IN {}", entry.kind, entry.tag, readable_ident(schema)),
            None => format!("{} ON {}", entry.kind, entry.tag),
        },
        Kind::DefaultAcl => format!("{} OF {}", plain(entry), readable_ident(&entry.owner)),
        // These hold what makes them unique: `CAST (a AS b)`.
        Kind::Cast | Kind::Transform => entry.tag.clone(),
        _ => plain(entry),
    }
}

/// What `DROP ...` names, without the word.
pub fn dropped(entry: &Entry) -> Option<&str> {
    entry.drop_statement.trim_end().strip_suffix(';')?.strip_prefix("DROP ")
}

fn plain(entry: &Entry) -> String {
    let tag = if is_identifier(&entry.kind) { readable_ident(&entry.tag) } else { entry.tag.clone() };
    match &entry.schema {
        Some(schema) => format!("{} {}.{tag}", entry.kind, readable_ident(schema)),
        None => format!("{} {tag}", entry.kind),
    }
}

/// Whether the tag is one name. Functions carry their arguments in it, what hangs on a table the table's name.
fn is_identifier(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::Function
            | Kind::Procedure
            | Kind::Aggregate
            | Kind::Constraint
            | Kind::ForeignKey
            | Kind::CheckConstraint
            | Kind::Default
            | Kind::Rule
            | Kind::Trigger
            | Kind::Policy
            | Kind::DefaultAcl
            | Kind::UserMapping
            | Kind::PublicationTable
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::sample::entry;

    #[test]
    fn names_are_told_apart() {
        let mut operator = entry(3, "OPERATOR", Some("public"), "=");
        operator.drop_statement = "DROP OPERATOR public.= (integer, text);\n".to_owned();
        let mut acl = entry(4, "DEFAULT ACL", Some("public"), "DEFAULT PRIVILEGES FOR TABLES");
        acl.owner = "Joe".to_owned();
        let entries = [
            entry(1, "TABLE", Some("Crm"), "a.b"),
            entry(2, "CONSTRAINT", Some("public"), "orders orders_pkey"),
            operator,
            acl,
            entry(5, "COMMENT", Some("public"), "COLUMN orders.id"),
            entry(6, "COMMENT", Some("public"), "COLUMN orders.id"),
            entry(7, "FUNCTION", Some("public"), "f(integer)"),
        ];
        let names = names(&entries);
        let expected = [
            "TABLE \"Crm\".\"a.b\"",
            "CONSTRAINT public.orders orders_pkey",
            "OPERATOR public.= (integer, text)",
            "DEFAULT ACL public.DEFAULT PRIVILEGES FOR TABLES OF \"Joe\"",
            "COMMENT ON COLUMN orders.id IN public",
            "COMMENT ON COLUMN orders.id IN public (2)",
            "FUNCTION public.f(integer)",
        ];
        for (id, expected) in (1..).zip(expected) {
            assert_eq!(names[&id], expected);
        }
    }
}
