//! What the source captured of a statement: the rows of `walferry.ddl_log` and `walferry.ddl_mark`, read from the
//! fields of a record.

use serde::Deserialize;
use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::pg::Lsn;

/// A statement as the source captured it (a row of `ddl_log` or `ddl_mark`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Where in the WAL the row stands.
    pub lsn: Lsn,
    /// The command tag.
    pub tag: String,
    /// The role that it ran as; empty if the statement dropped it.
    pub username: String,
    /// Whether that role is a superuser.
    pub superuser: bool,
    /// The source's clock.
    pub captured_at: String,
    /// The setting, as it was then.
    pub search_path: String,
    /// Its own text, where it could be had and holds no secrets.
    pub statement: Option<String>,
    /// Why there is no text: `unknown` or `secret`.
    pub withheld: Option<String>,
    /// Settings that change what a statement means, by name.
    pub settings: Vec<(String, String)>,
    /// What it touched; of a mark nothing is known.
    pub objects: Vec<Object>,
    /// The same as the source wrote it; `null` where nothing is known.
    pub objects_json: String,
    /// What the source's catalog says.
    pub facts: Facts,
    /// The statement's first row in `ddl_mark`.
    pub mark: Option<i64>,
    /// Which row of the statement this is.
    pub step: Step,
}

/// Which row of a statement it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its end: a row of `ddl_log`.
    Done,
    /// It begins, and rows may follow before its end.
    Begin {
        /// The mark.
        id: i64,
    },
    /// It is about to rewrite a table.
    Rewrite {
        /// The statement's first mark.
        first: i64,
        /// The table.
        relation: u32,
        /// The bits of `pg_event_trigger_table_rewrite_reason()`.
        reason: i32,
    },
}

/// Something that a statement made, changed or dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Object {
    /// PostgreSQL's word for what it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its schema.
    pub schema: Option<String>,
    /// Its name, where it has one of its own.
    pub name: Option<String>,
    /// Its identity, as PostgreSQL writes it.
    pub identity: String,
    /// Its oid; 0 where the source does not say (grants).
    pub oid: u32,
    /// The table that it hangs on.
    pub table: Option<u32>,
    /// The tag of the command that it comes from.
    pub command: String,
    /// It is gone.
    pub dropped: bool,
    /// The statement named it.
    pub original: bool,
    /// An extension's script made it.
    pub in_extension: bool,
    /// It is temporary.
    pub temporary: bool,
}

/// What the source's catalog says after the statement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// By table and column: the value that rows have which were there before the column.
    pub missing_values: HashMap<u32, HashMap<String, String>>,
    /// Bounds of partitions.
    pub bounds: HashMap<u32, String>,
    /// The columns of the table that CREATE TABLE AS made.
    pub columns: Vec<SourceColumn>,
}

/// A column of a table that CREATE TABLE AS made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SourceColumn {
    /// Its name.
    pub name: String,
    /// Its type's schema.
    pub type_schema: String,
    /// Its type's name.
    pub type_name: String,
    /// Its type modifier, -1 for none.
    pub modifier: i32,
    /// Its collation's schema, where it is not its type's own.
    pub collation_schema: Option<String>,
    /// Its collation's name.
    pub collation_name: Option<String>,
}

impl Captured {
    /// Reads the fields of a record; `log` says which of the two tables they are of.
    ///
    /// # Errors
    /// A protocol error that names the field which is missing or has a value of no meaning.
    pub fn read(log: bool, lsn: Lsn, fields: &[(String, Option<String>)]) -> Result<Self> {
        let row = Row(fields);
        let settings: Vec<(String, String)> = row.pairs("settings")?;
        let superuser = settings.iter().any(|(name, value)| name == "is_superuser" && value == "on");
        let objects_json = if log { row.get("objects")?.unwrap_or("null") } else { "null" };
        Ok(Self {
            lsn,
            tag: row.text("tag")?,
            username: row.get("username")?.unwrap_or_default().to_owned(),
            superuser,
            captured_at: row.text("captured_at")?,
            search_path: row.text("search_path")?,
            statement: row.get("statement")?.map(str::to_owned),
            withheld: row.get("withheld")?.map(str::to_owned),
            settings,
            objects: json::<Option<Vec<Object>>>("objects", objects_json)?.unwrap_or_default(),
            objects_json: objects_json.to_owned(),
            facts: if log { row.json("facts")?.unwrap_or_default() } else { Facts::default() },
            mark: if log { row.number("mark")? } else { None },
            step: if log { Step::Done } else { row.step()? },
        })
    }

    /// Whether the source said what the statement touched; it does not where event triggers were switched off. A
    /// statement that touched nothing is not captured.
    pub fn knows_objects(&self) -> bool {
        !self.objects.is_empty()
    }
}

/// The fields of a record.
struct Row<'a>(&'a [(String, Option<String>)]);

impl<'a> Row<'a> {
    fn get(&self, name: &str) -> Result<Option<&'a str>> {
        let field = self.0.iter().find(|(field, _)| field == name);
        let field = field.ok_or_else(|| broken(name, "is missing"))?;
        Ok(field.1.as_deref())
    }

    fn text(&self, name: &str) -> Result<String> {
        self.get(name)?.map(str::to_owned).ok_or_else(|| broken(name, "has no value"))
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let number = |text: &str| text.parse().map_err(|_| broken(name, "is not a number"));
        self.get(name)?.map(number).transpose()
    }

    fn needed<T: std::str::FromStr>(&self, name: &str) -> Result<T> {
        self.number(name)?.ok_or_else(|| broken(name, "has no value"))
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<Option<T>> {
        self.get(name)?.map_or(Ok(None), |text| json(name, text))
    }

    /// Names and values in the order of their names.
    fn pairs(&self, name: &str) -> Result<Vec<(String, String)>> {
        let pairs: Option<serde_json::Map<String, serde_json::Value>> = self.json(name)?;
        let pairs = pairs.unwrap_or_default().into_iter();
        pairs.map(|(setting, value)| Ok((setting, plain(name, &value)?))).collect()
    }

    fn step(&self) -> Result<Step> {
        match self.text("step")?.as_str() {
            "begin" => Ok(Step::Begin { id: self.needed("id")? }),
            "rewrite" => Ok(Step::Rewrite {
                first: self.needed("first")?,
                relation: self.needed("relation")?,
                reason: self.needed("reason")?,
            }),
            _ => Err(broken("step", "is neither begin nor rewrite")),
        }
    }
}

fn plain(name: &str, value: &serde_json::Value) -> Result<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| broken(name, "has a value that is no text"))
}

fn json<T: for<'de> Deserialize<'de>>(name: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| broken(name, &format!("cannot be read ({error})")))
}

fn broken(field: &str, what: &str) -> Error {
    Error::protocol(format!(
        "the field {field} of a captured statement {what}; the extension at the source is of another version than \
         this walferry"
    ))
}
