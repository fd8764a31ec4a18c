//! The configuration file: read once, checked whole, and from then on typed values. Everything a user can get wrong
//! here is told with the key, what may stand there, and the nearest known name.

mod read;
mod secret;
mod sections;
mod values;

pub use sections::{Apply, Copy, Destination, Finish, Mapping, Metrics, Objects, Source, Task, Window};
pub use values::{Conflict, DdlError, Definitions, Existing, Mode, NamePattern, Rate, Scope, TimeOfDay};

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// What `walferry init` prints: every key, with its default and what it does.
pub const SAMPLE: &str = include_str!("sample.toml");

/// A checked configuration.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The task itself.
    pub task: Task,
    /// Where changes come from.
    pub source: Source,
    /// Where they go.
    pub destination: Destination,
    /// What is taken.
    #[serde(default)]
    pub objects: Objects,
    /// Names that differ at the destination.
    #[serde(default)]
    pub map: Vec<Mapping>,
    /// The initial copy.
    #[serde(default)]
    pub copy: Copy,
    /// How changes are written.
    #[serde(default)]
    pub apply: Apply,
    /// The end.
    #[serde(default)]
    pub finish: Finish,
    /// What others may watch.
    #[serde(default)]
    pub metrics: Metrics,
}

impl Config {
    /// Reads and checks the file, and fetches the passwords that it or the environment
    /// (`WALFERRY_SOURCE_PASSWORD`, `WALFERRY_DESTINATION_PASSWORD`) names.
    ///
    /// # Errors
    /// A usage error that names the key; it never repeats a url or a password.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::usage(format!(
                "the configuration file {} cannot be read ({error}); `walferry init` prints one to start from, -c names another",
                path.display()
            ))
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let checked = Self::parse(&text).and_then(|config| config.with_passwords(folder));
        checked.map_err(|error| error.context(path.display()))
    }

    /// Reads and checks the text of a configuration file.
    fn parse(text: &str) -> Result<Self> {
        let config: Self = read::toml(text)?;
        config.copy.check()?;
        Ok(config)
    }

    fn with_passwords(mut self, folder: &Path) -> Result<Self> {
        let source = &mut self.source;
        let find = |name, file| secret::find(std::env::var(name).ok(), file, folder);
        source.password = find("WALFERRY_SOURCE_PASSWORD", source.password_file.as_deref())
            .map_err(|error| error.context("source.password_file"))?;
        let destination = &mut self.destination;
        destination.password = find("WALFERRY_DESTINATION_PASSWORD", destination.password_file.as_deref())
            .map_err(|error| error.context("destination.password_file"))?;
        Ok(self)
    }

    /// The whole but for [`Copy`] as a text that can be compared; urls and passwords are not in it.
    pub fn apart_from_copy(&self) -> String {
        Self { copy: Copy::default(), ..self.clone() }.to_string()
    }

    /// What the task's sessions are called, but for its writers.
    pub fn session_name(&self) -> String {
        format!("walferry:{}", self.task.name)
    }

    /// The slot's name: as configured, else `walferry_` and the task's name in lower case with `_` for `-`.
    pub fn slot(&self) -> String {
        match &self.source.slot {
            Some(slot) => slot.to_string(),
            None => format!("walferry_{}", self.task.name.as_str().to_lowercase().replace('-', "_")),
        }
    }
}

/// The whole as JSON, defaults filled in, without urls and passwords: fit for a log.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests;
