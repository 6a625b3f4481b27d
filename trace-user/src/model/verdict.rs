//! What the model says: verdicts with their evidence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::balance::Balance;
use super::following::Following;
use crate::snapshot::{Handovers, Program};

/// The five I/O models of Stevens, and the two ways of not naming one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum IoModel {
    /// The caller sleeps inside the receive.
    Blocking,
    /// The caller asks again and again.
    Nonblocking,
    /// The caller sleeps in a readiness call over several descriptors.
    Multiplexing,
    /// The caller is told by a signal.
    SignalDriven,
    /// The caller is told when the copy is done.
    Asynchronous,
    /// No model carries 80 %.
    Mixed,
    /// Not enough, or contradicting, evidence.
    Inconclusive,
}

impl IoModel {
    /// The name of the contract.
    pub const fn name(self) -> &'static str {
        match self {
            IoModel::Blocking => "blocking",
            IoModel::Nonblocking => "nonblocking",
            IoModel::Multiplexing => "multiplexing",
            IoModel::SignalDriven => "signal-driven",
            IoModel::Asynchronous => "asynchronous",
            IoModel::Mixed => "mixed",
            IoModel::Inconclusive => "inconclusive",
        }
    }

    /// Whether the caller sleeps until it has its result: `blocking` or `non-blocking`; `None` without a model.
    pub const fn caller(self) -> Option<&'static str> {
        match self {
            IoModel::Blocking | IoModel::Multiplexing => Some("blocking"),
            IoModel::Nonblocking | IoModel::SignalDriven | IoModel::Asynchronous => Some("non-blocking"),
            IoModel::Mixed | IoModel::Inconclusive => None,
        }
    }

    /// Whether the answer is given when the copy is done (`synchronous`) or announced later (`asynchronous`).
    pub const fn callee(self) -> Option<&'static str> {
        match self {
            IoModel::Asynchronous => Some("asynchronous"),
            IoModel::Mixed | IoModel::Inconclusive => None,
            _ => Some("synchronous"),
        }
    }
}

/// How sure a verdict is (contract, DESIGN §4). An inconclusive verdict has none.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// The winner is ahead, but not beyond doubt.
    Low,
    /// One kind of evidence, the other silent.
    Medium,
    /// Behaviour and structure agree, enough of both was seen, nothing was lost.
    High,
}

/// Kind of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Episodes in the window.
    Behaviour,
    /// Set membership, widths, flags, what sleepers sleep in.
    Structure,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Evidence {
    /// Stable code.
    pub code: String,
    /// A sentence with the figures in it.
    pub text: String,
    /// The measured value.
    pub measured: f64,
    /// What it is compared with, if anything.
    pub threshold: Option<f64>,
    /// Its kind.
    pub kind: Kind,
    /// Whether it speaks for the verdict.
    #[serde(rename = "for")]
    pub supports: bool,
}

/// Another verdict that was possible.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Alternative {
    /// Its name.
    pub name: String,
    /// Its share of episodes, 0…1; `None` where shares say nothing.
    pub share: Option<f64>,
}

/// The verdict on an I/O model.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IoVerdict {
    /// The model.
    pub name: IoModel,
    /// See [`IoModel::caller`].
    pub caller: Option<String>,
    /// See [`IoModel::callee`].
    pub callee: Option<String>,
    /// `epoll`, `poll`, `select`, `recvfrom`, `read`…
    pub mechanism: Option<String>,
    /// `emulated`.
    pub qualifier: Option<String>,
    /// Shares of decided episodes; empty without episodes.
    pub shares: BTreeMap<IoModel, f64>,
    /// How sure; `None` when inconclusive.
    pub confidence: Option<Confidence>,
    /// What else was possible.
    pub alternatives: Vec<Alternative>,
    /// Why.
    pub evidence: Vec<Evidence>,
    /// What would settle it, when inconclusive or not sure.
    pub settle: Option<String>,
    /// The verdict on the client side, if the target has one.
    pub upstream: Option<Box<IoVerdict>>,
    /// Addition: the verdict on reads and writes of files, if any of them waited or were announced.
    #[serde(default)]
    pub storage: Option<Box<IoVerdict>>,
}

/// The verdict on a server model.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServerVerdict {
    /// The model, or `inconclusive`.
    pub name: String,
    /// `shared-poller` and the like.
    pub qualifier: Option<String>,
    /// `thread` or `process`.
    pub units: Option<String>,
    /// How many of them.
    pub count: Option<u64>,
    /// How sure; `None` when inconclusive.
    pub confidence: Option<Confidence>,
    /// What else was possible.
    pub alternatives: Vec<Alternative>,
    /// Why.
    pub evidence: Vec<Evidence>,
}

/// What a thread does in its process.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Accepts connections and receives from none.
    Acceptor,
    /// Waits on several peers and receives from them.
    Reactor,
    /// Receives from one connection at a time.
    ConnectionWorker,
    /// Receives what others wait for.
    PoolWorker,
    /// Watches over other processes.
    Supervisor,
    /// Works, but serves no connection.
    Background,
    /// Did nothing in the window.
    Idle,
    /// io-wq or SQPOLL.
    KernelIo,
}

/// Something worth a second look.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Finding {
    /// Stable code.
    pub code: String,
    /// `info` or `warning`.
    pub severity: String,
    /// One line.
    pub title: String,
    /// With figures.
    pub evidence: String,
    /// What to do.
    pub advice: String,
}

/// All that the model says of a snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verdicts {
    /// On the target as a whole.
    pub io_model: IoVerdict,
    /// On how it spreads connections.
    pub server_model: ServerVerdict,
    /// Per program.
    pub processes: BTreeMap<Program, IoVerdict>,
    /// Per thread (living and ended); of who executed a program, as a thread of the last one.
    pub threads: BTreeMap<u32, IoVerdict>,
    /// Per thread.
    pub roles: BTreeMap<u32, Role>,
    /// How evenly the work is spread; `None` for fewer than two workers.
    pub balance: Option<Balance>,
    /// How connections came to those who serve them.
    pub handovers: Handovers,
    /// Whether requests can be followed by thread id.
    pub following: Option<Following>,
    /// Worth a second look.
    pub findings: Vec<Finding>,
    /// What cannot be seen in this run, each a sentence.
    pub blind_spots: Vec<String>,
}
