//! Real servers from packages, started by the test and loaded by a real client.

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
/// Where packages put servers, beside the search path.
const DIRECTORIES: [&str; 4] = ["/usr/local/sbin", "/usr/sbin", "/usr/bin", "/bin"];

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
    assert!(std::env::var_os("CI").is_none(), "not installed: {missing:?}");
    eprintln!("skipped: not installed: {missing:?}");
    false
}

fn find(program: &str) -> Option<PathBuf> {
    DIRECTORIES.iter().map(|d| Path::new(d).join(program)).find(|path| path.exists())
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
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut command = command(directory.path(), port);
        command.stderr(File::create(directory.path().join("stderr")).unwrap()).process_group(0);
        let mut server = Self { child: command.spawn().unwrap(), port, directory };
        wait_for("the server's port", || {
            assert!(server.child.try_wait().unwrap().is_none(), "the server ended: {}", server.said());
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        server
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Attaches, lets `load` work (a [`Client`] or several), and closes the window before the load's connections are gone.
    pub fn traced_under<C>(&self, load: impl FnOnce(u16) -> C) -> Report {
        let tracer = Tracer::attach(self.pid(), &[]);
        let client = load(self.port);
        let until = Instant::now() + LOADED_FOR;
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        let report = tracer.interrupt();
        drop(client);
        report
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
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
