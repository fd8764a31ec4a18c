//! Who is a member of what (`pg_auth_members`): carried when the roles are made, and completed at finish. Grantors
//! are not carried: whoever copies has granted.

use std::collections::BTreeSet;

use tokio_postgres::{Client, Row};

use super::{LeftOut, Power, Role, Which, by_name, read};
use crate::error::Result;
use crate::pg::{client_error, quote};

/// Members of these can act as the server's operating system user, and so as a superuser.
const AS_STRONG_AS_SUPERUSER: &[&str] =
    &["pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"];

/// One member of one role. The options of 16 are unknown before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Membership {
    role: String,
    member: String,
    admin: bool,
    inherit: Option<bool>,
    set: Option<bool>,
}

// One row per role and member: since 16 several grantors can each have granted other options.
const MEMBERSHIPS: &str = "
SELECT r.rolname::text, m.rolname::text, bool_or(a.admin_option),
       bool_or((pg_catalog.to_jsonb(a) ->> 'inherit_option')::bool), bool_or((pg_catalog.to_jsonb(a) ->> 'set_option')::bool)
FROM pg_catalog.pg_auth_members a
JOIN pg_catalog.pg_roles r ON r.oid = a.roleid
JOIN pg_catalog.pg_roles m ON m.oid = a.member
GROUP BY 1, 2 ORDER BY 1, 2";

/// Gives the destination the memberships among `usable` (see [`super::Report::grantees`]) that it lacks, and says
/// which of the source's it does not have and why. Takes none away. The client must be in no transaction.
///
/// # Errors
/// A lost connection, and what the servers say to queries on their catalogs.
pub async fn memberships(
    source: &Client,
    destination: &Client,
    usable: &BTreeSet<String>,
) -> Result<Vec<LeftOut>> {
    let there: BTreeSet<_> = memberships_of(destination).await?.into_iter().collect();
    let known = by_name(read(destination, Which::All).await?);
    let sixteen = read::has_membership_options(destination).await?;
    let mut left_out = Vec::new();
    for wanted in memberships_of(source).await?.iter().filter(|wanted| usable.contains(&wanted.member)) {
        let reason = match objection(wanted, usable, known.get(&wanted.role)) {
            Some(reason) => Some(reason),
            None if there.iter().any(|has| has.covers(wanted)) => None,
            None => grant(destination, wanted, sixteen).await?,
        };
        let of = quote::readable_ident(&wanted.role);
        left_out
            .extend(reason.map(|why| LeftOut::new(&wanted.member, format!("not a member of {of}: {why}"))));
    }
    Ok(left_out)
}

async fn memberships_of(client: &Client) -> Result<Vec<Membership>> {
    let rows = client.query(MEMBERSHIPS, &[]).await.map_err(client_error)?;
    let membership = |row: &Row| Membership {
        role: row.get(0),
        member: row.get(1),
        admin: row.get(2),
        inherit: row.get(3),
        set: row.get(4),
    };
    Ok(rows.iter().map(membership).collect())
}

/// Why a membership is not carried, whatever our role may do.
fn objection(wanted: &Membership, usable: &BTreeSet<String>, role: Option<&Role>) -> Option<String> {
    match role {
        None => Some("the destination has no such role".into()),
        _ if AS_STRONG_AS_SUPERUSER.contains(&wanted.role.as_str()) => {
            Some("that is as strong as SUPERUSER, which is not carried over".into())
        }
        Some(role) if role.powers.contains(&Power::Superuser) => {
            Some("that can act as a superuser at the destination".into())
        }
        Some(_) if !usable.contains(&wanted.role) && !wanted.role.starts_with("pg_") => {
            Some("that role is stronger at the destination or is not copied".into())
        }
        Some(_) => None,
    }
}

async fn grant(client: &Client, wanted: &Membership, sixteen: bool) -> Result<Option<String>> {
    let sql = wanted.grant(sixteen);
    match client.batch_execute(&sql).await.map_err(client_error) {
        Ok(()) => Ok(None),
        Err(error) if error.class().is_transient() => Err(error),
        Err(error) => Ok(Some(format!("{error}; a superuser can run {sql}"))),
    }
}

impl Membership {
    /// Whether this one gives all that the other one would.
    fn covers(&self, wanted: &Self) -> bool {
        let gives = |has: Option<bool>, wants: Option<bool>| has.is_none() || wants.is_none() || has == wants;
        self.role == wanted.role
            && self.member == wanted.member
            && self.admin >= wanted.admin
            && gives(self.inherit, wanted.inherit)
            && gives(self.set, wanted.set)
    }

    fn grant(&self, sixteen: bool) -> String {
        let grant = format!("GRANT {} TO {}", quote::ident(&self.role), quote::ident(&self.member));
        let options = [("INHERIT", self.inherit), ("SET", self.set)];
        let options = options.into_iter().filter_map(|(name, has)| Some(format!("{name} {has}", has = has?)));
        match (sixteen && self.inherit.is_some(), self.admin) {
            (true, admin) => {
                let all: Vec<_> = [format!("ADMIN {admin}")].into_iter().chain(options).collect();
                format!("{grant} WITH {}", all.join(", "))
            }
            (false, true) => format!("{grant} WITH ADMIN OPTION"),
            (false, false) => grant,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::role;
    use super::*;

    fn membership(admin: bool, inherit: Option<bool>) -> Membership {
        Membership { role: "a".into(), member: "b".into(), admin, inherit, set: inherit.map(|_| true) }
    }

    #[test]
    fn options_go_where_the_server_has_them() {
        assert_eq!(membership(false, None).grant(true), "GRANT \"a\" TO \"b\"");
        assert_eq!(membership(true, Some(false)).grant(false), "GRANT \"a\" TO \"b\" WITH ADMIN OPTION");
        assert_eq!(
            membership(false, Some(false)).grant(true),
            "GRANT \"a\" TO \"b\" WITH ADMIN false, INHERIT false, SET true"
        );
    }

    #[test]
    fn a_membership_that_is_there_is_not_granted_again() {
        assert!(membership(true, Some(true)).covers(&membership(false, None)));
        assert!(!membership(false, None).covers(&membership(true, None)));
        assert!(!membership(false, Some(false)).covers(&membership(false, Some(true))));
    }

    #[test]
    fn nobody_becomes_a_superuser_by_membership() {
        let usable: BTreeSet<String> = ["a".into(), "b".into()].into();
        let wanted = membership(false, None);
        assert_eq!(objection(&wanted, &usable, Some(&role("a"))), None);
        let strong = Role { powers: [Power::Superuser].into(), ..role("a") };
        assert!(objection(&wanted, &usable, Some(&strong)).is_some());
        assert!(objection(&wanted, &usable, None).is_some());
        let program = Membership { role: "pg_execute_server_program".into(), ..wanted };
        assert!(objection(&program, &usable, Some(&role("pg_execute_server_program"))).is_some());
    }
}
