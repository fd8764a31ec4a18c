//! The sections of the configuration file, one struct each. A field's name is its key, and its default is what
//! stands in docs and sample.

use super::secret;
use super::values::{
    Conflict, DdlError, Definitions, Existing, Mode, NamePattern, Rate, Scope, SlotName, SynchronousCommit,
    TablePolicies, TaskName, TimeOfDay,
};
use crate::error::{Error, Result};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use walferry_wire::pattern::{self, Glob};

/// `[task]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Names the task everywhere.
    pub name: TaskName,
    /// What it does.
    #[serde(default)]
    pub mode: Mode,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// For people.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// `[source]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// A libpq connection string; may hold a password.
    #[serde(deserialize_with = "secret::deserialize", skip_serializing)]
    pub url: SecretString,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// The slot, if not the default.
    pub slot: Option<SlotName>,
    /// Whether new keyless tables get REPLICA IDENTITY FULL, in scope `database`.
    #[serde(default)]
    pub set_identity_full: bool,
    /// The password from environment or file, once found.
    #[serde(skip)]
    pub password: Option<SecretString>,
}

/// `[destination]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// A libpq connection string; may hold a password.
    #[serde(deserialize_with = "secret::deserialize", skip_serializing)]
    pub url: SecretString,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// The password from environment or file, once found.
    #[serde(skip)]
    pub password: Option<SecretString>,
}

/// `[objects]`; names are the source's.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Objects {
    /// Everything or chosen tables.
    pub scope: Scope,
    /// Where definitions come from.
    pub definitions: Definitions,
    /// What is chosen; none means everything.
    pub include: Vec<NamePattern>,
    /// What is not.
    pub exclude: Vec<NamePattern>,
    /// Whether definitions that change are carried over.
    pub ddl: bool,
    /// Whether indexes are made.
    pub indexes: bool,
    /// Whether materialized views are filled.
    pub materialized_views: bool,
    /// Whether roles are carried over.
    pub users: bool,
}

impl Default for Objects {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            definitions: Definitions::default(),
            include: Vec::new(),
            exclude: Vec::new(),
            ddl: true,
            indexes: true,
            materialized_views: true,
            users: false,
        }
    }
}

/// `[[map]]`: a schema, or one table, that has another name at the destination.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "MappingText")]
pub struct Mapping {
    /// The source's schema.
    pub schema: String,
    /// The source's table, if only one is meant.
    pub table: Option<String>,
    /// The destination's schema.
    pub to_schema: String,
    /// The destination's table, if one is meant.
    pub to_table: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MappingText {
    from: String,
    to: String,
}

impl TryFrom<MappingText> for Mapping {
    type Error = String;

    fn try_from(text: MappingText) -> Result<Self, String> {
        let (schema, table) = name(&text.from)?;
        let (to_schema, to_table) = name(&text.to)?;
        if table.is_some() != to_table.is_some() {
            return Err(format!("{} and {} are not both a schema or both schema.table", text.from, text.to));
        }
        Ok(Self { schema, table, to_schema, to_table })
    }
}

/// `schema` or `schema.table`, without stars.
fn name(text: &str) -> Result<(String, Option<String>), String> {
    let wrong =
        || format!("{text} is not schema or schema.table as SQL writes them (double quotes round capitals)");
    let parts = pattern::name(text).map_err(|_| wrong())?;
    let parts: Option<Vec<_>> = parts.iter().map(Glob::literal).collect();
    match parts.as_deref() {
        Some([schema]) => Ok(((*schema).to_owned(), None)),
        Some([schema, table]) => Ok(((*schema).to_owned(), Some((*table).to_owned()))),
        _ => Err(wrong()),
    }
}

/// `[copy]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Copy {
    /// Tables or parts of tables at a time.
    pub jobs: NonZeroU16,
    /// Whether one snapshot is held for all of it.
    pub snapshot: bool,
    /// The limit; none if absent.
    pub rate: Option<Rate>,
    /// Other limits for hours of the day.
    pub windows: Vec<Window>,
    /// What happens to rows that are at the destination already.
    pub existing: Existing,
    /// The pg_dump that reads the definitions; looked for if absent.
    pub pg_dump: Option<PathBuf>,
}

impl Default for Copy {
    fn default() -> Self {
        const JOBS: NonZeroU16 = NonZeroU16::new(4).expect("4 is not 0");
        Self {
            jobs: JOBS,
            snapshot: true,
            rate: None,
            windows: Vec::new(),
            existing: Existing::default(),
            pg_dump: None,
        }
    }
}

/// Hours of the day with a limit of their own; may go over midnight.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Its first minute.
    pub from: TimeOfDay,
    /// The minute after its last.
    pub to: TimeOfDay,
    /// The limit.
    pub rate: Rate,
}

impl Window {
    /// Whether it holds at this time of day.
    pub fn covers(&self, time: TimeOfDay) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&time)
        } else {
            time >= self.from || time < self.to
        }
    }
}

impl Copy {
    /// What the fields cannot tell one by one: at most three windows that do not overlap.
    pub(super) fn check(&self) -> Result<()> {
        if self.windows.len() > 3 {
            return Err(Error::usage("copy.windows has more than three windows; merge some"));
        }
        if self.windows.iter().any(|window| window.from == window.to) {
            return Err(Error::usage(
                "a window in copy.windows begins when it ends; for the whole day use copy.rate",
            ));
        }
        for (at, window) in self.windows.iter().enumerate() {
            let others = self.windows.iter().enumerate().filter(|(other, _)| *other != at);
            if others.into_iter().any(|(_, other)| other.covers(window.from)) {
                return Err(Error::usage("two windows in copy.windows overlap; set them apart"));
            }
        }
        Ok(())
    }
}

/// `[apply]`
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Apply {
    /// The policy for conflicts.
    pub conflict: Conflict,
    /// Other policies for some tables.
    pub conflict_tables: TablePolicies,
    /// How the sessions that write commit.
    pub synchronous_commit: SynchronousCommit,
    /// What a rejected definition does.
    pub ddl_error: DdlError,
}

impl Apply {
    /// The policy for a table of the source.
    pub fn conflict_of(&self, schema: &str, table: &str) -> Conflict {
        self.conflict_tables.of(schema, table).unwrap_or(self.conflict)
    }
}

/// `[finish]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Finish {
    /// How far beyond the source's value a sequence goes.
    pub sequence_margin: u32,
}

impl Default for Finish {
    fn default() -> Self {
        Self { sequence_margin: 10_000 }
    }
}

/// `[metrics]`
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// The address of the metrics; none if absent.
    pub listen: Option<SocketAddr>,
}
