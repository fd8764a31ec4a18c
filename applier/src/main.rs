//! `walferry`: keeps a PostgreSQL destination level with its source. docs/architecture.md has the way of a change; imports
//! point one way: main -> cli -> run -> apply, watch, finish -> ddl -> catalog, state, select -> pg -> config, error.

mod apply;
mod catalog;
mod cli;
mod config;
mod copy;
mod ddl;
mod error;
mod finish;
mod pg;
mod run;
mod schema;
mod select;
mod state;
mod watch;

use clap::Parser;
use cli::{Cli, Command};
use config::Config;
use error::Result;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("walferry: no threads to run on: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(command(cli)) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("walferry: {error}");
            ExitCode::from(error.class().exit_status())
        }
    }
}

async fn command(cli: Cli) -> Result<u8> {
    let config = || Config::load(&cli.config);
    match cli.command {
        Command::Init => {
            print!("{}", config::SAMPLE);
            Ok(0)
        }
        Command::Run { until } => run::run(&cli.config, until).await,
        Command::Status { watch } => watch::status(&config()?, cli.output, watch).await.map(|()| 0),
        Command::Conflicts => watch::conflicts(&config()?, cli.output).await.map(|()| 0),
        Command::Ddl => watch::ddl(&config()?, cli.output).await.map(|()| 0),
        Command::Skip { lsn } => finish::skip(&config()?, lsn).await.map(|()| 0),
        Command::Drop { .. } => finish::drop(&config()?).await.map(|()| 0),
    }
}

/// Logs go to stderr; journald adds the time. `RUST_LOG` overrides what is shown.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("walferry=info"));
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_writer(watch::LogWriter::default)
        .with_target(false)
        .init();
}
