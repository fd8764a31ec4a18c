//! The kinds of values that the configuration holds, each read and checked by itself. What is allowed stands in the
//! error of each.

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use walferry_wire::pattern::Pattern;

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
pub enum Mode {
    /// The initial copy, then changes.
    #[default]
    #[serde(rename = "full+incremental")]
    FullIncremental,
    /// The initial copy alone.
    #[serde(rename = "full")]
    Full,
    /// Changes alone, from a slot that is there.
    #[serde(rename = "incremental")]
    Incremental,
}

/// What belongs to the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything, new objects included.
    #[default]
    Database,
    /// The chosen tables.
    Tables,
}

/// Where the definitions at the destination come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Definitions {
    /// They are made.
    #[default]
    Create,
    /// They are there already.
    Use,
    /// Rows of tables that exist, and nothing else.
    None,
}

/// What the copy does about rows that are at the destination already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Existing {
    /// They stay, and are counted.
    #[default]
    Keep,
    /// The source's rows replace them.
    Overwrite,
    /// The table's copy fails.
    Error,
}

/// What happens when the destination has another row than the change expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Conflict {
    /// The task stops.
    #[default]
    Error,
    /// The destination's row stays, the conflict is recorded.
    Ignore,
    /// The source's row wins, the conflict is recorded.
    Overwrite,
}

/// What happens when the destination rejects a captured definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DdlError {
    /// The task stops.
    #[default]
    Stop,
    /// It is recorded and left out.
    Skip,
}

/// PostgreSQL's `synchronous_commit` for the sessions that write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SynchronousCommit {
    /// Commits do not wait for the disk; what is acknowledged does [4].
    #[default]
    Off,
    /// They wait for the destination's disk.
    Local,
    /// They wait for the standby's memory.
    RemoteWrite,
    /// They wait for the standby's disk.
    On,
    /// They wait until the standby shows them.
    RemoteApply,
}

impl SynchronousCommit {
    /// The value as PostgreSQL names it.
    pub fn as_str(self) -> &'static str {
        match self {
            SynchronousCommit::Off => "off",
            SynchronousCommit::Local => "local",
            SynchronousCommit::RemoteWrite => "remote_write",
            SynchronousCommit::On => "on",
            SynchronousCommit::RemoteApply => "remote_apply",
        }
    }
}

/// A task's name: 4 to 50 of letters, digits, `-` and `_`, a letter first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct TaskName(String);

impl TaskName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TaskName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let letter_first = text.starts_with(|c: char| c.is_ascii_alphabetic());
        if letter_first && (4..=50).contains(&text.len()) && text.chars().all(known) {
            return Ok(Self(text));
        }
        Err(format!(
            "\"{text}\" is not a task name; it has 4 to 50 letters, digits, - and _, and begins with a letter"
        ))
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A slot's name, by the rule of PostgreSQL's slot.c.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct SlotName(String);

impl TryFrom<String> for SlotName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if (1..=63).contains(&text.len()) && text.chars().all(known) {
            return Ok(Self(text));
        }
        Err(format!("\"{text}\" is not a slot name; it has 1 to 63 lower-case letters, digits and _"))
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pattern of table names, and the text that it was read from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern {
    /// As the user wrote it; the plugin takes it so.
    pub text: String,
    /// What it covers.
    pub pattern: Pattern,
}

impl TryFrom<String> for NamePattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match Pattern::parse(&text) {
            Ok(pattern) => Ok(Self { text, pattern }),
            Err(error) => Err(format!("{error}; a pattern is schema.table, * stands for any text")),
        }
    }
}

impl From<NamePattern> for String {
    fn from(pattern: NamePattern) -> String {
        pattern.text
    }
}

/// Policies by table, in the order of the file: the last pattern that matches wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TablePolicies(pub Vec<(NamePattern, Conflict)>);

impl TablePolicies {
    /// The policy for a table, if any pattern covers it.
    pub fn of(&self, schema: &str, table: &str) -> Option<Conflict> {
        let covers = |(name, _): &&(NamePattern, Conflict)| name.pattern.matches(schema, table);
        self.0.iter().rev().find(covers).map(|(_, policy)| *policy)
    }
}

impl<'de> Deserialize<'de> for TablePolicies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PoliciesVisitor)
    }
}

struct PoliciesVisitor;

impl<'de> Visitor<'de> for PoliciesVisitor {
    type Value = TablePolicies;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of patterns and policies, such as { \"public.hits\" = \"ignore\" }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TablePolicies, A::Error> {
        let mut policies = Vec::new();
        while let Some(entry) = map.next_entry()? {
            policies.push(entry);
        }
        Ok(TablePolicies(policies))
    }
}

impl Serialize for TablePolicies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, policy)| (&name.text, policy)))
    }
}

/// A rate in bytes per second, written `50MB/s`; the units are PostgreSQL's, so a kB is 1024 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct Rate(pub u64);

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes = text.trim().strip_suffix("/s").and_then(|amount| {
            let end = amount.find(|c: char| !c.is_ascii_digit())?;
            let factor = match amount[end..].trim() {
                "B" => 1,
                "kB" => 1 << 10,
                "MB" => 1 << 20,
                "GB" => 1 << 30,
                _ => return None,
            };
            amount[..end].parse::<u64>().ok()?.checked_mul(factor)
        });
        match bytes {
            Some(bytes) if bytes > 0 => Ok(Self(bytes)),
            _ => Err(format!(
                "\"{text}\" is not a rate; write a whole number above 0 and B/s, kB/s, MB/s or GB/s, such as 50MB/s"
            )),
        }
    }
}

/// A time of day in minutes, written `22:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct TimeOfDay(pub u16);

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |digits: &str, end: u16| {
            let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|number| plain && *number < end)
        };
        let minutes = text.split_once(':').and_then(|(h, m)| Some(number(h, 24)? * 60 + number(m, 60)?));
        minutes
            .map(Self)
            .ok_or_else(|| format!("\"{text}\" is not a time of day; write it from 00:00 to 23:59"))
    }
}
