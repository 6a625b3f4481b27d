//! The JSON report (contract, DESIGN §7), as types.
//!
//! Times and counts are integers with their unit in the name, ratios are 0…1 and end in `_share`, and `None`
//! (`null`) stands for what was not measured. Fields may be added within a major version; none is taken away
//! or renamed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trace_common::account::Account;
use trace_common::conn::Side;
use trace_common::receive::{Accepts, Receives};

use super::ledger::Ledger;
use super::measured::Measured;
use super::residual::Residual;
use super::timeline::Timeline;
use super::turns::Turns;
use crate::model::balance::Balance;
use crate::model::following::Following;
use crate::model::verdict::{Confidence, Finding, IoModel, IoVerdict, Role, ServerVerdict};
use crate::snapshot::{
    Announced, Container, Episodes, EventLoop, Handovers, InFlight, Readiness, Schedstat, Seen, Step,
    Storage, Window,
};

/// Version of the schema: additive changes raise the minor number.
pub const VERSION: &str = "1.0";

/// A whole report.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Report {
    /// Version of the schema: `major.minor`; additions raise the minor number.
    pub schema_version: String,
    /// What measured.
    pub tool: Tool,
    /// The machine.
    pub host: Host,
    /// When, how long, and why it ended.
    pub window: Window,
    /// What was measured.
    pub target: Target,
    /// The answer.
    pub verdict: Verdict,
    /// Processes by pid; one that executed a program in the window has an entry for each, in their order.
    pub processes: Vec<Process>,
    /// Whom the target waited for, longest first.
    pub peers: Vec<Peer>,
    /// Exchanges on server-side connections.
    pub turns: Turns,
    /// Addition: connections by how they came to the thread that serves them.
    #[serde(default)]
    pub handovers: Handovers,
    /// Addition: how evenly the work is spread over those who serve; `None` for fewer than two of them.
    #[serde(default)]
    pub balance: Option<Balance>,
    /// Addition: whether requests can be followed by the id of the thread that received them.
    #[serde(default)]
    pub following: Option<Following>,
    /// Per account: (largest value of the bucket in ns, count).
    pub distributions: BTreeMap<Account, Vec<(u64, u64)>>,
    /// Worth a second look.
    pub findings: Vec<Finding>,
    /// What cannot be seen in this run.
    pub blind_spots: Vec<String>,
    /// What was lost; every counter is present, 0 when none. [`super::build::NO_LOSSES`] are none.
    pub loss: BTreeMap<String, u64>,
    /// Known receives through the same probes.
    pub calibration: Calibration,
    /// What tracing cost.
    pub cost: Cost,
    /// Addition: the ledger against the kernel's own account of the same threads.
    pub residual: Residual,
    /// Addition: figures that this kernel or this run cannot give, with the reason.
    pub degraded: Vec<String>,
    /// Addition: how it was sampled, in tier proc; else `None`.
    #[serde(default)]
    pub sampling: Option<Sampling>,
    /// Addition: logged receives; `None` unless they were asked for.
    #[serde(default)]
    pub calls: Option<Vec<Call>>,
    /// Addition: the timeline; `None` unless one was recorded.
    #[serde(default)]
    pub timeline: Option<Timeline>,
}

/// What measured.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tool {
    /// `trace`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `full`, `sched` (no hooks on system calls) or `proc` (samples of `/proc`).
    pub tier: String,
    /// SHA-256 of the probe object; `None` in tier proc, which loads none.
    pub object_sha256: Option<String>,
    /// Addition: the command line that measured; `None` where it was not kept.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// Addition: how it went down to a lower tier, since it cost more than `--max-overhead`.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// How a target was sampled that no probe was there for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Sampling {
    /// Rounds over all threads that were asked for, a second.
    pub asked_hz: f64,
    /// … and that were made: fewer, where they would cost too much.
    pub achieved_hz: f64,
    /// Rounds made.
    pub rounds: u64,
    /// Threads whose call in flight could not be read.
    pub threads_denied: u64,
    /// Threads of which a kernel function (`wchan`) stood in for it.
    pub threads_by_wchan: u64,
    /// `kernel.yama.ptrace_scope`; `None` where the kernel does not have it.
    pub yama_scope: Option<u32>,
    /// Sockets with `O_ASYNC`, among those that were looked at.
    pub o_async_sockets: u64,
}

/// What samples of a thread showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Samples {
    /// How many were taken.
    pub count: u64,
    /// … that showed it on a CPU or waiting for one.
    pub runnable: u64,
    /// What the others showed it to sleep in, the most frequent first.
    pub seen: Vec<Seen>,
}

/// The machine.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Host {
    /// Kernel release.
    pub kernel: String,
    /// Architecture.
    pub arch: String,
}

/// The target.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Target {
    /// Processes that were asked for, by their ids in the initial namespace.
    pub pids: Vec<u32>,
    /// Name of the first of them; if it executed another program, that one's.
    pub comm: Option<String>,
    /// Its executable.
    pub exe: Option<String>,
    /// Processes seen in the window, ended ones too; whatever programs they executed.
    pub processes: u64,
    /// Threads seen in the window, ended ones too; who executed a program is one thread.
    pub threads: u64,
    /// Addition: the container that the first of them runs in; `None` if its control group names none.
    #[serde(default)]
    pub container: Option<Container>,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Verdict {
    /// How the target waits for input.
    pub io_model: IoVerdict,
    /// How it spreads connections.
    pub server_model: ServerVerdict,
}

/// One process, or one program of a process that executed another one.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Name.
    pub comm: String,
    /// Its I/O model by name.
    pub io_model: Option<IoModel>,
    /// Its server model by name; `None` where only the tree as a whole has one.
    pub server_model: Option<String>,
    /// Its threads that ended within the window, that which executed the next program included.
    pub exited: Exited,
    /// Its threads that live at the end of the window.
    pub threads: Vec<Thread>,
    /// Addition: executable.
    pub exe: Option<String>,
    /// Addition: whether it lives at the end of the window.
    pub alive: bool,
    /// Addition: which program with this process id it is in the window: 0 for the first.
    #[serde(default)]
    pub epoch: u32,
    /// Addition: whether the process executed it. Else it began with the process, which may have the id of one that ended.
    #[serde(default)]
    pub by_exec: bool,
    /// Addition: when it began, after the window's start; `None` if before it.
    #[serde(default)]
    pub began_ns: Option<u64>,
    /// Addition: process id in the innermost PID namespace; `None` if that is the initial one, or it could not be read.
    #[serde(default)]
    pub inner_pid: Option<u32>,
    /// Addition: the container that it runs in; `None` if its control group names none.
    #[serde(default)]
    pub container: Option<Container>,
    /// Addition: the whole verdict behind `io_model`.
    pub io_verdict: Option<IoVerdict>,
}

/// Threads that ended within the window, added up.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Exited {
    /// How many.
    pub threads: u64,
    /// Their ledgers.
    pub ledger: Ledger,
    /// Their receives.
    pub receives: Measured<Receives>,
    /// Addition: time they lived in the window.
    pub lived_ns: u64,
    /// Addition: as of a living thread.
    #[serde(default)]
    pub unsplit_ns: u64,
    /// Addition: their accepts.
    pub accepts: Measured<Accepts>,
    /// Addition: their waits for data by side.
    pub wait_data_by_side: BySide,
}

/// One living thread.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Thread {
    /// Thread id.
    pub tid: u32,
    /// Name.
    pub comm: String,
    /// What it does in its process.
    pub role: Option<Role>,
    /// Its own I/O model by name.
    pub io_model: Option<IoModel>,
    /// Time lived in the window.
    pub lived_ns: u64,
    /// What the kernel's own account says; `None` where it could not be read at both ends.
    pub check: Option<Schedstat>,
    /// Time by account; adds up to `lived_ns`.
    pub ledger: Ledger,
    /// Addition: the part of `unknown_ns` that it was on a CPU, where the tier does not tell user from kernel.
    #[serde(default)]
    pub unsplit_ns: u64,
    /// `wait_data_ns` by side.
    pub wait_data_by_side: BySide,
    /// Receives on sockets.
    pub receives: Measured<Receives>,
    /// Accepts.
    pub accepts: Measured<Accepts>,
    /// What it waits in at the end.
    pub in_flight: Option<InFlight>,
    /// Addition: how sure its own model is.
    pub confidence: Option<Confidence>,
    /// Addition: name of the call of its last receive.
    pub receive_syscall: Option<String>,
    /// Addition: readiness waits.
    pub readiness: Measured<Readiness>,
    /// Addition: what it does between its readiness waits; `None` if it has no loop.
    #[serde(default)]
    pub event_loop: Option<EventLoop>,
    /// Addition: connections that it was the first to receive from, by how they came to it.
    #[serde(default)]
    pub served: Measured<Handovers>,
    /// Addition: its time on a CPU as a share of its life.
    #[serde(default)]
    pub busy_share: Option<f64>,
    /// Addition: episodes by side, at most 1000 a connection.
    pub episodes: Measured<BTreeMap<Side, Episodes>>,
    /// Addition: what it was told by io_urings and signals instead of waiting for it.
    #[serde(default)]
    pub announced: Measured<Announced>,
    /// Addition: reads and writes of files.
    #[serde(default)]
    pub storage: Measured<Storage>,
    /// Addition: sends that moved bytes.
    pub sends: Measured<u64>,
    /// Addition: those bytes.
    pub sent_bytes: Measured<u64>,
    /// Addition: times it went to sleep.
    pub sleeps: u64,
    /// Addition: times it was pushed off a CPU.
    pub preemptions: u64,
    /// Addition: its first wait had begun before the window.
    pub waited_before: bool,
    /// Addition: no event of it was seen; its ledger comes from `/proc`.
    pub silent: bool,
    /// Addition: a kernel worker of the process (io-wq, SQPOLL).
    pub kernel_io: bool,
    /// Addition: what samples of it showed, in tier proc; else `None`.
    #[serde(default)]
    pub samples: Option<Samples>,
}

/// Waits for data by side; datagram sockets count as other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BySide {
    /// Accepted, or on one of the target's listening ports.
    pub server_ns: u64,
    /// Connected by the target.
    pub client_ns: u64,
    /// Both ends in the target.
    pub local_ns: u64,
    /// Everything else: datagram sockets, pipes, ttys.
    pub other_ns: u64,
}

/// One party that the target waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Peer {
    /// Which end of the connections the target holds.
    pub side: Side,
    /// Remote address: on the server side without the port (clients come from any), else with it.
    pub address: String,
    /// Connections.
    pub connections: u64,
    /// Sleeps for data in a receive.
    pub waits: u64,
    /// Their time.
    pub wait_ns: u64,
    /// Receives with data.
    pub receives: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Addition: replies that the target waited for, on the client side.
    #[serde(default)]
    pub replies: u64,
    /// Addition: from the end of the last send to the first byte, over all of them: waited for in whichever call.
    #[serde(default)]
    pub reply_ns: u64,
}

/// Known receives, done by a thread of the tool under the same probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Calibration {
    /// Receives done.
    pub done: u64,
    /// Bytes received.
    pub done_bytes: u64,
    /// Receives measured.
    pub measured: u64,
    /// Bytes measured.
    pub measured_bytes: u64,
    /// Receives measured to have slept, as they had to.
    pub measured_slept: u64,
    /// Whether the probes saw exactly what was done.
    pub exact: bool,
    /// On-CPU times below this are the probes' own.
    pub floor_ns: Option<u64>,
}

/// What tracing cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Cost {
    /// Run time of the probes.
    pub bpf_run_ns: Option<u64>,
    /// Events handled.
    pub events: Option<u64>,
    /// `bpf_run_ns` as a share of one CPU.
    pub cpu_share: Option<f64>,
    /// Memory of all maps.
    pub map_bytes: u64,
    /// Addition: time in which the kernel's statistics of programs were on; the figures of the probes are estimates from it
    /// for the whole window. `None` where they could not be had.
    #[serde(default)]
    pub sampled_ns: Option<u64>,
    /// Addition: CPU time that trace itself took in the window, in user mode and in the kernel, reports not included.
    #[serde(default)]
    pub own_cpu_ns: Option<u64>,
    /// Addition: `own_cpu_ns` as a share of one CPU.
    #[serde(default)]
    pub own_cpu_share: Option<f64>,
}

/// One logged receive and its two phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Call {
    /// Thread.
    pub tid: u32,
    /// Number of the system call.
    pub nr: u32,
    /// Entry, `CLOCK_MONOTONIC`.
    pub entered_at_ns: u64,
    /// Exit, `CLOCK_MONOTONIC`.
    pub ended_at_ns: u64,
    /// Bytes, or a negative errno.
    pub result: i64,
    /// Asleep for data.
    pub wait_data_ns: u64,
    /// Asleep for something else.
    pub wait_other_ns: u64,
    /// Woken, waiting for a CPU.
    pub runqueue_ns: u64,
    /// Pushed off the CPU.
    pub preempted_ns: u64,
    /// Copying.
    pub copy_ns: u64,
    /// On CPU otherwise.
    pub kernel_ns: u64,
}
