//! Runs one statement at its place, and records what became of it in the same transaction.

use super::super::large::Around;
use super::super::model::CommitPoint;
use super::super::pipe::Pipe;
use super::super::statement::{Statement, TEXT_OID};
use super::failing::{is_undefined, misunderstood};
use super::settings;
use tokio_postgres::Client;

use crate::catalog::{Answer, Ask};
use crate::ddl::{Captured, Effect, Leave, Outside, Plan, Run, effects, is_gap, tolerant_drop};
use crate::error::{Error, Result};
use crate::pg::{Lsn, ServerError, client_error, tellable};
use crate::state::conflicts;
use crate::state::ddl::{COMPLETE, Outcome, RECORD, RECORD_PARAMETERS};

/// A connection with an open block, and what belongs to it.
pub struct Runner<'r, 'a> {
    /// Nothing is on its way.
    pub pipe: &'r mut Pipe,
    /// The transaction that the block is of.
    pub point: &'r CommitPoint,
    /// What the writer has.
    pub around: &'r mut Around<'a>,
}

/// What became of a statement, and why.
pub(super) struct Fate<'s> {
    pub outcome: Outcome,
    pub reason: Option<&'s str>,
    pub ran: Option<String>,
}

impl<'s> Fate<'s> {
    fn new(outcome: Outcome, reason: Option<&'s str>) -> Self {
        Self { outcome, reason, ran: None }
    }
}

impl Runner<'_, '_> {
    /// Does with a statement what is planned for it. `true`: it was run.
    ///
    /// # Errors
    /// With `ddl_error` = `stop`, what the destination or the planner refuses; the transaction is rolled back then, and the
    /// statement recorded.
    pub async fn statement(&mut self, captured: &Captured) -> Result<bool> {
        if self.is_passed_over(captured).await? {
            return Ok(false);
        }
        let run = match self.around.definitions.plan(captured) {
            Err(error) => return self.failed(captured, None, error).await,
            Ok(Plan::Leave { why, reason }) => {
                let outcome = match why {
                    Leave::NotCarried => Outcome::NotCarried,
                    Leave::OutOfScope => Outcome::OutOfScope,
                };
                match is_gap(&captured.tag) {
                    true => tracing::warn!(lsn = %captured.lsn, "{}: {reason}", captured.tag),
                    false => {
                        tracing::info!(lsn = %captured.lsn, "{} is not carried over: {reason}", captured.tag)
                    }
                }
                self.record(captured, Fate::new(outcome, Some(&reason))).await?;
                return Ok(false);
            }
            Ok(Plan::Run(run)) => run,
        };
        run.warnings
            .iter()
            .for_each(|warning| tracing::warn!(lsn = %captured.lsn, "{}: {warning}", captured.tag));
        self.run(captured, run).await
    }

    /// Runs it and draws its consequences; see [`Runner::statement`].
    pub async fn run(&mut self, captured: &Captured, run: Run) -> Result<bool> {
        let (role, reason) = self.role(captured).await?;
        if let Some(error) = misunderstood(captured, reason.as_deref()) {
            return self.failed(captured, Some(&run), error).await;
        }
        let mut run = run;
        let mut done = self.try_run(captured, &run, role.as_deref()).await;
        // Rows of a table that the destination lacks may be in another one.
        let is_tolerable =
            !run.statements.is_empty() && captured.objects.iter().all(|object| object.kind != "table");
        if is_tolerable
            && done.as_ref().is_err_and(is_undefined)
            && let Some(drops) = run.statements.iter().map(|text| tolerant_drop(text)).collect()
        {
            // What the destination does not have is dropped already.
            run.statements = drops;
            done = self.try_run(captured, &run, role.as_deref()).await;
        }
        if let Err(error) = done {
            return self.failed(captured, Some(&run), error).await;
        }
        self.around.targets.forget();
        let ran = ran(captured, &run);
        self.record(captured, Fate { outcome: Outcome::Applied, reason: reason.as_deref(), ran }).await?;
        tracing::info!(lsn = %captured.lsn, "{} was run at the destination", captured.tag);
        self.follow(captured).await?;
        Ok(true)
    }

    /// What a statement that was run means for the journal of tables.
    pub async fn follow(&mut self, captured: &Captured) -> Result<()> {
        for effect in effects(captured) {
            match effect {
                Effect::Table { oid, schema, name } => self.table(oid, (schema, name)).await?,
                Effect::Gone { oid } => self.gone(oid).await?,
                Effect::Schema { from, to } => self.schema(&from, &to).await?,
            }
        }
        Ok(())
    }

    /// Adds what a statement touched to its record, which was made while it ran.
    pub async fn complete(&mut self, lsn: Lsn, captured: &Captured) -> Result<()> {
        let values = [self.around.task.to_owned(), lsn.to_string(), objects(captured).to_owned()];
        self.write(COMPLETE, &values.map(Some)).await
    }

    /// Whether it is not to be run: it is in the copied definitions, or the user wants it passed over. Recorded then.
    pub async fn is_passed_over(&mut self, captured: &Captured) -> Result<bool> {
        let definitions = &self.around.definitions;
        if definitions.is_copied(captured, self.point.xid) {
            let why = "the definitions were copied after it";
            self.record(captured, Fate::new(Outcome::Known, Some(why))).await?;
            return Ok(true);
        }
        let asked =
            [captured.lsn, self.point.commit_lsn].into_iter().find(|lsn| definitions.skips().contains(lsn));
        let Some(asked) = asked else { return Ok(false) };
        tracing::warn!(lsn = %captured.lsn, "the statement is skipped, as was asked");
        self.record(captured, Fate::new(Outcome::Skipped, Some("walferry skip"))).await?;
        self.follow_hand(captured).await?;
        let values = [self.around.task.to_owned(), asked.to_string()];
        let sql = conflicts::SKIPPED.replace("$2", "$2::text::pg_lsn");
        self.write(&sql, &values.map(Some)).await?;
        Ok(true)
    }

    async fn try_run(&mut self, captured: &Captured, run: &Run, role: Option<&str>) -> Result<()> {
        match &run.outside {
            Some(outside) => self.outside(captured, run, outside, role).await,
            None => self.inside(captured, run, role).await,
        }
    }

    /// In the open block, behind a savepoint that takes the settings back with the statement.
    async fn inside(&mut self, captured: &Captured, run: &Run, role: Option<&str>) -> Result<()> {
        let major = self.around.definitions.terms.server;
        let mut commands = settings::before(captured, &run.search_path, role, major);
        commands.extend(run.statements.iter().cloned());
        commands.extend(settings::after(major));
        self.behind_savepoint(&commands).await
    }

    /// Commands that leave nothing behind if one of them fails.
    pub(super) async fn behind_savepoint(&mut self, commands: &[String]) -> Result<()> {
        let mut all = vec!["SAVEPOINT walferry_ddl".to_owned()];
        all.extend_from_slice(commands);
        all.push("RELEASE SAVEPOINT walferry_ddl".to_owned());
        match self.all(&all).await? {
            None => Ok(()),
            Some(error) => {
                self.pipe.command("ROLLBACK TO SAVEPOINT walferry_ddl").await?;
                self.pipe.command("RELEASE SAVEPOINT walferry_ddl").await?;
                Err(told(&error))
            }
        }
    }

    /// Outside of any block, over the connection for questions: each command is its own transaction. A run that broke off is
    /// found out and cleaned up first.
    async fn outside(
        &mut self,
        captured: &Captured,
        run: &Run,
        outside: &Outside,
        role: Option<&str>,
    ) -> Result<()> {
        let major = self.around.definitions.terms.server;
        let client = self.around.targets.client();
        let done = async {
            each(client, &settings::before(captured, &run.search_path, role, major)).await?;
            if is_true(client, &outside.is_done).await? {
                return Ok(());
            }
            each(client, &outside.clean).await?;
            // What was half done may be done by that.
            if is_true(client, &outside.is_done).await? {
                return Ok(());
            }
            each(client, std::slice::from_ref(&outside.statement)).await
        };
        let done = done.await;
        each(client, &settings::after(major)).await?;
        done
    }

    pub(super) async fn record(&mut self, captured: &Captured, fate: Fate<'_>) -> Result<()> {
        let some = |text: &str| Some(text.to_owned());
        let values: [Option<String>; RECORD_PARAMETERS] = [
            some(self.around.task),
            Some(captured.lsn.to_string()),
            Some(self.point.commit_lsn.to_string()),
            Some(self.point.xid.to_string()),
            some(&captured.captured_at),
            some(&captured.username),
            some(&captured.tag),
            some(objects(captured)),
            some(&captured.search_path),
            captured.statement.clone(),
            fate.ran,
            Some(fate.outcome.to_string()),
            fate.reason.map(str::to_owned),
        ];
        self.write(RECORD, &values).await
    }

    /// One of our own statements with texts for parameters.
    pub(super) async fn write(&mut self, sql: &str, values: &[Option<String>]) -> Result<()> {
        let statement = Statement { sql: sql.to_owned(), types: vec![TEXT_OID; values.len()] };
        let mut group = self.pipe.group()?;
        group.once(&command(settings::UTF8), std::iter::empty())?;
        group.once(&statement, values.iter().map(|value| value.as_deref().map(str::as_bytes)))?;
        group.once(&command(settings::NATIVE), std::iter::empty())?;
        let bytes = group.finish();
        self.pipe.call(bytes).await?.error.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Whether a SELECT of one boolean says so. It may be written in UTF-8.
    pub(super) async fn holds(&mut self, sql: &str) -> Result<bool> {
        Ok(self.ask(sql).await? == [[Some("t".to_owned())]])
    }

    /// Commands in one group; the first error ends it.
    async fn all(&mut self, commands: &[String]) -> Result<Option<ServerError>> {
        let mut group = self.pipe.group()?;
        for one in commands {
            group.once(&command(one), std::iter::empty())?;
        }
        let bytes = group.finish();
        Ok(self.pipe.call(bytes).await?.error)
    }
}

impl Ask for Runner<'_, '_> {
    async fn ask(&mut self, sql: &str) -> Result<Vec<Answer>> {
        ask(self.pipe, sql).await
    }
}

/// A writer's connection, on which nothing is on its way, to be asked.
pub struct Asker<'p>(pub &'p mut Pipe);

impl Ask for Asker<'_> {
    async fn ask(&mut self, sql: &str) -> Result<Vec<Answer>> {
        ask(self.0, sql).await
    }
}

async fn ask(pipe: &mut Pipe, sql: &str) -> Result<Vec<Answer>> {
    let mut group = pipe.group()?;
    group.once(&command(settings::UTF8), std::iter::empty())?;
    group.once(&command(sql), std::iter::empty())?;
    group.once(&command(settings::NATIVE), std::iter::empty())?;
    let bytes = group.finish();
    let outcome = pipe.call(bytes).await?;
    if let Some(error) = outcome.error {
        return Err(error.into());
    }
    let text = |value: Option<bytes::Bytes>| {
        let utf8 = |value: bytes::Bytes| {
            String::from_utf8(value.into()).map_err(|_| Error::protocol("a text is not UTF-8"))
        };
        value.map(utf8).transpose()
    };
    outcome.rows.into_iter().map(|row| row.into_iter().map(text).collect()).collect()
}

/// Commands one by one, each a transaction of its own.
async fn each(client: &Client, commands: &[String]) -> Result<()> {
    for one in commands {
        client.batch_execute(one).await.map_err(|error| match error.as_db_error() {
            Some(error) => told(&ServerError::from(error)),
            None => client_error(error),
        })?;
    }
    Ok(())
}

async fn is_true(mut client: &Client, sql: &str) -> Result<bool> {
    Ok(client.ask(sql).await? == [[Some("t".to_owned())]])
}

fn command(sql: &str) -> Statement {
    Statement { sql: sql.to_owned(), types: Vec::new() }
}

/// What ran, where it is not the statement itself.
pub(super) fn ran(captured: &Captured, run: &Run) -> Option<String> {
    let texts = match &run.outside {
        Some(outside) => outside.statement.clone(),
        None => run.statements.join(";\n"),
    };
    (captured.statement.as_ref() != Some(&texts)).then_some(texts)
}

fn objects(captured: &Captured) -> &str {
    if captured.knows_objects() { &captured.objects_json } else { "[]" }
}

/// A server's message may quote a value of a row; then only its code is told.
fn told(error: &ServerError) -> Error {
    let said = tellable(&error.code, &error.message).unwrap_or("a value does not fit");
    let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    Error::new(crate::pg::class(&error.code), format!("{said} (SQLSTATE {}){hint}", error.code))
        .with_sqlstate(&error.code)
}
