//! A script acted out: what the probes see of it, and what really happened.

use trace_common::account::Account;

use super::event::Traced;
use super::replay::CallEnd;
use super::truth::{self, Span};

/// The trace and the truth. Lists of times are kept where a count at any moment is wanted.
#[derive(Clone, Debug, Default)]
pub struct Story {
    pub events: Vec<Traced>,
    pub spans: Vec<Span>,
    pub ended: Vec<CallEnd>,
    /// Logical calls entered.
    pub calls: Vec<u64>,
    /// Receives counted: ended, or given up.
    pub receives: Vec<u64>,
    pub sleeps: Vec<u64>,
    pub preemptions: Vec<u64>,
    /// Switch-ins that end a sleep whose wake-up was traced before it.
    pub early: Vec<u64>,
    /// Positions in `events` of wake-ups that changed nothing.
    pub stale: Vec<usize>,
}

impl Story {
    /// The time of the last event.
    pub fn last(&self) -> u64 {
        self.events.last().map_or(super::START, |e| e.at)
    }

    /// The moment after the `share` of its events, and a bit.
    pub fn moment(&self, share: f64, bit: u64) -> u64 {
        let i = (self.events.len() as f64 * share) as usize;
        self.events.get(i).map_or(self.last(), |e| e.at) + bit
    }

    /// The events up to `end`.
    pub fn until(&self, end: u64) -> Vec<Traced> {
        self.events.iter().copied().filter(|e| e.at <= end).collect()
    }

    /// The accounts at `end`.
    pub fn accounts(&self, end: u64) -> [u64; Account::SLOTS] {
        truth::accounts(&self.spans, end)
    }

    /// What `/proc` would say at `end`; `None` once it has ended.
    pub fn asleep(&self, end: u64) -> Option<bool> {
        truth::at(&self.spans, end).map(Account::is_sleep)
    }

    /// The calls that ended up to `end`.
    pub fn ended(&self, end: u64) -> Vec<CallEnd> {
        self.ended.iter().copied().filter(|c| c.at <= end).collect()
    }

    /// Without the wake-ups that changed nothing.
    pub fn without_stale_wakes(&self) -> Vec<Traced> {
        let kept = |(i, _): &(usize, &Traced)| !self.stale.contains(i);
        self.events.iter().enumerate().filter(kept).map(|(_, e)| *e).collect()
    }
}

/// How many of `times` are not after `end`.
pub fn count(times: &[u64], end: u64) -> u64 {
    times.iter().filter(|at| **at <= end).count() as u64
}
