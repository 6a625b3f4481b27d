//! Real programs, from packages or built for the tests, started by the test and loaded by a real client.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use super::machine::wait_for;
use super::report::Report;
use super::tracer::Tracer;

/// What `trace` sees of it at the least.
const LOADED_FOR: Duration = Duration::from_secs(2);
/// The window of an attach in the middle of the load.
const WINDOW: &str = "3s";
/// Where packages put servers, beside the search path.
const DIRECTORIES: [&str; 4] = ["/usr/local/sbin", "/usr/sbin", "/usr/bin", "/bin"];

/// Sources of programs of the tests, and where `cargo xtask test` puts those that Debian does not have.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/apps");
const APPS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/apps");

/// A server with a directory and a port of its own; dropping it ends its whole process group.
pub struct Server {
    child: Child,
    pub port: u16,
    directory: TempDir,
}

/// Whether all programs are there. If not, says which, and fails where CI would have installed them.
pub fn are_installed(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|p| find(p).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    let why = format!("not installed: {missing:?}; `cargo xtask test` installs them");
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("skipped: {why}");
    false
}

/// A name with a slash is that of a program below [`APPS`].
fn find(program: &str) -> Option<PathBuf> {
    let directories: &[&str] = if program.contains('/') { &[APPS] } else { &DIRECTORIES };
    directories.iter().map(|d| Path::new(d).join(program)).find(|path| path.exists())
}

/// A source that a program of [`APPS`] runs.
pub fn source(name: &str) -> PathBuf {
    Path::new(SOURCES).join(name)
}

/// The program of the package, not one that shadows it on the search path.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(find(name).unwrap());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

impl Server {
    /// Starts what `command` makes of a directory and a free port, and waits until it answers.
    pub fn start(command: impl FnOnce(&Path, u16) -> Command) -> Self {
        let port = free_port();
        Self::start_until(
            port,
            |directory| command(directory, port),
            |_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok(),
        )
    }

    /// Starts a program without a port, and waits until its process is `ready`.
    pub fn start_worker(command: impl FnOnce(&Path) -> Command, ready: impl Fn(u32) -> bool) -> Self {
        Self::start_until(0, command, ready)
    }

    fn start_until(port: u16, command: impl FnOnce(&Path) -> Command, ready: impl Fn(u32) -> bool) -> Self {
        // Not in /tmp: that may be memory, which nobody waits for.
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut command = command(directory.path());
        command.stderr(File::create(directory.path().join("stderr")).unwrap()).process_group(0);
        let mut server = Self { child: command.spawn().unwrap(), port, directory };
        wait_for("the server to be ready", || {
            assert!(server.child.try_wait().unwrap().is_none(), "the server ended: {}", server.said());
            ready(server.pid())
        });
        server
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn process(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Attaches, lets `load` work (a [`Client`] or several), and closes the window before the load's connections are gone.
    pub fn traced_under<C>(&self, load: impl FnOnce(u16) -> C) -> Report {
        self.traced_with(&[], load)
    }

    /// The same with arguments for `trace attach`.
    pub fn traced_with<C>(&self, args: &[&str], load: impl FnOnce(u16) -> C) -> Report {
        let tracer = Tracer::attach(self.pid(), args);
        let client = load(self.port);
        let until = Instant::now() + LOADED_FOR;
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        let report = tracer.interrupt();
        drop(client);
        report
    }

    /// Attaches when `load` is at work: what was submitted before the window completes in it.
    pub fn traced_amid<C>(&self, load: impl FnOnce(u16) -> C) -> Report {
        let client = load(self.port);
        let report = Tracer::start(self.pid(), &["--duration", WINDOW]).wait().report();
        drop(client);
        report
    }
}

/// Whether a descriptor of the process is such a file.
pub fn holds(pid: u32, file: &str) -> bool {
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    links.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|link| link == Path::new(file))
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = self.process();
        // Both may have ended by themselves.
        let _ = kill_process_group(group, Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// A client at work; dropping it ends it.
pub enum Client {
    Program(Child),
    Threads(Vec<JoinHandle<()>>, Arc<AtomicBool>),
}

impl Client {
    pub fn program(name: &str, args: &[&str]) -> Self {
        let mut command = program(name);
        Self::Program(command.args(args).stderr(Stdio::null()).spawn().unwrap())
    }

    /// So many threads that repeat `work` until the client is dropped, with a pause after each.
    pub fn threads(
        count: usize,
        pause: Duration,
        work: impl Fn() -> Box<dyn FnMut()> + Send + Sync + Clone + 'static,
    ) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let thread = |_| {
            let (end, work) = (end.clone(), work.clone());
            std::thread::spawn(move || {
                let mut work = work();
                while !end.load(Relaxed) {
                    work();
                    std::thread::sleep(pause);
                }
            })
        };
        Self::Threads((0..count).map(thread).collect(), end)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        match self {
            Self::Program(child) => {
                // It may have ended by itself.
                let _ = kill_process(Pid::from_child(child), Signal::KILL);
                let _ = child.wait();
            }
            Self::Threads(threads, end) => {
                end.store(true, Relaxed);
                threads.drain(..).for_each(|thread| thread.join().unwrap());
            }
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
