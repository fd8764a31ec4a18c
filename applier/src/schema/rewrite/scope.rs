//! Which tables a column reference can name: those of the queries around it, else the one that the statement is
//! about. A renamed table in a query gets its old name as an alias; a policy's, check's or index's table cannot.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{NameMap, tree};

/// The names of the tables of a query and of those around it.
#[derive(Debug, Default, Clone)]
pub struct Scope<'a> {
    tables: BTreeSet<&'a str>,
    ctes: BTreeSet<&'a str>,
    query: bool,
}

impl Scope<'_> {
    /// Whether a query here or around knows a table by this name.
    pub fn has(&self, name: &str) -> bool {
        self.tables.contains(name)
    }

    /// Whether the name is that of a common table expression.
    pub fn has_cte(&self, name: &str) -> bool {
        self.ctes.contains(name)
    }

    /// Whether there is any query around.
    pub fn is_query(&self) -> bool {
        self.query
    }
}

/// The scope inside a SELECT, INSERT, UPDATE, DELETE or MERGE.
pub fn query_scope<'a>(query: &'a Map<String, Value>, outer: &Scope<'a>) -> Scope<'a> {
    let mut scope = Scope { query: true, ..outer.clone() };
    for field in ["relation", "source_relation", "from_clause", "using_clause"] {
        query.get(field).into_iter().for_each(|value| add_tables(value, &mut scope.tables));
    }
    let ctes = query.get("with_clause").and_then(|with| with.get("ctes")).map_or(&[][..], tree::items);
    let names = ctes.iter().filter_map(tree::node).map(|(_, cte)| tree::text(cte, "ctename"));
    scope.ctes.extend(names);
    scope
}

fn add_tables<'a>(value: &'a Value, tables: &mut BTreeSet<&'a str>) {
    for item in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
        let Some((kind, fields)) = tree::node(item) else { continue };
        let alias =
            fields.get("alias").and_then(Value::as_object).map(|alias| tree::text(alias, "aliasname"));
        match kind {
            "RangeVar" => tables.insert(alias.unwrap_or_else(|| tree::text(fields, "relname"))),
            _ => alias.is_some_and(|alias| tables.insert(alias)),
        };
        for field in ["larg", "rarg", "relation"] {
            let inner = fields.get(field).filter(|_| kind == "JoinExpr" || kind == "RangeTableSample");
            inner.into_iter().for_each(|value| add_tables(value, tables));
        }
    }
}

/// The table that a statement is about.
#[derive(Debug)]
pub struct Target<'a> {
    /// The source's schema.
    pub schema: &'a str,
    /// The source's name.
    pub name: &'a str,
    /// The destination's name.
    pub to_name: String,
}

/// The table that a statement is about, if it is about one.
pub fn target<'a>(map: &'a NameMap, statement: &'a Value) -> Option<Target<'a>> {
    let (kind, fields) = tree::node(statement)?;
    let table = match kind {
        "CreateStmt" | "AlterTableStmt" | "IndexStmt" | "CreateTrigStmt" | "ClusterStmt" => {
            fields.get("relation")?
        }
        "CreateForeignTableStmt" => fields.get("base_stmt")?.get("relation")?,
        "CreatePolicyStmt" | "AlterPolicyStmt" => fields.get("table")?,
        "CreateStatsStmt" => tree::items(fields.get("relations")?).first()?,
        // Queries, rules and views know their tables by scope; the rest has no expressions over one table.
        _ => return None,
    };
    let (_, table) = tree::node(table)?;
    let (schema, name) = (tree::text(table, "schemaname"), tree::text(table, "relname"));
    let schema = if schema.is_empty() { map.schema_of(name).unwrap_or_default() } else { schema };
    Some(Target { schema, name, to_name: map.table(schema, name).1 })
}

/// Every name that a column reference of the statement may mean a table by.
pub fn referenced(statement: &Value) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    collect(statement, &mut names);
    names
}

fn collect<'a>(value: &'a Value, names: &mut BTreeSet<&'a str>) {
    match (value, tree::node(value)) {
        (Value::Array(items), _) => items.iter().for_each(|item| collect(item, names)),
        (_, Some(("ColumnRef", fields))) => {
            names.extend(tree::items(&fields["fields"]).iter().filter_map(tree::string))
        }
        (_, Some(("LockingClause", fields))) => {
            let tables = tree::items(&fields["locked_rels"]).iter().filter_map(tree::node);
            names.extend(tables.map(|(_, table)| tree::text(table, "relname")));
        }
        (_, Some((_, fields))) => fields.values().for_each(|value| collect(value, names)),
        (_, None) => {}
    }
}
