//! Whom a statement is run as, and what becomes of one that the destination, or the planner, refuses: what may be passed over,
//! and what stops the task.

use super::runner::{Fate, Runner, ran};
use crate::apply::model::CommitPoint;
use crate::ddl::{Captured, Run, is_about_hanging, is_about_rights, unnamed};
use crate::error::{Error, Result};
use crate::pg::{client_error, quote};
use crate::state::ddl::Outcome;

impl Runner<'_, '_> {
    /// The role to run as: the one that ran it at the source, where it exists, may be used and is not stronger (rule 29).
    pub(super) async fn role(&self, captured: &Captured) -> Result<(Option<String>, Option<String>)> {
        let sql = "SELECT rolsuper AND NOT $2, rolname = current_user, pg_catalog.pg_has_role(current_user, oid, \
                   CASE WHEN pg_catalog.current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END) \
                   FROM pg_catalog.pg_roles WHERE rolname = $1::text::name";
        let client = self.around.targets.client();
        let row =
            client.query_opt(sql, &[&captured.username, &captured.superuser]).await.map_err(client_error)?;
        let name = quote::readable_ident(&captured.username);
        let instead = |why: String| Ok((None, Some(format!("run as the applier's own role: {why}"))));
        match row.map(|row| (row.get::<_, bool>(0), row.get::<_, bool>(1), row.get::<_, bool>(2))) {
            None => instead(format!("the destination has no role {name}")),
            Some((_, true, _)) => Ok((None, None)),
            Some((true, ..)) => instead(format!("{name} is a superuser there, and was none at the source")),
            Some((_, _, false)) => instead(format!("it may not act as {name}")),
            Some((false, false, true)) => Ok((Some(captured.username.clone()), None)),
        }
    }

    /// What failed stops the task, or is recorded and passed over; `run` is what was tried, if it came to that.
    pub(super) async fn failed(
        &mut self,
        captured: &Captured,
        run: Option<&Run>,
        error: Error,
    ) -> Result<bool> {
        if error.class().is_transient() {
            return Err(error);
        }
        let (said, ran) = (error.to_string(), run.and_then(|run| ran(captured, run)));
        if self.around.definitions.terms.catching_up && is_to_come(captured, &error) {
            let why = format!(
                "the destination does not have it yet, and gets it as the source has it then ({said})"
            );
            self.record(captured, Fate { outcome: Outcome::Known, reason: Some(&why), ran }).await?;
            return Ok(false);
        }
        if is_about_rights(captured) && is_of_role(&error) {
            tracing::warn!(lsn = %captured.lsn, "{} is not carried over: {said}", captured.tag);
            self.record(captured, Fate { outcome: Outcome::NotCarried, reason: Some(&said), ran }).await?;
            return Ok(false);
        }
        if self.around.definitions.terms.skip_failing {
            tracing::warn!(lsn = %captured.lsn, "{} failed and is passed over ([apply] ddl_error): {said}", captured.tag);
            self.record(captured, Fate { outcome: Outcome::Skipped, reason: Some(&said), ran }).await?;
            return Ok(false);
        }
        self.pipe.command("ROLLBACK").await?;
        self.pipe.command("BEGIN").await?;
        self.record(captured, Fate { outcome: Outcome::Failed, reason: Some(&said), ran }).await?;
        self.pipe.command("COMMIT").await?;
        Err(stopped(captured, self.point, &said))
    }
}

/// Why a statement would mean another role than it meant at the source, if so: it is not run as the role that ran it there, or
/// it names the session's own.
pub(super) fn misunderstood(captured: &Captured, instead: Option<&str>) -> Option<Error> {
    let unnamed = unnamed(captured);
    let means_other = unnamed.session || unnamed.current && instead.is_some();
    means_other.then(|| {
        Error::rejected(format!(
            "it means the role that ran it, {}, without naming it, and cannot be run as that role here{}",
            quote::readable_ident(&captured.username),
            instead.map(|instead| format!(" ({instead})")).unwrap_or_default()
        ))
    })
}

/// Whether something that a statement names is not there.
pub(super) fn is_undefined(error: &Error) -> bool {
    // undefined_object, undefined_table, undefined_function, invalid_schema_name
    error.sqlstate().is_some_and(|code| ["42704", "42P01", "42883", "3F000"].contains(&code))
}

/// Whether the destination lacks a role, or our role may not act for it.
fn is_of_role(error: &Error) -> bool {
    match error.sqlstate() {
        Some("42704") => error.to_string().starts_with("role "),
        Some("42501") => true,
        Some(_) | None => false,
    }
}

/// Whether a statement fails because what hangs on tables is made only once the stream has caught up with the copy: as the
/// source has it then.
fn is_to_come(captured: &Captured, error: &Error) -> bool {
    // undefined_object, undefined_table (an index is one); unique, foreign key, check, exclusion violation
    let codes = ["42704", "42P01", "23505", "23503", "23514", "23P01"];
    error.sqlstate().is_some_and(|code| codes.contains(&code)) && is_about_hanging(captured)
}

/// What is said of a statement that stops the task.
fn stopped(captured: &Captured, point: &CommitPoint, said: &str) -> Error {
    let statement = captured.statement.as_deref().unwrap_or("(its text was not captured)");
    Error::rejected(format!(
        "{} at {} (transaction {} at {}) cannot be carried over: {said}. The statement, under search_path {} as {}: {statement}. \
         Change the destination so that it can run - it is tried again -, or make the change there by hand and run \
         `walferry skip {1}`, which passes over this statement alone. A table that belongs to the task only by its new name is not \
         to be made by hand, since its rows are missing: leave it out with [objects] exclude first",
        captured.tag,
        captured.lsn,
        point.xid,
        point.commit_lsn,
        captured.search_path,
        quote::readable_ident(&captured.username),
    ))
}
