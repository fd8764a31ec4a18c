//! `walferry conflicts`, for people and as JSON.

use std::io::Write;

use super::output::{Output, json, print};
use crate::config::Config;
use crate::error::Result;
use crate::pg::{Conninfo, Session, client};
use crate::state;

/// So many are shown.
const NEWEST: i64 = 100;

/// Prints what was recorded, newest first.
pub async fn conflicts(config: &Config, output: Output) -> Result<()> {
    let name = config.session_name();
    let destination = client(&Conninfo::destination(&config.destination)?, Session::query(&name)).await?;
    let recorded = if state::is_installed(&destination).await? {
        state::conflicts::newest(&destination, config.task.name.as_str(), NEWEST).await?
    } else {
        Vec::new()
    };
    let line = |one: &state::conflicts::Recorded| {
        let json =
            |value: &Option<serde_json::Value>| value.as_ref().map_or("-".to_owned(), ToString::to_string);
        format!(
            "{} {} at {}: {} on {}, {}\n  key         {}\n  source      {}\n  destination {}{}",
            one.id,
            one.recorded_at,
            one.lsn,
            one.kind,
            one.table,
            one.resolution,
            json(&one.key),
            json(&one.source_row),
            json(&one.destination_rows),
            one.detail.as_ref().map(|detail| format!("\n  detail      {detail}")).unwrap_or_default()
        )
    };
    let text = match output {
        Output::Json => json(&recorded)?,
        Output::Text if recorded.is_empty() => "no conflicts".to_owned(),
        Output::Text => recorded.iter().map(line).collect::<Vec<_>>().join("\n"),
    };
    print(writeln!(std::io::stdout(), "{text}"))
}
