//! Definitions: what pg_dump says of the source, made at the destination statement by statement, so that a crash loses
//! nothing and one definition that fails does not stop the rest.
//!
//! The way: [`Tool::find`] looks for pg_dump; [`Source::read`] takes the definitions and what hangs on what, in one
//! snapshot; [`Plan::new`] decides what is carried over and in which order; [`Maker`] makes it.
//!
//! ```text
//! end_leftovers(&destination_conninfo, &application_name).await?;
//! let made = state::definitions::made(&client, task).await?;
//! let tool = Tool::find(config.copy.pg_dump.as_deref(), source_major, destination_major).await?;
//! let source = Source::read(&tool, &source_conninfo, &application_name, snapshot, &wanted).await?;
//! let destination = Destination::read(&client, roles, made.clone()).await?;
//! let plan = source.plan(&destination, &wanted, &renaming)?;
//! // refuse if plan.missing or plan.present has anything; tell and note plan.left_out
//! let maker = Maker::new(destination_conninfo, application_name, permits, note, made);
//! maker.one_by_one(&plan, Pass::Before).await?;
//! // the rows; each finished table is sent as Copied::Table(oid), then Copied::All; meanwhile:
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
mod order;
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
mod step;
mod toc;
mod tool;

#[cfg(test)]
mod sample;

pub use left_out::LeftOut;
pub use make::{Failure, Maker, Note, Outcome, Report, end_leftovers};
pub use plan::Plan;
pub use read::{Destination, Source};
pub use roles_at::Roles;
pub use scope::{Chosen, Wanted};
pub use side_by_side::{Copied, everything_copied};
pub use split::whole_name;
pub use step::Pass;
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
