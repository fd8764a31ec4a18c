//! The built `walferry` binary as a child process.

use std::fs::File;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::cluster::send;

/// How a run of the binary ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit status; for an end by a signal 128 + its number, as a shell has it.
    pub status: i32,
    /// Everything on stdout.
    pub stdout: String,
    /// Everything on stderr.
    pub stderr: String,
}

impl Ended {
    /// Panics, showing stderr, unless the exit status is `expected`.
    #[track_caller]
    pub fn expect_status(self, expected: i32) -> Self {
        assert_eq!(self.status, expected, "the exit status; stderr:\n{}", tail(&self.stderr));
        self
    }

    /// Panics unless stdout or stderr has every one of `words`, in any case of letters; names may be quoted.
    #[track_caller]
    pub fn expect_words(self, words: &[&str]) -> Self {
        let said = format!("{}\n{}", self.stdout, self.stderr);
        let folded = format!("{said}\n{}", said.replace('"', "")).to_lowercase();
        for word in words {
            assert!(
                folded.contains(&word.to_lowercase()),
                "{word:?} is not in what was said:\n{}",
                tail(&said)
            );
        }
        self
    }
}

/// A running `walferry`. It is killed when this is dropped.
pub struct Daemon {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// The path of the binary: `WALFERRY_BIN`, else where `make build` puts it.
pub fn binary() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/walferry");
    std::env::var_os("WALFERRY_BIN").map_or(default, PathBuf::from)
}

impl Daemon {
    /// Starts the binary with the given configuration and arguments; `log` is the stem of its output files.
    #[track_caller]
    pub fn spawn(config: &Path, arguments: &[&str], log: &Path) -> Self {
        let (stdout, stderr) = (log.with_extension("out"), log.with_extension("err"));
        let open = |path: &Path| {
            File::create(path).unwrap_or_else(|e| panic!("cannot create {}: {e}", path.display()))
        };
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(binary())
            .arg("-c")
            .arg(config)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(open(&stdout))
            .stderr(open(&stderr))
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run walferry: {e}"));
        Self { child, stdout, stderr }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process has not ended.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What was logged so far.
    pub fn log(&self) -> String {
        read(&self.stderr)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Ends it as a crash would.
    pub fn kill9(mut self) -> Ended {
        self.signal(Signal::KILL);
        self.ended(Duration::from_secs(10))
    }

    /// Asks it to stop (SIGTERM) and waits for that.
    #[track_caller]
    pub fn terminate(mut self) -> Ended {
        self.signal(Signal::TERM);
        self.ended(Duration::from_secs(60))
    }

    /// Waits for the process to end of itself; panics after `limit`, showing the log.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Ended {
        self.ended(limit)
    }

    #[track_caller]
    fn ended(&mut self, limit: Duration) -> Ended {
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return self.collect(status),
                Ok(None) if start.elapsed() < limit => std::thread::sleep(Duration::from_millis(10)),
                Ok(None) => {
                    panic!("walferry did not end within {} s:\n{}", limit.as_secs(), tail(&self.log()))
                }
                Err(e) => panic!("cannot wait for walferry: {e}"),
            }
        }
    }

    fn collect(&self, status: ExitStatus) -> Ended {
        let code = status.code().or_else(|| status.signal().map(|number| 128 + number)).unwrap_or(-1);
        Ended { status: code, stdout: read(&self.stdout), stderr: read(&self.stderr) }
    }

    /// The most memory that the process ever had resident, in bytes (`VmHWM`).
    #[track_caller]
    pub fn peak_memory(&self) -> u64 {
        let status = read(Path::new(&format!("/proc/{}/status", self.pid())));
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kilobytes
            .unwrap_or_else(|| panic!("no VmHWM of process {}; its log:\n{}", self.pid(), tail(&self.log())))
            * 1024
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.runs() {
            self.signal(Signal::KILL);
            drop(self.child.wait());
        }
        if std::thread::panicking() {
            eprintln!("--- log of walferry\n{}", tail(&self.log()));
        }
    }
}

/// The end of a long text, enough to see what happened.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        drop(file.read_to_end(&mut bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
