//! The options of the plugin, as START_REPLICATION or the SQL functions gave them. An unknown option, a second value
//! and a value outside its grammar are refused by name.

use crate::names;
use crate::refuse::refuse;
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode as Code;
use std::collections::{BTreeMap, BTreeSet};
use walferry_wire::pattern::{self, Selection};
use walferry_wire::version::{self, Versions};

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The records of `walferry_wire`.
    Binary,
    /// One JSON text per record, for people.
    Json,
}

/// The options, checked.
#[derive(Debug)]
pub struct Options {
    /// The version of the format that both sides know.
    pub version: u16,
    /// Which relations are sent.
    pub selection: Selection,
    /// Transactions of these replication origins are not sent.
    pub skip_origins: BTreeSet<String>,
    /// Whether large transactions are sent while still in progress.
    pub streaming: bool,
    /// Whether DDL is sent, and the rows of rewrites.
    pub ddl: bool,
    /// How records are written.
    pub format: Format,
    /// At most so many JSON texts are written.
    pub limit: Option<u64>,
}

const KNOWN: &str =
    "Known are versions, include, exclude, relations, skip_origins, streaming, ddl, format and limit.";

impl Options {
    /// Reads the options of a decoding session; `given` are names and values in UTF-8.
    pub fn read(mut given: BTreeMap<String, String>) -> Self {
        let options = Self {
            version: version(given.remove("versions")),
            selection: Selection {
                include: patterns("include", given.remove("include").as_deref().unwrap_or("*.*")),
                exclude: patterns("exclude", given.remove("exclude").as_deref().unwrap_or_default()),
                relations: oids(given.remove("relations").as_deref().unwrap_or_default()),
            },
            skip_origins: origins(given.remove("skip_origins").as_deref().unwrap_or_default()),
            streaming: streaming(given.remove("streaming").as_deref().unwrap_or("off")),
            ddl: switch("ddl", given.remove("ddl").as_deref().unwrap_or("off")),
            format: format(given.remove("format").as_deref().unwrap_or("binary")),
            limit: given.remove("limit").map(|value| limit(&value)),
        };
        if let Some(unknown) = given.keys().next() {
            refuse(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("walferry: unknown option \"{unknown}\""),
                KNOWN,
            );
        }
        if options.limit.is_some() && options.format == Format::Binary {
            bad("limit", "it goes with format = json only", "Leave the option out.");
        }
        options
    }
}

/// The options in the list that PostgreSQL passes on, in UTF-8.
///
/// # Safety
/// `list` must be null or a list of `DefElem`.
pub unsafe fn given(list: *mut pg_sys::List) -> BTreeMap<String, String> {
    let mut given = BTreeMap::new();
    if list.is_null() {
        return given;
    }
    // SAFETY: a list has `length` cells, each a DefElem (the caller's promise); defGetString refuses a missing value.
    unsafe {
        for index in 0..(*list).length as usize {
            let element = (*(*list).elements.add(index)).ptr_value.cast::<pg_sys::DefElem>();
            let name = names::utf8((*element).defname);
            let value = names::utf8(pg_sys::defGetString(element));
            if given.insert(name.clone(), value).is_some() {
                bad(&name, "it is given twice", "Give every option once.");
            }
        }
    }
    given
}

fn bad(option: &str, seen: &str, hint: &str) -> ! {
    let message = format!("walferry: bad value of the option \"{option}\": {seen}");
    refuse(Code::ERRCODE_INVALID_PARAMETER_VALUE, message, hint)
}

fn version(given: Option<String>) -> u16 {
    let Some(text) = given else { return version::KNOWN.max };
    match Versions::parse(&text) {
        Err(error) => bad("versions", &error.to_string(), "Write a range of format versions."),
        Ok(asked) => asked.agree(version::KNOWN).unwrap_or_else(|| refuse_versions(asked)),
    }
}

fn refuse_versions(asked: Versions) -> ! {
    let message = format!(
        "walferry: the client speaks versions {asked} of the change-record format, this extension {}",
        version::KNOWN
    );
    let hint = "Install the extension and the applier of releases that share a version.";
    refuse(Code::ERRCODE_FEATURE_NOT_SUPPORTED, message, hint)
}

fn patterns(option: &str, value: &str) -> Vec<pattern::Pattern> {
    let hint = "Write schema.table patterns separated by commas, identifiers as in SQL, * for any text.";
    pattern::list(value).unwrap_or_else(|error| bad(option, &error.to_string(), hint))
}

fn oids(value: &str) -> BTreeSet<u32> {
    let hint = "Write oids of tables separated by commas.";
    let oid = |item: &str| match item.trim().parse() {
        Ok(oid) if oid != 0 => oid,
        _ => bad("relations", &format!("\"{item}\" is not an oid"), hint),
    };
    if value.trim().is_empty() { BTreeSet::new() } else { value.split(',').map(oid).collect() }
}

fn origins(value: &str) -> BTreeSet<String> {
    let hint = "Write names of replication origins separated by commas, quoted as identifiers in SQL.";
    match pattern::identifiers(value) {
        Ok(names) => names.into_iter().collect(),
        Err(error) => bad("skip_origins", &error.to_string(), hint),
    }
}

fn switch(option: &str, value: &str) -> bool {
    match value {
        "on" => true,
        "off" => false,
        other => bad(option, &format!("\"{other}\""), "Write on or off."),
    }
}

fn streaming(value: &str) -> bool {
    let asked = switch("streaming", value);
    if asked && cfg!(feature = "pg13") {
        bad(
            "streaming",
            "this server cannot stream transactions in progress",
            "PostgreSQL 14 and later can.",
        );
    }
    asked
}

fn format(value: &str) -> Format {
    match value {
        "binary" => Format::Binary,
        "json" => Format::Json,
        other => bad("format", &format!("\"{other}\""), "Write binary or json."),
    }
}

fn limit(value: &str) -> u64 {
    match value.trim().parse() {
        Ok(limit) if limit > 0 => limit,
        _ => bad("limit", &format!("\"{value}\" is not a number of records"), "Write a number from 1."),
    }
}
