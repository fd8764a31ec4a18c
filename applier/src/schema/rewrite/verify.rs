//! Proof of a rewritten statement: its tree is the old one, but for what was decided word by word.

use serde_json::Value;

use super::marks::{Marks, Trees};
use super::tree;
use super::walk::Decisions;

/// Parses the new text and compares.
///
/// # Errors
/// Where anything else than the decided names differs, or the parser does not understand the new text.
pub fn verify(marks: &Marks, decisions: &Decisions, trees: &Trees, new: &str) -> Result<(), String> {
    let proof = Proof { marks, decisions };
    match proof.same(&trees.tree, &trees.marked, &tree::parse(new)?) {
        true => Ok(()),
        false => Err("replacing them would change more than the names".into()),
    }
}

struct Proof<'a> {
    marks: &'a Marks<'a>,
    decisions: &'a Decisions,
}

impl Proof<'_> {
    /// Whether `new` is `old`, but for the words decided where `marked` has their marks.
    fn same(&self, old: &Value, marked: &Value, new: &Value) -> bool {
        match (old, marked, new) {
            (Value::String(old), _, Value::String(new)) => {
                let word = self.marks.at(marked);
                let decided = word.and_then(|word| self.decisions.values.get(&word));
                let qualified =
                    word.and_then(|word| self.decisions.qualified.get(&word)).map(|(_, name)| name);
                decided.or(qualified).unwrap_or(old) == new
            }
            (Value::Array(old), Value::Array(marked), Value::Array(new)) => self.same_items(old, marked, new),
            (Value::Object(old), _, Value::Object(new)) => {
                old.len() == new.len()
                    && old.iter().all(|(field, value)| match (field.as_str(), self.alias(marked)) {
                        ("alias", Some(alias)) => new["alias"]["aliasname"] == *alias,
                        ("schemaname", _) if self.schema(marked).is_some() => {
                            Some(new["schemaname"].as_str().unwrap_or_default()) == self.schema(marked)
                        }
                        _ => self.same(value, &marked[field], &new[field]),
                    })
            }
            _ => old == new,
        }
    }

    fn same_items(&self, old: &[Value], marked: &[Value], new: &[Value]) -> bool {
        if let Some((schema, rest)) = new.split_first()
            && marked.first().and_then(|first| self.schema_of_string(first)).as_deref()
                == tree::string(schema)
            && tree::string(schema).is_some()
        {
            return old.len() == rest.len()
                && old.iter().zip(marked).zip(rest).all(|((old, marked), new)| self.same(old, marked, new));
        }
        let kept: Vec<_> = old.iter().zip(marked).filter(|(_, marked)| !self.is_dropped(marked)).collect();
        kept.len() == new.len()
            && kept.iter().zip(new).all(|((old, marked), new)| self.same(old, marked, new))
    }

    /// The schema that a RangeVar's name got.
    fn schema(&self, marked: &Value) -> Option<&str> {
        let word = self.marks.at(marked.get("relname")?)?;
        self.decisions.qualified.get(&word).map(|(schema, _)| schema.as_str())
    }

    /// The schema that the first string of a list got before it.
    fn schema_of_string(&self, marked: &Value) -> Option<String> {
        let word = self.marks.at(tree::twin(marked, "String").get("sval")?)?;
        self.decisions.qualified.get(&word).map(|(schema, _)| schema.clone())
    }

    fn is_dropped(&self, marked: &Value) -> bool {
        let word = tree::twin(marked, "String").get("sval").and_then(|mark| self.marks.at(mark));
        word.is_some_and(|word| self.decisions.dropped.contains(&word))
    }

    fn alias(&self, marked: &Value) -> Option<&String> {
        let word = self.marks.at(marked.get("relname")?)?;
        self.decisions.aliases.get(&word).map(|(_, alias)| alias)
    }
}
