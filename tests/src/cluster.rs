//! One throwaway PostgreSQL server: made by initdb in a temporary folder, on a free port, as the system user
//! postgres where we are root (servers refuse to run as root). It ends with the value that stands for it, and
//! with the thread that started it: the kernel sends the server SIGINT (a fast shutdown) when that thread goes.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::{Session, wait_until};

/// Settings of every cluster; fsync stays on, since durability is what the scenarios are about.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
wal_level = logical
max_replication_slots = 40
max_wal_senders = 40
max_connections = 150
max_prepared_transactions = 20
shared_buffers = 128MB
max_wal_size = 2GB
checkpoint_timeout = 30min
lc_messages = 'C'
log_line_prefix = '%m [%p] %q%a@%d '
log_checkpoints = off
jit = off
";

/// How a server is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are cut, the data is checkpointed (SIGINT).
    Fast,
    /// As a crash: nothing is written, the next start recovers (SIGQUIT).
    Crash,
}

/// A PostgreSQL server of our own.
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Cluster {
    /// A new cluster with `settings` (lines of postgresql.conf) on top of the usual ones, started.
    pub fn start(settings: &str) -> Self {
        let folder = make_folder();
        let mut cluster = Self { folder, port: free_port(), child: None };
        cluster.initialise(settings);
        cluster.launch();
        cluster
    }

    /// A cluster with a copy of the data directory of a server that has been stopped, started.
    pub fn start_copy_of(data: &Path, settings: &str) -> Self {
        let mut cluster = Self { folder: make_folder(), port: free_port(), child: None };
        let copied = Command::new("cp").arg("-a").arg(data).arg(cluster.data()).status();
        assert!(copied.is_ok_and(|status| status.success()), "cannot copy {}", data.display());
        cluster.settle(settings);
        cluster.launch();
        cluster
    }

    /// The folder of the server's data, log and socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The URL of a database as superuser.
    pub fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.address())
    }

    /// The URL without a database.
    pub fn address(&self) -> String {
        format!("postgresql://postgres@127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A superuser's session in `database`.
    pub fn session(&self, database: &str) -> Session {
        Session::connect(&self.url(database))
    }

    /// Adds lines to postgresql.conf; they count from the next start or reload on.
    pub fn configure(&self, settings: &str) {
        append(&self.data().join("postgresql.conf"), settings);
    }

    /// Puts `lines` in the place of pg_hba.conf.
    pub fn set_hba(&self, lines: &str) {
        let path = self.data().join("pg_hba.conf");
        fs::write(&path, lines).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    }

    /// Starts the server again after [`Cluster::stop`], and waits until it takes sessions.
    pub fn launch(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.join("log"));
        let log = log.unwrap_or_else(|e| panic!("cannot open the server's log: {e}"));
        let errors = log.try_clone().unwrap_or_else(|e| panic!("cannot share the server's log: {e}"));
        let child = as_server_user("postgres", true)
            .arg("-D")
            .arg(self.data())
            .current_dir(&self.folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn();
        self.child = Some(child.unwrap_or_else(|e| panic!("cannot start postgres: {e}")));
        let url = self.url("postgres");
        wait_until("the server takes no sessions; see its log", Duration::from_secs(60), || {
            self.assert_running();
            Session::try_connect(&url).is_ok()
        });
    }

    /// Ends the server and waits for that.
    pub fn stop(&mut self, how: Stop) {
        let Some(mut child) = self.child.take() else { return };
        let signal = match how {
            Stop::Fast => Signal::INT,
            Stop::Crash => Signal::QUIT,
        };
        send(child.id(), signal);
        for _ in 0..600 {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        send(child.id(), Signal::QUIT);
        drop(child.wait());
    }

    /// Ends the server in the given way and starts it again.
    pub fn restart(&mut self, how: Stop) {
        self.stop(how);
        self.launch();
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn initialise(&self, settings: &str) {
        let output = as_server_user("initdb", false)
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"])
            .arg("-D")
            .arg(self.data())
            .current_dir(&self.folder)
            .output()
            .unwrap_or_else(|e| panic!("cannot run initdb: {e}"));
        assert!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
        self.settle(settings);
    }

    fn settle(&self, settings: &str) {
        self.configure(SETTINGS);
        self.configure(&format!(
            "port = {}\nunix_socket_directories = '{}'",
            self.port,
            self.folder.display()
        ));
        if knows_plugin_list(&self.data()) {
            self.configure("output_plugin_libraries = 'pgoutput, test_decoding, walferry'");
        }
        self.configure(settings);
    }

    fn assert_running(&mut self) {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        if let Some(status) = ended {
            self.child = None;
            panic!("the server ended at once ({status}): {}", self.log());
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop(Stop::Fast);
        if std::env::var_os("WALFERRY_LAB_KEEP").is_none() {
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}

/// Sends a signal to a process; one that has ended already is none of our business.
pub fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _gone = rustix::process::kill_process(pid, signal);
    }
}

/// The path of one of the server's programs.
pub fn program(name: &str) -> PathBuf {
    let pg_config =
        std::env::var("PG_CONFIG").unwrap_or_else(|_| "/usr/lib/postgresql/15/bin/pg_config".into());
    let output = Command::new(&pg_config).arg("--bindir").output();
    let output = output.unwrap_or_else(|e| panic!("cannot run {pg_config}: {e}; set PG_CONFIG"));
    Path::new(String::from_utf8_lossy(&output.stdout).trim()).join(name)
}

/// A command as the user that servers run as: postgres when we are root, else ourselves.
fn as_server_user(name: &str, dies_with_us: bool) -> Command {
    let mut command = Command::new("setpriv");
    if dies_with_us {
        command.args(["--pdeathsig", "INT"]);
    }
    if rustix::process::geteuid().is_root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]);
    }
    command.arg(program(name)).env_remove("RUST_BACKTRACE").env("LC_ALL", "C.UTF-8");
    command
}

/// A new folder that the server's user owns.
fn make_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("walferry-lab.{}.{number}", std::process::id()));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir(&folder).unwrap_or_else(|e| panic!("cannot make {}: {e}", folder.display()));
    if rustix::process::geteuid().is_root() {
        let (user, group) = (postgres_id("-u"), postgres_id("-g"));
        let owned = std::os::unix::fs::chown(&folder, Some(user), Some(group));
        owned.unwrap_or_else(|e| panic!("cannot give {} to postgres: {e}", folder.display()));
    }
    folder
}

fn postgres_id(which: &str) -> u32 {
    let output = Command::new("id").args([which, "postgres"]).output();
    let output = output.unwrap_or_else(|e| panic!("cannot run id: {e}"));
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    text.parse()
        .unwrap_or_else(|_| panic!("there is no system user postgres; install PostgreSQL (make prepare)"))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|e| panic!("no free port: {e}"));
    listener.local_addr().unwrap_or_else(|e| panic!("no free port: {e}")).port()
}

/// Whether the server has `output_plugin_libraries`; where it lacks the setting, naming it stops the start.
fn knows_plugin_list(data: &Path) -> bool {
    let output =
        as_server_user("postgres", false).args(["-C", "output_plugin_libraries", "-D"]).arg(data).output();
    output.is_ok_and(|output| output.status.success())
}

fn append(path: &Path, text: &str) {
    let file = File::options().append(true).create(true).open(path);
    let written = file.and_then(|mut file| writeln!(file, "{text}"));
    written.unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
}
