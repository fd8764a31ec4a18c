//! The roles of the destination that may be used: for grants those that exist, for ownership those that we can give
//! objects to and still write them. What the others would have owned or been granted is reported once for each role.

use std::collections::{BTreeMap, BTreeSet};

use super::left_out::LeftOut;
use crate::pg::quote::readable_ident;

/// The roles that may be used, by name.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    /// Roles that may be granted things [29].
    pub grantees: BTreeSet<String>,
    /// Those of them that may own things, our role having their rights.
    pub owners: BTreeSet<String>,
    /// Why the others may not, as far as there is more to say than that there is none.
    pub reasons: BTreeMap<String, String>,
}

impl Roles {
    /// Why a role cannot be granted something; none if it can.
    pub fn objection(&self, role: &str) -> Option<String> {
        let known = self.reasons.get(role).cloned();
        let reason = known.unwrap_or_else(|| "the destination has no such role".to_owned());
        (!self.grantees.contains(role)).then_some(reason)
    }

    /// Why a role cannot be made an owner; none if it can.
    pub fn objection_as_owner(&self, role: &str) -> Option<String> {
        let known = self.reasons.get(role).cloned();
        let reason = known.unwrap_or_else(|| {
            "the role of [destination] is no member of it with its rights; GRANT it TO that role".to_owned()
        });
        self.objection(role).or((!self.owners.contains(role)).then_some(reason))
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
    fn rule_29_what_may_be_granted_may_not_always_be_owned() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let roles = Roles { grantees: names(&["joe", "bob"]), owners: names(&["joe"]), ..Roles::default() };
        assert_eq!(roles.objection_as_owner("joe"), None);
        assert!(roles.objection("bob").is_none() && roles.objection_as_owner("bob").is_some());
        assert!(roles.objection("eve").is_some());
    }
}
