//! What was measured, as plain data: it can be saved, replayed and classified again without privileges.
//!
//! Everything that the model and the reports use goes through here; nothing here knows maps, `/proc` or verdicts.

mod event_loop;
mod exchange;
pub mod file;
mod process;
mod sampled;
pub mod timeline;
mod trust;
mod weigh;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trace_common::account::Account;
use trace_common::conn::Side;
use trace_common::receive::{Accepts, Receives};
use trace_common::turn::Answers;
use trace_common::uring::Ways;

pub use event_loop::{EventLoop, Iteration};
pub use exchange::{Handovers, Peer, Turns};
pub use process::{Container, Listener, Process, Program, Runtime};
pub use sampled::{Sampled, SampledWidth, Seen, Step, ThreadSamples, is_sampled};
pub use trust::{Calibration, Cost};

/// One measurement of one target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The tool that measured.
    pub tool: Tool,
    /// The machine.
    pub host: Host,
    /// When, how long, and why it ended.
    pub window: Window,
    /// Process ids that were asked for.
    pub pids: Vec<u32>,
    /// Processes seen in the window, by pid; one for each program that they ran in it.
    pub processes: Vec<Process>,
    /// Further ones, of which nothing is left but their sum: their threads ended, and were added to those of another process.
    #[serde(default)]
    pub processes_summed: u64,
    /// Threads alive at the end, and those that ended within the window, by program and thread id. Who executes a program
    /// is a thread of both.
    pub threads: Vec<Thread>,
    /// Connections seen, as far as the table held them.
    pub connections: Vec<Connection>,
    /// What connections came to whose record gave way to another one's, by peer; added to `connections`.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// Exchanges on server-side connections; `None` in files that are older than the figure.
    #[serde(default)]
    pub turns: Option<Turns>,
    /// Distributions over the whole target: (largest value of the bucket in ns, count).
    pub distributions: BTreeMap<Account, Vec<(u64, u64)>>,
    /// Loss counters by the name they have in the report; all of them, 0 when none.
    pub loss: BTreeMap<String, u64>,
    /// Figures that this kernel or this run cannot give, with the reason.
    pub degraded: Vec<String>,
    /// What the canary did and what was measured of it.
    pub calibration: Calibration,
    /// What tracing cost.
    pub cost: Cost,
    /// Logged receives, if they were asked for.
    #[serde(default)]
    pub calls: Vec<trace_common::call::LoggedCall>,
    /// What samples showed; `None` unless the tier is `proc`.
    #[serde(default)]
    pub sampled: Option<Sampled>,
    /// What was done when, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<timeline::Timeline>,
}

/// The tool that measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tool {
    /// Version of `trace`.
    pub version: String,
    /// Tier: `full`, `sched` or `proc`.
    pub tier: String,
    /// SHA-256 of the probe object; empty where no probe was loaded.
    pub object_sha256: String,
    /// Its command line, as it was typed; `None` in files of versions that did not keep it. Of `trace run` it holds
    /// the command, which is not to be trusted more than the target's names.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// How it went down to a lower tier, since it cost more than it was allowed to.
    #[serde(default)]
    pub steps: Vec<Step>,
}

impl Tool {
    /// Whether every hook was asked for; what a lesser tier lacks is `null` in the report.
    pub fn is_full(&self) -> bool {
        self.tier == "full"
    }
}

/// The machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Host {
    /// Kernel release.
    pub kernel: String,
    /// Architecture.
    pub arch: String,
}

/// When, how long, and why it ended.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Window {
    /// Wall-clock start, RFC 3339 in UTC.
    pub started_at: String,
    /// Length in nanoseconds.
    pub duration_ns: u64,
    /// Why it ended.
    pub ended_by: EndedBy,
    /// Time that the hypervisor took from all CPUs together.
    pub steal_ns: Option<u64>,
}

/// Why a window ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EndedBy {
    /// `--duration` passed.
    Duration,
    /// A signal.
    Interrupt,
    /// The target ended.
    TargetExit,
    /// It cost more than `--max-overhead`.
    Overhead,
    /// It had not ended: this is an interval report.
    Open,
}

/// One thread of the target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Thread {
    /// Thread id.
    pub tid: u32,
    /// Process id.
    pub pid: u32,
    /// Which program of its process it is of: its [`Process::epoch`].
    #[serde(default)]
    pub epoch: u32,
    /// Its name; not to be trusted.
    pub comm: String,
    /// Whether it was born within the window.
    #[serde(default)]
    pub born: bool,
    /// Whether it lives at the end of the window; if not, it is summed up in its process's `exited`.
    pub alive: bool,
    /// How many ended threads this entry sums up; 1 for a single thread.
    pub count: u64,
    /// A kernel worker of the process (io-wq, SQPOLL).
    pub kernel_io: bool,
    /// Time lived within the window, ns.
    pub lived_ns: u64,
    /// Time by account, ns; adds up to `lived_ns`. What the tier does not measure is left out.
    pub ledger: BTreeMap<Account, u64>,
    /// The part of `unknown` that it was on a CPU, where the tier does not tell user from kernel, ns.
    #[serde(default)]
    pub unsplit_ns: u64,
    /// `wait_data` by side, ns.
    pub wait_data_by_side: BTreeMap<Side, u64>,
    /// Receives on sockets.
    pub receives: Receives,
    /// Receives on stream sockets that filled the buffer they were given (of 512 bytes at least).
    #[serde(default)]
    pub filled: u64,
    /// Name of the call of its last receive.
    pub receive_syscall: Option<String>,
    /// Accepts.
    pub accepts: Accepts,
    /// Readiness waits.
    pub readiness: Readiness,
    /// What it does between its readiness waits; `None` if it has no loop.
    #[serde(default)]
    pub event_loop: Option<EventLoop>,
    /// Connections of the server side that it was the first to receive from, by how they came to it.
    #[serde(default)]
    pub served: Handovers,
    /// Answers that it gave.
    #[serde(default)]
    pub answers: Answers,
    /// Episodes by side, at most 1000 a connection.
    pub episodes: BTreeMap<Side, Episodes>,
    /// What it was told instead of waiting in a call for it.
    #[serde(default)]
    pub announced: Announced,
    /// Reads and writes of files.
    #[serde(default)]
    pub storage: Storage,
    /// Name of the last call that slept for the disk.
    #[serde(default)]
    pub storage_syscall: Option<String>,
    /// Sends that moved bytes (send, sendto, sendmsg…), and those bytes.
    pub sends: u64,
    /// See `sends`.
    pub sent_bytes: u64,
    /// Times it went to sleep.
    pub sleeps: u64,
    /// Times it was pushed off a CPU.
    pub preemptions: u64,
    /// What `/proc/TID/schedstat` says of the window; `None` where it could not be read at both ends.
    pub schedstat: Option<Schedstat>,
    /// What it waits in at the end of the window.
    pub in_flight: Option<InFlight>,
    /// Its first event ended a wait that had begun before the window, so that wait is longer than shown.
    pub waited_before: bool,
    /// Whether no event of it was seen in the whole window; its ledger then comes from `/proc`.
    pub silent: bool,
}

/// Run time and run-queue delay, ns, by the kernel's own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Schedstat {
    /// On a CPU.
    pub run_ns: u64,
    /// Runnable, waiting for one.
    pub delay_ns: u64,
}

/// A wait in progress at the end of the window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InFlight {
    /// Name of the system call, or `nr N`; `None` outside calls.
    pub syscall: Option<String>,
    /// Account.
    pub account: Account,
    /// How long it has lasted within the window, ns.
    pub since_ns: u64,
    /// Whether it began before the window.
    pub before_attach: bool,
}

/// What a thread was told instead of waiting in a call for it: by the completions of its rings, and by signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Announced {
    /// io_urings of the thread that were used in the window.
    pub rings: u64,
    /// Requests submitted to them.
    pub submitted: u64,
    /// Receives completed by them, by the way they took; these are in the thread's `receives`, too.
    pub receives: Ways,
    /// Readiness requests completed by them; these are in the thread's `readiness`, too.
    pub polls: u64,
    /// Other completions: timeouts, cancellations, and what is of no interest here.
    pub other: u64,
    /// Signals that named a descriptor (`F_SETSIG`), delivered or dequeued.
    pub fd_signals: u64,
    /// Signals that named none (`SIGIO`).
    pub sigio_signals: u64,
}

/// Reads and writes of files by a thread, as far as they tell how it waits for the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Storage {
    /// Calls that slept for the disk.
    pub slept: u64,
    /// Requests completed by its rings, by the way they took.
    pub ring: Ways,
    /// Their bytes.
    pub ring_bytes: u64,
    /// Requests that `io_submit` took.
    pub aio_submitted: u64,
    /// Requests that `io_getevents` returned.
    pub aio_completed: u64,
    /// Signals of POSIX aio, delivered or dequeued.
    pub aio_signals: u64,
}

impl Announced {
    /// Adds `other`.
    pub fn add(&mut self, other: &Announced) {
        let Announced { rings, submitted, receives, polls, other: rest, fd_signals, sigio_signals } = other;
        self.rings += rings;
        self.submitted += submitted;
        self.receives.add(receives);
        self.polls += polls;
        self.other += rest;
        self.fd_signals += fd_signals;
        self.sigio_signals += sigio_signals;
    }
}

impl Storage {
    /// Adds `other`.
    pub fn add(&mut self, other: &Storage) {
        let Storage { slept, ring, ring_bytes, aio_submitted, aio_completed, aio_signals } = other;
        self.slept += slept;
        self.ring.add(ring);
        self.ring_bytes += ring_bytes;
        self.aio_submitted += aio_submitted;
        self.aio_completed += aio_completed;
        self.aio_signals += aio_signals;
    }
}

/// Readiness waits of a thread; those without descriptors are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Readiness {
    /// Calls.
    pub calls: u64,
    /// … that slept.
    pub slept: u64,
    /// … that returned descriptors.
    pub returned: u64,
    /// … that returned nothing and did not sleep.
    pub empty: u64,
    /// Descriptors returned.
    pub events: u64,
    /// Waits (that slept or returned) by width: wake-ups only.
    pub width_none: u64,
    /// … over listeners only.
    pub width_listeners: u64,
    /// … over exactly one peer.
    pub width_one: u64,
    /// … over exactly one unconnected datagram socket.
    pub width_datagram: u64,
    /// … over two or more peers, or a listener and a peer.
    pub width_many: u64,
    /// … of unknown width.
    pub width_unknown: u64,
    /// Calls by family: select, poll, epoll, and readiness requests of an io_uring.
    pub by_call: [u64; 4],
}

/// Episodes of one thread on one side, at most 1000 a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Episodes {
    /// The receive slept.
    pub slept: u64,
    /// After a readiness wait over several peers.
    pub ready_wide: u64,
    /// After a readiness wait over exactly one.
    pub ready_narrow: u64,
    /// After a readiness wait of unknown width.
    pub ready_unknown: u64,
    /// After repeated empty asks.
    pub polled: u64,
    /// After a signal.
    pub signalled: u64,
    /// By a completion.
    pub completed: u64,
    /// Connections whose first episode was decided by this thread.
    pub connections: u64,
    /// Connections whose first narrow episode was decided by this thread.
    pub narrow_connections: u64,
}

/// One connection (or other socket that was received from).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    /// Which end the target holds.
    pub side: Side,
    /// Remote address with port, `unix`, or another family's name.
    pub address: String,
    /// Process that received last.
    pub pid: u32,
    /// Which program of that process it was.
    #[serde(default)]
    pub epoch: u32,
    /// Thread that received last.
    pub tid: u32,
    /// How often the receiving thread changed.
    pub handovers: u32,
    /// Sleeps for data in a receive on it.
    pub waits: u64,
    /// Their time, ns.
    pub wait_ns: u64,
    /// Receives with data.
    pub receives: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Episodes counted.
    pub episodes: u32,
    /// Sends that moved bytes.
    #[serde(default)]
    pub sends: u64,
    /// Replies that the target waited for (client side).
    #[serde(default)]
    pub replies: u64,
    /// From the end of the last send to the first byte of each, ns.
    #[serde(default)]
    pub reply_ns: u64,
    /// Thread that accepted it, if that was seen.
    #[serde(default)]
    pub accepted_by: Option<u32>,
    /// It was seen to be accepted.
    pub accepted: bool,
    /// It was asked with `MSG_DONTWAIT` or `O_NONBLOCK`.
    pub asked_nonblocking: bool,
    /// It was asked by a call that may wait.
    pub asked_blocking: bool,
    /// It was seen in an epoll set.
    pub in_epoll: bool,
    /// Its file has `O_ASYNC`.
    #[serde(default)]
    pub o_async: bool,
}

impl Snapshot {
    /// The value below which `share` of the durations in `account` lie, ns (the upper edge of its bucket); `None` if there
    /// are none.
    pub fn quantile(&self, account: Account, share: f64) -> Option<u64> {
        quantile(self.distributions.get(&account)?, share)
    }
}

/// The largest value of the bucket that the `share`-quantile lies in; `None` if the buckets, each with its largest value
/// and its count, hold nothing.
pub fn quantile(buckets: &[(u64, u64)], share: f64) -> Option<u64> {
    let total: u64 = buckets.iter().map(|(_, n)| n).sum();
    let rank = ((total as f64 * share).ceil() as u64).max(1);
    let mut seen = 0;
    buckets.iter().find_map(|(upper, n)| {
        seen += n;
        (seen >= rank).then_some(*upper)
    })
}

impl Readiness {
    /// Adds `other`.
    pub fn add(&mut self, other: &Readiness) {
        let Readiness {
            calls,
            slept,
            returned,
            empty,
            events,
            width_none,
            width_listeners,
            width_one,
            width_datagram,
            width_many,
            width_unknown,
            by_call,
        } = other;
        self.calls += calls;
        self.slept += slept;
        self.returned += returned;
        self.empty += empty;
        self.events += events;
        self.width_none += width_none;
        self.width_listeners += width_listeners;
        self.width_one += width_one;
        self.width_datagram += width_datagram;
        self.width_many += width_many;
        self.width_unknown += width_unknown;
        for (sum, calls) in self.by_call.iter_mut().zip(by_call) {
            *sum += calls;
        }
    }
}

impl Episodes {
    /// Adds `other`.
    pub fn add(&mut self, other: &Episodes) {
        let Episodes {
            slept,
            ready_wide,
            ready_narrow,
            ready_unknown,
            polled,
            signalled,
            completed,
            connections,
            narrow_connections,
        } = other;
        self.slept += slept;
        self.ready_wide += ready_wide;
        self.ready_narrow += ready_narrow;
        self.ready_unknown += ready_unknown;
        self.polled += polled;
        self.signalled += signalled;
        self.completed += completed;
        self.connections += connections;
        self.narrow_connections += narrow_connections;
    }
}

impl Thread {
    /// Adds another ended thread of the same process to this one.
    pub fn merge(&mut self, other: &Thread) {
        self.count += other.count;
        self.lived_ns += other.lived_ns;
        self.unsplit_ns += other.unsplit_ns;
        for (account, ns) in &other.ledger {
            *self.ledger.entry(*account).or_default() += ns;
        }
        for (side, ns) in &other.wait_data_by_side {
            *self.wait_data_by_side.entry(*side).or_default() += ns;
        }
        self.receives.add(&other.receives);
        self.filled += other.filled;
        self.answers.add(&other.answers);
        self.accepts.add(&other.accepts);
        self.readiness.add(&other.readiness);
        if let Some(other) = &other.event_loop {
            self.event_loop.get_or_insert_default().add(other);
        }
        for (way, connections) in &other.served {
            *self.served.entry(*way).or_default() += connections;
        }
        for (side, episodes) in &other.episodes {
            self.episodes.entry(*side).or_default().add(episodes);
        }
        self.announced.add(&other.announced);
        self.storage.add(&other.storage);
        self.sends += other.sends;
        self.sent_bytes += other.sent_bytes;
        self.sleeps += other.sleeps;
        self.preemptions += other.preemptions;
    }

    /// The program that it is of.
    pub fn program(&self) -> Program {
        (self.pid, self.epoch)
    }

    /// Time in `account`, ns.
    pub fn ns(&self, account: Account) -> u64 {
        self.ledger.get(&account).copied().unwrap_or(0)
    }

    /// Time on a CPU, ns.
    pub fn on_cpu_ns(&self) -> u64 {
        let told_apart: u64 = Account::ALL.into_iter().filter(|a| a.is_on_cpu()).map(|a| self.ns(a)).sum();
        told_apart + self.unsplit_ns
    }

    /// Time of which is not known where it was spent, ns.
    pub fn unseen_ns(&self) -> u64 {
        self.ns(Account::Unknown).saturating_sub(self.unsplit_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_upper_edge_of_its_bucket() {
        let buckets = [(10, 50), (20, 49), (30, 1)];
        assert_eq!(quantile(&buckets, 0.5), Some(10));
        assert_eq!(quantile(&buckets, 0.51), Some(20));
        assert_eq!(quantile(&buckets, 0.99), Some(20));
        assert_eq!(quantile(&buckets, 1.0), Some(30));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
