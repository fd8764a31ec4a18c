//! What every session of ours is like, whatever the server's, the database's and the role's settings say [21]:
//! the pinned settings, and what the three roles add to them.

use super::quote;

/// Settings that exist in every version from 13 to 18 and go out with the startup message. Values that a session
/// prints and reads must not depend on the server [21]; an empty search_path makes names and operators explicit.
const PINNED: &[(&str, &str)] = &[
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("xmloption", "content"),
    ("array_nulls", "on"),
    ("standard_conforming_strings", "on"),
    ("search_path", ""),
    ("row_security", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_deferrable", "off"),
    ("client_min_messages", "warning"),
];

/// Settings that came later: the major that brought them, name, value. They are set once the version is known.
const PINNED_SINCE: &[(u32, &str, &str)] =
    &[(14, "idle_session_timeout", "0"), (17, "transaction_timeout", "0")];

/// What a session is for, and the settings that it starts with.
#[derive(Debug, Clone)]
pub struct Session {
    replication: bool,
    settings: Vec<(String, String)>,
}

impl Session {
    /// A session that asks and that writes our own tables; speaks UTF-8.
    pub fn query(application_name: &str) -> Self {
        Self::pinned(application_name, "UTF8", false)
    }

    /// A session that writes rows at the destination as a replica does, so that ordinary triggers and foreign keys
    /// do not fire. `client_encoding` is the source's server_encoding [19]. The role needs the right to set
    /// `session_replication_role`; without it, opening fails with a refusal that names the GRANT.
    pub fn writer(application_name: &str, client_encoding: &str) -> Self {
        Self::pinned(application_name, client_encoding, false).set("session_replication_role", "replica")
    }

    /// A session that speaks the replication protocol, bound to the database; `client_encoding` as for the writer.
    pub fn replication(application_name: &str, client_encoding: &str) -> Self {
        Self::pinned(application_name, client_encoding, true)
    }

    fn pinned(application_name: &str, client_encoding: &str, replication: bool) -> Self {
        let settings = PINNED.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { replication, settings }
            .set("application_name", application_name)
            .set("client_encoding", client_encoding)
    }

    /// The same session with one more setting, or another value for one that it has.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The parameters of the startup message, without user and database.
    pub(super) fn parameters(&self) -> Vec<(&str, &str)> {
        let replication = self.replication.then_some(("replication", "database"));
        let settings = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        replication.into_iter().chain(settings).collect()
    }

    /// The settings as one `options` value, with spaces and backslashes escaped (`pg_split_opts` of PostgreSQL's
    /// postinit.c), for clients that know no other way.
    pub(super) fn options(&self) -> String {
        let option = |(name, value): &(String, String)| format!("-c {name}={}", escape_option(value));
        self.settings.iter().map(option).collect::<Vec<_>>().join(" ")
    }

    /// One command that sets what the server's version has beyond [`PINNED`], or none.
    pub(super) fn later(server_version: &str) -> Option<String> {
        let major = major(server_version)?;
        let known = PINNED_SINCE.iter().filter(|(since, _, _)| *since <= major);
        let sets: Vec<_> =
            known.map(|(_, name, value)| format!("SET {name} = {}", quote::literal(value))).collect();
        (!sets.is_empty()).then(|| sets.join("; "))
    }
}

/// The major of a `server_version` such as `15.18 (Debian 15.18-1)`, `18beta1` or `17devel`.
pub fn major(server_version: &str) -> Option<u32> {
    let end = server_version.find(|c: char| !c.is_ascii_digit()).unwrap_or(server_version.len());
    server_version[..end].parse().ok()
}

fn escape_option(value: &str) -> String {
    value.replace('\\', "\\\\").replace(' ', "\\ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_settings_follow_the_version() {
        assert_eq!(Session::later("13.23"), None);
        assert_eq!(Session::later("14.1").unwrap(), "SET idle_session_timeout = '0'");
        assert_eq!(
            Session::later("18beta1 (Debian)").unwrap(),
            "SET idle_session_timeout = '0'; SET transaction_timeout = '0'"
        );
    }

    #[test]
    fn rule_21_options_are_escaped() {
        let options = Session::query("walferry: a").options();
        assert!(options.contains("-c DateStyle=ISO,\\ MDY"), "{options}");
        assert!(options.contains("-c search_path= "), "{options}");
        assert!(options.contains("-c application_name=walferry:\\ a"), "{options}");
    }

    #[test]
    fn a_setting_replaces_the_pinned_one() {
        let session = Session::writer("a", "LATIN1").set("client_min_messages", "error");
        let parameters = session.parameters();
        assert_eq!(parameters.iter().filter(|(name, _)| *name == "client_min_messages").count(), 1);
        assert!(parameters.contains(&("session_replication_role", "replica")));
        assert!(parameters.contains(&("client_encoding", "LATIN1")));
    }

    #[test]
    fn only_replication_asks_for_it() {
        assert!(Session::replication("a", "UTF8").parameters().contains(&("replication", "database")));
        assert!(!Session::query("a").parameters().iter().any(|(name, _)| *name == "replication"));
    }
}
