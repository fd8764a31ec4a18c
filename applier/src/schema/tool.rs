//! The pg_dump that reads the source's definitions: which one, and is it new enough. The destination's major is best,
//! because it writes what that server likes to read; it may never be older than the source.

use std::path::{Path, PathBuf};
use tokio::process::Command;
use tracing::warn;

use crate::error::{Error, Result};
use crate::pg::major;

/// Where packages put the programs of each major, and PATH besides.
const PLACES: &[(&str, &str)] = &[("/usr/lib/postgresql/", "/bin/pg_dump"), ("/usr/pgsql-", "/bin/pg_dump")];
/// The newest major that is looked for.
const NEWEST: u32 = 18;

/// A pg_dump that can read the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// The program.
    pub path: PathBuf,
    /// Its major version.
    pub major: u32,
}

impl Tool {
    /// The configured pg_dump, else that of the destination's major, else the nearest that is not older than the
    /// source.
    ///
    /// # Errors
    /// A refusal that names both versions and the package to install.
    pub async fn find(configured: Option<&Path>, source: u32, destination: u32) -> Result<Self> {
        if let Some(path) = configured {
            let tool = Self::ask(path).await.map_err(|seen| {
                Error::usage(format!("copy.pg_dump is {}, and that is not a pg_dump: {seen}", path.display()))
            })?;
            return tool.not_older_than(source);
        }
        let mut found = Vec::new();
        for path in candidates(source, destination) {
            if let Ok(tool) = Self::ask(&path).await {
                if tool.major == destination && tool.major >= source {
                    return Ok(tool);
                }
                found.push(tool);
            }
        }
        best(found, source, destination)
    }

    /// Runs `--version`.
    async fn ask(path: &Path) -> Result<Self, String> {
        let run = Command::new(path).arg("--version").kill_on_drop(true).output().await;
        let output = run.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let major = version(&text).ok_or_else(|| format!("--version says \"{}\"", text.trim()))?;
        Ok(Self { path: path.to_owned(), major })
    }

    fn not_older_than(self, source: u32) -> Result<Self> {
        if self.major >= source { Ok(self) } else { Err(too_old(&self, source)) }
    }
}

/// In the order of preference; the destination's major first, then upwards from the source's.
fn candidates(source: u32, destination: u32) -> Vec<PathBuf> {
    let majors = std::iter::once(destination).chain((source..=NEWEST).filter(|major| *major != destination));
    let packaged = |major: u32| {
        PLACES.iter().map(move |(before, after)| PathBuf::from(format!("{before}{major}{after}")))
    };
    let mut paths: Vec<_> = majors.flat_map(packaged).collect();
    paths.insert(PLACES.len(), PathBuf::from("pg_dump"));
    paths
}

/// The nearest to the destination's major among those that are new enough.
fn best(found: Vec<Tool>, source: u32, destination: u32) -> Result<Tool> {
    let (fit, old): (Vec<_>, Vec<_>) = found.into_iter().partition(|tool| tool.major >= source);
    if let Some(tool) = fit.into_iter().min_by_key(|tool| tool.major.abs_diff(destination)) {
        let (path, major) = (tool.path.display(), tool.major);
        warn!(
            "definitions are read by {path} of PostgreSQL {major}; that of the destination's {destination} was not found"
        );
        return Ok(tool);
    }
    Err(match old.into_iter().max_by_key(|tool| tool.major) {
        Some(tool) => too_old(&tool, source),
        None => Error::refused(format!(
            "no pg_dump was found, and definitions are read by it; install postgresql-client-{destination}, or name one in [copy] pg_dump"
        )),
    })
}

fn too_old(tool: &Tool, source: u32) -> Error {
    Error::refused(format!(
        "{} is of PostgreSQL {} and the source is {source}; a pg_dump cannot read a newer server: install postgresql-client-{source} or later, or name one in [copy] pg_dump",
        tool.path.display(),
        tool.major
    ))
}

/// The major in `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn version(text: &str) -> Option<u32> {
    text.strip_prefix("pg_dump (PostgreSQL) ").and_then(major)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(major: u32) -> Tool {
        Tool { path: PathBuf::from(format!("/usr/lib/postgresql/{major}/bin/pg_dump")), major }
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(version("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(version("pg_dump (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(version("pg_restore (PostgreSQL) 15.1"), None);
    }

    #[test]
    fn the_destinations_major_comes_first() {
        let paths = candidates(14, 16);
        assert_eq!(paths[0], Path::new("/usr/lib/postgresql/16/bin/pg_dump"));
        assert_eq!(paths[1], Path::new("/usr/pgsql-16/bin/pg_dump"));
        assert_eq!(paths[2], Path::new("pg_dump"));
        assert_eq!(paths[3], Path::new("/usr/lib/postgresql/14/bin/pg_dump"));
    }

    #[test]
    fn the_nearest_that_is_new_enough_is_taken() {
        assert_eq!(best(vec![tool(13), tool(18), tool(16)], 14, 15).unwrap(), tool(16));
        let error = best(vec![tool(13), tool(12)], 15, 15).unwrap_err().to_string();
        assert!(error.contains("of PostgreSQL 13 and the source is 15"), "{error}");
        assert!(error.contains("install postgresql-client-15"), "{error}");
        assert!(best(Vec::new(), 15, 16).unwrap_err().to_string().contains("postgresql-client-16"));
    }

    #[tokio::test]
    async fn what_is_not_a_pg_dump_is_named() {
        let error = Tool::find(Some(Path::new("/bin/true")), 15, 15).await.unwrap_err().to_string();
        assert!(error.contains("/bin/true, and that is not a pg_dump"), "{error}");
    }
}
