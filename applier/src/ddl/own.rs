//! Statements on walferry's own schemas, which are never replicated.

use pg_query::NodeEnum;
use pg_query::protobuf::ObjectType;
use serde_json::Value;

use crate::schema::rewrite::tree;

const STATE: &str = "walferry_state";
const OURS: [&str; 2] = ["walferry", STATE];

/// Whether a schema is one of them.
pub fn is_schema(name: &str) -> bool {
    OURS.contains(&name)
}

/// Why a statement that names one of them is left, if it does.
pub fn objection(node: &NodeEnum) -> Option<&'static str> {
    let tree = tree::of(node).ok()?;
    let names_schema = is_about_schemas(node) && any_text(&tree, &|text| OURS.contains(&text));
    let is_ours = names_schema || any_text(&tree, &|text| text == STATE) || is_qualified(&tree);
    is_ours.then_some("it names a schema of walferry's own, and these are never carried over")
}

/// Whether the names in a statement are those of schemas.
fn is_about_schemas(node: &NodeEnum) -> bool {
    let kind = match node {
        NodeEnum::AlterDefaultPrivilegesStmt(_) => return true,
        NodeEnum::GrantStmt(grant) => grant.objtype,
        NodeEnum::CommentStmt(comment) => comment.objtype,
        NodeEnum::DropStmt(drop) => drop.remove_type,
        NodeEnum::RenameStmt(rename) => rename.rename_type,
        NodeEnum::AlterOwnerStmt(alter) => alter.object_type,
        // The others name what is in schemas.
        _ => return false,
    };
    kind == ObjectType::ObjectSchema as i32
}

fn any_text(value: &Value, test: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => test(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, test)),
        Value::Object(fields) => fields.values().any(|field| any_text(field, test)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a name in the tree has one of our schemas before it.
fn is_qualified(value: &Value) -> bool {
    match value {
        Value::Array(items) => is_dotted(items) || items.iter().any(is_qualified),
        Value::Object(fields) => {
            let is_schema = |(field, value): (&String, &Value)| {
                ["schemaname", "newschema"].contains(&field.as_str()) && is_ours(value)
            };
            // The labels of an enum are no names.
            let names = fields.iter().filter(|(field, _)| *field != "vals").map(|(_, value)| value);
            fields.iter().any(is_schema) || names.into_iter().any(is_qualified)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A list of strings that begins with one of our schemas.
fn is_dotted(items: &[Value]) -> bool {
    let text = |item: &Value| tree::node(item).is_some_and(|(kind, _)| kind == "String");
    items.len() > 1 && items.iter().all(text) && any_text(&items[0], &|text| OURS.contains(&text))
}

fn is_ours(value: &Value) -> bool {
    value.as_str().is_some_and(|text| OURS.contains(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ddl::tree::statement;
    use pg_query::ParserOptions;

    #[test]
    fn our_schemas_are_found_wherever_they_are_named() {
        let is_left = |text: &str| objection(&statement(text, ParserOptions::DEFAULT).expect(text)).is_some();
        for text in [
            "CREATE FUNCTION walferry_state.follow(bigint) RETURNS void LANGUAGE sql AS ''",
            "ALTER TABLE mover SET SCHEMA walferry_state",
            "GRANT USAGE ON SCHEMA app, walferry TO joe",
            "COMMENT ON SCHEMA walferry_state IS 'x'",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA walferry_state GRANT SELECT ON TABLES TO joe",
            "DROP SCHEMA walferry_state CASCADE",
            "ALTER SCHEMA walferry RENAME TO other",
            "CREATE VIEW v AS SELECT * FROM walferry.slots",
            "GRANT EXECUTE ON FUNCTION walferry.heartbeat() TO joe",
        ] {
            assert!(is_left(text), "{text}");
        }
        for text in [
            "CREATE TYPE e AS ENUM ('walferry', 'b')",
            "GRANT SELECT ON t TO walferry",
            "CREATE TABLE walferry (a int)",
            "COMMENT ON TABLE t IS 'walferry'",
        ] {
            assert!(!is_left(text), "{text}");
        }
    }
}
