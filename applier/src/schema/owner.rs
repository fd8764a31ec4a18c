//! Who owns what, and the roles that definitions name. The archive names an owner beside the definition; the statement
//! is ours to write, as pg_restore does (`_printTocEntry` of PostgreSQL's pg_backup_archiver.c).

use super::identity::dropped;
use super::kind::Kind;
use super::toc::Entry;
use crate::pg::quote::{ident, qualified};

/// `ALTER ... OWNER TO ...` with the source's names; none for what has no owner of its own.
pub fn statement(entry: &Entry) -> Option<String> {
    if entry.owner.is_empty() {
        return None;
    }
    Some(format!("ALTER {} OWNER TO {};\n", object(entry)?, ident(&entry.owner)))
}

/// What ALTER calls the object.
fn object(entry: &Entry) -> Option<String> {
    let qualified = || match &entry.schema {
        Some(schema) => qualified(schema, &entry.tag),
        None => ident(&entry.tag),
    };
    match &entry.kind {
        // Their names need arguments or an access method, which the statement that drops them has.
        Kind::Aggregate
        | Kind::Function
        | Kind::Procedure
        | Kind::Operator
        | Kind::OperatorClass
        | Kind::OperatorFamily => dropped(entry).map(str::to_owned),
        Kind::Collation
        | Kind::Conversion
        | Kind::Domain
        | Kind::EventTrigger
        | Kind::Language
        | Kind::MaterializedView
        | Kind::Schema
        | Kind::Sequence
        | Kind::Statistics
        | Kind::Table
        | Kind::TextSearchConfiguration
        | Kind::TextSearchDictionary
        | Kind::Type
        | Kind::View => Some(format!("{} {}", entry.kind, qualified())),
        Kind::AccessMethod | Kind::Acl | Kind::Blob | Kind::BlobMetadata | Kind::Blobs | Kind::Cast => None,
        Kind::CheckConstraint | Kind::Comment | Kind::Constraint | Kind::Database | Kind::Default => None,
        Kind::DatabaseProperties | Kind::DefaultAcl | Kind::Encoding | Kind::Extension | Kind::ForeignKey => {
            None
        }
        Kind::ForeignDataWrapper | Kind::ForeignServer | Kind::ForeignTable | Kind::Index => None,
        Kind::IndexAttach | Kind::MaterializedViewData | Kind::Policy => None,
        Kind::Publication | Kind::PublicationSchema | Kind::PublicationTable | Kind::RowSecurity => None,
        Kind::Rule | Kind::SearchPath | Kind::SecurityLabel | Kind::SequenceOwnedBy | Kind::SequenceSet => {
            None
        }
        Kind::ShellType | Kind::StatisticsData | Kind::StdStrings | Kind::Subscription => None,
        Kind::SubscriptionTable | Kind::TableAttach | Kind::TableData | Kind::TextSearchParser => None,
        Kind::TextSearchTemplate | Kind::Transform | Kind::Trigger | Kind::UserMapping | Kind::Other(_) => {
            None
        }
    }
}

/// The order in which objects change hands. A role needs CREATE on a schema to own what is in it, so schemas and their
/// grants come before the rest; a table takes its own sequences along, after which they are where they should be.
pub fn rank(kind: &Kind) -> u8 {
    match kind {
        Kind::Schema => 0,
        // One for the grants on schemas.
        Kind::Type | Kind::Domain => 2,
        Kind::Table | Kind::View | Kind::MaterializedView => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::sample::entry;

    fn owned(kind: &str, schema: Option<&str>, tag: &str) -> Entry {
        Entry { owner: "Joe".to_owned(), ..entry(1, kind, schema, tag) }
    }

    #[test]
    fn owners_are_given_by_kind() {
        let statement = |entry: &Entry| statement(entry);
        assert_eq!(
            statement(&owned("MATERIALIZED VIEW", Some("Crm"), "a.b")).unwrap(),
            "ALTER MATERIALIZED VIEW \"Crm\".\"a.b\" OWNER TO \"Joe\";\n"
        );
        assert_eq!(statement(&owned("SCHEMA", None, "s")).unwrap(), "ALTER SCHEMA \"s\" OWNER TO \"Joe\";\n");
        let mut function = owned("FUNCTION", Some("public"), "f(integer)");
        function.drop_statement = "DROP FUNCTION public.f(a integer);\n".to_owned();
        assert_eq!(statement(&function).unwrap(), "ALTER FUNCTION public.f(a integer) OWNER TO \"Joe\";\n");
        assert_eq!(statement(&owned("INDEX", Some("public"), "i")), None);
        assert_eq!(statement(&entry(1, "TABLE", Some("public"), "t")), None);
    }
}
