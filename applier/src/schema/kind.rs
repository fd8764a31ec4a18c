//! The closed vocabulary of pg_dump's archives: what an entry is. The words are those that PostgreSQL's pg_dump.c (13 to
//! 18) writes as an entry's description; a word that is not known here stays visible as [`Kind::Other`] and is
//! reported, never dropped in silence.

use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What an entry of the archive is.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
            /// A word that this version does not know.
            Other(String),
        }

        impl Kind {
            /// The kind by pg_dump's word for it.
            pub fn of(word: &str) -> Self {
                match word {
                    $($word => Kind::$name,)*
                    other => Kind::Other(other.to_owned()),
                }
            }

            /// pg_dump's word.
            pub fn word(&self) -> &str {
                match self {
                    $(Kind::$name => $word,)*
                    Kind::Other(word) => word,
                }
            }
        }
    };
}

kinds! {
    /// A table access method.
    AccessMethod = "ACCESS METHOD",
    /// GRANT and REVOKE.
    Acl = "ACL",
    /// An aggregate function.
    Aggregate = "AGGREGATE",
    /// A large object, before 17.
    Blob = "BLOB",
    /// Large objects' owners and grants, 17 and later.
    BlobMetadata = "BLOB METADATA",
    /// Large objects' contents.
    Blobs = "BLOBS",
    /// A cast.
    Cast = "CAST",
    /// A check constraint that stands apart from its table or domain.
    CheckConstraint = "CHECK CONSTRAINT",
    /// A collation.
    Collation = "COLLATION",
    /// COMMENT ON.
    Comment = "COMMENT",
    /// A primary key, unique or exclusion constraint, or an unchecked NOT NULL (18).
    Constraint = "CONSTRAINT",
    /// An encoding conversion.
    Conversion = "CONVERSION",
    /// The database itself.
    Database = "DATABASE",
    /// Settings of the database.
    DatabaseProperties = "DATABASE PROPERTIES",
    /// A column's default that stands apart from its table.
    Default = "DEFAULT",
    /// ALTER DEFAULT PRIVILEGES.
    DefaultAcl = "DEFAULT ACL",
    /// A domain.
    Domain = "DOMAIN",
    /// The archive's client_encoding.
    Encoding = "ENCODING",
    /// An event trigger.
    EventTrigger = "EVENT TRIGGER",
    /// An extension.
    Extension = "EXTENSION",
    /// A foreign key.
    ForeignKey = "FK CONSTRAINT",
    /// A foreign-data wrapper.
    ForeignDataWrapper = "FOREIGN DATA WRAPPER",
    /// A foreign server.
    ForeignServer = "SERVER",
    /// A foreign table.
    ForeignTable = "FOREIGN TABLE",
    /// A function.
    Function = "FUNCTION",
    /// An index that no constraint owns.
    Index = "INDEX",
    /// A partition's index joins its parent's.
    IndexAttach = "INDEX ATTACH",
    /// A materialized view.
    MaterializedView = "MATERIALIZED VIEW",
    /// REFRESH MATERIALIZED VIEW.
    MaterializedViewData = "MATERIALIZED VIEW DATA",
    /// An operator.
    Operator = "OPERATOR",
    /// An operator class.
    OperatorClass = "OPERATOR CLASS",
    /// An operator family.
    OperatorFamily = "OPERATOR FAMILY",
    /// A row security policy.
    Policy = "POLICY",
    /// A procedural language.
    Language = "PROCEDURAL LANGUAGE",
    /// A procedure.
    Procedure = "PROCEDURE",
    /// A publication.
    Publication = "PUBLICATION",
    /// A table of a publication.
    PublicationTable = "PUBLICATION TABLE",
    /// A schema of a publication.
    PublicationSchema = "PUBLICATION TABLES IN SCHEMA",
    /// Row security switched on.
    RowSecurity = "ROW SECURITY",
    /// A rewrite rule.
    Rule = "RULE",
    /// A schema.
    Schema = "SCHEMA",
    /// The archive's search_path.
    SearchPath = "SEARCHPATH",
    /// SECURITY LABEL.
    SecurityLabel = "SECURITY LABEL",
    /// A sequence.
    Sequence = "SEQUENCE",
    /// A sequence becomes a column's own.
    SequenceOwnedBy = "SEQUENCE OWNED BY",
    /// A sequence's value.
    SequenceSet = "SEQUENCE SET",
    /// A type whose definition follows.
    ShellType = "SHELL TYPE",
    /// Extended statistics.
    Statistics = "STATISTICS",
    /// Planner statistics, 18 and later.
    StatisticsData = "STATISTICS DATA",
    /// The archive's standard_conforming_strings.
    StdStrings = "STDSTRINGS",
    /// A subscription.
    Subscription = "SUBSCRIPTION",
    /// A table of a subscription.
    SubscriptionTable = "SUBSCRIPTION TABLE",
    /// A table.
    Table = "TABLE",
    /// A partition joins its parent.
    TableAttach = "TABLE ATTACH",
    /// A table's rows.
    TableData = "TABLE DATA",
    /// A text search configuration.
    TextSearchConfiguration = "TEXT SEARCH CONFIGURATION",
    /// A text search dictionary.
    TextSearchDictionary = "TEXT SEARCH DICTIONARY",
    /// A text search parser.
    TextSearchParser = "TEXT SEARCH PARSER",
    /// A text search template.
    TextSearchTemplate = "TEXT SEARCH TEMPLATE",
    /// A transform.
    Transform = "TRANSFORM",
    /// A trigger.
    Trigger = "TRIGGER",
    /// A type.
    Type = "TYPE",
    /// A user mapping.
    UserMapping = "USER MAPPING",
    /// A view.
    View = "VIEW",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_both_ways() {
        assert_eq!(Kind::of("FK CONSTRAINT"), Kind::ForeignKey);
        assert_eq!(Kind::ForeignKey.word(), "FK CONSTRAINT");
        assert_eq!(Kind::of("FLYING CARPET").to_string(), "FLYING CARPET");
    }
}
