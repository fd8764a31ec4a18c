//! Roles that a statement means without their names, and statements about nothing but roles' rights.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, Node, RoleSpecType};
use serde_json::{Map, Value};

use super::{Captured, tree};
use crate::schema::rewrite::tree as json;

/// The roles that a statement means by CURRENT_USER, SESSION_USER or without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unnamed {
    /// The role that it ran as.
    pub current: bool,
    /// The role that its session began as, where that is another one.
    pub session: bool,
}

/// Which roles a statement means without naming them; none where it cannot be read.
pub fn unnamed(captured: &Captured) -> Unnamed {
    let text = captured.statement.as_deref().unwrap_or_default();
    let Ok((node, _)) = tree::definition(captured, text) else { return Unnamed::default() };
    let Ok(tree) = json::of(&node) else { return Unnamed::default() };
    let is = |kinds: &[RoleSpecType]| {
        any_object(&tree, &|fields: &Map<String, Value>| {
            let kind = fields.get("roletype").and_then(Value::as_i64);
            kind.is_some_and(|kind| kinds.iter().any(|wanted| *wanted as i64 == kind))
        })
    };
    let began_as = captured.settings.iter().find(|(name, _)| name == "session_authorization");
    let is_other = began_as.is_none_or(|(_, role)| *role != captured.username);
    let session = is(&[RoleSpecType::RolespecSessionUser]);
    Unnamed {
        current: is(&[RoleSpecType::RolespecCurrentUser, RoleSpecType::RolespecCurrentRole])
            || session
            || is_for_own_objects(&node),
        session: session && is_other,
    }
}

fn any_object(value: &Value, test: &impl Fn(&Map<String, Value>) -> bool) -> bool {
    match value {
        Value::Object(fields) => test(fields) || fields.values().any(|field| any_object(field, test)),
        Value::Array(items) => items.iter().any(|item| any_object(item, test)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// ALTER DEFAULT PRIVILEGES without FOR ROLE.
fn is_for_own_objects(node: &NodeEnum) -> bool {
    let NodeEnum::AlterDefaultPrivilegesStmt(alter) = node else { return false };
    let is_role =
        |option: &Node| matches!(&option.node, Some(NodeEnum::DefElem(option)) if option.defname == "roles");
    !alter.options.iter().any(is_role)
}

/// Whether a statement changes nothing but who owns something or what roles may do.
pub fn is_about_rights(captured: &Captured) -> bool {
    let text = captured.statement.as_deref().unwrap_or_default();
    let Ok((node, _)) = tree::definition(captured, text) else { return false };
    match &node {
        NodeEnum::GrantStmt(_)
        | NodeEnum::AlterDefaultPrivilegesStmt(_)
        | NodeEnum::AlterOwnerStmt(_)
        | NodeEnum::ReassignOwnedStmt(_) => true,
        NodeEnum::AlterTableStmt(alter) => alter.cmds.iter().all(is_change_of_owner),
        // The others make or change something else, too.
        _ => false,
    }
}

fn is_change_of_owner(command: &Node) -> bool {
    matches!(&command.node, Some(NodeEnum::AlterTableCmd(command))
        if command.subtype == AlterTableType::AtChangeOwner as i32)
}

#[cfg(test)]
mod tests {
    use super::super::tests::captured;
    use super::*;

    #[test]
    fn roles_without_names() {
        let of = |text: &str| unnamed(&captured("", text));
        assert!(of("CREATE SCHEMA AUTHORIZATION CURRENT_USER").current);
        assert!(of("CREATE POLICY p ON t TO CURRENT_ROLE").current);
        assert!(of("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO bea").current);
        assert!(!of("ALTER DEFAULT PRIVILEGES FOR ROLE joe GRANT SELECT ON TABLES TO bea").current);
        assert!(of("GRANT SELECT ON t TO SESSION_USER").session);
        assert_eq!(of("GRANT SELECT ON t TO bea, PUBLIC"), Unnamed::default());
    }

    #[test]
    fn statements_about_rights() {
        let is_rights = |text: &str| is_about_rights(&captured("", text));
        assert!(is_rights("GRANT SELECT ON t TO bea"));
        assert!(is_rights("ALTER TABLE t OWNER TO bea"));
        assert!(is_rights("ALTER FUNCTION f() OWNER TO bea"));
        assert!(!is_rights("ALTER TABLE t OWNER TO bea, ADD COLUMN a int"));
        assert!(!is_rights("CREATE SCHEMA s AUTHORIZATION bea"));
    }
}
