//! What samples of `/proc` showed, in the tier that has no probes; and how a measurement went down to a lower tier.

use serde::{Deserialize, Serialize};
use trace_common::account::Account;
use trace_common::conn::Side;

/// Samples of a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Sampled {
    /// Rounds over all threads that were asked for, a second.
    pub asked_hz: f64,
    /// … and that were made: fewer, where a round takes so long that more of them would cost too much.
    pub achieved_hz: f64,
    /// Rounds made.
    pub rounds: u64,
    /// Threads whose call in flight could not be read in any sample.
    pub denied: u64,
    /// Threads of which the name of the kernel function that they sleep in (`wchan`) stood in for it.
    pub by_wchan: u64,
    /// `kernel.yama.ptrace_scope`, which may be why; `None` where the kernel does not have it.
    pub yama: Option<u32>,
    /// Sockets of the target with `O_ASYNC`, among those that were looked at.
    pub o_async: u64,
    /// Threads, by their ids.
    pub threads: Vec<ThreadSamples>,
}

/// Samples of one thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ThreadSamples {
    /// Thread id.
    pub tid: u32,
    /// Samples taken of it.
    pub samples: u64,
    /// … that showed it on a CPU or waiting for one.
    pub runnable: u64,
    /// What the others showed, the most frequent first.
    pub seen: Vec<Seen>,
}

/// What a thread was seen to sleep in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Seen {
    /// Name of the system call; `None` outside calls, or where it could not be read.
    pub syscall: Option<String>,
    /// Account of the ledger that it stands for.
    pub account: Account,
    /// Which end of its connections the target holds; `None` where it waits for none, or that is not known.
    pub side: Option<Side>,
    /// What a readiness wait is over; `None` for any other sleep.
    pub width: Option<SampledWidth>,
    /// Samples that showed it.
    pub samples: u64,
    /// Connections and listeners in it, the most of any sample.
    pub peers: u64,
    /// Different sockets that it was for; 0 where it is over several.
    pub sockets: u64,
}

/// What a readiness wait is over, as far as descriptors tell: a pipe tells not whether it is a connection or a wake-up,
/// and counts as the latter.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SampledWidth {
    /// Wake-ups only.
    Wakeups,
    /// Listeners only.
    Listeners,
    /// Exactly one connection.
    One,
    /// Exactly one datagram socket.
    Datagram,
    /// Two or more connections, or a listener and a connection.
    Many,
    /// It could not be read.
    Unknown,
}

/// Whether samples tell the time in `account`: phase 2 they do not see, and `schedstat` does not tell why a thread was on
/// the run queue.
pub const fn is_sampled(account: Account) -> bool {
    !matches!(account, Account::Copy | Account::Preempted)
}

impl ThreadSamples {
    /// Samples in which `what` holds for its sleep.
    pub fn count(&self, what: impl Fn(&Seen) -> bool) -> u64 {
        self.seen.iter().filter(|seen| what(seen)).map(|seen| seen.samples).sum()
    }
}

/// A measurement that went on in a lower tier, or ended, since it cost more than it was allowed to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Step {
    /// When, from the start of the first window, ns.
    pub at_ns: u64,
    /// The tier that was left.
    pub from: String,
    /// The one that followed; `None`: the probes were detached and the measurement ended.
    pub to: Option<String>,
    /// What tracing had cost, of one CPU, by the samples that decided.
    pub cost_share: f64,
    /// What it was allowed to.
    pub limit_share: f64,
    /// Length of the window that ended so, ns.
    pub window_ns: u64,
    /// The I/O model that it showed, by name.
    #[serde(default)]
    pub io_model: Option<String>,
    /// How sure that is.
    #[serde(default)]
    pub confidence: Option<String>,
    /// Whether this report is that of the window that ended so.
    #[serde(default)]
    pub reported: bool,
}
