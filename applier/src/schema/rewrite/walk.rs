//! The walk over a statement's tree and its marked twin that decides what each marked word becomes.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::protobuf::{GrantTargetType, ObjectType};
use serde_json::{Map, Value};

use super::marks::Marks;
use super::places::{self, Form};
use super::scope::{Scope, Target, query_scope, referenced, target};
use super::tree;
use super::{NameMap, Qualified, Rewriter};

/// What becomes of the marked words.
#[derive(Debug, Default)]
pub struct Decisions {
    /// New values.
    pub values: BTreeMap<usize, String>,
    /// Relations' names, by their word and their schema's, that get an alias.
    pub aliases: BTreeMap<usize, (usize, String)>,
    /// Names without a schema that get one: schema and name.
    pub qualified: BTreeMap<usize, Qualified>,
    /// Schemas that go, with the dot behind them.
    pub dropped: BTreeSet<usize>,
    /// Mapped names in texts that no parser reads.
    pub unseen: BTreeSet<String>,
    /// Names that should change and cannot.
    pub stuck: BTreeSet<String>,
}

/// Where a value stands: the kind of the node around it, and the field.
pub(super) type Place<'a> = (&'a str, &'a str);

pub(super) struct Walk<'a> {
    pub(super) rewriter: &'a Rewriter,
    pub(super) map: &'a NameMap,
    pub(super) marks: &'a Marks<'a>,
    pub(super) made: Decisions,
    /// Words that a place has accounted for.
    pub(super) seen: BTreeSet<usize>,
    /// What column references of this statement may name.
    referenced: BTreeSet<&'a str>,
    /// The table that the statement is about.
    target: Option<Target<'a>>,
    /// The table of the INSERT that is being walked.
    insert: Option<(&'a str, &'a str)>,
}

/// Decides for all statements of a tree.
pub fn decide(rewriter: &Rewriter, marks: &Marks, tree: &Value, marked: &Value) -> Decisions {
    let map = &rewriter.map;
    let mut walk = Walk {
        rewriter,
        map,
        marks,
        made: Decisions::default(),
        seen: BTreeSet::new(),
        referenced: BTreeSet::new(),
        target: None,
        insert: None,
    };
    for (statement, marked) in tree::items(tree).iter().zip(tree::items(marked)) {
        walk.referenced = referenced(statement);
        walk.target = statement.get("stmt").and_then(|statement| target(map, statement));
        walk.visit(&statement["stmt"], &marked["stmt"], ("RawStmt", "stmt"), &Scope::default());
    }
    let overlooked: Vec<_> = marks.qualifiers().filter(|word| !walk.seen.contains(word)).collect();
    walk.made.stuck.extend(overlooked.into_iter().map(|word| marks.text(word).to_owned()));
    walk.made
}

impl<'a> Walk<'a> {
    fn visit(&mut self, a: &'a Value, b: &Value, place: Place<'a>, scope: &Scope<'a>) {
        if let Value::Array(list) = a {
            return self.list(list, tree::items(b), place, scope);
        }
        match tree::node(a) {
            Some(("List", list)) => self.list(tree::items(&list["items"]), tree::items(b), place, scope),
            Some((kind, fields)) => self.node(kind, fields, tree::twin(b, kind), place, scope),
            None => {}
        }
    }

    fn list(&mut self, a: &'a [Value], b: &[Value], place: Place<'a>, scope: &Scope<'a>) {
        match place {
            ("ColumnRef", "fields") => self.column(a, b, scope),
            _ if tree::strings(a).is_some() && places::is_name(place.0, place.1) => {
                self.named(Form::Name, a, b)
            }
            _ => a.iter().zip(b).for_each(|(a, b)| self.visit(a, b, place, scope)),
        }
    }

    fn node(
        &mut self,
        kind: &'a str,
        a: &'a Map<String, Value>,
        b: &Value,
        place: Place<'a>,
        scope: &Scope<'a>,
    ) {
        if kind == "RangeVar" {
            return self.relation(a, b, place, scope);
        }
        if kind == "TypeName" {
            self.type_name(a, b);
        }
        self.objects(kind, a, b);
        self.own_fields(kind, a, b);
        self.strings(kind, a, b);
        let insert = self.insert;
        self.insert = if kind == "InsertStmt" { table_of(a) } else { insert };
        let inner = places::is_query(kind).then(|| query_scope(a, scope));
        for (field, value) in a {
            self.visit(value, &b[field.as_str()], (kind, field), inner.as_ref().unwrap_or(scope));
        }
        self.insert = insert;
    }

    /// A word gets a new value, or is known to keep its own.
    pub(super) fn set(&mut self, old: &str, marked: &Value, new: &str) {
        let word = self.marks.at(marked);
        self.seen.extend(word);
        match word {
            _ if old == new => {}
            Some(word) => {
                self.made.values.insert(word, new.to_owned());
            }
            None => {
                self.made.stuck.insert(old.to_owned());
            }
        }
    }

    fn relation(&mut self, a: &'a Map<String, Value>, b: &Value, place: Place<'a>, scope: &Scope<'a>) {
        let (schema, name) = (tree::text(a, "schemaname"), tree::text(a, "relname"));
        if schema.is_empty() {
            return self.bare_relation(a, b, place, scope);
        }
        let (to_schema, to_name) = self.map.relation(schema, name);
        self.set(schema, &b["schemaname"], &to_schema);
        self.set(name, &b["relname"], &to_name);
        let words = self.marks.at(&b["schemaname"]).zip(self.marks.at(&b["relname"]));
        let bare = a["alias"].is_null() && places::takes_alias(place.0, place.1);
        if let Some((schema, word)) =
            words.filter(|_| bare && name != to_name && self.referenced.contains(name))
            && !self.marks.is_table_command(schema)
        {
            self.made.aliases.insert(word, (schema, name.to_owned()));
        }
    }

    /// A relation by its name alone.
    fn bare_relation(&mut self, a: &'a Map<String, Value>, b: &Value, place: Place<'a>, scope: &Scope<'a>) {
        let name = tree::text(a, "relname");
        if place.0 == "LockingClause" || scope.has_cte(name) {
            return;
        }
        self.made.unseen.extend(self.map.missed_by(name));
        let Some(to) = self.map.bare(name) else { return };
        let other_name = to.1 != name;
        let word = self.qualify(name, &b["relname"], to);
        let bare = a["alias"].is_null() && places::takes_alias(place.0, place.1);
        if let Some(word) = word.filter(|_| bare && other_name && self.referenced.contains(name))
            && !self.marks.is_table_command(word)
        {
            self.made.aliases.insert(word, (word, name.to_owned()));
        }
    }

    /// A name gets a schema before it.
    fn qualify(&mut self, old: &str, marked: &Value, to: Qualified) -> Option<usize> {
        let word = self.marks.at(marked);
        self.seen.extend(word);
        match word {
            Some(word) => {
                self.made.qualified.insert(word, to);
            }
            None => {
                self.made.stuck.insert(old.to_owned());
            }
        }
        word
    }

    /// `table.column` or `schema.table.column`, `*` for the column included.
    fn column(&mut self, a: &'a [Value], b: &[Value], scope: &Scope<'a>) {
        self.account_for(b);
        let names: Vec<_> = a.iter().map_while(tree::string).collect();
        match (a.len(), names.as_slice()) {
            (3, [schema, table, ..]) => {
                let (to_schema, to_table) = self.map.relation(schema, table);
                match self.marks.at(sval(&b[0])) {
                    // The table has its old name as alias there, which no schema can stand before.
                    Some(word) if *table != to_table && scope.is_query() => {
                        self.made.dropped.insert(word);
                    }
                    _ => {
                        self.set(schema, sval(&b[0]), &to_schema);
                        self.set(table, sval(&b[1]), &to_table);
                    }
                }
            }
            (2, [table, ..]) => self.column_of_target(table, &b[0], scope),
            // The database before them, as nobody writes.
            (4, [_, schema, table, ..]) if self.map.relation(schema, table).0 != *schema => {
                self.made.stuck.insert((*schema).to_owned());
            }
            // A column alone.
            _ => {}
        }
    }

    fn column_of_target(&mut self, table: &'a str, marked: &Value, scope: &Scope<'a>) {
        let Some(target) = self.target.as_ref().filter(|target| target.name == table) else { return };
        if scope.has(table) || target.to_name == table {
            return;
        }
        let new = target.to_name.clone();
        if scope.has(&new) {
            self.made.stuck.insert(table.to_owned());
        }
        self.set(table, sval(marked), &new);
    }

    fn type_name(&mut self, a: &Map<String, Value>, b: &Value) {
        let (items, marked) = (tree::items(&a["names"]), tree::items(&b["names"]));
        let Some(names) = tree::strings(items) else { return };
        self.account_for(marked);
        let at = match (a["pct_type"].as_bool(), names.len()) {
            (Some(true), len) if len >= 3 => len - 3,
            (Some(false), len) if len >= 2 => len - 2,
            (Some(of_column), len) if len == 1 + usize::from(of_column) => {
                return self.bare_type(names[0], of_column, sval(&marked[0]));
            }
            // No name.
            _ => return,
        };
        let (schema, name) = self.map.table(names[at], names[at + 1]);
        self.set(names[at], sval(&marked[at]), &schema);
        self.set(names[at + 1], sval(&marked[at + 1]), &name);
    }

    /// A type of the search_path: a table's row type, or the type of a table's column. What pg_catalog has by the
    /// same name goes before it.
    fn bare_type(&mut self, name: &str, of_column: bool, marked: &Value) {
        if let Some(to) = self.map.bare(name).filter(|_| of_column || !places::is_system_type(name)) {
            self.qualify(name, marked, to);
        }
    }

    /// The names of whatever an ALTER, COMMENT, GRANT ... is about.
    fn objects(&mut self, kind: &str, a: &Map<String, Value>, b: &Value) {
        let Some((type_field, field)) = places::object_fields(kind) else { return };
        let object = ObjectType::try_from(tree::number(a, type_field)).unwrap_or(ObjectType::Undefined);
        let everything = GrantTargetType::AclTargetAllInSchema as i32;
        let all_in_schema = kind == "GrantStmt" && tree::number(a, "targtype") == everything;
        let form = if all_in_schema { Form::Schema } else { places::form(object) };
        if field == "object" {
            return self.object(form, &a[field], &b[field]);
        }
        for (a, b) in tree::items(&a[field]).iter().zip(tree::items(&b[field])) {
            self.object(form, a, b);
        }
    }

    fn object(&mut self, form: Form, a: &Value, b: &Value) {
        match tree::string(a).filter(|_| form == Form::Schema) {
            Some(schema) => self.set(schema, sval(b), self.map.schema(schema)),
            None => self.named(form, tree::items(a), tree::items(b)),
        }
    }

    /// A list of strings that names an object.
    pub(super) fn named(&mut self, form: Form, a: &[Value], b: &[Value]) {
        let Some(names) = tree::strings(a) else { return };
        self.account_for(b);
        let from_end = match form {
            Form::Name | Form::Relation => 2,
            Form::Part | Form::Constraint => 3,
            Form::AccessMethod if names.len() == 3 => 2,
            Form::AccessMethod | Form::Schema | Form::Outside => return,
        };
        let relation = matches!(form, Form::Relation | Form::Part | Form::Constraint);
        let Some(at) = names.len().checked_sub(from_end) else {
            return self.bare_name(form, &names, b, from_end - 1);
        };
        let (schema, name) = (names[at], names[at + 1]);
        let (to_schema, to_name) = match relation {
            true => self.map.relation(schema, name),
            false => (self.map.schema(schema).to_owned(), name.to_owned()),
        };
        self.set(schema, sval(&b[at]), &to_schema);
        self.set(name, sval(&b[at + 1]), &to_name);
        if form == Form::Constraint {
            let constraint = names[at + 2];
            self.set(constraint, sval(&b[at + 2]), self.map.constraint(schema, name, constraint));
        }
    }

    /// The name of a relation without its schema, and of a part of it.
    fn bare_name(&mut self, form: Form, names: &[&str], b: &[Value], len: usize) {
        if form == Form::Name || names.len() != len {
            return;
        }
        if let Some(to) = self.map.bare(names[0]) {
            self.qualify(names[0], sval(&b[0]), to);
        }
        if let Some(schema) = self.map.schema_of(names[0]).filter(|_| form == Form::Constraint) {
            let constraint = names[1];
            self.set(constraint, sval(&b[1]), self.map.constraint(schema, names[0], constraint));
        }
    }

    fn account_for(&mut self, marked: &[Value]) {
        let words = marked.iter().filter_map(|item| self.marks.at(sval(item)));
        self.seen.extend(words);
    }

    /// Names that stand in a field of their own, without a schema.
    fn own_fields(&mut self, kind: &str, a: &Map<String, Value>, b: &Value) {
        match kind {
            "CreateSchemaStmt" => self.schema_field("schemaname", a, b),
            "AlterObjectSchemaStmt" => self.schema_field("newschema", a, b),
            "ImportForeignSchemaStmt" => self.schema_field("local_schema", a, b),
            // FOR TABLES IN SCHEMA; a table of a publication is a RangeVar.
            "PublicationObjSpec" => self.schema_field("name", a, b),
            "CreateExtensionStmt" => self.schema_options("schema", a, b),
            "AlterDefaultPrivilegesStmt" => self.schema_options("schemas", a, b),
            "IndexStmt" => self.index_field("idxname", a, b),
            "ClusterStmt" => self.index_field("indexname", a, b),
            "ReplicaIdentityStmt" => self.index_field("name", a, b),
            "Constraint" => {
                self.constraint_field("conname", a, b);
                self.index_field("indexname", a, b);
            }
            "AtalterConstraint" => self.constraint_field("conname", a, b),
            "AlterTableCmd" => self.command(a, b),
            "InferClause" => self.inferred(a, b),
            "DefElem" => self.option(a, b),
            // The other kinds hold names in lists, in RangeVars and in TypeNames, or none.
            _ => {}
        }
    }

    fn schema_field(&mut self, field: &str, a: &Map<String, Value>, b: &Value) {
        let schema = tree::text(a, field);
        self.set(schema, &b[field], self.map.schema(schema));
    }

    fn schema_options(&mut self, option: &str, a: &Map<String, Value>, b: &Value) {
        for (a, b) in tree::items(&a["options"]).iter().zip(tree::items(&b["options"])) {
            let Some((_, fields)) = tree::node(a).filter(|(_, a)| tree::text(a, "defname") == option) else {
                continue;
            };
            let marked = &tree::twin(b, "DefElem")["arg"];
            self.object(Form::Schema, &fields["arg"], marked);
            for (a, b) in tree::items(&fields["arg"]).iter().zip(tree::items(marked)) {
                self.object(Form::Schema, a, b);
            }
        }
    }

    /// An index is in the schema of the statement's table.
    pub(super) fn index_field(&mut self, field: &str, a: &Map<String, Value>, b: &Value) {
        let index = tree::text(a, field);
        if let Some(target) = self.target.as_ref().filter(|_| !index.is_empty()) {
            let (_, to) = self.map.relation(target.schema, index);
            self.set(index, &b[field], &to);
        }
    }

    pub(super) fn constraint_field(&mut self, field: &str, a: &Map<String, Value>, b: &Value) {
        let constraint = tree::text(a, field);
        if let Some(target) = self.target.as_ref() {
            let to = self.map.constraint(target.schema, target.name, constraint);
            self.set(constraint, &b[field], to);
        }
    }

    fn inferred(&mut self, a: &Map<String, Value>, b: &Value) {
        if let Some((schema, table)) = self.insert {
            let constraint = tree::text(a, "conname");
            self.set(constraint, &b["conname"], self.map.constraint(schema, table, constraint));
        }
    }
}

/// Schema and name of the table that a node works on.
fn table_of(a: &Map<String, Value>) -> Option<(&str, &str)> {
    let (_, table) = tree::node(a.get("relation")?)?;
    Some((tree::text(table, "schemaname"), tree::text(table, "relname")))
}

/// The mark in a String node's twin.
pub(super) fn sval(value: &Value) -> &Value {
    &tree::twin(value, "String")["sval"]
}
