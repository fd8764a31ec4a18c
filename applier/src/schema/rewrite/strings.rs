//! String constants that hold names or SQL: texts of `reg*` types, `nextval`'s argument, `search_path`, the bodies
//! of functions. What no parser reads is searched for mapped names, which are reported.

use pg_query::protobuf::AlterTableType;
use serde_json::{Map, Value};

use super::map::PUBLIC;
use super::places::{self, Form};
use super::tree;
use super::walk::{Walk, sval};

impl<'a> Walk<'a> {
    /// Whatever strings a node of this kind holds.
    pub(super) fn strings(&mut self, kind: &str, a: &'a Map<String, Value>, b: &Value) {
        match kind {
            "TypeCast" => self.cast(a, b),
            "FuncCall" => self.call(a, b),
            "VariableSetStmt" => self.setting(a, b),
            "CreateFunctionStmt" => self.body(&a["options"], &b["options"], "sql"),
            "DoStmt" => self.body(&a["args"], &b["args"], "plpgsql"),
            "AConst" => self.other(&a["val"]["Sval"]["sval"], &b["val"]["Sval"]["sval"]),
            "CreateTrigStmt" => {
                for (a, b) in tree::items(&a["args"]).iter().zip(tree::items(&b["args"])) {
                    self.other(sval(a), sval(b));
                }
            }
            // No other kind holds string constants that could be names.
            _ => {}
        }
    }

    /// `'...'::regclass`, and `('...'::text)::regclass` as old versions wrote it.
    fn cast(&mut self, a: &Map<String, Value>, b: &Value) {
        let type_name = tree::items(&a["type_name"]["names"]).last().and_then(tree::string);
        let Some((before, after)) = type_name.and_then(places::around) else { return };
        let (mut a, mut b) = (&a["arg"], &b["arg"]);
        if let Some(("TypeCast", inner)) = tree::node(a) {
            (a, b) = (&inner["arg"], &tree::twin(b, "TypeCast")["arg"]);
        }
        if let Some((a, b)) = tree::constant(a).zip(tree::constant(b)) {
            self.name_in_string(a, b, before, after);
        }
    }

    fn call(&mut self, a: &Map<String, Value>, b: &Value) {
        let function = tree::items(&a["funcname"]).last().and_then(tree::string).unwrap_or_default();
        let (a, b) = (tree::items(&a["args"]).first(), tree::items(&b["args"]).first());
        let constants = a.and_then(tree::constant).zip(b.and_then(tree::constant));
        if let Some((a, b)) = constants.filter(|_| places::reads_relation(function)) {
            self.name_in_string(a, b, "LOCK TABLE ", "");
        }
    }

    /// A string that the parser can read between two pieces of SQL.
    fn name_in_string(&mut self, a: &Value, b: &Value, before: &str, after: &str) {
        let text = a.as_str().unwrap_or_default();
        let statement = format!("{before}{text}{after}");
        let made = self.rewriter.rewrite_text(&statement).ok();
        let new = made.as_ref().and_then(|made| made.sql.strip_prefix(before)?.strip_suffix(after));
        if let Some(new) = new {
            self.set(text, b, new);
        }
    }

    /// `SET search_path TO ...` of a function, a role or a database.
    fn setting(&mut self, a: &Map<String, Value>, b: &Value) {
        if tree::text(a, "name") != "search_path" {
            return;
        }
        for (a, b) in tree::items(&a["args"]).iter().zip(tree::items(&b["args"])) {
            if let Some((a, b)) = tree::constant(a).zip(tree::constant(b)) {
                let schema = a.as_str().unwrap_or_default();
                self.set(schema, b, self.map.schema(schema));
            }
        }
    }

    /// What a function or DO block does: an `as` among its options, in the language that another one names.
    fn body(&mut self, options: &'a Value, marked: &Value, default: &str) {
        let marked = tree::items(marked);
        let options: Vec<_> =
            tree::items(options).iter().filter_map(tree::node).map(|(_, fields)| fields).collect();
        let at = |name: &str| options.iter().position(|option| tree::text(option, "defname") == name);
        let language = at("language").and_then(|at| tree::string(&options[at]["arg"])).unwrap_or(default);
        let Some(at) = at("as") else { return };
        let (body, marked) = (&options[at]["arg"], &tree::twin(&marked[at], "DefElem")["arg"]);
        // One string in DO; in CREATE FUNCTION a list, of two for a library and a symbol.
        let body = if tree::string(body).is_some() { Some(body) } else { tree::items(body).first() };
        let marked = tree::items(marked).first().unwrap_or(marked);
        if let Some(text) = body.and_then(tree::string) {
            let pinned = options.iter().any(|option| sets_search_path(option));
            self.body_in(&language.to_ascii_lowercase(), text, sval(marked), pinned);
        }
    }

    fn body_in(&mut self, language: &str, text: &str, marked: &Value, pinned: bool) {
        match language {
            // A library and a symbol, or a function of the server.
            "c" | "internal" => {}
            "sql" => match self.rewriter.rewrite_text(text) {
                Ok(made) => {
                    self.set(text, marked, &made.sql);
                    let unseen = made.unseen.into_iter().filter(|name| !pinned || name != PUBLIC);
                    self.made.unseen.extend(unseen);
                }
                Err(_) => self.made.unseen.extend(self.map.mentioned(text)),
            },
            _ => self.made.unseen.extend(self.map.mentioned(text)),
        }
    }

    /// A string of unknown meaning: reported where it has a mapped schema with a dot behind it.
    fn other(&mut self, a: &Value, b: &Value) {
        let unknown = self.marks.at(b).is_some_and(|word| !self.seen.contains(&word));
        if let Some(text) = a.as_str().filter(|_| unknown) {
            self.made.unseen.extend(self.map.qualifying(text));
        }
    }

    /// The index or constraint that a subcommand of ALTER TABLE names.
    pub(super) fn command(&mut self, a: &Map<String, Value>, b: &Value) {
        match AlterTableType::try_from(tree::number(a, "subtype")) {
            Ok(AlterTableType::AtClusterOn) => self.index_field("name", a, b),
            Ok(AlterTableType::AtValidateConstraint | AlterTableType::AtDropConstraint) => {
                self.constraint_field("name", a, b);
            }
            // A column's name, a setting's, or none.
            _ => {}
        }
    }

    /// An option whose value is a list: `OWNED BY schema.table.column`, `COMMUTATOR = OPERATOR(schema.=)` ...
    pub(super) fn option(&mut self, a: &Map<String, Value>, b: &Value) {
        let form = match tree::text(a, "defname") {
            "owned_by" => Form::Part,
            "sequence_name" => Form::Relation,
            // A library and a symbol, schemas (read with their statement), columns of COPY.
            "as" | "schemas" | "force_quote" | "force_not_null" | "force_null" => return,
            // A function or operator.
            _ => Form::Name,
        };
        self.named(form, tree::items(&a["arg"]), tree::items(&b["arg"]));
    }
}

fn sets_search_path(option: &Map<String, Value>) -> bool {
    let set = tree::node(&option["arg"]).filter(|(kind, _)| *kind == "VariableSetStmt");
    set.is_some_and(|(_, set)| tree::text(set, "name") == "search_path")
}
