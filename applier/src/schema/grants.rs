//! Privileges: the statements of a grant one by one, with the roles that each names, so that a role that the
//! destination lacks costs its own grants and nothing else.

use pg_query::NodeEnum;
use pg_query::protobuf::{GrantStmt, Node, VariableSetKind, VariableSetStmt};

use crate::error::{Error, Result};
use crate::pg::quote::ident;

/// A statement and the roles that it cannot do without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// One statement, or one within SET ROLE.
    pub sql: String,
    /// The roles it names.
    pub roles: Vec<String>,
}

/// The statements of an entry of kind ACL or DEFAULT ACL.
///
/// # Errors
/// A protocol error for text that is not SQL.
pub fn grants(definition: &str) -> Result<Vec<Grant>> {
    let mut grants = Vec::new();
    let mut grantor: Option<String> = None;
    for sql in split(definition)?.into_iter().map(str::trim) {
        match parse(sql)? {
            Some(NodeEnum::VariableSetStmt(set)) => grantor = session_authorization(&set),
            Some(node) => grants.push(grant(sql, named(&node), grantor.as_deref())),
            None => {}
        }
    }
    Ok(grants)
}

/// The roles that a policy is for; none for PUBLIC.
///
/// # Errors
/// A protocol error for text that is not SQL.
pub fn policy_roles(definition: &str) -> Result<Vec<String>> {
    Ok(parse(definition)?.map_or_else(Vec::new, |node| named(&node)))
}

/// Only a superuser may SET SESSION AUTHORIZATION; a member may SET ROLE, and then grants in the role's name as well.
fn grant(sql: &str, mut roles: Vec<String>, grantor: Option<&str>) -> Grant {
    let Some(grantor) = grantor else { return Grant { sql: format!("{sql};\n"), roles } };
    roles.push(grantor.to_owned());
    Grant { sql: format!("SET ROLE {};\n{sql};\nRESET ROLE;\n", ident(grantor)), roles }
}

fn session_authorization(set: &VariableSetStmt) -> Option<String> {
    if set.kind() != VariableSetKind::VarSetValue {
        return None;
    }
    let Some(NodeEnum::AConst(constant)) = set.args.first()?.node.as_ref() else { return None };
    match constant.val.as_ref()? {
        pg_query::protobuf::a_const::Val::Sval(text) => Some(text.sval.clone()),
        _ => None,
    }
}

fn named(node: &NodeEnum) -> Vec<String> {
    match node {
        NodeEnum::GrantStmt(grant) => grantees(grant),
        NodeEnum::AlterDefaultPrivilegesStmt(defaults) => {
            let mut roles: Vec<_> = defaults.options.iter().flat_map(option_roles).collect();
            roles.extend(defaults.action.iter().flat_map(grantees));
            roles
        }
        NodeEnum::CreatePolicyStmt(policy) => roles(&policy.roles),
        _ => Vec::new(),
    }
}

fn grantees(grant: &GrantStmt) -> Vec<String> {
    roles(&grant.grantees)
}

/// FOR ROLE of ALTER DEFAULT PRIVILEGES.
fn option_roles(option: &Node) -> Vec<String> {
    let Some(NodeEnum::DefElem(element)) = option.node.as_ref() else { return Vec::new() };
    match element.arg.as_ref().and_then(|arg| arg.node.as_ref()) {
        Some(NodeEnum::List(list)) if element.defname == "roles" => roles(&list.items),
        _ => Vec::new(),
    }
}

/// PUBLIC and the like have no name.
fn roles(nodes: &[Node]) -> Vec<String> {
    let name = |node: &Node| match node.node.as_ref() {
        Some(NodeEnum::RoleSpec(role)) if !role.rolename.is_empty() => Some(role.rolename.clone()),
        _ => None,
    };
    nodes.iter().filter_map(name).collect()
}

fn split(text: &str) -> Result<Vec<&str>> {
    pg_query::split_with_scanner(text).map_err(not_sql)
}

fn parse(sql: &str) -> Result<Option<NodeEnum>> {
    let tree = pg_query::parse(sql, pg_query::ParserOptions::default()).map_err(not_sql)?;
    let statement = tree.protobuf.stmts.into_iter().next();
    Ok(statement.and_then(|raw| raw.stmt).and_then(|node| node.node))
}

fn not_sql(error: pg_query::Error) -> Error {
    Error::protocol(format!("pg_dump wrote a statement that cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_grant_names_its_roles() {
        let text = "REVOKE ALL ON TABLE public.t FROM PUBLIC;\nGRANT SELECT ON TABLE public.t TO \"Bob\" WITH GRANT OPTION;\n\
                    SET SESSION AUTHORIZATION \"Bob\";\nGRANT SELECT ON TABLE public.t TO alice;\n\
                    RESET SESSION AUTHORIZATION;\nGRANT SELECT(id) ON TABLE public.t TO carol;\n";
        let grants = grants(text).unwrap();
        let roles: Vec<_> = grants.iter().map(|grant| grant.roles.join(",")).collect();
        assert_eq!(roles, ["", "Bob", "alice,Bob", "carol"]);
        assert_eq!(grants[0].sql, "REVOKE ALL ON TABLE public.t FROM PUBLIC;\n");
        assert_eq!(
            grants[2].sql,
            "SET ROLE \"Bob\";\nGRANT SELECT ON TABLE public.t TO alice;\nRESET ROLE;\n"
        );
    }

    #[test]
    fn default_privileges_and_policies_name_roles_too() {
        let text = "ALTER DEFAULT PRIVILEGES FOR ROLE joe IN SCHEMA s GRANT SELECT ON TABLES  TO bob;\n";
        assert_eq!(grants(text).unwrap()[0].roles, ["joe", "bob"]);
        let policy = "CREATE POLICY p ON public.t TO bob USING ((a > 1));\n";
        assert_eq!(policy_roles(policy).unwrap(), ["bob"]);
        assert!(policy_roles("CREATE POLICY p ON public.t USING (true);").unwrap().is_empty());
    }
}
