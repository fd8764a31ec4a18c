//! Holds the arrows of the design: imports of the applier point one way, the change-record format depends on
//! nothing, and `unsafe` lives in the extension only. Reads the sources; needs no server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the applier from the top down. A room may use every room below its own floor; rooms of one
/// floor do not know each other, but for the pairs in [`NEIGHBOURS`].
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["run"],
    &["check", "copy", "apply", "compare", "finish", "watch"],
    &["ddl"],
    &["schema", "catalog", "state", "select"],
    &["pg"],
    &["config", "error"],
];

/// Uses within one floor.
const NEIGHBOURS: &[(&str, &str)] = &[("config", "error")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Rust files below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()))
}

/// The source without line comments.
fn code(path: &Path) -> String {
    let lines: Vec<String> = read(path)
        .lines()
        .map(|line| line.split_once("//").map_or(line, |(before, _)| before).to_owned())
        .collect();
    lines.join("\n")
}

/// The top-level module that a file of the applier belongs to.
fn room(applier: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(applier).expect("a file of the applier");
    let first = inside.components().next().expect("a path").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The first names of all paths that begin with `crate::`.
fn uses(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, start) in code.match_indices("crate::") {
        let rest = &code[at + start.len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(group(list)),
            None => names.extend(name(rest)),
        }
    }
    names
}

/// The first names inside `{a::b, c::{d, e}}`, without the opening brace.
fn group(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut fresh) = (0, Vec::new(), true);
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            _ if fresh && depth == 0 && !letter.is_whitespace() => {
                names.extend(name(&list[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

/// The identifier that a text begins with, where it is a module's (lower case).
fn name(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    name.starts_with(|c: char| c.is_ascii_lowercase()).then_some(name)
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Why a room may not use another; `None` where it may.
fn objection(from: &str, to: &str) -> Option<String> {
    if from == to || NEIGHBOURS.contains(&(from, to)) {
        return None;
    }
    match (floor(from), floor(to)) {
        (Some(from), Some(to)) if from < to => None,
        (Some(_), Some(_)) => Some("points up or sideways".into()),
        (None, _) => Some(format!("{from} is on no floor of the design")),
        (_, None) => Some(format!("{to} is on no floor of the design")),
    }
}

#[test]
fn imports_of_the_applier_point_one_way() {
    let applier = root().join("applier/src");
    let mut wrong = Vec::new();
    for file in rust_files(&applier) {
        let from = room(&applier, &file);
        for to in uses(&code(&file)) {
            if let Some(why) = objection(&from, &to) {
                wrong.push(format!("{}: crate::{to} {why}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Rows keep the layout that they come in; what a record is, only the adapter knows.
#[test]
fn rule_22_only_the_adapter_reads_records() {
    let apply = root().join("applier/src/apply");
    for file in rust_files(&apply).iter().filter(|file| !file.ends_with("adapter.rs")) {
        let code = code(file);
        for part in ["record", "decode", "frame", "version", "{"] {
            assert!(!code.contains(&format!("walferry_wire::{part}")), "{} reads {part}", file.display());
        }
    }
}

#[test]
fn the_record_format_depends_on_nothing() {
    let manifest: toml::Table =
        read(&root().join("decoder-ext/wire/Cargo.toml")).parse().expect("a manifest");
    for section in ["dependencies", "build-dependencies"] {
        let names = manifest.get(section).and_then(toml::Value::as_table).map(|table| table.len());
        assert_eq!(names.unwrap_or(0), 0, "[{section}] of the wire crate must be empty");
    }
}

#[test]
fn unsafe_lives_in_the_extension_only() {
    let word = "unsafe";
    let marks = [" {", " fn", " impl", " extern", " trait"].map(|after| format!("{word}{after}"));
    let folders = ["applier/src", "decoder-ext/wire/src", "tests/src", "tests/scenarios", "tests/tests"];
    for file in folders.iter().flat_map(|folder| rust_files(&root().join(folder))) {
        let code = code(&file);
        for mark in &marks {
            assert!(!code.contains(mark), "{} has {mark:?}", file.display());
        }
    }
}

#[test]
fn grouped_imports_are_seen() {
    let found = uses("use crate::{pg::{quote, Client}, error::Error};\nlet x = crate::select::scope(1);");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["error", "pg", "select"]);
}
