//! What went with something else: DROP OWNED as the drops that it came to, and tables that are elsewhere at the
//! destination than what they went with.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RoleSpecType};

use super::known::Known;
use super::{Captured, Object, identity};
use crate::error::Result;
use crate::pg::quote::{ident, literal};
use crate::schema::rewrite::{NameMap, Rewriter};

/// The word that DROP has for a type of object; none for what cannot be dropped by itself.
fn word(kind: &str) -> Option<&'static str> {
    const WORDS: &[(&str, &str)] = &[
        ("aggregate", "AGGREGATE"),
        ("cast", "CAST"),
        ("collation", "COLLATION"),
        ("conversion", "CONVERSION"),
        ("domain", "DOMAIN"),
        ("event trigger", "EVENT TRIGGER"),
        ("extension", "EXTENSION"),
        ("function", "FUNCTION"),
        ("index", "INDEX"),
        ("materialized view", "MATERIALIZED VIEW"),
        ("operator", "OPERATOR"),
        ("operator class", "OPERATOR CLASS"),
        ("operator family", "OPERATOR FAMILY"),
        ("policy", "POLICY"),
        ("procedure", "PROCEDURE"),
        ("rule", "RULE"),
        ("schema", "SCHEMA"),
        ("sequence", "SEQUENCE"),
        ("statistics object", "STATISTICS"),
        ("table", "TABLE"),
        ("text search configuration", "TEXT SEARCH CONFIGURATION"),
        ("text search dictionary", "TEXT SEARCH DICTIONARY"),
        ("text search parser", "TEXT SEARCH PARSER"),
        ("text search template", "TEXT SEARCH TEMPLATE"),
        ("trigger", "TRIGGER"),
        ("type", "TYPE"),
        ("view", "VIEW"),
    ];
    WORDS.iter().find(|(known, _)| *known == kind).map(|(_, word)| *word)
}

/// DROP OWNED as single drops, with the destination's names. What depended on the objects went with them at the
/// source, and tables take what hangs on them along, so the order does not matter.
///
/// # Errors
/// Names that cannot be mapped.
pub fn drops(known: &Known<'_>, map: &NameMap) -> Result<Vec<String>> {
    let rewriter = Rewriter::new(map.clone());
    let dropped = known.captured.objects.iter().filter(|object| object.dropped && object.original);
    let ours = dropped.filter(|object| known.is_in_scope(object));
    let ours = ours.filter(|object| known.database || object.kind == "table" || object.kind == "index");
    let texts = ours.filter_map(|object| {
        let word = word(&object.kind)?;
        Some(format!("DROP {word} IF EXISTS {} CASCADE", object.identity))
    });
    texts.map(|text| Ok(rewriter.rewrite(&text)?.sql)).collect()
}

/// DROP OWNED also revokes what the role was granted. At the destination it may own what the task knows nothing of, so it is
/// run there only once it owns nothing, and has no rights on what all databases share; a role that the destination does not have was granted nothing.
pub fn revoke(role: &Node, captured: &Captured) -> Option<String> {
    let Some(NodeEnum::RoleSpec(spec)) = &role.node else { return None };
    let name = match RoleSpecType::try_from(spec.roletype).ok()? {
        RoleSpecType::RolespecCstring => spec.rolename.clone(),
        RoleSpecType::RolespecCurrentUser
        | RoleSpecType::RolespecCurrentRole
        | RoleSpecType::RolespecSessionUser => captured.username.clone(),
        RoleSpecType::RolespecPublic | RoleSpecType::Undefined => return None,
    };
    let body = format!(
        "BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) {} AND NOT EXISTS \
         (SELECT FROM pg_catalog.pg_shdepend d LEFT JOIN pg_catalog.pg_database b ON b.oid OPERATOR(pg_catalog.=) d.dbid \
          WHERE d.refobjid OPERATOR(pg_catalog.=) r.oid AND (b.oid IS NULL OR d.deptype OPERATOR(pg_catalog.=) 'o' \
          AND d.classid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_default_acl'::pg_catalog.regclass::pg_catalog.oid \
          AND b.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()))) \
         THEN DROP OWNED BY {}; END IF; END",
        literal(&name),
        ident(&name)
    );
    Some(format!("DO {}", literal(&body)))
}

/// Tables that went with a schema, an extension or an owner, and that the destination has elsewhere: in scope `tables`
/// all chosen ones, else those with a name that does not follow their schema's.
pub fn strays(known: &Known<'_>, map: &NameMap) -> Vec<String> {
    let gone = known.captured.objects.iter().filter(|object| object.dropped && !object.original);
    let tables = gone.filter(|object| object.kind == "table" && known.is_in_scope(object));
    tables.filter_map(|table| stray(table, known, map)).collect()
}

fn stray(table: &Object, known: &Known<'_>, map: &NameMap) -> Option<String> {
    let (schema, name) = (table.schema.as_deref()?, identity::own_name(table));
    let to = known.renamed(table.oid).cloned().unwrap_or_else(|| map.table(schema, &name));
    let follows = to == (map.schema(schema).to_owned(), name);
    (!known.database || !follows)
        .then(|| format!("DROP TABLE IF EXISTS {}.{} CASCADE", ident(&to.0), ident(&to.1)))
}
