//! Users (C6): the source's roles, made at the destination where they are missing, and the answer to which names
//! may own and be granted things there [29].
//!
//! A role that exists is left as it is. SUPERUSER, REPLICATION and BYPASSRLS are never carried; the bootstrap
//! superuser and the predefined roles (`pg_*`) are never made. Whatever our role may not do is reported by name and
//! fails nothing. Hashes of passwords go from server to server and nowhere else.

mod make;
mod memberships;
mod password;
mod read;

pub use make::{give_back, make};
pub use memberships::memberships;
pub use read::read;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use secrecy::SecretString;
use tokio_postgres::Client;

use crate::error::Result;
use crate::pg::quote;

/// Which of the source's roles count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All of the server's.
    All,
    /// Those that own or are granted something in this database, the members of those, and what all these are members of.
    Concerned,
}

/// What makes a role stronger than others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    /// SUPERUSER.
    Superuser,
    /// REPLICATION.
    Replication,
    /// BYPASSRLS.
    BypassRls,
    /// CREATEROLE.
    CreateRole,
}

impl Power {
    const ALL: [Self; 4] = [Self::Superuser, Self::Replication, Self::BypassRls, Self::CreateRole];

    /// As CREATE ROLE spells it.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Superuser => "SUPERUSER",
            Self::Replication => "REPLICATION",
            Self::BypassRls => "BYPASSRLS",
            Self::CreateRole => "CREATEROLE",
        }
    }
}

/// A setting that begins with the role's sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Only in the database that is copied.
    pub in_database: bool,
    /// The parameter.
    pub name: String,
    /// Its value, as `pg_db_role_setting` has it.
    pub value: String,
}

/// A role of a server.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Whether it came with the server: the bootstrap superuser, or predefined.
    pub built_in: bool,
    /// What it has by itself.
    pub own: BTreeSet<Power>,
    /// What it can reach by SET ROLE, its own included.
    pub powers: BTreeSet<Power>,
    /// The predefined roles that it is a member of, directly or not.
    pub predefined: BTreeSet<String>,
    /// Whether it owns anything in the database.
    pub owns: bool,
    /// LOGIN.
    pub login: bool,
    /// INHERIT.
    pub inherit: bool,
    /// CREATEDB.
    pub create_db: bool,
    /// CONNECTION LIMIT; -1 for none.
    pub connection_limit: i32,
    /// VALID UNTIL.
    pub valid_until: Option<String>,
    /// The password's hash, where our role may read it.
    pub password: Option<SecretString>,
    /// Whether our role may read hashes.
    pub password_readable: bool,
    /// Settings of its sessions.
    pub settings: Vec<Setting>,
}

/// A role, or something of it, that the destination does not have, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// The role.
    pub role: String,
    /// What and why, and what helps.
    pub reason: String,
}

impl LeftOut {
    fn new(role: &str, reason: impl Into<String>) -> Self {
        Self { role: role.to_owned(), reason: reason.into() }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "role {}: {}", quote::readable_ident(&self.role), self.reason)
    }
}

/// What the destination's roles are good for.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Names that may be granted things.
    pub grantees: BTreeSet<String>,
    /// Those of them that our role may also give things to, so that they can own.
    pub owners: BTreeSet<String>,
    /// What was left out.
    pub left_out: Vec<LeftOut>,
}

/// Which of the source's names may be used at the destination as it is; makes nothing (`users = false`, where
/// `source` is best read as [`Which::Concerned`]: each of its roles that is missing is reported).
///
/// # Errors
/// What the destination says to queries on its catalog.
pub async fn existing(destination: &Client, source: &[Role]) -> Result<Report> {
    let known = by_name(read(destination, Which::All).await?);
    let reachable = read::reachable(destination).await?;
    let mut report = Report::default();
    for role in source {
        match known.get(&role.name) {
            None => report.left_out.push(LeftOut::new(&role.name, "the destination has no such role")),
            Some(there) => judge(role, there, &mut report),
        }
    }
    report.owners = report.grantees.intersection(&reachable).cloned().collect();
    for role in source.iter().filter(|role| role.owns && report.grantees.contains(&role.name)) {
        if !report.owners.contains(&role.name) {
            report.left_out.push(unreachable(destination, &role.name).await?);
        }
    }
    Ok(report)
}

fn by_name(roles: Vec<Role>) -> BTreeMap<String, Role> {
    roles.into_iter().map(|role| (role.name.clone(), role)).collect()
}

/// [29] A role of the same name counts only where it is not stronger than at the source.
fn judge(source: &Role, destination: &Role, report: &mut Report) {
    match excess(source, destination) {
        None => drop(report.grantees.insert(source.name.clone())),
        Some(more) => {
            let reason =
                format!("it has {more} at the destination and not at the source, so it is given nothing");
            report.left_out.push(LeftOut::new(&source.name, reason));
        }
    }
}

/// What the destination's role has beyond the source's; for people.
fn excess(source: &Role, destination: &Role) -> Option<String> {
    if source.powers.contains(&Power::Superuser) {
        return None;
    }
    let powers = destination.powers.difference(&source.powers).map(|power| power.keyword().to_owned());
    let predefined = destination.predefined.difference(&source.predefined).cloned();
    let more: Vec<_> = powers.chain(predefined).collect();
    (!more.is_empty()).then(|| more.join(", "))
}

/// Attributes of a role that exists which are not the source's; for people.
fn differences(source: &Role, destination: &Role) -> Vec<&'static str> {
    let create_role = |role: &Role| role.own.contains(&Power::CreateRole);
    let differ = [
        ("LOGIN", source.login != destination.login),
        ("INHERIT", source.inherit != destination.inherit),
        ("CREATEDB", source.create_db != destination.create_db),
        ("CREATEROLE", create_role(source) != create_role(destination)),
        ("CONNECTION LIMIT", source.connection_limit != destination.connection_limit),
        ("VALID UNTIL", source.valid_until != destination.valid_until),
    ];
    differ.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

async fn unreachable(destination: &Client, name: &str) -> Result<LeftOut> {
    let own = read::current_user(destination).await?;
    let advice = format!("GRANT {} TO {}", quote::ident(name), quote::ident(&own));
    Ok(LeftOut::new(name, format!("our role cannot give it what it owns at the source; {advice} helps")))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn role(name: &str) -> Role {
        Role {
            name: name.into(),
            built_in: false,
            own: BTreeSet::new(),
            powers: BTreeSet::new(),
            predefined: BTreeSet::new(),
            owns: true,
            login: true,
            inherit: true,
            create_db: false,
            connection_limit: -1,
            valid_until: None,
            password: None,
            password_readable: true,
            settings: Vec::new(),
        }
    }

    #[test]
    fn rule_29_a_stronger_role_of_the_same_name_is_given_nothing() {
        let (source, mut there) = (role("app"), role("app"));
        assert_eq!(excess(&source, &there), None);
        there.powers.insert(Power::Superuser);
        there.predefined.insert("pg_read_all_data".into());
        let mut report = Report::default();
        judge(&source, &there, &mut report);
        assert!(report.grantees.is_empty());
        assert!(report.left_out[0].reason.starts_with("it has SUPERUSER, pg_read_all_data at"));
        let admin = Role { powers: [Power::Superuser].into(), ..role("app") };
        assert_eq!(excess(&admin, &there), None);
    }

    #[test]
    fn differing_attributes_are_named() {
        let there = Role { login: false, connection_limit: 3, ..role("app") };
        assert_eq!(differences(&role("app"), &there), ["LOGIN", "CONNECTION LIMIT"]);
    }
}
