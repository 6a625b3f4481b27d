//! What was done when, as `--timeline` recorded it.

use serde::{Deserialize, Serialize};
use trace_common::account::Account;
use trace_common::conn::Side;

/// The spans of a window, by thread and by connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// Most spans that were to be kept, those of what was still in progress at the end not counted.
    pub limit: u64,
    /// Spans that were not kept: beyond the limit, or the ring between the probes and user space was full.
    pub dropped: u64,
    /// What each thread did, in the order of their first spans. If nothing was dropped, the spans of a thread add up to
    /// its ledger, account by account.
    pub threads: Vec<ThreadTrack>,
    /// What happened on each connection.
    pub connections: Vec<ConnectionTrack>,
}

/// The spans of one thread, of which no two overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadTrack {
    /// Thread id.
    pub tid: u32,
    /// Process id.
    pub pid: u32,
    /// Its name; not to be trusted.
    pub comm: String,
    /// Spans, `what` of which is the discriminant of an [`Account`].
    pub spans: Vec<Span>,
}

/// The spans on one connection. Requests that are not answered one by one may overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionTrack {
    /// Process that received on it last; 0 if that was not seen.
    pub pid: u32,
    /// Which end the target holds.
    pub side: Side,
    /// Remote address, as in [`super::Connection`]; not to be trusted.
    pub address: String,
    /// Spans, `what` of which is the discriminant of a [`Phase`]; those of one turn follow one another.
    pub spans: Vec<Span>,
}

/// One span of time; saved as `[what, from_ns, ns]`, since there are many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u8, u64, u64)", into = "(u8, u64, u64)")]
pub struct Span {
    /// What, as the track says.
    pub what: u8,
    /// Begin, ns after that of the window.
    pub from_ns: u64,
    /// Length.
    pub ns: u64,
}

impl From<(u8, u64, u64)> for Span {
    fn from((what, from_ns, ns): (u8, u64, u64)) -> Span {
        Span { what, from_ns, ns }
    }
}

impl From<Span> for (u8, u64, u64) {
    fn from(span: Span) -> (u8, u64, u64) {
        (span.what, span.from_ns, span.ns)
    }
}

/// What happens on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// A thread sleeps in a receive on it.
    Wait = 0,
    /// A request is received.
    Receive = 1,
    /// Its answer is built.
    Build = 2,
    /// The answer is sent.
    Send = 3,
    /// The target waits for a reply, in whichever call.
    Reply = 4,
}

impl Span {
    /// When it ends; no sum of a file that somebody changed overflows.
    pub fn end_ns(&self) -> u64 {
        self.from_ns.saturating_add(self.ns)
    }

    /// What a thread did.
    pub fn account(&self) -> Account {
        Account::from_u8(self.what)
    }

    /// What happened on a connection; `None` for what no version wrote.
    pub fn phase(&self) -> Option<Phase> {
        [Phase::Wait, Phase::Receive, Phase::Build, Phase::Send, Phase::Reply]
            .into_iter()
            .find(|phase| *phase as u8 == self.what)
    }
}

impl Timeline {
    /// Spans of all tracks.
    pub fn spans(&self) -> u64 {
        let threads = self.threads.iter().map(|t| t.spans.len() as u64).sum::<u64>();
        threads + self.connections.iter().map(|c| c.spans.len() as u64).sum::<u64>()
    }
}
