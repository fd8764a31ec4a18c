//! `lab run -- CMD...`: starts a source and a destination cluster, runs CMD with their addresses in the
//! environment, stops both and removes them, whatever became of CMD. Its exit status is CMD's.

use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use walferry_tests::lab::{DESTINATION, Pair, SOURCE};

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run", "--", command, ..] => (*command).to_owned(),
        [..] => bail!("usage: lab run -- CMD ARGUMENT..."),
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let pair = Pair::start();
    let child = Command::new(&command)
        .args(&arguments[3..])
        .env(SOURCE, pair.source.address())
        .env(DESTINATION, pair.destination.address())
        .spawn()
        .with_context(|| format!("cannot run {command}"))?;
    wait(child, &interrupted)
}

/// Waits for the child; a signal to us is passed on to it once.
fn wait(mut child: Child, interrupted: &AtomicBool) -> Result<ExitCode> {
    loop {
        if let Some(status) = child.try_wait()? {
            let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
            return Ok(ExitCode::from(code));
        }
        if interrupted.swap(false, Ordering::Relaxed) {
            walferry_tests::cluster::send(child.id(), Signal::TERM);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
