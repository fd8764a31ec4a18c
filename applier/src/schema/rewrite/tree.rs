//! Parse trees as JSON: PostgreSQL 18's parser (`pg_query`) with every position left out, so that two trees can be
//! compared and walked side by side whatever kinds of nodes they have.

use serde_json::{Map, Value};

/// The statements' tree, or what the parser says against the text.
pub fn parse(sql: &str) -> Result<Value, String> {
    let parsed = pg_query::parse(sql, 0).map_err(|error| error.to_string())?;
    of(&parsed.protobuf.stmts)
}

/// The tree of a part that is parsed already.
///
/// # Errors
/// What JSON cannot hold.
pub fn of(part: &impl serde::Serialize) -> Result<Value, String> {
    let mut tree = serde_json::to_value(part).map_err(|error| error.to_string())?;
    leave_out_positions(&mut tree);
    Ok(tree)
}

fn leave_out_positions(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|field, _| !is_position(field));
            fields.values_mut().for_each(leave_out_positions);
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_positions),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `location`, `stmt_location`, `stmt_len`, `rexpr_list_start` and the like.
fn is_position(field: &str) -> bool {
    ["location", "stmt_len", "list_start", "list_end"].iter().any(|end| field.ends_with(end))
}

/// Kind and fields of a node; a message that stands in its field without being a node is known by its shape.
pub fn node(value: &Value) -> Option<(&str, &Map<String, Value>)> {
    let fields = value.as_object()?;
    let Some(node) = fields.get("node").filter(|_| fields.len() == 1) else {
        return Some((shape(fields), fields));
    };
    let (kind, inner) = node.as_object()?.iter().next()?;
    Some((kind, inner.as_object()?))
}

/// The same message in a tree of the same shape.
pub fn twin<'a>(value: &'a Value, kind: &str) -> &'a Value {
    value.get("node").and_then(|node| node.get(kind)).unwrap_or(value)
}

fn shape(fields: &Map<String, Value>) -> &'static str {
    const SHAPES: &[(&str, &str)] = &[
        ("relpersistence", "RangeVar"),
        ("pct_type", "TypeName"),
        ("objname", "ObjectWithArgs"),
        ("from_clause", "SelectStmt"),
        ("grant_option", "GrantStmt"),
        ("table_elts", "CreateStmt"),
        ("index_elems", "InferClause"),
        ("collname", "CollateClause"),
        ("jumble_args", "VariableSetStmt"),
    ];
    SHAPES.iter().find(|(field, _)| fields.contains_key(*field)).map_or("", |(_, kind)| kind)
}

/// The value of a String node.
pub fn string(value: &Value) -> Option<&str> {
    value.get("node")?.get("String")?.get("sval")?.as_str()
}

/// The values of a list of String nodes.
pub fn strings(items: &[Value]) -> Option<Vec<&str>> {
    items.iter().map(string).collect()
}

/// The items of a field that is an array, or a List node.
pub fn items(value: &Value) -> &[Value] {
    let list = value.get("node").and_then(|node| node.get("List")).and_then(|list| list.get("items"));
    list.unwrap_or(value).as_array().map_or(&[], Vec::as_slice)
}

/// The value of a constant that is a string.
pub fn constant(value: &Value) -> Option<&Value> {
    value.get("node")?.get("AConst")?.get("val")?.get("Sval")?.get("sval")
}

/// A field's text; empty where there is none.
pub fn text<'a>(fields: &'a Map<String, Value>, field: &str) -> &'a str {
    fields.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A field's number, which an enumeration is; 0 where there is none.
pub fn number(fields: &Map<String, Value>, field: &str) -> i32 {
    fields.get(field).and_then(Value::as_i64).and_then(|number| i32::try_from(number).ok()).unwrap_or(0)
}
