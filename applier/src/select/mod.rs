//! Which tables are chosen and what they are called at the destination: scope, patterns, name mapping. Pure.

use std::collections::HashMap;
use walferry_wire::pattern::{self, Selection};

use crate::config::{Mapping, NamePattern, Objects};

/// What tables are called at the destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    rules: Vec<Mapping>,
    chosen: HashMap<u32, (String, String)>,
    /// How many of the chosen tables go to each destination.
    sources: HashMap<(String, String), usize>,
}

impl Names {
    /// Follows the `[[map]]` entries of the configuration.
    pub fn new(rules: &[Mapping]) -> Self {
        Self { rules: rules.to_vec(), ..Self::default() }
    }

    /// Tables keep the names that they had when they were chosen, whatever the source calls them later.
    pub fn keep(&mut self, chosen: impl Iterator<Item = (u32, (String, String))>) {
        for (oid, destination) in chosen {
            *self.sources.entry(destination.clone()).or_default() += 1;
            self.chosen.insert(oid, destination);
        }
    }

    /// A table has another name at the destination from now on; `None` leaves it to the rules.
    pub fn call(&mut self, oid: u32, destination: Option<(String, String)>) {
        let before = self.chosen.remove(&oid);
        if let Some(count) = before.and_then(|before| self.sources.get_mut(&before)) {
            *count -= 1;
        }
        self.keep(destination.map(|destination| (oid, destination)).into_iter());
    }

    /// Whether several of the chosen tables go to this one.
    pub fn are_many(&self, destination: &(String, String)) -> bool {
        self.sources.get(destination).is_some_and(|sources| *sources > 1)
    }

    /// Schema and name at the destination. A rule for the table goes before one for its schema.
    pub fn of(&self, oid: u32, schema: &str, name: &str) -> (String, String) {
        if let Some(kept) = self.chosen.get(&oid) {
            return kept.clone();
        }
        let of_schema = self.rules.iter().filter(|rule| rule.schema == schema);
        let (tables, schemas): (Vec<_>, Vec<_>) = of_schema.partition(|rule| rule.table.is_some());
        let rule = tables.into_iter().find(|rule| rule.table.as_deref() == Some(name));
        let to = rule.or(schemas.first().copied());
        let to_schema = to.map_or(schema, |rule| rule.to_schema.as_str());
        let to_name = to.and_then(|rule| rule.to_table.as_deref()).unwrap_or(name);
        (to_schema.to_owned(), to_name.to_owned())
    }
}

/// The tables that a configuration chooses, as the plugin is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    include: String,
    exclude: String,
    selection: Selection,
}

impl Choice {
    /// Follows `include` and `exclude` of the configuration; nothing included means everything.
    pub fn new(objects: &Objects) -> Self {
        let patterns = |given: &[NamePattern]| given.iter().map(|one| one.pattern.clone()).collect();
        let text = |given: &[NamePattern]| {
            given.iter().map(|one| pattern::to_ascii(&one.text)).collect::<Vec<_>>().join(",")
        };
        let everything = objects.include.is_empty();
        let all = || pattern::list(EVERYTHING).unwrap_or_default();
        Self {
            include: if everything { EVERYTHING.to_owned() } else { text(&objects.include) },
            exclude: text(&objects.exclude),
            selection: Selection {
                relations: Default::default(),
                include: if everything { all() } else { patterns(&objects.include) },
                exclude: patterns(&objects.exclude),
            },
        }
    }

    /// Whether a table is chosen by its name.
    pub fn wants(&self, oid: u32, schema: &str, name: &str) -> bool {
        self.selection.wants([(oid, schema, name)].into_iter())
    }

    /// Whether a relation is chosen by its name or by that of a partitioned table above it, all of which are given.
    pub fn wants_any<'n>(&self, names: impl Iterator<Item = (u32, &'n str, &'n str)> + Clone) -> bool {
        self.selection.wants(names)
    }

    /// The plugin's `include`.
    pub fn include(&self) -> &str {
        &self.include
    }

    /// The plugin's `exclude`.
    pub fn exclude(&self) -> &str {
        &self.exclude
    }
}

const EVERYTHING: &str = "*.*";

#[cfg(test)]
mod tests {
    use super::*;

    fn map(from: (&str, Option<&str>), to: (&str, Option<&str>)) -> Mapping {
        Mapping {
            schema: from.0.to_owned(),
            table: from.1.map(str::to_owned),
            to_schema: to.0.to_owned(),
            to_table: to.1.map(str::to_owned),
        }
    }

    fn to(names: &Names, schema: &str, name: &str) -> String {
        let (schema, name) = names.of(1, schema, name);
        format!("{schema}|{name}")
    }

    #[test]
    fn a_table_rule_goes_before_its_schemas_rule() {
        let names = Names::new(&[
            map(("sales", None), ("archive", None)),
            map(("sales", Some("Leads")), ("crm", Some("leads_eu"))),
        ]);
        assert_eq!(to(&names, "sales", "orders"), "archive|orders");
        assert_eq!(to(&names, "sales", "Leads"), "crm|leads_eu");
        assert_eq!(to(&names, "public", "orders"), "public|orders");
    }

    #[test]
    fn a_chosen_table_keeps_its_name() {
        let mut names = Names::default();
        names.keep([(1, ("s".to_owned(), "old".to_owned()))].into_iter());
        assert_eq!(to(&names, "s", "renamed"), "s|old");
    }
}
