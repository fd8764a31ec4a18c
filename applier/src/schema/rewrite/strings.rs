//! String constants that hold names or SQL: texts of `reg*` types, `nextval`'s argument, `search_path`, the bodies
//! of functions. What no parser reads is searched for mapped names, which are reported.

use pg_query::protobuf::AlterTableType;
use serde_json::{Map, Value};

use super::places::{self, Form};
use super::walk::{Walk, sval};
use super::{rewrite_text, tree};

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
        let made = rewrite_text(self.map, &statement).ok();
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

    fn body(&mut self, options: &'a Value, marked: &Value, default: &str) {
        let named = |name: &str| {
            let pairs = tree::items(options).iter().zip(tree::items(marked));
            pairs
                .filter_map(|(a, b)| Some((&tree::node(a)?.1["arg"], b, tree::node(a)?.1)))
                .find(|(_, _, option)| tree::text(option, "defname") == name)
                .map(|(arg, b, _)| (arg, &tree::twin(b, "DefElem")["arg"]))
        };
        let Some((body, marked)) = named("as") else { return };
        let language = named("language").and_then(|(language, _)| tree::string(language)).unwrap_or(default);
        let (first, marked) = match tree::string(body) {
            Some(_) => (Some(body), Some(marked)),
            None => (tree::items(body).first(), tree::items(marked).first()),
        };
        if let Some((first, marked)) = first.zip(marked) {
            self.body_in(&language.to_ascii_lowercase(), sval(first), sval(marked));
        }
    }

    fn body_in(&mut self, language: &str, a: &Value, b: &Value) {
        let text = a.as_str().unwrap_or_default();
        match (language, rewrite_text(self.map, text)) {
            ("sql", Ok(made)) => {
                self.set(text, b, &made.sql);
                self.made.unseen.extend(made.unseen);
            }
            // A library and a symbol.
            ("c" | "internal", _) => {}
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

    /// `OWNED BY schema.table.column` of a sequence, `SEQUENCE NAME` of an identity column.
    pub(super) fn option(&mut self, a: &Map<String, Value>, b: &Value) {
        let form = match tree::text(a, "defname") {
            "owned_by" => Form::Part,
            "sequence_name" => Form::Relation,
            // A name that is no relation's is read with the other lists.
            _ => return,
        };
        self.named(form, tree::items(&a["arg"]), tree::items(&b["arg"]));
    }
}
