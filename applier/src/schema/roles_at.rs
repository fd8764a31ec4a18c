//! The roles of the destination that may be used: for grants those that exist, for ownership those that we can give
//! objects to and still write them. What the others would have owned or been granted is reported once for each role.

use std::collections::{BTreeMap, HashMap};
use tokio_postgres::Client;

use super::left_out::LeftOut;
use crate::error::Result;
use crate::pg::client_error;
use crate::pg::quote::readable_ident;

/// What a role of the destination may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usable {
    /// We have its rights and may give it objects.
    pub owns: bool,
}

/// The roles that may be used, by name.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    usable: HashMap<String, Usable>,
    /// Roles that exist and may not be used, with the reason.
    barred: HashMap<String, String>,
}

impl Roles {
    /// Asks the destination.
    pub async fn read(client: &Client) -> Result<Self> {
        let sql = "SELECT rolname::text, pg_catalog.pg_has_role(oid, 'MEMBER') AND pg_catalog.pg_has_role(oid, 'USAGE') \
                   FROM pg_catalog.pg_roles";
        let rows = client.query(sql, &[]).await.map_err(client_error)?;
        let usable = rows.iter().map(|row| (row.get(0), Usable { owns: row.get(1) })).collect();
        Ok(Self { usable, barred: HashMap::new() })
    }

    /// Takes a role out, for a reason that its user is told [29].
    pub fn bar(&mut self, role: &str, reason: &str) {
        self.usable.remove(role);
        self.barred.insert(role.to_owned(), reason.to_owned());
    }

    /// Why a role cannot be granted something; none if it can.
    pub fn objection(&self, role: &str) -> Option<String> {
        if self.usable.contains_key(role) {
            return None;
        }
        let barred = self.barred.get(role).cloned();
        Some(barred.unwrap_or_else(|| "it does not exist at the destination".to_owned()))
    }

    /// Why a role cannot be made an owner; none if it can.
    pub fn objection_as_owner(&self, role: &str) -> Option<String> {
        self.objection(role).or_else(|| {
            let owns = self.usable.get(role).is_some_and(|usable| usable.owns);
            let advice =
                "our role is not a member of it with its rights (GRANT ... TO the role of [destination])";
            (!owns).then(|| advice.to_owned())
        })
    }
}

/// What roles would have had, by role and reason.
#[derive(Debug, Default)]
pub struct Losses(BTreeMap<(String, &'static str, String), Vec<String>>);

impl Losses {
    /// Notes an object; `what` says what the role would have been to it.
    pub fn add(&mut self, role: &str, what: &'static str, reason: String, object: &str) {
        self.0.entry((role.to_owned(), what, reason)).or_default().push(object.to_owned());
    }

    /// One line for each role.
    pub fn told(self) -> Vec<LeftOut> {
        let line = |((role, what, reason), objects): ((String, &str, String), Vec<String>)| LeftOut {
            object: format!("ROLE {}: {what} {}", readable_ident(&role), some(&objects)),
            reason,
        };
        self.0.into_iter().map(line).collect()
    }
}

/// The first few names, and how many more there are.
fn some(objects: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = objects[..objects.len().min(SHOWN)].join(", ");
    match objects.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_once_for_each_role() {
        let mut losses = Losses::default();
        for number in 0..5 {
            losses.add("Joe", "owner of", "it does not exist".to_owned(), &format!("TABLE t{number}"));
        }
        losses.add("bob", "grants on", "it does not exist".to_owned(), "TABLE t0");
        let told = losses.told();
        assert_eq!(told[0].object, "ROLE \"Joe\": owner of TABLE t0, TABLE t1, TABLE t2 and 2 more");
        assert_eq!(told[1].object, "ROLE bob: grants on TABLE t0");
    }

    #[test]
    fn rule_29_a_barred_role_gets_nothing() {
        let mut roles = Roles::default();
        roles.usable.insert("joe".to_owned(), Usable { owns: true });
        roles.usable.insert("bob".to_owned(), Usable { owns: false });
        assert_eq!(roles.objection_as_owner("joe"), None);
        assert!(roles.objection("bob").is_none() && roles.objection_as_owner("bob").is_some());
        roles.bar("joe", "it is a superuser here and not at the source");
        assert!(roles.objection_as_owner("joe").unwrap().contains("superuser"));
        assert!(roles.objection("eve").unwrap().contains("does not exist"));
    }
}
