//! Two steps where one would hold its table for long: a primary key of a large table becomes a unique index, built
//! beside the table's others, and a constraint on it; a foreign key is added unchecked and validated after. The end is
//! the same. Follows <https://www.postgresql.org/docs/current/sql-altertable.html>.

use super::facts::{Attached, Facts, Relation};
use super::kind::Kind;
use super::toc::Entry;
use crate::pg::quote::ident;

/// From this many 8 kB pages on, two steps are worth their commit.
pub const LARGE: i64 = 512;

/// What the first of two steps is called, by the name of the whole.
pub fn first_name(kind: &Kind, object: &str) -> String {
    match kind {
        Kind::ForeignKey => format!("UNCHECKED {object}"),
        _ => format!("INDEX OF {object}"),
    }
}

/// The name of the whole, by what a step is called.
pub fn whole_name(step: &str) -> &str {
    step.strip_prefix("UNCHECKED ").or_else(|| step.strip_prefix("INDEX OF ")).unwrap_or(step)
}

/// What an entry runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pieces {
    /// Its own statements.
    Whole(String),
    /// A unique index, then the constraint on it.
    IndexFirst(String, String),
    /// An unchecked foreign key, then its validation.
    ValidateAfter(String, String),
}

/// The pieces of an entry's definition, with the source's names; of a table of at least so many pages they are two.
pub fn pieces(entry: &Entry, facts: &Facts, large: i64) -> Pieces {
    let facts = Sized { facts, large };
    let hung = facts.facts.attached.get(&(entry.catalog, entry.oid));
    let pieces = hung.and_then(|hung| match &entry.kind {
        Kind::Constraint => index_first(entry, hung, &facts),
        Kind::ForeignKey => validate_after(entry, hung, &facts),
        _ => None,
    });
    pieces.unwrap_or_else(|| Pieces::Whole(whole(entry)))
}

/// A partitioned table's access method (17 and later) is for partitions to come, and cannot stand in its definition.
fn whole(entry: &Entry) -> String {
    match (&entry.access_method, entry.relkind, &entry.schema) {
        (Some(method), Some('p'), Some(schema)) => {
            let (schema, name, method) = (ident(schema), ident(&entry.tag), ident(method));
            format!("{}ALTER TABLE {schema}.{name} SET ACCESS METHOD {method};\n", entry.definition)
        }
        _ => entry.definition.clone(),
    }
}

/// The facts, and which tables are large.
struct Sized<'a> {
    facts: &'a Facts,
    large: i64,
}

impl Sized<'_> {
    fn table(&self, oid: u32) -> Option<&Relation> {
        self.facts.relations.get(&oid).filter(|table| table.kind == 'r' && table.pages >= self.large)
    }
}

fn index_first(entry: &Entry, hung: &Attached, facts: &Sized<'_>) -> Option<Pieces> {
    let (table, index) = (facts.table(hung.table)?, hung.index.as_ref()?);
    let name = ident(constraint(entry, table)?);
    let what = if hung.is_primary { "PRIMARY KEY" } else { "UNIQUE" };
    let rest = after_first(&entry.definition)?;
    let constraint = format!("{} ADD CONSTRAINT {name} {what} USING INDEX {name};\n{rest}", alter(table));
    Some(Pieces::IndexFirst(format!("{index};\n"), constraint))
}

fn validate_after(entry: &Entry, hung: &Attached, facts: &Sized<'_>) -> Option<Pieces> {
    let table = facts.table(hung.table)?;
    // PostgreSQL before 18 does not take unchecked foreign keys of partitioned tables.
    facts.facts.relations.get(&hung.referenced?).filter(|referenced| referenced.kind == 'r')?;
    let unchecked = ["NOT VALID", "NOT ENFORCED"].iter().any(|words| entry.definition.contains(words));
    let statement = entry.definition.trim_end().strip_suffix(';')?;
    if unchecked || !after_first(&entry.definition)?.is_empty() {
        return None;
    }
    let name = ident(constraint(entry, table)?);
    let validate = format!("{} VALIDATE CONSTRAINT {name};\n", alter(table));
    Some(Pieces::ValidateAfter(format!("{statement} NOT VALID;\n"), validate))
}

fn alter(table: &Relation) -> String {
    format!("ALTER TABLE ONLY {}.{}", ident(&table.schema), ident(&table.name))
}

/// The tag is the table's name and the constraint's.
fn constraint<'a>(entry: &'a Entry, table: &Relation) -> Option<&'a str> {
    entry.tag.strip_prefix(&table.name)?.strip_prefix(' ')
}

/// The statements after the first (REPLICA IDENTITY, CLUSTER); none if they cannot be told apart.
fn after_first(definition: &str) -> Option<&str> {
    let statements = pg_query::split_with_scanner(definition).ok()?;
    let first = statements.first()?;
    let end = definition.find(first)? + first.len();
    Some(definition[end..].trim_start_matches(';').trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::sample::{entry, relation};

    fn facts(pages: i64, hung: Attached) -> Facts {
        let mut table = relation(10, "public", "or ders", 'r');
        table.pages = pages;
        let mut facts = Facts::default();
        facts.relations.insert(10, table);
        facts.relations.insert(11, relation(11, "public", "people", 'r'));
        facts.attached.insert((2606, 20), hung);
        facts
    }

    fn primary() -> Attached {
        let index = "CREATE UNIQUE INDEX orders_pkey ON public.\"or ders\" USING btree (id)";
        Attached {
            table: 10,
            referenced: None,
            is_key: true,
            is_primary: true,
            index: Some(index.to_owned()),
        }
    }

    fn hanging(kind: &str, tag: &str, definition: &str) -> Entry {
        let mut entry = entry(1, kind, Some("public"), tag);
        (entry.catalog, entry.oid, entry.definition) = (2606, 20, definition.to_owned());
        entry
    }

    #[test]
    fn a_large_primary_key_is_an_index_first() {
        let definition = "ALTER TABLE ONLY public.\"or ders\"\n    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);\n\n\
                          ALTER TABLE ONLY public.\"or ders\" REPLICA IDENTITY USING INDEX orders_pkey;\n";
        let entry = hanging("CONSTRAINT", "or ders orders_pkey", definition);
        let Pieces::IndexFirst(index, constraint) = pieces(&entry, &facts(LARGE, primary()), LARGE) else {
            panic!()
        };
        assert_eq!(index, "CREATE UNIQUE INDEX orders_pkey ON public.\"or ders\" USING btree (id);\n");
        assert_eq!(
            constraint,
            "ALTER TABLE ONLY \"public\".\"or ders\" ADD CONSTRAINT \"orders_pkey\" PRIMARY KEY USING INDEX \
             \"orders_pkey\";\nALTER TABLE ONLY public.\"or ders\" REPLICA IDENTITY USING INDEX orders_pkey;\n"
        );
        let small = pieces(&entry, &facts(LARGE - 1, primary()), LARGE);
        assert_eq!(small, Pieces::Whole(definition.to_owned()));
    }

    #[test]
    fn a_partitioned_table_gets_its_access_method_after() {
        let mut table = entry(1, "TABLE", Some("public"), "p");
        (table.access_method, table.relkind) = (Some("heap2".to_owned()), Some('p'));
        table.definition = "CREATE TABLE public.p (a integer) PARTITION BY RANGE (a);\n".to_owned();
        let Pieces::Whole(sql) = pieces(&table, &Facts::default(), LARGE) else { panic!() };
        assert!(sql.ends_with(";\nALTER TABLE \"public\".\"p\" SET ACCESS METHOD \"heap2\";\n"), "{sql}");
    }

    #[test]
    fn a_large_foreign_key_is_validated_after() {
        let hung =
            Attached { referenced: Some(11), is_key: false, is_primary: false, index: None, ..primary() };
        let definition = "ALTER TABLE ONLY public.\"or ders\"\n    ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.people(id);\n";
        let entry = hanging("FK CONSTRAINT", "or ders f", definition);
        let Pieces::ValidateAfter(add, validate) = pieces(&entry, &facts(LARGE, hung.clone()), LARGE) else {
            panic!()
        };
        assert!(add.ends_with("REFERENCES public.people(id) NOT VALID;\n"), "{add}");
        assert_eq!(validate, "ALTER TABLE ONLY \"public\".\"or ders\" VALIDATE CONSTRAINT \"f\";\n");
        let unchecked = hanging("FK CONSTRAINT", "or ders f", &add);
        assert_eq!(pieces(&unchecked, &facts(LARGE, hung), LARGE), Pieces::Whole(add));
    }
}
