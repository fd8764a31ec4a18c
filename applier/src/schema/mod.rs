//! Definitions: what pg_dump says of the source, made at the destination statement by statement, so that a crash loses
//! nothing and one definition that fails does not stop the rest.
//!
//! The way: [`Tool::find`] looks for pg_dump; [`Source::read`] takes the definitions and what hangs on what, in one
//! snapshot; [`Plan::new`] decides what is carried over and in which order; [`Maker`] makes it.
//!
//! ```text
//! let source = Source::read(&tool, &source_conninfo, &name, Some(snapshot), &unreadable).await?;
//! let destination = Destination::read(&client).await?;
//! let plan = source.plan(&destination, &wanted, &Unchanged)?;
//! // refuse if plan.missing or plan.in_the_way(&made) has anything; tell plan.left_out
//! let maker = Maker::new(destination_conninfo, name, permits, note, made);
//! maker.one_by_one(&plan, Pass::Before).await?;
//! // rows; each finished table is sent as Copied::Table(oid), then Copied::All
//! maker.side_by_side(&plan, &[Pass::Keys, Pass::After], receiver).await?;
//! maker.one_by_one(&plan, Pass::Grants).await?;
//! maker.side_by_side(&plan, &[Pass::Last], everything_copied()).await?;
//! maker.analyze(&tables).await?;
//! ```

mod dump;
mod facts;
mod grants;
mod hands;
pub mod hashed;
mod identity;
pub mod inventory;
mod kind;
mod left_out;
mod locks;
mod make;
mod objects;
mod owner;
mod plan;
mod read;
pub mod rewrite;
pub mod roles;
mod roles_at;
mod scope;
mod session;
mod side_by_side;
mod split;
mod toc;
mod tool;

#[cfg(test)]
mod sample;

pub use left_out::LeftOut;
pub use make::{Failure, Maker, Note, Outcome, Report};
pub use plan::{Pass, Plan};
pub use read::{Destination, Source};
pub use scope::{Chosen, Wanted};
pub use side_by_side::{Copied, everything_copied};
pub use tool::Tool;

use crate::error::Result;

/// What things are called at the destination.
pub trait Renaming: Send + Sync {
    /// A statement, or several, with the destination's names.
    ///
    /// # Errors
    /// A statement whose names cannot be told from the rest.
    fn sql(&self, sql: &str) -> Result<Rewritten>;

    /// Schema and name of an object of the given catalog (by oid: 2615 is `pg_namespace`, whose objects have no schema
    /// of their own).
    fn name(&self, catalog: u32, schema: &str, name: &str) -> (String, String);
}

/// A statement with the destination's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The statement.
    pub sql: String,
    /// Names that stand where they cannot be replaced: in functions' bodies that are not SQL.
    pub unseen: Vec<String>,
}

/// Everything is called as at the source.
pub struct Unchanged;

impl Renaming for Unchanged {
    fn sql(&self, sql: &str) -> Result<Rewritten> {
        Ok(Rewritten { sql: sql.to_owned(), unseen: Vec::new() })
    }

    fn name(&self, _catalog: u32, schema: &str, name: &str) -> (String, String) {
        (schema.to_owned(), name.to_owned())
    }
}
