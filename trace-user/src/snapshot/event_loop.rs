//! What a thread does between the readiness waits of its loop.

use serde::{Deserialize, Serialize};

/// What a thread does between the readiness waits of its loop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLoop {
    /// From the return of a wait to the entry of the next.
    pub iterations: u64,
    /// Their time, ns.
    pub ns: u64,
    /// Of that, asleep in other calls, ns.
    pub blocked_ns: u64,
    /// Waits that returned descriptors and were followed by no receive, accept, send, write, waking of a thread, or removal
    /// of a descriptor from the set.
    pub without_work: u64,
    /// The longest of them.
    pub longest: Iteration,
    /// The longest sleep in any of them, ns.
    pub longest_sleep_ns: u64,
    /// Its call.
    pub longest_sleep_syscall: Option<String>,
    /// Waits by the timeout they were given: not known,
    pub timeouts_unknown: u64,
    /// … not to wait,
    pub timeouts_zero: u64,
    /// … to wait for a given time at most,
    pub timeouts_finite: u64,
    /// … to wait until something happens.
    pub timeouts_infinite: u64,
}

/// One iteration of a loop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Iteration {
    /// Length, ns.
    pub ns: u64,
    /// On a CPU, ns.
    pub cpu_ns: u64,
    /// Runnable without one, ns.
    pub runqueue_ns: u64,
    /// Its longest sleep, ns.
    pub sleep_ns: u64,
    /// The call of that sleep.
    pub sleep_syscall: Option<String>,
}

impl EventLoop {
    /// Adds the loop of another thread.
    pub fn add(&mut self, other: &EventLoop) {
        self.iterations += other.iterations;
        self.ns += other.ns;
        self.blocked_ns += other.blocked_ns;
        self.without_work += other.without_work;
        if other.longest.ns > self.longest.ns {
            self.longest = other.longest.clone();
        }
        if other.longest_sleep_ns > self.longest_sleep_ns {
            self.longest_sleep_ns = other.longest_sleep_ns;
            self.longest_sleep_syscall.clone_from(&other.longest_sleep_syscall);
        }
        self.timeouts_unknown += other.timeouts_unknown;
        self.timeouts_zero += other.timeouts_zero;
        self.timeouts_finite += other.timeouts_finite;
        self.timeouts_infinite += other.timeouts_infinite;
    }
}
