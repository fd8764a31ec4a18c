//! `walferry ddl`: the statements that changed definitions, and what became of them, for people and as JSON.

use std::io::Write;

use super::output::{Output, json, print};
use crate::config::Config;
use crate::error::Result;
use crate::pg::{Conninfo, Session, client};
use crate::state;

/// So many are shown.
const NEWEST: i64 = 1000;

/// Prints what was recorded, newest first.
pub async fn ddl(config: &Config, output: Output) -> Result<()> {
    let name = config.session_name();
    let destination = client(&Conninfo::destination(&config.destination)?, Session::query(&name)).await?;
    let recorded = if state::is_installed(&destination).await? {
        state::ddl::newest(&destination, config.task.name.as_str(), NEWEST).await?
    } else {
        Vec::new()
    };
    let text = match output {
        Output::Json => json(&recorded)?,
        Output::Text if recorded.is_empty() => "no statements".to_owned(),
        Output::Text => recorded.iter().map(lines).collect::<Vec<_>>().join("\n"),
    };
    print(writeln!(std::io::stdout(), "{text}"))
}

fn lines(one: &state::ddl::Recorded) -> String {
    let more = |what: &str, text: &Option<String>| {
        text.as_ref().map(|text| format!("\n  {what:<9} {text}")).unwrap_or_default()
    };
    format!(
        "{} {} {} by {}: {}{}{}{}",
        one.lsn,
        one.captured_at,
        one.tag,
        one.username,
        one.outcome,
        more("because", &one.reason),
        more("statement", &one.statement),
        more("ran", &one.ran),
    )
}
