//! `trace attach` at work.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::machine::{DEADLINE, wait_for};
use super::programs::{heeds_signals, trace, words};
use super::report::Report;

/// What `trace` says on stderr when its probes are attached.
const ATTACHED: &str = "attached to";

/// A tracer; dropping it kills it.
pub struct Tracer {
    child: Child,
    started: Instant,
    /// Lines of stderr, with the time of their coming.
    lines: Receiver<(Instant, String)>,
    said: Vec<String>,
    stdout: Option<JoinHandle<String>>,
}

/// A tracer that has ended.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// From its start to its end.
    pub took: Duration,
}

impl Tracer {
    /// Attaches, and returns when everything from now on is inside the window. Without `--duration` that lasts until
    /// [`Tracer::interrupt`] or until the target ends.
    pub fn attach(pid: u32, args: &[&str]) -> Self {
        let mut tracer = Self::start(pid, args);
        tracer.wait_until_attached();
        tracer
    }

    /// Starts it.
    pub fn start(pid: u32, args: &[&str]) -> Self {
        let mut command = Command::new(trace());
        command.args(words(&format!("attach --pid {pid} --format json"))).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        heeds_signals(&mut command);
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (say, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // The test may have lost interest.
                let _ = say.send((Instant::now(), line));
            }
        });
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            BufReader::new(stdout).read_to_string(&mut text).unwrap();
            text
        });
        Self { child, started, lines, said: Vec::new(), stdout: Some(stdout) }
    }

    /// Waits for the line that says so; returns how long after the start it came.
    pub fn wait_until_attached(&mut self) -> Duration {
        self.wait_for_line(ATTACHED)
    }

    /// Waits for a line with this text; returns how long after the start it came.
    pub fn wait_for_line(&mut self, text: &str) -> Duration {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((at, line)) => {
                    self.said.push(line);
                    if self.said.last().unwrap().contains(text) {
                        return at - self.started;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("trace did not say {text:?}: {:?}", self.said),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("trace ended before it said {text:?}: {:?}", self.said)
                }
            }
        }
    }

    /// How long its first thread was ready to run and had no CPU so far: others had it.
    pub fn waited_for_cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/schedstat", self.pid())).unwrap_or_default();
        Duration::from_nanos(words(&stat).get(1).and_then(|delay| delay.parse().ok()).unwrap_or(0))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        assert!(self.try_signal(signal), "it has ended, and been waited for");
    }

    /// Sends a signal, if it still lives; says whether.
    pub fn try_signal(&self, signal: Signal) -> bool {
        kill_process(Pid::from_child(&self.child), signal).is_ok()
    }

    /// Closes the window, and returns the report on it.
    pub fn interrupt(self) -> Report {
        self.signal(Signal::INT);
        let report = self.wait().report();
        assert_eq!(report.window.ended_by, "interrupt");
        report
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        wait_for("the end of trace", || !self.is_running());
        let took = self.started.elapsed();
        let status = self.child.wait().unwrap();
        let stdout = self.stdout.take().unwrap().join().unwrap();
        self.said.extend(self.lines.iter().map(|(_, line)| line));
        Ended { status, stdout, stderr: std::mem::take(&mut self.said).join("\n"), took }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The report of a run that went well, after the checks that every report must pass.
    pub fn report(&self) -> Report {
        assert_eq!(self.status.code(), Some(0), "{}", self.stderr);
        let report: Report =
            serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout));
        report.check();
        report
    }
}
