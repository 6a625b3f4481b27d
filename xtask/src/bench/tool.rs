//! The tools, each attached to the same processes in its own way.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aya::Ebpf;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::floor;
use super::process::{Owned, cpu_ns, is_traced, perf_events};

/// Most time that attaching may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// From attached to measured: `trace` samples its own cost in the first 200 ms, and perf says nothing when it is done.
const SETTLE: Duration = Duration::from_millis(400);

/// What a server or a loop is measured under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// The hooks of tier full, with programs that do nothing
    Floor,
    /// `trace attach --tier full`
    Full,
    /// The hooks of tier sched, with programs that do nothing
    FloorSched,
    /// `trace attach --tier sched`
    Sched,
    /// bpftrace with equivalent.bt
    Bpftrace,
    /// `perf trace -s`
    Perf,
    /// `strace -f -c -w`
    Strace,
}

impl Tool {
    /// All of them, in the order of their tables.
    pub const ALL: [Tool; 7] =
        [Tool::Floor, Tool::Full, Tool::FloorSched, Tool::Sched, Tool::Bpftrace, Tool::Perf, Tool::Strace];

    /// As on the page.
    pub fn title(self) -> &'static str {
        match self {
            Tool::Floor => "empty programs, hooks of full",
            Tool::Full => "trace, tier full",
            Tool::FloorSched => "empty programs, hooks of sched",
            Tool::Sched => "trace, tier sched",
            Tool::Bpftrace => "bpftrace, equivalent.bt",
            Tool::Perf => "perf trace -s",
            Tool::Strace => "strace -f -c -w",
        }
    }

    /// Throughput under it as a share of bare, roughly: how much work to give it in the first round.
    pub fn guess(self) -> f64 {
        match self {
            Tool::Perf | Tool::Strace => 0.12,
            _ => 1.0,
        }
    }
}

/// Where things are.
pub struct Places {
    /// The `trace` that is measured.
    pub trace: PathBuf,
    /// The directory of the objects.
    pub prebuilt: PathBuf,
    /// The script for bpftrace.
    pub script: PathBuf,
    /// Where tools write.
    pub scratch: PathBuf,
}

/// A tool at work.
pub struct Attached {
    tool: Tool,
    /// How long it took until it said, or could be seen, to be attached.
    pub took: Duration,
    process: Option<Owned>,
    _programs: Option<Ebpf>,
    report: Option<PathBuf>,
}

/// What a tool leaves.
pub struct Left {
    /// From the signal until the process was gone.
    pub took: Duration,
    /// The report of `trace`.
    pub report: Option<serde_json::Value>,
}

impl Attached {
    /// Attaches a tool to processes, and returns when it is at work.
    ///
    /// # Errors
    /// When it cannot be started, refuses, or does not say in time that it is attached.
    pub fn new(tool: Tool, places: &Places, pids: &[u32]) -> Result<Self> {
        let begun = Instant::now();
        let (mut process, mut programs, mut report) = (None, None, None);
        match tool {
            Tool::Floor => programs = Some(floor::attach(&places.prebuilt, true)?),
            Tool::FloorSched => programs = Some(floor::attach(&places.prebuilt, false)?),
            Tool::Full | Tool::Sched => {
                let tier = if tool == Tool::Full { "full" } else { "sched" };
                let output = places.scratch.join("report.json");
                let mut command = Command::new(&places.trace);
                // The others get every process; `trace` finds descendants itself.
                command.args([
                    "attach",
                    "--pid",
                    &pids[0].to_string(),
                    "--tier",
                    tier,
                    "--force",
                    "--output",
                ]);
                process = Some(wait_for_word(command.arg(&output), places, "attached to")?);
                report = Some(output);
            }
            Tool::Bpftrace => {
                let mut command = Command::new("bpftrace");
                command.args(["-B", "line"]).arg(&places.script).env("BPFTRACE_MAP_KEYS_MAX", "65536");
                let last = pids.last().unwrap_or(&0);
                command.args([pids[0].to_string(), last.to_string()]);
                process = Some(wait_for_word(&mut command, places, "tick")?);
            }
            Tool::Perf => {
                let mut command = Command::new("perf");
                let list: Vec<String> = pids.iter().map(u32::to_string).collect();
                command
                    .args(["trace", "-s", "-p", &list.join(","), "-o"])
                    .arg(places.scratch.join("perf.txt"));
                let mut perf = start(&mut command, places)?;
                let pid = perf.pid();
                perf.wait_until(PATIENCE, "it had opened its events", || perf_events(pid) > 0)?;
                process = Some(perf);
            }
            Tool::Strace => {
                let mut command = Command::new("strace");
                command.args(["-f", "-c", "-w", "-o"]).arg(places.scratch.join("strace.txt"));
                for pid in pids {
                    command.args(["-p", &pid.to_string()]);
                }
                let mut strace = start(&mut command, places)?;
                let all = || pids.iter().all(|pid| is_traced(*pid));
                strace.wait_until(PATIENCE, "every thread was traced", all)?;
                process = Some(strace);
            }
        }
        let took = begun.elapsed();
        std::thread::sleep(SETTLE);
        Ok(Self { tool, took, process, _programs: programs, report })
    }

    /// The tool's process; none for programs of this one.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Owned::pid)
    }

    /// CPU time that the tool itself has used, ns: that of its process, not what it costs in others.
    pub fn cpu_ns(&self) -> u64 {
        self.process.as_ref().map_or(0, |process| cpu_ns(&[process.pid()]))
    }

    /// Detaches.
    ///
    /// # Errors
    /// When it does not end, or `trace` leaves no report.
    pub fn detach(mut self) -> Result<Left> {
        let begun = Instant::now();
        if let Some(process) = &mut self.process {
            // bpftrace 0.17 forgets a signal that comes while it does not wait in epoll_wait.
            process.interrupt(self.tool == Tool::Bpftrace, PATIENCE)?;
        }
        let took = begun.elapsed();
        let report = match &self.report {
            None => None,
            Some(path) => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("{} left no report", self.tool.title()))?;
                fs::remove_file(path)?;
                Some(serde_json::from_str(&text).context("the report is no JSON")?)
            }
        };
        Ok(Left { took, report })
    }
}

fn said(places: &Places) -> PathBuf {
    places.scratch.join("said.txt")
}

/// Starts a tool; what it says goes to a file.
fn start(command: &mut Command, places: &Places) -> Result<Owned> {
    let file = File::create(said(places))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    Owned::start(command)
}

/// Starts a tool, and waits until it says this word.
fn wait_for_word(command: &mut Command, places: &Places, word: &str) -> Result<Owned> {
    let mut process = start(command, places)?;
    let text = || fs::read_to_string(said(places)).unwrap_or_default();
    match process.wait_until(PATIENCE, &format!("it said `{word}`"), || text().contains(word)) {
        Ok(()) => Ok(process),
        Err(error) => bail!("{error:#}; it said: {}", text().trim()),
    }
}
