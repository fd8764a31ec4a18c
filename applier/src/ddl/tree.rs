//! A statement's tree: parsed by the settings that it ran under, changed, and turned back into text that is proven to
//! have the same tree.

use pg_query::{NodeEnum, ParserOptions, protobuf};
use serde_json::{Map, Value};

use super::Captured;
use crate::error::{Error, Result};
use crate::schema::rewrite::tree as json;

/// How the source read the text.
pub fn options(captured: &Captured) -> ParserOptions {
    let is_off =
        |name: &str| captured.settings.iter().any(|(setting, value)| setting == name && value == "off");
    match is_off("standard_conforming_strings") {
        true => ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS,
        false => ParserOptions::DEFAULT,
    }
}

/// The one statement of a text.
///
/// # Errors
/// A refusal where PostgreSQL 18's grammar does not know the text, or where it holds several statements.
pub fn statement(text: &str, options: ParserOptions) -> Result<NodeEnum> {
    let parsed = pg_query::parse(text, options).map_err(|error| unreadable(&error.to_string()))?;
    let mut statements = parsed.protobuf.stmts.into_iter().filter_map(|raw| raw.stmt?.node);
    match (statements.next(), statements.next()) {
        (Some(statement), None) => Ok(statement),
        (None, _) => Err(unreadable("it holds no statement")),
        (Some(_), Some(_)) => Err(unreadable("it holds several statements")),
    }
}

/// What a captured statement defines, and whether that is not all of its text: EXPLAIN ANALYZE runs what it explains.
///
/// # Errors
/// As [`statement`].
pub fn definition(captured: &Captured, text: &str) -> Result<(NodeEnum, bool)> {
    let node = statement(text, options(captured))?;
    let NodeEnum::ExplainStmt(explain) = node else { return Ok((node, false)) };
    let explained = explain.query.and_then(|query| query.node);
    explained.map(|node| (node, true)).ok_or_else(|| unreadable("it explains nothing"))
}

fn unreadable(why: &str) -> Error {
    Error::rejected(format!(
        "a captured statement cannot be read: {why}; make the change at the destination by hand, then skip it"
    ))
}

/// The text of a changed tree.
///
/// # Errors
/// A refusal where the text does not parse to the same tree.
pub fn text(node: &NodeEnum) -> Result<String> {
    let failed = |why: &str| {
        Error::rejected(format!(
            "a captured statement has to be changed for the destination, which is not possible: {why}; make the \
             change at the destination by hand, then skip it"
        ))
    };
    let text = node.deparse(Default::default()).map_err(|error| failed(&error.to_string()))?;
    let again = statement(&text, ParserOptions::DEFAULT)?;
    let same = json::of(node).and_then(|old| Ok(old == json::of(&again)?)).map_err(|why| failed(&why))?;
    if same { Ok(text) } else { Err(failed("its text comes out with another meaning")) }
}

/// The kinds of nodes that make an expression's value depend on when or where it is computed.
const COMPUTED: &[&str] = &["FuncCall", "SqlvalueFunction", "SubLink", "NextValueExpr"];

/// What date and time types read as the time at which they read it.
const TIMES: &[&str] = &["now", "today", "tomorrow", "yesterday"];

/// Whether the value may be another one when it is computed again.
pub fn is_computed(expression: &impl serde::Serialize) -> bool {
    // What cannot be looked at may be anything.
    json::of(expression).map_or(true, |tree| any(&tree, &|kind, fields| computes(kind, fields)))
}

fn computes(kind: &str, fields: &Map<String, Value>) -> bool {
    let time = || {
        let text = fields["val"]["Sval"]["sval"].as_str().unwrap_or_default().trim().to_ascii_lowercase();
        TIMES.iter().any(|time| text.starts_with(time))
    };
    COMPUTED.contains(&kind) || kind == "AConst" && time()
}

/// Whether a node of the tree, which its kind and fields are given of, has a property.
pub fn any(tree: &Value, has: &dyn Fn(&str, &Map<String, Value>) -> bool) -> bool {
    match tree {
        Value::Array(items) => items.iter().any(|item| any(item, has)),
        Value::Object(_) => {
            let Some((kind, fields)) = json::node(tree) else { return false };
            has(kind, fields) || fields.values().any(|value| any(value, has))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The relations that a tree names, as schema (empty where there is none) and name, without common table expressions.
pub fn relations(part: &impl serde::Serialize) -> Vec<(String, String)> {
    let (mut found, mut named) = (Vec::new(), Vec::new());
    if let Ok(tree) = json::of(part) {
        collect(&tree, &mut found, &mut named);
    }
    found.retain(|(schema, name): &(String, String)| !(schema.is_empty() && named.contains(name)));
    found
}

fn collect(tree: &Value, found: &mut Vec<(String, String)>, named: &mut Vec<String>) {
    match (tree, json::node(tree)) {
        (Value::Array(items), _) => items.iter().for_each(|item| collect(item, found, named)),
        (_, Some((kind, fields))) => {
            let text = |field: &str| json::text(fields, field).to_owned();
            match kind {
                "RangeVar" => found.push((text("schemaname"), text("relname"))),
                "CommonTableExpr" => named.push(text("ctename")),
                // The other kinds are no relations.
                _ => {}
            }
            fields.values().for_each(|value| collect(value, found, named));
        }
        (_, None) => {}
    }
}

/// The strings of a list that names an object, whatever kind of node holds them.
pub fn name(node: &protobuf::Node) -> Vec<String> {
    let strings = |items: &[protobuf::Node]| items.iter().flat_map(name).collect();
    match node.node.as_ref() {
        Some(NodeEnum::String(text)) => vec![text.sval.clone()],
        Some(NodeEnum::List(list)) => strings(&list.items),
        Some(NodeEnum::ObjectWithArgs(object)) => strings(&object.objname),
        Some(NodeEnum::TypeName(type_name)) => strings(&type_name.names),
        Some(NodeEnum::RangeVar(relation)) => {
            let parts = [&relation.schemaname, &relation.relname];
            parts.into_iter().filter(|part| !part.is_empty()).cloned().collect()
        }
        // Nothing else names an object.
        _ => Vec::new(),
    }
}

/// A node around its contents.
pub fn node(inner: NodeEnum) -> protobuf::Node {
    protobuf::Node { node: Some(inner) }
}
