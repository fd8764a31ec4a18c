//! What schemas and relations are called at the destination, and the words by which a text can mention them.
//!
//! A rule for a schema moves everything that lives in it. A rule for a table moves the table with its row type,
//! and what PostgreSQL keeps in the table's schema: its indexes, and the sequences that its columns own
//! (`ALTER TABLE ... SET SCHEMA` does the same); [`NameMap::follow`] names those. Names of indexes, constraints
//! and sequences stay as they are unless [`NameMap::rename_index`] or [`NameMap::rename_constraint`] says otherwise.

use std::collections::{BTreeSet, HashMap};

use crate::config::Mapping;
use crate::pg::quote;

const PG_CLASS: u32 = 1259;
const PG_TYPE: u32 = 1247;
const PG_NAMESPACE: u32 = 2615;

/// The schema of the default search_path.
pub const PUBLIC: &str = "public";

/// A schema and a name in it.
pub type Qualified = (String, String);

/// The names that change on the way to the destination.
#[derive(Debug, Clone, Default)]
pub struct NameMap {
    schemas: HashMap<String, String>,
    tables: HashMap<Qualified, Qualified>,
    followers: HashMap<Qualified, Qualified>,
    constraints: HashMap<(String, String, String), String>,
    /// What names without a schema stand for; none where nobody knows the search_path.
    bare: Option<HashMap<String, Qualified>>,
}

impl NameMap {
    /// Follows the `[[map]]` entries of the configuration; of two for one name the first counts.
    pub fn new(rules: &[Mapping]) -> Self {
        let mut map = Self::default();
        for rule in rules {
            match (&rule.table, &rule.to_table) {
                (Some(table), to) => {
                    let to = (rule.to_schema.clone(), to.as_ref().unwrap_or(table).clone());
                    map.tables.entry((rule.schema.clone(), table.clone())).or_insert(to);
                }
                (None, _) => {
                    map.schemas.entry(rule.schema.clone()).or_insert_with(|| rule.to_schema.clone());
                }
            }
        }
        map
    }

    /// An index or an owned sequence goes with its table (all three as the source calls them).
    pub fn follow(&mut self, schema: &str, table: &str, follower: &str) {
        let (to_schema, _) = self.table(schema, table);
        let from = (schema.to_owned(), follower.to_owned());
        let to_name = self.followers.get(&from).map_or(follower, |(_, name)| name).to_owned();
        if self.schema(schema) != to_schema || to_name != follower {
            self.followers.insert(from, (to_schema, to_name));
        }
    }

    /// An index of the source's schema has another name at the destination; its schema there is its table's.
    pub fn rename_index(&mut self, schema: &str, index: &str, to: &str) {
        let (to_schema, _) = self.relation(schema, index);
        self.followers.insert((schema.to_owned(), index.to_owned()), (to_schema, to.to_owned()));
    }

    /// A table has this name at the destination, whatever the rules say.
    pub fn set_table(&mut self, from: Qualified, to: Qualified) {
        self.tables.insert(from, to);
    }

    /// What is kept in a table's schema (an index, an owned sequence) is in this schema at the destination.
    pub fn place(&mut self, schema: &str, follower: &str, to_schema: &str) {
        let (_, to_name) = self.relation(schema, follower);
        self.followers.insert((schema.to_owned(), follower.to_owned()), (to_schema.to_owned(), to_name));
    }

    /// Reads names without a schema as the source does: `touched` are relations that a statement is known to mean,
    /// the others are looked for in the schemas of its search_path. The statement is to be run with the same
    /// search_path, its schemas mapped.
    pub fn resolve(&mut self, path: &[&str], touched: &[Qualified]) {
        let mut bare = HashMap::new();
        for (schema, name) in touched {
            bare.entry(name.clone()).or_insert_with(|| (schema.clone(), name.clone()));
        }
        for schema in path {
            for (from, name) in
                self.tables.keys().chain(self.followers.keys()).filter(|from| from.0 == *schema)
            {
                bare.entry(name.clone()).or_insert_with(|| (from.clone(), name.clone()));
            }
        }
        self.bare = Some(bare);
    }

    /// The source's schema of a name that has none, where it is known.
    pub fn schema_of(&self, name: &str) -> Option<&str> {
        self.bare.as_ref()?.get(name).map(|(schema, _)| schema.as_str())
    }

    /// What a relation's name without a schema has to become: where it stays, the mapped search_path finds it.
    pub fn bare(&self, name: &str) -> Option<Qualified> {
        let schema = self.schema_of(name)?;
        let to = self.relation(schema, name);
        (to.0 != self.schema(schema) || to.1 != name).then_some(to)
    }

    /// A constraint of the source's table has another name at the destination.
    pub fn rename_constraint(&mut self, schema: &str, table: &str, constraint: &str, to: &str) {
        let from = (schema.to_owned(), table.to_owned(), constraint.to_owned());
        self.constraints.insert(from, to.to_owned());
    }

    /// Whether nothing has another name.
    pub fn is_empty(&self) -> bool {
        self.schemas.is_empty()
            && self.tables.is_empty()
            && self.followers.is_empty()
            && self.constraints.is_empty()
    }

    /// Where what lives in this schema goes.
    pub fn schema<'a>(&'a self, schema: &'a str) -> &'a str {
        self.schemas.get(schema).map_or(schema, String::as_str)
    }

    /// Schema and name of a table, or of its row type; a rule for the table goes before one for its schema.
    pub fn table(&self, schema: &str, name: &str) -> Qualified {
        let key = (schema.to_owned(), name.to_owned());
        self.tables.get(&key).cloned().unwrap_or_else(|| (self.schema(schema).to_owned(), key.1))
    }

    /// Schema and name of anything in `pg_class`.
    pub fn relation(&self, schema: &str, name: &str) -> Qualified {
        let key = (schema.to_owned(), name.to_owned());
        self.followers.get(&key).cloned().unwrap_or_else(|| self.table(schema, name))
    }

    /// Schema and name of an object of a catalog, by the catalog's oid (the same in every database); a namespace has
    /// no schema of its own.
    pub fn object(&self, catalog: u32, schema: &str, name: &str) -> Qualified {
        match catalog {
            PG_CLASS => self.relation(schema, name),
            PG_TYPE => self.table(schema, name),
            PG_NAMESPACE => (schema.to_owned(), self.schema(name).to_owned()),
            _ => (self.schema(schema).to_owned(), name.to_owned()),
        }
    }

    /// The name of a constraint of the source's table.
    pub fn constraint<'a>(&'a self, schema: &str, table: &str, name: &'a str) -> &'a str {
        let key = (schema.to_owned(), table.to_owned(), name.to_owned());
        self.constraints.get(&key).map_or(name, String::as_str)
    }

    /// What a relation's name without a schema may miss at the destination, for people: a table of this name that
    /// has a rule of its own, or the schema that every search_path begins with.
    pub fn missed_by(&self, name: &str) -> Option<String> {
        if self.bare.is_some() {
            return None;
        }
        let mut found = self.tables.iter().filter(|(from, to)| from.1 == name && from != to);
        let table = found.next().map(|(from, _)| quote::readable(&from.0, &from.1));
        table.or((self.schema(PUBLIC) != PUBLIC).then(|| PUBLIC.to_owned()))
    }

    /// Every identifier that a statement may have to give up.
    pub fn words(&self) -> BTreeSet<&str> {
        let schemas = self.schemas.keys().map(String::as_str);
        let relations = self.tables.keys().chain(self.followers.keys());
        let relations = relations.flat_map(|(schema, name)| [schema.as_str(), name.as_str()]);
        schemas.chain(relations).chain(self.constraints.keys().map(|(_, _, name)| name.as_str())).collect()
    }

    /// The mapped schemas and tables that occur as words in a text that no parser reads, for people.
    pub fn mentioned(&self, text: &str) -> Vec<String> {
        let text = text.to_lowercase();
        let schemas = self.schemas.keys().filter(|name| has_word(&text, name));
        let tables = self.tables.keys().filter(|(_, name)| has_word(&text, name));
        let readable = schemas.map(|name| quote::readable_ident(name));
        readable.chain(tables.map(|(schema, name)| quote::readable(schema, name))).collect()
    }

    /// The mapped schemas that occur in a text with a dot behind them, as in a qualified name; for people.
    pub fn qualifying(&self, text: &str) -> Vec<String> {
        let text = text.to_lowercase();
        let moved = self.tables.keys().map(|(schema, _)| schema);
        let schemas: BTreeSet<_> = self.schemas.keys().chain(moved).collect();
        let dotted = |name: &&&String| {
            let name = name.to_lowercase();
            has_word(&text, &name) && [".", "\"."].iter().any(|dot| text.contains(&format!("{name}{dot}")))
        };
        schemas.iter().filter(dotted).map(|name| quote::readable_ident(name)).collect()
    }
}

/// Whether the lower-cased text has the name between characters that no identifier has; `$` may be a quote.
fn has_word(text: &str, name: &str) -> bool {
    let name = name.to_lowercase();
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(&name)
        .any(|(at, _)| !text[..at].ends_with(inside) && !text[at + name.len()..].starts_with(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_borders() {
        assert!(has_word("select * from sales.orders", "Sales"));
        assert!(!has_word("wholesales.x sales_2", "sales"));
        assert!(has_word("execute 'sales'", "sales"));
    }

    #[test]
    fn what_lives_with_a_table_follows_it() {
        let rule = |schema: &str, table: Option<&str>, to: &str, to_table: Option<&str>| Mapping {
            schema: schema.into(),
            table: table.map(Into::into),
            to_schema: to.into(),
            to_table: to_table.map(Into::into),
        };
        let mut map =
            NameMap::new(&[rule("crm", Some("Leads"), "eu", Some("leads")), rule("crm", None, "c", None)]);
        map.follow("crm", "Leads", "leads_id_seq");
        map.follow("crm", "other", "other_id_seq");
        map.rename_index("crm", "leads_idx", "i_1_leads_idx_key");
        map.follow("crm", "Leads", "leads_idx");
        let of = |name: &str| map.relation("crm", name);
        assert_eq!(of("leads_id_seq"), ("eu".into(), "leads_id_seq".into()));
        assert_eq!(of("other_id_seq"), ("c".into(), "other_id_seq".into()));
        assert_eq!(of("leads_idx"), ("eu".into(), "i_1_leads_idx_key".into()));
        assert_eq!(of("Leads"), ("eu".into(), "leads".into()));
        assert_eq!(map.object(PG_TYPE, "crm", "Leads"), ("eu".into(), "leads".into()));
        assert_eq!(map.object(PG_CLASS, "crm", "leads_id_seq"), ("eu".into(), "leads_id_seq".into()));
        assert_eq!(map.object(PG_NAMESPACE, "", "crm"), (String::new(), "c".into()));
        assert_eq!(map.object(1255, "crm", "Leads"), ("c".into(), "Leads".into()));
    }
}
