//! What a captured statement becomes at the destination: whether it is carried, whether it is in scope, and which
//! text is run. Pure; the caller runs it and records what became of it.
//!
//! A statement that needs no change comes back byte for byte. One that does is changed in its own text where only
//! names change (`schema::rewrite`), else in its tree, which is then deparsed, and the text is proven by parsing it
//! again.

mod alter;
mod captured;
mod create_as;
mod effects;
mod hanging;
mod identity;
mod kinds;
mod known;
mod lists;
mod names;
mod outside;
mod own;
mod owned;
mod planner;
mod rewrites;
mod scope;
mod storage;
#[cfg(test)]
mod tests;
mod tree;
mod values;

pub use captured::{Captured, Object, SourceColumn, Step};
pub use create_as::{NewColumn, create_table};
pub use effects::effects;
pub use hanging::is_about_hanging;
pub use kinds::{is_create_as, is_gap};
pub use planner::plan;
pub use rewrites::{Rows, rows};

use crate::schema::rewrite::NameMap;
use crate::select::Choice;

/// What is known of the task where a statement is judged.
pub struct Around<'a> {
    /// Scope `database`; else `tables`.
    pub database: bool,
    /// `include` and `exclude`.
    pub choice: &'a Choice,
    /// The mapping of names, with the journal's tables: each one that the rules do not lead to its name at the
    /// destination must be in it (`NameMap::set_table`), because of a mark nothing else is known; the others too tell
    /// which table a name without a schema means.
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
    /// Its kind is never carried.
    NotCarried,
    /// It is about what does not belong to the task.
    OutOfScope,
}

/// What is run at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// In order, in the transaction. None for CREATE TABLE AS, whose table [`create_table`] makes.
    pub statements: Vec<String>,
    /// The setting to run them under.
    pub search_path: String,
    /// What is run outside of a transaction instead.
    pub outside: Option<Outside>,
    /// What people should know.
    pub warnings: Vec<String>,
}

/// A statement that cannot be run in a transaction, and what makes it restartable: unless `is_done`, `clean` is run;
/// unless `is_done` by now, the statement. All of it under the search_path of the [`Run`], each by itself.
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
    },
    /// A table is gone.
    Gone {
        /// The table.
        oid: u32,
    },
    /// A schema has another name, and so has each table in it.
    Schema {
        /// The old name.
        from: String,
        /// The new one.
        to: String,
    },
}
