//! Which kinds of statements are never carried, and why; the words are for people.

use pg_query::NodeEnum;
use pg_query::protobuf::{GrantTargetType, ObjectType};

use super::{Captured, tree};

const ROLES: &str = "roles are global; make them at the destination where they are wanted";
const DATABASES: &str = "databases and their settings are the destination's own";
const TABLESPACES: &str = "tablespaces are the destination's own";
const PUBLICATIONS: &str = "publications are not carried over; make them again where they are wanted";
const SUBSCRIPTIONS: &str = "subscriptions are not carried over: two servers would take the same changes";
const FOREIGN: &str =
    "foreign servers, their users and tables are not carried over: they may hold addresses and passwords";
const LABELS: &str = "security labels are not carried over: they belong to modules of the source's server";
const UPKEEP: &str = "it changes no definition";
const ROWS: &str = "it changes rows, which come by themselves";
const CAPTURE_OFF: &str =
    "definitions that the source changes from here on are neither captured nor carried over";
const CAPTURE_ON: &str = "definitions that the source changed before, while capture was off, were not carried over: compare them, \
     and make up for them at the destination by hand";
const SYSTEM: &str = "the server's settings are the destination's own";

/// Command tags that are never carried; the words of PostgreSQL's cmdtaglist.h.
const TAGS: &[(&str, &str)] = &[
    ("ALTER DATABASE", DATABASES),
    ("ALTER FOREIGN DATA WRAPPER", FOREIGN),
    ("ALTER FOREIGN TABLE", FOREIGN),
    ("ALTER PUBLICATION", PUBLICATIONS),
    ("ALTER ROLE", ROLES),
    ("ALTER SERVER", FOREIGN),
    ("ALTER SUBSCRIPTION", SUBSCRIPTIONS),
    ("ALTER SYSTEM", SYSTEM),
    ("ALTER TABLESPACE", TABLESPACES),
    ("ALTER USER MAPPING", FOREIGN),
    ("ANALYZE", UPKEEP),
    ("CALL", UPKEEP),
    ("CHECKPOINT", UPKEEP),
    ("CLUSTER", UPKEEP),
    ("COPY", ROWS),
    ("CREATE DATABASE", DATABASES),
    ("CREATE FOREIGN DATA WRAPPER", FOREIGN),
    ("CREATE FOREIGN TABLE", FOREIGN),
    ("CREATE PUBLICATION", PUBLICATIONS),
    ("CREATE ROLE", ROLES),
    ("CREATE SERVER", FOREIGN),
    ("CREATE SUBSCRIPTION", SUBSCRIPTIONS),
    ("CREATE TABLESPACE", TABLESPACES),
    ("CREATE USER MAPPING", FOREIGN),
    ("DISABLE DDL CAPTURE", CAPTURE_OFF),
    ("DO", UPKEEP),
    ("DROP DATABASE", DATABASES),
    ("DROP FOREIGN DATA WRAPPER", FOREIGN),
    ("DROP FOREIGN TABLE", FOREIGN),
    ("DROP PUBLICATION", PUBLICATIONS),
    ("DROP ROLE", ROLES),
    ("DROP SERVER", FOREIGN),
    ("DROP SUBSCRIPTION", SUBSCRIPTIONS),
    ("DROP TABLESPACE", TABLESPACES),
    ("DROP USER MAPPING", FOREIGN),
    ("ENABLE DDL CAPTURE", CAPTURE_ON),
    ("GRANT ROLE", ROLES),
    ("IMPORT FOREIGN SCHEMA", FOREIGN),
    ("LOAD", UPKEEP),
    ("LOCK TABLE", UPKEEP),
    ("REINDEX", UPKEEP),
    ("REVOKE ROLE", ROLES),
    ("SECURITY LABEL", LABELS),
    ("SET", UPKEEP),
    ("TRUNCATE TABLE", ROWS),
    ("VACUUM", UPKEEP),
];

/// Whether a row of the log says that definitions may change without being captured.
pub fn is_gap(tag: &str) -> bool {
    ["DISABLE DDL CAPTURE", "ENABLE DDL CAPTURE"].contains(&tag)
}

/// Why a command is never carried, by its tag.
pub fn by_tag(tag: &str) -> Option<&'static str> {
    TAGS.iter().find(|(known, _)| *known == tag).map(|(_, reason)| *reason)
}

/// What a source that withholds a text as secret does not name otherwise.
pub fn secret(tag: &str) -> String {
    let reason = by_tag(tag).unwrap_or("its text may hold secrets and was not kept");
    reason.to_owned()
}

/// Whether a statement makes a table from a query.
pub fn is_create_as(tag: &str) -> bool {
    ["CREATE TABLE AS", "SELECT INTO"].contains(&tag)
}

/// Why a statement is never carried, by what it is about.
pub fn by_statement(node: &NodeEnum, captured: &Captured) -> Option<String> {
    if is_foreign(captured) {
        return Some(FOREIGN.to_owned());
    }
    if is_temporary(node, captured) {
        return Some("temporary objects are their session's own".to_owned());
    }
    about(node).map(str::to_owned)
}

fn about(node: &NodeEnum) -> Option<&'static str> {
    match node {
        NodeEnum::CommentStmt(comment) => of_type(comment.objtype),
        NodeEnum::GrantStmt(grant) => of_type(grant.objtype),
        NodeEnum::AlterOwnerStmt(owner) => of_type(owner.object_type),
        NodeEnum::RenameStmt(rename) => of_type(rename.rename_type),
        NodeEnum::AlterTableMoveAllStmt(_) => Some(TABLESPACES),
        NodeEnum::AlterRoleSetStmt(_) | NodeEnum::AlterRoleStmt(_) => Some(ROLES),
        NodeEnum::AlterDatabaseSetStmt(_) | NodeEnum::AlterDatabaseStmt(_) => Some(DATABASES),
        // The tag says the rest.
        _ => None,
    }
}

fn of_type(object: i32) -> Option<&'static str> {
    match ObjectType::try_from(object).unwrap_or(ObjectType::Undefined) {
        ObjectType::ObjectDatabase => Some(DATABASES),
        ObjectType::ObjectFdw | ObjectType::ObjectForeignServer | ObjectType::ObjectUserMapping => {
            Some(FOREIGN)
        }
        ObjectType::ObjectForeignTable => Some(FOREIGN),
        ObjectType::ObjectParameterAcl => Some(SYSTEM),
        ObjectType::ObjectPublication
        | ObjectType::ObjectPublicationNamespace
        | ObjectType::ObjectPublicationRel => Some(PUBLICATIONS),
        ObjectType::ObjectRole => Some(ROLES),
        ObjectType::ObjectSubscription => Some(SUBSCRIPTIONS),
        ObjectType::ObjectTablespace => Some(TABLESPACES),
        ObjectType::ObjectLargeobject => Some("large objects' owners and comments are not carried over"),
        // Whatever lives in the database.
        _ => None,
    }
}

/// ALTER TABLE works on foreign tables too.
fn is_foreign(captured: &Captured) -> bool {
    let is_foreign = |kind: &str| ["foreign table", "foreign table column", "server"].contains(&kind);
    let named: Vec<_> = captured.objects.iter().filter(|object| !object.dropped || object.original).collect();
    !named.is_empty() && named.iter().all(|object| is_foreign(&object.kind))
}

fn is_temporary(node: &NodeEnum, captured: &Captured) -> bool {
    let all = !captured.objects.is_empty() && captured.objects.iter().all(|object| object.temporary);
    all || made(node).is_some_and(|(persistence, schema)| persistence == "t" || schema == "pg_temp")
}

/// Persistence and schema of the relation that a statement makes.
fn made(node: &NodeEnum) -> Option<(&str, &str)> {
    let relation = match node {
        NodeEnum::CreateStmt(create) => create.relation.as_ref(),
        NodeEnum::CreateSeqStmt(create) => create.sequence.as_ref(),
        NodeEnum::ViewStmt(create) => create.view.as_ref(),
        NodeEnum::CreateTableAsStmt(create) => create.into.as_ref().and_then(|into| into.rel.as_ref()),
        NodeEnum::SelectStmt(select) => select.into_clause.as_ref().and_then(|into| into.rel.as_ref()),
        // The others make no relation that could be temporary.
        _ => None,
    }?;
    Some((&relation.relpersistence, &relation.schemaname))
}

/// Whether a GRANT is about relations by name, which may be in scope one by one.
pub fn grants_on_relations(node: &NodeEnum) -> bool {
    let NodeEnum::GrantStmt(grant) = node else { return false };
    let relations = [ObjectType::ObjectTable as i32, ObjectType::ObjectSequence as i32];
    relations.contains(&grant.objtype) && grant.targtype == GrantTargetType::AclTargetObject as i32
}

/// Whether the statement has rows of its own that must not be computed again: what the caller makes otherwise.
pub fn makes_table_from_query(node: &NodeEnum) -> bool {
    match node {
        NodeEnum::SelectStmt(select) => select.into_clause.is_some(),
        NodeEnum::CreateTableAsStmt(create) => create.objtype == ObjectType::ObjectTable as i32,
        // Nothing else does.
        _ => false,
    }
}

/// The text of the tables that a query reads, for the views that hang on it.
pub fn needed(node: &NodeEnum) -> Vec<(String, String)> {
    match node {
        NodeEnum::ViewStmt(view) => tree::relations(&view.query),
        NodeEnum::CreateTableAsStmt(create) if !makes_table_from_query(node) => {
            tree::relations(&create.query)
        }
        NodeEnum::RuleStmt(rule) => {
            let names = tree::relations(&(&rule.actions, &rule.where_clause)).into_iter();
            names
                .filter(|(schema, name)| !(schema.is_empty() && ["old", "new"].contains(&name.as_str())))
                .collect()
        }
        NodeEnum::CreateStatsStmt(statistics) => tree::relations(&statistics.relations),
        // The others need what they name, or nothing.
        _ => Vec::new(),
    }
}
