//! The command line. What a command does is decided elsewhere; wrong usage ends with exit status 2 (clap).

use crate::pg::Lsn;
use crate::run::Until;
use crate::watch::Output;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Keeps a PostgreSQL destination level with its source.
#[derive(Debug, Parser)]
#[command(name = "walferry", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// The configuration file
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "WALFERRY_CONFIG",
        default_value = "walferry.toml"
    )]
    pub config: PathBuf,
    /// What standard output holds; logs always go to standard error
    #[arg(long, global = true, value_enum, default_value_t)]
    pub output: Output,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Print a commented configuration to start from
    Init,
    /// Run the task in the foreground, from where it was
    Run {
        /// Exit with 0 once everything that the source had committed there is durable at the destination; `now` is
        /// the moment the command began
        #[arg(long, value_name = "now|LSN")]
        until: Option<Until>,
    },
    /// Show how far the task is, whether or not it runs
    Status {
        /// Show it again every second until interrupted
        #[arg(long)]
        watch: bool,
    },
    /// List the recorded conflicts, newest first
    Conflicts,
    /// List the statements that changed definitions and what became of them, newest first
    Ddl,
    /// Skip the transaction or statement that stopped the task, and record that it was skipped
    Skip {
        /// The LSN that the task's error names: of a commit, or of one statement
        lsn: Lsn,
    },
    /// Remove the slot at the source and this task's state at the destination, for good
    Drop {
        /// Yes, for good
        #[arg(long, required = true)]
        yes: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands() {
        let run = parse("walferry run --until 16/B374D848").unwrap().command;
        assert_eq!(run, Command::Run { until: Some(Until::At(Lsn(0x16_B374_D848))) });
        assert_eq!(
            parse("walferry run --until now").unwrap().command,
            Command::Run { until: Some(Until::Now) }
        );
        let status = parse("walferry status --output json -c /etc/a.toml").unwrap();
        assert_eq!((status.output, status.config), (Output::Json, "/etc/a.toml".into()));
        assert_eq!(parse("walferry skip 0/10").unwrap().command, Command::Skip { lsn: Lsn(16) });
        assert_eq!(parse("walferry drop --yes").unwrap().command, Command::Drop { yes: true });
    }

    #[test]
    fn wrong_usage_is_status_2() {
        for line in
            ["walferry", "walferry drop", "walferry skip x", "walferry run --until then", "walferry frob"]
        {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
