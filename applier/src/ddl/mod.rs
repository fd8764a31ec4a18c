//! What a captured statement becomes at the destination: whether it is carried, whether it is in scope, and which
//! text is run. Pure; the caller runs it and records what became of it.
//!
//! A statement that needs no change comes back byte for byte. One that does is changed in its own text where only
//! names change (`schema::rewrite`), else in its tree, which is then deparsed, and the text is proven by parsing it
//! again.

mod captured;
mod create_as;

pub use captured::{Captured, Object, SourceColumn, Step};
pub use create_as::{NewColumn, create_table};

use crate::error::{Error, Result};
use crate::schema::rewrite::{NameMap, Rewriter};
use crate::select::Choice;

/// What is known of the task where a statement is judged.
pub struct Around<'a> {
    /// Scope `database`; else `tables`.
    pub database: bool,
    /// `include` and `exclude`.
    pub choice: &'a Choice,
    /// The mapping of names, with what the journal of tables says.
    pub map: &'a NameMap,
    /// A chosen table's name at the destination by the source's oid.
    pub renamed: &'a dyn Fn(u32) -> Option<(String, String)>,
    /// Whether a table, by the source's oid, was chosen.
    pub chosen: &'a dyn Fn(u32) -> bool,
    /// `[objects] indexes`
    pub indexes: bool,
    /// The destination's major version.
    pub server: u32,
}

/// What becomes of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// It is run.
    Run(Run),
    /// It is not.
    Leave {
        /// In which sense.
        why: Leave,
        /// For people.
        reason: String,
    },
}

/// Why a statement is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Its kind is never carried, or it changed nothing.
    NotCarried,
    /// It is about what does not belong to the task.
    OutOfScope,
}

/// What is run at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// In order, in the transaction.
    pub statements: Vec<String>,
    /// The setting to run them under.
    pub search_path: String,
    /// What is run outside of a transaction instead.
    pub outside: Option<Outside>,
    /// What people should know.
    pub warnings: Vec<String>,
}

/// A statement that cannot be run in a transaction, and what makes it restartable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// A SELECT of one boolean: the statement has been run to its end.
    pub is_done: String,
    /// Removes what a broken run may have left; each does no harm if there is nothing.
    pub clean: Vec<String>,
    /// The statement.
    pub statement: String,
}

/// What a statement did to the source's tables, for the journal of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A table is called so now.
    Table {
        /// The table.
        oid: u32,
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
        /// The statement made it.
        created: bool,
    },
    /// A table is gone.
    Gone {
        /// The table.
        oid: u32,
    },
}

/// Decides what becomes of a statement.
///
/// # Errors
/// What cannot be carried and must not be passed over: a text that could not be captured or that the parser refuses,
/// names that cannot be mapped. The message says what to do.
pub fn plan(captured: &Captured, around: &Around<'_>) -> Result<Plan> {
    let Some(text) = captured.statement.as_deref() else {
        return Err(Error::rejected("the text of a statement could not be captured"));
    };
    let rewritten = Rewriter::new(around.map.clone()).rewrite(text)?;
    Ok(Plan::Run(Run {
        statements: vec![rewritten.sql],
        search_path: captured.search_path.clone(),
        outside: None,
        warnings: rewritten.unseen,
    }))
}

/// Whether the rows of a rewrite must come from the source, because running the statement again may give others.
///
/// # Errors
/// A text that the parser refuses.
pub fn needs_rows(_captured: &Captured, reason: i32) -> Result<bool> {
    Ok(reason & 2 != 0)
}

/// What a statement did to the source's tables.
pub fn effects(captured: &Captured) -> Vec<Effect> {
    let tables = captured.objects.iter().filter(|object| object.kind == "table");
    let effect = |object: &Object| match object.dropped {
        true => Effect::Gone { oid: object.oid },
        false => Effect::Table {
            oid: object.oid,
            schema: object.schema.clone().unwrap_or_default(),
            name: object.name.clone().unwrap_or_default(),
            created: object.command.starts_with("CREATE") || object.command.starts_with("SELECT"),
        },
    };
    tables.map(effect).collect()
}

/// Whether a statement makes a table from a query.
pub fn is_create_as(tag: &str) -> bool {
    ["CREATE TABLE AS", "SELECT INTO"].contains(&tag)
}

/// Whether a statement runs an extension's script.
pub fn is_extension(tag: &str) -> bool {
    ["CREATE EXTENSION", "ALTER EXTENSION"].contains(&tag)
}
