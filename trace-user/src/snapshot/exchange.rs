//! What happened on connections: how they were handed over, with whom, and what exchanges took.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trace_common::conn::Side;
use trace_common::handover::Handover;
use trace_common::turn::Part;

/// Connections, by how they came to the thread that serves them; a way that none took is absent.
pub type Handovers = BTreeMap<Handover, u64>;

/// What connections of one peer came to that have no record of their own any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Which end of the connections the target held.
    pub side: Side,
    /// As in [`Connection`]; on the server side the port is 0.
    pub address: String,
    /// How many.
    pub connections: u64,
    /// See [`Connection`], here and below.
    pub waits: u64,
    /// Nanoseconds.
    pub wait_ns: u64,
    /// Receives with data.
    pub receives: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Replies that the target waited for.
    pub replies: u64,
    /// Nanoseconds.
    pub reply_ns: u64,
}

/// Exchanges on server-side connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turns {
    /// Number and sums.
    pub totals: trace_common::turn::Turns,
    /// Distribution of each part: (largest value of the bucket in ns, count).
    pub times: BTreeMap<Part, Vec<(u64, u64)>>,
}
