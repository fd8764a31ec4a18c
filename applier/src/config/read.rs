//! TOML into typed values, and what went wrong in words. The names of the keys come from the structs themselves, so
//! they cannot drift from what is read.

use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use std::ops::Range;

/// Reads the whole text as one `T`.
///
/// # Errors
/// A usage error with line and key. Nothing of the file but keys and short plain values is repeated.
pub(super) fn toml<T: DeserializeOwned>(text: &str) -> Result<T> {
    let document =
        toml::Deserializer::parse(text).map_err(|error| complain(text, error.span(), "", error.message()))?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        let path = error.path().to_string();
        complain(text, error.inner().span(), &path, error.inner().message())
    })
}

fn complain(text: &str, span: Option<Range<usize>>, path: &str, message: &str) -> Error {
    let line = span.map(|span| format!("line {}: ", 1 + text[..span.start].matches('\n').count()));
    let said = explain(path, message);
    Error::usage(format!("{}{said}", line.unwrap_or_default()))
}

/// serde's own sentences, with the key and the nearest known name.
fn explain(path: &str, message: &str) -> String {
    let path = if path == "." { "" } else { path };
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if let Some((unknown, known)) = names.split_first().filter(|_| message.starts_with("unknown field")) {
        return unknown_key(path, unknown, known);
    }
    if let Some((missing, _)) = names.split_first().filter(|_| message.starts_with("missing field")) {
        return match path {
            "" => format!("the section or key {missing} is missing; it is required"),
            section => format!("{section}.{missing} is missing; it is required"),
        };
    }
    if let Some((value, known)) = names.split_first().filter(|_| message.starts_with("unknown variant")) {
        return format!("{path} = \"{value}\" is not known; it may be {}", known.join(", "));
    }
    // A url in the wrong place may hold a password.
    let message = if message.contains("://") { "the value is of the wrong kind" } else { message };
    if path.is_empty() { message.to_owned() } else { format!("{path}: {message}") }
}

fn unknown_key(path: &str, unknown: &str, known: &[&str]) -> String {
    // The path ends with the key itself.
    let section = path.strip_suffix(unknown).unwrap_or(path).trim_end_matches('.');
    let key = if section.is_empty() { unknown.to_owned() } else { format!("{section}.{unknown}") };
    let likeness = |name: &&&str| (strsim::jaro_winkler(name, unknown) * 1000.0) as u32;
    match known.iter().max_by_key(likeness) {
        Some(nearest) if section.is_empty() => {
            format!("{key} is not a known section; the nearest known one is {nearest}")
        }
        Some(nearest) => format!("{key} is not a known key; the nearest known one is {section}.{nearest}"),
        None => format!("{key} is not a known key"),
    }
}
