//! One thing to be done at the destination, and when.

use super::locks::Lock;

/// When a step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pass {
    /// Before the rows, one after another.
    Before,
    /// After the rows: what the stream finds rows by.
    Keys,
    /// After the rows: everything else that hangs on tables.
    After,
    /// Owners, then privileges, one after another.
    Grants,
    /// Materialized views are filled, then event triggers.
    Last,
}

/// Which rows must be in before a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// None.
    No,
    /// Those of one table.
    Of(u32),
    /// All.
    All,
}

/// Which part of an entry a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Its definition, or the last piece of it.
    Definition,
    /// The first of two pieces.
    First,
    /// A materialized view is filled.
    Refresh,
    /// The object changes hands.
    Owner,
    /// A schema of the destination, which is no entry of the archive.
    Schema,
}

/// The number of the entry, and which part of it.
pub type StepId = (i32, Part);

/// One thing to be done.
#[derive(Debug, Clone)]
pub struct Step {
    /// Unique within the plan.
    pub id: StepId,
    /// Its name, in the journal and for people.
    pub object: String,
    /// When.
    pub pass: Pass,
    /// What runs; all of it in one transaction, with the names of the destination.
    pub statements: Vec<String>,
    /// `pg_class.oid` at the source, if it makes a relation.
    pub relation: Option<u32>,
    /// The access method of the table that it makes.
    pub access_method: Option<String>,
    /// The steps that it cannot do without.
    pub needs: Vec<StepId>,
    /// The steps that come first, whatever becomes of them.
    pub after: Vec<StepId>,
    /// The source's tables that it locks, and how.
    pub locks: Vec<(u32, Lock)>,
    /// What must be copied before.
    pub rows: Rows,
    /// 8 kB pages that it has to read: the largest are begun first.
    pub pages: i64,
}

impl Step {
    /// A step that stands by itself.
    pub(super) fn new(id: StepId, object: String, pass: Pass, statements: Vec<String>) -> Self {
        Self {
            id,
            object,
            pass,
            statements,
            relation: None,
            access_method: None,
            needs: Vec::new(),
            after: Vec::new(),
            locks: Vec::new(),
            rows: Rows::No,
            pages: 0,
        }
    }
}
