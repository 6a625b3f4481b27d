//! The JSON report as its readers see it: the names of the contract (DESIGN §7), written down a second time on purpose.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::machine::by_machine;

/// Loss counters of the contract.
pub const LOSSES: [&str; 13] = [
    "exit_without_enter",
    "enter_without_exit",
    "clock_backwards",
    "slots_exhausted",
    "map_full",
    "ring_full",
    "recursion_missed",
    "compat_calls",
    "torn_reads",
    "user_faults",
    "threads_missed",
    "completed_unmatched",
    "generation_dropped",
];

const SLEEPS: [&str; 11] = [
    "wait_accept",
    "wait_data",
    "wait_ready",
    "wait_completion",
    "wait_signal",
    "wait_send",
    "wait_futex",
    "wait_timer",
    "wait_disk",
    "wait_other",
    "stopped",
];
const AWAKE: [&str; 6] = ["runqueue", "preempted", "copy", "kernel", "user", "unknown"];

#[derive(Debug, Deserialize)]
pub struct Report {
    pub schema_version: String,
    pub tool: Tool,
    pub window: Window,
    pub target: Target,
    pub verdict: Verdict,
    pub processes: Vec<Process>,
    pub peers: Vec<Peer>,
    pub turns: Turns,
    pub handovers: BTreeMap<String, u64>,
    pub balance: Option<Balance>,
    pub findings: Vec<Finding>,
    pub degraded: Vec<String>,
    pub loss: BTreeMap<String, u64>,
    pub calibration: Calibration,
    pub calls: Option<Vec<Call>>,
}

#[derive(Debug, Deserialize)]
pub struct Peer {
    pub side: String,
    pub address: String,
    pub connections: u64,
    pub replies: u64,
    pub reply_ns: u64,
    pub wait_ns: u64,
}

#[derive(Debug, Deserialize)]
pub struct Turns {
    pub count: Option<u64>,
    pub receive_ns: Option<u64>,
    pub build_ns: Option<u64>,
    pub send_ns: Option<u64>,
    pub service_p50_ns: Option<u64>,
    pub service_p99_ns: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub struct Balance {
    pub workers: u64,
    pub gini: f64,
    pub spread: String,
}

#[derive(Debug, Deserialize)]
pub struct Readiness {
    pub returned: u64,
    pub events: u64,
}

#[derive(Debug, Deserialize)]
pub struct EventLoop {
    pub iterations: u64,
    pub without_work: u64,
    pub blocked_ns: u64,
    pub longest: Iteration,
    pub timeouts_infinite: u64,
}

#[derive(Debug, Deserialize)]
pub struct Iteration {
    pub ns: u64,
    pub cpu_ns: u64,
    pub sleep_ns: u64,
    pub sleep_syscall: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct ServerModel {
    pub name: String,
    pub units: Option<String>,
    pub count: Option<u64>,
    pub confidence: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Finding {
    pub code: String,
}

#[derive(Debug, Deserialize)]
pub struct Tool {
    pub tier: String,
}

#[derive(Debug, Deserialize)]
pub struct Window {
    pub duration_ns: u64,
    pub ended_by: String,
}

#[derive(Debug, Deserialize)]
pub struct Target {
    pub processes: u64,
    pub threads: u64,
}

#[derive(Debug, Deserialize)]
pub struct Verdict {
    pub io_model: IoModel,
    pub server_model: ServerModel,
}

#[derive(Clone, Debug, Deserialize)]
pub struct IoModel {
    pub name: String,
    pub mechanism: Option<String>,
    pub qualifier: Option<String>,
    pub confidence: Option<String>,
    pub shares: BTreeMap<String, f64>,
    pub alternatives: Vec<Alternative>,
    pub evidence: Vec<Evidence>,
    pub storage: Option<Box<IoModel>>,
    #[serde(default)]
    pub upstream: Option<Box<IoModel>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Alternative {
    pub name: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Evidence {
    pub code: String,
    pub text: String,
    #[serde(rename = "for")]
    pub supports: bool,
}

#[derive(Debug, Deserialize)]
pub struct Process {
    pub pid: u32,
    pub comm: String,
    pub io_model: Option<String>,
    pub exited: Exited,
    pub threads: Vec<Thread>,
    pub alive: bool,
    pub epoch: u32,
    pub by_exec: bool,
    pub began_ns: Option<u64>,
    pub inner_pid: Option<u32>,
    pub container: Option<Container>,
}

#[derive(Debug, Deserialize)]
pub struct Container {
    pub runtime: String,
    pub id: String,
}

#[derive(Debug, Deserialize)]
pub struct Exited {
    pub threads: u64,
    pub lived_ns: u64,
    pub ledger: Ledger,
    pub receives: Receives,
    pub accepts: Option<Accepts>,
}

#[derive(Debug, Deserialize)]
pub struct Thread {
    pub tid: u32,
    pub role: Option<String>,
    pub lived_ns: u64,
    pub check: Option<Check>,
    pub ledger: Ledger,
    pub unsplit_ns: u64,
    pub receives: Receives,
    pub accepts: Option<Accepts>,
    pub in_flight: Option<InFlight>,
    pub readiness: Readiness,
    pub event_loop: Option<EventLoop>,
    pub announced: Announced,
    pub storage: Storage,
    pub waited_before: bool,
    pub sleeps: u64,
    pub preemptions: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Announced {
    pub rings: u64,
    pub receives: Ways,
    pub polls: u64,
    pub fd_signals: u64,
    pub sigio_signals: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Storage {
    pub slept: u64,
    pub ring: Ways,
    pub aio_submitted: u64,
    pub aio_completed: u64,
    pub aio_signals: u64,
}

/// Completions by the way they took.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Ways {
    pub inline: u64,
    pub armed: u64,
    pub queued: u64,
}

impl Ways {
    pub fn total(self) -> u64 {
        self.inline + self.armed + self.queued
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Check {
    pub run_ns: u64,
    pub delay_ns: u64,
}

/// Time by account, with the unit in the key.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Ledger(pub BTreeMap<String, Option<u64>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Receives {
    pub calls: u64,
    pub with_data: u64,
    pub eof: u64,
    pub eagain: u64,
    pub interrupted: u64,
    pub failed: u64,
    pub bytes: u64,
    pub slept: u64,
    pub after_ready: u64,
    pub polled: u64,
    pub signalled: u64,
    pub completed: u64,
    pub immediate: u64,
    pub copy_bounded: u64,
    pub zero_copy: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Accepts {
    pub calls: u64,
    pub accepted: u64,
    pub eagain: u64,
    pub slept: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct InFlight {
    pub syscall: Option<String>,
    pub account: String,
    pub since_ns: u64,
    pub before_attach: bool,
}

#[derive(Debug, Deserialize)]
pub struct Calibration {
    pub done: u64,
    pub done_bytes: u64,
    pub measured: u64,
    pub measured_bytes: u64,
}

/// One logged receive.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Call {
    pub tid: u32,
    pub nr: u32,
    pub entered_at_ns: u64,
    pub ended_at_ns: u64,
    pub result: i64,
    pub wait_data_ns: u64,
    pub wait_other_ns: u64,
    pub runqueue_ns: u64,
    pub preempted_ns: u64,
    pub copy_ns: u64,
    pub kernel_ns: u64,
}

impl Report {
    /// The process with this id.
    pub fn process(&self, pid: u32) -> &Process {
        self.processes.iter().find(|p| p.pid == pid).unwrap_or_else(|| panic!("no process {pid}: {self:#?}"))
    }

    /// The thread with this id; it lives at the end of the window.
    pub fn thread(&self, tid: u32) -> &Thread {
        self.threads().find(|t| t.tid == tid).unwrap_or_else(|| panic!("no thread {tid}: {self:#?}"))
    }

    /// All living threads.
    pub fn threads(&self) -> impl Iterator<Item = &Thread> {
        self.processes.iter().flat_map(|p| &p.threads)
    }

    /// Receives of all threads, the ended ones too.
    pub fn receives(&self) -> Receives {
        let ended = self.processes.iter().map(|p| p.exited.receives);
        self.threads().map(|t| t.receives).chain(ended).fold(Receives::default(), Receives::plus)
    }

    /// Accepts of all threads, the ended ones too.
    pub fn accepted(&self) -> u64 {
        let ended = self.processes.iter().map(|p| p.exited.accepts);
        self.threads().map(|t| t.accepts).chain(ended).flatten().map(|a| a.accepted).sum()
    }

    /// Time in this account, of all threads, the ended ones too.
    pub fn ns(&self, account: &str) -> u64 {
        let ended = self.processes.iter().map(|p| &p.exited.ledger);
        self.threads().map(|t| &t.ledger).chain(ended).map(|l| l.ns(account)).sum()
    }

    /// What holds for every report: conservation, identities, the canary, and counters that are all there.
    pub fn check(&self) {
        assert!(self.schema_version.starts_with("1."), "{}", self.schema_version);
        let missing: Vec<_> = LOSSES.into_iter().filter(|l| !self.loss.contains_key(*l)).collect();
        assert!(missing.is_empty(), "loss counters that the report lacks: {missing:?}");
        let Calibration { done, measured, done_bytes, measured_bytes } = self.calibration;
        assert_eq!((done, measured), (23, 23), "the canary");
        assert_eq!(measured_bytes, done_bytes, "the canary");
        for thread in self.threads() {
            thread.check(self.window.duration_ns);
        }
        for Exited { lived_ns, ledger, receives, .. } in self.processes.iter().map(|p| &p.exited) {
            assert_eq!(ledger.sum(), *lived_ns, "the accounts of the ended threads add up to their lives");
            receives.check();
        }
    }
}

impl Thread {
    fn check(&self, window_ns: u64) {
        let Self { tid, lived_ns, ledger, receives, .. } = self;
        assert_eq!(ledger.sum(), *lived_ns, "thread {tid}: the accounts add up to its life: {self:#?}");
        assert!(*lived_ns <= window_ns, "thread {tid} lived longer than the window");
        receives.check();
    }

    /// Run time within 2 % + 5 ms + 1 µs per switch of schedstat's, waiting for a CPU never below its delay by more
    /// than 2 % + 5 ms.
    pub fn agrees_with_the_kernel(&self) -> Result<(), String> {
        let Check { run_ns, delay_ns } = self.check.ok_or_else(|| format!("no schedstat: {self:#?}"))?;
        let switches = self.sleeps + self.preemptions;
        let slack = |ns: u64| by_machine(ns / 50 + 5_000_000, ns / 5 + 50_000_000);
        let allowed = slack(run_ns) + by_machine(1_000, 20_000) * switches;
        let off = self.on_cpu_ns().abs_diff(run_ns);
        let runnable = self.runnable_ns();
        println!("on a CPU {} ns of {run_ns}, waiting for one {runnable} of {delay_ns}", self.on_cpu_ns());
        if off > allowed {
            return Err(format!("run time differs by {off} ns, allowed are {allowed}: {self:#?}"));
        }
        if runnable + slack(delay_ns) < delay_ns {
            return Err(format!("waited for a CPU {runnable} ns only: {self:#?}"));
        }
        Ok(())
    }

    /// Waiting for a CPU.
    pub fn runnable_ns(&self) -> u64 {
        self.ledger.ns("runqueue") + self.ledger.ns("preempted")
    }

    /// On one.
    pub fn on_cpu_ns(&self) -> u64 {
        let told_apart: u64 = ["copy", "kernel", "user"].into_iter().map(|a| self.ledger.ns(a)).sum();
        told_apart + self.unsplit_ns
    }
}

impl Ledger {
    /// Time in this account; 0 where it is not measured.
    pub fn ns(&self, account: &str) -> u64 {
        self.entry(account).unwrap_or(0)
    }

    /// Whether this account is said not to be measured.
    pub fn lacks(&self, account: &str) -> bool {
        self.entry(account).is_none()
    }

    fn entry(&self, account: &str) -> Option<u64> {
        let key = format!("{account}_ns");
        *self.0.get(&key).unwrap_or_else(|| panic!("the ledger lacks {key}: {self:?}"))
    }

    /// All accounts of the contract, and there are no others.
    pub fn sum(&self) -> u64 {
        assert_eq!(self.0.len(), SLEEPS.len() + AWAKE.len(), "{self:?}");
        SLEEPS.into_iter().chain(AWAKE).map(|account| self.ns(account)).sum()
    }
}

impl Receives {
    fn check(&self) {
        let r = self;
        assert_eq!(r.calls, r.with_data + r.eof + r.eagain + r.interrupted + r.failed, "{r:?}");
        let ways = r.slept + r.after_ready + r.polled + r.signalled + r.completed + r.immediate;
        assert_eq!(r.with_data, ways, "{r:?}");
    }

    fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            with_data: self.with_data + other.with_data,
            eof: self.eof + other.eof,
            eagain: self.eagain + other.eagain,
            interrupted: self.interrupted + other.interrupted,
            failed: self.failed + other.failed,
            bytes: self.bytes + other.bytes,
            slept: self.slept + other.slept,
            after_ready: self.after_ready + other.after_ready,
            polled: self.polled + other.polled,
            signalled: self.signalled + other.signalled,
            completed: self.completed + other.completed,
            immediate: self.immediate + other.immediate,
            copy_bounded: self.copy_bounded + other.copy_bounded,
            zero_copy: self.zero_copy + other.zero_copy,
        }
    }
}

impl Call {
    /// All that is known of its time.
    pub fn sum_ns(&self) -> u64 {
        self.wait_data_ns
            + self.wait_other_ns
            + self.runqueue_ns
            + self.preempted_ns
            + self.copy_ns
            + self.kernel_ns
    }
}
