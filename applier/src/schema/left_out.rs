//! What is not carried over whatever is chosen, and why; users are told each by name.

use std::collections::{BTreeSet, HashMap};

use super::kind::Kind;
use super::toc::Entry;
use crate::pg::quote::readable_ident;

/// An object that is not made at the destination, and the reason in words for its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub object: String,
    /// Why.
    pub reason: String,
}

/// What becomes of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Carried,
    /// It is not, and the user is told why.
    LeftOut(String),
    /// It is not, and nobody misses it: it is ours, was not chosen, or belongs to something that is left out.
    Passed,
}

/// What the kind alone says; [`Verdict::Carried`] where it says nothing.
pub fn by_kind(entry: &Entry) -> Verdict {
    if is_ours(entry) {
        return Verdict::Passed;
    }
    if !entry.is_utf8 {
        return left_out(
            "its definition holds text that is not UTF-8 and that the destination would not take",
        );
    }
    match &entry.kind {
        // About the archive, or about rows, which the copy carries.
        Kind::Encoding | Kind::StdStrings | Kind::SearchPath | Kind::TableData | Kind::SequenceSet => {
            Verdict::Passed
        }
        Kind::Blob | Kind::BlobMetadata | Kind::Blobs | Kind::StatisticsData | Kind::MaterializedViewData => {
            Verdict::Passed
        }
        // Every archive names its database.
        Kind::Database => Verdict::Passed,
        Kind::DatabaseProperties => {
            left_out("settings of the database are the destination's own; see ALTER DATABASE")
        }
        Kind::ForeignDataWrapper | Kind::ForeignServer | Kind::UserMapping => left_out(
            "foreign servers and their users are not carried over: they may hold addresses and passwords",
        ),
        Kind::ForeignTable => left_out("its rows live on a foreign server, which is not carried over"),
        Kind::PublicationTable | Kind::PublicationSchema | Kind::SubscriptionTable => Verdict::Passed,
        Kind::Publication => {
            left_out("publications are not carried over; make them again where they are wanted")
        }
        Kind::Subscription => {
            left_out("subscriptions are not carried over: two servers would take the same changes")
        }
        Kind::Other(word) => left_out(&format!("this walferry does not know what {word} is")),
        Kind::AccessMethod | Kind::Acl | Kind::Aggregate | Kind::Cast | Kind::CheckConstraint => {
            Verdict::Carried
        }
        Kind::Collation | Kind::Comment | Kind::Constraint | Kind::Conversion | Kind::Default => {
            Verdict::Carried
        }
        Kind::DefaultAcl | Kind::Domain | Kind::EventTrigger | Kind::Extension => Verdict::Carried,
        Kind::ForeignKey | Kind::Function | Kind::Index | Kind::IndexAttach | Kind::Language => {
            Verdict::Carried
        }
        Kind::MaterializedView | Kind::Operator | Kind::OperatorClass => Verdict::Carried,
        Kind::OperatorFamily | Kind::Policy | Kind::Procedure | Kind::RowSecurity | Kind::Rule => {
            Verdict::Carried
        }
        Kind::Schema | Kind::SecurityLabel | Kind::Sequence | Kind::SequenceOwnedBy => Verdict::Carried,
        Kind::ShellType | Kind::Statistics | Kind::Table | Kind::TableAttach => Verdict::Carried,
        Kind::TextSearchConfiguration | Kind::TextSearchDictionary | Kind::TextSearchParser => {
            Verdict::Carried
        }
        Kind::TextSearchTemplate | Kind::Transform | Kind::Trigger | Kind::Type | Kind::View => {
            Verdict::Carried
        }
    }
}

fn left_out(reason: &str) -> Verdict {
    Verdict::LeftOut(reason.to_owned())
}

/// The extension, its schemas and the event triggers that capture DDL.
fn is_ours(entry: &Entry) -> bool {
    let is_our_schema = |name: &str| name == "walferry" || name == "walferry_state";
    let named = entry.kind == Kind::Extension && entry.tag == "walferry"
        || entry.kind == Kind::Schema && is_our_schema(&entry.tag)
        || entry.kind == Kind::EventTrigger && entry.definition.contains(" EXECUTE FUNCTION walferry.");
    named || entry.schema.as_deref().is_some_and(is_our_schema)
}

/// Materialized views that are made and not filled.
pub fn not_filled<'a>(
    carried: impl Iterator<Item = &'a Entry>,
    names: &HashMap<i32, String>,
) -> impl Iterator<Item = LeftOut> {
    let views = carried.filter(|entry| entry.kind == Kind::MaterializedView);
    views.map(|entry| LeftOut {
        object: format!("the rows of {}", names[&entry.id]),
        reason: "[objects] materialized_views = false".to_owned(),
    })
}

/// The tablespaces that things lie in at the source.
pub fn tablespaces<'a>(carried: impl Iterator<Item = &'a Entry>) -> impl Iterator<Item = LeftOut> {
    let spaces: BTreeSet<&String> = carried.filter_map(|entry| entry.tablespace.as_ref()).collect();
    spaces.into_iter().map(|space| LeftOut {
        object: format!("TABLESPACE {}", readable_ident(space)),
        reason: "what lies in it at the source goes to the default tablespace of the destination".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::sample::entry;

    #[test]
    fn what_is_ours_is_passed_over() {
        assert_eq!(by_kind(&entry(1, "EXTENSION", None, "walferry")), Verdict::Passed);
        assert_eq!(by_kind(&entry(1, "SCHEMA", None, "walferry_state")), Verdict::Passed);
        assert_eq!(by_kind(&entry(1, "TABLE", Some("walferry_state"), "tasks")), Verdict::Passed);
        assert_eq!(by_kind(&entry(1, "EXTENSION", None, "hstore")), Verdict::Carried);
        let mut trigger = entry(1, "EVENT TRIGGER", None, "walferry_end");
        trigger.definition =
            "CREATE EVENT TRIGGER a ON ddl_command_end\n   EXECUTE FUNCTION walferry.note();\n".into();
        assert_eq!(by_kind(&trigger), Verdict::Passed);
    }

    #[test]
    fn unknown_kinds_are_told() {
        let verdict = by_kind(&entry(1, "FLYING CARPET", None, "x"));
        assert!(matches!(verdict, Verdict::LeftOut(reason) if reason.contains("FLYING CARPET")));
    }
}
