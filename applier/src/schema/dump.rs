//! Runs pg_dump for the definitions of the source, as one snapshot sees them, and reads what it writes from memory.

use secrecy::ExposeSecret;
use std::process::Stdio;
use tokio::process::Command;

use super::toc::Archive;
use super::tool::Tool;
use crate::error::{Error, Result};
use crate::pg::Conninfo;

/// What pg_dump is asked for.
pub struct Request<'a> {
    /// The source.
    pub source: &'a Conninfo,
    /// How the session is called in `pg_stat_activity`.
    pub application_name: &'a str,
    /// The exported snapshot.
    pub snapshot: &'a str,
    /// `server_encoding` of the source.
    pub encoding: &'a str,
    /// Tables that are neither read nor locked, because our role may not.
    pub without: &'a [(String, String)],
}

/// Values that pg_dump prints must not depend on the source's settings [21]; it sets the rest itself.
const PINNED: &str = "-c standard_conforming_strings=on -c lock_timeout=0 -c statement_timeout=0";

impl Tool {
    /// The definitions of a database. Ends with the future: a dump that is not waited for is killed.
    ///
    /// # Errors
    /// What pg_dump said, if it failed; unreachable if it lost or did not get its connection.
    pub async fn dump(&self, request: &Request<'_>) -> Result<Archive> {
        let output =
            self.command(request)?.output().await.map_err(|error| {
                Error::refused(format!("{} could not be run: {error}", self.path.display()))
            })?;
        if !output.status.success() {
            return Err(failed(&String::from_utf8_lossy(&output.stderr)));
        }
        Archive::read(&output.stdout)
    }

    fn command(&self, request: &Request<'_>) -> Result<Command> {
        let libpq = request.source.libpq(request.application_name, PINNED)?;
        let mut command = Command::new(&self.path);
        command
            .args(["--schema-only", "--format=custom", "--compress=0", "--no-password"])
            .arg("--exclude-schema=walferry_state")
            .arg(format!("--snapshot={}", request.snapshot))
            .arg(format!("--dbname={}", libpq.keywords))
            .args(request.without.iter().map(|(schema, name)| without(schema, name)))
            .stdin(Stdio::null())
            // A server's messages are read by us.
            .env("LC_ALL", "C")
            .env_remove("PGOPTIONS")
            .kill_on_drop(true);
        // What a database without an encoding holds cannot be converted.
        if request.encoding != "SQL_ASCII" {
            command.arg("--encoding=UTF8");
        }
        if let Some(password) = libpq.password {
            command.env("PGPASSWORD", password.expose_secret());
        }
        Ok(command)
    }
}

/// A pattern that is one table's name and nothing else: what stands in double quotes is taken literally.
fn without(schema: &str, name: &str) -> String {
    use crate::pg::quote::ident;
    format!("--exclude-table={}.{}", ident(schema), ident(name))
}

/// pg_dump's own words, without the lines that repeat its query or hold a server's DETAIL.
fn failed(stderr: &str) -> Error {
    let lines = stderr.lines().map(|line| line.trim_start_matches("pg_dump: ").trim_start_matches("error: "));
    let said: Vec<_> = lines.filter(|line| !is_noise(line)).collect();
    let message = format!("pg_dump could not read the source's definitions: {}", said.join("; "));
    let lost = ["connection to server", "could not connect", "server closed the connection"];
    // What the snapshot sees was dropped or renamed while pg_dump read it; the next snapshot sees that.
    let is_gone = stderr.contains("ERROR:  relation") && stderr.contains("does not exist");
    if is_gone || lost.iter().any(|words| stderr.contains(words)) {
        return Error::unreachable(message);
    }
    Error::refused(message)
}

fn is_noise(line: &str) -> bool {
    let noise = ["DETAIL:", "detail: Query was", "detail: Command was", "query was:", "warning:"];
    line.is_empty() || noise.iter().any(|start| line.trim_start().starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    #[test]
    fn failures_keep_what_helps() {
        let text = "pg_dump: error: query failed: ERROR:  permission denied for table secret\n\
                    pg_dump: detail: Query was: LOCK TABLE public.secret IN ACCESS SHARE MODE\n";
        let error = failed(text);
        assert_eq!(error.class(), Class::Refused);
        assert_eq!(
            error.to_string(),
            "pg_dump could not read the source's definitions: query failed: ERROR:  permission denied for table secret"
        );
        assert_eq!(
            failed("pg_dump: error: connection to server at \"h\" failed").class(),
            Class::Unreachable
        );
    }

    #[test]
    fn a_table_is_left_out_by_its_exact_name() {
        assert_eq!(without("Crm", "a.\"b*"), r#"--exclude-table="Crm"."a.""b*""#);
    }
}
